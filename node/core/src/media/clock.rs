//! When media was captured: publishers' sender reports turned into our time, so that a viewer's lips stay in sync.
//!
//! One offset per publisher serves its sound and its picture alike. What matters is only that both are moved by the
//! same amount; the amount itself is arbitrary.

use std::time::{Duration, Instant};

/// Captured times are put this far back, so that a report that came late does not make a packet look captured in the
/// future.
const MARGIN: Duration = Duration::from_millis(200);
/// A packet's capture is never taken to be longer ago than this: beyond it the report must be wrong.
const AGE_MAX: Duration = Duration::from_secs(10);
/// Of a report's deviation from the offset so far, this part is followed: clocks drift by milliseconds an hour.
const FOLLOWED_PART: u32 = 64;

/// A publisher's NTP clock against ours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SenderClock {
    reference: Option<(u64, Instant)>,
}

impl SenderClock {
    /// A report with this NTP time (UQ32.32) came at `now`: when that was, on our clock.
    pub fn report(&mut self, ntp: u64, now: Instant) -> Instant {
        let Some((reference_ntp, reference)) = self.reference else {
            self.reference = Some((ntp, now));
            return now;
        };
        let mapped = offset(reference, ntp_difference(ntp, reference_ntp));
        let deviation_ns = signed_ns(now, mapped);
        if deviation_ns.unsigned_abs() > AGE_MAX.as_nanos() as u64 {
            self.reference = Some((ntp, now));
            return now;
        }
        let followed = deviation_ns / i64::from(FOLLOWED_PART);
        self.reference = Some((ntp, offset(mapped, followed)));
        mapped
    }
}

/// When the packets of one layer were captured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LayerClock {
    anchor: Option<(u32, Instant)>,
    /// The newest report: NTP time and the timestamp of that moment.
    said: Option<(u64, u32)>,
}

impl LayerClock {
    /// By the publisher's report, `rtp` was captured at `ntp`, which is `at` on our clock.
    pub fn set(&mut self, ntp: u64, rtp: u32, at: Instant) {
        self.anchor = Some((rtp, at));
        self.said = Some((ntp, rtp));
    }

    /// From the capture of `from` to that of another layer's `to`, nanoseconds by the publisher's own clock, whichever
    /// ways both came; `None` as long as it has not said both.
    pub fn apart_ns(&self, from: u32, (other, to): (&Self, u32), clock_rate: u32) -> Option<i64> {
        let ((from_ntp, from_rtp), (to_ntp, to_rtp)) = (self.said?, other.said?);
        let behind = |timestamp: u32, rtp: u32| {
            i64::from(timestamp.wrapping_sub(rtp) as i32) * 1_000_000_000 / i64::from(clock_rate)
        };
        ntp_difference(to_ntp, from_ntp).checked_add(behind(to, to_rtp) - behind(from, from_rtp))
    }

    /// When `timestamp` was captured; when it arrived, as long as the publisher has not said.
    pub fn captured(&self, timestamp: u32, clock_rate: u32, arrived: Instant) -> Instant {
        let earliest = arrived.checked_sub(AGE_MAX).unwrap_or(arrived);
        let Some((rtp, at)) = self.anchor else { return arrived.checked_sub(MARGIN).unwrap_or(arrived) };
        let ticks = i64::from(timestamp.wrapping_sub(rtp) as i32);
        let nanoseconds = ticks * 1_000_000_000 / i64::from(clock_rate);
        offset(at, nanoseconds - MARGIN.as_nanos() as i64).clamp(earliest, arrived)
    }
}

fn ntp_difference(to: u64, from: u64) -> i64 {
    // UQ32.32 seconds to nanoseconds.
    ((i128::from(to.wrapping_sub(from) as i64) * 1_000_000_000) >> 32) as i64
}

fn signed_ns(to: Instant, from: Instant) -> i64 {
    let ns = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    if to >= from { ns(to - from) } else { -ns(from - to) }
}

fn offset(at: Instant, nanoseconds: i64) -> Instant {
    let by = Duration::from_nanos(nanoseconds.unsigned_abs());
    let moved = if nanoseconds >= 0 { at.checked_add(by) } else { at.checked_sub(by) };
    moved.unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_and_picture_that_were_captured_together_are_mapped_together() {
        let start = Instant::now() + Duration::from_secs(100);
        let second = 1_u64 << 32;
        let mut clock = SenderClock::default();
        let (mut sound, mut picture) = (LayerClock::default(), LayerClock::default());
        sound.set(77 * second, 48_000, clock.report(77 * second, start));
        // The picture's report is a second younger and was 80 ms longer on its way.
        let late = start + Duration::from_millis(1_080);
        picture.set(78 * second, 900_000, clock.report(78 * second, late));
        let arrived = late + Duration::from_secs(2);
        let sound = sound.captured(48_000 * 3, 48_000, arrived);
        let picture = picture.captured(900_000 + 90_000, 90_000, arrived);
        assert!(signed_ns(sound, picture).abs() < 1_000_000, "{}", signed_ns(sound, picture));
    }

    #[test]
    fn a_report_that_makes_no_sense_keeps_captures_near_their_arrival() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut clock = SenderClock::default();
        for ntp in [0, u64::MAX, 1, 1 << 63, 7 << 40] {
            let mut layer = LayerClock::default();
            layer.set(ntp, 5, clock.report(ntp, start));
            for timestamp in [0, 5, u32::MAX, 1 << 31] {
                let captured = layer.captured(timestamp, 90_000, start);
                assert!(captured <= start && start - captured <= AGE_MAX);
            }
        }
    }
}
