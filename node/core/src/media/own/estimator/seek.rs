//! When it is worth looking for more, and how much: while the client gets less than it has use for.

use super::probe::Finding;

/// After a fall the way is left alone for this long: queues empty, layers change.
const REST_US: u64 = 1_000_000;
/// How long it takes to the next look, by how many have found nothing in a row. A viewer is to see within 10 s that its
/// way has become wider, and each look costs a moment's queue where it has not.
const SPACINGS_US: [u64; 3] = [1_500_000, 2_000_000, 3_000_000];
/// How much of what is believed a look tries, in percent: where nothing more fits, its 50 ms make a queue of 25.
const TRIED_PERCENT: u64 = 150;
/// A way that carries this much more than was believed, in percent, has become another one, even if it was full.
const MUCH_PERCENT: u64 = 130;
/// What carries this much more than was believed, in percent, may carry more still.
const FURTHER_PERCENT: u64 = 115;
/// Less than this more, in percent, comes by itself.
const MORE_PERCENT: u64 = 105;

/// When to look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seek {
    next_us: u64,
    in_vain: usize,
    looked: bool,
}

impl Seek {
    /// The rate at which to look now, if it is time.
    pub fn target_bps(&self, now_us: u64, believed_bps: u64, wish_bps: u64) -> Option<u64> {
        let is_worth_it = wish_bps * 100 > believed_bps * MORE_PERCENT;
        (is_worth_it && now_us >= self.next_us).then(|| wish_bps.min(believed_bps * TRIED_PERCENT / 100))
    }

    /// Whether nothing was looked for yet: the first look tells how a call may begin.
    pub fn is_first(&self) -> bool {
        !self.looked
    }

    /// A look found this, where so much was believed.
    pub fn found(&mut self, now_us: u64, finding: Finding, believed_bps: u64) {
        self.looked = true;
        match finding {
            Finding::Carries(bps) if bps * 100 > believed_bps * FURTHER_PERCENT => {
                (self.next_us, self.in_vain) = (now_us, 0)
            }
            Finding::Full(bps) if bps * 100 > believed_bps * MUCH_PERCENT => {
                (self.next_us, self.in_vain) = (now_us + SPACINGS_US[0], 1);
            }
            _ => {
                self.next_us = now_us + SPACINGS_US[self.in_vain.min(SPACINGS_US.len() - 1)];
                self.in_vain += 1;
            }
        }
    }

    /// The way was overrun.
    pub fn rest(&mut self, now_us: u64) {
        self.next_us = self.next_us.max(now_us + REST_US);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_looked_beyond_at_once_and_what_is_not_later_and_later() {
        let mut seek = Seek::default();
        assert_eq!(seek.target_bps(0, 400_000, 1_500_000), Some(600_000));
        seek.found(10, Finding::Carries(590_000), 400_000);
        assert_eq!(seek.target_bps(10, 1_100_000, 1_500_000), Some(1_500_000), "no more than there is use for");
        let mut now_us = 10;
        for spacing_us in [1_500_000, 2_000_000, 3_000_000, 3_000_000] {
            seek.found(now_us, Finding::Full(700_000), 790_000);
            now_us += spacing_us;
            assert_eq!(seek.target_bps(now_us - 1, 790_000, 1_500_000), None);
            assert!(seek.target_bps(now_us, 790_000, 1_500_000).is_some());
        }
        assert_eq!(seek.target_bps(now_us, 790_000, 800_000), None, "that comes by itself");
        seek.rest(now_us);
        assert_eq!(seek.target_bps(now_us + REST_US - 1, 790_000, 1_500_000), None);
    }
}
