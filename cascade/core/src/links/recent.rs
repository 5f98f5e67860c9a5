//! The last second of a layer, for peers that come from a parent that failed: what they missed is sent once more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::kept::Kept;
use crate::link::{Class, Packet};

/// How long a packet is kept. A parent's failure is noticed within 300 ms, and the new one asked within a round trip.
pub(super) const KEEPS: Duration = Duration::from_secs(1);
/// The same, ns.
const KEEPS_NS: u64 = KEEPS.as_nanos() as u64;
/// Packets kept of one layer: a second of 20 Mb/s.
const PACKETS_MAX: usize = 2048;
/// Old ones are let go of together this often, ns: their memory has long left the processor's cache, and is fetched
/// faster in a row.
const TIDIES_EVERY: u64 = 250_000_000;

/// What came of a layer lately, each packet once, in the order in which it came. Payloads are shared with all who send
/// them on.
#[derive(Debug, Default)]
pub(super) struct Recent {
    packets: VecDeque<Kept>,
    /// Where its clock begins.
    begun: Option<Instant>,
    /// When the last packet came, ns by that clock.
    newest: u64,
    tidies_at: u64,
}

impl Recent {
    /// Keeps a packet.
    pub(super) fn push(&mut self, now: Instant, class: Class, packet: &Packet) {
        let begun = *self.begun.get_or_insert(now);
        let clock = nanos(begun, now);
        let came = if packet.arrived == now { clock } else { nanos(begun, packet.arrived) };
        if clock.saturating_sub(self.newest) > KEEPS_NS {
            self.packets.clear();
        }
        self.newest = self.newest.max(clock);
        if self.tidies_at <= clock {
            self.tidies_at = clock + TIDIES_EVERY;
            let old = self.packets.iter().take_while(|kept| kept.age(self.newest) > KEEPS_NS).count();
            self.packets.drain(..old);
        }
        if self.packets.len() >= PACKETS_MAX {
            self.packets.pop_front();
        }
        if self.newest - came.min(self.newest) <= KEEPS_NS {
            self.packets.push_back(Kept::new(came, class, packet));
        }
    }

    /// What came at `from` or later.
    pub(super) fn since(&self, from: Instant) -> impl Iterator<Item = (Class, Packet)> {
        self.begun.into_iter().flat_map(move |begun| {
            let age_max = KEEPS_NS.min(self.newest.saturating_sub(nanos(begun, from)));
            let ages = self.packets.iter().map(|kept| (kept.age(self.newest), kept));
            let young = ages.filter(move |(age, _)| *age <= age_max && nanos(begun, from) <= self.newest);
            young.map(move |(age, kept)| kept.restore(begun + Duration::from_nanos(self.newest.saturating_sub(age))))
        })
    }
}

fn nanos(begun: Instant, at: Instant) -> u64 {
    at.saturating_duration_since(begun).as_nanos() as u64
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
            recent.push(at(ms), Class::Base, &packet(at(ms), ms));
        }
        let numbers: Vec<u64> = recent.since(start).map(|(_, packet)| packet.sequence).collect();
        assert_eq!((numbers[0], numbers.len()), (499, 1001));
        assert_eq!(recent.since(at(1400)).count(), 100);
        for number in 0..5000 {
            recent.push(at(1500), Class::Base, &packet(at(1500), number));
        }
        assert_eq!(recent.since(start).count(), PACKETS_MAX);
        assert_eq!(recent.since(at(1501)).count(), 0);
        recent.push(at(9000), Class::Base, &packet(at(8100), 1));
        recent.push(at(9000), Class::Base, &packet(at(7999), 2));
        let kept: Vec<(Class, Packet)> = recent.since(start).collect();
        assert_eq!(kept, [(Class::Base, packet(at(8100), 1))], "the pause was longer than a second");
    }
}
