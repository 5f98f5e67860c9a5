//! Reports of both ends: a sign of life every 50 ms, and the round trip that they measure.

use std::time::{Duration, Instant};

use super::message::{ClassReport, Report};

/// How often a report goes out.
pub(super) const EVERY: Duration = Duration::from_millis(50);
/// A longer round trip is a clock gone wrong.
const RTT_MAX: Duration = Duration::from_secs(10);

/// The clocks of a link.
#[derive(Debug)]
pub(super) struct Reports {
    start: Instant,
    rtt: Duration,
    measured: bool,
    /// `sent` of the peer's newest report, and when it came.
    newest: Option<(u32, Instant)>,
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
    pub(super) fn make(&self, now: Instant, classes: [ClassReport; 4]) -> Report {
        let (echo, since) = self.newest.map_or((0, 0), |(sent, at)| (sent, (now - at).as_micros() as u32));
        Report { sent: self.clock(now), echo, since, classes }
    }

    /// Takes a report of the peer.
    pub(super) fn take(&mut self, now: Instant, report: &Report) {
        self.newest = Some((report.sent, now));
        if report.echo == 0 {
            return;
        }
        let micros = self.clock(now).wrapping_sub(report.echo).wrapping_sub(report.since);
        let sample = Duration::from_micros(micros.into());
        if sample > RTT_MAX {
            return;
        }
        self.rtt = if self.measured { (self.rtt * 7 + sample) / 8 } else { sample };
        self.measured = true;
    }

    /// Microseconds since the start, wrapping; never 0, which stands for "none".
    fn clock(&self, now: Instant) -> u32 {
        ((now - self.start).as_micros() as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ends_whose_clocks_differ_measure_the_round_trip() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut one = Reports::new(start, Duration::ZERO);
        let mut other = Reports::new(after(7), Duration::ZERO);
        let classes = <[ClassReport; 4]>::default();
        other.take(after(30), &one.make(after(10), classes));
        one.take(after(80), &other.make(after(50), classes));
        assert_eq!(one.rtt(), Duration::from_millis(50), "20 ms there, 30 ms back");
    }
}
