//! Offers, answers, sections, and what a stranger may send.

use std::time::Duration;

use origo_auth::TrackSid;

use super::world::{World, sid};
use crate::SessionId;
use crate::media::sdp::{Flow, Sdp};
use crate::media::{Command, Event, Target};

fn answered(world: &World, client: usize) -> Sdp<'_> {
    Sdp::parse(&world.clients[client].last_answer).unwrap()
}

fn sections_needed(world: &World) -> usize {
    world.count(|event| matches!(event, Event::SectionsNeeded { .. }))
}

fn carried(world: &World, client: usize) -> Vec<TrackSid> {
    world.clients[client].tracks_by_mid.values().copied().collect()
}

#[test]
fn idle_placeholders_are_answered_inactive_and_used_for_the_first_tracks() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(true), world.join(true));
    world.run_ms(300);
    assert!(world.is_connected(viewer, Target::Publisher));
    let answer = answered(&world, viewer);
    assert!(answer.sections.iter().all(|section| section.kind().is_none() || section.flow() == Flow::Inactive));
    assert!(!world.clients[viewer].last_answer.contains("a=ssrc"));

    world.publish(publisher, 'v', "video/VP8", &[]);
    world.subscribe(viewer, 'v', "video/VP8", 1);
    world.run_ms(300);
    assert!(world.events.contains(&Event::SectionsNeeded { session: SessionId(2), audios: 0, videos: 0 }));
    assert_eq!(carried(&world, viewer), [sid('v')]);
    let sending: Vec<_> = answered(&world, viewer).sections.into_iter().filter(|s| s.flow() == Flow::Send).collect();
    assert_eq!(sending.len(), 1);
    assert_eq!(sending[0].track_id(), Some("TR_vvvvvvvvvvvv"));
}

#[test]
fn a_subscription_that_comes_with_the_first_offer_is_in_its_answer() {
    let mut world = World::new();
    let viewer = world.join(true);
    world.subscribe(viewer, 'v', "video/VP8", 1);
    world.subscribe(viewer, 'a', "audio/opus", 1);
    world.run_ms(300);
    assert_eq!(sections_needed(&world), 0);
    assert_eq!(carried(&world, viewer).len(), 2);
}

#[test]
fn a_client_that_offers_once_gets_later_tracks_on_the_sections_that_it_has() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(true), world.join_with_fixed_sections());
    world.run_ms(500);
    let answer = answered(&world, viewer);
    assert!(answer.sections.iter().all(|section| section.kind().is_none() || section.flow() == Flow::Send));
    for (round, letter) in [(0, 'a'), (1, 'b')] {
        let audio = world.publish(publisher, letter, "audio/opus", &[]);
        world.subscribe(viewer, letter, "audio/opus", 1);
        world.run_ms(500);
        let before = world.receiver(viewer).packets.len();
        for sequence in 0..10 {
            world.send(publisher, audio, None, sequence, sequence as u32 * 960, &[1; 40]);
            world.run_ms(20);
        }
        assert_eq!(world.receiver(viewer).packets.len() - before, 10, "round {round}");
        world.unsubscribe(viewer, letter);
        world.run_ms(50);
    }
    assert_eq!(world.clients[viewer].offers, 1);
    assert_eq!(world.count(|event| matches!(event, Event::SectionsNeeded { session, .. } if session.0 == 2)), 0);
}

#[test]
fn more_tracks_than_sections_make_us_ask_for_the_missing_ones() {
    let mut world = World::new();
    let viewer = world.join(true);
    world.run_ms(300);
    for letter in ['a', 'b', 'c', 'd', 'e'] {
        world.subscribe(viewer, letter, "video/VP8", 1);
    }
    world.run_ms(300);
    assert!(world.events.contains(&Event::SectionsNeeded { session: SessionId(1), audios: 0, videos: 2 }));
    assert_eq!(carried(&world, viewer).len(), 5);
    assert_eq!(sections_needed(&world), 1);
}

#[test]
fn a_section_that_carried_a_track_is_idle_for_an_exchange_in_both_versions() {
    for single in [true, false] {
        let mut world = World::new();
        let viewer = world.join(single);
        world.run_ms(300);
        world.subscribe(viewer, 'a', "video/VP8", 1);
        world.run_ms(300);
        let mids: Vec<String> = world.clients[viewer].tracks_by_mid.keys().cloned().collect();
        world.unsubscribe(viewer, 'a');
        world.run_ms(300);
        assert!(carried(&world, viewer).is_empty(), "single: {single}");
        world.subscribe(viewer, 'b', "video/VP8", 1);
        world.run_ms(300);
        assert_eq!(carried(&world, viewer), [sid('b')]);
        let reused: Vec<String> = world.clients[viewer].tracks_by_mid.keys().cloned().collect();
        assert!(single || reused == mids, "v0 has one section, which is used again");
    }
}

