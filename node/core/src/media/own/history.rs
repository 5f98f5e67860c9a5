//! What was sent on a connection, by its transport-wide number, and what its client says became of it.

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
    /// Bytes of payload; 0 where nothing was sent.
    bytes: u16,
    fate: Fate,
}

/// What the client told of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Unknown,
    Lost,
    Came,
}

/// Something new that a client tells of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Its number, never wrapping.
    pub number: u64,
    /// When it left.
    pub sent_us: u64,
    /// Bytes of payload.
    pub bytes: u16,
    /// When it came, by the client's clock; none when it is lost, or not there yet.
    pub came_us: Option<i64>,
    /// It was told to be lost before.
    pub found: bool,
}

/// The history of one connection.
#[derive(Debug, Default)]
pub(super) struct History {
    next: u64,
    sent: Box<[Sent]>,
    /// Told of lately: all, and lost.
    told: (u32, u32),
    rtt_us: Option<u64>,
}

impl History {
    /// A packet leaves, so many microseconds after the beginning. Gives its number.
    pub fn note(&mut self, now_us: u64, bytes: usize) -> u64 {
        if self.sent.is_empty() {
            self.sent = vec![Sent::default(); REMEMBERED].into();
        }
        let number = self.next;
        self.next += 1;
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX).max(1);
        self.sent[number as usize % REMEMBERED] = Sent { at_us: now_us as u32, bytes, fate: Fate::Unknown };
        number
    }

    /// Takes a report; gives `each` what is new in it. Gives how many packets it tells of that were never sent, or that it
    /// had told of before.
    pub fn take(&mut self, now_us: u64, report: Transport<'_>, mut each: impl FnMut(&Told)) -> u32 {
        let mut idle = 0;
        let mut newest = None;
        // What it tells of lies before what comes next.
        let behind = u64::from((self.next as u16).wrapping_sub(report.base));
        let Some(base) = self.next.checked_sub(behind).filter(|_| behind > 0) else {
            return report.flatten().count() as u32;
        };
        for (number, came_us) in (base..).zip(report) {
            let is_known = number < self.next && self.next - number <= REMEMBERED as u64;
            let sent = &mut self.sent[number as usize % REMEMBERED];
            if !is_known || sent.fate == Fate::Came {
                idle += u32::from(came_us.is_some());
                continue;
            }
            let found = sent.fate == Fate::Lost;
            if found && came_us.is_none() {
                continue;
            }
            sent.fate = if came_us.is_some() { Fate::Came } else { Fate::Lost };
            let sent_us = now_us.saturating_sub(u64::from((now_us as u32).wrapping_sub(sent.at_us)));
            match (found, came_us) {
                (true, _) => self.told.1 = self.told.1.saturating_sub(1),
                (false, came_us) => self.told = (self.told.0 + 1, self.told.1 + u32::from(came_us.is_none())),
            }
            newest = came_us.map(|_| sent_us).or(newest);
            each(&Told { number, sent_us, bytes: sent.bytes, came_us, found });
        }
        self.rtt_us = newest.map(|sent_us| now_us - sent_us).or(self.rtt_us);
        if self.told.0 > WINDOW {
            self.told = (self.told.0 / 2, self.told.1 / 2);
        }
        idle
    }

    /// Share of packets that were lost lately; none before the first report.
    pub fn loss(&self) -> Option<f32> {
        (self.told.0 > 0).then(|| self.told.1 as f32 / self.told.0 as f32)
    }

    /// From the sending of the newest packet that a report told of to that report, in microseconds.
    pub fn rtt_us(&self) -> Option<u64> {
        self.rtt_us
    }
}
