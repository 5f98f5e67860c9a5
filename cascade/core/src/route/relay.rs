//! How a track's media gets from the node of its publisher to the other nodes of a room: policies that draw a tree.
//!
//! One tree per (room, origin), drawn by the origin alone, since it knows all who take its layers. A policy is pure:
//! equal problems give equal plans.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use origo_auth::{NodeId, RoomKey};

use super::map::Map;

/// What a policy is asked.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// The room; only hashed, to break ties apart from room to room.
    pub room: &'a RoomKey,
    /// The node whose publishers' tracks are to be carried.
    pub origin: NodeId,
    /// Who takes them, with the bits per second that each takes (itself, without those behind it).
    pub members: &'a BTreeMap<NodeId, u64>,
    /// All nodes where the room lives: what `star` picks its hub from.
    pub room_nodes: &'a BTreeSet<NodeId>,
    /// The mesh as gossip tells it.
    pub map: &'a Map,
    /// Countries (ISO 3166-1 alpha-2) that media may touch, relays included; empty for all.
    pub countries: &'a [String],
    /// The plan in force; empty at first.
    pub before: &'a Plan,
    /// When each member's parent last changed.
    pub moved: &'a BTreeMap<NodeId, Instant>,
    /// Now.
    pub now: Instant,
}

/// A tree: who takes from whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// By child. Relays without viewers of their own are children too. A member that may not be reached (residency) is
    /// in `refused` instead.
    pub edges: BTreeMap<NodeId, Edge>,
    /// Members that media may not touch, with a sentence why.
    pub refused: BTreeMap<NodeId, String>,
}

/// One node's place in a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Who feeds it.
    pub parent: NodeId,
    /// Who would if the parent died: not below the child, and its path shares no relay with the parent's.
    pub backup: Option<NodeId>,
    /// From the origin to the parent, both included.
    pub path: Vec<NodeId>,
    /// Expected one-way delay from the origin.
    pub delay: Duration,
    /// Why this parent, for people: `3.1 ms longer than straight, saves an ocean crossing`.
    pub why: String,
}

/// A way to draw trees. Policies live in files of their own: `tree` (the default), `direct`, `star`, `mesh`.
pub trait RelayPolicy: fmt::Debug + Send + Sync {
    /// Its name in configurations and scenarios.
    fn name(&self) -> &'static str;

    /// Draws a tree. Every member is in `edges` or in `refused`; paths are free of loops and end at the origin.
    fn plan(&self, problem: &Problem<'_>) -> Plan;

    /// How long it leaves a node where it is after that moved: what it would do about such a node is drawn only then.
    fn rests(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether every node of a room takes every layer, watched or not (what relays of other conference servers do).
    fn carries_unwatched(&self) -> bool {
        false
    }
}

/// Names of all policies, the default first.
pub const RELAY_POLICIES: [&str; 4] = ["tree", "direct", "star", "mesh"];
