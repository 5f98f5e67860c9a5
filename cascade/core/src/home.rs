//! Which nodes keep track of where a room lives: the two that rendezvous hashing ranks highest.
//!
//! Every node computes this from its own view of the living nodes; equal views give equal homes, and one node coming
//! or going moves only the rooms of that node. All nodes must use the same hash: `docs/wire.md`, section 4.

use std::collections::BTreeSet;

use origo_auth::{NodeId, RoomKey};

use crate::Node;

/// A primary and a backup.
pub const HOMES: usize = 2;

/// The homes of `room` among `nodes`, the primary first; fewer when there are fewer nodes.
pub fn homes_of<'a>(room: &RoomKey, nodes: impl IntoIterator<Item = &'a NodeId>) -> Vec<NodeId> {
    let mut best: Vec<(u64, NodeId)> = Vec::with_capacity(HOMES + 1);
    for node in nodes {
        let ranked = (score(room, node), *node);
        let place = best.partition_point(|other| *other > ranked);
        best.insert(place, ranked);
        best.truncate(HOMES);
    }
    best.into_iter().map(|(_, node)| node).collect()
}

/// The nodes of which homes are chosen: those that do not drain, since those hand their rooms over while they can still
/// answer; all when every one drains.
pub fn settled(nodes: &[Node]) -> BTreeSet<NodeId> {
    let all = || nodes.iter().map(|node| node.id);
    let settled: BTreeSet<NodeId> = nodes.iter().filter(|node| !node.draining).map(|node| node.id).collect();
    if settled.is_empty() { all().collect() } else { settled }
}

/// FNV-1a over `project 0 name 0 node`, then the finaliser of splitmix64, because FNV alone leaves the high bits of
/// short inputs alike.
fn score(room: &RoomKey, node: &NodeId) -> u64 {
    hash(room.project.0.bytes().chain([0]).chain(room.name.bytes()).chain([0]).chain(node.0))
}

/// The same over any bytes: spreads choices that all nodes, or all rooms, are to make apart from each other.
pub(crate) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: u8) -> Vec<NodeId> {
        (0..count).map(|byte| NodeId([byte; 16])).collect()
    }

    fn room(number: usize) -> RoomKey {
        RoomKey::new("default", format!("room {number}"))
    }

    #[test]
    fn a_room_has_two_homes_or_as_many_as_there_are_nodes() {
        assert_eq!(homes_of(&room(0), &nodes(0)), []);
        assert_eq!(homes_of(&room(0), &nodes(1)).len(), 1);
        assert_eq!(homes_of(&room(0), &nodes(9)).len(), 2);
    }

    #[test]
    fn the_order_in_which_nodes_are_listed_does_not_matter() {
        let (forth, mut back) = (nodes(9), nodes(9));
        back.reverse();
        assert!((0..100).all(|number| homes_of(&room(number), &forth) == homes_of(&room(number), &back)));
    }

    #[test]
    fn rooms_spread_evenly_and_a_lost_node_moves_only_its_own() {
        let all = nodes(10);
        let mut of_node = [0; 10];
        for number in 0..10_000 {
            let homes = homes_of(&room(number), &all);
            of_node[usize::from(homes[0].0[0])] += 1;
            let without_last = homes_of(&room(number), &all[..9]);
            if !homes.contains(&all[9]) {
                assert_eq!(without_last, homes);
            } else if homes[0] == all[9] {
                assert_eq!(without_last[0], homes[1], "the backup takes over");
            }
        }
        assert!(of_node.iter().all(|count| (850..1150).contains(count)), "{of_node:?}");
    }
}
