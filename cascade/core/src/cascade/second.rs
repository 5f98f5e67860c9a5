//! Sound of those who speak, from the backup too: when a parent dies nobody misses a word.
//!
//! About 40 kb/s for each of three voices, on the path of the tree that shares no relay with the first. The links drop
//! what comes second. Pictures are too dear for that, and a second of them is kept where it is needed (`failover`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use origo_auth::{NodeId, RoomKey};

use super::intake::{Feed, Intake};
use super::machine::Cascade;
use super::subscriptions::TreeKey;
use crate::link::Flow;
use crate::links::Count;
use crate::{MediaKind, TrackLayer};

/// Voices of a room that come twice.
const VOICES_MAX: usize = 3;
/// So many packets between two counts are sound, and no signs of life of a silent microphone.
const SOUNDS_FROM: u32 = 4;
/// Anything quieter is no voice, -dBov.
const QUIETEST: u8 = 70;
/// What is counted for sound without a level.
const UNTOLD: u8 = 40;
/// Who has spoken counts as speaking for this long, so that a pause ends nothing.
const SPEAKS_FOR: Duration = Duration::from_secs(10);
/// Who comes twice already goes before who is a little louder, dB.
const HYSTERESIS: f32 = 10.0;
/// Weight of the newest count.
const SMOOTHING: f32 = 0.1;
/// A backup that refuses is not asked again for this long.
const RESTS: Duration = Duration::from_secs(10);

/// How loud a track is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Voice {
    last: Option<(Flow, u32)>,
    speaks_until: Option<Instant>,
    /// 127 is the loudest.
    loudness: f32,
    rests_until: Option<Instant>,
}

impl Voice {
    /// What came since the last count.
    fn hear(&mut self, now: Instant, flow: Flow, count: &Count) {
        let before = self.last.replace((flow, count.packets)).filter(|(other, _)| *other == flow);
        let Some((_, before)) = before else { return };
        let level = count.loudest.unwrap_or(UNTOLD);
        if count.packets.wrapping_sub(before) >= SOUNDS_FROM && level <= QUIETEST {
            self.speaks_until = Some(now + SPEAKS_FOR);
        }
        self.loudness += (f32::from(127 - level.min(127)) - self.loudness) * SMOOTHING;
    }

    fn speaks(&self, now: Instant) -> bool {
        self.speaks_until.is_some_and(|until| now < until)
    }

    /// Nobody sends it twice for a while.
    pub(super) fn rest(&mut self, now: Instant) {
        self.rests_until = Some(now + RESTS);
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }
}

impl Intake {
    /// Takes note of how loud it is.
    pub(super) fn hear(&mut self, now: Instant, flow: Flow, count: &Count) {
        if self.source.kind == MediaKind::Audio && self.current.flow == flow {
            self.voice.hear(now, flow, count);
        }
    }
}

impl Cascade {
    /// Whether a peer sends under one of this node's numbers only for the case that another one fails.
    pub fn is_second(&self, from: NodeId, flow: Flow) -> bool {
        let layer = self.subscriptions.layers_by_flow.get(&flow);
        let intake = layer.and_then(|layer| self.subscriptions.intakes.get(layer));
        intake.and_then(|intake| intake.second).is_some_and(|second| (second.from, second.flow) == (from, flow))
    }

    /// Layers that come twice, by who sends the second copy.
    pub fn seconds(&self) -> BTreeMap<NodeId, usize> {
        let mut seconds = BTreeMap::new();
        for second in self.subscriptions.intakes.values().filter_map(|intake| intake.second) {
            *seconds.entry(second.from).or_default() += 1;
        }
        seconds
    }

