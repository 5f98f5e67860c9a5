//! Where a packet stands in its stream: the layer of its frame, and who may begin with it.

use std::sync::Arc;
use std::time::Instant;

use origo_cascade_core::link::Packet;

use super::codec::Codec;
use super::descriptor::{Descriptor, Structure};
use super::egress::PADDING_MAX;
use super::track::LAYERS;
use super::vp8::Vp8;
use super::vp9::{Sizes, Vp9};

/// All temporal layers, counted; no codec has more.
pub(crate) const TEMPORAL_LAYERS: u8 = 8;

/// Where a packet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Spatial layer within the stream.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// First packet of a layer's frame.
    pub starts: bool,
    /// Last packet of a layer's frame.
    pub ends: bool,
    /// For each spatial layer, how many temporal layers of it one may take from this frame on, if one takes this frame
    /// anyway; 0 where it is no way in.
    pub switches: [u8; LAYERS],
    /// What the frame lets in that does not take it yet.
    pub begins: Begins,
}

/// A frame may be the first of its own layer that one takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    /// It refers to earlier frames of its layer.
    Nothing,
    /// It refers only to the spatial layer right below, at the same instant.
    SpatialLayer,
    /// It refers only to the lowest temporal layer.
    TemporalLayer,
}

impl Place {
    /// A stream of one layer.
    pub const ONLY: Self = Self {
        spatial: 0,
        temporal: 0,
        starts: true,
        ends: false,
        switches: [TEMPORAL_LAYERS, 0, 0],
        begins: Begins::Nothing,
    };

    /// The same in a stream whose spatial layers are not told apart.
    fn flat(self) -> Self {
        let begins = if self.begins == Begins::SpatialLayer { Begins::Nothing } else { self.begins };
        Self { spatial: 0, ends: false, switches: [self.switches[0], 0, 0], begins, ..self }
    }

    fn of_descriptor(read: &Descriptor) -> Self {
        let Descriptor { starts, ends, temporal, .. } = *read;
        let spatial = read.spatial.min(LAYERS as u8 - 1);
        Self { spatial, temporal, starts, ends, switches: read.switches(), begins: Begins::Nothing }
    }

    fn of_vp9(read: Vp9) -> Self {
        let spatial = read.spatial.min(LAYERS as u8 - 1);
        let mut switches = [0; LAYERS];
        if read.leads_up {
            switches[usize::from(spatial)] = TEMPORAL_LAYERS;
        }
        let begins = if read.predicted { Begins::Nothing } else { Begins::SpatialLayer };
        Self { spatial, temporal: read.temporal, starts: read.starts, ends: read.ends, switches, begins }
    }

    /// Clients that send dependency descriptors leave the temporal layer out of VP8's own.
    fn of_vp8(read: Vp8) -> Option<Self> {
        let (temporal, sync) = read.temporal?;
        let begins = if sync { Begins::TemporalLayer } else { Begins::Nothing };
        Some(Self { temporal, starts: read.starts, switches: [0; LAYERS], begins, ..Self::ONLY })
    }
}

/// A packet that waits to be routed, with all that viewers and links need to know of it.
#[derive(Debug)]
pub(crate) struct Queued {
    /// The packet.
    pub packet: Packet,
    /// When it was captured, on a clock that all layers of the track share.
    pub captured: Instant,
    /// Where it stands.
    pub place: Place,
    /// Its dependency descriptor, where it can be read.
    pub descriptor: Option<Descriptor>,
    /// How long the payloads of its picture are, if it is hardly shorter; its own length otherwise.
    pub even: u16,
}

/// Lets packets know how long those of their picture are, so that all leave alike.
pub(crate) fn even_out(burst: &mut [Queued]) {
    for picture in burst.chunk_by_mut(|one, next| one.packet.timestamp == next.packet.timestamp) {
        let longest = picture.iter().map(|queued| queued.packet.payload.len()).max().unwrap_or(0);
        let last = picture.len() - 1;
        for (at, queued) in picture.iter_mut().enumerate() {
            let own = queued.packet.payload.len();
            // The last one may be shorter: a send ends with it anyway.
            let is_alike = at < last && longest - own <= PADDING_MAX;
            queued.even = if is_alike { longest } else { own }.try_into().unwrap_or(u16::MAX);
        }
    }
}

impl Queued {
    /// One of a stream without layers.
    pub fn alone(packet: Packet, captured: Instant) -> Self {
        Self { packet, captured, place: Place::ONLY, descriptor: None, even: 0 }
    }
}

/// What is known of a stream's layers.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    structure: Option<Arc<Structure>>,
    /// The one before it, for packets that come late: ids of templates run on from one to the next.
    before: Option<Arc<Structure>>,
    /// Spatial layers in the stream, as its last keyframe said.
    pub spatial_layers: Option<usize>,
    /// How large each is.
    pub sizes: Sizes,
}

impl Reader {
    /// Finds out where a packet stands. `layered` when the stream carries spatial layers that are told apart.
    pub fn read(&mut self, codec: Codec, packet: &Packet, layered: bool) -> (Place, Option<Descriptor>) {
        if packet.payload.is_empty() {
            return (Place { starts: false, ..Place::ONLY }, None);
        }
        let bytes = packet.extensions.dependency.as_deref();
        let known = [self.structure.as_ref(), self.before.as_ref()];
        let descriptor = bytes.and_then(|bytes| known.into_iter().find_map(|known| Descriptor::parse(bytes, known)));
        if let Some(read) = descriptor.as_ref().filter(|read| read.brings_structure) {
            self.spatial_layers = Some(read.structure.spatial_layers());
            self.sizes = std::array::from_fn(|layer| read.structure.sizes.get(layer).copied());
            self.before = self.structure.replace(Arc::clone(&read.structure));
        }
        let of_vp8 = if codec == Codec::Vp8 { Vp8::parse(&packet.payload).and_then(Place::of_vp8) } else { None };
        let place = match (of_vp8, &descriptor, codec) {
            (Some(place), ..) => place,
            (None, Some(read), _) => Place::of_descriptor(read),
            (None, None, Codec::Vp9) => self.read_vp9(&packet.payload),
            (None, None, _) => Place::ONLY,
        };
        (if layered { place } else { place.flat() }, descriptor)
    }

    fn read_vp9(&mut self, payload: &[u8]) -> Place {
        let Some(read) = Vp9::parse(payload) else { return Place::ONLY };
        if let Some((layers, sizes)) = read.structure {
            (self.spatial_layers, self.sizes) = (Some(layers), sizes);
        }
        Place::of_vp9(read)
    }
}
