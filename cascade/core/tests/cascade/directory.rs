//! Who is told that a room lives where.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use origo_auth::{NodeId, RoomKey};
use origo_cascade_core::cascade::{Answer, Ask, RoomData};
use origo_cascade_core::home::homes_of;
use origo_cascade_core::{Event, Input, RoomRecord, RoomSettings};

use crate::world::{World, fresh, id, room, sid_of};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_single_node_enters_at_once() {
    let mut world = World::apart(1, 1);
    world.enter(0);
    assert_eq!(world.entered_at(0), Some(Duration::ZERO));
}

#[test]
fn a_participant_is_known_on_every_node_of_its_room_after_one_exchange() {
    for seed in 0..20 {
        let mut world = World::new(5, seed);
        for node in 0..4 {
            world.enter(node);
            world.run_for(SECOND);
        }
        let at = world.elapsed();
        world.join(0, "ada", &[]);
        world.run_for(Duration::from_millis(26));
        for node in 1..4 {
            assert!(world.seen(node).contains("ada"), "seed {seed} node {node} at {at:?}");
        }
        assert!(world.heard[4].events.is_empty(), "the room does not live on node 4");
    }
}

#[test]
fn who_enters_gets_everybody_with_the_answer() {
    let mut world = World::new(5, 3);
    world.enter(0);
    world.run_for(SECOND);
    world.join(0, "ada", &[]);
    world.run_for(SECOND);
    let asked = world.elapsed();
    world.enter(1);
    world.run_for(SECOND);
    let waited = world.entered_at(1).unwrap() - asked;
    assert!(waited <= Duration::from_millis(100), "{waited:?}");
    let Event::Entered { participants, .. } = &world.heard[1].events[0].1 else { panic!("not entered") };
    assert_eq!(participants.len(), 1);
}

#[test]
fn entering_waits_no_longer_than_300_ms_for_a_home_that_does_not_answer() {
    let mut world = World::new(3, 4);
    // A home that is linked but silent: its answers are lost because its links are cut one-sidedly.
    let homes = homes_of(&room(), &[id(0), id(1), id(2)]);
    let asker = (0..3).find(|node| !homes.contains(&id(*node))).unwrap();
    for home in homes {
        world.mute(home.0[0] as usize - 1);
    }
    let asked = world.elapsed();
    world.enter(asker);
    world.run_for(SECOND);
    assert_eq!(world.entered_at(asker).unwrap() - asked, Duration::from_millis(300));
}

#[test]
fn nodes_that_enter_at_the_same_instant_all_learn_of_each_other() {
    for seed in 0..30 {
        let mut world = World::new(6, seed);
        for node in 0..6 {
            world.enter(node);
            world.join(node, &format!("p{node}"), &[]);
        }
        world.run_for(SECOND);
        for node in 0..6 {
            assert_eq!(world.seen(node).len(), 5, "seed {seed}, node {node}: {:?}", world.seen(node));
            assert_eq!(world.room_record(node), world.room_record(0), "seed {seed}");
        }
    }
}

#[test]
fn nodes_whose_views_of_the_cluster_differ_converge_once_gossip_settles() {
    for seed in 0..30 {
        let mut world = World::apart(5, seed);
        // Each enters while it knows itself alone, then gossip and links come in different orders.
        for node in 0..5 {
            world.enter(node);
            world.join(node, &format!("p{node}"), &[]);
        }
        let step = seed as usize;
        for turn in 0..5 {
            let node = (turn * 2 + step) % 5;
            world.gossip(node, 0..=node.max(2));
            for other in 0..5 {
                if other != node && (other + step).is_multiple_of(2) {
                    world.connect(node, other);
                }
            }
            world.run_for(Duration::from_millis(40));
        }
        for a in 0..5 {
            world.gossip(a, 0..5);
            for b in a + 1..5 {
                world.connect(a, b);
            }
        }
        world.run_for(SECOND);
        for node in 0..5 {
            assert_eq!(world.seen(node).len(), 4, "seed {seed}, node {node}: {:?}", world.seen(node));
            assert_eq!(world.room_record(node), world.room_record(0), "seed {seed}");
        }
    }
}

