//! What this end sees of the path from the peer: bytes, delay, jitter, silence.

use std::time::{Duration, Instant};

use super::message::PathReport;
use super::output::Hearing;
use super::scheduler::WRAP_BYTES;

/// The peer is silent after this long and four times the jitter without a datagram.
const SILENT_AFTER: Duration = Duration::from_millis(150);
/// Before it was ever heard: its end of a new connection comes up later than ours.
const UNHEARD_AFTER: Duration = Duration::from_secs(1);
/// A peer that is silent for this long counts as gone: whoever takes media from it goes elsewhere. Three times what QUIC
/// would need to notice on a long path (see `docs/decisions/0011-failover.md`).
const GONE_AFTER: Duration = Duration::from_millis(300);
/// Where jitter makes silence begin late, it counts as gone this much later still.
const GONE_LATER: Duration = Duration::from_millis(50);
/// A peer's clock that jumps must not make silence unnoticeable.
const JITTER_MAX: Duration = Duration::from_millis(100);

/// The receiving side of a path.
#[derive(Debug)]
pub(super) struct Path {
    up_at: Instant,
    heard_at: Option<Instant>,
    silent: bool,
    /// The peer says that it has not heard us for so long.
    unheard_there: Option<Duration>,
    datagrams: u32,
    bytes: u32,
    /// Least delay since the last report, and among how many.
    least: Option<u32>,
    delays: u16,
    last_delay: Option<u32>,
    jitter_us: f64,
}

