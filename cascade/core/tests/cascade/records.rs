//! Which record of a participant stands, and for how long.

use std::time::Duration;

use origo_auth::Identity;
use origo_cascade_core::wire::message::{Body, Kind, Leave, Record};
use origo_cascade_core::{Event, Input, LeaveReason, ParticipantRecord};

use crate::world::{World, id, participant, room, sid_of};

const SECOND: Duration = Duration::from_secs(1);

/// Three nodes with the room on each.
fn three(seed: u64) -> World {
    let mut world = World::new(3, seed);
    for node in 0..3 {
        world.enter(node);
    }
    world.run_for(SECOND);
    world
}

fn superseded(world: &World, node: usize) -> usize {
    world.heard[node].events.iter().filter(|(_, event)| matches!(event, Event::Superseded { .. })).count()
}

#[test]
fn a_participant_that_leaves_is_gone_on_the_others_after_one_exchange_with_its_reason() {
    let mut world = three(1);
    world.join(0, "ada", &[]);
    world.run_for(SECOND);
    let (identity, sid) = (Identity("ada".into()), sid_of("ada0"));
    world.ask(0, Input::Withdraw { room: room(), identity, sid, reason: LeaveReason::Left(1) });
    world.run_for(Duration::from_millis(26));
    for node in 1..3 {
        assert_eq!(world.left(node).last().unwrap().2, LeaveReason::Left(1));
        assert!(world.seen(node).is_empty());
    }
}

#[test]
fn an_identity_that_joins_anew_elsewhere_ends_its_older_session() {
    for seed in 0..20 {
        let mut world = three(seed);
        world.join(0, "ada", &[1]);
        world.run_for(SECOND);
        world.join(1, "ada", &[2]);
        world.run_for(SECOND);
        assert_eq!((superseded(&world, 0), superseded(&world, 1)), (1, 0), "seed {seed}");
        assert!(world.seen(0).contains("ada") && world.seen(2).contains("ada"));
        assert!(world.seen(1).is_empty(), "the elder is no other participant any more");
        // What the loser's room says afterwards harms nobody.
        let (identity, sid) = (Identity("ada".into()), sid_of("ada0"));
        world.ask(0, Input::Withdraw { room: room(), identity, sid, reason: LeaveReason::Left(2) });
        world.run_for(SECOND);
        assert!(world.seen(2).contains("ada"));
    }
}

#[test]
fn of_two_sessions_that_begin_at_the_same_instant_exactly_one_stays_everywhere() {
    for seed in 0..20 {
        let mut world = three(seed);
        world.join(0, "ada", &[]);
        world.join(1, "ada", &[]);
        world.run_for(SECOND);
        assert_eq!((superseded(&world, 0), superseded(&world, 1)), (0, 1), "the smaller node id stays; seed {seed}");
        let stays = |(_, event): &(Duration, Event)| match event {
            Event::ParticipantChanged(record) => Some(record.sid),
            _ => None,
        };
        assert_eq!(world.heard[2].events.iter().filter_map(stays).next_back(), Some(sid_of("ada0")));
    }
}

#[test]
fn an_older_word_of_an_owner_changes_nothing() {
    let mut world = three(2);
    let mut record = participant("ada", "ada0", &[]);
    record.version = 5;
    world.ask(0, Input::Publish(record.clone()));
    world.run_for(SECOND);
    let before = world.heard[1].events.len();
    record.version = 4;
    record.info = vec![1];
    world.ask(0, Input::Publish(record));
    world.run_for(SECOND);
    assert_eq!(world.heard[1].events.len(), before);
}

#[test]
fn records_of_a_dead_node_stay_twenty_seconds() {
    let mut world = three(3);
    world.join(0, "ada", &[]);
    world.run_for(SECOND);
    let died = world.elapsed();
    world.kill(0);
    world.run_for(Duration::from_millis(19_990));
    assert!(world.seen(1).contains("ada"));
    world.run_for(Duration::from_millis(20));
    for node in 1..3 {
        let (at, _, reason) = world.left(node).pop().unwrap();
        assert_eq!((at - died, reason), (Duration::from_secs(20), LeaveReason::NodeLost));
    }
}

#[test]
fn a_node_that_comes_back_in_time_keeps_who_is_still_there_and_replaces_the_others() {
    let mut world = three(4);
    world.join(0, "ada", &[]);
    world.join(0, "bob", &[]);
    world.run_for(SECOND);
    world.kill(0);
    world.run_for(5 * SECOND);
    world.restart(0);
    world.enter(0);
    world.ask(0, Input::Publish(participant("ada", "again", &[])));
    world.run_for(SECOND);
    for node in 1..3 {
        assert_eq!(world.seen(node), ["ada".to_owned()].into(), "node {node}");
    }
    world.run_for(30 * SECOND);
    assert_eq!(world.seen(1).len(), 1, "the time of the dead is over, and ada lives");
}

#[test]
fn a_node_that_comes_back_without_the_room_ends_its_old_records() {
    let mut world = three(5);
    world.join(0, "ada", &[]);
    world.run_for(SECOND);
    world.kill(0);
    world.restart(0);
    world.run_for(SECOND);
    assert!(world.seen(1).is_empty() && world.seen(2).is_empty());
}

#[test]
fn a_link_that_breaks_and_heals_loses_nothing_that_was_said_meanwhile() {
    let mut world = three(6);
    world.join(0, "ada", &[]);
    world.join(0, "bob", &[]);
    world.run_for(SECOND);
    world.disconnect(0, 1);
    world.join(0, "eve", &[]);
    let (identity, sid) = (Identity("ada".into()), sid_of("ada0"));
    world.ask(0, Input::Withdraw { room: room(), identity, sid, reason: LeaveReason::Left(1) });
    world.run_for(60 * SECOND);
    assert_eq!(world.seen(1), ["ada".to_owned(), "bob".to_owned()].into(), "it lives by gossip, so its records stay");
    world.connect(0, 1);
    world.run_for(SECOND);
    assert_eq!(world.seen(1), ["bob".to_owned(), "eve".to_owned()].into());
}

