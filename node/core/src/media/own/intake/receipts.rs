//! When the packets of a connection came, by their transport-wide numbers, as the client's estimator wants to hear of it
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::media::own::feedback::TRANSPORT_FEEDBACK;

/// Between two reports.
const INTERVAL: Duration = Duration::from_millis(50);
/// So many packets are reported on at once, whenever that was.
const UNREPORTED_MAX: usize = 256;
/// What was reported on is remembered for so long, and no more of it than so many: a packet that comes late is told of
/// together with those around it.
const MEMORY_US: u64 = 500_000;
const MEMORY_MAX: usize = 1_024;
/// Numbers left out beyond this are a client that counts anew.
const JUMP: u64 = 1_000;
/// Numbers of one report.
const STATUSES_MAX: usize = 1_024;
/// Format of the report.
const FORMAT: u8 = 15;
/// Chunks and differences of one report.
const BYTES_MAX: usize = 1_000;
/// A step of the reference time, and of the differences, in microseconds.
const REFERENCE_US: u64 = 64_000;
const STEP_US: u64 = 250;
/// Packets that one chunk tells of: at most as a run, and as vectors of one and two bits.
const RUN_MAX: usize = 0x1fff;
const SINGLES: usize = 14;
const DOUBLES: usize = 7;

/// The packets of one connection.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// By number, ascending: when each came, in microseconds.
    came: VecDeque<(u64, u64)>,
    newest: Option<u64>,
    /// Where the next report begins, and what it will tell of that was not told before.
    next: u64,
    unreported: usize,
    reports: u8,
    reported_at: Option<Instant>,
    loss: Loss,
}

/// As RFC 3550 A.3 counts it.
#[derive(Debug, Default)]
struct Loss {
    first: Option<u64>,
    received: u64,
    /// Of the last time it was asked for: expected, received.
    before: (u64, u64),
}

impl Receipts {
    /// A packet came that nobody but the client can have sent.
    pub fn note(&mut self, number: u16, at_us: u64) {
        let number = self.extend(number);
        if self.newest.is_some_and(|newest| number > newest + JUMP) {
            self.came.clear();
            (self.next, self.unreported, self.loss) = (number, 0, Loss::default());
        }
        if self.came.back().is_none_or(|(last, _)| *last < number) {
            self.came.push_back((number, at_us));
        } else {
            let Err(place) = self.came.binary_search_by_key(&number, |(number, _)| *number) else { return };
            if place == 0 && self.came.len() >= MEMORY_MAX {
                return;
            }
            self.came.insert(place, (number, at_us));
        }
        if self.newest.is_none() || number < self.next {
            self.next = number;
        }
        self.newest = self.newest.max(Some(number));
        self.unreported += 1;
        self.loss.first.get_or_insert(number);
        self.loss.received += 1;
    }

    fn extend(&self, number: u16) -> u64 {
        // Far from zero, so that the first may be overtaken.
        let Some(newest) = self.newest else { return 1 << 32 | u64::from(number) };
        newest.saturating_add_signed((number.wrapping_sub(newest as u16) as i16).into())
    }

