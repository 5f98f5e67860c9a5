//! A track that passes through this worker: published here or behind a link, its layers, and who views it.

use std::time::Instant;

use origo_auth::{ParticipantSid, TrackSid};
use origo_cascade_core::link::Packet;
use origo_cascade_core::{LayerSet, MediaKind, TrackRecord};

use super::Redundancy;
use super::allocate::Demand;
use super::codec::Codec;
use super::layer::Layer;
use super::loudest::Loudness;
use super::place::{Queued, TEMPORAL_LAYERS};
use super::redundancy::{Form, Forms, Needed};
use super::ring::Ring;
use super::serve::Serving;
use super::viewer::Viewer;
use crate::SessionId;

/// Layers of a track: streams of their own (simulcast), or within one stream.
pub(crate) const LAYERS: usize = origo_cascade_core::layer::LAYERS_MAX;
/// What a layer is taken to need when neither its publisher nor its packets have said.
const UNKNOWN_BPS: u64 = 500_000;

/// Where a track comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From a client of this worker.
    Local {
        /// Its session.
        session: SessionId,
        /// The connection that it comes on.
        peer: usize,
    },
    /// From another node, or from another worker of this one.
    Link {
        /// Who publishes it there.
        publisher: ParticipantSid,
        /// The worker of this node that has it; none when it comes over a link.
        sibling: Option<usize>,
    },
}

/// A track.
pub(crate) struct Track {
    /// Its id.
    pub sid: TrackSid,
    /// Where it comes from.
    pub origin: Origin,
    /// Sound or picture.
    pub kind: MediaKind,
    /// Its codec; what really flows, once it does.
    pub codec: Codec,
    /// How many layers it was announced with.
    pub announced: usize,
    /// First RTP has come.
    pub started: bool,
    /// Lowest first.
    pub layers: [Layer; LAYERS],
    /// Who receives it here.
    pub viewers: Vec<Viewer>,
    /// Other workers of this node that take it, and which layers.
    pub siblings: Vec<(usize, LayerSet)>,
    /// Peers that get layers cut out of the one stream.
    pub servings: Vec<Serving>,
    /// What was last said: see [`super::Event::Want`] and [`super::Event::Demand`].
    pub wanted: LayerSet,
    /// In the list of tracks with packets to route.
    pub dirty: bool,
    /// How loud it is.
    pub loudness: Loudness,
    /// What viewers may ask for again.
    pub ring: Ring,
    /// What may be done with sound on its way.
    pub redundancy: Redundancy,
    /// The forms of a sound.
    pub forms: Forms,
    /// Where its publisher stands among the speakers of the room, the higher the more to the fore; 0 for one who has
    /// not spoken.
    pub speaker: u64,
}

impl Track {
    /// A track that nothing came of yet.
    pub fn new(sid: TrackSid, origin: Origin, kind: MediaKind, mime: &str, layer_bitrates_bps: &[u32]) -> Self {
        let mut track = Self {
            sid,
            origin,
            kind,
            codec: Codec::from_mime(mime),
            announced: layer_bitrates_bps.len().clamp(1, LAYERS),
            started: false,
            layers: Default::default(),
            viewers: Vec::new(),
            siblings: Vec::new(),
            servings: Vec::new(),
            wanted: LayerSet::NONE,
            dirty: false,
            loudness: Loudness::default(),
            ring: Ring::default(),
            redundancy: Redundancy::default(),
            forms: Forms::default(),
            speaker: 0,
        };
        for (layer, &bps) in track.layers.iter_mut().zip(layer_bitrates_bps) {
            layer.declared_bps = bps.into();
        }
        track
    }

    /// Takes over how large its layers were declared to be, until keyframes tell.
    pub fn declare_sizes(&mut self, sizes: &[(u16, u16)]) {
        for (layer, &(width, height)) in self.layers.iter_mut().zip(sizes) {
            layer.declared_size = Some((width, height)).filter(|_| width > 0 && height > 0);
        }
    }

