//! What is looked at ten times a second, and once a second: gauges, and invariants that hang on time.

use std::time::Duration;

use origo_cascade_core::MediaKind;
use origo_cascade_core::links::Links;

use super::copies::key;
use super::event::Event;
use super::track::Copy;
use super::watch::Watch;
use super::{News, SETTLES, World, ms};
use crate::outcome::Second;

/// Ten times a second, ns.
const EVERY: u64 = 100_000_000;
const TICKS_PER_S: u64 = 10;
/// Nobody waits longer than this for a way to what they want, ns: asking an origin again and again takes less.
const WAITS_MAX: u64 = 5_000_000_000;
/// Bounds on trees hold for those that have not changed for this long, ns: at first everybody takes straight.
const TREE_SETTLES: u64 = 10_000_000_000;
/// A watch with fewer packets tells nothing.
const PACKETS_LEAST: u64 = 20;
/// Tables are empty this long after the last person has gone, ns.
const EMPTIES: u64 = 15_000_000_000;

/// Totals when the second began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    bytes: u64,
    lost: u64,
    repaired: u64,
    shed: [u64; 3],
}

impl Before {
    fn count(&mut self, links: &Links) {
        for peer in links.peers() {
            self.repaired += links.stats(peer).map_or(0, |stats| stats.packets[0][4]);
            let shed = links.dropped(peer).map_or([0; 3], |dropped| dropped.shed);
            (0..3).for_each(|class| self.shed[class] += shed[class]);
        }
    }
}

