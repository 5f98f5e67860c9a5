//! Which layers of a track are taken, by viewers here and by peers, and for whom.

use origo_cascade_core::LayerSet;

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
    /// count: the keyframe with which a peer begins to serve would be lost on it.
    pub fn watched(&self) -> LayerSet {
        let able = self.viewers.iter().filter(|viewer| viewer.stream.is_some());
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