    /// Takes the loudest of each room twice, and nobody else.
    pub(super) fn choose_seconds(&mut self) {
        let mut voices: BTreeMap<&RoomKey, Vec<(f32, TrackLayer)>> = BTreeMap::new();
        let mut ended = Vec::new();
        for (layer, intake) in &self.subscriptions.intakes {
            if intake.own && intake.voice.speaks(self.now) {
                let bonus = if intake.second.is_some() { HYSTERESIS } else { 0.0 };
                voices.entry(&intake.source.room).or_default().push((intake.voice.loudness + bonus, *layer));
            } else if intake.second.is_some() {
                ended.push(*layer);
            }
        }
        let mut chosen = Vec::new();
        for mut voices in voices.into_values() {
            voices.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
            let (first, rest) = voices.split_at(voices.len().min(VOICES_MAX));
            chosen.extend(first.iter().map(|(_, layer)| *layer));
            ended.extend(rest.iter().map(|(_, layer)| *layer));
        }
        ended.into_iter().for_each(|layer| self.close_second(layer));
        chosen.into_iter().for_each(|layer| self.take_twice(layer));
    }

    fn take_twice(&mut self, layer: TrackLayer) {
        let Some(intake) = self.subscriptions.intakes.get(&layer) else { return };
        let key = intake.source.tree();
        if intake.next.is_some() || intake.voice.rests(self.now) {
            return;
        }
        let wanted = self.second_parent(&key, intake.current.from);
        if intake.second.map(|second| second.from) == wanted {
            return;
        }
        let (source, local) = (intake.source.clone(), intake.local);
        self.close_second(layer);
        let Some(from) = wanted else { return };
        let second = self.open_feed(layer, &source, local, from);
        if let Some(intake) = self.subscriptions.intakes.get_mut(&layer) {
            intake.second = Some(second);
        }
        self.ask_feed(layer, second.flow);
    }

    /// Who is to send voices of a tree besides the parent: the backup, if a relay or an ocean lies between.
    fn second_parent(&self, key: &TreeKey, parent: NodeId) -> Option<NodeId> {
        let branch = self.subscriptions.branches.get(key).filter(|branch| branch.target.is_none())?;
        let planned = branch.planned.as_ref().filter(|planned| planned.parent == parent && branch.parent == parent)?;
        let backup = planned.backup.filter(|backup| *backup != parent)?;
        let continent = |node: NodeId| self.map.node(node).map(|node| node.continent.as_str()).unwrap_or_default();
        let is_far = parent != key.1 || continent(key.1) != continent(self.me);
        let fits = is_far
            && self.is_steady(&backup)
            && !branch.is_held(backup, self.now)
            && !self.children_of(key).contains(&backup);
        fits.then_some(backup)
    }

    /// Ends the second copy of a layer, if there is one.
    pub(super) fn close_second(&mut self, layer: TrackLayer) {
        let second = self.subscriptions.intakes.get_mut(&layer).and_then(|intake| intake.second.take());
        if let Some(second) = second {
            self.close_feed(second);
        }
    }

    /// Ends second copies of one peer: of a tree, or of all.
    pub(super) fn close_seconds(&mut self, from: NodeId, key: Option<&TreeKey>) {
        let is_meant = |intake: &Intake| {
            intake.second.is_some_and(|second| second.from == from)
                && key.is_none_or(|key| intake.source.tree() == *key)
        };
        let meant = self.subscriptions.intakes.iter().filter(|(_, intake)| is_meant(intake));
        for layer in meant.map(|(layer, _)| *layer).collect::<Vec<_>>() {
            if let Some(intake) = self.subscriptions.intakes.get_mut(&layer) {
                intake.voice.rest(self.now);
            }
            self.close_second(layer);
        }
    }

    /// Whether a peer sends second copies of a tree's layers.
    pub(super) fn has_second(&self, key: &TreeKey, from: NodeId) -> bool {
        let of_peer = |intake: &&Intake| intake.second.is_some_and(|second| second.from == from);
        self.subscriptions.intakes.values().filter(of_peer).any(|intake| intake.source.tree() == *key)
    }

    /// Takes the second copy for the first, if it comes from that peer.
    pub(super) fn take_second(&mut self, layer: TrackLayer, from: NodeId) -> Option<Feed> {
        let intake = self.subscriptions.intakes.get_mut(&layer)?;
        intake.second.take_if(|second| second.from == from)
    }
}
