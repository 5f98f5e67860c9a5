//! Clients that come back on a new socket.

use std::time::Duration;

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use proto::{DisconnectReason, leave_request::Action};

use super::world::{Client, Deed, World, join_of};
use crate::media::{self, Command, Target};
use crate::room::{Input, Join, limits};

fn resume(world: &mut World, client: Client, identity: &str) -> Client {
    let sid = world.joined(client).participant.as_ref().unwrap().sid.parse().unwrap();
    world.join_as(client.0, Join { resume: Some(sid), ..join_of(identity) })
}

fn names(world: &World, client: Client) -> Vec<String> {
    world.knows(client).into_keys().collect()
}

#[test]
fn a_client_comes_back_to_its_session_and_hears_what_it_missed() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let [ben, cid] = [world.join(1, "ben"), world.join(1, "cid")];
    world.connect(ann, Target::Publisher);
    let track = world.publish(ann, "cam");
    world.input(0, Input::SocketClosed(ann.1));
    world.request(ben, Request::Leave(proto::LeaveRequest::default()));
    world.pass(Duration::from_secs(5));
    let back = resume(&mut world, ann, "ann");

    let said: Vec<_> = world.said(back).collect();
    let [Response::Reconnect(reconnect), Response::Update(update), Response::RoomUpdate(_)] = said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(reconnect.server_info.as_ref().unwrap().protocol, 17);
    let told = update.participants.iter().map(|info| (info.identity.as_str(), info.state()));
    let told: Vec<_> = told.collect();
    use proto::participant_info::State;
    assert_eq!(told, [("ben", State::Disconnected), ("ann", State::Active), ("cid", State::Joined)]);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.knows(cid)["ann"].tracks[0].sid, track.to_string(), "nobody else has noticed");

    world.request(back, Request::Mute(proto::MuteTrackRequest { sid: track.to_string(), muted: true }));
    assert!(world.knows(cid)["ann"].tracks[0].muted, "requests come by the new socket");
    world.media(ann, media::Event::TrackEnded { session: ann.1, track });
    assert!(world.knows(cid)["ann"].tracks.is_empty(), "the worker knows the session by its first name");
}

#[test]
fn the_end_of_an_old_socket_is_no_end_of_the_session() {
    let mut world = World::new(1);
    let watcher = world.join(0, "watcher");
    let ann = world.join(0, "ann");
    let back = resume(&mut world, ann, "ann");
    assert!(matches!(world.deeds(ann).last(), Some(Deed::Closed)));
    world.input(0, Input::SocketClosed(ann.1));
    world.introduce();
    assert_eq!(names(&world, watcher), ["ann"]);
    let again = resume(&mut world, ann, "ann");
    world.input(0, Input::SocketClosed(back.1));
    world.request(again, Request::Leave(proto::LeaveRequest::default()));
    assert!(names(&world, watcher).is_empty());
    assert!(matches!(world.asked(ann).last(), Some(Command::Close(session)) if *session == ann.1));
}

#[test]
fn who_comes_back_to_nothing_joins_anew_and_leaves_nothing_behind() {
    let mut world = World::new(2);
    let watcher = world.join(0, "watcher");
    let ann = world.join(0, "ann");
    let sid = world.joined(ann).participant.as_ref().unwrap().sid.parse().unwrap();
    let elsewhere = world.join_as(1, Join { resume: Some(sid), ..join_of("ann") });
    let other_form = world.join_as(0, Join { resume: Some(sid), single_connection: false, ..join_of("ann") });

    for refused in [elsewhere, other_form] {
        let [Deed::Said(Response::Leave(leave)), Deed::Closed] = world.deeds(refused) else { panic!("no plain leave") };
        assert_eq!(leave.reason, DisconnectReason::StateMismatch as i32);
        assert_eq!(leave.action, Action::Reconnect as i32);
    }
    assert!(names(&world, watcher).is_empty());
    let again = world.join(0, "ann");
    assert_eq!(names(&world, again), ["watcher"]);
}

#[test]
fn a_session_whose_connection_is_over_is_not_taken_up() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    world.connect(ann, Target::Publisher);
    world.media(ann, media::Event::Disconnected { session: ann.1, target: Target::Publisher });
    let back = resume(&mut world, ann, "ann");
    assert!(matches!(world.deeds(back), [Deed::Said(Response::Leave(_)), Deed::Closed]));
    assert_eq!(world.node(0).stats().participants, 0);
}

#[test]
fn a_resuming_client_with_a_track_that_nobody_knows_joins_anew() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let back = resume(&mut world, ann, "ann");
    let track = Some(proto::TrackInfo { sid: "TR_234567898765".into(), ..Default::default() });
    let published = proto::TrackPublishedResponse { cid: "cam".into(), track };
    world.request(back, Request::SyncState(proto::SyncState { publish_tracks: vec![published], ..Default::default() }));
    let Some(Response::Leave(leave)) = world.said(back).last() else { panic!("not told") };
    assert_eq!(leave.action(), Action::Reconnect);
}

