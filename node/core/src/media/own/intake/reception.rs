//! How one of a client's streams comes, as receiver reports tell it (RFC 3550 6.4.1, A.3, A.8).

use std::time::Instant;

use crate::media::own::report::Received;

/// Bounds of what is lost in all: 24 bits.
const LOST_MAX: i64 = 0x7f_ffff;

/// One stream.
#[derive(Debug)]
pub(super) struct Reception {
    clock_rate: u32,
    first: Option<u64>,
    received: u64,
    /// Of the last report: expected, received.
    before: (u64, u64),
    jitter_us: f32,
    /// When the newest picture or sound began to come, and its time.
    last: Option<(Instant, u32)>,
}

impl Reception {
    /// Of a clock with so many ticks a second.
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate, first: None, received: 0, before: (0, 0), jitter_us: 0.0, last: None }
    }

    /// A packet came, or its repetition.
    pub fn note(&mut self, number: u64, timestamp: u32, now: Instant) {
        self.first.get_or_insert(number);
        self.received += 1;
        // Of a picture's packets the first alone says how long the way took.
        if self.last.is_some_and(|(_, last)| last == timestamp) {
            return;
        }
        if let Some((at, last)) = self.last {
            let sent_us = timestamp.wrapping_sub(last) as i32 as f32 * 1e6 / self.clock_rate as f32;
            let came_us = now.saturating_duration_since(at).as_micros() as f32;
            self.jitter_us += ((came_us - sent_us).abs() - self.jitter_us) / 16.0;
        }
        self.last = Some((now, timestamp));
    }

    /// What to report; none when nothing came.
    pub fn report(&mut self, newest: Option<u64>) -> Option<Received> {
        let (first, newest) = (self.first?, newest?);
        let expected = newest.saturating_sub(first) + 1;
        let (expected_before, received_before) = std::mem::replace(&mut self.before, (expected, self.received));
        let sent = expected.saturating_sub(expected_before);
        let lost = sent.saturating_sub(self.received - received_before);
        let in_all = (expected as i64 - self.received as i64).clamp(-LOST_MAX - 1, LOST_MAX);
        Some(Received {
            lost: (lost * 256).checked_div(sent).unwrap_or(0).min(255) as u8,
            lost_in_all: in_all as i32,
            newest: newest as u32,
            jitter: (self.jitter_us * 1e-6 * self.clock_rate as f32) as u32,
        })
    }

    /// Jitter, in milliseconds.
    pub fn jitter_ms(&self) -> f32 {
        self.jitter_us / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn loss_is_told_since_the_last_report_and_in_all() {
        let (mut reception, now) = (Reception::new(90_000), Instant::now());
        assert_eq!(reception.report(None), None);
        [65_530, 65_531, 65_533, 65_537].into_iter().for_each(|number| reception.note(number, 0, now));
        let told = Received { lost: 128, lost_in_all: 4, newest: 65_537, jitter: 0 };
        assert_eq!(reception.report(Some(65_537)), Some(told));
        // One of those comes again.
        [65_532, 65_538].into_iter().for_each(|number| reception.note(number, 0, now));
        let told = Received { lost: 0, lost_in_all: 3, newest: 65_538, jitter: 0 };
        assert_eq!(reception.report(Some(65_538)), Some(told));
        assert_eq!(reception.report(Some(65_538)), Some(told), "nothing was sent since");
    }

    #[test]
    fn jitter_is_how_much_later_pictures_come_than_they_were_made() {
        let (mut reception, start) = (Reception::new(90_000), Instant::now());
        for frame in 0..200 {
            let late = Duration::from_millis(u64::from(frame % 2) * 8);
            let now = start + Duration::from_millis(u64::from(frame) * 40) + late;
            reception.note(u64::from(frame) * 2, frame * 3_600, now);
            reception.note(u64::from(frame) * 2 + 1, frame * 3_600, now + Duration::from_millis(20));
        }
        let told = reception.report(Some(399)).unwrap();
        assert!((700..=720).contains(&told.jitter), "8 ms are 720 ticks: {told:?}");
        assert!((7.9..8.1).contains(&reception.jitter_ms()));
    }
}