#[test]
fn the_agreed_codec_comes_first_in_the_answer() {
    let mut world = World::new();
    let publisher = world.join(false);
    world.run_ms(200);
    world.publish(publisher, 'v', "video/AV1", &[]);
    world.run_ms(200);
    let answer = world.clients[publisher].last_answer.clone();
    let video = answer.lines().find(|line| line.starts_with("m=video")).unwrap();
    let first = video.split(' ').nth(3).unwrap();
    assert!(answer.contains(&format!("a=rtpmap:{first} AV1/90000")), "{video}");
}

#[test]
fn an_answer_lets_every_simulcast_layer_be_encoded() {
    let mut world = World::new();
    let publisher = world.join(false);
    world.run_ms(200);
    world.publish(publisher, 'v', "video/VP8", &["q", "h", "f"]);
    world.run_ms(200);
    let answer = &world.clients[publisher].last_answer;
    assert!(answer.contains("a=simulcast:recv q;h;f\r\n"), "{answer}");
    assert!(answer.contains("a=rid:q recv\r\n"));
}

#[test]
fn a_track_ends_when_its_section_goes_inactive() {
    let mut world = World::new();
    let publisher = world.join(true);
    world.run_ms(300);
    let mid = world.publish(publisher, 'v', "video/VP8", &[]);
    world.run_ms(100);
    world.offer(publisher, |api| api.set_direction(mid, str0m::media::Direction::Inactive));
    world.run_ms(100);
    assert!(world.events.contains(&Event::TrackEnded { session: SessionId(1), track: sid('v') }));
}

#[test]
fn the_first_offer_of_v0_comes_at_once_and_opens_the_channels() {
    let mut world = World::new();
    let viewer = world.join(false);
    world.run_ms(500);
    let first = |event: &Event| matches!(event, Event::Offer { id: 1, .. });
    assert_eq!(world.count(first), 1);
    assert!(world.clients[viewer].last_offer.contains("m=application"));
    assert!(world.is_connected(viewer, Target::Subscriber));
    assert!(world.events.contains(&Event::ChannelsOpen(SessionId(1))));
}

#[test]
fn one_exchange_at_a_time_and_a_client_that_never_answers_is_told_to_begin_anew() {
    let mut world = World::new();
    world.signaling = false;
    let viewer = world.join(false);
    world.run_ms(50);
    for letter in ['a', 'b', 'c'] {
        world.subscribe(viewer, letter, "video/VP8", 1);
        world.run_ms(50);
    }
    assert_eq!(world.count(|event| matches!(event, Event::Offer { .. })), 1);
    world.run(Duration::from_secs(10));
    let refused = |event: &Event| matches!(event, Event::Refused { reason, .. } if reason.contains("no answer"));
    assert_eq!(world.count(refused), 1);
}

#[test]
fn a_stale_answer_is_dropped_and_a_broken_one_is_refused() {
    let mut world = World::new();
    world.signaling = false;
    let viewer = world.join(false);
    world.run_ms(50);
    let session = world.clients[viewer].id;
    world.command(Command::Answer { session, id: 7, sdp: "v=0".to_owned() });
    assert_eq!(world.worker.stats().dropped_count("description", "stale answer"), 1);
    world.command(Command::Answer { session, id: 1, sdp: "v=0\r\nnonsense".to_owned() });
    world.run_ms(10);
    assert_eq!(world.count(|event| matches!(event, Event::Refused { .. })), 1);
}

#[test]
fn an_ice_restart_keeps_media_flowing_under_the_new_ufrag() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(true), world.join(false));
    world.run_ms(500);
    let audio = world.publish(publisher, 'a', "audio/opus", &[]);
    world.subscribe(viewer, 'a', "audio/opus", 1);
    world.run_ms(500);
    let before = world.clients[publisher].last_answer.clone();
    world.offer(publisher, |api| drop(api.ice_restart(true)));
    world.run_ms(500);
    let ufrag = |sdp: &str| sdp.lines().find(|line| line.starts_with("a=ice-ufrag")).unwrap().to_owned();
    assert_ne!(ufrag(&before), ufrag(&world.clients[publisher].last_answer));
    for sequence in 0..10 {
        world.send(publisher, audio, None, sequence, sequence as u32 * 960, &[1; 40]);
        world.run_ms(20);
    }
    assert_eq!(world.received(viewer, 'a').len(), 10);
    assert_eq!(world.worker.stats().dropped_count("datagram", "unknown ufrag"), 0);
}

