//! Trees as they stand: who takes from whom, in each room, of what each node publishes.

use std::collections::BTreeMap;

/// All trees.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// By (room, origin).
    pub(super) trees: BTreeMap<(usize, usize), Tree>,
}

/// One tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// By child: parents with the number of layers on the edge, and the parent that fed it last.
    pub(super) nodes: BTreeMap<usize, Place>,
    /// When an edge last came or went.
    pub(super) changed_at: u64,
}

/// A node in a tree.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) parents: BTreeMap<usize, u64>,
    /// Who feeds it, once there is but one.
    pub(super) settled: Option<usize>,
    pub(super) moves: u64,
    pub(super) since: u64,
}

impl Trees {
    /// A layer begins to go from one node to another.
    pub(super) fn gain(&mut self, tree: (usize, usize), from: usize, to: usize, now: u64) {
        let tree = self.trees.entry(tree).or_default();
        let place = tree.nodes.entry(to).or_insert_with(|| Place { since: now, ..Place::default() });
        let layers = place.parents.entry(from).or_default();
        if *layers == 0 {
            tree.changed_at = now;
        }
        *layers += 1;
        if place.parents.len() == 1 && place.settled.is_none() {
            place.settled = Some(from);
        }
    }

    /// A layer ends. Whether the node has moved to another parent by that.
    pub(super) fn lose(&mut self, tree: (usize, usize), from: usize, to: usize, now: u64) -> bool {
        let Some(tree) = self.trees.get_mut(&tree) else { return false };
        let Some(place) = tree.nodes.get_mut(&to) else { return false };
        if let Some(layers) = place.parents.get_mut(&from) {
            *layers -= 1;
            if *layers == 0 {
                place.parents.remove(&from);
                tree.changed_at = now;
            }
        }
        if place.parents.is_empty() {
            tree.nodes.remove(&to);
            return false;
        }
        match place.parents.first_key_value() {
            Some((parent, _)) if place.parents.len() == 1 && place.settled != Some(*parent) => {
                let moved = place.settled.is_some();
                (place.settled, place.moves) = (Some(*parent), place.moves + u64::from(moved));
                moved
            }
            _ => false,
        }
    }
}

impl Tree {
    /// From a node up to the origin, both included; `None` while the way is broken or goes in circles.
    pub(super) fn way_up(&self, origin: usize, node: usize) -> Option<Vec<usize>> {
        let mut way = vec![node];
        let mut at = node;
        while at != origin {
            let place = self.nodes.get(&at)?;
            at = place
                .settled
                .filter(|parent| place.parents.contains_key(parent))
                .or_else(|| place.parents.keys().next().copied())?;
            if way.contains(&at) {
                return None;
            }
            way.push(at);
        }
        Some(way)
    }

    /// How many children each parent has.
    pub(super) fn degrees(&self) -> BTreeMap<usize, usize> {
        let mut degrees = BTreeMap::new();
        let parents = self.nodes.values().flat_map(|place| place.parents.keys());
        parents.for_each(|parent| *degrees.entry(*parent).or_default() += 1);
        degrees
    }
}
