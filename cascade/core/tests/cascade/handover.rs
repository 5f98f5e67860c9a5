//! A participant that goes on at another node under the same session.

use std::time::Duration;

use origo_auth::{Identity, NodeId};
use origo_cascade_core::{Event, Input, LayerSet, ParticipantRecord};

use crate::world::{World, id, participant, room, sid_of, track};

const SECOND: Duration = Duration::from_secs(1);

/// Ada's record as the next node publishes it: the same session, and track 2 in place of track 1.
fn taken_over() -> ParticipantRecord {
    let mut record = participant("ada", "ada0", &[2]);
    (record.owner_epoch, record.tracks[0].shown_as) = (1, Some(track(1)));
    record
}

/// Ada on node 0 publishes track 1, which node 2 watches.
fn watched(seed: u64) -> World {
    let mut world = World::new(3, seed);
    for node in 0..3 {
        world.enter(node);
    }
    world.join(0, "ada", &[1]);
    world.run_for(SECOND);
    world.want(2, 1, LayerSet::only(0));
    world.run_for(SECOND);
    world
}

#[test]
fn nobody_sees_a_participant_leave_that_another_node_takes_over() {
    for seed in 0..20 {
        let mut world = watched(seed);
        world.ask(1, Input::Publish(taken_over()));
        world.run_for(SECOND);
        let (identity, sid) = (Identity("ada".into()), sid_of("ada0"));
        let told = Event::TakenOver { room: room(), identity, sid };
        assert!(world.heard[0].events.iter().any(|(_, event)| *event == told), "seed {seed}");
        for node in 0..3 {
            assert!(world.left(node).is_empty(), "seed {seed}");
        }
        let owner = |node: usize| {
            world.heard[node].events.iter().rev().find_map(|(_, event)| match event {
                Event::ParticipantChanged(record) => Some(record.owner),
                _ => None,
            })
        };
        assert_eq!((owner(0), owner(2)), (Some(id(1)), Some::<NodeId>(id(1))), "seed {seed}");
    }
}

#[test]
fn what_the_old_node_serves_flows_beside_the_new_until_viewers_have_moved() {
    let mut world = watched(1);
    world.ask(1, Input::Publish(taken_over()));
    world.want(2, 2, LayerSet::only(0));
    world.run_for(SECOND);
    assert!(world.is_fed(2, 1, 0) && world.is_fed(2, 2, 0), "both flow");
    world.want(2, 1, LayerSet::NONE);
    world.run_for(3 * SECOND);
    assert!(world.served(0).is_empty() && world.is_fed(2, 2, 0), "the old one ends with its last viewer");
}

#[test]
fn what_nobody_lets_go_ends_by_itself() {
    let mut world = watched(2);
    world.ask(1, Input::Publish(taken_over()));
    world.run_for(4 * SECOND);
    assert!(world.is_fed(2, 1, 0));
    world.run_for(5 * SECOND);
    assert!(world.served(0).is_empty() && !world.is_fed(2, 1, 0));
}
