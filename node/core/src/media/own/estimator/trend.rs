//! Whether packets take longer and longer: the slope of the one-way delay over groups of packets that left together.
//!
//! The draft draft-ietf-rmcat-gcc-02 (5.3 to 5.5) tells the idea, with a line fitted through the last groups in place of
//! its Kalman filter, as browsers do it.

/// Packets that leave within this much are one group: a frame.
const GROUP_US: u64 = 5_000;
/// Groups through which the line goes.
const POINTS: usize = 20;
/// How much of the smoothed delay is old.
const SMOOTHING: f32 = 0.9;
/// The slope, in milliseconds per millisecond, counts this much, times the groups seen so far, up to so many.
const GAIN: f32 = 4.0;
const GROUPS_MAX: u32 = 60;
/// Where the threshold begins, in milliseconds, and where it stays.
const THRESHOLD: f32 = 12.5;
const THRESHOLDS: (f32, f32) = (6.0, 600.0);
/// How fast the threshold follows the slope up and down, per millisecond. Slow up, so that a queue of our own is seen;
/// but up, so that beside TCP, which makes queues come and go, something is left to us.
const FOLLOWS: (f32, f32) = (0.0087, 0.039);
/// A slope this far above the threshold is a sudden change, to which the threshold does not get used.
const SUDDEN: f32 = 15.0;
/// The slope must be too high for this long.
const LASTS_US: u64 = 10_000;

/// What the slope says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Signal {
    /// Queues grow.
    Over,
    /// They stay as they are.
    #[default]
    Normal,
    /// They shrink.
    Under,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent_us: u64,
    last_sent_us: u64,
    first_came_us: i64,
    last_came_us: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    came_us: i64,
    delay_ms: f32,
}

/// The slope.
#[derive(Clone, Debug)]
pub(super) struct Trend {
    group: Option<Group>,
    before: Option<Group>,
    points: [Point; POINTS],
    count: u32,
    delay_ms: f32,
    smoothed_ms: f32,
    slope: f32,
    threshold: f32,
    /// For how long the slope has been too high, and over how many groups.
    over: Option<(u64, u32)>,
    signal: Signal,
}

impl Trend {
    /// Nothing was seen yet.
    pub fn new() -> Self {
        Self {
            group: None,
            before: None,
            points: [Point::default(); POINTS],
            count: 0,
            delay_ms: 0.0,
            smoothed_ms: 0.0,
            slope: 0.0,
            threshold: THRESHOLD,
            over: None,
            signal: Signal::Normal,
        }
    }

    /// What is to be thought now.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The next packet does not follow on the last one.
    pub fn cut(&mut self) {
        (self.group, self.before) = (None, None);
    }

    /// Begins anew, but for the threshold.
    pub fn clear(&mut self) {
        *self = Self { threshold: self.threshold, ..Self::new() };
    }

    /// A packet came, by the client's clock. In the order in which they were sent.
    pub fn came(&mut self, sent_us: u64, came_us: i64) {
        let fresh =
            Group { first_sent_us: sent_us, last_sent_us: sent_us, first_came_us: came_us, last_came_us: came_us };
        let Some(group) = &mut self.group else {
            self.group = Some(fresh);
            return;
        };
        if sent_us < group.first_sent_us {
            return;
        }
        // What waited somewhere and then came at once left together as far as anyone can tell.
        let is_burst = came_us - group.last_came_us <= GROUP_US as i64
            && came_us - group.last_came_us < sent_us as i64 - group.last_sent_us as i64
            && came_us - group.first_came_us < 100_000;
        if sent_us - group.first_sent_us <= GROUP_US || is_burst {
            group.last_sent_us = group.last_sent_us.max(sent_us);
            group.last_came_us = group.last_came_us.max(came_us);
            return;
        }
        let whole = *group;
        self.group = Some(fresh);
        if let Some(before) = self.before.replace(whole) {
            self.step(&before, &whole);
        }
    }

