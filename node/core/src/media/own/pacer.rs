//! How fast a burst leaves: what is small leaves at once, the rest in chunks that one send each carries.
//!
//! A chunk is what segmentation offload does well and what a line's queue takes; between chunks the way gets time. Sound
//! never waits, and neither does a picture of up to a chunk.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use origo_cascade_core::link::Packet;

use crate::media::egress::{Kept, Outgoing, Stream};
use crate::media::forward::Rewrite;

/// What may leave at once, and in one chunk: 16 packets.
const CHUNK_BYTES: u64 = 16 * PACKET_BYTES;
/// A chunk is not sent before it is worth a send, or is all there is.
const CHUNK_BYTES_MIN: u64 = 8 * PACKET_BYTES;
const PACKET_BYTES: u64 = 1_250;
/// Without an estimate 12 packets leave in a millisecond: a keyframe of 100 packets in nine sends.
const UNKNOWN_BPS: u64 = 12 * PACKET_BYTES * 8 * 1_000;
/// Beyond the estimate, in percent: as much as browsers do, so that what the encoder overshoots by is not held up for
/// long.
const PACE_PERCENT: u64 = 250;
/// Nothing waits for longer than about this: all that waits leaves by the time that the oldest has waited so long.
const WAIT: Duration = Duration::from_millis(400);
/// The most packets that wait. Beyond, the oldest leave at once.
const WAITING_MAX: usize = 512;
/// Room for so many stays when nothing waits any more.
const ROOM_KEPT: usize = 32;

/// A packet that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    since: Instant,
    stream: Stream,
    packet: Packet,
    rewrite: Rewrite,
    captured: Instant,
    kept: Option<Kept>,
    even: Option<u16>,
}

impl Waiting {
    fn of(since: Instant, outgoing: &Outgoing<'_>) -> Self {
        let Outgoing { stream, packet, rewrite, captured, kept, even } = *outgoing;
        Self { since, stream, packet: packet.clone(), rewrite: rewrite.clone(), captured, kept, even }
    }

    /// The packet, to be sent.
    pub fn outgoing(&self) -> Outgoing<'_> {
        let Self { stream, ref packet, ref rewrite, captured, kept, even, .. } = *self;
        Outgoing { stream, packet, rewrite, captured, kept, even }
    }
}

/// One connection's.
#[derive(Debug)]
pub(super) struct Pacer {
    queue: VecDeque<Waiting>,
    queued_bytes: u64,
    /// What may leave now, as of `at`.
    credit_bytes: u64,
    at: Instant,
    bps: u64,
}

impl Pacer {
    /// Nothing waits.
    pub fn new(now: Instant) -> Self {
        Self { queue: VecDeque::new(), queued_bytes: 0, credit_bytes: CHUNK_BYTES, at: now, bps: UNKNOWN_BPS }
    }

    /// What the way carries, if that is known.
    pub fn set_estimate(&mut self, bps: Option<u64>) {
        self.bps = bps.map_or(UNKNOWN_BPS, |bps| bps.saturating_mul(PACE_PERCENT) / 100).max(1);
    }

    /// Whether a packet leaves at once; otherwise it waits.
    pub fn lets_pass(&mut self, now: Instant, outgoing: &Outgoing<'_>) -> bool {
        // Sound is not kept, since nobody asks for it again, and never waits.
        if outgoing.kept.is_none() {
            return true;
        }
        self.earn(now);
        if !self.queue.is_empty() || self.credit_bytes == 0 {
            self.queued_bytes += outgoing.packet.payload.len() as u64;
            self.queue.push_back(Waiting::of(now, outgoing));
            return false;
        }
        self.spend(outgoing.packet.payload.len() as u64);
        true
    }

    /// The next packet that may leave now, or must.
    pub fn pop(&mut self, now: Instant) -> Option<Waiting> {
        self.earn(now);
        if self.credit_bytes == 0 && self.queue.len() <= WAITING_MAX {
            return None;
        }
        let waiting = self.queue.pop_front()?;
        let bytes = waiting.packet.payload.len() as u64;
        self.queued_bytes -= bytes;
        self.spend(bytes);
        if self.queue.is_empty() && self.queue.capacity() > ROOM_KEPT {
            self.queue = VecDeque::new();
        }
        Some(waiting)
    }

    /// Whether more wait than may.
    pub fn is_overrun(&self) -> bool {
        self.queue.len() > WAITING_MAX
    }

    /// When the next chunk may leave; none when nothing waits.
    pub fn next(&self) -> Option<Instant> {
        self.queue.front()?;
        let worth = self.queued_bytes.min(CHUNK_BYTES_MIN).saturating_sub(self.credit_bytes);
        Some(self.at + Duration::from_micros(worth * 8_000_000 / self.rate_bps(self.at)))
    }

    /// What waits of a stream is not to be sent any more.
    pub fn forget(&mut self, ssrc: u32) {
        self.queue.retain(|waiting| waiting.stream.ssrc != ssrc);
        self.queued_bytes = self.queue.iter().map(|waiting| waiting.packet.payload.len() as u64).sum();
    }

    fn rate_bps(&self, now: Instant) -> u64 {
        let Some(oldest) = self.queue.front() else { return self.bps };
        let left = (oldest.since + WAIT).saturating_duration_since(now).as_millis().max(1) as u64;
        self.bps.max(self.queued_bytes * 8_000 / left)
    }

