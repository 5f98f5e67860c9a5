//! What nodes learn of each other by gossip: who is there at the beginning, and what links are like.

use std::sync::Arc;
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::metric::{LINKS_TOLD_MAX, LinkMetric, pack, unpack};
use origo_cascade_core::{Input, link, links};
use rand::Rng;

use super::event::{Event, News};
use super::{SETTLES, World, ms};
use crate::dice::dice;

/// How often a node looks whether its links have changed, ns.
const LOOKS_EVERY: u64 = 1_000_000_000;
/// It tells no more often than this, ns.
const TELLS_EVERY: u64 = 5_000_000_000;
/// A share by which a round trip has to change to be told, and the least change.
const CHANGE: f64 = 0.1;
const CHANGE_LEAST: Duration = Duration::from_millis(2);
/// Change of a share of lost packets that is told.
const LOSS_CHANGE: f32 = 0.002;

impl World<'_> {
    /// Everybody is linked with everybody and knows who is there; then the scenario's people and changes come.
    pub(super) fn begin(&mut self) {
        let count = self.nodes.len();
        let told: Vec<origo_cascade_core::Node> = self.nodes.iter().map(|node| node.told.clone()).collect();
        for node in 0..count {
            self.nodes[node].sent = vec![Default::default(); count];
            self.cascade(node, Input::Members(told.clone()));
        }
        for node in 0..count {
            for peer in (0..count).filter(|peer| *peer != node) {
                self.connect(node, peer);
            }
        }
        for node in 0..count {
            let phase = dice(self.scenario.seed, self.name(node)).random_range(0..LOOKS_EVERY);
            self.push(LOOKS_EVERY / 2 + phase, Event::Tell(node as u32));
        }
        let settles = SETTLES.as_nanos() as u64;
        for (number, change) in self.scenario.changes.iter().enumerate() {
            let at = settles + change.at.as_nanos() as u64;
            self.push(at, Event::Change(number as u32));
        }
        self.invite();
        self.push(settles, Event::Tick);
        self.begin_faults();
        self.settle();
    }

    /// Both ends of a connection are up for one node.
    pub(super) fn connect(&mut self, node: usize, peer: usize) {
        let count = self.nodes.len();
        let (out, back) = (&self.paths[node * count + peer], &self.paths[peer * count + node]);
        let input = link::Input::Up {
            rtt: Duration::from_nanos(out.delay() + back.delay()),
            rate_bps: out.line().configured_bps,
        };
        let peer = self.nodes[peer].id;
        self.cascade(node, Input::LinkUp(peer));
        self.links(node, links::Input::Link { peer, input });
    }

    pub(super) fn tell_metrics(&mut self, node: usize) {
        self.push(self.now + LOOKS_EVERY, Event::Tell(node as u32));
        if !self.faults.runs(node) {
            return;
        }
        let links = self.metrics_of(node);
        let told = &self.nodes[node].told_links;
        let rests = !told.is_empty() && self.now < self.nodes[node].told_at + TELLS_EVERY;
        if rests || !has_changed(told, &links) {
            return;
        }
        (self.nodes[node].told_links, self.nodes[node].told_at) = (links.clone(), self.now);
        let (of, links) = (self.nodes[node].id, Arc::new(links));
        for to in 0..self.nodes.len() {
            let delay = self.ways.best(node, to);
            let late = if to == node { 0 } else { self.gossip.late(delay) };
            if to != node {
                self.measure("gossip_ms", ms(late));
            }
            self.push(self.now + late, Event::Hear(Box::new(News { to, of, links: links.clone() })));
        }
    }

    /// A node's links as they come out of a gossip value, those with the most traffic first.
    fn metrics_of(&self, node: usize) -> Vec<(NodeId, LinkMetric)> {
        let node = &self.nodes[node];
        let mut links: Vec<(u64, NodeId, LinkMetric)> = Vec::new();
        for peer in node.links.peers() {
            let Some(metric) = node.links.metric(peer) else { continue };
            let bytes = node.links.stats(peer).map_or(0, |stats| stats.bytes[0].iter().chain(&stats.bytes[1]).sum());
            links.push((bytes, peer, metric));
        }
        links.sort_by_key(|(bytes, peer, _)| (std::cmp::Reverse(*bytes), *peer));
        links.truncate(LINKS_TOLD_MAX);
        let mut links: Vec<(NodeId, LinkMetric)> = links.into_iter().map(|(_, peer, metric)| (peer, metric)).collect();
        links.sort_by_key(|(peer, _)| *peer);
        unpack(&pack(&links))
    }

    pub(super) fn hear_metrics(&mut self, news: News) {
        if !self.knows(news.to, &news.of) {
            return;
        }
        let links = news.links.as_ref().clone();
        self.cascade(news.to, Input::Metrics { node: news.of, links });
    }
}

fn has_changed(told: &[(NodeId, LinkMetric)], links: &[(NodeId, LinkMetric)]) -> bool {
    let differs = |((peer, old), (other, new)): (&(NodeId, LinkMetric), &(NodeId, LinkMetric))| {
        let far = |old: Duration, new: Duration| {
            let apart = old.abs_diff(new);
            apart > CHANGE_LEAST && apart > old.mul_f64(CHANGE)
        };
        peer != other
            || far(old.rtt, new.rtt)
            || far(old.jitter, new.jitter)
            || far(old.queue, new.queue)
            || (old.loss - new.loss).abs() > LOSS_CHANGE
            || (old.free_bps as f64 / new.free_bps.max(1) as f64 - 1.0).abs() > CHANGE
    };
    told.len() != links.len() || told.iter().zip(links).any(differs)
}
