//! Tracks from the announcement to those who receive them.

use livekit_protocol as proto;
use origo_auth::TrackSid;
use origo_cascade_core::LayerSet;
use proto::request_response::Reason;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::world::{Deed, World, camera, join_of, node_id, room_key};
use crate::media::{self, Command};

#[test]
fn an_update_precedes_the_media_it_names() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let viewers = [world.join(0, "near"), world.join(1, "far")];
    let track = world.publish(ann, "cam");

    for viewer in viewers {
        let told = world.deeds(viewer).iter().position(|deed| match deed {
            Deed::Said(Response::Update(update)) => {
                update.participants.iter().any(|info| info.tracks.iter().any(|info| info.sid == track.to_string()))
            }
            _ => false,
        });
        let asked = world.deeds(viewer).iter().position(|deed| match deed {
            Deed::Asked(Command::Subscribe(subscription)) => subscription.track.sid == track,
            _ => false,
        });
        assert!(told.expect("told") < asked.expect("asked"), "{viewer:?}");
    }
}

#[test]
fn a_late_joiner_is_told_before_it_is_given_anything() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    world.publish(ann, "cam");
    let late = world.join(1, "late");
    let [
        Deed::Asked(Command::Open(_)),
        Deed::Said(Response::Join(_)),
        Deed::Token(_),
        Deed::Asked(Command::Subscribe(taken)),
    ] = world.deeds(late)
    else {
        panic!("{:?}", world.deeds(late))
    };
    let sid = &world.joined(ann).participant.as_ref().unwrap().sid;
    assert_eq!(taken.stream, format!("{sid}|camera"));
}

#[test]
fn an_announcement_is_answered_at_once_with_the_wished_codec() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let wish = proto::SimulcastCodec { codec: "h264".into(), cid: "cam".into(), ..Default::default() };
    let layer = |quality, bitrate| proto::VideoLayer { quality, bitrate, ..Default::default() };
    let request = proto::AddTrackRequest {
        simulcast_codecs: vec![wish],
        layers: vec![layer(2, 1_700_000), layer(0, 160_000), layer(1, 500_000)],
        ..camera("cam")
    };
    world.request(ann, Request::AddTrack(request));

    let published = world.said(ann).find_map(|said| match said {
        Response::TrackPublished(published) => Some(published),
        _ => None,
    });
    let published = published.unwrap();
    let info = published.track.as_ref().unwrap();
    assert_eq!((published.cid.as_str(), info.codecs[0].mime_type.as_str()), ("cam", "video/H264"));
    let rids: Vec<_> = info.codecs[0].layers.iter().map(|layer| (layer.rid.as_str(), layer.bitrate)).collect();
    assert_eq!(rids, [("q", 160_000), ("h", 500_000), ("f", 1_700_000)]);
    let expected = world.asked(ann).find_map(|asked| match asked {
        Command::Expect { track, .. } => Some(track),
        _ => None,
    });
    assert_eq!(expected.unwrap().layer_bitrates_bps, [160_000, 500_000, 1_700_000]);
}

#[test]
fn a_participant_without_grant_cannot_publish() {
    let mut world = World::new(1);
    let mut silent = join_of("silent");
    silent.claims.video.can_publish = Some(false);
    let silent = world.join_as(0, silent);
    let mut speaker = join_of("speaker");
    speaker.claims.video.can_publish_sources = vec!["microphone".into()];
    let speaker = world.join_as(0, speaker);

    for client in [silent, speaker] {
        world.request(client, Request::AddTrack(camera("cam")));
        assert_eq!(world.refusals(client), [Reason::NotAllowed]);
        assert_eq!(world.published(client), None);
        assert!(!world.asked(client).any(|asked| matches!(asked, Command::Expect { .. })));
    }
}

#[test]
fn who_may_not_subscribe_is_given_nothing() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let mut deaf = join_of("deaf");
    deaf.claims.video.can_subscribe = Some(false);
    let deaf = world.join_as(0, deaf);
    let track = world.publish(ann, "cam");
    assert_eq!(world.knows(deaf)["ann"].tracks.len(), 1, "it may know of the track");
    let request =
        proto::UpdateSubscription { track_sids: vec![track.to_string()], subscribe: true, ..Default::default() };
    world.request(deaf, Request::Subscription(request));
    assert!(!world.asked(deaf).any(|asked| matches!(asked, Command::Subscribe(_))));
}

#[test]
fn an_unmuted_track_is_shown_with_its_first_packet_and_a_muted_one_at_once() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let ben = world.join(1, "ben");
    world.request(ann, Request::AddTrack(camera("open")));
    assert!(world.knows(ben)["ann"].tracks.is_empty());
    world.request(ann, Request::AddTrack(proto::AddTrackRequest { muted: true, ..camera("muted") }));
    let tracks = &world.knows(ben)["ann"].tracks;
    assert!(tracks.len() == 1 && tracks[0].muted);

    let sid = tracks[0].sid.clone();
    world.request(ann, Request::Mute(proto::MuteTrackRequest { sid, muted: false }));
    assert!(!world.knows(ben)["ann"].tracks[0].muted);
}