#[test]
fn after_a_partition_the_earliest_room_record_wins_and_everybody_is_seen_again() {
    let mut world = World::apart(4, 7);
    for side in [[0, 1], [2, 3]] {
        for node in side {
            world.gossip(node, side);
        }
        world.connect(side[0], side[1]);
    }
    for node in 0..4 {
        world.enter(node);
        world.run_for(SECOND);
        world.join(node, &format!("p{node}"), &[]);
    }
    world.run_for(SECOND);
    assert_eq!(world.seen(0).len(), 1);
    assert_ne!(world.room_record(0).sid, world.room_record(3).sid);
    for node in 0..4 {
        world.gossip(node, 0..4);
    }
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        world.connect(a, b);
    }
    world.run_for(SECOND);
    for node in 0..4 {
        assert_eq!(world.room_record(node).sid, "RM_000000000000".parse().unwrap());
        assert_eq!(world.seen(node).len(), 3);
    }
}

#[test]
fn a_room_that_nobody_is_in_any_more_begins_a_new_life() {
    let mut world = World::new(3, 8);
    world.enter(0);
    world.run_for(SECOND);
    world.ask(0, Input::Exit(room()));
    world.run_for(SECOND);
    world.enter(1);
    world.run_for(SECOND);
    assert_eq!(world.room_record(1).sid, "RM_000000000001".parse().unwrap());
}

#[test]
fn when_a_home_dies_the_room_gets_another_and_newcomers_find_it() {
    for seed in 0..10 {
        let mut world = World::new(6, seed);
        let homes = homes_of(&room(), &(0..6).map(id).collect::<Vec<_>>());
        let others: Vec<usize> = (0..6).filter(|node| !homes.contains(&id(*node))).collect();
        world.enter(others[0]);
        world.join(others[0], "ada", &[]);
        world.run_for(SECOND);
        for home in homes {
            world.kill(home.0[0] as usize - 1);
        }
        world.run_for(SECOND);
        world.enter(others[1]);
        world.run_for(SECOND);
        assert!(world.seen(others[1]).contains("ada"), "seed {seed}");
    }
}

#[test]
fn data_reaches_every_other_node_of_the_room_and_no_other() {
    let mut world = World::new(4, 9);
    for node in 0..3 {
        world.enter(node);
    }
    world.run_for(SECOND);
    let data = RoomData {
        room: room(),
        publisher: sid_of("ada"),
        reliable: false,
        number: 0,
        packet: Bytes::from_static(b"hello"),
    };
    world.ask(0, Input::Data(data.clone()));
    let elsewhere = RoomData { room: RoomKey::new("other", "standup"), ..data.clone() };
    world.ask(0, Input::Data(elsewhere));
    world.run_for(SECOND);
    let heard =
        |node: usize| world.heard[node].events.iter().filter(|(_, event)| *event == Event::Data(data.clone())).count();
    assert_eq!([heard(0), heard(1), heard(2), heard(3)], [0, 1, 1, 0]);
    assert_eq!(world.counters(0).ask_without_room, 1);
}

#[test]
fn an_unknown_control_message_is_skipped_and_counted() {
    let mut world = World::new(2, 10);
    world.enter(0);
    let message = Bytes::from_static(b"from the future");
    world.ask(0, Input::Control { from: id(1), message: message.clone(), kind: 4711 });
    world.ask(0, Input::Control { from: id(1), message, kind: 5 });
    assert_eq!((world.counters(0).unknown_message, world.counters(0).malformed_message), (1, 1));
    world.enter(1);
    world.join(1, "ada", &[]);
    world.run_for(SECOND);
    assert!(world.seen(0).contains("ada"), "the link goes on");
}

