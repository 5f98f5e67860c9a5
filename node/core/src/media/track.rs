//! A track that passes through this worker: published here or behind a link, its layers, and who views it.

use std::time::{Duration, Instant};

use origo_auth::{NodeId, ParticipantSid, TrackSid};
use origo_cascade_core::link::{Flow, Packet};
use origo_cascade_core::{LayerSet, MediaKind};

use super::Redundancy;
use super::allocate::Demand;
use super::clock::LayerClock;
use super::codec::Codec;
use super::gaps::Gaps;
use super::redundancy::{Form, Forms, Needed};
use super::viewer::Viewer;
use crate::SessionId;

/// Simulcast layers of a track.
pub(crate) const LAYERS: usize = origo_cascade_core::layer::LAYERS_MAX;
/// The least time between two keyframe requests for one layer. A keyframe costs as much as a second of video.
const KEYFRAME_SPACING: Duration = Duration::from_millis(500);
/// A layer from which nothing came for this long does not flow.
const SILENCE: Duration = Duration::from_millis(1_500);
/// A viewer that waits this long for a silent layer behind a link gets the lowest one meanwhile. The first packet of a
/// layer that is sent takes a round trip between regions.
const LATE: Duration = Duration::from_millis(500);
/// A layer behind a link that stayed silent though it was wanted is not tried again for this long. Shorter than a
/// publisher goes on with a layer that it was asked for, so that one that needs its time to begin is found flowing.
const RETRY: Duration = Duration::from_secs(3);
/// Over how long a layer's rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(1);
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
    /// From another node.
    Link {
        /// Who publishes it there.
        publisher: ParticipantSid,
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
    /// What was last said: see [`super::Event::Want`] and [`super::Event::Demand`].
    pub wanted: LayerSet,
    /// In the list of tracks with packets to route.
    pub dirty: bool,
    /// The loudest that came since levels were last told: see [`super::Event::Levels`].
    pub level: Option<(u8, bool)>,
    /// What may be done with sound on its way.
    pub redundancy: Redundancy,
    /// The forms of a sound.
    pub forms: Forms,
    /// Where its publisher stands among the speakers of the room, the higher the more to the fore; 0 for one who has
    /// not spoken.
    pub speaker: u64,
}

/// One simulcast layer.
#[derive(Default)]
pub(crate) struct Layer {
    /// Packets of the current burst, to be routed, with when they were captured.
    pub burst: Vec<(Packet, Instant)>,
    /// SSRC of a local layer, 0 until seen.
    pub ssrc: u32,
    /// Captured times.
    pub clock: LayerClock,
    /// Newest sender report: NTP and RTP time.
    pub report: Option<(u64, u32)>,
    /// Peers that get each packet.
    pub serves: Vec<(NodeId, Flow)>,
    /// Width and height, as the last keyframe said.
    pub size: Option<(u16, u16)>,
    declared_bps: u64,
    newest: Option<Instant>,
    rate: Rate,
    gaps: Gaps,
    key_requested: Option<Instant>,
    key_pending: bool,
    /// Behind a link: since when it is wanted without a packet of it, and until when it is not tried again.
    wanted_since: Option<Instant>,
    barred_until: Option<Instant>,
    late: bool,
    flows: bool,
    /// It is silent and nobody took it: its publisher may have ceased to encode it for that reason.
    dozes: bool,
}

