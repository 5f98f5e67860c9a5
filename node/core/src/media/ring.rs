//! The newest packets of a track, kept once for all of its viewers, so that what one of them lost can be sent again.
//!
//! Payloads are most of what a node has in memory, so that only those are kept that somebody may still ask for.

use std::collections::VecDeque;
use std::time::Duration;

use origo_cascade_core::link::Packet;

use super::track::{LAYERS, Track};

/// The most packets that are kept.
const KEPT: u32 = 1_024;
/// So many are kept whatever their age, and all that came less than so long ago: viewers remember as many, and for no longer,
/// how a packet left that may have waited for its turn.
const KEPT_MIN: (u32, Duration) = (64, Duration::from_secs(2));

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
    /// The newest is the last.
    packets: VecDeque<Packet>,
    next: u32,
}

impl Ring {
    /// An empty ring by a name of its own, which is not 0.
    pub fn new(id: u32) -> Self {
        Self { id, packets: VecDeque::new(), next: 0 }
    }

    /// Keeps a packet, and no longer what nobody asks for any more. Gives its slot.
    pub fn push(&mut self, packet: &Packet) -> u32 {
        let is_old = |oldest: &Packet| packet.arrived.saturating_duration_since(oldest.arrived) >= KEPT_MIN.1;
        let (fewest, most) = (KEPT_MIN.0 as usize, KEPT as usize);
        while self.packets.len() >= most || self.packets.len() >= fewest && self.packets.front().is_some_and(is_old) {
            self.packets.pop_front();
        }
        let slot = self.next;
        self.next = self.next.wrapping_add(1);
        self.packets.push_back(packet.clone());
        slot
    }

    /// A packet, if it is kept still.
    pub fn get(&self, kept: Kept) -> Option<&Packet> {
        let age = self.next.wrapping_sub(kept.slot) as usize;
        let place = self.packets.len().checked_sub(age)?;
        self.packets.get(place).filter(|_| kept.ring == self.id)
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

    /// Keeps packets of some seconds at that rate; gives how many are kept then.
    fn kept(ring: &mut Ring, start: Instant, from_ms: u64, per_second: u64, seconds: u64) -> usize {
        for at in 0..per_second * seconds {
            let arrived = start + Duration::from_millis(from_ms + at * 1_000 / per_second);
            ring.push(&Packet { arrived, ..packet(at) });
        }
        ring.packets.len()
    }

    #[test]
    fn what_is_kept_follows_the_rate_of_the_track() {
        let (mut ring, start) = (Ring::new(3), Instant::now());
        assert_eq!(kept(&mut ring, start, 0, 5, 10), 50, "a slide");
        assert_eq!(kept(&mut ring, start, 10_000, 20, 10), 64, "a thumbnail");
        assert_eq!(kept(&mut ring, start, 20_000, 200, 10), 400, "a camera");
        assert_eq!(kept(&mut ring, start, 30_000, 2_000, 10), 1_024, "a shared screen that moves");
        assert_eq!(kept(&mut ring, start, 40_000, 20, 10), 64, "what it needs no more is given back");
        let newest = Kept { track: 0, ring: 3, slot: ring.next - 1 };
        assert_eq!(ring.get(newest).map(|packet| packet.sequence), Some(199));
        assert!(ring.get(Kept { slot: newest.slot - 63, ..newest }).is_some());
        assert!(ring.get(Kept { slot: newest.slot - 64, ..newest }).is_none());
    }
}
