//! What was sent lately, so that it can be sent again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::outgoing::Datagram;
use super::sequence::extend;

/// Packets kept in one class: 300 ms of 200 Mb/s in packets of 1200 bytes.
const PACKETS_MAX: usize = 6250;
/// Old packets are let go of after so many new ones: they lie side by side, and are fetched together.
const TIDIES_AFTER: u64 = 16;
/// A packet is sent again as often as a receiver may ask.
const RESENDS_MAX: u8 = 3;

/// The sent packets of one class, with the number of the first.
#[derive(Debug)]
pub(super) struct Ring {
    sent: VecDeque<Sent>,
    first: u64,
    begun: Instant,
}

/// A line of the processor's cache.
#[derive(Debug)]
#[repr(align(64))]
struct Sent {
    datagram: Datagram,
    /// ns since the ring began.
    at: u64,
    resends: u8,
}

const _: () = assert!(size_of::<Sent>() == 64);

impl Ring {
    /// Nothing is kept.
    pub(super) fn new(now: Instant) -> Self {
        Self { sent: VecDeque::new(), first: 0, begun: now }
    }

    /// The number of the next packet.
    pub(super) fn next(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    /// Keeps the packet with the number [`Self::next`], and lets go of those that are older than `keeps`: their memory
    /// is wanted for packets to come.
    pub(super) fn push(&mut self, now: Instant, datagram: Datagram, keeps: Duration) {
        let (at, keeps) = (self.clock(now), keeps.as_nanos() as u64);
        if self.next().is_multiple_of(TIDIES_AFTER) || self.sent.len() >= PACKETS_MAX {
            let most = PACKETS_MAX - 1;
            while self.sent.len() > most || self.sent.front().is_some_and(|sent| sent.at + keeps < at) {
                self.sent.pop_front();
                self.first += 1;
            }
        }
        self.sent.push_back(Sent { datagram, at, resends: 0 });
    }

    fn clock(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begun).as_nanos() as u64
    }

    /// When the packet with that number was first sent, and what was sent, if it is kept, not older than `age_max` and has not been sent too often.
    pub(super) fn take_again(&mut self, now: Instant, number: u16, age_max: Duration) -> Option<(Instant, Datagram)> {
        let (clock, number) = (self.clock(now), extend(self.next(), number)?);
        let place = number.checked_sub(self.first)?;
        let sent = self.sent.get_mut(usize::try_from(place).ok()?)?;
        if u128::from(clock.saturating_sub(sent.at)) > age_max.as_nanos() || sent.resends >= RESENDS_MAX {
            return None;
        }
        sent.resends += 1;
        Some((self.begun + Duration::from_nanos(sent.at), sent.datagram.clone()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn datagram(number: u32) -> Datagram {
        Bytes::copy_from_slice(&number.to_be_bytes()).into()
    }

    #[test]
    fn a_packet_is_found_by_its_number_until_it_is_too_old_or_was_asked_for_too_often() {
        let start = Instant::now();
        let mut ring = Ring::new(start);
        let age_max = Duration::from_millis(300);
        for number in 0..70_000_u32 {
            ring.push(start, datagram(number), age_max);
        }
        let of = |number: u32| Some((start, datagram(number)));
        assert_eq!(ring.take_again(start, 69_999_u32 as u16, age_max), of(69_999));
        assert_eq!(ring.take_again(start, 65_530, age_max), of(65_530));
        assert_eq!(ring.take_again(start, 60_000, age_max), None, "no longer kept");
        assert_eq!(ring.take_again(start, 70_000_u32 as u16, age_max), None, "not sent yet");
        let late = start + Duration::from_millis(301);
        assert_eq!(ring.take_again(late, 65_530, age_max), None);
        for _ in 0..2 {
            assert!(ring.take_again(start, 65_530, age_max).is_some());
        }
        assert_eq!(ring.take_again(start, 65_530, age_max), None);
    }
}
