//! Seats of rooms that let in so many: the home decides, on whichever nodes they come in.

use std::time::Duration;

use origo_auth::Identity;
use origo_cascade_core::home::homes_of;
use origo_cascade_core::{Event, Input};

use super::world::{World, id, room};

fn wish(identity: &str, max: u32) -> Input {
    Input::Seat { room: room(), identity: Identity(identity.into()), present: Vec::new(), max }
}

/// Who was let in or refused, in the order of nodes.
fn verdicts(world: &World) -> Vec<(String, bool)> {
    let events = world.heard.iter().flat_map(|heard| &heard.events);
    let seated = events.filter_map(|(_, event)| match event {
        Event::Seated { identity, granted, .. } => Some((identity.0.clone(), *granted)),
        _ => None,
    });
    seated.collect()
}

#[test]
fn of_those_who_come_in_on_different_nodes_at_once_no_more_than_fit_are_let_in() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        for node in 0..3 {
            for number in 0..2 {
                world.ask(node, wish(&format!("{node}-{number}"), 4));
            }
        }
        world.run_for(Duration::from_secs(1));
        let verdicts = verdicts(&world);
        assert_eq!(verdicts.len(), 6, "seed {seed}");
        assert_eq!(verdicts.iter().filter(|(_, granted)| *granted).count(), 4, "seed {seed}: {verdicts:?}");
    }
}

#[test]
fn without_a_home_that_can_be_reached_a_node_decides_alone() {
    let mut world = World::new(3, 1);
    let nodes: Vec<_> = (0..3).map(id).collect();
    let home = (0..3).find(|&node| homes_of(&room(), &nodes).first() == Some(&id(node))).unwrap();
    let asker = (home + 1) % 3;
    world.mute(home);
    world.ask(asker, wish("ann", 1));
    world.run_for(Duration::from_millis(200));
    assert_eq!(verdicts(&world), [], "it is on its way");
    world.disconnect(asker, home);
    world.run_for(Duration::from_millis(200));
    assert_eq!(verdicts(&world), [("ann".to_owned(), true)]);
}
