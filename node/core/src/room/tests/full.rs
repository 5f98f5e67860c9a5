//! A node that lets no newcomers in, and those who come back to it all the same.

use livekit_protocol::signal_response::Message as Response;

use super::world::{Client, Deed, World, join_of, node_id};
use crate::overload::Resource;
use crate::room::{Full, Input, Join, Refuge};

fn fill(world: &mut World, node: usize) {
    let refuge = Refuge { node: node_id(1), region: "r".into(), url: "wss://1.test".into(), country: "DE".into() };
    world.input(node, Input::Full(Some(Full { resource: Resource::Cpu, refuges: vec![refuge] })));
}

fn is_refused(world: &World, client: Client) -> bool {
    matches!(world.deeds(client).last(), Some(Deed::Refused(503)))
}

fn refused(world: &World, node: usize) -> u64 {
    world.node(node).stats().dropped.get(&("join", "full: cpu")).copied().unwrap_or(0)
}

fn sid(world: &World, client: Client) -> String {
    world.joined(client).participant.as_ref().unwrap().sid.clone()
}

#[test]
fn newcomers_are_refused_while_it_is_full_and_let_in_afterwards() {
    let mut world = World::new(2);
    fill(&mut world, 0);
    let newcomer = world.join(0, "cid");
    assert!(is_refused(&world, newcomer) && refused(&world, 0) == 1);
    assert_eq!(world.node(0).stats().rooms, 0, "nothing of it is left");
    world.input(0, Input::Full(None));
    let newcomer = world.join(0, "cid");
    assert_eq!(world.joined(newcomer).server_region, "region-0");
}

#[test]
fn those_who_are_here_resume_and_join_anew() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    fill(&mut world, 0);
    let resume = sid(&world, ann).parse().ok();
    let back = world.join_as(0, Join { resume, ..join_of("ann") });
    assert!(world.said(back).any(|said| matches!(said, Response::Reconnect(_))));
    let anew = world.join(0, "ann");
    assert_eq!(world.joined(anew).server_region, "region-0");
    let newcomer = world.join(0, "ben");
    assert!(is_refused(&world, newcomer) && refused(&world, 0) == 1);
}

#[test]
fn who_was_on_a_node_that_is_gone_goes_on_here() {
    let mut world = World::new(2);
    let (ann, ben) = (world.join(1, "ann"), world.join(0, "ben"));
    let before = sid(&world, ann);
    fill(&mut world, 0);
    let in_vain = world.join_as(0, Join { resume: before.parse().ok(), ..join_of("ann") });
    assert!(world.said(in_vain).any(|said| matches!(said, Response::Leave(_))), "it is to join anew");
    let heir = world.join(0, "ann");
    assert_eq!(sid(&world, heir), before);
    let successor_of = sid(&world, ben).parse().ok();
    let heir = world.join_as(0, Join { successor_of, ..join_of("ben") });
    assert_eq!(world.joined(heir).server_region, "region-0");
}

#[test]
fn who_names_a_session_that_nobody_knows_is_a_newcomer() {
    let mut world = World::new(2);
    fill(&mut world, 0);
    let successor_of = "PA_abcdefghijkm".parse().ok();
    let stranger = world.join_as(0, Join { successor_of, ..join_of("eve") });
    assert!(is_refused(&world, stranger) && refused(&world, 0) == 1);
    let resumed = world.join_as(0, Join { resume: successor_of, ..join_of("eve") });
    assert!(!world.said(resumed).any(|said| matches!(said, Response::Join(_))));
    let anew = world.join(0, "eve");
    assert!(is_refused(&world, anew), "what it claimed is nobody's");
    assert_eq!(world.node(0).stats().rooms, 0);
}
