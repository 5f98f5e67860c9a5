//! What a track is made of: its kind, and the layers that can be carried apart.

use origo_auth::TrackSid;

/// Sound or picture: what a packet's class and deadlines hang on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    /// Opus and its like: small, steady, never paused.
    Audio,
    /// Frames with keyframes and layers.
    Video,
}

/// Layers of a track, 0 the lowest; a bit each. Audio and tracks without layers have layer 0 alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerSet(pub u8);

/// A track has at most three layers: streams of their own (rids `q`, `h`, `f`), or spatial layers within one stream.
pub const LAYERS_MAX: usize = 3;

impl LayerSet {
    /// No layer at all.
    pub const NONE: Self = Self(0);

    /// One layer alone.
    pub fn only(layer: u8) -> Self {
        Self(1 << layer)
    }

    /// A layer and all below it.
    pub fn up_to(layer: u8) -> Self {
        Self(((2_u16 << layer.min(7)) - 1) as u8)
    }

    /// These layers and one more.
    #[must_use]
    pub fn with(self, layer: u8) -> Self {
        Self(self.0 | 1 << layer)
    }

    /// Whether `layer` is among them.
    pub fn contains(self, layer: u8) -> bool {
        self.0 & (1 << layer) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The layers, lowest first.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..LAYERS_MAX as u8).filter(move |&layer| self.contains(layer))
    }
}

/// One layer of one track: what crosses a link at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackLayer {
    /// Which track.
    pub track: TrackSid,
    /// Which layer, 0 the lowest; of layers within one stream, the packets of this layer alone.
    pub layer: u8,
}
