//! What was sent on a connection, by its transport-wide number, and what its client says became of it.

use std::time::{Duration, Instant};

use super::feedback::Transport;

/// Packets that are remembered: some seconds of a picture, and a round trip of a stage.
const REMEMBERED: usize = 1_024;
/// The share of lost packets is taken over so many reports' packets, halved each time.
const WINDOW: u32 = 256;

/// A packet that was sent.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// Microseconds since the beginning, wrapping.
    at_us: u32,
    /// Bytes of payload, of which none was told yet; 0 once told.
    bytes: u16,
}

/// The history of one connection.
#[derive(Debug)]
pub(super) struct History {
    start: Instant,
    next: u64,
    sent: Box<[Sent]>,
    /// Told of lately: all, and lost.
    told: (u32, u32),
    rtt: Option<Duration>,
}

impl History {
    /// Nothing was sent.
    pub fn new(start: Instant) -> Self {
        Self { start, next: 0, sent: Box::default(), told: (0, 0), rtt: None }
    }

    /// A packet leaves. Gives its number.
    pub fn note(&mut self, now: Instant, bytes: usize) -> u16 {
        if self.sent.is_empty() {
            self.sent = vec![Sent::default(); REMEMBERED].into();
        }
        let number = self.next;
        self.next += 1;
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX).max(1);
        self.sent[number as usize % REMEMBERED] = Sent { at_us: self.us(now), bytes };
        number as u16
    }

    /// Takes a report. Gives how many packets it tells of that were never sent, or that it had told of before.
    pub fn take(&mut self, now: Instant, report: Transport<'_>) -> u32 {
        let mut idle = 0;
        let mut newest = None;
        // What it tells of lies before what comes next.
        let behind = u64::from((self.next as u16).wrapping_sub(report.base));
        let Some(base) = self.next.checked_sub(behind).filter(|_| behind > 0) else {
            return report.flatten().count() as u32;
        };
        for (number, came) in (base..).zip(report) {
            let is_known = number < self.next && self.next - number <= REMEMBERED as u64;
            let at = number as usize % REMEMBERED;
            if !is_known || self.sent[at].bytes == 0 {
                idle += u32::from(came.is_some());
                continue;
            }
            self.told.0 += 1;
            match came {
                Some(_) => {
                    newest = Some(self.sent[at].at_us);
                    self.sent[at].bytes = 0;
                }
                // It may come yet, and be told of then.
                None => self.told.1 += 1,
            }
        }
        if let Some(at_us) = newest {
            self.rtt = Some(Duration::from_micros(self.us(now).wrapping_sub(at_us).into()));
        }
        if self.told.0 > WINDOW {
            self.told = (self.told.0 / 2, self.told.1 / 2);
        }
        idle
    }

    /// Share of packets that were lost lately; none before the first report.
    pub fn loss(&self) -> Option<f32> {
        (self.told.0 > 0).then(|| self.told.1 as f32 / self.told.0 as f32)
    }

    /// From the sending of the newest packet that a report told of to that report.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    fn us(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.start).as_micros() as u32
    }
}
