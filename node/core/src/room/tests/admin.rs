//! The server API's calls as one node answers them.

use std::time::Duration;

use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message;
use proto::signal_response::Message as Response;
use proto::{DisconnectReason, ParticipantPermission};

use super::world::{Client, World, node_id};
use crate::media::{Command, Target};
use crate::room::{Answer, Ask, Input};
use origo_cascade_core::{Event, RoomRecord, RoomSettings};

/// Asks a node as its own front-end does.
fn ask(world: &mut World, node: usize, method: &str, request: &impl Message) -> Answer {
    world.input(node, Input::Admin(question(method, request)));
    world.answers.pop().expect("each call is answered")
}

fn question(method: &str, request: &impl Message) -> Ask {
    Ask { id: 7, project: "default".into(), method: method.into(), payload: request.encode_to_vec().into() }
}

fn rooms(world: &mut World, node: usize) -> Vec<proto::Room> {
    let answer = ask(world, node, "ListRooms", &proto::ListRoomsRequest::default());
    proto::ListRoomsResponse::decode(answer.payload).unwrap().rooms
}

fn left_with(world: &World, client: Client) -> Option<DisconnectReason> {
    world.said(client).rev().find_map(|said| match said {
        Response::Leave(leave) => Some(leave.reason()),
        _ => None,
    })
}

fn ann() -> proto::RoomParticipantIdentity {
    proto::RoomParticipantIdentity { room: "standup".into(), identity: "ann".into(), ..Default::default() }
}

#[test]
fn a_home_that_goes_hands_a_waiting_room_on_for_the_rest_of_its_time() {
    let mut world = World::new(2);
    let wish = proto::CreateRoomRequest { name: "standup".into(), empty_timeout: 10, ..Default::default() };
    let made = proto::Room::decode(ask(&mut world, 0, "CreateRoom", &wish).payload).unwrap();
    world.pass(Duration::from_secs(6));
    let record = world.rooms.values().next().unwrap().clone();
    let hand_on = Event::HandOn { to: node_id(1), record, stays: Duration::from_secs(4) };
    world.input(0, Input::Mesh(hand_on.clone()));
    assert_eq!(rooms(&mut world, 1), [made]);
    world.pass(Duration::from_secs(4));
    assert!(rooms(&mut world, 1).is_empty(), "it does not begin anew");

    // What its application has ended does not come back.
    world.input(0, Input::Mesh(hand_on.clone()));
    ask(&mut world, 1, "DeleteRoom", &proto::DeleteRoomRequest { room: "standup".into() });
    world.input(0, Input::Mesh(hand_on));
    assert!(rooms(&mut world, 1).is_empty());
}

#[test]
fn a_made_room_waits_for_its_first_participant_and_not_for_ever() {
    let mut world = World::new(1);
    let wish = proto::CreateRoomRequest {
        name: "standup".into(),
        metadata: "plan".into(),
        empty_timeout: 10,
        max_participants: 1,
        ..Default::default()
    };
    let made = proto::Room::decode(ask(&mut world, 0, "CreateRoom", &wish).payload).unwrap();
    let again = proto::Room::decode(ask(&mut world, 0, "CreateRoom", &wish).payload).unwrap();
    assert_eq!(made.sid, again.sid);
    assert_eq!(rooms(&mut world, 0), std::slice::from_ref(&made));
    let ann = world.join(0, "ann");
    let room = world.joined(ann).room.clone().unwrap();
    assert_eq!((room.sid, room.metadata), (made.sid, "plan".to_owned()));
    let late = world.join(0, "late");
    assert!(matches!(world.deeds(late), [super::world::Deed::Refused(429)]));

    let mut world = World::new(1);
    ask(&mut world, 0, "CreateRoom", &wish);
    world.pass(std::time::Duration::from_secs(11));
    assert_eq!(rooms(&mut world, 0), []);
}

#[test]
fn a_room_that_waits_for_somebody_to_come_back_is_there_unless_it_was_deleted() {
    let mut world = World::new(1);
    let wish = proto::CreateRoomRequest { name: "standup".into(), metadata: "plan".into(), ..Default::default() };
    let waits = || {
        let (room, sid) = (super::world::room_key(), "RM_23456789ABCD".parse().unwrap());
        let (metadata, settings) = ("plan".into(), RoomSettings::default());
        let record = RoomRecord { room, sid, created_ms: 1, metadata, version: 0, settings };
        Input::Mesh(Event::RoomWaits { record, stays: Duration::from_secs(20) })
    };
    world.input(0, waits());
    let made = proto::Room::decode(ask(&mut world, 0, "CreateRoom", &wish).payload).unwrap();
    assert_eq!(made.sid, "RM_23456789ABCD", "it is the one that waits");
    assert_eq!(rooms(&mut world, 0), std::slice::from_ref(&made));
    let request = proto::DeleteRoomRequest { room: "standup".into() };
    assert_eq!(ask(&mut world, 0, "DeleteRoom", &request).code, "");
    world.input(0, waits());
    assert_eq!(rooms(&mut world, 0), [], "the word was on its way when the room was deleted");
}

#[test]
fn a_deleted_room_ends_for_everybody_who_is_here() {
    let mut world = World::new(1);
    let clients = [world.join(0, "ann"), world.join(0, "bob")];
    let request = proto::DeleteRoomRequest { room: "standup".into() };
    assert_eq!(ask(&mut world, 0, "DeleteRoom", &request).code, "");
    for client in clients {
        assert_eq!(left_with(&world, client), Some(DisconnectReason::RoomDeleted));
    }
    assert_eq!(rooms(&mut world, 0), []);
    assert_eq!(ask(&mut world, 0, "DeleteRoom", &request).code, "not_found");
}