    /// When to [`Self::report`].
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let soon = self.reported_at.map_or(now, |at| at + INTERVAL);
        match self.unreported {
            0 => None,
            UNREPORTED_MAX.. => Some(now),
            _ => Some(soon),
        }
    }

    /// Adds a report on what came, if it is time to. False when it is not.
    pub fn report(&mut self, now: Instant, (sender, media): (u32, u32), compound: &mut Vec<u8>) -> bool {
        if self.due(now).is_none_or(|at| at > now) {
            return false;
        }
        let Some(newest) = self.newest else { return false };
        let from = self.next;
        let first = self.came.partition_point(|(number, _)| *number < from);
        let Some(&(_, first_us)) = self.came.get(first) else { return false };
        let reference = first_us / REFERENCE_US;
        let (mut statuses, mut deltas) = (Vec::new(), Vec::new());
        let mut last = (reference * REFERENCE_US / STEP_US) as i64;
        for &(number, at_us) in self.came.range(first..) {
            let lost = (number - from) as usize - statuses.len();
            let step = (at_us / STEP_US) as i64;
            let Ok(delta) = i16::try_from(step - last) else { break };
            let many = statuses.len() + lost;
            let is_full = many >= STATUSES_MAX || deltas.len() + many / DOUBLES * 2 > BYTES_MAX;
            if is_full && !statuses.is_empty() {
                break;
            }
            statuses.resize(statuses.len() + lost, 0);
            match u8::try_from(delta) {
                Ok(delta) => {
                    statuses.push(1);
                    deltas.push(delta);
                }
                Err(_) => {
                    statuses.push(2);
                    deltas.extend(delta.to_be_bytes());
                }
            }
            last = step;
        }
        self.next = from + statuses.len() as u64;
        let at = compound.len();
        compound.extend([0x80 | FORMAT, TRANSPORT_FEEDBACK, 0, 0]);
        [sender, media].into_iter().for_each(|word| compound.extend(word.to_be_bytes()));
        [from as u16, statuses.len() as u16].into_iter().for_each(|half| compound.extend(half.to_be_bytes()));
        compound.extend(((reference as u32) << 8 | u32::from(self.reports)).to_be_bytes());
        chunks(&statuses, compound);
        compound.extend(deltas);
        compound.resize(at + (compound.len() - at).next_multiple_of(4), 0);
        let words = ((compound.len() - at) / 4 - 1) as u16;
        compound[at + 2..at + 4].copy_from_slice(&words.to_be_bytes());
        self.reports = self.reports.wrapping_add(1);
        if self.next > newest {
            self.unreported = 0;
            self.reported_at = Some(now);
            self.forget();
        }
        true
    }

    fn forget(&mut self) {
        let newest_us = self.came.back().map_or(0, |(_, at_us)| *at_us);
        let is_old = |(_, at_us): &(u64, u64)| at_us + MEMORY_US < newest_us;
        while self.came.len() > MEMORY_MAX || self.came.front().is_some_and(is_old) {
            self.came.pop_front();
        }
    }

    /// Share of packets that were lost since this was last asked for; none when none was sent.
    pub fn loss(&mut self) -> Option<f32> {
        let expected = self.newest? - self.loss.first? + 1;
        let received = self.loss.received;
        let (expected_before, received_before) = std::mem::replace(&mut self.loss.before, (expected, received));
        let sent = expected.checked_sub(expected_before).filter(|sent| *sent > 0)?;
        Some(sent.saturating_sub(received - received_before) as f32 / sent as f32)
    }
}

