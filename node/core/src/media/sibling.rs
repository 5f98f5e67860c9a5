//! What passes between the media workers of one node: each takes tracks of the others as it would take them of a node,
//! layer by layer and one copy of each, but as they are, without a frame around them and with their payloads shared.
//!
//! A worker that has the first viewer of a track whose home is another worker begins it there ([`Ask::Begin`]), says
//! which layers its viewers take ([`Ask::Take`]), and ends it with the last of them ([`Ask::End`]). Packets, reports and
//! wishes for keyframes go in batches, one per burst, and may be lost; asks may not.

use std::collections::{BTreeMap, VecDeque};

use origo_auth::{ParticipantSid, TrackSid};
use origo_cascade_core::link::{Flow, Received};
use origo_cascade_core::{LayerSet, TrackLayer, TrackRecord};

use super::Redundancy;
use super::stats::{Direction, Via};
use super::track::{LAYERS, Origin, Track};
use super::worker::Worker;

/// Packets for which there is room in a batch from the start: more are an exception, whose memory is not kept.
const BATCH_USUAL_MAX: usize = 256;

/// What one worker of a node asks of another. Each is to arrive, in the order in which it was asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Somebody there takes a track, no layer of it yet. Said again, it tells of other layers.
    Begin {
        /// The worker that asks.
        from: usize,
        /// The track.
        track: Box<Carried>,
    },
    /// The layers that its viewers take, from now on.
    Take {
        /// The worker that asks.
        from: usize,
        /// The track.
        track: TrackSid,
        /// All that are taken.
        layers: LayerSet,
    },
    /// Nobody there takes it any more.
    End {
        /// The worker that asks.
        from: usize,
        /// The track.
        track: TrackSid,
    },
}

/// A track as its home has to know it, though nobody there may watch it.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// What it consists of.
    pub record: TrackRecord,
    /// Who publishes it.
    pub publisher: ParticipantSid,
    /// What may be done with Opus on its way.
    pub redundancy: Redundancy,
}

/// What a worker has for its siblings, and what they take of it.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    /// This worker's own number among them.
    pub index: usize,
    /// Who takes each track, and which layers; kept apart from the tracks, which may end and come again.
    pub takers: BTreeMap<TrackSid, Vec<(usize, LayerSet)>>,
    /// What goes to each with this burst.
    pub batches: Vec<Vec<Received>>,
    /// What is asked of them.
    pub asks: VecDeque<(usize, Ask)>,
}

impl Siblings {
    /// Of a node with so many workers, of which this one is the `index`-th.
    pub fn new(index: usize, workers: usize) -> Self {
        Self { index, batches: (0..workers).map(|_| Vec::new()).collect(), ..Self::default() }
    }

    /// Hands something to a sibling with this burst.
    pub fn hand(&mut self, to: usize, received: Received) {
        if let Some(batch) = self.batches.get_mut(to).filter(|_| to != self.index) {
            batch.push(received);
        }
    }

    /// The next batch that is to go.
    pub fn next_batch(&mut self) -> Option<(usize, Vec<Received>)> {
        let to = self.batches.iter().position(|batch| !batch.is_empty())?;
        // The next burst is about as large: one allocation for each, and none for its packets.
        let next = Vec::with_capacity(self.batches[to].len().min(BATCH_USUAL_MAX));
        Some((to, std::mem::replace(&mut self.batches[to], next)))
    }

    fn is_sibling(&self, worker: usize) -> bool {
        worker != self.index && worker < self.batches.len()
    }
}

impl Track {
    /// The layers that a sibling takes, each under its own number as the flow.
    pub(super) fn sibling_flows(&self) -> impl Iterator<Item = (usize, u8, Flow)> + '_ {
        let each = |&(worker, layers): &(usize, LayerSet)| layers.iter().map(move |layer| (worker, layer));
        self.siblings.iter().flat_map(each).map(|(worker, layer)| (worker, layer, Flow(layer.into())))
    }
}

impl Worker {
    pub(super) fn take_ask(&mut self, ask: Ask) {
        let (Ask::Begin { from, .. } | Ask::Take { from, .. } | Ask::End { from, .. }) = ask;
        if !self.siblings.is_sibling(from) {
            return self.stats.count_dropped("command", "no such worker");
        }
        match ask {
            Ask::Begin { from, track } => self.begin_sibling(from, &track),
            Ask::Take { from, track, layers } => self.let_take(from, track, layers),
            Ask::End { from, track } => {
                if let Some(takers) = self.siblings.takers.get_mut(&track) {
                    takers.retain(|&(worker, _)| worker != from);
                    self.apply_siblings(track);
                    self.end_unwatched(track);
                }
            }
        }
    }

    fn begin_sibling(&mut self, from: usize, carried: &Carried) {
        let sid = carried.record.sid;
        let takers = self.siblings.takers.entry(sid).or_default();
        if !takers.iter().any(|&(worker, _)| worker == from) {
            takers.push((from, LayerSet::NONE));
        }
        match self.tracks_by_sid.get(&sid).and_then(|&index| self.tracks.get_mut(index)) {
            Some(track) => {
                track.redeclare(&carried.record);
                self.stay_home(sid);
            }
            None => {
                self.add_far(carried, None);
            }
        }
        self.apply_siblings(sid);
    }

