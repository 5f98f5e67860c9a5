//! Counts what came of one layer: unique, lost, twice, out of order.

use serde::{Deserialize, Serialize};

/// Counters behind the newest within which a duplicate is told from a late packet.
const WINDOW: u32 = 4096;

/// What came of one layer of one track, by the counter in its packets.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    first: u32,
    newest: u32,
    /// Counters left out on purpose while another layer was sent.
    skipped: u64,
    counts: LayerCounts,
    /// A bit for each of the last [`WINDOW`] counters.
    seen: Vec<u64>,
}

/// Totals of one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerCounts {
    /// Different packets that came.
    pub unique: u64,
    /// Packets between the first and the newest that did not come, those of a time without this layer left out.
    pub lost: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a newer one.
    pub reordered: u64,
    /// Packets that came because they were asked for again.
    pub repaired: u64,
}

impl std::ops::Add for LayerCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            unique: self.unique + other.unique,
            lost: self.lost + other.lost,
            duplicates: self.duplicates + other.duplicates,
            reordered: self.reordered + other.reordered,
            repaired: self.repaired + other.repaired,
        }
    }
}

impl Ledger {
    /// Notes one packet. `resumed` when another layer was received since the last one of this: what lies between was
    /// left out on purpose.
    pub fn note(&mut self, counter: u32, resumed: bool) {
        if self.counts.unique == 0 {
            self.seen = vec![0; WINDOW as usize / 64];
            (self.first, self.newest) = (counter, counter);
            self.mark(counter);
            return;
        }
        let ahead = counter.wrapping_sub(self.newest) as i32;
        if ahead > 0 {
            self.skipped += if resumed { ahead as u64 - 1 } else { 0 };
            self.advance(counter, ahead as u32);
            self.mark(counter);
            return;
        }
        if ahead == 0 || (ahead.unsigned_abs() < WINDOW && self.is_marked(counter)) {
            self.counts.duplicates += 1;
            return;
        }
        self.counts.reordered += 1;
        if (counter.wrapping_sub(self.first) as i32) < 0 {
            self.first = counter;
        }
        self.mark(counter);
    }

    /// Notes a packet that was sent again; whether it was missing. One that had come is no fault of the path: it was late,
    /// or a probe of the server.
    pub fn repair(&mut self, counter: u32) -> bool {
        if self.counts.unique == 0 {
            return false;
        }
        let ahead = counter.wrapping_sub(self.newest) as i32;
        let behind = counter.wrapping_sub(self.first) as i32;
        if behind < 0 || ahead.unsigned_abs() >= WINDOW || (ahead <= 0 && self.is_marked(counter)) {
            return false;
        }
        if ahead > 0 {
            self.advance(counter, ahead as u32);
        }
        self.mark(counter);
        self.counts.repaired += 1;
        true
    }

    /// Totals so far.
    pub fn counts(&self) -> LayerCounts {
        if self.counts.unique == 0 {
            return self.counts;
        }
        let span = u64::from(self.newest.wrapping_sub(self.first)) + 1;
        LayerCounts { lost: span.saturating_sub(self.counts.unique + self.skipped), ..self.counts }
    }

    fn advance(&mut self, counter: u32, ahead: u32) {
        if ahead >= WINDOW {
            self.seen.fill(0);
        } else {
            for gone in 1..=ahead {
                let (word, bit) = slot(self.newest.wrapping_add(gone));
                self.seen[word] &= !bit;
            }
        }
        self.newest = counter;
    }

    fn mark(&mut self, counter: u32) {
        let (word, bit) = slot(counter);
        self.seen[word] |= bit;
        self.counts.unique += 1;
    }

    fn is_marked(&self, counter: u32) -> bool {
        let (word, bit) = slot(counter);
        self.seen[word] & bit != 0
    }
}

fn slot(counter: u32) -> (usize, u64) {
    let index = counter % WINDOW;
    ((index / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counters: impl IntoIterator<Item = u32>) -> LayerCounts {
        let mut ledger = Ledger::default();
        counters.into_iter().for_each(|counter| ledger.note(counter, false));
        ledger.counts()
    }

    #[test]
    fn loss_duplicates_and_order_are_told_apart() {
        let expected = LayerCounts { unique: 5, lost: 1, duplicates: 2, reordered: 1, repaired: 0 };
        assert_eq!(counts([10, 11, 13, 12, 12, 15, 15]), expected);
    }

    #[test]
    fn a_long_run_without_fault_shows_none() {
        let expected = LayerCounts { unique: 20_000, ..LayerCounts::default() };
        assert_eq!(counts((0..20_000).map(|i: u32| i.wrapping_sub(500))), expected);
    }

    #[test]
    fn what_was_left_out_for_another_layer_is_no_loss() {
        let mut ledger = Ledger::default();
        ledger.note(1, false);
        ledger.note(100, true);
        ledger.note(102, false);
        assert_eq!(ledger.counts(), LayerCounts { unique: 3, lost: 1, ..LayerCounts::default() });
    }

    #[test]
    fn a_repair_counts_once_and_only_when_it_was_missing() {
        let mut ledger = Ledger::default();
        assert!(!ledger.repair(9), "nothing has come yet");
        [10, 12].into_iter().for_each(|counter| ledger.note(counter, false));
        assert!(ledger.repair(11));
        assert!(!ledger.repair(11) && !ledger.repair(12) && !ledger.repair(5));
        assert!(ledger.repair(13), "the newest packet may be the one that was missed");
        ledger.note(14, false);
        assert_eq!(ledger.counts(), LayerCounts { unique: 5, repaired: 2, ..LayerCounts::default() });
    }

    #[test]
    fn a_leap_beyond_the_window_is_loss() {
        let expected = LayerCounts { unique: 2, lost: 9_999, ..LayerCounts::default() };
        assert_eq!(counts([0, 10_000]), expected);
    }
}
