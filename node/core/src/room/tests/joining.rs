//! What joiners and those who are there hear of each other.

use std::time::Duration;

use livekit_protocol as proto;
use origo_auth::{Identity, RoomKey};
use proto::signal_response::Message as Response;
use proto::{DisconnectReason, leave_request::Action};

use super::world::{Deed, World, camera, join_of, node_id, room_key};
use crate::media::{Command, Target};
use crate::room::join::JoinError;
use crate::room::{Ask, Input, limits};

fn names(known: impl IntoIterator<Item = String>) -> Vec<String> {
    known.into_iter().collect()
}

#[test]
fn a_joiner_hears_of_everybody_on_every_node() {
    let mut world = World::new(3);
    let ann = world.join(0, "ann");
    let ben = world.join(1, "ben");
    let track = world.publish(ann, "cam");
    let cid = world.join(2, "cid");
    world.introduce();

    let others = &world.joined(cid).other_participants;
    assert_eq!(names(others.iter().map(|info| info.identity.clone())), ["ann", "ben"]);
    let ann_info = others.iter().find(|info| info.identity == "ann").unwrap();
    assert_eq!(ann_info.tracks[0].sid, track.to_string());
    assert!(ann_info.is_publisher);
    assert_eq!(names(world.knows(ann).into_keys()), ["ben", "cid"]);
    assert_eq!(names(world.knows(ben).into_keys()), ["ann", "cid"]);
    let sid = |client| world.joined(client).room.as_ref().unwrap().sid.clone();
    assert_eq!(sid(ann), sid(cid), "all nodes have one life of the room");
}

#[test]
fn a_join_response_says_all_that_clients_read() {
    let mut world = World::new(1);
    let v1 = world.join(0, "v1");
    let v0 = world.join_as(0, crate::room::Join { single_connection: false, ..join_of("v0") });

    assert!(matches!(&world.deeds(v1)[0], Deed::Asked(Command::Open(_))), "the worker is asked first");
    let join = world.joined(v1);
    assert_eq!(join.server_version, "1.13.5");
    let server = join.server_info.as_ref().unwrap();
    assert_eq!((server.version.as_str(), server.protocol), ("1.13.5", 17));
    assert_eq!((server.region.as_str(), &server.node_id), ("region-0", &node_id(0).to_string()));
    assert_eq!((join.ping_interval, join.ping_timeout), (1, 3));
    assert!(join.fast_publish && !join.subscriber_primary && world.joined(v0).subscriber_primary);
    assert!(!join.sif_trailer.is_empty() && join.sif_trailer == world.joined(v0).sif_trailer);
    assert!(join.participant.as_ref().unwrap().sid.starts_with("PA_"));
    assert!(join.enabled_publish_codecs.iter().any(|codec| codec.mime == "video/VP8"));
    let room = world.joined(v0).room.as_ref().unwrap();
    assert!(room.sid.starts_with("RM_") && room.name == "standup" && room.num_participants == 2);
}

#[test]
fn who_joins_a_crowd_is_asked_to_ping_a_fourth_as_often() {
    let mut world = World::new(1);
    let pings = |world: &mut World, who: usize| {
        let client = world.join(0, &format!("viewer-{who}"));
        let join = world.joined(client);
        (join.ping_interval, join.ping_timeout)
    };
    let all: Vec<_> = (1..=limits::CROWD + 1).map(|who| pings(&mut world, who)).collect();
    assert!(all[..limits::CROWD].iter().all(|pings| *pings == (1, 3)));
    assert_eq!(all[limits::CROWD], (4, 7));
}

#[test]
fn a_room_opens_without_the_mesh_when_it_stays_silent() {
    let mut world = World::new(1);
    world.is_mute = true;
    let ann = world.join(0, "ann");
    assert!(world.deeds(ann).is_empty());
    world.pass(Duration::from_millis(600));
    assert!(world.joined(ann).other_participants.is_empty());
}

#[test]
fn a_second_join_of_an_identity_ends_the_first() {
    for second_node in [0, 1] {
        let mut world = World::new(2);
        let watcher = world.join(0, "watcher");
        world.join(1, "other watcher");
        let first = world.join(0, "ann");
        let second = world.join(second_node, "ann");
        world.introduce();

        let leave = world.said(first).find_map(|said| match said {
            Response::Leave(leave) => Some(leave),
            _ => None,
        });
        let leave = leave.expect("the first is told");
        assert_eq!(leave.reason, DisconnectReason::DuplicateIdentity as i32);
        assert_eq!(leave.action, Action::Disconnect as i32);
        assert!(matches!(world.deeds(first), [.., Deed::Closed, Deed::Asked(Command::Close(_))]));
        let sid = &world.joined(second).participant.as_ref().unwrap().sid;
        assert_eq!(world.knows(watcher)["ann"].sid, *sid, "others see the second, with it on node {second_node}");
        let seen = world.node(0).participant(&room_key(), &Identity("ann".into())).unwrap();
        assert_eq!(seen.to_string(), *sid);
    }
}

#[test]
fn nobody_sees_a_hidden_participant_who_sees_everybody() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    world.publish(ann, "cam");
    let mut join = join_of("recorder");
    join.claims.video.hidden = true;
    let hidden = world.join_as(1, join);
    let ben = world.join(1, "ben");
    world.introduce();

    assert_eq!(names(world.knows(hidden).into_keys()), ["ann", "ben"]);
    assert_eq!(names(world.knows(ann).into_keys()), ["ben"]);
    assert_eq!(names(world.knows(ben).into_keys()), ["ann"]);
    assert!(world.asked(hidden).any(|asked| matches!(asked, Command::Subscribe(_))));
}