/// Sends a reliable packet to all, whose text is its number.
fn say(world: &mut World, client: Client, sequence: u32) {
    let user = proto::UserPacket { payload: sequence.to_string().into(), ..Default::default() };
    let value = Some(proto::data_packet::Value::User(user));
    let packet = proto::DataPacket { sequence, value, ..Default::default() };
    let packet = prost::Message::encode_to_vec(&packet).into();
    world.media(client, media::Event::Data { session: client.1, channel: media::Channel::Reliable, packet });
}

/// The client says how far it has got of another's packets, and what the worker is asked to send then.
fn replayed(world: &mut World, first: Client, back: Client, publisher: &str, last_seq: u32) -> Vec<u32> {
    let before = world.packets(first).len();
    let state = proto::DataChannelReceiveState { publisher_sid: publisher.to_owned(), last_seq };
    let sync = proto::SyncState { datachannel_receive_states: vec![state], ..Default::default() };
    world.request(back, Request::SyncState(sync));
    world.packets(first)[before..].iter().map(|packet| packet.sequence).collect()
}

#[test]
fn a_client_that_comes_back_gets_the_packets_it_missed_from_every_node_in_order() {
    let mut world = World::new(2);
    let [far, near, ann] = [world.join(1, "far"), world.join(0, "near"), world.join(0, "ann")];
    world.connect(ann, Target::Publisher);
    for publisher in [far, near] {
        (1..=5).for_each(|sequence| say(&mut world, publisher, sequence));
    }
    say(&mut world, ann, 1);
    world.input(0, Input::SocketClosed(ann.1));
    let back = resume(&mut world, ann, "ann");
    let Some(Response::Reconnect(reconnect)) = world.said(back).next() else { panic!("not resumed") };
    assert_eq!(reconnect.last_message_seq, 1);
    let sid = |world: &World, client| world.joined(client).participant.as_ref().unwrap().sid.clone();
    let (far_sid, near_sid) = (sid(&world, far), sid(&world, near));
    assert_eq!(
        replayed(&mut world, ann, back, &near_sid, 3),
        [1, 2, 3, 4, 5, 4, 5],
        "all of far's, the rest of near's"
    );
    let rest = replayed(&mut world, ann, back, &far_sid, u32::MAX);
    assert_eq!(rest, [1, 2, 3, 4, 5], "a forged number costs only whoever says it");
}

#[test]
fn nothing_from_before_a_join_and_nothing_too_old_or_too_much_is_replayed() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    say(&mut world, ann, 1);
    world.pass(Duration::from_secs(1));
    let ben = world.join(0, "ben");
    world.connect(ben, Target::Publisher);
    let ann_sid = world.joined(ann).participant.as_ref().unwrap().sid.clone();
    (2..=2 + limits::HISTORY_PACKETS_MAX as u32).for_each(|sequence| say(&mut world, ann, sequence));
    let back = resume(&mut world, ben, "ben");
    let kept = replayed(&mut world, ben, back, &ann_sid, 0);
    assert_eq!((kept.first(), kept.len()), (Some(&3), limits::HISTORY_PACKETS_MAX));
    world.pass(limits::HISTORY_KEPT);
    say(&mut world, ann, 1_000);
    assert_eq!(replayed(&mut world, ben, back, &ann_sid, 0), [1_000]);
}

#[test]
fn simulated_faults_end_as_the_real_ones_do_and_only_for_who_asks() {
    use proto::simulate_scenario::Scenario;
    let ends = [
        (Scenario::ServerLeave(true), Action::Disconnect),
        (Scenario::NodeFailure(true), Action::Reconnect),
        (Scenario::LeaveRequestFullReconnect(true), Action::Reconnect),
        (Scenario::Migration(true), Action::Resume),
    ];
    for (scenario, action) in ends {
        let mut world = World::new(1);
        let [ann, ben] = [world.join(0, "ann"), world.join(0, "ben")];
        world.connect(ann, Target::Publisher);
        world.request(ann, Request::Simulate(proto::SimulateScenario { scenario: Some(scenario) }));
        let leave = world.said(ann).find_map(|said| match said {
            Response::Leave(leave) => Some(leave.action()),
            _ => None,
        });
        assert_eq!(leave, Some(action), "{scenario:?}");
        assert_eq!(names(&world, ben).len(), usize::from(action == Action::Resume), "{scenario:?}");
        assert!(!world.deeds(ben).iter().any(|deed| matches!(deed, Deed::Closed)));
    }
}

#[test]
fn a_socket_that_is_cut_on_resume_is_cut_once_and_the_session_lives() {
    use proto::simulate_scenario::Scenario;
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    world.connect(ann, Target::Publisher);
    let scenario = Some(Scenario::DisconnectSignalOnResumeNoMessages(true));
    world.request(ann, Request::Simulate(proto::SimulateScenario { scenario }));
    let first = resume(&mut world, ann, "ann");
    assert!(matches!(world.deeds(first), [Deed::Closed]), "{:?}", world.deeds(first));
    let second = resume(&mut world, ann, "ann");
    assert!(matches!(world.said(second).next(), Some(Response::Reconnect(_))));
    assert!(!world.deeds(second).iter().any(|deed| matches!(deed, Deed::Closed)));
}
