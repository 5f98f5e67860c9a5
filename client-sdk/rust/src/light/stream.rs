//! One incoming stream by its clear numbers: what is missing, what to ask for again, and what a receiver report says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::rtcp::ReportBlock;

/// A packet may come that much later than its successor before it is asked for.
const REORDER_WAIT: Duration = Duration::from_millis(5);
/// A packet is asked for again after that long.
const RETRY_WAIT: Duration = Duration::from_millis(60);
/// A packet is asked for that often before it is given up, and a keyframe asked for.
const TRIES_MAX: u8 = 8;
/// A hole longer than this is no loss to be repaired.
const HOLE_MAX: u64 = 500;
/// Two requests for a keyframe are at least that far apart.
const KEYFRAME_WAIT: Duration = Duration::from_millis(500);

/// The 16-bit numbers of one SSRC, extended. SRTP counts rollovers from zero at the first packet (RFC 3711).
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    /// The reception that the stream belongs to.
    pub(super) reception: usize,
    newest: Option<u64>,
}

impl Sequence {
    pub(super) fn of(reception: usize) -> Self {
        Self { reception, newest: None }
    }

    /// The extended number nearest to the newest.
    pub(super) fn extend(&mut self, sequence: u16) -> u64 {
        let index = self.nearest(sequence);
        self.newest = Some(self.newest.map_or(index, |newest| newest.max(index)));
        index
    }

    fn nearest(&self, sequence: u16) -> u64 {
        let Some(newest) = self.newest else { return u64::from(sequence) };
        let ahead = sequence.wrapping_sub(newest as u16) as i16;
        newest.saturating_add_signed(i64::from(ahead))
    }
}

/// A hole in the numbers.
#[derive(Clone, Copy, Debug)]
struct Missing {
    ask_at: Instant,
    tries: u8,
}

/// A stream of media packets.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) ssrc: u32,
    pub(super) sequence: Sequence,
    missing: BTreeMap<u64, Missing>,
    first: Option<u64>,
    highest: u64,
    received: u64,
    /// Expected and received when the last report was made.
    reported: (u64, u64),
    /// Arrival and RTP time of the newest packet, for the jitter.
    newest: Option<(Instant, u32)>,
    jitter: f64,
    clock_hz: f64,
    sender_report: Option<(u32, Instant)>,
    keyframe_wanted: bool,
    keyframe_asked_at: Instant,
}

impl Stream {
    pub(super) fn new(ssrc: u32, reception: usize, now: Instant) -> Self {
        Self {
            ssrc,
            sequence: Sequence::of(reception),
            missing: BTreeMap::new(),
            first: None,
            highest: 0,
            received: 0,
            reported: (0, 0),
            newest: None,
            jitter: 0.0,
            clock_hz: 90_000.0,
            sender_report: None,
            keyframe_wanted: false,
            keyframe_asked_at: now,
        }
    }

    /// Notes a packet by its extended number.
    pub(super) fn note(&mut self, index: u64, timestamp: u32, now: Instant) {
        self.received += 1;
        if self.first.is_none() {
            (self.first, self.highest) = (Some(index), index);
        }
        if index > self.highest {
            self.note_hole(index, now);
            self.highest = index;
            self.note_jitter(timestamp, now);
        } else {
            self.missing.remove(&index);
        }
    }

    fn note_hole(&mut self, index: u64, now: Instant) {
        if index - self.highest > HOLE_MAX {
            self.missing.clear();
            self.keyframe_wanted = true;
            return;
        }
        for gone in self.highest + 1..index {
            self.missing.insert(gone, Missing { ask_at: now + REORDER_WAIT, tries: 0 });
        }
    }

    /// RFC 3550, section 6.4.1.
    fn note_jitter(&mut self, timestamp: u32, now: Instant) {
        if let Some((before, stamp)) = self.newest.replace((now, timestamp)) {
            let arrival = now.saturating_duration_since(before).as_secs_f64() * self.clock_hz;
            let sent = f64::from(timestamp.wrapping_sub(stamp) as i32);
            self.jitter += ((arrival - sent).abs() - self.jitter) / 16.0;
        }
    }