#[test]
fn the_same_client_id_waits_until_the_first_track_has_ended() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let first = world.publish(ann, "cam");
    world.request(ann, Request::AddTrack(camera("cam")));
    assert_eq!(world.refusals(ann), [Reason::Queued]);
    assert_eq!(world.published(ann), Some(first));

    world.media(ann, media::Event::TrackEnded { session: ann.1, track: first });
    let second = world.published(ann).unwrap();
    assert_ne!(second, first);
}

#[test]
fn a_track_that_ends_is_taken_from_everybody() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let viewers = [world.join(0, "near"), world.join(1, "far")];
    let track = world.publish(ann, "cam");
    assert_eq!(world.node(1).path(&room_key(), track), Some(vec![node_id(0), node_id(1)]));
    world.media(viewers[1], media::Event::Want { track, layers: LayerSet::only(0) });
    assert_eq!(world.wants, [(1, track, LayerSet::only(0))]);

    world.media(ann, media::Event::TrackEnded { session: ann.1, track });
    for viewer in viewers {
        assert!(world.knows(viewer)["ann"].tracks.is_empty());
        assert!(
            matches!(world.asked(viewer).last(), Some(Command::Unsubscribe { track: ended, .. }) if *ended == track)
        );
    }
    assert_eq!(world.wants.last(), Some(&(1, track, LayerSet::NONE)));
    assert_eq!(world.node(1).path(&room_key(), track), None);
}

#[test]
fn the_worker_hears_which_tracks_a_client_asked_for_by_name() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let tracks = ["cam", "screen", "third"].map(|name| world.publish(ann, name));
    let ben = world.join(1, "ben");
    let asked = |world: &World| -> Vec<(TrackSid, bool)> {
        let subscribed = world.asked(ben).filter_map(|asked| match asked {
            Command::Subscribe(subscription) => Some((subscription.track.sid, subscription.asked)),
            Command::Favour { track, .. } => Some((*track, true)),
            _ => None,
        });
        subscribed.collect()
    };
    let ask = |sid: TrackSid, subscribe| {
        let track_sids = vec![sid.to_string()];
        Request::Subscription(proto::UpdateSubscription { track_sids, subscribe, ..Default::default() })
    };
    assert_eq!(asked(&world).len(), 3);
    assert!(asked(&world).iter().all(|(_, asked)| !asked), "it takes all that are there");
    world.request(ben, ask(tracks[1], true));
    assert_eq!(asked(&world).split_off(3), [(tracks[1], true)]);
    world.request(ben, ask(tracks[1], true));
    assert_eq!(asked(&world).len(), 4, "it was heard");
    world.request(ben, ask(tracks[2], false));
    world.request(ben, ask(tracks[2], true));
    assert_eq!(asked(&world).split_off(4), [(tracks[2], true)]);
    let later = world.publish(ann, "later");
    assert_eq!(asked(&world).last(), Some(&(later, false)));
}

#[test]
fn a_client_that_takes_nothing_by_itself_gets_what_it_asks_for() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let track = world.publish(ann, "cam");
    let picky = world.join_as(1, crate::room::Join { auto_subscribe: false, ..join_of("picky") });
    assert!(!world.asked(picky).any(|asked| matches!(asked, Command::Subscribe(_))));

    let ask = |sid: String, subscribe| {
        Request::Subscription(proto::UpdateSubscription { track_sids: vec![sid], subscribe, ..Default::default() })
    };
    world.request(picky, ask(track.to_string(), true));
    assert!(matches!(world.asked(picky).last(), Some(Command::Subscribe(taken)) if taken.asked));
    world.request(picky, ask(track.to_string(), false));
    assert!(matches!(world.asked(picky).last(), Some(Command::Unsubscribe { .. })));
    world.request(picky, ask("TR_nosuchtrack0".into(), true));
    assert!(matches!(world.said(picky).last(), Some(Response::SubscriptionResponse(_))));
}

#[test]
fn what_comes_on_a_used_section_is_named_in_its_stream_where_we_offer() {
    for single_connection in [true, false] {
        let mut world = World::new(1);
        let ann = world.join(0, "ann");
        let viewer = world.join_as(0, crate::room::Join { single_connection, ..join_of("viewer") });
        let first = world.publish(ann, "cam");
        world.media(ann, media::Event::TrackEnded { session: ann.1, track: first });
        let second = world.publish(ann, "cam");
        let streams = world.asked(viewer).filter_map(|asked| match asked {
            Command::Subscribe(subscription) => Some(subscription.stream.split_once('|').unwrap().1.to_owned()),
            _ => None,
        });
        let streams: Vec<_> = streams.collect();
        let last = if single_connection { "camera".to_owned() } else { second.to_string() };
        assert_eq!(streams, ["camera".to_owned(), last]);
    }
}

#[test]
fn firefox_reads_the_track_from_the_stream() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let mut join = join_of("fox");
    join.client.browser = "Firefox".into();
    let fox = world.join_as(0, join);
    let track = world.publish(ann, "cam");
    let taken = world.asked(fox).find_map(|asked| match asked {
        Command::Subscribe(subscription) => Some(subscription.stream.clone()),
        _ => None,
    });
    assert!(taken.unwrap().ends_with(&format!("|{track}")));
}
