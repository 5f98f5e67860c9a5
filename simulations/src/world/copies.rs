//! Copies of layers over links, and what must hold of them: no loops, one copy per layer and link, two parents only
//! while a parent changes, and media within the room's countries.

use origo_auth::NodeId;
use origo_cascade_core::link::Flow;
use origo_cascade_core::{Forward, TrackLayer};

use super::track::Copy;
use super::{World, ms};

/// Two parents may feed a node for this long, ns: a second in which a silent layer does not tell that the new one
/// works, and the way of the messages. While a parent's link cannot hear the node it holds pictures back (`scheduler` in
/// the link's core): the parent does not feed it then, whatever its tables say, and word that it may stop cannot come.
/// All that it sends before and after counts.
const OVERLAP_MAX: u64 = 2_000_000_000;
/// And so many round trips to the old one, which may not hear at once that it is to end.
const ROUNDS: u64 = 6;

/// A layer of a track as one number, which the links' core gives back as its sink.
pub(super) fn key(track: u32, layer: u8) -> u32 {
    track << 2 | u32::from(layer)
}

/// The track and layer of such a number.
pub(super) fn of_key(key: u32) -> (usize, usize) {
    ((key >> 2) as usize, (key & 3) as usize)
}

impl World<'_> {
    /// Notes a change of a node's tables; gives the sink that stands for the layer.
    pub(super) fn note_forward(&mut self, node: usize, forward: &Forward) -> usize {
        match forward {
            Forward::Serve { layer, to, flow, .. } => {
                let Some(key) = self.key_of(layer) else { return 0 };
                self.begin_copy(node, *to, *flow, key);
                self.begin_serve(key, *to, *flow);
                key as usize
            }
            Forward::Relay { layer, to, flow, .. } => {
                let Some(key) = self.key_of(layer) else { return 0 };
                self.begin_copy(node, *to, *flow, key);
                key as usize
            }
            Forward::StopServe { layer, to, flow, .. } => {
                let Some(key) = self.key_of(layer) else { return 0 };
                self.end_copy(node, *to, *flow);
                self.end_serve(key, *to, *flow);
                key as usize
            }
            Forward::StopRelay { layer, to, flow } => {
                self.end_copy(node, *to, *flow);
                self.key_of(layer).map_or(0, |key| key as usize)
            }
            Forward::Refill { to, flow, .. } => {
                self.nodes[node].serving.get(&(*to, *flow)).map_or(0, |key| *key as usize)
            }
            Forward::Receive { layer, from, flow, .. } => {
                let Some(key) = self.key_of(layer) else { return 0 };
                self.nodes[node].receiving.insert((*from, *flow), key);
                key as usize
            }
            Forward::StopReceive { from, flow } => {
                self.nodes[node].receiving.remove(&(*from, *flow)).map_or(0, |key| key as usize)
            }
        }
    }

    fn key_of(&self, layer: &TrackLayer) -> Option<u32> {
        self.tracks_by_sid.get(&layer.track).map(|track| key(*track, layer.layer))
    }

    fn begin_copy(&mut self, from: usize, to: NodeId, flow: Flow, key: u32) {
        let Some(place) = self.places.get(&to) else { return };
        match self.nodes[from].serving.get(&(to, flow)) {
            Some(known) if *known == key => return,
            Some(_) => self.end_copy(from, to, flow),
            None => {}
        }
        self.nodes[from].serving.insert((to, flow), key);
        let (now, (track, layer)) = (self.now, of_key(key));
        let second = self.nodes[place].cascade.is_second(self.nodes[from].id, flow);
        // Nothing comes of a track that is over, and a node takes nothing of what comes twice on purpose: its links drop it.
        if !second && self.tracks[track].alive && self.comes_from(track, layer, place, from) {
            self.violate(format!("a loop: {} gets {} from below itself", self.name(from), self.layer_name(key)));
        }
        let copies = &mut self.tracks[track].layers[layer].copies;
        copies.push(Copy { from, to: place, flow, since: now, second });
        let same = copies.iter().filter(|copy| (copy.from, copy.to) == (from, place)).count();
        if same > 1 {
            let (a, b) = (self.name(from).to_owned(), self.name(place).to_owned());
            self.violate(format!("{same} copies of {} from {a} to {b}", self.layer_name(key)));
        }
        self.measure("copies_per_link", same as f64);
        let sent = &mut self.nodes[from].sent[place];
        sent.copies_max = sent.copies_max.max(same as u64);
        self.check_countries(key, place);
        let tree = (self.tracks[track].room, self.tracks[track].node);
        if !second {
            self.trees.gain(tree, from, place, now);
        }
    }

    /// Whether a layer has a way from its origin to a node.
    pub(super) fn is_fed(&self, track: usize, layer: usize, origin: usize, node: usize) -> bool {
        let (mut seen, mut next) = (vec![node], vec![node]);
        while let Some(at) = next.pop() {
            if at == origin {
                return true;
            }
            for parent in self.parents(track, layer, at).map(|copy| copy.from) {
                if !seen.contains(&parent) {
                    seen.push(parent);
                    next.push(parent);
                }
            }
        }
        false
    }

    /// Whether what comes to `node` of a layer comes from `source`, each node taking it from its newest parent. An older
    /// one may close a circle for as long as it takes to leave it: what goes round comes twice and is dropped.
    fn comes_from(&self, track: usize, layer: usize, source: usize, node: usize) -> bool {
        let (mut at, mut steps) = (node, 0);
        while at != source {
            let newest = self.parents(track, layer, at).max_by_key(|copy| copy.since);
            let Some(newest) = newest.filter(|_| steps < self.nodes.len()) else { return false };
            (at, steps) = (newest.from, steps + 1);
        }
        true
    }

    /// Who sends a layer to a node that still takes it from them.
    pub(super) fn parents(&self, track: usize, layer: usize, node: usize) -> impl Iterator<Item = &Copy> {
        let is_taken = move |copy: &&Copy| {
            copy.to == node
                && !self.nodes[node].cascade.is_second(self.nodes[copy.from].id, copy.flow)
                && self.nodes[node].receiving.contains_key(&(self.nodes[copy.from].id, copy.flow))
        };
        self.tracks[track].layers[layer].copies.iter().filter(is_taken)
    }

    pub(super) fn end_copy(&mut self, from: usize, to: NodeId, flow: Flow) {
        let Some(place) = self.places.get(&to) else { return };
        let Some(key) = self.nodes[from].serving.remove(&(to, flow)) else { return };
        let (track, layer) = of_key(key);
        let copies = &mut self.tracks[track].layers[layer].copies;
        let is_ended = |copy: &Copy| (copy.from, copy.to, copy.flow) == (from, place, flow);
        let Some(ended) = copies.iter().position(is_ended) else { return };
        let ended = copies.remove(ended);
        if ended.second {
            // What comes twice on purpose is neither an overlap nor an edge.
            return;
        }
        let others = copies.iter().filter(|copy| copy.to == place && !copy.second).map(|copy| copy.since);
        if let Some(since) = others.max() {
            self.end_overlap(key, from, place, since.max(ended.since));
        }
        let tree = (self.tracks[track].room, self.tracks[track].node);
        if self.trees.lose(tree, from, place, self.now) {
            self.second.moves += 1;
        }
        self.check_hand_off(key, from, place);
    }

    fn end_overlap(&mut self, key: u32, old: usize, node: usize, since: u64) {
        self.measure("overlap_ms", ms(self.now - since));
        let count = self.nodes.len();
        let lasted = self.now - since - self.silences.within(old * count + node, since, self.now);
        let round = self.paths[old * count + node].delay() + self.paths[node * count + old].delay();
        if lasted > OVERLAP_MAX + ROUNDS * round && self.is_calm() {
            let (layer, node) = (self.layer_name(key), self.name(node).to_owned());
            self.violate(format!("two parents sent {layer} to {node} for {:.0} ms", ms(lasted)));
        }
    }

    /// A node's link to another holds back what it has to send, or does so no more.
    pub(super) fn note_silence(&mut self, node: usize, peer: NodeId, silent: bool) {
        if let Some(place) = self.places.get(&peer) {
            self.silences.note(node * self.nodes.len() + place, silent, self.now);
        }
    }

    /// Media of a room with countries touches no other.
    fn check_countries(&mut self, key: u32, node: usize) {
        let room = self.tracks[of_key(key).0].room;
        if !self.may_touch(room, node) {
            let (layer, country) = (self.layer_name(key), &self.scenario.topology.nodes[node].region.country);
            self.violate(format!("{layer} touches {} in {country}", self.name(node)));
        }
    }

    /// Whether a room's media may touch a node.
    pub(super) fn may_touch(&self, room: usize, node: usize) -> bool {
        let countries = &self.rooms[room].countries;
        countries.is_empty() || countries.contains(&self.scenario.topology.nodes[node].region.country)
    }

    pub(super) fn layer_name(&self, key: u32) -> String {
        let (track, layer) = of_key(key);
        let track = &self.tracks[track];
        let (room, node) = (&self.rooms[track.room].key.name, self.name(track.node));
        format!("layer {layer} of {:?} {} at {node} in {room}", track.kind, track.sid)
    }
}
