//! Reports of both ends: a sign of life every 50 ms, the round trip that they measure, and what each says since the last.

use std::time::{Duration, Instant};

use super::estimator::Sample;
use super::message::{ClassReport, PathReport, Report};

/// How often a report goes out.
pub(super) const EVERY: Duration = Duration::from_millis(50);
/// While the peer is silent more go, so that both ends hear of each other at once when the path is back.
pub(super) const EVERY_SILENT: Duration = Duration::from_millis(20);
/// A longer round trip is a clock gone wrong.
const RTT_MAX: Duration = Duration::from_secs(10);
/// More than a report's time can bring on any path: the peer's counters are nonsense.
const MISSED_MAX: i64 = 100_000;

/// The clocks of a link.
#[derive(Debug)]
pub(super) struct Reports {
    start: Instant,
    rtt: Duration,
    measured: bool,
    /// The peer's newest report, and when it came.
    newest: Option<(Report, Instant)>,
}

/// What becomes of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The first: what it counts began before it could be told of.
    First,
    /// What it adds to the last.
    Next,
    /// A newer one came before.
    Stale,
    /// Its clock or its counters cannot be true.
    Absurd,
}

impl Reports {
    /// A clock that begins now, with a first guess of the round trip.
    pub(super) fn new(now: Instant, rtt: Duration) -> Self {
        Self { start: now, rtt, measured: false, newest: None }
    }

    /// The smoothed round trip.
    pub(super) fn rtt(&self) -> Duration {
        self.rtt
    }

    /// The report that goes out now.
    pub(super) fn make(&self, now: Instant, classes: [ClassReport; 4], path: PathReport) -> Report {
        let newest = self.newest.as_ref();
        let (echo, since) = newest.map_or((0, 0), |(report, at)| (report.sent, (now - *at).as_micros() as u32));
        Report { sent: self.clock(now), echo, since, classes, path }
    }

    /// Takes a report of the peer: what it means, and what it adds to the one before.
    pub(super) fn take(&mut self, now: Instant, report: &Report) -> (Taken, Sample) {
        let before = self.newest.as_ref().map(|(report, _)| *report);
        if before.is_some_and(|before| report.sent.wrapping_sub(before.sent) as i32 <= 0) {
            return (Taken::Stale, Sample::default());
        }
        self.newest = Some((*report, now));
        if !self.measure(now, report) {
            return (Taken::Absurd, Sample::default());
        }
        let Some(before) = before else { return (Taken::First, Sample::default()) };
        let missed = i64::from(report.path.missed.wrapping_sub(before.path.missed) as i32);
        let sample = Sample {
            bytes: report.path.bytes.wrapping_sub(before.path.bytes).into(),
            packets: report.path.datagrams.wrapping_sub(before.path.datagrams).into(),
            missed,
            delay: report.path.delay,
            delays: report.path.delays.into(),
        };
        let is_absurd = missed.abs() > MISSED_MAX || sample.packets > MISSED_MAX as u64;
        if is_absurd { (Taken::Absurd, Sample::default()) } else { (Taken::Next, sample) }
    }

    /// False when the echo cannot be true.
    fn measure(&mut self, now: Instant, report: &Report) -> bool {
        if report.echo == 0 {
            return true;
        }
        let micros = self.clock(now).wrapping_sub(report.echo).wrapping_sub(report.since);
        let sample = Duration::from_micros(micros.into());
        if sample > RTT_MAX {
            return false;
        }
        self.rtt = if self.measured { (self.rtt * 7 + sample) / 8 } else { sample };
        self.measured = true;
        true
    }

    /// Microseconds since the start, wrapping; never 0, which stands for "none".
    pub(super) fn clock(&self, now: Instant) -> u32 {
        ((now - self.start).as_micros() as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn two_ends_whose_clocks_differ_measure_the_round_trip() {
        let start = Instant::now();
        let after = |ms| after(start, ms);
        let mut one = Reports::new(start, Duration::ZERO);
        let mut other = Reports::new(after(7), Duration::ZERO);
        let (classes, path) = (<[ClassReport; 4]>::default(), PathReport::default());
        other.take(after(30), &one.make(after(10), classes, path));
        one.take(after(80), &other.make(after(50), classes, path));
        assert_eq!(one.rtt(), Duration::from_millis(50), "20 ms there, 30 ms back");
    }

    #[test]
    fn a_report_says_what_came_since_the_last_and_an_older_one_is_left_alone() {
        let start = Instant::now();
        let mut reports = Reports::new(start, Duration::ZERO);
        let of = |sent, bytes, datagrams, missed: i32| {
            let path = PathReport { bytes, datagrams, missed: missed as u32, delay: 9, delays: 3 };
            Report { sent, path, ..Report::default() }
        };
        assert_eq!(reports.take(start, &of(1000, u32::MAX - 99, 10, 2)).0, Taken::First);
        let (taken, sample) = reports.take(start, &of(2000, 100, 12, 1));
        assert_eq!((taken, sample.bytes, sample.packets, sample.missed), (Taken::Next, 200, 2, -1));
        assert_eq!(reports.take(start, &of(1500, 100, 12, 1)).0, Taken::Stale);
        assert_eq!(reports.take(start, &of(2000, 100, 12, 1)).0, Taken::Stale, "replayed");
        assert_eq!(reports.take(start, &of(3000, 100, 12, 1_000_000_000)).0, Taken::Absurd);
        let echo = Report { echo: 900, since: u32::MAX / 2, ..of(4000, 0, 0, 0) };
        assert_eq!(reports.take(start, &echo).0, Taken::Absurd);
        assert_eq!(reports.rtt(), Duration::ZERO);
    }
}