    /// A packet came by repair.
    pub(super) fn repaired(&mut self, sequence: u16) {
        if self.missing.remove(&self.sequence.nearest(sequence)).is_some() {
            self.received += 1;
        }
    }

    /// A sender report was heard.
    pub(super) fn heard(&mut self, middle_ntp: u32, now: Instant) {
        self.sender_report = Some((middle_ntp, now));
    }

    /// What is missing is not asked for: the stream has no repairs.
    pub(super) fn forgive(&mut self) {
        self.missing.clear();
    }

    /// When something is to be asked for next.
    pub(super) fn next_nack_at(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.ask_at).min()
    }

    /// The numbers to ask for now. Those asked for too often are given up.
    pub(super) fn due(&mut self, now: Instant) -> Vec<u16> {
        let before = self.missing.len();
        self.missing.retain(|_, missing| missing.tries < TRIES_MAX || missing.ask_at > now);
        self.keyframe_wanted |= self.missing.len() < before;
        let mut due = Vec::new();
        for (index, missing) in self.missing.iter_mut().filter(|(_, missing)| missing.ask_at <= now) {
            missing.tries += 1;
            missing.ask_at = now + RETRY_WAIT;
            due.push(*index as u16);
        }
        due
    }

    /// Whether to ask for a keyframe now; once.
    pub(super) fn wants_keyframe(&mut self, now: Instant) -> bool {
        let wants = self.keyframe_wanted && now >= self.keyframe_asked_at + KEYFRAME_WAIT;
        if wants {
            (self.keyframe_wanted, self.keyframe_asked_at) = (false, now);
        }
        wants
    }

    /// The block of a receiver report.
    pub(super) fn report(&mut self, now: Instant) -> ReportBlock {
        let expected = self.first.map_or(0, |first| self.highest - first + 1);
        let (expected_before, received_before) = std::mem::replace(&mut self.reported, (expected, self.received));
        let due = expected.saturating_sub(expected_before);
        let lost = due.saturating_sub(self.received - received_before);
        let (last_report, since) = self
            .sender_report
            .map_or((0, 0), |(ntp, at)| (ntp, (now.saturating_duration_since(at).as_secs_f64() * 65_536.0) as u32));
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost * 256).checked_div(due).unwrap_or(0).min(255) as u8,
            lost: expected.saturating_sub(self.received).min(0x7f_ffff) as u32,
            highest: self.highest as u32,
            jitter: self.jitter as u32,
            last_report,
            since,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_hole_is_asked_for_until_it_is_filled() {
        let start = Instant::now();
        let mut stream = Stream::new(1, 0, start);
        for index in [10, 11, 14] {
            let index = stream.sequence.extend(index);
            stream.note(index, 0, start);
        }
        assert!(stream.due(start).is_empty(), "it may just be late");
        assert_eq!(stream.due(start + ms(6)), [12, 13]);
        stream.repaired(12);
        stream.note(13, 0, start + ms(7));
        assert_eq!(stream.next_nack_at(), None);
        assert_eq!(stream.report(start + ms(8)).lost, 0);
    }

    #[test]
    fn what_never_comes_ends_in_one_request_for_a_keyframe() {
        let start = Instant::now();
        let mut stream = Stream::new(1, 0, start);
        stream.note(1, 0, start);
        stream.note(3, 0, start);
        let asked = (1..=40).filter(|tick| !stream.due(start + ms(tick * 60)).is_empty()).count();
        assert_eq!(asked, usize::from(TRIES_MAX));
        assert!(stream.wants_keyframe(start + ms(3000)));
        assert!(!stream.wants_keyframe(start + ms(6000)));
        let report = stream.report(start + ms(3000));
        assert_eq!((report.lost, report.fraction_lost), (1, 85));
    }

    #[test]
    fn numbers_run_on_past_their_rollover() {
        let mut sequence = Sequence::of(0);
        let extended: Vec<u64> = [65_534, 65_535, 0, 65_533, 1].map(|seq| sequence.extend(seq)).into();
        assert_eq!(extended, [65_534, 65_535, 65_536, 65_533, 65_537]);
    }
}