/// Bits per second over the last whole window.
#[derive(Default)]
struct Rate {
    window: Option<Instant>,
    bytes: u64,
    bps: Option<u64>,
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
            wanted: LayerSet::NONE,
            dirty: false,
            level: None,
            redundancy: Redundancy::default(),
            forms: Forms::default(),
            speaker: 0,
        };
        for (layer, &bps) in track.layers.iter_mut().zip(layer_bitrates_bps) {
            layer.declared_bps = bps.into();
        }
        track
    }

    /// Whether it is published here.
    pub fn is_local(&self) -> bool {
        matches!(self.origin, Origin::Local { .. })
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

    /// Takes a packet of a layer for the current burst. Says whether the layer began to flow with it.
    pub fn take(&mut self, layer: usize, mut packet: Packet, now: Instant) -> bool {
        packet.key = packet.key || self.codec.begins_keyframe(&packet.payload, packet.extensions.dependency.as_deref());
        let mut begins = !self.layers[layer].flows;
        if let Some((level, voice)) = packet.extensions.audio_level {
            self.level = Some(self.level.filter(|(loudest, _)| *loudest <= level).unwrap_or((level, voice)));
        }
        if begins && !self.layers.iter().any(|layer| layer.flows) {
            // The whole track was silent, so the silence of the other layers says nothing about them.
            self.layers.iter_mut().for_each(|layer| layer.barred_until = None);
        }
        let clock_rate = self.codec.clock_rate();
        let state = &mut self.layers[layer];
        if self.kind == MediaKind::Video {
            state.gaps.note(&packet, now);
        }
        if packet.key {
            state.key_pending = false;
            let size = self.codec.keyframe_size(&packet.payload).or(state.size);
            begins |= std::mem::replace(&mut state.size, size) != size;
        }
        state.flows = true;
        state.dozes = false;
        (state.wanted_since, state.late) = (None, false);
        state.newest = Some(now);
        state.rate.add(packet.payload.len(), now);
        let captured = state.clock.captured(packet.timestamp, clock_rate, packet.arrived);
        state.burst.push((packet, captured));
        begins
    }

    /// Layers that stopped flowing since the last call count as silent from now on. Says whether any did.
    pub fn find_silent(&mut self, now: Instant) -> bool {
        let mut any = false;
        for layer in self.layers.iter_mut().filter(|layer| layer.flows) {
            if layer.newest.is_none_or(|newest| now.saturating_duration_since(newest) > SILENCE) {
                layer.flows = false;
                layer.rate = Rate::default();
                any = true;
            }
        }
        any
    }

    /// Bars layers behind a link that were wanted for some time without a packet, and frees those that were barred long
    /// enough. Says whether it did either, or one is late, so that viewers think again.
    pub fn bar_silent(&mut self, now: Instant) -> bool {
        let mut any = false;
        for layer in &mut self.layers {
            let waited = layer.wanted_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
            if waited >= SILENCE {
                (layer.wanted_since, layer.late) = (None, false);
                layer.barred_until = Some(now + RETRY);
                any = true;
            } else if waited >= LATE && !layer.late {
                layer.late = true;
                any = true;
            } else if layer.barred_until.is_some_and(|until| until <= now) {
                layer.barred_until = None;
                any = true;
            }
        }
        any
    }

    /// What a viewer could get.
    pub fn demand(&self, viewer: &Viewer) -> Demand {
        let mut bitrates_bps = [None; LAYERS];
        let useful = self.useful(viewer);
        // Who sees nothing, or nothing any more, goes on with what is there.
        let flowing = !self.sees(viewer) && (0..=useful).any(|layer| self.layers[layer].flows);
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
        let sizes = std::array::from_fn(|layer| self.layers[layer].size);
        viewer.useful_layer(&sizes, self.layers_sent())
    }

    /// How many layers the publisher announced, or sends beyond that.
    fn layers_sent(&self) -> usize {
        (self.announced..LAYERS).rev().find(|&layer| self.layers[layer].flows).map_or(self.announced, |top| top + 1)
    }

    /// A local layer flows when packets of it come. One behind a link, or one that its publisher may have laid to rest,
    /// only comes when it is wanted, so it gets its chance first.
    fn can_flow(&self, layer: usize) -> bool {
        let state = &self.layers[layer];
        if state.flows || (self.is_local() && !state.dozes) {
            return state.flows;
        }
        layer < self.announced && state.barred_until.is_none()
    }

    /// Bits per second of a layer: measured, else declared.
    pub fn bitrate_bps(&self, layer: usize) -> u64 {
        let state = &self.layers[layer];
        let declared = if state.declared_bps > 0 { state.declared_bps } else { UNKNOWN_BPS };
        state.rate.bps.unwrap_or(declared)
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

    /// The layers that local viewers take or are about to take. One whose client cannot take anything yet does not
    /// count: the keyframe with which a peer begins to serve would be lost on it.
    pub fn watched(&self) -> LayerSet {
        let able = self.viewers.iter().filter(|viewer| viewer.stream.is_some());
        let layers = able.flat_map(|viewer| {
            let target = viewer.forwarder.target();
            let late = target.is_some_and(|layer| self.layers[usize::from(layer)].late) && !self.sees(viewer);
            [viewer.forwarder.current(), target, late.then_some(0)]
        });
        layers.flatten().fold(LayerSet::NONE, LayerSet::with)
    }

    /// Whether the layer that a viewer is sent flows.
    fn sees(&self, viewer: &Viewer) -> bool {
        viewer.forwarder.current().is_some_and(|layer| self.layers[usize::from(layer)].flows)
    }

    /// The layers that anybody takes: local viewers, and peers.
    pub fn taken(&self) -> LayerSet {
        let served = (0u8..).zip(&self.layers).filter(|(_, layer)| !layer.serves.is_empty());
        served.fold(self.watched(), |taken, (layer, _)| taken.with(layer))
    }

    /// Remembers since when each layer is wanted, and which silent ones nobody wants.
    pub fn note_wanted(&mut self, wanted: LayerSet, now: Instant) {
        self.wanted = wanted;
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let is_wanted = wanted.contains(index as u8);
            let awaited = is_wanted && !layer.flows && layer.barred_until.is_none();
            layer.wanted_since = awaited.then(|| layer.wanted_since.unwrap_or(now));
            layer.late &= awaited;
            layer.dozes |= self.started && !is_wanted && !layer.flows;
        }
    }

    /// Someone needs a keyframe of this layer: whether to ask for it right now. When one was asked for a moment ago,
    /// the wish is kept for [`Track::due_keyframe`].
    pub fn want_keyframe(&mut self, layer: usize, now: Instant) -> bool {
        let state = &mut self.layers[layer];
        if state.key_requested.is_some_and(|at| now.saturating_duration_since(at) < KEYFRAME_SPACING) {
            state.key_pending = true;
            return false;
        }
        state.key_requested = Some(now);
        state.key_pending = false;
        true
    }

    /// Whether a keyframe of this layer is to be asked for by now: a wish was kept, a viewer still waits for its first,
    /// or a packet that decoders need was not repaired in time.
    pub fn due_keyframe(&mut self, layer: usize, now: Instant) -> bool {
        let waits = |viewer: &Viewer| {
            viewer.stream.is_some() && viewer.forwarder.waits() && viewer.forwarder.target() == Some(layer as u8)
        };
        if self.layers[layer].gaps.give_up(now) && self.taken().contains(layer as u8) {
            self.layers[layer].key_pending = true;
        }
        let awaited =
            self.kind == MediaKind::Video && (self.layers[layer].key_pending || self.viewers.iter().any(waits));
        awaited && self.want_keyframe(layer, now)
    }
}