/// Packs statuses: runs where they are alike, else vectors of one bit, or of two where a difference is large.
fn chunks(statuses: &[u8], compound: &mut Vec<u8>) {
    let mut rest = statuses;
    while let Some(&first) = rest.first() {
        let run = rest.iter().take(RUN_MAX).take_while(|status| **status == first).count();
        let singles = rest.iter().take(SINGLES).take_while(|status| **status < 2).count();
        let all = |count: usize, of: usize| count >= of.min(rest.len());
        let (told, word) = if run >= SINGLES || (run >= DOUBLES && !all(singles, SINGLES)) || all(run, RUN_MAX) {
            (run, u16::from(first) << 13 | run as u16)
        } else if all(singles, SINGLES) {
            let bit = |(at, status): (usize, &u8)| u16::from(*status) << (SINGLES - 1 - at);
            (singles, 0x8000 | rest.iter().take(SINGLES).enumerate().map(bit).sum::<u16>())
        } else {
            let bits = |(at, status): (usize, &u8)| u16::from(*status) << (2 * (DOUBLES - 1 - at));
            (DOUBLES.min(rest.len()), 0xc000 | rest.iter().take(DOUBLES).enumerate().map(bits).sum::<u16>())
        };
        compound.extend(word.to_be_bytes());
        rest = &rest[told..];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::media::own::feedback::{self, Feedback};

    /// What reports tell, as a client reads it: of each number whether it came, and when.
    fn read(compound: &[u8]) -> Vec<(u16, Option<i64>)> {
        let mut told = Vec::new();
        feedback::read(compound, |feedback| {
            let Feedback::Transport(report) = feedback else { panic!("{feedback:?}") };
            let numbers = (0..).map(|step| report.base.wrapping_add(step));
            told.extend(numbers.zip(report));
        });
        told
    }

    fn all(receipts: &mut Receipts, now: Instant) -> Vec<(u16, Option<i64>)> {
        let mut compound = Vec::new();
        while receipts.report(now, (1, 2), &mut compound) {}
        read(&compound)
    }

    #[test]
    fn a_report_tells_what_came_and_what_did_not() {
        let (mut receipts, now) = (Receipts::default(), Instant::now());
        assert_eq!(receipts.due(now), None);
        for (number, at_us) in [(65_534, 1_000_000), (65_535, 1_000_600), (1, 1_100_000), (2, 1_099_750)] {
            receipts.note(number, at_us);
        }
        assert_eq!(receipts.due(now), Some(now));
        let expected = [
            (65_534, Some(1_000_000)),
            (65_535, Some(1_000_500)),
            (0, None),
            (1, Some(1_100_000)),
            (2, Some(1_099_750)),
        ];
        assert_eq!(all(&mut receipts, now), expected);
        assert_eq!(all(&mut receipts, now + INTERVAL), []);

        receipts.note(4, 1_130_000);
        assert_eq!(receipts.due(now), Some(now + INTERVAL));
        assert_eq!(all(&mut receipts, now), [], "not yet");
        assert_eq!(all(&mut receipts, now + INTERVAL), [(3, None), (4, Some(1_130_000))]);
    }

    #[test]
    fn what_comes_late_is_told_with_those_around_it() {
        let (mut receipts, now) = (Receipts::default(), Instant::now());
        [(10, 0), (12, 500)].into_iter().for_each(|(number, at_us)| receipts.note(number, at_us));
        assert_eq!(all(&mut receipts, now), [(10, Some(0)), (11, None), (12, Some(500))]);
        receipts.note(11, 1_000);
        receipts.note(11, 2_000);
        assert_eq!(all(&mut receipts, now + INTERVAL), [(11, Some(1_000)), (12, Some(500))]);
    }

    #[test]
    fn much_at_once_is_told_at_once_and_in_packets_that_fit() {
        let (mut receipts, now) = (Receipts::default(), Instant::now());
        receipts.note(0, 0);
        assert_eq!(all(&mut receipts, now).len(), 1);
        (1..2_000_u16)
            .filter(|number| number % 3 > 0)
            .for_each(|number| receipts.note(number, u64::from(number) * 40_000));
        let mut compound = Vec::new();
        while receipts.report(now, (1, 2), &mut compound) {}
        let lengths: Vec<usize> = feedback::packets(&compound).map(<[u8]>::len).collect();
        assert!(lengths.iter().all(|length| *length < 1_100), "{lengths:?}");
        let told = read(&compound);
        assert_eq!(told.len(), 1_999);
        assert!(told.iter().all(|(number, came)| came.is_some() == (number % 3 > 0)));
    }

    #[test]
    fn who_counts_anew_is_followed() {
        let (mut receipts, now) = (Receipts::default(), Instant::now());
        receipts.note(5, 0);
        receipts.note(20_000, 1_000);
        assert_eq!(all(&mut receipts, now), [(20_000, Some(1_000))]);
        assert_eq!(receipts.loss(), Some(0.0));
    }

    #[test]
    fn loss_is_that_since_it_was_last_asked_for() {
        let mut receipts = Receipts::default();
        assert_eq!(receipts.loss(), None);
        (0..10).filter(|number| number % 2 == 0).for_each(|number| receipts.note(number, 0));
        assert_eq!(receipts.loss(), Some(4.0 / 9.0));
        assert_eq!(receipts.loss(), None);
        (9..19).for_each(|number| receipts.note(number, 0));
        assert_eq!(receipts.loss(), Some(0.0));
    }

    proptest! {
        #[test]
        fn a_client_reads_what_was_written(
            steps in proptest::collection::vec((1_u16..30, 0_u64..9_000_000, 0..8_u8), 1..300),
            start in any::<u16>(),
        ) {
            let (mut receipts, mut now) = (Receipts::default(), Instant::now());
            let (mut number, mut at_us, mut expected) = (start, 0, BTreeMap::new());
            let mut told = BTreeMap::new();
            for (step, passed, rest) in steps {
                number = number.wrapping_add(step);
                at_us += if rest == 0 { passed } else { passed % 3_000 };
                receipts.note(number, at_us);
                expected.insert(number, (at_us / STEP_US * STEP_US) as i64);
                if rest == 1 {
                    now += INTERVAL;
                    told.extend(all(&mut receipts, now));
                }
            }
            told.extend(all(&mut receipts, now + INTERVAL));
            let came: BTreeMap<u16, i64> = told.into_iter().filter_map(|(number, came)| Some((number, came?))).collect();
            prop_assert_eq!(came, expected);
        }
    }
}