#[test]
fn stun_for_an_unknown_ufrag_is_dropped_and_counted() {
    let mut world = World::new();
    world.join(true);
    world.run_ms(300);
    let mut request = vec![0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
    request.extend([5; 12]);
    request.extend([0, 6, 0, 8]);
    request.extend(b"none:you");
    world.datagram("127.0.0.1:9".parse().unwrap(), &request);
    assert_eq!(world.worker.stats().dropped_count("datagram", "unknown ufrag"), 1);
}

#[test]
fn garbage_truncated_and_replayed_datagrams_harm_nobody() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(true), world.join(false));
    world.run_ms(500);
    let audio = world.publish(publisher, 'a', "audio/opus", &[]);
    world.subscribe(viewer, 'a', "audio/opus", 1);
    world.run_ms(500);
    let address = world.clients[publisher].connections[0].address;
    let mut noise: u32 = 1;
    for round in 0..2_000_u32 {
        let mut datagram: Vec<u8> = (0..round % 120)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            })
            .collect();
        if let Some(first) = datagram.first_mut() {
            *first = [0, 1, 22, 0x80, 0x90, 0xff][round as usize % 6];
        }
        world.datagram(address, &datagram);
        world.datagram("127.0.0.1:9".parse().unwrap(), &datagram);
    }
    for sequence in 0..10 {
        world.send(publisher, audio, None, sequence, sequence as u32 * 960, &[1; 40]);
        world.run_ms(20);
    }
    assert_eq!(world.received(viewer, 'a').len(), 10);
    assert_eq!(world.count(|event| matches!(event, Event::Disconnected { .. })), 0);
}

#[test]
fn a_closed_session_leaves_nothing_behind() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(true), world.join(false));
    world.run_ms(500);
    world.publish(publisher, 'a', "audio/opus", &[]);
    world.subscribe(viewer, 'a', "audio/opus", 1);
    world.run_ms(300);
    for session in [SessionId(1), SessionId(2)] {
        world.command(Command::Close(session));
    }
    world.run_ms(100);
    assert_eq!(world.worker.stats().connections, 0);
    let worker = &world.worker;
    assert_eq!((worker.tracks.len(), worker.sessions.len(), worker.tracks_by_sid.len()), (0, 0, 0));
}

#[test]
fn a_client_that_vanishes_is_reported_after_a_while_and_not_before() {
    let mut world = World::new();
    world.join(true);
    world.run_ms(500);
    world.clients[0].connections.clear();
    world.run(Duration::from_secs(20));
    assert_eq!(world.count(|event| matches!(event, Event::Disconnected { .. })), 0);
    world.run(Duration::from_secs(30));
    assert_eq!(world.count(|event| matches!(event, Event::Disconnected { .. })), 1);
}

/// How many sections the last description has.
fn sections(world: &World, client: usize, single: bool) -> usize {
    let client = &world.clients[client];
    Sdp::parse(if single { &client.last_answer } else { &client.last_offer }).unwrap().sections.len()
}

#[test]
fn who_turns_pages_in_a_room_of_two_hundred_has_sections_for_two_pages() {
    const PAGE: usize = 25;
    let track = |number: usize, kind: char| -> TrackSid { format!("TR_{kind}{number:011}").parse().unwrap() };
    for single in [true, false] {
        let mut world = World::new();
        let viewer = world.join(single);
        world.run_ms(500);
        let mut shown = 0..0;
        for page in (0..8).chain([3, 0, 7]) {
            for number in shown {
                [('v', "video"), ('a', "audio")].iter().for_each(|(kind, _)| {
                    world.command(Command::Unsubscribe { session: SessionId(1), track: track(number, *kind) });
                });
            }
            shown = page * PAGE..(page + 1) * PAGE;
            for number in shown.clone() {
                world.subscribe_to(viewer, track(number, 'v'), "video/VP8", 1, None);
                world.subscribe_to(viewer, track(number, 'a'), "audio/opus", 1, None);
            }
            world.run_ms(1_000);
            let mut carried = carried(&world, viewer);
            carried.sort();
            let mut expected: Vec<_> = shown.clone().flat_map(|n| [track(n, 'a'), track(n, 'v')]).collect();
            expected.sort();
            assert_eq!(carried, expected, "page {page}, single {single}");
        }
        // A section that carried a track is idle for an exchange, so that the next page finds those of the one before.
        let all = sections(&world, viewer, single);
        assert!(all <= 2 * 2 * PAGE + 10, "{all} sections, single {single}");
    }
}
