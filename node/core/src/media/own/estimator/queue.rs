//! How much longer packets take than the way without a queue, and whether that queue is ours.

/// A moment: in each there are some packets of a picture.
const MOMENT_US: i64 = 50_000;
/// The least of so many spans counts as the way without a queue.
const SPAN_US: i64 = 2_000_000;
const SPANS: usize = 10;
/// A queue of our own is gone so long after less is sent. One that stands longer, while nothing is lost, is somebody
/// else's: a download fills it whatever we send.
const EMPTIES_US: u64 = 2_000_000;
/// A queue that stands, and one that is gone.
const STANDS_US: u64 = 25_000;
const GONE_US: u64 = 10_000;

/// The queue as one client's clock shows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// The least relative delay of this moment and the one before.
    moments: [Option<i64>; 2],
    /// When they began; none before the first packet.
    moment_at_us: Option<i64>,
    spans: [Option<i64>; SPANS],
    span: usize,
    span_at_us: Option<i64>,
    /// When less was sent because of it for the first time.
    answered_us: Option<u64>,
    foreign: bool,
}

impl Queue {
    /// A packet came.
    pub fn came(&mut self, sent_us: u64, came_us: i64) {
        let delay_us = came_us - sent_us as i64;
        if came_us - *self.moment_at_us.get_or_insert(came_us) >= MOMENT_US {
            self.moments = [None, self.moments[0]];
            self.moment_at_us = Some(came_us);
        }
        if came_us - *self.span_at_us.get_or_insert(came_us) >= SPAN_US {
            self.span = (self.span + 1) % SPANS;
            self.spans[self.span] = None;
            self.span_at_us = Some(came_us);
        }
        let least = |of: &mut Option<i64>| *of = Some(of.map_or(delay_us, |least| least.min(delay_us)));
        least(&mut self.moments[0]);
        least(&mut self.spans[self.span]);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Microseconds that every packet of the last moments waited somewhere.
    pub fn us(&self) -> u64 {
        let now = self.moments.iter().flatten().min();
        let base = self.spans.iter().flatten().min();
        now.zip(base).map_or(0, |(now, base)| now.saturating_sub(*base).max(0) as u64)
    }

    /// Whether there is one.
    pub fn stands(&self) -> bool {
        self.us() >= STANDS_US
    }

    /// Less is sent because of it.
    pub fn answered(&mut self, now_us: u64) {
        self.answered_us.get_or_insert(now_us);
    }

    /// Thinks over whose it is. `loses` when something is lost.
    pub fn judge(&mut self, now_us: u64, loses: bool) {
        if self.us() < GONE_US {
            self.answered_us = None;
        }
        let stood = self.answered_us.is_some_and(|at_us| now_us.saturating_sub(at_us) >= EMPTIES_US);
        self.foreign = self.answered_us.is_some() && !loses && (self.foreign || stood && self.stands());
    }

    /// Whether somebody else made it.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come(queue: &mut Queue, from: u64, to: u64, late: impl Fn(u64) -> i64) -> u64 {
        for ms in from..to {
            queue.came(ms * 1_000, -7_000_000 + ms as i64 * 1_000 + late(ms));
        }
        queue.us()
    }

    #[test]
    fn what_one_packet_waits_is_no_queue_and_what_all_wait_is() {
        let mut queue = Queue::default();
        assert!(come(&mut queue, 0, 3_000, |ms| (ms % 9) as i64 * 4_000) < 1_000);
        assert!(come(&mut queue, 3_000, 3_200, |ms| 30_000 + (ms % 9) as i64 * 4_000) >= 29_000);
        assert!(come(&mut queue, 3_200, 3_400, |_| 0) < 1_000);
        assert!(come(&mut queue, 3_400, 33_400, |_| 80_000) < 1_000, "a way that has become longer");
    }

    #[test]
    fn a_queue_that_stands_whatever_is_sent_is_somebody_elses_until_it_is_gone() {
        let mut queue = Queue::default();
        come(&mut queue, 0, 1_000, |_| 0);
        come(&mut queue, 1_000, 1_200, |_| 60_000);
        queue.judge(EMPTIES_US * 2, false);
        assert!(!queue.is_foreign(), "nothing was tried");
        queue.answered(0);
        queue.judge(EMPTIES_US - 1, false);
        assert!(!queue.is_foreign(), "it may be ours");
        queue.judge(EMPTIES_US, true);
        assert!(!queue.is_foreign(), "it is full");
        queue.judge(EMPTIES_US, false);
        come(&mut queue, 1_200, 1_400, |_| 15_000);
        queue.judge(EMPTIES_US, false);
        assert!(queue.is_foreign());
        come(&mut queue, 1_400, 1_600, |_| 0);
        queue.judge(EMPTIES_US, false);
        assert!(!queue.is_foreign());
    }
}
