//! How much of something there was lately: rates in bits per second, and shares of loss.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const SLOT: Duration = Duration::from_millis(100);
/// Slots that the mean is taken over, half a second, and the one that fills.
const MEAN_SLOTS: usize = 5;
const SLOTS: usize = MEAN_SLOTS + 1;

/// Bytes of the last half second in tenths of a second.
#[derive(Debug)]
pub(super) struct Meter {
    slots: [u32; SLOTS],
    place: u8,
    /// Full slots so far, up to [`SLOTS`].
    full: u8,
    ends: Instant,
}

impl Meter {
    /// A meter that begins now.
    pub(super) fn new(now: Instant) -> Self {
        Self { slots: [0; SLOTS], place: 0, ends: now + SLOT, full: 0 }
    }

    /// Counts bytes.
    pub(super) fn add(&mut self, now: Instant, bytes: usize) {
        self.turn(now);
        let slot = &mut self.slots[usize::from(self.place)];
        *slot = slot.saturating_add(bytes as u32);
    }

    fn turn(&mut self, now: Instant) {
        if now < self.ends {
            return;
        }
        let passed = (now - self.ends).as_millis() / SLOT.as_millis() + 1;
        for _ in 0..passed.min(SLOTS as u128) {
            self.place = (self.place + 1) % SLOTS as u8;
            self.slots[usize::from(self.place)] = 0;
        }
        self.full = (self.full + passed.min(SLOTS as u128) as u8).min(SLOTS as u8);
        self.ends += SLOT * passed.min(u128::from(u32::MAX)) as u32;
    }

    /// Bits per second over the last half second.
    pub(super) fn mean_bps(&mut self, now: Instant) -> f64 {
        self.turn(now);
        let (slots, place) = (usize::from(self.full).clamp(1, MEAN_SLOTS), usize::from(self.place));
        let bytes: u64 = (1..=slots).map(|back| u64::from(self.slots[(place + SLOTS - back) % SLOTS])).sum();
        // Before the first slot is full only what it holds is known.
        let bytes = if self.full == 0 { self.slots[place].into() } else { bytes };
        bytes as f64 * 8.0 / (SLOT.as_secs_f64() * slots as f64)
    }
}

/// Counters that wrap, as they stood over the last seconds: what share was lost.
#[derive(Debug)]
pub(super) struct Losses {
    span: Duration,
    /// (when, received, lost), ascending.
    stood: VecDeque<(Instant, u32, u32)>,
}

/// Time between two entries.
const LOSSES_EVERY: Duration = Duration::from_millis(500);

impl Losses {
    /// Shares over the last `span`.
    pub(super) fn new(span: Duration) -> Self {
        Self { span, stood: VecDeque::new() }
    }

    /// Takes the counters as they stand.
    pub(super) fn take(&mut self, now: Instant, received: u32, lost: u32) {
        if self.stood.back().is_some_and(|(at, ..)| now < *at + LOSSES_EVERY) {
            return;
        }
        self.stood.push_back((now, received, lost));
        while self.stood.front().is_some_and(|(at, ..)| now > *at + self.span) && self.stood.len() > 2 {
            self.stood.pop_front();
        }
    }

    /// (received, lost) since the oldest entry, given how the counters stand.
    pub(super) fn since(&self, received: u32, lost: u32) -> (u32, u32) {
        let Some((_, received_then, lost_then)) = self.stood.front() else { return (0, 0) };
        let lost = lost.wrapping_sub(*lost_then) as i32;
        (received.wrapping_sub(*received_then), lost.max(0) as u32)
    }

    /// The share that was lost, 0 to 1.
    pub(super) fn share(&self, received: u32, lost: u32) -> f64 {
        let (received, lost) = self.since(received, lost);
        f64::from(lost) / (f64::from(received) + f64::from(lost)).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_tells_the_mean_of_half_a_second() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.add(start, 1000);
        assert_eq!(meter.mean_bps(start), 80_000.0);
        for ms in 1..1000 {
            meter.add(start + Duration::from_millis(ms), if (500..600).contains(&ms) { 3000 } else { 1000 });
        }
        let at = start + Duration::from_millis(1000);
        assert_eq!(meter.mean_bps(at), 8e6 * 7.0 / 5.0);
        let later = start + Duration::from_secs(100);
        assert_eq!(meter.mean_bps(later), 0.0);
    }

    #[test]
    fn losses_are_of_the_last_seconds_and_may_wrap() {
        let start = Instant::now();
        let mut losses = Losses::new(Duration::from_secs(5));
        let (received, lost) = (u32::MAX - 499, u32::MAX);
        for second in 0..20 {
            losses.take(
                start + Duration::from_secs(second),
                received.wrapping_add(second as u32 * 99),
                lost.wrapping_add(second as u32),
            );
        }
        assert_eq!(losses.share(received.wrapping_add(19 * 99), lost.wrapping_add(19)), 0.01);
        assert_eq!(losses.share(received.wrapping_add(19 * 99), lost.wrapping_sub(9)), 0.0, "fewer than were thought");
    }
}
