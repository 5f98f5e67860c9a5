//! Which layers cross which links: a model of links without packets, for the forwarding tables that cascades give.

use std::collections::{BTreeMap, BTreeSet};

use origo_cascade_core::link::Flow;
use origo_cascade_core::{Forward, TrackLayer};

/// One flow: who receives it, from whom, and under which number.
pub type Crossing = (usize, usize, Flow);

/// The tables of all nodes.
#[derive(Default)]
pub struct Media {
    /// What a node is ready to receive, and whether its viewers take it.
    receives: BTreeMap<Crossing, (TrackLayer, bool)>,
    /// What a node sends, and whether it is published there.
    sends: BTreeMap<Crossing, (TrackLayer, bool)>,
    /// Crossings of which the receiver has had the first packet.
    told: BTreeSet<Crossing>,
    /// Publishers send nothing: they are muted.
    pub is_silent: bool,
}

impl Media {
    pub fn apply(&mut self, node: usize, forward: &Forward) {
        let of = |id: &origo_auth::NodeId| id.0[0] as usize - 1;
        match forward {
            Forward::Serve { layer, to, flow, .. } => {
                let old = self.sends.insert((of(to), node, *flow), (*layer, true));
                assert_eq!(old, None, "node {node} serves under a number in use");
            }
            Forward::Relay { layer, to, flow, .. } => {
                let old = self.sends.insert((of(to), node, *flow), (*layer, false));
                assert_eq!(old, None, "node {node} relays under a number in use");
            }
            Forward::StopServe { to, flow, .. } | Forward::StopRelay { to, flow, .. } => {
                assert!(self.sends.remove(&(of(to), node, *flow)).is_some(), "node {node} stops what it sends");
            }
            Forward::Refill { to, flow, .. } => {
                assert!(self.sends.contains_key(&(of(to), node, *flow)), "node {node} refills what it sends");
            }
            Forward::Receive { layer, from, flow, local, .. } => {
                let old = self.receives.insert((node, of(from), *flow), (*layer, *local));
                assert!(old.is_none_or(|(other, _)| other == *layer), "a number means one layer");
            }
            Forward::StopReceive { from, flow } => {
                let crossing = (node, of(from), *flow);
                assert!(self.receives.remove(&crossing).is_some(), "node {node} stops what it receives");
                self.told.remove(&crossing);
            }
        }
    }

    /// A node is gone with its tables.
    pub fn forget(&mut self, node: usize) {
        self.receives.retain(|(to, _, _), _| *to != node);
        self.sends.retain(|(_, from, _), _| *from != node);
        self.told.retain(|(to, _, _)| *to != node);
    }

    /// The crossings over which packets go now, publishers sending all the time.
    pub fn flowing(&self, is_linked: impl Fn(usize, usize) -> bool) -> BTreeSet<Crossing> {
        let ready = |(crossing, (layer, _)): &(&Crossing, &(TrackLayer, bool))| {
            let received = self.receives.get(crossing).is_some_and(|(other, _)| other == layer);
            received && is_linked(crossing.0, crossing.1)
        };
        let ready: Vec<_> = self.sends.iter().filter(ready).collect();
        let (mut has, mut flowing) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let before = flowing.len();
            for (crossing, (layer, own)) in &ready {
                let (to, from, _) = **crossing;
                if *own && !self.is_silent || has.contains(&(from, *layer)) {
                    has.insert((to, *layer));
                    flowing.insert(**crossing);
                }
            }
            if flowing.len() == before {
                return flowing;
            }
        }
    }

    /// Notes that the receiver hears of a crossing; says whether it is the first time.
    pub fn tell(&mut self, crossing: Crossing) -> bool {
        self.receives.contains_key(&crossing) && self.told.insert(crossing)
    }

    /// Whether the receiver has heard of a crossing.
    pub fn is_told(&self, crossing: Crossing) -> bool {
        self.told.contains(&crossing)
    }

    /// Copies of each layer on each link, by (from, to).
    pub fn copies(&self) -> BTreeMap<(usize, usize, TrackLayer), usize> {
        let mut copies = BTreeMap::new();
        for ((to, from, _), (layer, _)) in &self.sends {
            *copies.entry((*from, *to, *layer)).or_default() += 1;
        }
        copies
    }

    /// What one node sends and another is ready to receive, as (from, to, layer).
    pub fn crossings(&self) -> BTreeSet<(usize, usize, TrackLayer)> {
        let received = self
            .sends
            .iter()
            .filter(|(crossing, (layer, _))| self.receives.get(crossing).is_some_and(|(other, _)| other == layer));
        received.map(|((to, from, _), (layer, _))| (*from, *to, *layer)).collect()
    }

    /// From whom a node is ready to receive a layer.
    pub fn parents(&self, node: usize, layer: TrackLayer) -> Vec<usize> {
        let of = self.receives.iter().filter(|((to, _, _), (other, _))| *to == node && *other == layer);
        of.map(|((_, from, _), _)| *from).collect()
    }

    /// The layers that a node is ready to receive, with the most senders of one.
    pub fn receivers(&self) -> BTreeMap<(usize, TrackLayer), usize> {
        let mut receivers = BTreeMap::new();
        for ((to, _, _), (layer, _)) in &self.receives {
            *receivers.entry((*to, *layer)).or_default() += 1;
        }
        receivers
    }

    /// Whether a node's viewers get a layer over these crossings.
    pub fn is_watched(&self, node: usize, layer: TrackLayer, flowing: &BTreeSet<Crossing>) -> bool {
        let mut of_node = flowing.iter().filter(|(to, _, _)| *to == node);
        of_node.any(|crossing| self.receives.get(crossing) == Some(&(layer, true)))
    }

    pub fn is_empty(&self) -> bool {
        self.receives.is_empty() && self.sends.is_empty()
    }
}