#[test]
fn another_node_has_a_participant_removed() {
    let mut world = World::new(2);
    let client = world.join(0, "ann");
    let asked = Event::Asked { from: node_id(1), ask: question("RemoveParticipant", &ann()) };
    world.input(0, Input::Mesh(asked));
    let answer = world.answers.pop().unwrap();
    assert_eq!((answer.id, answer.code.as_str()), (7, ""));
    assert_eq!(left_with(&world, client), Some(DisconnectReason::ParticipantRemoved));
    assert_eq!(ask(&mut world, 0, "RemoveParticipant", &ann()).code, "not_found");
}

#[test]
fn a_project_sees_its_own_rooms_alone() {
    let mut world = World::new(1);
    let client = world.join(0, "ann");
    for (method, request) in [
        ("RemoveParticipant", ann().encode_to_vec()),
        ("DeleteRoom", proto::DeleteRoomRequest { room: "standup".into() }.encode_to_vec()),
    ] {
        let ask = Ask { id: 1, project: "other".into(), method: method.into(), payload: request.into() };
        world.input(0, Input::Admin(ask));
        assert_eq!(world.answers.pop().unwrap().code, "not_found", "{method}");
    }
    assert_eq!(left_with(&world, client), None);
}

#[test]
fn a_right_that_is_taken_away_ends_what_it_allowed() {
    let mut world = World::new(1);
    let [ann, bob] = [world.join(0, "ann"), world.join(0, "bob")];
    let track = world.publish(ann, "cam");
    let mute = |permission| proto::UpdateParticipantRequest {
        room: "standup".into(),
        identity: "ann".into(),
        permission: Some(permission),
        ..Default::default()
    };
    let other = world.publish(bob, "cam");
    let nothing = ParticipantPermission::default();
    let answer = ask(&mut world, 0, "UpdateParticipant", &mute(nothing));
    let info = proto::ParticipantInfo::decode(answer.payload).unwrap();
    assert_eq!((info.tracks.len(), info.permission.unwrap().can_publish), (0, false));
    assert!(world.asked(ann).any(|asked| matches!(asked, Command::Unpublish { track: ended, .. } if *ended == track)));
    assert!(
        world.asked(ann).any(|asked| matches!(asked, Command::Unsubscribe { track: ended, .. } if *ended == other))
    );
    assert!(world.knows(bob)["ann"].tracks.is_empty());

    let listening = ParticipantPermission { can_subscribe: true, ..Default::default() };
    ask(&mut world, 0, "UpdateParticipant", &mute(listening));
    let last = world.asked(ann).next_back();
    assert!(matches!(last, Some(Command::Subscribe(subscription)) if subscription.track.sid == other));
}

#[test]
fn a_track_is_muted_by_the_application_and_unmuted_by_its_publisher_alone() {
    let mut world = World::new(1);
    let client = world.join(0, "ann");
    world.connect(client, Target::Publisher);
    let track_sid = world.publish(client, "cam").to_string();
    let request = |muted| proto::MuteRoomTrackRequest {
        room: "standup".into(),
        identity: "ann".into(),
        track_sid: track_sid.clone(),
        muted,
    };
    let answer = ask(&mut world, 0, "MutePublishedTrack", &request(true));
    assert!(proto::MuteRoomTrackResponse::decode(answer.payload).unwrap().track.unwrap().muted);
    assert!(world.said(client).any(|said| matches!(said, Response::Mute(mute) if mute.muted && mute.sid == track_sid)));
    assert_eq!(ask(&mut world, 0, "MutePublishedTrack", &request(false)).code, "failed_precondition");
}

#[test]
fn what_is_no_request_is_refused() {
    let mut world = World::new(1);
    let broken =
        Ask { id: 1, project: "default".into(), method: "SendData".into(), payload: Bytes::from_static(b"\xff") };
    world.input(0, Input::Admin(broken));
    assert_eq!(world.answers.pop().unwrap().code, "invalid_argument");
    assert_eq!(ask(&mut world, 0, "MoveParticipant", &ann()).code, "unimplemented");
    let long = proto::SendDataRequest { room: "standup".into(), data: vec![0; 64_001], ..Default::default() };
    assert_eq!(ask(&mut world, 0, "SendData", &long).code, "resource_exhausted");
}

#[test]
fn an_application_hears_of_people_and_tracks_once_and_in_order() {
    let mut world = World::new(1);
    let [ann, bob] = [world.join(0, "ann"), world.join(0, "bob")];
    world.connect(ann, Target::Publisher);
    let track = world.publish(ann, "cam").to_string();
    world.request(ann, proto::signal_request::Message::Leave(proto::LeaveRequest::default()));
    world.request(bob, proto::signal_request::Message::Leave(proto::LeaveRequest::default()));
    let told: Vec<_> = world
        .notices
        .iter()
        .map(|event| {
            let identity = event.participant.as_ref().map_or("", |participant| &participant.identity);
            (event.event.as_str(), identity, event.track.as_ref().map(|track| track.sid.clone()))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("participant_joined", "ann", None),
            ("track_published", "ann", Some(track.clone())),
            ("track_unpublished", "ann", Some(track)),
            ("participant_left", "ann", None),
            ("participant_connection_aborted", "bob", None),
        ]
    );
}
