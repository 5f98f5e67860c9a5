//! Relays that answer and report, but do not forward, or late, or only to some; and what only looks like that.

use std::time::Duration;

use origo_cascade_core::MediaKind;

use crate::kills::{busiest, watched_with};
use crate::mesh::{Gray, MS, Mesh, SECOND, id};

const PICTURE: usize = 1;
const VOICE: usize = 2;
const BOTH: [(usize, MediaKind); 2] = [(PICTURE, MediaKind::Video), (VOICE, MediaKind::Audio)];

/// Meshes with a relay and its children.
fn with_relays(tracks: &[(usize, MediaKind)], least: usize, seeds: u64) -> Vec<(Mesh, usize, Vec<usize>)> {
    let meshes = (0..seeds).map(|seed| watched_with(tracks, seed));
    let with_relay = meshes.filter_map(|mesh| busiest(&mesh).map(|(relay, children)| (mesh, relay, children)));
    with_relay.filter(|(_, _, children)| children.len() >= least).collect()
}

/// How long until no node takes from the relay that was healthy until now.
fn avoided_after(mesh: &mut Mesh, relay: usize, at_most: Duration) -> Option<Duration> {
    let since = mesh.now();
    while mesh.now() < since + at_most {
        mesh.run_for(100 * MS);
        if mesh.children(relay, 0).is_empty() {
            return Some(mesh.now() - since);
        }
    }
    None
}

#[test]
fn a_relay_that_forwards_nothing_or_little_or_late_is_avoided_within_ten_seconds() {
    let faults = [(1.0, 0), (0.7, 0), (0.0, 1000)];
    for (loses, late_ms) in faults {
        let mut spans = Vec::new();
        for (mut mesh, relay, children) in with_relays(&BOTH, 1, 4) {
            mesh.gray.insert(relay, Gray { loses, late: late_ms * MS, towards: None });
            let span = avoided_after(&mut mesh, relay, 20 * SECOND).unwrap_or(20 * SECOND);
            println!("loses {loses}, {late_ms} ms late: {children:?} have left {relay} after {span:?}");
            spans.push(span);
            mesh.run_for(2 * SECOND);
            for child in children {
                let gap = mesh.viewer(child, PICTURE).gap(mesh.now() - SECOND, mesh.now());
                assert!(gap < 200 * MS, "{child} is fed again, but for {gap:?}");
            }
        }
        let longest = spans.iter().max().unwrap();
        assert!(spans.len() >= 3 && *longest <= 10 * SECOND, "{loses} {late_ms}: {spans:?}");
    }
}

#[test]
fn a_relay_that_stays_gray_makes_one_pause_however_often_it_is_tried_again() {
    for (mut mesh, relay, children) in with_relays(&BOTH, 1, 4) {
        mesh.gray.insert(relay, Gray { loses: 1.0, late: Duration::ZERO, towards: None });
        avoided_after(&mut mesh, relay, 10 * SECOND).expect("it is left");
        mesh.run_for(2 * SECOND);
        let well_since = mesh.now();
        mesh.run_for(40 * SECOND);
        for child in children {
            let gaps = [PICTURE, VOICE].map(|track| mesh.viewer(child, track).gap(well_since, mesh.now()));
            assert!(gaps.iter().all(|gap| *gap < 200 * MS), "{child}, whose parent was {relay}: {gaps:?}");
        }
    }
}

#[test]
fn a_relay_that_forwards_to_some_alone_is_left_by_the_others_alone() {
    let (mut mesh, relay, children) = with_relays(&BOTH, 2, 4).remove(0);
    mesh.gray.insert(relay, Gray { loses: 1.0, late: Duration::ZERO, towards: Some(children[0]) });
    mesh.run_for(10 * SECOND);
    assert_ne!(mesh.parent(children[0], 0), Some(relay));
    let map = mesh.node(0).cascade.map();
    assert!(map.is_down(id(children[0]), id(relay)), "the pair is left alone");
    assert!(!map.is_held_off(id(relay)), "one complaint excludes nobody");
}

#[test]
fn when_two_children_complain_their_parent_feeds_nobody_for_a_while() {
    let (mut mesh, relay, _) = with_relays(&BOTH, 2, 4).remove(0);
    mesh.gray.insert(relay, Gray { loses: 1.0, late: Duration::ZERO, towards: None });
    mesh.run_for(8 * SECOND);
    assert!(mesh.node(0).cascade.map().is_held_off(id(relay)));
    mesh.gray.clear();
    mesh.run_for(20 * SECOND);
    assert!(!mesh.node(0).cascade.map().is_held_off(id(relay)), "it gets another chance");
}

#[test]
fn the_parent_of_the_one_that_fails_is_not_blamed() {
    for (mut mesh, relay, children) in with_relays(&BOTH, 1, 12) {
        let grandchildren: Vec<usize> = children.iter().flat_map(|child| mesh.children(*child, 0)).collect();
        if grandchildren.is_empty() {
            continue;
        }
        mesh.gray.insert(relay, Gray { loses: 1.0, late: Duration::ZERO, towards: None });
        mesh.run_for(10 * SECOND);
        for grandchild in grandchildren {
            for child in &children {
                assert!(!mesh.node(0).cascade.map().is_down(id(grandchild), id(*child)));
            }
        }
        return;
    }
    panic!("no tree with three hops");
}

#[test]
fn nobody_is_suspected_while_sound_is_muted_pictures_are_paused_and_paths_lose_packets() {
    for (mut mesh, relay, children) in with_relays(&BOTH, 1, 2) {
        mesh.loss = 0.005;
        for second in 0..40 {
            mesh.mute(0, VOICE, second % 7 < 4);
            mesh.mute(0, PICTURE, second % 11 < 5);
            mesh.run_for(SECOND);
        }
        for node in mesh.living() {
            assert_eq!(mesh.node(node).cascade.counters().gray_parents, 0, "node {node}");
        }
        assert_eq!(mesh.children(relay, 0).len(), children.len());
    }
}
