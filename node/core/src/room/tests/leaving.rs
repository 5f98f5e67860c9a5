//! How participants go, and who hears of it.

use std::time::Duration;

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use proto::{DisconnectReason, leave_request::Action};

use super::world::{Client, Deed, World};
use crate::media::{self, Command, Target};
use crate::room::Input;

/// The last word that a client got of somebody.
fn parting(world: &World, client: Client) -> Option<DisconnectReason> {
    let said = world.said(client).rev().find_map(|said| match said {
        Response::Update(update) => update.participants.last().cloned(),
        _ => None,
    });
    let gone = said.filter(|info| info.state() == proto::participant_info::State::Disconnected);
    gone.map(|info| info.disconnect_reason())
}

#[test]
fn a_leaver_is_gone_from_every_node_at_once() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let viewers = [world.join(0, "near"), world.join(1, "far")];
    let track = world.publish(ann, "cam");
    world.request(ann, Request::Leave(proto::LeaveRequest::default()));
    for viewer in viewers {
        assert_eq!(parting(&world, viewer), Some(DisconnectReason::ClientInitiated));
        assert!(
            matches!(world.asked(viewer).last(), Some(Command::Unsubscribe { track: ended, .. }) if *ended == track)
        );
    }
    assert!(matches!(world.deeds(ann), [.., Deed::Closed, Deed::Asked(Command::Close(_))]));
    assert_eq!(world.node(0).stats().participants, 1);
}

#[test]
fn a_participant_whose_media_flows_outlives_its_socket_for_a_while() {
    let mut world = World::new(1);
    let watcher = world.join(0, "watcher");
    let [idle, flowing] = [world.join(0, "idle"), world.join(0, "flowing")];
    world.connect(watcher, Target::Publisher);
    world.connect(flowing, Target::Publisher);
    world.introduce();
    world.input(0, Input::SocketClosed(idle.1));
    world.input(0, Input::SocketClosed(flowing.1));
    assert_eq!(world.knows(watcher).into_keys().collect::<Vec<_>>(), ["flowing"]);
    world.pass(Duration::from_secs(14));
    assert_eq!(world.knows(watcher).len(), 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.knows(watcher).len(), 0);
    assert_eq!(parting(&world, watcher), Some(DisconnectReason::SignalClose));
}

#[test]
fn whose_connection_is_over_is_told_to_join_anew() {
    let mut world = World::new(1);
    let watcher = world.join(0, "watcher");
    world.connect(watcher, Target::Publisher);
    let [silent, leaver, closed] = [world.join(0, "silent"), world.join(0, "leaver"), world.join(0, "closed")];
    for client in [silent, leaver, closed] {
        world.connect(client, Target::Publisher);
        world.media(client, media::Event::Disconnected { session: client.1, target: Target::Publisher });
    }
    world.request(leaver, Request::Leave(proto::LeaveRequest::default()));
    assert_eq!(parting(&world, watcher), Some(DisconnectReason::ClientInitiated), "a leave counts although late");
    world.input(0, Input::SocketClosed(closed.1));
    assert_eq!(parting(&world, watcher), Some(DisconnectReason::SignalClose));
    world.pass(Duration::from_secs(2));
    assert_eq!(parting(&world, watcher), Some(DisconnectReason::ConnectionTimeout));
    assert!(world.knows(watcher).is_empty());
    let leave = world.said(silent).find_map(|said| match said {
        Response::Leave(leave) => Some(leave.action()),
        _ => None,
    });
    assert_eq!(leave, Some(Action::Reconnect));
}

#[test]
fn who_never_connects_is_removed_after_a_minute() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    world.pass(Duration::from_secs(59));
    assert_eq!(world.node(0).stats().participants, 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.node(0).stats().participants, 0);
    assert_eq!(world.node(0).stats().rooms, 0, "an empty room is gone");
    assert!(matches!(world.deeds(ann), [.., Deed::Closed, Deed::Asked(Command::Close(_))]));
}

#[test]
fn an_offer_that_cannot_be_taken_ends_in_a_full_reconnect() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    world.media(ann, media::Event::Refused { session: ann.1, reason: "no".into() });
    let Some(Response::Leave(leave)) = world.said(ann).last() else { panic!("not told") };
    assert_eq!(leave.action(), Action::Reconnect);
}

#[test]
fn counts_of_a_room_are_told_but_not_each_time() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    for index in 0..20 {
        world.join(index % 2, &format!("guest {index}"));
    }
    world.pass(Duration::from_secs(6));
    let updates: Vec<_> = world
        .said(ann)
        .filter_map(|said| match said {
            Response::RoomUpdate(update) => Some(update.room.as_ref().unwrap().num_participants),
            _ => None,
        })
        .collect();
    assert_eq!(updates, [21]);
}