#[test]
fn a_participant_is_active_once_its_primary_connection_is_up() {
    let mut world = World::new(2);
    let ann = world.join(1, "ann");
    let v0 = world.join_as(0, crate::room::Join { single_connection: false, ..join_of("v0") });
    let state = |world: &World| world.knows(ann)["v0"].state();
    world.connect(v0, Target::Publisher);
    world.introduce();
    assert_eq!(state(&world), proto::participant_info::State::Joined);
    let before = world.knows(ann)["v0"].version;
    world.connect(v0, Target::Subscriber);
    world.introduce();
    assert_eq!(state(&world), proto::participant_info::State::Active);
    assert!(world.knows(ann)["v0"].version > before);
}

#[test]
fn a_first_offer_in_the_join_follows_its_announcements_and_what_there_is_to_receive() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    world.publish(ann, "cam");
    let offer = proto::SessionDescription { sdp: "v=0".into(), id: 1, ..Default::default() };
    let ben =
        world.join_as(0, crate::room::Join { offer: Some(offer), add_tracks: vec![camera("ben's")], ..join_of("ben") });
    let asked: Vec<_> = world.asked(ben).collect();
    assert!(matches!(
        asked[..],
        [Command::Open(_), Command::Subscribe(_), Command::Expect { .. }, Command::Offer { id: 1, .. }]
    ));
    let said: Vec<_> = world.said(ben).collect();
    assert!(matches!(said[..], [Response::Join(_), Response::TrackPublished(_)]));
}

#[test]
fn a_token_for_another_room_is_refused() {
    let mut world = World::new(1);
    let mut join = join_of("ann");
    join.claims.video.room = "other".into();
    let ann = world.join_as(0, join);
    assert!(matches!(world.deeds(ann), [Deed::Refused(401)]));
    assert_eq!(world.node(0).stats().rooms, 0);
}

/// A world of one node with a room that lets one in.
fn room_for_one() -> World {
    use prost::Message;
    let mut world = World::new(1);
    let wish = proto::CreateRoomRequest { name: "standup".into(), max_participants: 1, ..Default::default() };
    let payload = wish.encode_to_vec().into();
    let ask = Ask { id: 1, project: "default".into(), method: "CreateRoom".into(), payload };
    world.input(0, Input::Admin(ask));
    world
}

#[test]
fn who_finds_the_last_seat_taken_on_another_node_is_refused() {
    let mut world = room_for_one();
    world.seats.push(origo_auth::Identity("bob".into()));
    let ann = world.join(0, "ann");
    assert!(matches!(world.deeds(ann), [Deed::Refused(429)]), "{:?}", world.deeds(ann));
}

#[test]
fn a_home_that_does_not_say_who_may_come_in_keeps_nobody_waiting_for_long() {
    let mut world = room_for_one();
    world.is_mute = true;
    let [gone, ann] = [world.join(0, "gone"), world.join(0, "ann")];
    world.pass(limits::ENTER_TIMEOUT);
    world.input(0, Input::SocketClosed(gone.1));
    assert!(world.deeds(ann).is_empty(), "the home is asked");
    world.pass(limits::SEAT_TIMEOUT);
    world.joined(ann);
    assert!(world.deeds(gone).is_empty(), "who went while it waited never came in");
}

/// Into a room that stays in Germany and Austria, where the first two nodes are.
fn join_clinic(world: &mut World, node: usize, identity: &str) -> super::world::Client {
    let mut join = join_of(identity);
    join.room = RoomKey::new("default", "clinic-7");
    join.claims.video.room = "clinic-7".into();
    world.join_as(node, join)
}

#[test]
fn a_room_that_stays_in_some_countries_takes_nobody_on_a_node_elsewhere() {
    let mut world = World::new(3);
    let outside = join_clinic(&mut world, 2, "ann");
    assert!(matches!(world.deeds(outside), [Deed::Refused(403)]), "{:?}", world.deeds(outside));
    let inside = [join_clinic(&mut world, 0, "ann"), join_clinic(&mut world, 1, "ben")];
    world.introduce();
    assert_eq!(names(world.knows(inside[0]).into_keys()), ["ben"]);
    let later = join_clinic(&mut world, 2, "cid");
    assert!(matches!(world.deeds(later), [Deed::Refused(403)]));
    assert_eq!(world.rooms[&RoomKey::new("default", "clinic-7")].settings.countries, ["DE", "AT"]);
}

#[test]
fn a_room_whose_record_names_countries_is_kept_to_them_though_this_node_has_no_such_rule() {
    let mut world = World::new(3);
    world.join(0, "ann");
    world.rooms.get_mut(&room_key()).unwrap().settings.countries = vec!["DE".into()];
    let outside = world.join(2, "cid");
    assert!(matches!(world.deeds(outside), [Deed::Refused(403)]), "{:?}", world.deeds(outside));
}

#[test]
fn the_refusal_names_the_countries_and_the_way_out() {
    let (room, countries) = ("clinic-7".to_owned(), "DE, AT".to_owned());
    let refusal = JoinError::Elsewhere { room, countries, country: "US".to_owned() };
    let sentence = "this room stays in DE, AT, and this node stands in US: GET /v1/route?room=clinic-7 names nodes that may \
                    have it";
    assert_eq!(refusal.to_string(), sentence);
}
