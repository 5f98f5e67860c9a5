//! What must hold while nodes are short of something and nothing else is wrong, and afterwards: `docs/decisions/0013` tells
//! what such a node does without, and in which order.
//!
//! Nobody loses a way to sound or to a lowest layer. A node that relays no more gives its children up only when they have
//! another way, and soon where somebody else can feed them. The others hear of it, and of its end.

use origo_cascade_core::{Level, MediaKind};

use super::super::copies::key;
use super::super::{World, ms};
use super::RESTS;
use crate::scenario::Trouble;

/// What nodes tell of themselves is known everywhere within this, ns: goal of the design at 100 nodes, 1.5 s, and the worst
/// of many rounds.
const KNOWN_AFTER: u64 = 5_000_000_000;
/// Nobody is without a way to sound or to a lowest layer for longer than this, ns: a move makes the new way before it ends
/// the old one, and a layer that is wanted anew is asked for once around the world.
const WITHOUT_MAX: u64 = 1_000_000_000;
/// A node that relays no more has handed pictures off by then, ns: word of it, moves of the plan before (6 s at most), and its
/// children's own.
const HANDED_OFF_AFTER: u64 = 10_000_000_000;

impl World<'_> {
    /// Whether that is all that is wrong, and has been for so long that all else is well again.
    pub(in super::super) fn is_only_short(&self) -> bool {
        let is_overload = |fault: &u32| matches!(self.scenario.faults[*fault as usize].what, Trouble::Overload { .. });
        self.faults.lasting.iter().all(is_overload)
            && self.faults.others_changed_at.is_none_or(|at| self.now >= at + RESTS)
            && self.faults.nodes.iter().any(|state| state.short_since.is_some())
    }

    /// Ten times a second.
    pub(super) fn look_at_overloads(&mut self) {
        if !self.is_only_short() {
            return;
        }
        let mut broken = self.unheard_of();
        broken.extend(self.not_handed_off());
        broken.extend(self.without_a_way());
        broken.into_iter().for_each(|what| self.violate(what));
    }

    /// A node that is short of something ends what it sends of a layer to another, which must have it from elsewhere.
    pub(in super::super) fn check_hand_off(&mut self, key: u32, from: usize, to: usize) {
        let (track, layer) = super::super::copies::of_key(key);
        let is_short = self.faults.nodes[from].short_since.is_some() && self.is_only_short();
        let is_wanted = self.tracks[track].alive && self.tracks[track].layers[layer].watches.get(to).is_some();
        let is_relayed = self.tracks[track].node != from;
        if is_short && is_wanted && is_relayed && !self.is_fed(track, layer, self.tracks[track].node, to) {
            let (from, to, layer) = (self.name(from), self.name(to), self.layer_name(key));
            let what =
                format!("{from}, which is short of something, ends {layer} to {to}, which has it from nowhere else");
            self.violate(what);
        }
    }

    /// All faults are over: nobody is taken for short of something any more.
    pub(super) fn check_shortages(&mut self) {
        let mut broken = Vec::new();
        for node in (0..self.nodes.len()).filter(|node| self.faults.runs(*node)) {
            let map = self.nodes[node].cascade.map();
            for other in map.nodes().filter(|other| other.overload.level != Level::Calm) {
                let level = other.overload.level.name();
                broken.push(format!("{} takes {} for {level}", self.name(node), other.region));
            }
        }
        broken.into_iter().for_each(|what| self.violate(what));
    }

    /// Nodes of which others do not know in time that they are short of something.
    fn unheard_of(&mut self) -> Vec<String> {
        let mut broken = Vec::new();
        for node in 0..self.nodes.len() {
            let state = &mut self.faults.nodes[node];
            let level = state.view.own().level;
            let is_due = state.short_since.is_some_and(|since| self.now >= since + KNOWN_AFTER);
            if !is_due || std::mem::replace(&mut state.shortage_looked_at, true) {
                continue;
            }
            for other in (0..self.nodes.len()).filter(|other| self.faults.runs(*other)) {
                let heard = self.faults.nodes[other].view.living().find(|(living, _)| *living == node);
                if heard.is_none_or(|(_, standing)| standing.level != level) {
                    broken.push(format!(
                        "{} does not know that {} is {}",
                        self.name(other),
                        self.name(node),
                        level.name()
                    ));
                }
            }
        }
        broken
    }

    /// Children that a node which relays no more still feeds with pictures though the origin itself has a place for them.
    fn not_handed_off(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for ((room, origin), tree) in &self.trees.trees {
            let is_over = |node: usize| {
                let state = &self.faults.nodes[node];
                let since = state.short_since.filter(|_| state.view.own().level == Level::NotRelaying);
                since.is_some_and(|since| self.now >= since + HANDED_OFF_AFTER)
            };
            let has_place = tree.degrees().get(origin).copied().unwrap_or_default() < self.scenario.policy.degree;
            if self.scenario.policy.relay != "tree" || !has_place {
                continue;
            }
            for (child, place) in &tree.nodes {
                let parents = place.parents.keys().filter(|parent| *parent != origin && is_over(**parent));
                for parent in parents.filter(|parent| self.sends_pictures((*room, *origin), **parent, *child)) {
                    let (from, to) = (self.nodes[*origin].id, self.nodes[*child].id);
                    if !self.nodes[*origin].cascade.map().is_down(from, to) {
                        let names = [parent, child, origin].map(|node| self.name(*node));
                        broken.push(format!(
                            "{} relays no more and still feeds {} with {}",
                            names[0], names[1], names[2]
                        ));
                    }
                }
            }
        }
        broken
    }

    fn sends_pictures(&self, (room, origin): (usize, usize), from: usize, to: usize) -> bool {
        let of_tree = |track: &&super::super::track::Track| {
            (track.room, track.node, track.kind, track.alive) == (room, origin, MediaKind::Video, true)
        };
        let mut layers = self.tracks.iter().filter(of_tree).flat_map(|track| &track.layers);
        layers.any(|layer| layer.copies.iter().any(|copy| (copy.from, copy.to, copy.second) == (from, to, false)))
    }

    /// Nodes that have lost their way to sound or to a lowest layer.
    fn without_a_way(&mut self) -> Vec<String> {
        let mut lost = Vec::new();
        for (number, track) in self.tracks.iter().enumerate().filter(|(_, track)| track.alive) {
            let may_be_fed = |node: usize| self.may_touch(track.room, node) && self.may_touch(track.room, track.node);
            for (node, watch) in track.layers[0].watches.iter().filter(|(node, _)| may_be_fed(*node)) {
                let is_fed = self.is_fed(number, 0, track.node, node);
                let since = if is_fed { None } else { Some(watch.lost_way_at.unwrap_or(self.now)) };
                lost.push((number, node, since));
            }
        }
        let mut broken = Vec::new();
        for (number, node, since) in lost {
            let Some(watch) = self.tracks[number].layers[0].watches.get_mut(node) else { continue };
            watch.lost_way_at = since;
            let began = watch.since.max(since.unwrap_or(self.now));
            let is_without = since.is_some() && self.now > began + WITHOUT_MAX && watch.fed_at.is_some();
            if is_without && !std::mem::replace(&mut watch.reported, true) {
                let layer = self.layer_name(key(number as u32, 0));
                broken.push(format!("{} is without a way to {layer} for {} ms", self.name(node), ms(WITHOUT_MAX)));
            }
        }
        broken
    }
}
