//! Clients that come back on a new socket.

use std::time::Duration;

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use proto::{DisconnectReason, leave_request::Action};

use super::world::{Client, Deed, World, join_of};
use crate::media::{self, Command, Target};
use crate::room::{Input, Join};

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
