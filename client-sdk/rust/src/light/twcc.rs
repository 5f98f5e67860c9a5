//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): when each packet of a connection came.

use std::time::Instant;

/// Packets that one message tells of; more arrivals are told in the next.
const PACKETS_MAX: usize = 400;
/// A leap of the numbers beyond this starts anew: it is no loss.
const LEAP_MAX: u64 = 2000;
/// Arrivals are told in quarters of a millisecond.
const TICK_US: u64 = 250;
/// The base time counts in 64 ms.
const BASE_TICKS: u64 = 256;
/// Seven symbols of two bits make a chunk.
const VECTOR_SYMBOLS: usize = 7;
const RUN_MAX: usize = 8191;

/// Gathers arrivals between two messages.
#[derive(Debug)]
pub(super) struct Recorder {
    epoch: Instant,
    /// The first number that no message has told of.
    next: Option<u64>,
    newest: u64,
    arrivals: Vec<(u64, u64)>,
    messages: u8,
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Feedback {
    base: u64,
    number: u8,
    /// By packet from the base on, in ticks since the epoch.
    arrivals: Vec<Option<u64>>,
}

impl Recorder {
    pub(super) fn new(epoch: Instant) -> Self {
        Self { epoch, next: None, newest: 0, arrivals: Vec::new(), messages: 0 }
    }

    /// Notes an arrival.
    pub(super) fn note(&mut self, sequence: u16, now: Instant) {
        let index = match self.next {
            None => u64::from(sequence) + (1 << 16),
            Some(_) => self.newest.saturating_add_signed(i64::from(sequence.wrapping_sub(self.newest as u16) as i16)),
        };
        let next = *self.next.get_or_insert(index);
        if index < next || self.arrivals.len() >= 4 * PACKETS_MAX {
            return;
        }
        self.newest = self.newest.max(index);
        self.arrivals.push((index, now.saturating_duration_since(self.epoch).as_micros() as u64 / TICK_US));
    }

    /// The message about what came since the last one; `None` when nothing did.
    pub(super) fn take(&mut self) -> Option<Feedback> {
        self.arrivals.sort_unstable();
        let first = self.arrivals.first()?.0;
        let base = self.next.filter(|next| first - next < LEAP_MAX).unwrap_or(first);
        let limit = base + PACKETS_MAX as u64;
        let taken = self.arrivals.partition_point(|(index, _)| *index < limit);
        if taken == 0 {
            // A hole longer than a message: begin behind it.
            self.next = Some(first);
            return self.take();
        }
        let last = self.arrivals[taken - 1].0;
        let mut arrivals = vec![None; (last - base + 1) as usize];
        for (index, ticks) in self.arrivals.drain(..taken) {
            arrivals[(index - base) as usize].get_or_insert(ticks);
        }
        self.next = Some(last + 1);
        self.messages = self.messages.wrapping_add(1);
        Some(Feedback { base, number: self.messages, arrivals })
    }
}

impl Feedback {
    /// What follows the SSRCs in the control packet.
    pub(super) fn encode(&self) -> Vec<u8> {
        let first = self.arrivals.iter().flatten().next().copied().unwrap_or_default();
        let reference = first / BASE_TICKS;
        let (symbols, deltas) = self.deltas(reference * BASE_TICKS);
        let mut bytes = Vec::with_capacity(8 + symbols.len());
        bytes.extend((self.base as u16).to_be_bytes());
        bytes.extend((symbols.len() as u16).to_be_bytes());
        bytes.extend(&(reference as u32).to_be_bytes()[1..]);
        bytes.push(self.number);
        write_chunks(&mut bytes, &symbols);
        bytes.extend(deltas);
        bytes
    }

    /// A symbol for each packet (0 not come, 1 small delta, 2 large or negative), and the deltas.
    fn deltas(&self, mut before: u64) -> (Vec<u8>, Vec<u8>) {
        let (mut symbols, mut deltas) = (Vec::with_capacity(self.arrivals.len()), Vec::new());
        for arrival in &self.arrivals {
            let Some(ticks) = arrival else {
                symbols.push(0);
                continue;
            };
            let delta = ticks.wrapping_sub(before) as i64;
            before = *ticks;
            match u8::try_from(delta) {
                Ok(small) => {
                    symbols.push(1);
                    deltas.push(small);
                }
                Err(_) => {
                    symbols.push(2);
                    deltas.extend((delta.clamp(i16::MIN.into(), i16::MAX.into()) as i16).to_be_bytes());
                }
            }
        }
        (symbols, deltas)
    }
}

fn write_chunks(bytes: &mut Vec<u8>, mut symbols: &[u8]) {
    while let Some(&symbol) = symbols.first() {
        let run = symbols.iter().take(RUN_MAX).take_while(|other| **other == symbol).count();
        let (chunk, taken) = if run >= VECTOR_SYMBOLS {
            (u16::from(symbol) << 13 | run as u16, run)
        } else {
            let taken = symbols.len().min(VECTOR_SYMBOLS);
            let bits = symbols[..taken].iter().fold(0, |bits, symbol| bits << 2 | u16::from(*symbol));
            (0xc000 | bits << (2 * (VECTOR_SYMBOLS - taken)), taken)
        };
        bytes.extend(chunk.to_be_bytes());
        symbols = &symbols[taken..];
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn arrivals_and_holes_are_told_once() {
        let epoch = Instant::now();
        let mut recorder = Recorder::new(epoch);
        let at = |ms| epoch + Duration::from_millis(ms);
        for (sequence, ms) in [(65_534, 64), (65_535, 65), (1, 66), (2, 200)] {
            recorder.note(sequence, at(ms));
        }
        let bytes = recorder.take().unwrap().encode();
        assert_eq!(bytes[..8], [0xff, 0xfe, 0, 5, 0, 0, 1, 1]);
        assert_eq!(bytes[8..10], (0xc000_u16 | 0b01_01_00_01_10 << 4).to_be_bytes());
        assert_eq!(bytes[10..], [0, 4, 4, 2, 24]);
        assert_eq!(recorder.take(), None);
        recorder.note(1, at(210));
        assert_eq!(recorder.take(), None, "it was told as lost");
    }

    #[test]
    fn a_long_run_is_one_chunk_and_what_is_too_much_waits() {
        let epoch = Instant::now();
        let mut recorder = Recorder::new(epoch);
        for sequence in 0..1000u16 {
            recorder.note(sequence, epoch + Duration::from_millis(u64::from(sequence)));
        }
        let bytes = recorder.take().unwrap().encode();
        assert_eq!(bytes[2..4], (PACKETS_MAX as u16).to_be_bytes());
        assert_eq!(bytes[8..10], (1 << 13 | PACKETS_MAX as u16).to_be_bytes());
        assert_eq!(bytes.len(), 10 + PACKETS_MAX);
        assert_eq!(recorder.take().unwrap().base as u16, PACKETS_MAX as u16);
    }

    #[test]
    fn a_leap_begins_anew() {
        let epoch = Instant::now();
        let mut recorder = Recorder::new(epoch);
        recorder.note(0, epoch);
        recorder.take().unwrap();
        recorder.note(20_000, epoch);
        assert_eq!(recorder.take().unwrap().arrivals.len(), 1);
        recorder.note(21_000, epoch);
        assert_eq!(recorder.take().unwrap().arrivals.len(), 1);
    }
}
