//! The last second of a layer, for peers that come from a parent that failed: what they missed is sent once more.

use std::collections::VecDeque;
use std::time::Duration;

use super::kept::Kept;
use crate::link::{Class, Packet};

/// How long a packet is kept. A parent's failure is noticed within 300 ms, and the new one asked within a round trip.
pub(super) const KEEPS: Duration = Duration::from_secs(1);
/// The same, ns.
const KEEPS_NS: u64 = KEEPS.as_nanos() as u64;
/// Packets kept of one layer: a second of 20 Mb/s.
const PACKETS_MAX: usize = 2048;
/// Packets of one piece of memory: as many as come grow nothing that has to be copied, and what is let go of serves the
/// next layer.
const BLOCK: usize = 16;
/// Old ones are let go of together this often, ns: their memory has long left the processor's cache, and is fetched
/// faster in a row.
const TIDIES_EVERY: u64 = 250_000_000;

/// What came of a layer lately, each packet once, in the order in which it came. Payloads are shared with all who send
/// them on. Time is that of the keeper's clock, ns.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Recent {
    /// The newest, up to [`BLOCK`].
    newest: Vec<Kept>,
    /// When the last packet came.
    newest_at: u64,
    tidies_at: u64,
    /// So many of the oldest block are let go of.
    gone: usize,
    /// Those before, a block each.
    older: VecDeque<Vec<Kept>>,
}

impl Recent {
    /// Keeps a packet that came at `came`.
    pub(super) fn push(&mut self, now: u64, came: u64, class: Class, packet: &Packet) {
        if now.saturating_sub(self.newest_at) > KEEPS_NS {
            self.clear();
        }
        self.newest_at = self.newest_at.max(now);
        if self.tidies_at <= now {
            self.tidies_at = now + TIDIES_EVERY;
            while self.oldest().is_some_and(|kept| kept.age(self.newest_at) > KEEPS_NS) {
                self.let_go();
            }
        }
        if self.older.len() * BLOCK + self.newest.len() - self.gone >= PACKETS_MAX {
            self.let_go();
        }
        if self.newest_at - came.min(self.newest_at) <= KEEPS_NS {
            self.keep(Kept::new(came, class, packet));
        }
    }

    fn keep(&mut self, kept: Kept) {
        if self.newest.len() == BLOCK {
            self.older.push_back(std::mem::take(&mut self.newest));
        }
        if self.newest.capacity() == 0 {
            self.newest.reserve_exact(BLOCK);
        }
        self.newest.push(kept);
    }

    fn clear(&mut self) {
        self.newest.clear();
        self.older.clear();
        self.gone = 0;
    }

    fn oldest(&self) -> Option<&Kept> {
        self.older.front().unwrap_or(&self.newest).get(self.gone)
    }

    /// Lets go of the oldest; what it holds goes with its block.
    fn let_go(&mut self) {
        self.gone += 1;
        if self.older.front().is_some_and(|block| block.len() == self.gone) {
            self.older.pop_front();
            self.gone = 0;
        } else if self.older.is_empty() && self.newest.len() == self.gone {
            self.clear();
        }
    }

    /// What came at `from` or later, and when.
    pub(super) fn since(&self, from: u64) -> impl Iterator<Item = (u64, &Kept)> {
        let age_max = KEEPS_NS.min(self.newest_at.saturating_sub(from));
        let kept = self.older.iter().flatten().chain(&self.newest).skip(self.gone);
        let ages = kept.map(|kept| (kept.age(self.newest_at), kept));
        let young = ages.filter(move |(age, _)| *age <= age_max && from <= self.newest_at);
        young.map(|(age, kept)| (self.newest_at.saturating_sub(age), kept))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

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
        let nanos = |at: Instant| (at - start).as_nanos() as u64;
        let push = |recent: &mut Recent, now: Instant, packet: &Packet| {
            recent.push(nanos(now), nanos(packet.arrived), Class::Base, packet);
        };
        let since = |recent: &Recent, from: Instant| -> Vec<(Class, Packet)> {
            let restore = |(came, kept): (u64, &Kept)| kept.restore(start + Duration::from_nanos(came));
            recent.since(nanos(from)).map(restore).collect()
        };
        for ms in 0..1500 {
            push(&mut recent, at(ms), &packet(at(ms), ms));
        }
        let numbers: Vec<u64> = since(&recent, start).iter().map(|(_, packet)| packet.sequence).collect();
        assert_eq!((numbers[0], numbers.len()), (499, 1001));
        assert_eq!(since(&recent, at(1400)).len(), 100);
        for number in 0..5000 {
            push(&mut recent, at(1500), &packet(at(1500), number));
        }
        assert_eq!(since(&recent, start).len(), PACKETS_MAX);
        assert_eq!(since(&recent, at(1501)).len(), 0);
        push(&mut recent, at(9000), &packet(at(8100), 1));
        push(&mut recent, at(9000), &packet(at(7999), 2));
        let kept: Vec<(Class, Packet)> = since(&recent, start);
        assert_eq!(kept, [(Class::Base, packet(at(8100), 1))], "the pause was longer than a second");
    }
}