#[test]
fn the_last_participant_takes_the_room_off_the_node() {
    let mut world = three(7);
    world.join(0, "ada", &[]);
    world.run_for(SECOND);
    world.ask(0, Input::Exit(room()));
    world.run_for(Duration::from_millis(26));
    assert!(world.seen(1).is_empty());
    let before = world.sent.len();
    world.join(1, "bob", &[]);
    world.run_for(SECOND);
    assert!(world.sent[before..].iter().all(|(_, to, _)| *to != 0), "node 0 is not told any more");
}

/// A session whose node's clock shows `incarnation`.
fn join_at(world: &mut World, node: usize, incarnation: u64) {
    let record = participant("ada", &format!("ada{node}"), &[node + 1]);
    world.ask(node, Input::Publish(origo_cascade_core::ParticipantRecord { incarnation, ..record }));
}

/// The session of ada that a node told its rooms of last.
fn shown(world: &World, node: usize) -> Option<origo_auth::ParticipantSid> {
    let sid = |(_, event): &(Duration, Event)| match event {
        Event::ParticipantChanged(record) => Some(record.sid),
        Event::Entered { participants, .. } => participants.first().map(|record| record.sid),
        _ => None,
    };
    world.heard[node].events.iter().filter_map(sid).next_back()
}

#[test]
fn a_session_after_a_death_stands_though_the_dead_nodes_clock_was_ahead() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        world.enter(0);
        world.enter(2);
        join_at(&mut world, 0, 5000);
        world.run_for(SECOND);
        world.kill(0);
        world.enter(1);
        world.run_for(SECOND);
        // Node 1 was not in the room before, so that it knows nothing of the old session.
        join_at(&mut world, 1, 1000);
        world.run_for(SECOND);
        assert_eq!(shown(&world, 2), Some(sid_of("ada1")), "seed {seed}");
        world.run_for(40 * SECOND);
        assert!(world.seen(2).contains("ada") && superseded(&world, 1) == 0, "seed {seed}");
    }
}

#[test]
fn a_session_that_moved_while_its_node_was_cut_off_stands_though_that_nodes_clock_is_ahead() {
    for seed in 0..20 {
        let mut world = three(seed);
        join_at(&mut world, 0, 5000);
        world.run_for(SECOND);
        world.disconnect(0, 1);
        world.disconnect(0, 2);
        world.gossip(1, [1, 2]);
        world.gossip(2, [1, 2]);
        world.run_for(25 * SECOND);
        join_at(&mut world, 1, 1000);
        world.run_for(SECOND);
        world.gossip(1, [0, 1, 2]);
        world.gossip(2, [0, 1, 2]);
        world.connect(0, 1);
        world.connect(0, 2);
        world.run_for(2 * SECOND);
        assert_eq!((superseded(&world, 0), superseded(&world, 1)), (1, 0), "seed {seed}");
        assert_eq!(shown(&world, 2), Some(sid_of("ada1")), "seed {seed}");
    }
}

#[test]
fn an_older_session_that_lost_is_shown_once_the_one_that_won_is_gone() {
    let mut world = World::new(3, 3);
    world.disconnect(0, 1);
    world.disconnect(1, 2);
    for node in 0..3 {
        world.enter(node);
    }
    world.run_for(SECOND);
    join_at(&mut world, 1, 1000);
    world.run_for(3 * SECOND);
    join_at(&mut world, 0, 5000);
    world.run_for(SECOND);
    world.connect(1, 2);
    world.run_for(2 * SECOND);
    assert_eq!(shown(&world, 2), Some(sid_of("ada0")), "the later one stands");
    world.kill(0);
    world.run_for(25 * SECOND);
    assert_eq!(shown(&world, 2), Some(sid_of("ada1")));
    assert!(world.seen(2).contains("ada"));
}

#[test]
fn a_young_session_waits_for_the_end_of_one_whose_begin_is_heard_after_it() {
    let mut world = three(9);
    for ends in [true, false] {
        let (before, after) = if ends { ("ada8", "ada9") } else { ("ada6", "ada7") };
        world.ask(0, Input::Publish(ParticipantRecord { incarnation: 1, ..participant("ada", after, &[]) }));
        let begins = Record { incarnation: 5000, ..record_of_node_1(before) };
        world.ask(0, Input::Control { from: id(1), message: begins.to_body(), kind: Kind::Record as u64 });
        assert_eq!(superseded(&world, 0), 0, "its end may be under way");
        if ends {
            let room = Some((&room()).into());
            let leave = Leave { room, identity: "ada".into(), sid: sid_of(before).to_string(), reason: 1 };
            world.ask(0, Input::Control { from: id(1), message: leave.to_body(), kind: Kind::Leave as u64 });
        }
        world.run_for(SECOND);
        assert_eq!(superseded(&world, 0), usize::from(!ends));
        let leaves = Input::Withdraw {
            room: room(),
            identity: Identity("ada".into()),
            sid: sid_of(after),
            reason: LeaveReason::Left(1),
        };
        world.ask(0, leaves);
        world.run_for(SECOND);
    }
}

/// What node 1 says of a session of ada that has just begun.
fn record_of_node_1(session: &str) -> Record {
    Record {
        room: Some((&room()).into()),
        identity: "ada".into(),
        sid: sid_of(session).to_string(),
        ..Record::default()
    }
}