    /// Others take a track from here, so that its home is here: nobody takes from a sibling what he gives to siblings, or
    /// two could keep a track for each other that has long ended.
    fn stay_home(&mut self, sid: TrackSid) {
        let track = self.tracks_by_sid.get(&sid).and_then(|&index| self.tracks.get_mut(index));
        let Some(Track { origin: Origin::Link { sibling, .. }, wanted, .. }) = track else { return };
        let Some(home) = sibling.take() else { return };
        *wanted = LayerSet::NONE;
        self.siblings.asks.push_back((home, Ask::End { from: self.siblings.index, track: sid }));
    }

    fn let_take(&mut self, from: usize, sid: TrackSid, layers: LayerSet) {
        let takers = self.siblings.takers.get_mut(&sid).map(|takers| takers.iter_mut());
        let Some((_, taken)) = takers.and_then(|mut takers| takers.find(|(worker, _)| *worker == from)) else {
            return self.stats.count_dropped("command", "not begun");
        };
        let before = std::mem::replace(taken, layers);
        self.apply_siblings(sid);
        for layer in layers.iter().filter(|layer| !before.contains(*layer)) {
            self.report_to_sibling(from, TrackLayer { track: sid, layer });
            self.want_keyframe_for_peer(TrackLayer { track: sid, layer });
        }
    }

    /// A track that comes from elsewhere: from a sibling, or over links.
    pub(super) fn add_far(&mut self, carried: &Carried, sibling: Option<usize>) -> usize {
        let Carried { record, publisher, redundancy } = carried;
        let sibling = sibling.filter(|_| !self.siblings.takers.contains_key(&record.sid));
        let origin = Origin::Link { publisher: *publisher, sibling };
        let mut track = Track::new(record.sid, origin, record.kind, &record.mime, &record.layer_bitrates_bps);
        track.declare_sizes(&record.layer_sizes);
        track.redundancy = *redundancy;
        track.siblings = self.siblings.takers.get(&record.sid).cloned().unwrap_or_default();
        track.follow_serves();
        let index = self.tracks.insert(track);
        self.tracks_by_sid.insert(record.sid, index);
        if let Some(home) = sibling {
            self.ask_to_begin(home, carried);
        }
        index
    }

    /// Tells a track's home that it is taken here, or what it consists of by now.
    pub(super) fn ask_to_begin(&mut self, home: usize, carried: &Carried) {
        let from = self.siblings.index;
        self.siblings.asks.push_back((home, Ask::Begin { from, track: Box::new(carried.clone()) }));
    }

    /// Makes a track what siblings take of it.
    fn apply_siblings(&mut self, sid: TrackSid) {
        let takers = self.siblings.takers.get(&sid).cloned().unwrap_or_default();
        if takers.is_empty() {
            self.siblings.takers.remove(&sid);
        }
        let Some(&index) = self.tracks_by_sid.get(&sid) else { return };
        let Some(track) = self.tracks.get_mut(index) else { return };
        track.siblings = takers;
        track.follow_serves();
        self.update_want(index);
    }

    /// A track from elsewhere goes with the last who takes it.
    pub(super) fn end_unwatched(&mut self, sid: TrackSid) {
        let track = self.tracks_by_sid.get(&sid).and_then(|&index| self.tracks.get(index));
        if track.is_some_and(|track| !track.is_local() && track.viewers.is_empty() && track.siblings.is_empty()) {
            self.remove_track(sid);
        }
    }

    /// Somebody needs a keyframe of a layer that links serve from here. Of a track that is published at another worker
    /// and that nobody takes here this one knows nothing: whoever has it does.
    pub(super) fn pass_keyframe(&mut self, layer: TrackLayer) {
        if self.tracks_by_sid.contains_key(&layer.track) || usize::from(layer.layer) >= LAYERS {
            return;
        }
        let index = self.siblings.index;
        for to in (0..self.siblings.batches.len()).filter(|to| *to != index) {
            self.siblings.hand(to, Received::Keyframe { layer });
            self.stats.count_keyframe_request(Direction::Out, Via::Sibling);
        }
    }

    /// A sibling that begins late learns at once how the publisher's clock stands.
    fn report_to_sibling(&mut self, to: usize, layer: TrackLayer) {
        let track = self.tracks_by_sid.get(&layer.track).and_then(|&index| self.tracks.get(index));
        if let Some((ntp, rtp)) = track.and_then(|track| track.layers.get(usize::from(layer.layer))?.report) {
            self.siblings.hand(to, Received::SenderReport { layer, ntp, rtp });
        }
    }

    /// A publisher's report of a layer, for those siblings that take it.
    pub(super) fn report_to_siblings(&mut self, index: usize, layer: u8, (ntp, rtp): (u64, u32)) {
        let Some(track) = self.tracks.get(index) else { return };
        let sid = track.sid;
        for &(to, layers) in &track.siblings {
            // Layers within one stream share its clock.
            if layers.contains(layer) {
                let layer = TrackLayer { track: sid, layer };
                self.siblings.hand(to, Received::SenderReport { layer, ntp, rtp });
            }
        }
    }
}
