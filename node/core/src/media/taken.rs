//! Which layers of a track are taken, by viewers here and by peers, and for whom.

use origo_cascade_core::{LayerSet, MediaKind};

use super::codec::Codec;
use super::track::Track;
use super::viewer::Viewer;

impl Track {
    /// Whether its layers come within one stream, which is cut for those who take fewer.
    pub fn is_layered(&self) -> bool {
        self.announced > 1 && matches!(self.codec, Codec::Vp9 | Codec::Av1)
    }

    /// The stream that carries a layer.
    pub fn stream_of(&self, layer: u8) -> u8 {
        if self.is_layered() { 0 } else { layer }
    }

    /// The layers that local viewers take or are about to take. One whose client cannot take anything yet does not
    /// count: the keyframe with which a peer begins to serve would be lost on it. A sound that is not listed does: that it
    /// is loud shows when it comes.
    pub fn watched(&self) -> LayerSet {
        let able = self.viewers.iter().filter(|viewer| viewer.stream.is_some() || self.is_heard_for(viewer));
        let layers = able.flat_map(|viewer| {
            let late = self.is_kept_waiting(viewer).then_some(0);
            let own = [viewer.forwarder.current(), viewer.forwarder.target(), late];
            own.into_iter().flatten().chain(self.missed(viewer))
        });
        if self.is_layered() {
            return layers.max().map_or(LayerSet::NONE, LayerSet::up_to);
        }
        layers.fold(LayerSet::NONE, LayerSet::with)
    }

    /// Whether it is a sound that a viewer's client has no section for, and may have one once it is loud.
    fn is_heard_for(&self, viewer: &Viewer) -> bool {
        self.kind == MediaKind::Audio && viewer.unlisted
    }

    /// Whether a viewer is to go on with what is there, because it sees nothing, or nothing any more. Not with what flows
    /// above the layer that was chosen alone: its way was too narrow for that, and the lower one takes a moment to come.
    pub fn goes_on_with_what_flows(&self, viewer: &Viewer, useful: usize) -> bool {
        let chosen = viewer.forwarder.target().map_or(useful, |target| useful.min(target.into()));
        !self.is_layered() && !self.sees(viewer) && (0..=chosen).any(|layer| self.layers[layer].flows)
    }

    /// Layers behind a link that a viewer has use for and that were barred for their silence. They stay wanted, so that
    /// their keyframe is not missed when their publisher sends them again.
    fn missed(&self, viewer: &Viewer) -> impl Iterator<Item = u8> {
        let is_missed = |layer: usize| {
            let state = &self.layers[layer];
            state.barred_until.is_some() && !state.stalled && layer < self.announced
        };
        let far = !self.is_local() && !self.is_layered();
        let useful = (0..=self.useful(viewer)).filter(|&layer| far && is_missed(layer));
        useful.fold(LayerSet::NONE, |missed, layer| missed.with(layer as u8)).iter()
    }

    /// The layer for whose sake a keyframe of a stream is asked for: of layers within it the highest that a viewer waits
    /// for.
    pub fn awaited_layer(&self, stream: u8) -> u8 {
        let waiting = self.viewers.iter().filter(|viewer| self.is_layered() && viewer.forwarder.waits());
        waiting.filter_map(|viewer| viewer.forwarder.target()).max().unwrap_or(stream)
    }

    /// The layers that anybody takes: local viewers, peers, and other workers of this node.
    pub fn taken(&self) -> LayerSet {
        let served = (0u8..).zip(&self.layers).filter(|(_, layer)| !layer.serves.is_empty());
        let taken = served.fold(self.watched(), |taken, (layer, _)| taken.with(layer));
        self.siblings.iter().flat_map(|(_, layers)| layers.iter()).fold(taken, LayerSet::with)
    }

    /// Makes the temporal layers that viewers take what they have use for.
    pub fn choose_temporal(&mut self) {
        for number in 0..self.viewers.len() {
            let viewer = &self.viewers[number];
            let layer = viewer.forwarder.current().unwrap_or(0);
            let temporal = self.temporal_for(layer, viewer.settings.fps);
            self.viewers[number].forwarder.set_temporal(temporal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use origo_cascade_core::link::Packet;

    use super::super::forward::Forwarder;
    use super::super::track::Origin;
    use super::*;
    use crate::SessionId;

    fn far() -> Track {
        let origin = Origin::Link { publisher: "PA_abcdefghjkmn".parse().unwrap(), sibling: None };
        let sid = "TR_abcdefghjkmn".parse().unwrap();
        Track::new(sid, origin, MediaKind::Video, "video/VP8", &[100_000, 250_000, 1_200_000])
    }

    fn viewer(target: u8) -> Viewer {
        let mut forwarder = Forwarder::new(Codec::Vp8, false);
        forwarder.set_target(Some(target));
        Viewer::new(SessionId(2), "TR_abcdefghjkmn".parse().unwrap(), 1, forwarder, false)
    }

    fn come(track: &mut Track, layer: u8, sequence: u64, key: bool, now: Instant) {
        let (extensions, payload) = (Default::default(), [0x10, 0x01].into());
        let packet = Packet {
            sequence,
            timestamp: 0,
            marker: true,
            key,
            redundant: false,
            skipped: 0,
            extensions,
            payload,
            arrived: now,
        };
        track.take(layer, packet, now);
    }

    #[test]
    fn who_was_cut_off_does_not_climb_back_while_the_lower_layer_is_on_its_way() {
        let now = Instant::now();
        let mut track = far();
        come(&mut track, 2, 1, true, now);
        assert!(track.demand(&viewer(1)).bitrates_bps[1].is_some(), "it may wait for what was chosen");
        come(&mut track, 0, 1, true, now);
        assert_eq!(track.demand(&viewer(1)).bitrates_bps[1], None, "something lower is there meanwhile");
    }

    #[test]
    fn what_was_left_behind_in_a_publishers_queue_does_not_make_a_barred_layer_flow() {
        let now = Instant::now();
        let later = now + Duration::from_millis(300);
        let mut track = far();
        come(&mut track, 0, 1, true, now);
        come(&mut track, 1, 1, true, now);
        track.layers[1].flows = false;
        track.layers[1].barred_until = Some(now + Duration::from_secs(3));
        come(&mut track, 1, 2, false, later);
        assert!(!track.layers[1].flows && track.layers[1].barred_until.is_some());
        come(&mut track, 1, 3, true, later);
        assert!(track.layers[1].flows && track.layers[1].barred_until.is_none());
    }
}
