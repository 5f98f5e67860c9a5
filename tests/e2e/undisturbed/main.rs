//! Clients that lie, flood, stay silent and answer what nobody asked, on a real node: each gets its answer, each is
//! counted, and two people in the same room on the same worker notice nothing.

mod neighbours;
mod raw;

use std::io::Write;
use std::time::{Duration, Instant};

use origo_client::proto::{self, leave_request::Action};
use origo_client::{Event, Options};
use origo_tests::http;
use proto::signal_request::Message as Ask;
use proto::signal_response::Message as Say;

use neighbours::{Neighbours, WAIT};
use raw::Raw;

/// What real browsers offered.
const OFFER: &str = include_str!("../../../node/core/src/media/tests/descriptions/chromium-publishing.sdp");

fn description(kind: &str, id: u32, sdp: impl Into<String>) -> proto::SessionDescription {
    proto::SessionDescription { r#type: kind.into(), sdp: sdp.into(), id, ..Default::default() }
}

/// Asserts that a session was ended with the word to join anew.
async fn is_sent_away(raw: &mut Raw, why: &str) {
    let leave = raw.hear(|said| match said {
        Say::Leave(leave) => Some((leave.action(), leave.reason())),
        _ => None,
    });
    let expected = (Action::Reconnect, proto::DisconnectReason::MediaFailure);
    assert_eq!(leave.await, Some(expected), "{why}");
    assert!(raw.is_closed().await, "{why}: the socket stays open");
}

#[tokio::test]
async fn a_client_that_never_answers_an_offer_is_told_to_join_anew() {
    let mut neighbours = Neighbours::start().await;
    let mut silent = Raw::join(&neighbours.node, "silent", &Options::v0(), None).await;
    let offered = silent.hear(|said| matches!(said, Say::Offer(_)).then(Instant::now)).await.expect("an offer");
    is_sent_away(&mut silent, "no answer").await;
    let took = offered.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(14)).contains(&took), "after {took:?}");
    neighbours.counts("description", "no answer", 1.0).await;
    neighbours.are_undisturbed().await;
}

#[tokio::test]
async fn an_answer_to_an_old_offer_changes_nothing_and_one_that_is_none_ends_the_session() {
    let mut neighbours = Neighbours::start().await;
    let mut raw = Raw::join(&neighbours.node, "late", &Options::v0(), None).await;
    let id = raw.hear(|said| if let Say::Offer(offer) = said { Some(offer.id) } else { None }).await.expect("an offer");
    for old in [id + 1, id + 100] {
        raw.ask(Ask::Answer(description("answer", old, OFFER))).await;
    }
    assert!(raw.is_alive().await, "an old answer harms nobody");
    neighbours.counts("description", "stale answer", 2.0).await;
    raw.ask(Ask::Answer(description("answer", id, "v=0\r\nnonsense"))).await;
    is_sent_away(&mut raw, "nonsense").await;
    neighbours.are_undisturbed().await;
}

#[tokio::test]
async fn descriptions_that_lie_end_one_session_each() {
    let mut neighbours = Neighbours::start().await;
    let fingerprint = &OFFER[OFFER.find("a=fingerprint:sha-256 ").expect("a fingerprint") + 22..][..8];
    let section = "m=audio 9 x 0\r\na=mid:x\r\n";
    for (reason, lie) in [
        ("fingerprint changed", OFFER.replace(fingerprint, "00:11:22")),
        ("fingerprints differ", OFFER.replacen(fingerprint, "00:11:22", 1)),
        ("mid recycled", OFFER.replacen("m=audio", "m=video", 1)),
        ("payload type changed", OFFER.replacen("VP8/90000", "H264/90000", 1)),
        ("too many sections", format!("{OFFER}{}", section.repeat(400))),
        ("too many lines in a section", format!("{OFFER}{}", "a=x\r\n".repeat(1_000))),
        ("refused", "v=0\r\nm=audio 9 x 0\r\na=mid:0\r\nnonsense\r\n".to_owned()),
    ] {
        let mut liar = Raw::join(&neighbours.node, "liar", &Options::v1(), Some(description("offer", 1, OFFER))).await;
        let answered = liar.hear(|said| matches!(said, Say::Answer(_)).then_some(())).await;
        assert!(answered.is_some(), "the truth is answered");
        liar.ask(Ask::Offer(description("offer", 2, lie))).await;
        is_sent_away(&mut liar, reason).await;
        neighbours.counts("description", reason, 1.0).await;
    }
    neighbours.are_undisturbed().await;
}

