//! A short run of packets at a higher rate than before, and what the client's clock says of it.
//!
//! Whatever leaves while it runs belongs to it, pictures and sound too: their transport-wide numbers follow on each other.

/// How long a run takes: a few frames of a picture, and a queue of a few packets where the way is half as wide.
const LASTS_US: u64 = 50_000;
/// The longest that it takes to have enough packets.
const LASTS_MAX_US: u64 = 200_000;
const PACKETS_MIN: u32 = 6;
/// The client tells of it within this much, or never.
const PATIENCE_US: u64 = 1_000_000;
/// So many of its bytes must come, in percent.
const CAME_PERCENT: u64 = 80;
/// Where it takes longer to come than it took to leave, by this many percent and this much, the way was full.
const FULL_PERCENT: u64 = 110;
const FULL_US: u64 = 4_000;
/// What is taken of a full way, in percent.
const SHARE_PERCENT: u64 = 95;
/// What a burst that leaves meanwhile shows does not count beyond so much of the target, in percent.
const BEYOND_PERCENT: u64 = 125;
/// It cannot come so much faster than it went, in times, but by a clock that lies.
const FASTER_MAX: u64 = 2;

/// A run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub target_bps: u64,
    begun_us: u64,
    /// Numbers of its first packet and of the first after it.
    first: u64,
    end: Option<u64>,
    ended_us: u64,
    bytes: u64,
    packets: u32,
    came: Came,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Came {
    packets: u32,
    bytes: u64,
    first_sent_us: u64,
    /// When the newest was sent, and its bytes.
    last_sent: (u64, u64),
    /// When the first came, and its bytes.
    first_came: (i64, u64),
    last_came_us: i64,
}

/// What a run says of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It carries this much at least.
    Carries(u64),
    /// It carries this much.
    Full(u64),
    /// Nothing: too little came, or at times that cannot be.
    Nothing,
}

impl Probe {
    /// Begins with the packet of this number.
    pub fn new(now_us: u64, target_bps: u64, first: u64) -> Self {
        Self {
            target_bps,
            begun_us: now_us,
            first,
            end: None,
            ended_us: 0,
            bytes: 0,
            packets: 0,
            came: Came::default(),
        }
    }

    /// Whether something is to be sent for it, beside what leaves by itself.
    pub fn wants(&self, now_us: u64) -> bool {
        let due = self.target_bps as u128 * u128::from(now_us.saturating_sub(self.begun_us)) / 8_000_000;
        self.end.is_none() && u128::from(self.bytes) <= due
    }

    /// Whether it is still being sent.
    pub fn runs(&self) -> bool {
        self.end.is_none()
    }

    /// A packet left.
    pub fn sent(&mut self, bytes: u64) {
        if self.end.is_none() {
            self.bytes += bytes;
            self.packets += 1;
        }
    }

    /// Whether a packet of this number belongs to it.
    pub fn holds(&self, number: u64) -> bool {
        number >= self.first && self.end.is_none_or(|end| number < end)
    }

    /// Ends it when it is time; `next` is the number of the next packet.
    pub fn end_when_due(&mut self, now_us: u64, next: u64) {
        let lasted_us = now_us.saturating_sub(self.begun_us);
        let is_enough = lasted_us >= LASTS_US && self.packets >= PACKETS_MIN;
        if self.end.is_none() && (is_enough || lasted_us >= LASTS_MAX_US) {
            (self.end, self.ended_us) = (Some(next), now_us);
        }
    }

    /// A packet of it came.
    pub fn came(&mut self, sent_us: u64, came_us: i64, bytes: u64) {
        let came = &mut self.came;
        if came.packets == 0 {
            *came = Came { first_sent_us: sent_us, first_came: (came_us, bytes), last_came_us: came_us, ..*came };
        }
        came.packets += 1;
        came.bytes += bytes;
        came.first_sent_us = came.first_sent_us.min(sent_us);
        came.last_sent = came.last_sent.max((sent_us, bytes));
        came.first_came = came.first_came.min((came_us, bytes));
        came.last_came_us = came.last_came_us.max(came_us);
    }

    /// What it says, once the client has told of packet `told`, or should have.
    pub fn finding(&self, now_us: u64, told: u64) -> Option<Finding> {
        let end = self.end?;
        let is_told = told + 1 >= end;
        let is_late = now_us.saturating_sub(self.ended_us) > PATIENCE_US;
        (is_told || is_late).then(|| self.judge().unwrap_or(Finding::Nothing))
    }

    fn judge(&self) -> Option<Finding> {
        let came = &self.came;
        if came.packets < PACKETS_MIN.min(self.packets) || came.bytes * 100 < self.bytes * CAME_PERCENT {
            return None;
        }
        let bps = |bytes: u64, us: u64| (bytes * 8_000_000).checked_div(us);
        let went_us = came.last_sent.0 - came.first_sent_us;
        let went_bps = bps(came.bytes - came.last_sent.1, went_us)?;
        let came_us = u64::try_from(came.last_came_us - came.first_came.0).ok()?;
        let came_bps = bps(came.bytes - came.first_came.1, came_us)?;
        if came_bps > went_bps * FASTER_MAX || came_us > PATIENCE_US {
            return None;
        }
        Some(if came_us > went_us * FULL_PERCENT / 100 + FULL_US {
            Finding::Full(came_bps * SHARE_PERCENT / 100)
        } else {
            Finding::Carries(came_bps.min(went_bps).min(self.target_bps * BEYOND_PERCENT / 100))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends for a probe each millisecond into a way of that rate which loses so many of ten. Gives what is found.
    fn find(target_bps: u64, way_bps: u64, lost_of_ten: u64) -> Finding {
        let (mut probe, mut next, mut free_us) = (Probe::new(0, target_bps, 7), 7, 0);
        for now_us in (0..400_000).step_by(1_000) {
            probe.end_when_due(now_us, next);
            while probe.wants(now_us) {
                probe.sent(1_000);
                free_us = now_us.max(free_us) + 8_000_000_000 / way_bps;
                if next % 10 >= lost_of_ten {
                    assert!(probe.holds(next));
                    probe.came(now_us, free_us as i64 - 90_000_000, 1_000);
                }
                next += 1;
            }
        }
        assert!(!probe.runs() && !probe.holds(next) && probe.finding(500_000, next - 3).is_none());
        probe.finding(500_000, next - 1).unwrap()
    }

    #[test]
    fn a_way_that_carries_it_is_told_from_one_that_does_not() {
        let Finding::Carries(bps) = find(2_000_000, 50_000_000, 0) else { panic!() };
        assert!((1_900_000..2_200_000).contains(&bps), "{bps}");
        let Finding::Full(bps) = find(2_000_000, 1_000_000, 0) else { panic!() };
        assert!((900_000..=1_000_000).contains(&bps), "{bps}");
        assert_eq!(find(2_000_000, 50_000_000, 4), Finding::Nothing);
    }

    #[test]
    fn a_client_that_says_nothing_or_lies_about_times_tells_nothing() {
        let mut probe = Probe::new(0, 1_000_000, 0);
        (0..10).for_each(|_| probe.sent(1_000));
        probe.end_when_due(LASTS_US, 10);
        assert_eq!(probe.finding(LASTS_US, 4), None);
        assert_eq!(probe.finding(LASTS_US + PATIENCE_US + 1, 4), Some(Finding::Nothing));
        (0..10).for_each(|number| probe.came(number * 5_000, -(number as i64), 1_000));
        assert_eq!(probe.finding(LASTS_US, 9), Some(Finding::Nothing));
    }
}