    /// Its record tells of other layers than before. A track of this node is told by its publisher's announcement.
    pub fn redeclare(&mut self, record: &TrackRecord) {
        if record.sid != self.sid || self.is_local() {
            return;
        }
        self.announced = record.layer_bitrates_bps.len().clamp(1, LAYERS);
        for (layer, &bps) in self.layers.iter_mut().zip(&record.layer_bitrates_bps) {
            layer.declared_bps = bps.into();
        }
        self.declare_sizes(&record.layer_sizes);
    }

    /// Nobody sends it yet: its publisher begins when somebody takes it.
    pub fn lay_to_rest(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.dozes = true);
    }

    /// Whether it is published here.
    pub fn is_local(&self) -> bool {
        matches!(self.origin, Origin::Local { .. })
    }

    /// The worker of this node from which it comes, if it comes from one.
    pub fn sibling(&self) -> Option<usize> {
        match self.origin {
            Origin::Link { sibling, .. } => sibling,
            Origin::Local { .. } => None,
        }
    }

    /// A viewer by its session.
    pub fn viewer(&mut self, session: SessionId) -> Option<&mut Viewer> {
        self.viewers.iter_mut().find(|viewer| viewer.session == session)
    }

    /// Makes the forms of the current burst that viewers of a sound need, each viewer's by `form`. Gives how many packets
    /// could not be read.
    pub fn make_forms(&mut self, form: impl Fn(&Viewer) -> Form) -> u64 {
        if self.kind == MediaKind::Video || self.redundancy == Redundancy::Sealed {
            return 0;
        }
        let mut needed = Needed::default();
        for viewer in self.viewers.iter().filter(|viewer| viewer.stream.is_some()) {
            match form(viewer) {
                Form::Plain => needed.plain = true,
                Form::Added => needed.added = true,
                Form::AsCame => {}
            }
        }
        self.forms.take(&self.layers[0].burst, needed)
    }

    /// Takes a packet that a link brought of a layer. Numbers of one stream were cut to 16 bits for each layer alone.
    pub fn take_carried(&mut self, layer: u8, mut packet: Packet, now: Instant) -> bool {
        if self.is_layered() {
            let reference = self.layers[0].highest.unwrap_or(packet.sequence);
            let ahead = (packet.sequence as u16).wrapping_sub(reference as u16) as i16;
            packet.sequence = reference.saturating_add_signed(ahead.into());
        }
        self.take(self.stream_of(layer), packet, now)
    }

    /// Takes a packet of a stream for the current burst. Says whether a layer began to flow with it.
    pub fn take(&mut self, stream: u8, mut packet: Packet, now: Instant) -> bool {
        packet.key = packet.key || self.codec.begins_keyframe(&packet.payload, packet.extensions.dependency.as_deref());
        // Nobody can begin with a packet whose successors have passed.
        let goes_on = self.layers[usize::from(stream)].goes_on(packet.sequence);
        packet.key &= goes_on;
        self.loudness.came(packet.extensions.audio_level, now);
        if !self.layers.iter().any(|layer| layer.flows || layer.stalled) {
            // The whole track was silent, so the silence of its layers says nothing about them.
            self.layers.iter_mut().for_each(|layer| layer.barred_until = None);
        }
        let (codec, layered, stream) = (self.codec, self.is_layered(), usize::from(stream));
        let (place, descriptor) = self.layers[stream].reader.read(codec, &packet, layered);
        let layer = if layered { usize::from(place.spatial) } else { stream };
        let flowed = self.layers[layer].flows;
        let mut begins = false;
        if packet.key {
            self.layers[stream].key_pending = false;
            begins |= self.note_sizes(stream, layered, codec.keyframe_size(&packet.payload));
        }
        // A repaired packet is no sign that its publisher still sends the layer.
        if goes_on {
            self.layers[layer].barred_until = self.layers[layer].barred_until.filter(|_| !layered);
            self.layers[layer].came(&packet, place.starts.then_some(place.temporal), now);
        }
        begins |= self.layers[layer].flows && !flowed;
        let state = &mut self.layers[stream];
        if self.kind == MediaKind::Video {
            state.gaps.note(&packet, now);
        }
        let captured = state.clock.captured(packet.timestamp, codec.clock_rate(), packet.arrived);
        state.burst.push(Queued { packet, captured, place, descriptor, even: 0 });
        begins
    }

    /// A keyframe tells how large layers are. Says whether that is new.
    fn note_sizes(&mut self, stream: usize, layered: bool, size: Option<(u16, u16)>) -> bool {
        if !layered {
            let size = size.or(self.layers[stream].size);
            return std::mem::replace(&mut self.layers[stream].size, size) != size;
        }
        let sizes = self.layers[stream].reader.sizes;
        let mut changed = false;
        for (layer, size) in self.layers.iter_mut().zip(sizes) {
            let size = size.or(layer.size);
            changed |= std::mem::replace(&mut layer.size, size) != size;
        }
        changed
    }

    /// What a viewer could get.
    pub fn demand(&self, viewer: &Viewer) -> Demand {
        let mut bitrates_bps = [None; LAYERS];
        let useful = self.useful(viewer);
        let flowing = self.goes_on_with_what_flows(viewer, useful);
        let takes = |layer: usize| if flowing { self.layers[layer].flows } else { self.can_flow(layer) };
        for (layer, rate) in bitrates_bps.iter_mut().enumerate().take(useful + 1) {
            *rate = takes(layer).then(|| self.bitrate_bps(layer));
        }
        if bitrates_bps == [None; LAYERS]
            && let Some(above) = (useful + 1..LAYERS).find(|&layer| self.can_flow(layer))
        {
            bitrates_bps[above] = Some(self.bitrate_bps(above));
        }
        Demand {
            bitrates_bps,
            current: viewer.forwarder.target(),
            paused: viewer.paused,
            rank: viewer.rank(self.speaker),
        }
    }

    /// The highest layer that a viewer has use for.
    pub fn useful(&self, viewer: &Viewer) -> usize {
        let sizes = std::array::from_fn(|layer| self.layers[layer].size.or(self.layers[layer].declared_size));
        viewer.useful_layer(&sizes, self.layers_sent())
    }

    /// How many layers the publisher announced, or sends beyond that. Of those within one stream it sends no more than
    /// its last keyframe said.
    fn layers_sent(&self) -> usize {
        if self.is_layered() {
            let within = self.layers[0].reader.spatial_layers;
            return within.map_or(self.announced, |within| within.clamp(1, LAYERS));
        }
        (self.announced..LAYERS).rev().find(|&layer| self.layers[layer].flows).map_or(self.announced, |top| top + 1)
    }

    /// A local layer flows when packets of it come. One behind a link, or one that its publisher may have laid to rest,
    /// only comes when it is wanted, so it gets its chance first.
    fn can_flow(&self, layer: usize) -> bool {
        let state = &self.layers[layer];
        if state.flows || (self.is_local() && !state.dozes) {
            return state.flows;
        }
        layer < self.announced.min(self.layers_sent()) && state.barred_until.is_none()
    }

    /// Bits per second of a layer: measured, else declared. Layers within one stream need those below them, which is
    /// how they are declared too.
    pub fn bitrate_bps(&self, layer: usize) -> u64 {
        let measured = |layer: usize| self.layers[layer].rate.bps;
        if !self.is_layered() {
            return measured(layer).unwrap_or(self.declared_bps(layer));
        }
        let own = |layer: usize| match layer.checked_sub(1) {
            Some(below) => self.declared_bps(layer).saturating_sub(self.declared_bps(below)),
            None => self.declared_bps(layer),
        };
        (0..=layer).map(|layer| measured(layer).unwrap_or_else(|| own(layer))).sum()
    }

    fn declared_bps(&self, layer: usize) -> u64 {
        Some(self.layers[layer].declared_bps).filter(|&bps| bps > 0).unwrap_or(UNKNOWN_BPS)
    }

    /// The lowest temporal layer of a layer that has `fps` frames per second; all when it is not known, or 0.
    pub fn temporal_for(&self, layer: u8, fps: u32) -> u8 {
        let state = self.layers.get(usize::from(layer));
        state.and_then(|state| state.frames.layer_for(fps)).unwrap_or(TEMPORAL_LAYERS - 1)
    }

    /// Bits per second of the best layer that a viewer has use for, announced or sent.
    pub fn best_bitrate_bps(&self, viewer: &Viewer) -> u64 {
        let sent = |&layer: &usize| layer < self.announced || self.layers[layer].flows;
        (0..=self.useful(viewer))
            .filter(sent)
            .map(|layer| self.bitrate_bps(layer).max(self.layers[layer].declared_bps))
            .max()
            .unwrap_or(0)
    }

    /// Bits per second of the best layer that flows and that a viewer has use for.
    pub fn flowing_bitrate_bps(&self, viewer: &Viewer) -> u64 {
        let flowing = (0..=self.useful(viewer)).rev().find(|&layer| self.layers[layer].flows);
        flowing.map_or(0, |layer| self.bitrate_bps(layer))
    }

    /// Whether a viewer waits for a layer that is late, and sees nothing meanwhile.
    pub fn is_kept_waiting(&self, viewer: &Viewer) -> bool {
        viewer.forwarder.target().is_some_and(|layer| self.layers[usize::from(layer)].late) && !self.sees(viewer)
    }

    /// Whether the layer that a viewer is sent flows.
    pub fn sees(&self, viewer: &Viewer) -> bool {
        viewer.forwarder.current().is_some_and(|layer| self.layers[usize::from(layer)].flows)
    }

    /// Whether a keyframe is of use to one who begins to take this layer. One within a stream that its publisher does
    /// not send now begins with a keyframe anyway.
    pub fn may_begin(&self, layer: u8) -> bool {
        !self.is_layered() || !self.started || self.layers[usize::from(layer)].flows
    }

    /// Remembers since when each layer is wanted, and which silent ones nobody wants.
    pub fn note_wanted(&mut self, wanted: LayerSet, now: Instant) {
        self.wanted = wanted;
        for (number, layer) in (0u8..).zip(&mut self.layers) {
            layer.note_wanted(wanted.contains(number), self.started, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use origo_auth::NodeId;
    use origo_cascade_core::link::Flow;

    use super::super::forward::Forwarder;
    use super::super::layer::{RETRY, SILENCE};
    use super::*;

    fn track(origin: Origin) -> Track {
        let sid = "TR_abcdefghjkmn".parse().unwrap();
        Track::new(sid, origin, MediaKind::Video, "video/VP8", &[150_000, 500_000, 1_700_000])
    }

    fn local() -> Track {
        track(Origin::Local { session: SessionId(1), peer: 0 })
    }

    #[test]
    fn keyframe_requests_are_merged_within_half_a_second() {
        let now = Instant::now();
        let ms = |ms| now + Duration::from_millis(ms);
        let mut track = local();
        assert!(track.layers[0].want_keyframe(ms(0)));
        assert!(!track.layers[0].want_keyframe(ms(10)));
        assert!(track.layers[1].want_keyframe(ms(10)), "each layer by itself");
        assert!(!track.due_keyframe(0, ms(499)));
        assert!(track.due_keyframe(0, ms(500)), "the merged wish is made good");
        assert!(!track.due_keyframe(0, ms(1_200)), "once");
    }

    #[test]
    fn requests_that_bring_nothing_are_spaced_ever_wider() {
        let now = Instant::now();
        let mut track = local();
        let asks = |track: &mut Track, from: u64, to: u64| -> Vec<u64> {
            (from..to).step_by(100).filter(|ms| track.want_keyframe(0, now + Duration::from_millis(*ms))).collect()
        };
        assert_eq!(asks(&mut track, 0, 16_000), [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500]);
        let packet = packet_at(1, now + Duration::from_secs(16));
        track.layers[0].came(&packet, None, packet.arrived);
        assert_eq!(asks(&mut track, 19_500, 21_000)[..2], [19_500, 20_000], "an answer starts anew");
    }

    #[test]
    fn a_layer_that_no_keyframe_mends_in_time_gives_way_and_is_tried_again() {
        let now = Instant::now();
        let ms = |ms| now + Duration::from_millis(ms);
        let mut far = track(Origin::Link { publisher: "PA_abcdefghjkmn".parse().unwrap(), sibling: None });
        far.take(2, packet_at(1, now), now);
        far.layers[2].breaks(now);
        assert!(!far.find_silent(ms(200)), "a keyframe gets its time");
        assert!(far.find_silent(ms(250)));
        far.take(2, packet_at(2, ms(260)), ms(260));
        assert!(!far.layers[2].flows, "what comes of it is of no use");
        assert!(!far.can_flow(2) && !far.can_flow(1) && far.can_flow(0), "the lowest is the likeliest to come");
        far.take(0, packet_at(1, ms(300)), ms(300));
        assert!(far.layers[0].flows);
        assert!(far.bar_silent(ms(250) + RETRY), "viewers think again");
        assert!(far.can_flow(2) && far.can_flow(1));
    }

    #[test]
    fn a_camera_whose_frames_stay_away_is_silent_sooner_than_a_screen() {
        let now = Instant::now();
        let ms = |ms| now + Duration::from_millis(ms);
        let name = "TR_abcdefghjkmn".parse().unwrap();
        for (screen, silent_after) in [(false, 625), (true, 1_500)] {
            let mut track = local();
            track.viewers.push(Viewer::new(SessionId(2), name, 1, Forwarder::new(Codec::Vp8, false), screen));
            let frames = (0..60).map(|frame| frame * 1_000 / 24);
            frames.for_each(|at| track.layers[0].came(&packet_at(1 + at, ms(at)), Some(0), ms(at)));
            let last = 59 * 1_000 / 24;
            assert!(!track.find_silent(ms(last + silent_after - 10)), "{screen}");
            assert!(track.find_silent(ms(last + silent_after + 60)), "{screen}");
        }
    }

    #[test]
    fn a_layer_that_is_held_back_while_others_are_sent_is_not_asked_for() {
        let now = Instant::now();
        let mut track = local();
        track.started = true;
        track.layers[0].came(&packet_at(1, now), None, now);
        assert!(!track.want_keyframe(2, now), "it begins with a keyframe when it is sent again");
        assert!(track.want_keyframe(0, now));
        track.layers[2].came(&packet_at(1, now), None, now);
        assert!(track.want_keyframe(2, now));
    }

    fn packet_at(sequence: u64, arrived: Instant) -> Packet {
        let (marker, key, redundant, skipped) = (true, false, false, 0);
        let (extensions, payload) = (Default::default(), [0x10, 0x01].into());
        Packet { sequence, timestamp: 0, marker, key, redundant, skipped, extensions, payload, arrived }
    }

    #[test]
    fn a_gap_that_nobody_repairs_asks_for_a_keyframe_of_a_layer_that_is_taken() {
        let now = Instant::now();
        let mut track = local();
        let later = now + Duration::from_secs(1);
        let lose = |track: &mut Track, sequence| {
            for sequence in [sequence, sequence + 2] {
                track.take(0, packet_at(sequence, now), now);
            }
        };
        lose(&mut track, 100);
        assert!(!track.due_keyframe(0, later), "nobody takes it");

        track.layers[0].serves.push((NodeId([1; 16]), Flow(1)));
        lose(&mut track, 103);
        assert!(!track.due_keyframe(0, now), "a repair gets its time");
        assert!(track.due_keyframe(0, later));
    }

    #[test]
    fn a_local_layer_flows_while_packets_come_and_a_far_one_gets_its_chance() {
        let now = Instant::now();
        let viewer =
            Viewer::new(SessionId(2), "TR_abcdefghjkmn".parse().unwrap(), 1, Forwarder::new(Codec::Vp8, false), false);
        assert_eq!(local().demand(&viewer).bitrates_bps, [None; 3]);

        let mut far = track(Origin::Link { publisher: "PA_abcdefghjkmn".parse().unwrap(), sibling: None });
        assert_eq!(far.demand(&viewer).bitrates_bps, [Some(150_000), Some(500_000), Some(1_700_000)]);
        far.note_wanted(LayerSet::only(2), now);
        let later = now + SILENCE;
        assert!(far.bar_silent(later));
        assert_eq!(far.demand(&viewer).bitrates_bps, [Some(150_000), Some(500_000), None]);
        assert!(far.bar_silent(later + RETRY));
        assert!(far.demand(&viewer).bitrates_bps[2].is_some());
    }
}
