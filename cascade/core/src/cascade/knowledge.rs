//! What gossip tells of nodes and links, as far as trees hang on it.

use std::time::Duration;

use origo_auth::NodeId;

use super::machine::Cascade;
use super::timers::Timer;
use crate::Node;
use crate::metric::LinkMetric;

/// After news of links or load, trees are looked at this much later: news come in bursts.
const OPTIMISE_WAITS: Duration = Duration::from_secs(1);
/// A round trip that changes by less than this share and span is no news.
const RTT_SHARE: f64 = 0.1;
const RTT_SPAN: Duration = Duration::from_millis(2);
/// The same for jitter and queues.
const QUEUE_SPAN: Duration = Duration::from_millis(5);
/// The same for loss before repair.
const LOSS_SHARE: f32 = 0.002;
/// The same for the room left on a link.
const FREE_SHARE: f64 = 0.2;
/// The same for a node's load.
const LOAD_SHARE: f64 = 0.1;

impl Cascade {
    /// The living nodes: trees change at once with nodes that go, drain or do not relay any more, and soon with those that
    /// come or have room again.
    pub(super) fn learn_nodes(&mut self, nodes: &[Node]) {
        let before: Vec<Node> = self.map.nodes().cloned().collect();
        self.map.set_nodes(nodes);
        let mut leaving = Vec::new();
        for old in &before {
            match self.map.node(old.id) {
                Some(new) if new.relays() == old.relays() && new.country == old.country => {}
                _ => leaving.push(old.id),
            }
        }
        let is_news = |new: &Node| match before.iter().find(|old| old.id == new.id) {
            Some(old) => (new.load - old.load).abs() >= LOAD_SHARE || new.takes_sessions() != old.takes_sessions(),
            None => true,
        };
        if self.map.nodes().any(is_news) {
            self.optimise_soon();
        }
        if !leaving.is_empty() {
            self.trees_lose_the_dead();
            self.plan_trees(|nodes| leaving.iter().any(|node| nodes.contains(node)));
        }
    }

    /// What a node measured of its links.
    pub(super) fn handle_metrics(&mut self, node: NodeId, links: &[(NodeId, LinkMetric)]) {
        let is_news = links.iter().any(|(peer, new)| match self.map.metric(node, *peer) {
            Some(old) => differs(old, new),
            None => true,
        });
        self.map.set_metrics(node, links);
        if is_news {
            self.optimise_soon();
        }
    }

    pub(super) fn optimise_soon(&mut self) {
        if self.subscriptions.trees.is_empty() || self.optimise_at.is_some() {
            return;
        }
        let at = self.now + OPTIMISE_WAITS;
        self.optimise_at = Some(at);
        self.timers.set(at, Timer::Optimise);
    }

    /// A child says that it cannot take from a parent: plans do without the pair for a while, longer each time. The parent
    /// may be this node itself, which sees no more than its own end of the link.
    pub(super) fn distrust_pair(&mut self, child: NodeId, parent: NodeId) {
        if child != self.me && !self.map.is_down(child, parent) {
            let until = self.patience.fail(self.now, parent, child);
            self.set_ways(parent, child);
            self.timers.set(until, Timer::Trust(parent, child));
        }
    }

    /// Trees may be better with what is known now; the policy knows when a gain is worth a move.
    pub(super) fn optimise(&mut self) {
        if self.optimise_at.is_some_and(|at| at <= self.now) {
            self.optimise_at = None;
            self.plan_trees(|_| true);
        }
    }
}

fn differs(old: &LinkMetric, new: &LinkMetric) -> bool {
    let rtt = old.rtt.abs_diff(new.rtt);
    let free = old.free_bps.abs_diff(new.free_bps) as f64;
    rtt > RTT_SPAN && rtt.as_secs_f64() > RTT_SHARE * old.rtt.as_secs_f64()
        || old.jitter.abs_diff(new.jitter) > QUEUE_SPAN
        || old.queue.abs_diff(new.queue) > QUEUE_SPAN
        || (old.loss - new.loss).abs() > LOSS_SHARE
        || free > FREE_SHARE * old.free_bps as f64
}