#[test]
fn a_room_that_waits_is_handed_on_once_to_each_node_that_becomes_its_home() {
    let mut world = World::new(4, 11);
    let all: Vec<NodeId> = (0..4).map(id).collect();
    let homes = homes_of(&room(), &all);
    let keeper = (0..4).find(|&node| id(node) == homes[0]).unwrap();
    let made = fresh(2, 0);
    world.ask(keeper, Input::Keep { record: made.clone(), stays: 60 * SECOND });
    world.run_for(10 * SECOND);
    world.draining.insert(keeper);
    for _ in 0..2 {
        for node in 0..4 {
            world.gossip(node, 0..4);
        }
        world.run_for(SECOND);
    }
    let others: Vec<NodeId> = all.iter().copied().filter(|node| *node != homes[0]).collect();
    let handed = world.heard[keeper].events.iter().filter_map(|(_, event)| match event {
        Event::HandOn { to, record, stays } => Some((*to, record.clone(), *stays)),
        _ => None,
    });
    let handed: BTreeMap<NodeId, (RoomRecord, Duration)> =
        handed.map(|(to, record, stays)| (to, (record, stays))).collect();
    let expected = homes_of(&room(), &others).into_iter().map(|home| (home, (made.clone(), 50 * SECOND)));
    assert_eq!(handed, expected.collect());
    let count = world.heard[keeper].events.iter().filter(|(_, event)| matches!(event, Event::HandOn { .. })).count();
    assert_eq!(count, 2, "once each");
}

#[test]
fn a_room_that_was_made_keeps_its_record_until_somebody_comes() {
    let mut world = World::new(3, 8);
    let homes = homes_of(&room(), &[id(0), id(1), id(2)]);
    let primary = (0..3).find(|&node| id(node) == homes[0]).unwrap();
    let made = RoomRecord {
        metadata: "plan".into(),
        settings: RoomSettings { max_participants: 5, departure_timeout_s: 20, ..RoomSettings::default() },
        ..fresh(2, 0)
    };
    world.ask(primary, Input::Keep { record: made.clone(), stays: 60 * SECOND });
    world.run_for(30 * SECOND);
    let other = (primary + 1) % 3;
    world.enter(other);
    world.run_for(SECOND);
    assert_eq!(world.room_record(other), made);
    world.ask(primary, Input::Describe { room: room(), metadata: "another plan".into() });
    world.run_for(SECOND);
    assert_eq!(world.room_record(other).metadata, "another plan");

    // It stays for a while after the last has left, and not for ever.
    let enters_after = |world: &mut World, wait| {
        world.ask(other, Input::Exit(room()));
        world.run_for(wait);
        world.enter(other);
        world.run_for(SECOND);
        world.room_record(other).sid
    };
    assert_eq!(enters_after(&mut world, 10 * SECOND), made.sid);
    let waits = |event: &Event| matches!(event, Event::RoomWaits { record, .. } if record.sid == made.sid);
    let told = world.heard[primary].events.iter().filter(|(_, event)| waits(event)).count();
    assert_eq!(told, 1, "its home knows that it waits");
    assert_ne!(enters_after(&mut world, 30 * SECOND), made.sid);
}

#[test]
fn a_question_reaches_the_other_node_and_its_answer_comes_back() {
    let mut world = World::new(2, 9);
    let ask = Ask { id: 4, project: "default".into(), method: "ListRooms".into(), payload: Bytes::from_static(b"?") };
    world.ask(0, Input::Ask { to: id(1), ask: ask.clone() });
    world.run_for(SECOND);
    let asked = world.heard[1]
        .events
        .iter()
        .any(|(_, event)| matches!(event, Event::Asked { from, ask: heard } if *from == id(0) && *heard == ask));
    assert!(asked);
    let answer = Answer { id: 4, payload: Bytes::from_static(b"!"), ..Answer::default() };
    world.ask(1, Input::Answer { to: id(0), answer: answer.clone() });
    world.run_for(SECOND);
    let last = world.heard[0].events.last();
    assert!(matches!(last, Some((_, Event::Answered { answer: heard, .. })) if *heard == answer));

    world.ask(0, Input::Ask { to: id(7), ask });
    let last = world.heard[0].events.last();
    assert!(matches!(last, Some((_, Event::Answered { answer, .. })) if answer.code == "unavailable"));
}