    fn step(&mut self, before: &Group, whole: &Group) {
        let sent_us = whole.last_sent_us.saturating_sub(before.last_sent_us);
        let came_us = whole.last_came_us - before.last_came_us;
        if came_us < 0 {
            // Out of order, or a clock that was set.
            return;
        }
        self.delay_ms += (came_us - sent_us as i64) as f32 / 1_000.0;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.delay_ms;
        self.points[self.count as usize % POINTS] = Point { came_us: whole.last_came_us, delay_ms: self.smoothed_ms };
        self.count = self.count.saturating_add(1);
        if self.count as usize >= POINTS {
            self.judge(sent_us, came_us);
        }
    }

    fn judge(&mut self, sent_us: u64, came_us: i64) {
        let slope = self.fit().unwrap_or(self.slope);
        let weighed = slope * GAIN * self.count.min(GROUPS_MAX) as f32;
        if weighed > self.threshold {
            let (lasts_us, groups) = self.over.map_or((sent_us / 2, 1), |(us, groups)| (us + sent_us, groups + 1));
            self.over = Some((lasts_us, groups));
            if lasts_us > LASTS_US && groups > 1 && slope >= self.slope {
                self.over = None;
                self.signal = Signal::Over;
            }
        } else {
            self.over = None;
            self.signal = if weighed < -self.threshold { Signal::Under } else { Signal::Normal };
        }
        self.slope = slope;
        let off = weighed.abs() - self.threshold;
        if off <= SUDDEN {
            let follows = if off < 0.0 { FOLLOWS.1 } else { FOLLOWS.0 };
            let ms = (came_us as f32 / 1_000.0).min(100.0);
            self.threshold = (self.threshold + follows * off * ms).clamp(THRESHOLDS.0, THRESHOLDS.1);
        }
    }

    /// The slope of the line that lies nearest to the points.
    fn fit(&self) -> Option<f32> {
        let origin_us = self.points[0].came_us;
        let at_ms = |point: &Point| (point.came_us - origin_us) as f32 / 1_000.0;
        let (mut sum_at, mut sum_delay) = (0.0, 0.0);
        for point in &self.points {
            sum_at += at_ms(point);
            sum_delay += point.delay_ms;
        }
        let (mean_at, mean_delay) = (sum_at / POINTS as f32, sum_delay / POINTS as f32);
        let (mut over, mut under) = (0.0, 0.0);
        for point in &self.points {
            let off = at_ms(point) - mean_at;
            over += off * (point.delay_ms - mean_delay);
            under += off * off;
        }
        (under > 0.0).then(|| over / under)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets each 10 ms, late by `late_us` of their number; gives the signals.
    fn signals(count: u64, late_us: impl Fn(u64) -> i64) -> Vec<Signal> {
        let mut trend = Trend::new();
        let signal = |number: u64| {
            trend.came(number * 10_000, number as i64 * 10_000 + late_us(number));
            trend.signal()
        };
        (0..count).map(signal).collect()
    }

    #[test]
    fn a_delay_that_grows_is_seen_and_one_that_stays_is_none() {
        let grows = signals(100, |number| number.saturating_sub(50) as i64 * 2_000);
        let seen = grows.iter().position(|signal| *signal == Signal::Over);
        assert!(seen.is_some_and(|number| (52..70).contains(&number)), "{seen:?}");
        let stays = signals(300, |number| 90_000 + (number % 3) as i64 * 1_000);
        assert!(stays.iter().all(|signal| *signal == Signal::Normal));
    }

    #[test]
    fn a_queue_that_empties_is_seen() {
        let empties = signals(100, |number| (100_000 - number as i64 * 2_000).max(0));
        assert!(empties.contains(&Signal::Under) && !empties.contains(&Signal::Over));
        assert_eq!(empties.last(), Some(&Signal::Normal));
    }

    #[test]
    fn times_that_go_back_or_leap_say_nothing_by_themselves() {
        let mut trend = Trend::new();
        for number in 0..400_u64 {
            let came = [i64::from(i32::MAX), 0, -5, 9_000_000][number as usize % 4];
            trend.came(number * 10_000, came);
            assert!(trend.threshold.is_finite() && trend.slope.is_finite());
        }
    }
}
