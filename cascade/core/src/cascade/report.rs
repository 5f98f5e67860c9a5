//! What a node can tell of trees: its place in those of others, and the plans of its own.

use std::collections::BTreeMap;

use origo_auth::{NodeId, RoomKey};

use super::machine::Cascade;
use crate::TrackLayer;
use crate::route::{Edge, Map};

/// A node's place in the tree of one (room, origin).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchReport {
    /// The room.
    pub room: RoomKey,
    /// Where the tracks are published.
    pub origin: NodeId,
    /// The nodes that media passes, from the origin to this node, both included.
    pub path: Vec<NodeId>,
    /// Who feeds this node.
    pub parent: NodeId,
    /// Who is about to, while the parent changes.
    pub moving_to: Option<NodeId>,
    /// Who would if the parent failed.
    pub backup: Option<NodeId>,
    /// Of the origin's newest word that came here; 0 before the first.
    pub epoch: u64,
    /// Layers that come here, with who sends each now.
    pub taken: BTreeMap<TrackLayer, NodeId>,
    /// Of these the ones that viewers here take.
    pub watched: Vec<TrackLayer>,
    /// Layers that are passed on, by whom to.
    pub relayed: BTreeMap<NodeId, Vec<TrackLayer>>,
}

/// The tree of one room's own tracks, as this node, their origin, has planned it.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeReport {
    /// The room.
    pub room: RoomKey,
    /// This node.
    pub origin: NodeId,
    /// Of the plan in force; 0 before the first.
    pub epoch: u64,
    /// Who takes from whom, by child.
    pub edges: BTreeMap<NodeId, Edge>,
    /// Who may not be reached, with a sentence why.
    pub refused: BTreeMap<NodeId, String>,
    /// Layers that go straight from here, by whom to.
    pub served: BTreeMap<NodeId, Vec<TrackLayer>>,
}

impl Cascade {
    /// This node's places in other nodes' trees.
    pub fn branches(&self) -> Vec<BranchReport> {
        let branches = self.subscriptions.branches.iter();
        let taking = branches.filter(|(_, branch)| !branch.layers.is_empty());
        let report = |((room, origin), branch): (&(RoomKey, NodeId), &super::branch::Branch)| {
            let (mut taken, mut watched) = (BTreeMap::new(), Vec::new());
            let mut relayed: BTreeMap<NodeId, Vec<TrackLayer>> = BTreeMap::new();
            for layer in &branch.layers {
                let Some(intake) = self.subscriptions.intakes.get(layer) else { continue };
                taken.insert(*layer, intake.current.from);
                if intake.local {
                    watched.push(*layer);
                }
                for (to, _) in self.subscriptions.served.takers(*layer) {
                    relayed.entry(to).or_default().push(*layer);
                }
            }
            BranchReport {
                room: room.clone(),
                origin: *origin,
                path: branch.path.iter().copied().chain([self.me]).collect(),
                parent: branch.parent,
                moving_to: branch.target.as_ref().map(|target| target.to),
                backup: branch.planned.as_ref().and_then(|planned| planned.backup),
                epoch: branch.epoch,
                taken,
                watched,
                relayed,
            }
        };
        taking.map(report).collect()
    }

    /// What this node knows of the mesh: who lives, and what all tell of their links.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// The trees of this node's own tracks.
    pub fn trees(&self) -> Vec<TreeReport> {
        let served_of = |room: &RoomKey| {
            let mut by_node: BTreeMap<NodeId, Vec<TrackLayer>> = BTreeMap::new();
            for (to, flow) in
                self.subscriptions.served.find(|_, served| served.origin == self.me && served.room == *room)
            {
                let layer = self.subscriptions.served.get(to, flow).map(|served| served.layer);
                by_node.entry(to).or_default().extend(layer);
            }
            by_node
        };
        let report = |(room, tree): (&RoomKey, &super::tree::Tree)| TreeReport {
            room: room.clone(),
            origin: self.me,
            epoch: tree.epoch,
            edges: tree.plan.edges.clone(),
            refused: tree.plan.refused.clone(),
            served: served_of(room),
        };
        self.subscriptions.trees.iter().map(report).collect()
    }

    /// Whether nothing of other nodes' tracks is taken, given or planned any more.
    pub fn is_idle(&self) -> bool {
        let subscriptions = &self.subscriptions;
        subscriptions.intakes.is_empty()
            && subscriptions.layers_by_flow.is_empty()
            && subscriptions.served.is_empty()
            && subscriptions.branches.is_empty()
            && subscriptions.trees.is_empty()
    }
}
