//! The last second of a layer, for peers that come from a parent that failed: what they missed is sent once more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::link::{Class, Packet};

/// How long a packet is kept. A parent's failure is noticed within 300 ms, and the new one asked within a round trip.
pub(super) const KEEPS: Duration = Duration::from_secs(1);
/// Packets kept of one layer: a second of 20 Mb/s.
const PACKETS_MAX: usize = 2048;

/// What came of a layer lately, each packet once, in the order in which it came. Payloads are shared with all who send
/// them on.
#[derive(Debug, Default)]
pub(super) struct Recent {
    packets: VecDeque<(Class, Packet)>,
}

impl Recent {
    /// Keeps a packet.
    pub(super) fn push(&mut self, now: Instant, class: Class, packet: Packet) {
        let is_old = |packet: &Packet| now.saturating_duration_since(packet.arrived) > KEEPS;
        while self.packets.front().is_some_and(|(_, first)| is_old(first)) || self.packets.len() >= PACKETS_MAX {
            self.packets.pop_front();
        }
        self.packets.push_back((class, packet));
    }

    /// What came at `from` or later.
    pub(super) fn since(&self, from: Instant) -> impl Iterator<Item = &(Class, Packet)> {
        self.packets.iter().filter(move |(_, packet)| packet.arrived >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_kept_and_no_more_than_so_many_packets() {
        let (start, mut recent) = (Instant::now(), Recent::default());
        let packet = |arrived, sequence| Packet {
            sequence,
            timestamp: 0,
            marker: false,
            key: false,
            redundant: false,
            skipped: 0,
            extensions: Default::default(),
            payload: [].into(),
            arrived,
        };
        let at = |ms| start + Duration::from_millis(ms);
        for ms in 0..1500 {
            recent.push(at(ms), Class::Base, packet(at(ms), ms));
        }
        let numbers: Vec<u64> = recent.since(start).map(|(_, packet)| packet.sequence).collect();
        assert_eq!((numbers[0], numbers.len()), (499, 1001));
        assert_eq!(recent.since(at(1400)).count(), 100);
        for number in 0..5000 {
            recent.push(at(1500), Class::Base, packet(at(1500), number));
        }
        assert_eq!(recent.since(start).count(), PACKETS_MAX);
    }
}
