//! The mesh as gossip tells it: where nodes are, and what the links between them are like.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use origo_auth::NodeId;

use super::Place;
use crate::Node;
use crate::metric::LinkMetric;

/// Light in fibre, and how much longer a real path is than the great circle: median of 54 cloud regions (see
/// `simulations/data`).
const KM_PER_MS: f64 = 200.0;
const PATH_STRETCH: f64 = 1.83;
/// What an unmeasured path costs at least, milliseconds one way.
const LEAST_MS: f64 = 0.25;

/// What a way without a link counts as.
const NO_LINK_DELAY: Duration = Duration::from_secs(60);

/// What a link costs, by how far it goes; units are arbitrary, only their ratios count.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// Within a region.
    pub region: f64,
    /// Between regions of one continent.
    pub continent: f64,
    /// Between continents.
    pub ocean: f64,
    /// Links with a price of their own, by (from, to) region name.
    pub links: BTreeMap<(String, String), f64>,
}

impl Default for Prices {
    fn default() -> Self {
        Self { region: 0.0, continent: 1.0, ocean: 4.0, links: BTreeMap::new() }
    }
}

impl Prices {
    /// What a bit costs from `a` to `b`.
    pub fn between(&self, a: &Node, b: &Node) -> f64 {
        let own = || self.links.get(&(a.region.clone(), b.region.clone())).copied();
        // Most meshes name no link; this is asked for each pair of a plan.
        let own = if self.links.is_empty() { None } else { own() };
        own.unwrap_or(if a.region == b.region {
            self.region
        } else if a.continent == b.continent {
            self.continent
        } else {
            self.ocean
        })
    }
}

/// The directed way from one node to another, as a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Way {
    /// One-way delay, 95th percentile: half the round trip and twice the jitter.
    pub delay: Duration,
    /// Round trip.
    pub rtt: Duration,
    /// Share of packets lost before repair, 0 to 1.
    pub loss: f64,
    /// Bits per second that may be added; `u64::MAX` when unknown.
    pub free_bps: u64,
    /// Price of a bit.
    pub price: f64,
}

/// Living nodes and measured links. Where nothing is measured the distance tells.
#[derive(Clone, Debug, Default)]
pub struct Map {
    nodes: BTreeMap<NodeId, Node>,
    /// By (who measured, of which peer).
    metrics: BTreeMap<(NodeId, NodeId), LinkMetric>,
    /// Pairs that have no link, the smaller node first.
    down: BTreeSet<(NodeId, NodeId)>,
    /// Nodes that are not to feed others.
    held_off: BTreeSet<NodeId>,
    prices: Prices,
}

impl Map {
    /// A map with these prices that knows nobody.
    pub fn new(prices: Prices) -> Self {
        Self { prices, ..Self::default() }
    }

    /// Sets the living nodes; what the gone ones measured is forgotten.
    pub fn set_nodes(&mut self, nodes: &[Node]) {
        self.nodes = nodes.iter().map(|node| (node.id, node.clone())).collect();
        let nodes = &self.nodes;
        self.metrics.retain(|(by, of), _| nodes.contains_key(by) && nodes.contains_key(of));
        self.down.retain(|(a, b)| nodes.contains_key(a) && nodes.contains_key(b));
        self.held_off.retain(|node| nodes.contains_key(node));
    }

    /// Says that there is no link between two nodes, though both live, or that there is one again. Where nothing was
    /// said there is one.
    pub fn set_down(&mut self, a: NodeId, b: NodeId, down: bool) {
        let pair = (a.min(b), a.max(b));
        if down {
            self.down.insert(pair);
        } else {
            self.down.remove(&pair);
        }
    }

    /// Whether there is no link between two nodes.
    pub fn is_down(&self, a: NodeId, b: NodeId) -> bool {
        self.down.contains(&(a.min(b), a.max(b)))
    }

    /// Says that a node does not pass on what it should, or that it may be tried again.
    pub fn set_held_off(&mut self, node: NodeId, held_off: bool) {
        if held_off {
            self.held_off.insert(node);
        } else {
            self.held_off.remove(&node);
        }
    }

    /// Whether a node is not to feed others.
    pub fn is_held_off(&self, node: NodeId) -> bool {
        self.held_off.contains(&node)
    }

    /// Sets all that `by` tells of its links.
    pub fn set_metrics(&mut self, by: NodeId, links: &[(NodeId, LinkMetric)]) {
        self.metrics.retain(|(other, _), _| *other != by);
        self.metrics.extend(links.iter().filter(|(of, _)| *of != by).map(|(of, metric)| ((by, *of), *metric)));
    }

    /// What links cost.
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// What one node measured of its link to another.
    pub fn metric(&self, by: NodeId, of: NodeId) -> Option<&LinkMetric> {
        self.metrics.get(&(by, of))
    }

    /// All that one node measured of its links, by peer.
    pub fn metrics_of(&self, by: NodeId) -> impl Iterator<Item = (NodeId, &LinkMetric)> {
        let (least, most) = (NodeId([0; 16]), NodeId([u8::MAX; 16]));
        self.metrics.range((by, least)..=(by, most)).map(|((_, of), metric)| (*of, metric))
    }

    /// The living nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A living node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The way from one living node to another. Where there is no link it takes a minute and has no room, so that a
    /// plan uses it only where there is nothing else.
    pub fn way(&self, from: NodeId, to: NodeId) -> Option<Way> {
        let (a, b) = (self.nodes.get(&from)?, self.nodes.get(&to)?);
        let is_down = !self.down.is_empty() && self.is_down(from, to);
        if is_down || !self.held_off.is_empty() && self.is_held_off(from) {
            let price = self.prices.between(a, b);
            return Some(Way { delay: NO_LINK_DELAY, rtt: 2 * NO_LINK_DELAY, loss: 0.0, free_bps: 0, price });
        }
        // Loss and jitter are the receiver's to tell, room and queue the sender's.
        let (sent, received) = (self.metrics.get(&(from, to)), self.metrics.get(&(to, from)));
        let rtt = received.or(sent).map_or_else(|| guessed_rtt(a, b), |metric| metric.rtt);
        let jitter = received.map_or(Duration::ZERO, |metric| metric.jitter);
        let queue = sent.map_or(Duration::ZERO, |metric| metric.queue);
        Some(Way {
            delay: rtt / 2 + 2 * jitter + queue,
            rtt,
            loss: received.map_or(0.0, |metric| f64::from(metric.loss)),
            free_bps: sent.map_or(u64::MAX, |metric| metric.free_bps),
            price: self.prices.between(a, b),
        })
    }
}

fn guessed_rtt(a: &Node, b: &Node) -> Duration {
    let place = |node: &Node| Place { latitude: node.latitude, longitude: node.longitude };
    let km = place(a).distance_km(place(b));
    let one_way_ms = if km.is_finite() { km / KM_PER_MS * PATH_STRETCH } else { 0.0 };
    Duration::from_secs_f64(2.0 * one_way_ms.max(LEAST_MS) / 1e3)
}
