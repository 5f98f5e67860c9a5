//! The newest packets of a track, kept once for all of its viewers, so that what one of them lost can be sent again.

use origo_cascade_core::link::Packet;

use super::track::{LAYERS, Track};

/// Packets that are kept: some seconds of a picture.
const KEPT: u32 = 1_024;

/// Where a packet is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Number of the track.
    pub track: u32,
    /// The track's ring: numbers of tracks are given again.
    pub ring: u32,
    /// Which packet.
    pub slot: u32,
}

impl Kept {
    /// Where the packet is that came so many packets later.
    pub fn plus(self, packets: u32) -> Self {
        Self { slot: self.slot.wrapping_add(packets), ..self }
    }
}

impl Track {
    /// Keeps the packets of the current burst. Gives where the first of each layer is. `rings` counts the rings there
    /// ever were.
    pub fn keep(&mut self, index: usize, rings: &mut u32) -> [Kept; LAYERS] {
        if self.ring.id == 0 {
            *rings += 1;
            self.ring = Ring::new(*rings);
        }
        let ring = &mut self.ring;
        self.layers.each_ref().map(|layer| {
            let first = Kept { track: index as u32, ring: ring.id, slot: ring.next };
            for queued in &layer.burst {
                ring.push(&queued.packet);
            }
            first
        })
    }
}

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    id: u32,
    packets: Vec<Packet>,
    next: u32,
}

impl Ring {
    /// An empty ring by a name of its own, which is not 0.
    pub fn new(id: u32) -> Self {
        Self { id, packets: Vec::new(), next: 0 }
    }

    /// Keeps a packet in place of the oldest. Gives its slot.
    pub fn push(&mut self, packet: &Packet) -> u32 {
        let slot = self.next;
        self.next = self.next.wrapping_add(1);
        match self.packets.get_mut((slot % KEPT) as usize) {
            Some(place) => place.clone_from(packet),
            None => self.packets.push(packet.clone()),
        }
        slot
    }

    /// A packet, if it is kept still.
    pub fn get(&self, kept: Kept) -> Option<&Packet> {
        let age = self.next.wrapping_sub(kept.slot);
        let is_there = kept.ring == self.id && age > 0 && age <= KEPT;
        self.packets.get((kept.slot % KEPT) as usize).filter(|_| is_there)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn packet(sequence: u64) -> Packet {
        Packet {
            sequence,
            timestamp: 0,
            marker: false,
            key: false,
            redundant: false,
            skipped: 0,
            extensions: Default::default(),
            payload: [1].into(),
            arrived: Instant::now(),
        }
    }

    #[test]
    fn the_newest_packets_are_kept_and_no_ring_answers_for_another() {
        let mut ring = Ring::new(3);
        let slots: Vec<u32> = (0..KEPT as u64 + 10).map(|sequence| ring.push(&packet(sequence))).collect();
        let kept = |at: usize| Kept { track: 0, ring: 3, slot: slots[at] };
        assert!(ring.get(kept(9)).is_none(), "another has its place");
        assert_eq!(ring.get(kept(10)).unwrap().sequence, 10);
        assert_eq!(ring.get(kept(1_033)).unwrap().sequence, 1_033);
        assert!(ring.get(Kept { ring: 4, ..kept(20) }).is_none());
        assert!(ring.get(Kept { slot: 1_034, ..kept(20) }).is_none(), "it is still to come");
    }
}