#[tokio::test]
async fn floods_of_subscription_changes_and_of_offers_hold_up_nobody_else() {
    let mut neighbours = Neighbours::start().await;
    let mut raw = Raw::join(&neighbours.node, "flood", &Options::v1(), Some(description("offer", 1, OFFER))).await;
    let tracks = vec![neighbours.track.clone(); 2_000];
    for round in 0..40 {
        let (track_sids, subscribe) = (tracks.clone(), round % 2 == 0);
        raw.ask(Ask::Subscription(proto::UpdateSubscription { track_sids, subscribe, ..Default::default() })).await;
        raw.ask(Ask::Offer(description("offer", round + 2, OFFER))).await;
    }
    assert!(raw.is_alive().await);
    assert!(neighbours.dropped("subscription", "overtaken") > 10_000.0);
    neighbours.counts("description", "overtaken", 5.0).await;
    neighbours.are_undisturbed().await;
}

#[tokio::test]
async fn requests_for_others_tracks_forged_and_over_every_limit_have_no_effect_on_others() {
    let mut neighbours = Neighbours::start().await;
    let mut raw = Raw::join(&neighbours.node, "forger", &Options::v1(), Some(description("offer", 1, OFFER))).await;
    for sid in [neighbours.track.clone(), "TR_forgedforged".to_owned(), "x".repeat(60_000), String::new()] {
        let track_sids = vec![sid.clone()];
        for request in [
            Ask::Mute(proto::MuteTrackRequest { sid: sid.clone(), muted: true }),
            Ask::UpdateVideoTrack(proto::UpdateLocalVideoTrack { track_sid: sid.clone(), width: 1, height: 1 }),
            Ask::UpdateAudioTrack(proto::UpdateLocalAudioTrack { track_sid: sid.clone(), features: vec![7; 99] }),
            Ask::TrackSetting(proto::UpdateTrackSettings { track_sids, disabled: true, ..Default::default() }),
            Ask::Trickle(proto::TrickleRequest { candidate_init: sid.clone(), ..Default::default() }),
            Ask::Answer(description("answer", 1, sid.clone())),
            Ask::AddTrack(proto::AddTrackRequest { cid: sid, r#type: 77, ..Default::default() }),
        ] {
            raw.ask(request.clone()).await;
            raw.ask(request).await;
        }
    }
    assert!(raw.is_alive().await);
    for (what, reason) in [
        ("mute", "unknown track"),
        ("track update", "unknown track"),
        ("track_setting", "unknown track"),
        ("trickle", "malformed"),
        ("trickle", "too long"),
        ("answer", "single connection"),
        ("add_track", "unsupported"),
    ] {
        assert!(neighbours.dropped(what, reason) >= 2.0, "{what}, {reason}");
    }
    raw.bytes(vec![0xff; 600 * 1024]).await;
    assert!(raw.is_closed().await, "a message beyond the bound ends its socket");
    assert_eq!(neighbours.dropped("frame", "oversized"), 1.0);
    neighbours.are_undisturbed().await;
}

#[tokio::test]
async fn data_over_the_bound_reaches_nobody() {
    let mut neighbours = Neighbours::start().await;
    let mut sender = neighbours.join("sender").await;
    sender.send_data(true, "large", &[7; 64_000]);
    sender.send_data(true, "small", b"then");
    let topic = |event: &Event| match event {
        Event::Data { packet, .. } => match &packet.value {
            Some(proto::data_packet::Value::User(user)) => user.topic.clone(),
            _ => None,
        },
        _ => None,
    };
    let first = neighbours.viewer.wait_for(WAIT, topic).await;
    assert_eq!(first.as_deref(), Some("small"));
    assert_eq!(neighbours.dropped("data packet", "too long"), 1.0);
    assert!(sender.wait_for(Duration::ZERO, topic).await.is_none());
    neighbours.are_undisturbed().await;
}

#[tokio::test]
async fn hundreds_of_tcp_connections_that_pretend_to_speak_ice_hold_up_nobody() {
    let mut neighbours = Neighbours::start().await;
    let authority = neighbours.node.authority();
    let check = b"\0\x22\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl\0\x06\0\x0aours:their\0\0";
    let said: [&[u8]; 4] = [check, b"\0\x05hello", b"\0\x30\0\x01", b""];
    // Half of them stay: unfinished frames, and connections that say nothing.
    let open: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = std::net::TcpStream::connect(&authority).unwrap();
            // The node may have closed already.
            let _ = stream.write_all(said[number % 4]);
            stream
        })
        .collect();
    assert_eq!(http::get(&authority, "/health", &[]).unwrap().status, 200);
    for (reason, least) in [("unknown ufrag", 50.0), ("malformed", 50.0), ("silent", 50.0)] {
        neighbours.counts("ice tcp", reason, least).await;
    }
    neighbours.counts("connection", "silent", 50.0).await;
    neighbours.are_undisturbed().await;
    drop(open);
}
