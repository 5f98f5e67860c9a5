//! What was sent on a connection, by its transport-wide number, and what its client says became of it.

use super::feedback::Transport;

/// Packets that are remembered at first, and at most: some seconds of a picture. Both are powers of two.
const REMEMBERED: (usize, usize) = (64, 1_024);
/// There is room for so many times what is under way: what the client has not told of yet, a round trip and the time
/// between its reports. A report that comes late tells of what is older.
const ROOM: u64 = 2;
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
    /// Each at its number modulo the length, which grows with what is under way.
    sent: Box<[Sent]>,
    /// The number after the newest that was told of.
    heard: u64,
    /// Told of lately: all, and lost.
    told: (u32, u32),
    rtt_us: Option<u64>,
}

impl History {
    /// A packet leaves, so many microseconds after the beginning. Gives its number.
    pub fn note(&mut self, now_us: u64, bytes: usize) -> u64 {
        let number = self.next;
        let under_way = (number - self.heard) * ROOM;
        if self.sent.is_empty() || under_way >= self.sent.len() as u64 && self.sent.len() < REMEMBERED.1 {
            self.grow();
        }
        self.next += 1;
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX).max(1);
        let place = self.place(number);
        self.sent[place] = Sent { at_us: now_us as u32, bytes, fate: Fate::Unknown };
        number
    }

    /// See [`super::Own::read_ahead`].
    pub fn read_ahead(&self) -> u64 {
        self.heard ^ self.sent.get(self.place(self.next)).map_or(0, |sent| u64::from(sent.bytes))
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.sent);
        self.sent = vec![Sent::default(); (old.len() * 2).max(REMEMBERED.0)].into();
        for number in self.next.saturating_sub(old.len() as u64)..self.next {
            let place = self.place(number);
            self.sent[place] = old[number as usize % old.len()];
        }
    }

    fn place(&self, number: u64) -> usize {
        number as usize & self.sent.len().wrapping_sub(1)
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
            let is_known = number < self.next && self.next - number <= self.sent.len() as u64;
            let place = self.place(number);
            let sent = &mut self.sent[place];
            if !is_known || sent.fate == Fate::Came {
                idle += u32::from(came_us.is_some());
                continue;
            }
            self.heard = self.heard.max(number + 1);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::own::feedback::{self, Feedback};
    use crate::media::own::tests::all_came;

    /// Gives how many packets it was told of for the first time.
    fn tell(history: &mut History, base: u64, count: u8) -> u32 {
        let (compound, mut told) = (all_came(base as u16, count), 0);
        feedback::read(&compound, |feedback| {
            let Feedback::Transport(report) = feedback else { panic!("{feedback:?}") };
            assert_eq!(history.take(9_000_000, report, |_| told += 1), u32::from(count) - told);
        });
        told
    }

    #[test]
    fn it_remembers_as_much_as_is_under_way_and_twice_that() {
        let mut history = History::default();
        for burst in 0..2_000 {
            (0..24).for_each(|at| assert_eq!(history.note(burst, 1_000), burst * 24 + at));
            assert_eq!(tell(&mut history, burst * 24, 24), 24);
        }
        assert_eq!(history.sent.len(), 64);
        // The way becomes longer: reports come after nine bursts.
        for burst in 2_000..4_000 {
            for _ in 0..24 {
                history.note(burst, 1_000);
            }
            if burst >= 2_008 {
                assert_eq!(tell(&mut history, (burst - 8) * 24, 24), 24);
            }
        }
        assert_eq!(history.sent.len(), 512);
    }

    #[test]
    fn whatever_a_client_leaves_untold_has_a_bound() {
        let mut history = History::default();
        for at in 0..100_000 {
            history.note(at, 1_000);
        }
        assert_eq!(history.sent.len(), REMEMBERED.1);
        assert_eq!(tell(&mut history, 100_000 - 100, 100), 100);
        assert_eq!(tell(&mut history, 100_000 - 1_100, 100), 24, "the others are forgotten");
    }
}
