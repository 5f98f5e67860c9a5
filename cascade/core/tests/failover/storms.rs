//! Kills, silences, flaps and gray relays at random: no packet comes twice, no path runs in a circle, and when all is
//! well again everybody gets what they want.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::MediaKind;
use proptest::prelude::*;

use crate::mesh::{Gray, MS, Mesh, SECOND};

const NODES: usize = 6;
const PICTURE: usize = 1;
const VOICE: usize = 2;
/// After the last fault everybody is fed within this, though links are still held down.
const HEALS: Duration = Duration::from_secs(12);

#[derive(Clone, Debug)]
enum Op {
    Cut(usize, usize),
    Mend(usize, usize),
    Flap(usize, usize, u64),
    Kill(usize),
    Restart(usize),
    Gray(usize, u8, u64),
    Heal(usize),
    Mute(usize, bool),
    Want(usize, bool),
    Run(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let pair = || (0..NODES, 0..NODES).prop_filter("two nodes", |(a, b)| a != b);
    prop_oneof![
        2 => pair().prop_map(|(a, b)| Op::Cut(a, b)),
        2 => pair().prop_map(|(a, b)| Op::Mend(a, b)),
        2 => (pair(), 50..600_u64).prop_map(|((a, b), ms)| Op::Flap(a, b, ms)),
        1 => (1..NODES).prop_map(Op::Kill),
        2 => (1..NODES).prop_map(Op::Restart),
        2 => (1..NODES, 0..=10_u8, 0..1500_u64).prop_map(|(node, loses, late)| Op::Gray(node, loses, late)),
        1 => (1..NODES).prop_map(Op::Heal),
        1 => (PICTURE..=VOICE, any::<bool>()).prop_map(|(track, muted)| Op::Mute(track, muted)),
        1 => (1..NODES, any::<bool>()).prop_map(|(node, wanted)| Op::Want(node, wanted)),
        6 => (1..2_000_u64).prop_map(Op::Run),
    ]
}

fn apply(mesh: &mut Mesh, op: &Op) {
    let lives = |mesh: &Mesh, node: usize| mesh.nodes[node].is_some();
    match *op {
        Op::Cut(a, b) if lives(mesh, a) && lives(mesh, b) => mesh.cut(a, b),
        Op::Mend(a, b) => mesh.mend(a, b),
        Op::Flap(a, b, ms) if lives(mesh, a) && lives(mesh, b) => {
            mesh.cut(a, b);
            mesh.cut(b, a);
            mesh.run_for(ms as u32 * MS);
            mesh.mend(a, b);
            mesh.mend(b, a);
        }
        Op::Kill(node) if lives(mesh, node) => mesh.kill(node),
        Op::Restart(node) if !lives(mesh, node) => mesh.restart(node),
        Op::Gray(node, loses, late_ms) => {
            let late = Duration::from_millis(late_ms);
            mesh.gray.insert(node, Gray { loses: f64::from(loses) / 10.0, late, towards: None });
        }
        Op::Heal(node) => drop(mesh.gray.remove(&node)),
        Op::Mute(track, muted) => mesh.mute(0, track, muted),
        Op::Want(node, wanted) if lives(mesh, node) => {
            [PICTURE, VOICE].into_iter().for_each(|track| mesh.want(node, track, wanted));
        }
        Op::Run(ms) => mesh.run_for(Duration::from_millis(ms)),
        _ => {}
    }
    for node in mesh.living() {
        for branch in mesh.node(node).cascade.branches() {
            let distinct: BTreeSet<&NodeId> = branch.path.iter().collect();
            assert_eq!(distinct.len(), branch.path.len(), "no path passes a node twice");
        }
    }
}

fn storm(seed: u64, ops: &[Op]) {
    let mut mesh = Mesh::at_random(NODES, seed);
    mesh.publish(0, "ada", &[(PICTURE, MediaKind::Video), (VOICE, MediaKind::Audio)]);
    mesh.run_for(SECOND);
    (1..NODES).for_each(|node| apply(&mut mesh, &Op::Want(node, true)));
    mesh.run_for(3 * SECOND);
    ops.iter().for_each(|op| apply(&mut mesh, op));
    mesh.gray.clear();
    (1..NODES).for_each(|node| apply(&mut mesh, &Op::Restart(node)));
    for (a, b) in (0..NODES).flat_map(|a| (0..NODES).map(move |b| (a, b))).filter(|(a, b)| a != b) {
        mesh.mend(a, b);
    }
    mesh.run_for(SECOND);
    for track in [PICTURE, VOICE] {
        mesh.mute(0, track, false);
        (1..NODES).for_each(|node| mesh.want(node, track, true));
    }
    mesh.run_for(HEALS);
    for node in 1..NODES {
        for track in [PICTURE, VOICE] {
            let gap = mesh.viewer(node, track).gap(mesh.now() - 2 * SECOND, mesh.now());
            assert!(gap < 300 * MS, "{node} has not had track {track} for {gap:?}");
        }
        let counters = mesh.node(node).cascade.counters();
        assert_eq!((counters.malformed_message, counters.unknown_message), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_everybody_is_fed_again_soon_after(seed in any::<u64>(), ops in prop::collection::vec(op(), 1..25)) {
        storm(seed, &ops);
    }
}