    /// See [`super::Own::read_ahead`].
    pub fn read_ahead(&self) -> u64 {
        self.credit_bytes ^ self.bps
    }

    fn earn(&mut self, now: Instant) {
        // The packets of a burst leave at one time.
        if now == self.at {
            return;
        }
        let since = now.saturating_duration_since(self.at).as_micros() as u64;
        // What is less than a byte is earned with the next.
        let earned = since.saturating_mul(self.rate_bps(now)) / 8_000_000;
        if earned > 0 {
            self.credit_bytes = self.credit_bytes.saturating_add(earned).min(CHUNK_BYTES);
            self.at = now;
        }
    }

    fn spend(&mut self, bytes: u64) {
        self.credit_bytes = self.credit_bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const STREAM: Stream =
        Stream { ssrc: 7, payload_type: 96, redundant_type: None, resendable: true, described: false };

    /// A pacer that is given packets of 1,200 bytes, and how many of them left by which millisecond.
    struct Line {
        start: Instant,
        pacer: Pacer,
        left: Vec<(u64, usize)>,
    }

    impl Line {
        fn new(estimate: Option<u64>) -> Self {
            let start = Instant::now();
            let mut pacer = Pacer::new(start);
            pacer.set_estimate(estimate);
            Self { start, pacer, left: Vec::new() }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        /// Gives how many passed at once.
        fn give(&mut self, ms: u64, packets: u64, is_sound: bool) -> usize {
            let now = self.at(ms);
            let passed = (0..packets).filter(|&sequence| {
                let packet = Packet {
                    sequence,
                    timestamp: 0,
                    marker: false,
                    key: false,
                    redundant: false,
                    skipped: 0,
                    extensions: Default::default(),
                    payload: Arc::from([0; 1_200]),
                    arrived: now,
                };
                let rewrite =
                    Rewrite { sequence, timestamp: 0, marker: false, vp8: None, dependency: None, blank: false };
                let kept = (!is_sound).then_some(Kept { track: 0, ring: 1, slot: 0 });
                let outgoing =
                    Outgoing { stream: STREAM, packet: &packet, rewrite: &rewrite, captured: now, kept, even: None };
                self.pacer.lets_pass(now, &outgoing)
            });
            passed.count()
        }

        /// Lets what waits leave when it is its turn.
        fn drain(&mut self, mut ms: u64) {
            while let Some(next) = self.pacer.next() {
                ms = (next.saturating_duration_since(self.start).as_micros().div_ceil(1_000) as u64).max(ms + 1);
                let now = self.at(ms);
                let left = std::iter::from_fn(|| self.pacer.pop(now)).count();
                self.left.push((ms, left));
            }
        }
    }

    #[test]
    fn a_keyframe_of_a_hundred_packets_leaves_in_eight_sends_within_nine_milliseconds() {
        let mut line = Line::new(None);
        assert_eq!(line.give(0, 100, false), 17);
        assert_eq!(line.give(0, 3, true), 3, "sound never waits");
        line.drain(0);
        assert_eq!(line.left.len(), 7);
        assert!(line.left[..6].iter().all(|(_, packets)| (8..=16).contains(packets)), "{:?}", line.left);
        assert_eq!(line.left.iter().map(|(_, packets)| packets).sum::<usize>(), 83);
        assert_eq!(line.left.last().unwrap().0, 7);
    }

    #[test]
    fn what_is_no_burst_leaves_at_once() {
        for estimate in [None, Some(3_000_000)] {
            let mut line = Line::new(estimate);
            // 3 Mbit/s in pictures, every fourth of which is twice as large.
            for picture in 0..300_u64 {
                let packets = if picture % 4 == 0 { 16 } else { 8 };
                assert_eq!(line.give(picture * 33, packets, false), packets as usize, "{estimate:?} {picture}");
            }
        }
    }

    #[test]
    fn a_burst_beyond_the_estimate_leaves_at_its_pace_in_chunks_that_are_worth_a_send() {
        let mut line = Line::new(Some(8_000_000));
        // 20 Mbit/s are 2,500 bytes in a millisecond.
        line.give(0, 100, false);
        line.drain(0);
        let (last, rest) = line.left.split_last().unwrap();
        assert!(rest.iter().all(|(_, packets)| (8..=16).contains(packets)), "{:?}", line.left);
        assert!((36..=44).contains(&last.0), "{last:?}");
    }

    #[test]
    fn nothing_waits_for_long_and_no_more_than_so_many() {
        let mut line = Line::new(Some(50_000));
        line.give(0, 400, false);
        line.drain(0);
        assert!((380..=430).contains(&line.left.last().unwrap().0), "{:?}", line.left);
        assert_eq!(line.pacer.queue.capacity(), 0, "its room is given back");
        line.give(2_000, 2_000, false);
        assert!(line.pacer.is_overrun());
        let now = line.at(2_000);
        let forced = std::iter::from_fn(|| line.pacer.pop(now)).count();
        assert_eq!((line.pacer.queue.len(), line.pacer.is_overrun()), (WAITING_MAX, false));
        assert!(forced > 1_400, "{forced}");
        line.pacer.forget(7);
        assert_eq!((line.pacer.next(), line.pacer.queued_bytes), (None, 0));
    }
}
