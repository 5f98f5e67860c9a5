//! Relays that are killed: how long the picture stands, and whether it needs a keyframe.

use std::time::Duration;

use origo_cascade_core::MediaKind;

use crate::mesh::{MS, Mesh, SECOND};

const NODES: usize = 8;
const PICTURE: usize = 1;

/// A mesh in which node 0 publishes a picture and all others watch, with the tree drawn and at rest.
pub fn watched(seed: u64) -> Mesh {
    watched_with(&[(PICTURE, MediaKind::Video)], seed)
}

/// The same with other tracks.
pub fn watched_with(tracks: &[(usize, MediaKind)], seed: u64) -> Mesh {
    let mut mesh = Mesh::at_random(NODES, seed);
    mesh.publish(0, "ada", tracks);
    mesh.run_for(SECOND);
    for node in 1..NODES {
        tracks.iter().for_each(|(track, _)| mesh.want(node, *track, true));
    }
    mesh.run_for(5 * SECOND);
    mesh
}

/// The relay with the most children, with them.
pub fn busiest(mesh: &Mesh) -> Option<(usize, Vec<usize>)> {
    let relays = mesh.living().into_iter().filter(|node| *node != 0);
    let with_children = relays.map(|relay| (relay, mesh.children(relay, 0)));
    with_children.filter(|(_, children)| !children.is_empty()).max_by_key(|(_, children)| children.len())
}

pub fn percentile(values: &[Duration], share: f64) -> Duration {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[((values.len() - 1) as f64 * share).round() as usize]
}

#[test]
fn when_a_relay_is_killed_pictures_go_on_within_450_ms_and_nearly_all_without_a_keyframe() {
    let (mut gaps, mut whole) = (Vec::new(), 0);
    for seed in 0..16 {
        let mut mesh = watched(seed);
        let Some((relay, children)) = busiest(&mesh) else { continue };
        let killed_at = mesh.now();
        mesh.kill(relay);
        mesh.run_for(4 * SECOND);
        for child in children {
            let viewer = mesh.viewer(child, PICTURE);
            let gap = viewer.gap(killed_at, killed_at + 3 * SECOND);
            gaps.push(gap);
            let missing = viewer.missing(killed_at + 3 * SECOND);
            whole += usize::from(missing.is_empty());
            let now_from = mesh.parent(child, 0);
            println!("seed {seed}: {child} left {relay} for {now_from:?}: {gap:?}, {} lost", missing.len());
        }
    }
    let share = whole as f64 / gaps.len() as f64;
    let (p50, p95) = (percentile(&gaps, 0.5), percentile(&gaps, 0.95));
    println!("{} gaps: p50 {p50:?}, p95 {p95:?}; {:.0} % without a keyframe", gaps.len(), 100.0 * share);
    assert!(gaps.len() >= 20, "{} gaps", gaps.len());
    assert!(p50 <= 450 * MS && p95 <= 700 * MS && share >= 0.9);
}

#[test]
fn when_a_relay_is_killed_those_who_listen_miss_no_word() {
    const VOICE: usize = 2;
    let mut gaps = Vec::new();
    for seed in 0..12 {
        let mut mesh = watched_with(&[(VOICE, MediaKind::Audio)], seed);
        let Some((relay, children)) = busiest(&mesh) else { continue };
        let killed_at = mesh.now();
        mesh.kill(relay);
        mesh.run_for(3 * SECOND);
        for child in children {
            let gap = mesh.viewer(child, VOICE).gap(killed_at, killed_at + 2 * SECOND);
            println!("seed {seed}: {child} left {relay} for {:?}: {gap:?}", mesh.parent(child, 0));
            gaps.push(gap);
        }
    }
    let (p50, p95) = (percentile(&gaps, 0.5), percentile(&gaps, 0.95));
    println!("{} gaps: p50 {p50:?}, p95 {p95:?}", gaps.len());
    assert!(gaps.len() >= 12 && p95 <= 60 * MS);
}

#[test]
fn three_voices_come_twice_and_a_fourth_does_not() {
    let tracks: Vec<(usize, MediaKind)> = (1..=4).map(|track| (track, MediaKind::Audio)).collect();
    let mut mesh = watched_with(&tracks, 0);
    let (_, children) = busiest(&mesh).expect("a relay");
    let twice = |mesh: &Mesh| mesh.node(children[0]).cascade.seconds().values().sum::<usize>();
    assert_eq!(twice(&mesh), 3);
    (1..=3).for_each(|track| mesh.mute(0, track, true));
    mesh.run_for(12 * SECOND);
    assert_eq!(twice(&mesh), 1, "the three have been silent for 10 s");
    (1..=4).for_each(|track| mesh.want(children[0], track, false));
    mesh.run_for(4 * SECOND);
    assert_eq!(twice(&mesh), 0);
}