impl World<'_> {
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
        if self.is_warm() && self.cold_bytes.is_empty() {
            self.cold_bytes = self.paths.iter().map(|path| path.tally.bytes).collect();
        }
        self.push(self.now + EVERY, Event::Tick);
        self.follow_traces();
        self.look_at_queues();
        self.look_at_faults();
        for track in 0..self.tracks.len() {
            if self.tracks[track].alive {
                self.settle_track(track);
            }
        }
        if self.ticks > 1 && self.ticks % TICKS_PER_S == 1 {
            self.second_over();
        }
        let at = Duration::from_nanos(self.now.saturating_sub(SETTLES.as_nanos() as u64));
        let (of, events) = (Duration::from_nanos(self.end).saturating_sub(SETTLES), self.events);
        (self.listener)(News::Progress { at, of, events });
    }

    fn follow_traces(&mut self) {
        let since = self.now.saturating_sub(SETTLES.as_nanos() as u64);
        let mut changed = false;
        for path in self.traced.clone() {
            changed |= self.paths[path].follow_trace(since);
        }
        if changed {
            self.find_ways();
        }
    }

    fn look_at_queues(&mut self) {
        let count = self.nodes.len();
        for place in 0..self.paths.len() {
            if self.paths[place].line().rate_bps.is_none() {
                continue;
            }
            let queue = ms(self.paths[place].queue(self.now));
            self.measure("queue_ms", queue);
            if self.is_warm() {
                self.nodes[place / count].sent[place % count].queue.add(queue);
            }
        }
    }

    fn second_over(&mut self) {
        self.look_at_layers();
        self.look_at_trees();
        self.count_gossip();
        let totals = self.totals();
        let before = std::mem::replace(&mut self.before, totals);
        self.delays.sort_unstable_by(f32::total_cmp);
        let median = self.delays.get(self.delays.len() / 2).copied().unwrap_or(0.0);
        self.delays.clear();
        let mut second = std::mem::take(&mut self.second);
        second.one_way_ms = f64::from(median);
        second.link_bytes = totals.bytes - before.bytes;
        second.network_lost = totals.lost - before.lost;
        second.repaired = totals.repaired - before.repaired;
        for class in 0..3 {
            second.shed[class] = totals.shed[class] - before.shed[class];
        }
        second.copies = self.copies();
        self.measure_second(&second);
        self.seconds.push(second);
    }

    /// Gossip is modelled, and its bytes are too.
    fn count_gossip(&mut self) {
        let (count, bytes) = (self.nodes.len(), crate::gossip::bytes_per_s(self.nodes.len()));
        for place in 0..self.paths.len() {
            let (from, to) = (place / count, place % count);
            if from != to && self.is_connected(from, to) {
                self.paths[place].tally.bytes += bytes;
            }
        }
    }

    fn measure_second(&mut self, second: &Second) {
        let names = ["shed_audio", "shed_base", "shed_enhancement"];
        for (name, shed) in names.into_iter().zip(second.shed) {
            self.measure(name, shed as f64);
        }
    }

    fn copies(&self) -> u64 {
        let layers = self.tracks.iter().filter(|track| track.alive).flat_map(|track| &track.layers);
        layers.map(|layer| layer.copies.len() as u64).sum()
    }

    fn totals(&self) -> Before {
        let mut totals = self.retired;
        for path in &self.paths {
            totals.bytes += path.tally.bytes;
            totals.lost += path.tally.lost + path.tally.dropped;
        }
        for node in &self.nodes {
            totals.count(&node.links);
        }
        totals
    }

    /// What a node's links counted stays counted though it dies.
    pub(super) fn retire(&mut self, node: usize) {
        self.retired.count(&self.nodes[node].links);
    }

    /// Copies against straight ones, keyframe requests, and whether everybody is fed.
    fn look_at_layers(&mut self) {
        let count = self.nodes.len();
        let (mut copied, mut straight, mut leaving, mut demanded) = (0, 0, 0, 0);
        let (mut requests, mut watched, mut same) = (Vec::new(), Vec::new(), Vec::new());
        for (number, track) in self.tracks.iter_mut().enumerate().filter(|(_, track)| track.alive) {
            for (place, layer) in track.layers.iter_mut().enumerate() {
                // Voices that come twice on purpose are no part of the tree.
                let is_first =
                    |copy: &&Copy| !self.nodes[copy.to].cascade.is_second(self.nodes[copy.from].id, copy.flow);
                let first = || layer.copies.iter().filter(is_first);
                copied += first().map(|copy| self.paths[copy.from * count + copy.to].delay()).sum::<u64>();
                leaving += first().filter(|copy| copy.from == track.node).count();
                for copy in &layer.copies {
                    let of_link = layer.copies.iter().filter(|other| (other.from, other.to) == (copy.from, copy.to));
                    same.push(of_link.count() as f64);
                }
                for (node, watch) in layer.watches.iter() {
                    straight += self.paths[track.node * count + node].delay();
                    demanded += 1;
                    if !watch.reported {
                        watched.push((number, place, node));
                    }
                }
                if track.kind == MediaKind::Video && layer.active {
                    requests.push(f64::from(layer.requests));
                }
                layer.requests = 0;
            }
        }
        if demanded > 0 {
            self.measure("copy_ms", ms(copied));
            self.measure("source_egress_ratio", leaving as f64 / f64::from(demanded));
        }
        if straight > 0 {
            self.measure("copy_ms_ratio", copied as f64 / straight as f64);
        }
        same.into_iter().for_each(|same| self.measure("copies_per_link", same));
        requests.into_iter().for_each(|requests| self.measure("keyframe_requests_per_s", requests));
        watched.into_iter().for_each(|(track, layer, node)| self.check_fed(track, layer, node));
    }

    /// Whoever wants a layer has a way to it soon, unless the room's countries forbid. Nobody waits who has one: a way
    /// that is lost and found again within a moment is no wait since the layer was first wanted.
    fn check_fed(&mut self, track: usize, layer: usize, node: usize) {
        let (room, origin) = (self.tracks[track].room, self.tracks[track].node);
        let is_fed = self.is_fed(track, layer, origin, node);
        let (now, is_calm) = (self.now, self.is_calm());
        let may_be_fed = self.may_touch(room, node) && self.may_touch(room, origin);
        let calm_since = self.faults.calm_since();
        let Some(watch) = self.tracks[track].layers[layer].watches.get_mut(node) else { return };
        if is_fed {
            watch.fed_at = Some(now);
        }
        let waits_since = watch.fed_at.unwrap_or(watch.since).max(calm_since);
        if !is_calm || !may_be_fed || now <= waits_since + WAITS_MAX {
            return;
        }
        watch.reported = true;
        let (name, layer) = (self.name(node).to_owned(), self.layer_name(key(track as u32, layer as u8)));
        self.violate(format!("{name} has waited for {layer} for more than {:.0} ms", ms(WAITS_MAX)));
    }

    fn look_at_trees(&mut self) {
        let count = self.nodes.len();
        let policy = &self.scenario.policy;
        let (mut depths, mut stretches, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for ((room, origin), tree) in &self.trees.trees {
            let settled = self.now > tree.changed_at + TREE_SETTLES && self.is_calm();
            let settled = settled && policy.relay == "tree";
            for node in tree.nodes.keys() {
                let Some(way) = tree.way_up(*origin, *node) else { continue };
                let depth = way.len() - 1;
                let delay: u64 = way.windows(2).map(|link| self.paths[link[1] * count + link[0]].delay()).sum();
                depths.push(depth as f64);
                stretches.push(delay as f64 / self.ways.best(*origin, *node).max(1) as f64);
                if settled && depth > policy.hops {
                    broken.push(format!(
                        "{} is {depth} links from {} in {}",
                        self.name(*node),
                        self.name(*origin),
                        self.rooms[*room].key.name
                    ));
                }
            }
            for (parent, children) in tree.degrees() {
                if settled && children > policy.degree {
                    broken.push(format!(
                        "{} feeds {children} nodes in {}",
                        self.name(parent),
                        self.rooms[*room].key.name
                    ));
                }
            }
        }
        depths.into_iter().for_each(|depth| self.measure("tree_depth", depth));
        stretches.into_iter().for_each(|stretch| self.measure("stretch", stretch));
        broken.into_iter().for_each(|what| self.violate(what));
    }

    /// Samples of what a node took of a layer.
    pub(super) fn measure_watch(&mut self, watch: &Watch, kind: MediaKind) {
        let tally = watch.tally;
        let percent = |part: u64, rest: u64| part as f64 / (part + rest) as f64 * 100.0;
        if tally.delivered + tally.missed >= PACKETS_LEAST {
            let lost = if kind == MediaKind::Audio { "audio_lost_percent" } else { "video_lost_percent" };
            self.measure(lost, percent(tally.missed, tally.delivered));
            self.measure("delivered_percent", percent(tally.delivered, tally.missed));
        }
        if tally.start_delivered + tally.start_missed >= PACKETS_LEAST {
            self.measure("first_2s_delivered_percent", percent(tally.start_delivered, tally.start_missed));
        }
        let minutes = (self.now - watch.since.max(self.warm).min(self.now)) as f64 / 60e9;
        if kind == MediaKind::Video && minutes > 0.0 {
            self.measure("freezes_per_minute", f64::from(watch.freezes) / minutes.max(1.0 / 6.0));
            if let Some(frozen) = watch.frozen {
                self.measure("freeze_ms", ms(self.now - frozen));
            }
        }
    }

    /// Once everybody has gone nothing is left.
    pub(super) fn check_left_over(&mut self) {
        let nobody = self.locals.iter().all(|local| !local.inside);
        if !nobody || self.now < self.occupied_at + EMPTIES || !self.is_calm() {
            return;
        }
        for node in 0..self.nodes.len() {
            let (serves, takes) = (self.nodes[node].serving.len(), self.nodes[node].receiving.len());
            if serves + takes > 0 {
                let name = self.name(node).to_owned();
                self.violate(format!("{name} still sends {serves} flows and takes {takes} though everybody has gone"));
            }
        }
    }
}
