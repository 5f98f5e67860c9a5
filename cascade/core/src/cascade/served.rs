//! What this node gives to others: layers of its own tracks, and layers of others that it relays.

use std::collections::BTreeMap;
use std::time::Instant;

use origo_auth::{NodeId, RoomKey};

use crate::link::Flow;
use crate::{MediaKind, TrackLayer};

/// A layer that we give.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Served {
    pub(super) room: RoomKey,
    /// Where it is published; this node for its own.
    pub(super) origin: NodeId,
    pub(super) layer: TrackLayer,
    pub(super) kind: MediaKind,
    pub(super) in_stream: bool,
    /// What the subscriber's own viewers take, bits per second.
    pub(super) rate_bps: u64,
    /// Another node sends it to the subscriber too: this is for when that one fails.
    pub(super) second: bool,
    /// It has been told that the layer comes.
    pub(super) granted: bool,
    /// It lacks what came here since then, and has not been sent it.
    pub(super) missing_since: Option<Instant>,
    /// When it was last sent what it lacked.
    pub(super) refilled_at: Option<Instant>,
}

/// By who gets it and under which number.
#[derive(Debug, Default)]
pub(super) struct ServedTable {
    by_flow: BTreeMap<(NodeId, Flow), Served>,
    flows: BTreeMap<(TrackLayer, NodeId), Flow>,
    counts: BTreeMap<NodeId, usize>,
}

impl ServedTable {
    pub(super) fn get(&self, to: NodeId, flow: Flow) -> Option<&Served> {
        self.by_flow.get(&(to, flow))
    }

    pub(super) fn get_mut(&mut self, to: NodeId, flow: Flow) -> Option<&mut Served> {
        self.by_flow.get_mut(&(to, flow))
    }

    /// Under which number a peer gets a layer.
    pub(super) fn flow_of(&self, layer: TrackLayer, to: NodeId) -> Option<Flow> {
        self.flows.get(&(layer, to)).copied()
    }

    /// How many layers a peer gets.
    pub(super) fn count_of(&self, to: NodeId) -> usize {
        self.counts.get(&to).copied().unwrap_or(0)
    }

    /// Who gets a layer.
    pub(super) fn takers(&self, layer: TrackLayer) -> impl Iterator<Item = (NodeId, Flow)> + '_ {
        let (first, last) = ((layer, NodeId([0; 16])), (layer, NodeId([u8::MAX; 16])));
        self.flows.range(first..=last).map(|((_, to), flow)| (*to, *flow))
    }

    /// What `is_meant` says, by peer and number.
    pub(super) fn find(&self, is_meant: impl Fn(&NodeId, &Served) -> bool) -> Vec<(NodeId, Flow)> {
        let found = self.by_flow.iter().filter(|((to, _), served)| is_meant(to, served));
        found.map(|(key, _)| *key).collect()
    }

    /// What a peer gets.
    pub(super) fn of_peer(&self, to: NodeId) -> impl Iterator<Item = (Flow, &Served)> + '_ {
        self.by_flow.range((to, Flow(0))..=(to, Flow(u32::MAX))).map(|((_, flow), served)| (*flow, served))
    }

    /// The number and the (layer, peer) must be free.
    pub(super) fn insert(&mut self, to: NodeId, flow: Flow, served: Served) {
        self.flows.insert((served.layer, to), flow);
        *self.counts.entry(to).or_default() += 1;
        self.by_flow.insert((to, flow), served);
    }

    pub(super) fn remove(&mut self, to: NodeId, flow: Flow) -> Option<Served> {
        let served = self.by_flow.remove(&(to, flow))?;
        self.flows.remove(&(served.layer, to));
        if let Some(count) = self.counts.get_mut(&to) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&to);
            }
        }
        Some(served)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_flow.is_empty()
    }
}