impl Path {
    /// A path of which nothing was heard yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            up_at: now,
            heard_at: None,
            silent: false,
            unheard_there: None,
            datagrams: 0,
            bytes: 0,
            least: None,
            delays: 0,
            last_delay: None,
            jitter_us: 0.0,
        }
    }

    /// Takes note of a datagram. Whether it ends a silence.
    pub(super) fn hear(&mut self, now: Instant, bytes: usize) -> bool {
        self.heard_at = Some(now);
        self.datagrams = self.datagrams.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add((bytes + WRAP_BYTES) as u32);
        std::mem::take(&mut self.silent)
    }

    /// Takes note of when something that came at `clock` by our clock was sent by the peer's.
    pub(super) fn time(&mut self, clock: u32, sent: u32) {
        let delay = clock.wrapping_sub(sent);
        let is_less = self.least.is_none_or(|least| (delay.wrapping_sub(least) as i32) < 0);
        if is_less {
            self.least = Some(delay);
        }
        self.delays = self.delays.saturating_add(1);
        if let Some(before) = self.last_delay.replace(delay) {
            let step = f64::from(delay.wrapping_sub(before) as i32).abs();
            self.jitter_us += (step - self.jitter_us) / 16.0;
        }
    }

    /// Smoothed deviation of the one-way delay (RFC 3550, section 6.4.1).
    pub(super) fn jitter(&self) -> Duration {
        Duration::from_micros(self.jitter_us as u64).min(JITTER_MAX)
    }

    /// When the peer counts as silent if nothing comes; `None` if it does already, or not before `end`.
    pub(super) fn silent_before(&self, end: Instant, rtt: Duration) -> Option<Instant> {
        // Looked at after each datagram, and nearly always far away.
        if self.heard_at.is_some_and(|heard| heard + SILENT_AFTER >= end) {
            return None;
        }
        self.silent_at(rtt).filter(|at| *at < end)
    }

    fn silent_at(&self, rtt: Duration) -> Option<Instant> {
        (!self.silent).then_some(self.limits(rtt).0)
    }

    /// Whether the peer is silent.
    pub(super) fn is_silent(&mut self, now: Instant, rtt: Duration) -> bool {
        if !self.silent && self.heard_at.is_some_and(|heard| now < heard + SILENT_AFTER) {
            return false;
        }
        if self.silent_at(rtt).is_some_and(|at| at <= now) {
            self.silent = true;
        }
        self.silent
    }

    /// The peer says how long ago it heard of us.
    pub(super) fn learn_how_it_hears_us(&mut self, ago: Duration) {
        self.unheard_there = Some(ago).filter(|ago| *ago >= GONE_AFTER);
    }

    /// This node slept for so long: what came meanwhile has not been looked at, so it is no silence of the peer.
    pub(super) fn forgive(&mut self, slept: Duration) {
        match &mut self.heard_at {
            Some(heard) => *heard += slept,
            None => self.up_at += slept,
        }
    }

    /// How long ago the peer was last heard, or heard us: while it does not it sends next to nothing.
    pub(super) fn quiet(&self, now: Instant) -> Duration {
        let here = now.saturating_duration_since(self.heard_at.unwrap_or(self.up_at));
        here.max(self.unheard_there.unwrap_or_default())
    }

    /// How the peer is heard, both ways; `None` while that cannot be said yet.
    pub(super) fn hearing(&self, now: Instant, rtt: Duration) -> Option<Hearing> {
        // Looked at after each datagram, and nearly always so.
        if self.unheard_there.is_none() && self.heard_at.is_some_and(|heard| now < heard + SILENT_AFTER) {
            return Some(Hearing::Well);
        }
        let (suspect_at, gone_at) = self.limits(rtt);
        if now >= gone_at || self.heard_at.is_some() && self.unheard_there.is_some() {
            Some(Hearing::Gone)
        } else if now >= suspect_at {
            Some(Hearing::Suspect)
        } else {
            self.heard_at.map(|_| Hearing::Well)
        }
    }

    /// When the peer counts as suspect and as gone if nothing comes.
    pub(super) fn limits(&self, rtt: Duration) -> (Instant, Instant) {
        match self.heard_at {
            Some(heard) => {
                let suspect_at = heard + SILENT_AFTER + 4 * self.jitter();
                (suspect_at, (heard + GONE_AFTER).max(suspect_at + GONE_LATER))
            }
            None => (self.up_at + UNHEARD_AFTER + rtt, self.up_at + UNHEARD_AFTER + rtt),
        }
    }

    /// Datagrams that came, wrapping.
    pub(super) fn datagrams(&self) -> u32 {
        self.datagrams
    }

    /// For the next report; delays begin anew with it.
    pub(super) fn report(&mut self, missed: u32) -> PathReport {
        let (delay, delays) = (self.least.take().unwrap_or(0), std::mem::take(&mut self.delays));
        PathReport { datagrams: self.datagrams, bytes: self.bytes, missed, delay, delays }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_the_least_delay_since_the_last_though_clocks_wrap() {
        let mut path = Path::new(Instant::now());
        for (clock, sent) in [(u32::MAX - 10, 100), (5, 120), (300, 390)] {
            path.time(clock, sent);
        }
        let report = path.report(7);
        assert_eq!((report.delay, report.delays, report.missed), (u32::MAX - 115 + 1, 3, 7));
        assert_eq!(path.report(7).delays, 0);
    }

    #[test]
    fn a_peer_is_silent_when_it_was_heard_and_is_no_longer() {
        let (start, rtt) = (Instant::now(), Duration::from_millis(200));
        let after = |ms| start + Duration::from_millis(ms);
        let mut path = Path::new(start);
        assert!(!path.is_silent(after(1199), rtt) && path.is_silent(after(1200), rtt), "never heard");
        path.hear(after(1300), 10);
        assert!(!path.is_silent(after(1449), rtt) && path.is_silent(after(1450), rtt));
        assert_eq!(path.silent_at(rtt), None);
        path.hear(after(2000), 10);
        assert!(!path.is_silent(after(2000), rtt));
        for delay in [0, 16_000] {
            path.time(delay, 0);
        }
        assert!(!path.is_silent(after(2153), rtt) && path.is_silent(after(2154), rtt), "1 ms of jitter");
    }

    #[test]
    fn a_peer_is_suspect_at_150_ms_and_gone_at_300_and_a_shaky_path_gets_more_time() {
        let (start, rtt) = (Instant::now(), Duration::from_millis(200));
        let after = |ms| start + Duration::from_millis(ms);
        let mut path = Path::new(start);
        assert_eq!((path.hearing(after(1199), rtt), path.hearing(after(1200), rtt)), (None, Some(Hearing::Gone)));
        path.hear(start, 10);
        let of = |path: &Path, ms| path.hearing(after(ms), rtt).unwrap();
        assert_eq!(
            [149, 150, 299, 300].map(|ms| of(&path, ms)),
            [Hearing::Well, Hearing::Suspect, Hearing::Suspect, Hearing::Gone]
        );
        for _ in 0..100 {
            path.time(50_000, 0);
            path.time(0, 0);
        }
        assert!(path.jitter() > Duration::from_millis(45), "{:?}", path.jitter());
        assert_eq!([300, 360].map(|ms| of(&path, ms)), [Hearing::Well, Hearing::Suspect]);
        path.forgive(Duration::from_secs(1));
        assert_eq!(of(&path, 1300), Hearing::Well, "this node slept");
    }

    #[test]
    fn a_peer_that_does_not_hear_us_is_as_good_as_gone() {
        let (start, rtt) = (Instant::now(), Duration::from_millis(200));
        let mut path = Path::new(start);
        path.hear(start, 10);
        path.learn_how_it_hears_us(Duration::from_millis(299));
        assert_eq!(path.hearing(start, rtt), Some(Hearing::Well));
        path.learn_how_it_hears_us(Duration::from_millis(300));
        assert_eq!(path.hearing(start, rtt), Some(Hearing::Gone));
        path.learn_how_it_hears_us(Duration::ZERO);
        assert_eq!(path.hearing(start, rtt), Some(Hearing::Well));
    }
}
