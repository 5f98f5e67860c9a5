//! How long faults interrupt what nodes take: of each layer whose way a fault hits, the longest pause around it.

use origo_cascade_core::MediaKind;

use super::super::watch::Watch;
use super::super::{World, ms};
use crate::scenario::{Fault, Trouble};

/// Shorter pauses are none, ns: pictures come each 40 ms and more rarely.
const PAUSE_LEAST: u64 = 100_000_000;

/// What a fault does to what a node takes of a layer.
#[derive(Clone, Debug)]
pub(in super::super) struct Pause {
    fault: u32,
    since: u64,
    longest: u64,
    /// When the longest was over.
    ended_at: u64,
    /// Freezes and packets of the layer that were missed before.
    freezes: u32,
    missed: u64,
    /// The way still leads over a gray node.
    is_gray: bool,
}

impl Pause {
    /// A packet has come, and before it one at `before`.
    pub(in super::super) fn note(&mut self, before: u64, now: u64) {
        // Of a pause that had begun before, the fault makes what comes after it.
        let lasted = now - before;
        if lasted > self.longest {
            (self.longest, self.ended_at) = (lasted, now);
        }
    }
}

/// A way over which a fault lies.
fn is_hit(fault: &Fault, way: &[usize], links: &[(usize, usize)]) -> bool {
    let (between, ends) = (&way[1..way.len() - 1], [way[0], way[way.len() - 1]]);
    let passes = |nodes: &[usize]| between.iter().any(|node| nodes.contains(node));
    let begins_or_ends = |nodes: &[usize]| ends.iter().any(|node| nodes.contains(node));
    match &fault.what {
        Trouble::Kill(nodes) | Trouble::Restart(nodes) | Trouble::Hold(nodes) => {
            passes(nodes) && !begins_or_ends(nodes)
        }
        Trouble::Drain { nodes, .. }
        | Trouble::Overload { nodes, .. }
        | Trouble::Slow { nodes, .. }
        | Trouble::Gray { nodes, .. } => passes(nodes),
        Trouble::Partition(groups) => {
            let group = |node: &usize| groups.iter().position(|group| group.contains(node)).unwrap_or(0);
            way.windows(2).any(|link| group(&link[0]) != group(&link[1])) && group(&ends[0]) == group(&ends[1])
        }
        Trouble::Degrade(..) | Trouble::Flap { .. } => way.windows(2).any(|link| links.contains(&(link[1], link[0]))),
        Trouble::Heal | Trouble::Undrain(_) | Trouble::Skew { .. } | Trouble::GossipLoss(_) => false,
    }
}

impl World<'_> {
    /// From a node up to the origin of what it takes, both included; `None` while there is no way.
    fn way_up(&self, track: usize, layer: usize, node: usize) -> Option<Vec<usize>> {
        let (origin, mut way) = (self.tracks[track].node, vec![node]);
        while let Some(at) = way.last().copied().filter(|at| *at != origin) {
            let newest = self.parents(track, layer, at).max_by_key(|copy| copy.since)?;
            if way.contains(&newest.from) {
                return None;
            }
            way.push(newest.from);
        }
        (way.len() > 1).then_some(way)
    }

    /// A fault begins: what it interrupts is watched from now on.
    pub(super) fn begin_pauses(&mut self, number: u32) {
        let scenario = self.scenario;
        let fault = &scenario.faults[number as usize];
        let links = match &fault.what {
            Trouble::Degrade(which, _) | Trouble::Flap { which, .. } => scenario.topology.which(which),
            _ => Vec::new(),
        };
        for (track, layer, node) in self.watches() {
            let Some(way) = self.way_up(track, layer, node) else { continue };
            if !is_hit(fault, &way, &links) {
                continue;
            }
            self.end_pause(track, layer, node);
            let (now, is_gray) = (self.now, matches!(fault.what, Trouble::Gray { .. }));
            let Some(watch) = self.tracks[track].layers[layer].watches.get_mut(node) else { continue };
            let (freezes, missed) = (watch.freezes, watch.tally.missed);
            let fault = number;
            watch.pause = watch
                .arrived_at
                .map(|_| Box::new(Pause { fault, since: now, longest: 0, ended_at: now, freezes, missed, is_gray }));
        }
    }

    fn watches(&self) -> Vec<(usize, usize, usize)> {
        let mut all = Vec::new();
        for (number, track) in self.tracks.iter().enumerate().filter(|(_, track)| track.alive) {
            for (layer, it) in track.layers.iter().enumerate() {
                all.extend(it.watches.nodes().map(|node| (number, layer, node)));
            }
        }
        all
    }

    /// What a fault did to a layer at a node is measured.
    pub(super) fn end_pause(&mut self, track: usize, layer: usize, node: usize) {
        let kind = self.tracks[track].kind;
        let Some(watch) = self.tracks[track].layers[layer].watches.get_mut(node) else { return };
        if let Some(pause) = watch.pause.take() {
            let watch = watch.clone();
            self.measure_pause(*pause, &watch, kind);
        }
    }

    /// The same, of a watch that ends.
    pub(in super::super) fn measure_pause(&mut self, mut pause: Pause, watch: &Watch, kind: MediaKind) {
        let now = self.now;
        if let Some(before) = watch.arrived_at {
            pause.note(before, now);
        }
        let is_audio = kind == MediaKind::Audio;
        self.measure(if is_audio { "audio_gap_ms" } else { "video_gap_ms" }, ms(pause.longest));
        if pause.longest > PAUSE_LEAST {
            self.measure("failover_gap_ms", ms(pause.ended_at - pause.since));
        }
        if !is_audio {
            let needed = watch.freezes > pause.freezes || !watch.synced;
            self.measure("keyframes_at_failover", f64::from(u8::from(needed)));
        }
        if pause.is_gray {
            self.measure("gray_avoided_ms", ms(now - pause.since));
        }
        if is_audio
            && matches!(
                self.scenario.faults[pause.fault as usize].what,
                Trouble::Drain { .. } | Trouble::Overload { .. }
            )
        {
            self.measure("drain_lost_packets", (watch.tally.missed - pause.missed) as f64);
        }
    }

    /// Looks whether ways that led over a gray node have left it.
    pub(super) fn look_at_grays(&mut self) {
        if self.faults.nodes.iter().all(|node| node.grays.is_empty()) {
            return;
        }
        for (track, layer, node) in self.watches() {
            let pause = self.tracks[track].layers[layer].watches.get(node).and_then(|watch| watch.pause.as_ref());
            let Some((fault, since)) = pause.filter(|pause| pause.is_gray).map(|pause| (pause.fault, pause.since))
            else {
                continue;
            };
            let hit = self
                .way_up(track, layer, node)
                .is_none_or(|way| is_hit(&self.scenario.faults[fault as usize], &way, &[]));
            if hit {
                continue;
            }
            self.measure("gray_avoided_ms", ms(self.now - since));
            let watch = self.tracks[track].layers[layer].watches.get_mut(node);
            if let Some(pause) = watch.and_then(|watch| watch.pause.as_mut()) {
                pause.is_gray = false;
            }
        }
    }

    /// Nothing of what faults did is still to come.
    pub(in super::super) fn end_pauses(&mut self) {
        for (track, layer, node) in self.watches() {
            self.end_pause(track, layer, node);
        }
    }
}