impl Rate {
    fn add(&mut self, bytes: usize, now: Instant) {
        let window = *self.window.get_or_insert(now);
        let elapsed = now.saturating_duration_since(window);
        if elapsed >= RATE_WINDOW {
            let bps = (self.bytes * 8 * 1_000_000) / (elapsed.as_micros() as u64).max(1);
            // Half old, half new: a keyframe does not make a layer look twice as dear.
            self.bps = Some(self.bps.map_or(bps, |old| old.midpoint(bps)));
            self.window = Some(now);
            self.bytes = 0;
        }
        self.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::forward::Forwarder;
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
        assert!(track.want_keyframe(0, ms(0)));
        assert!(!track.want_keyframe(0, ms(10)));
        assert!(track.want_keyframe(1, ms(10)), "each layer by itself");
        assert!(!track.due_keyframe(0, ms(499)));
        assert!(track.due_keyframe(0, ms(500)), "the merged wish is made good");
        assert!(!track.due_keyframe(0, ms(1_200)), "once");
    }

    #[test]
    fn a_gap_that_nobody_repairs_asks_for_a_keyframe_of_a_layer_that_is_taken() {
        let now = Instant::now();
        let mut track = local();
        let later = now + Duration::from_secs(1);
        let lose = |track: &mut Track, sequence| {
            for sequence in [sequence, sequence + 2] {
                let payload = [0x10, 0x01].into();
                let extensions = Default::default();
                let (marker, key, skipped, arrived) = (true, false, 0, now);
                let packet = Packet {
                    sequence,
                    timestamp: 0,
                    marker,
                    key,
                    redundant: false,
                    skipped,
                    extensions,
                    payload,
                    arrived,
                };
                track.take(0, packet, now);
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
        let viewer = Viewer::new(SessionId(2), 1, Forwarder::new(Codec::Vp8), false);
        assert_eq!(local().demand(&viewer).bitrates_bps, [None; 3]);

        let mut far = track(Origin::Link { publisher: "PA_abcdefghjkmn".parse().unwrap() });
        assert_eq!(far.demand(&viewer).bitrates_bps, [Some(150_000), Some(500_000), Some(1_700_000)]);
        far.note_wanted(LayerSet::only(2), now);
        let later = now + SILENCE;
        assert!(far.bar_silent(later));
        assert_eq!(far.demand(&viewer).bitrates_bps, [Some(150_000), Some(500_000), None]);
        assert!(far.bar_silent(later + RETRY));
        assert!(far.demand(&viewer).bitrates_bps[2].is_some());
    }
}
