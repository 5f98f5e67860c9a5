//! People of a node that drains, and their sessions on the nodes where they go on.

use std::time::Duration;

use livekit_protocol as proto;
use origo_auth::TrackSid;
use proto::leave_request::Action;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::world::{Client, Deed, World, camera, join_of, node_id};
use crate::media::{Command, Target};
use crate::room::{Input, Join, Refuge, limits};

fn drain(world: &mut World, node: usize, people: usize) {
    let refuge = |node: usize| Refuge {
        node: node_id(node),
        region: format!("region-{node}"),
        url: format!("wss://{node}.test"),
        country: "DE".into(),
    };
    world.input(node, Input::Drain { refuges: vec![refuge(1), refuge(2)], people });
}

fn sid(world: &World, client: Client) -> String {
    world.joined(client).participant.as_ref().unwrap().sid.clone()
}

/// The tracks by which a client's worker was asked for a track of that name, in order.
fn carried_as(world: &World, client: Client, name: TrackSid) -> Vec<TrackSid> {
    let asked = world.asked(client).filter_map(|command| match command {
        Command::Subscribe(subscription) if subscription.track.name() == name => Some(subscription.track.sid),
        _ => None,
    });
    asked.collect()
}

/// Its tracks as another client knows them.
fn tracks_of(world: &World, client: Client, identity: &str) -> Vec<String> {
    let known = world.knows(client);
    known[identity].tracks.iter().map(|track| track.sid.clone()).collect()
}

#[test]
fn who_is_sent_on_is_told_where_to_and_nobody_is_let_in_any_more() {
    let mut world = World::new(3);
    let (ann, ben) = (world.join(0, "ann"), world.join(0, "ben"));
    drain(&mut world, 0, 1);
    let leaves = |client| world.said(client).filter(|said| matches!(said, Response::Leave(_))).count();
    assert_eq!((leaves(ann), leaves(ben)), (1, 0), "one at a time");
    let Some(Response::Leave(leave)) = world.said(ann).next_back() else { panic!("ann is told to leave") };
    assert_eq!(leave.action(), Action::Reconnect);
    let urls: Vec<_> = leave.regions.as_ref().unwrap().regions.iter().map(|region| region.url.as_str()).collect();
    assert_eq!(urls, ["wss://1.test", "wss://2.test"]);
    let newcomer = world.join(0, "cid");
    assert!(matches!(world.deeds(newcomer).last(), Some(Deed::Refused(503))));
    world.input(0, Input::Undrain);
    let newcomer = world.join(0, "cid");
    assert_eq!(world.joined(newcomer).server_region, "region-0");
}

#[test]
fn a_session_goes_on_at_another_node_with_the_same_ids_and_nobody_sees_it_leave() {
    let mut world = World::new(3);
    let (ann, ben, cid) = (world.join(0, "ann"), world.join(1, "ben"), world.join(2, "cid"));
    let track = world.publish(ann, "cam");
    let before = sid(&world, ann);
    drain(&mut world, 0, 10);
    let heir = world.join(1, "ann");
    assert_eq!(sid(&world, heir), before);
    assert_eq!(tracks_of(&world, ben, "ann"), [track.to_string()], "others see what it had");

    world.connect(heir, Target::Publisher);
    world.request(heir, Request::AddTrack(camera("cam")));
    let named = world.published(heir).unwrap();
    assert_eq!(named, track, "its client keeps the track's id");
    let expected = world.asked(heir).find_map(|command| match command {
        Command::Expect { track, .. } => Some(track.sid),
        _ => None,
    });
    let carried = expected.unwrap();
    assert_ne!(carried, track, "workers know it by another");
    assert_eq!(carried_as(&world, ben, track), [track], "nothing flows yet");
    world.start(heir, carried);
    for viewer in [ben, cid] {
        assert_eq!(carried_as(&world, viewer, track), [track, carried], "and is followed when it does");
        assert_eq!(tracks_of(&world, viewer, "ann"), [track.to_string()]);
        assert!(world.seen_to_leave(viewer).is_empty());
    }
    let ended = |world: &World| world.asked(ann).any(|command| matches!(command, Command::Close(_)));
    assert!(!ended(&world), "what it sent flows on");
    world.pass(limits::FORMER_KEPT);
    assert!(ended(&world));
    assert!(world.seen_to_leave(ben).is_empty() && world.seen_to_leave(cid).is_empty());
}

#[test]
fn a_node_that_knows_one_id_of_a_track_reads_a_track_that_follows_another() {
    let mut world = World::new(2);
    let (ann, _ben) = (world.join(0, "ann"), world.join(1, "ben"));
    let track = world.publish(ann, "cam");
    drain(&mut world, 0, 10);
    let heir = world.join(1, "ann");
    world.connect(heir, Target::Publisher);
    world.request(heir, Request::AddTrack(camera("cam")));
    let carried = world.asked(heir).find_map(|asked| match asked {
        Command::Expect { track, .. } => Some(track.sid),
        _ => None,
    });
    world.start(heir, carried.unwrap());
    let record = world.record("ann");
    let info = <proto::ParticipantInfo as prost::Message>::decode(&record.info[..]).unwrap();
    let (told, shown) = (&info.tracks[0].sid, record.tracks[0].shown_as);
    assert_eq!((told, shown), (&carried.unwrap().to_string(), Some(track)));
    assert_eq!(info.tracks.len(), 1);
}

