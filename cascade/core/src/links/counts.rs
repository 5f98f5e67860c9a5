//! How much passes here of each layer, told a few times a second: who takes it elsewhere can compare.

use origo_auth::NodeId;

use super::layer::Incoming;
use super::machine::Links;
use crate::TrackLayer;
use crate::link::{Flow, Packet};

/// What came of a layer so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets; wraps.
    pub packets: u32,
    /// The newest RTP number.
    pub newest: u16,
    /// The loudest of the sound since the last count, -dBov (0 is the loudest), if its packets say so.
    pub loudest: Option<u8>,
}

/// What has changed since the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What this node's workers send, each packet once, however many take it.
    pub sent: Vec<(TrackLayer, Count)>,
    /// What peers send, by peer and our number.
    pub received: Vec<(NodeId, Flow, Count)>,
}

/// Packets as they are counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    packets: u32,
    told: u32,
    newest: u64,
    loudest: Option<u8>,
}

impl Tally {
    /// A packet comes.
    pub(super) fn take(&mut self, packet: &Packet) {
        self.packets = self.packets.wrapping_add(1);
        self.newest = self.newest.max(packet.sequence);
        if let Some((level, _)) = packet.extensions.audio_level {
            self.loudest = Some(self.loudest.map_or(level, |loudest| loudest.min(level)));
        }
    }

    /// The count, if it has changed since the last.
    fn take_count(&mut self) -> Option<Count> {
        let Self { packets, newest, .. } = *self;
        let loudest = self.loudest.take();
        let has_changed = std::mem::replace(&mut self.told, packets) != packets;
        has_changed.then_some(Count { packets, newest: newest as u16, loudest })
    }
}

impl Links {
    /// What has changed since the last counts.
    pub(super) fn counts(&mut self) -> Counts {
        let mut counts = Counts::default();
        for layer in self.layers.iter_mut() {
            counts.sent.extend(layer.tally.take_count().map(|count| (layer.id, count)));
        }
        for Incoming { link, flow, tally, .. } in self.incoming.iter_mut() {
            counts.received.extend(tally.take_count().map(|count| (self.links[*link].node, *flow, count)));
        }
        counts
    }
}
