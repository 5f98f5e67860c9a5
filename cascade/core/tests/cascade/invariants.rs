//! What holds at every instant, whatever happens.

use std::collections::BTreeSet;

use origo_auth::NodeId;

use crate::world::{World, id};

/// Nodes on the longest path: what `branch.rs` allows, and the node itself.
const PATH_NODES_MAX: usize = 9;

/// One copy of a layer per link, two parents at most and those only while one replaces the other, no loops, short
/// paths.
pub fn check(world: &World) {
    for ((from, to, layer), copies) in world.media.copies() {
        assert_eq!(copies, 1, "{layer:?} from {from} to {to} at {:?}", world.elapsed());
    }
    for ((node, layer), parents) in world.media.receivers() {
        assert!(parents <= 2, "{node} takes {layer:?} from {parents} nodes at {:?}", world.elapsed());
    }
    for node in world.living() {
        for branch in world.node(node).branches() {
            assert!(branch.path.len() <= PATH_NODES_MAX, "{:?}", branch.path);
            let distinct: BTreeSet<&NodeId> = branch.path.iter().collect();
            assert_eq!(distinct.len(), branch.path.len(), "no path passes a node twice");
            for (layer, from) in &branch.taken {
                assert_no_loop(world, node, *layer, *from);
            }
        }
    }
}

fn assert_no_loop(world: &World, node: usize, layer: origo_cascade_core::TrackLayer, from: NodeId) {
    let mut passed = vec![id(node)];
    let mut at = from;
    loop {
        assert!(!passed.contains(&at), "{layer:?} goes in a circle over {passed:?} at {:?}", world.elapsed());
        passed.push(at);
        let place = at.0[0] as usize - 1;
        if !world.living().contains(&place) {
            return;
        }
        let branches = world.node(place).branches();
        match branches.iter().find_map(|branch| branch.taken.get(&layer)) {
            Some(from) => at = *from,
            None => return,
        }
    }
}