#[test]
fn what_is_missing_is_waited_for_and_then_others_see_what_there_is() {
    let mut world = World::new(2);
    let (ann, ben) = (world.join(0, "ann"), world.join(1, "ben"));
    let track = world.publish(ann, "cam");
    drain(&mut world, 0, 10);
    let heir = world.join(1, "ann");
    world.connect(heir, Target::Publisher);
    world.pass(limits::HEIR_WAITS - Duration::from_secs(1));
    assert_eq!(tracks_of(&world, ben, "ann"), [track.to_string()]);
    world.pass(Duration::from_secs(1));
    assert!(tracks_of(&world, ben, "ann").is_empty() && world.seen_to_leave(ben).is_empty());
}

#[test]
fn who_was_sent_on_and_arrives_nowhere_has_left() {
    let mut world = World::new(2);
    let (_ann, ben) = (world.join(0, "ann"), world.join(1, "ben"));
    drain(&mut world, 0, 10);
    world.pass(limits::SENT_KEPT - Duration::from_secs(1));
    assert!(world.seen_to_leave(ben).is_empty());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.seen_to_leave(ben), ["ann"]);
}

#[test]
fn a_client_that_can_is_asked_to_open_a_successor_and_keeps_its_session_meanwhile() {
    let mut world = World::new(2);
    let ann = world.join_as(0, Join { can_succeed: true, ..join_of("ann") });
    let ben = world.join(1, "ben");
    drain(&mut world, 0, 10);
    assert!(!world.said(ann).any(|said| matches!(said, Response::Leave(_))));
    let packets = world.packets(ann);
    let Some(proto::data_packet::Value::User(user)) = packets.last().and_then(|packet| packet.value.clone()) else {
        panic!("it is asked by a packet")
    };
    assert_eq!(user.topic.as_deref(), Some("origo.move"));
    let asked: serde_json::Value = serde_json::from_slice(&user.payload).unwrap();
    assert_eq!((asked["url"].as_str(), asked["region"].as_str()), (Some("wss://1.test"), Some("region-1")));

    // Its old session ends before others hear of the new one.
    world.request(ann, Request::Leave(proto::LeaveRequest::default()));
    assert!(world.seen_to_leave(ben).is_empty());
    let before = sid(&world, ann).parse().unwrap();
    let heir = world.join_as(1, Join { successor_of: Some(before), ..join_of("ann") });
    world.connect(heir, Target::Publisher);
    world.pass(limits::SENT_KEPT);
    assert!(world.seen_to_leave(ben).is_empty());
    assert_eq!(world.knows(ben)["ann"].region, "region-1");
}

#[test]
fn a_client_that_opens_no_successor_is_sent_on_like_any_other() {
    let mut world = World::new(2);
    let ann = world.join_as(0, Join { can_succeed: true, ..join_of("ann") });
    drain(&mut world, 0, 10);
    world.pass(limits::SUCCESSOR_WAITED_FOR);
    assert!(world.said(ann).any(|said| matches!(said, Response::Leave(leave) if leave.regions.is_some())));
}

#[test]
fn only_a_client_that_knows_the_session_or_was_sent_on_goes_on_with_it() {
    let mut world = World::new(2);
    let (ann, ben) = (world.join(0, "ann"), world.join(1, "ben"));
    let before = sid(&world, ann);
    let guesses = "PA_abcdefghijkm".parse().ok();
    let other = world.join_as(1, Join { successor_of: guesses, ..join_of("ann") });
    assert_ne!(sid(&world, other), before);
    assert_eq!(world.seen_to_leave(ben), ["ann"], "it is another session");
}

#[test]
fn who_comes_back_in_vain_to_a_session_that_others_know_goes_on_with_it() {
    let mut world = World::new(2);
    let (ann, ben) = (world.join(0, "ann"), world.join(1, "ben"));
    let before = sid(&world, ann);
    let resume = before.parse().ok();
    world.join_as(1, Join { resume, ..join_of("ann") });
    let back = world.join(1, "ann");
    assert_eq!(sid(&world, back), before);
    world.connect(back, Target::Publisher);
    assert!(world.seen_to_leave(ben).is_empty());
    let led = world.join_as(0, Join { resume: before.parse().ok(), may_be_led: true, ..join_of("ann") });
    assert!(world.deeds(led).iter().any(|deed| matches!(deed, Deed::Refused(_) | Deed::Said(_))));
}
