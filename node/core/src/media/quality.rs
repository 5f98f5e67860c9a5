//! How well a session's packets make their way: what a connection measured, told to the rooms every few seconds.

use std::time::{Duration, Instant};

use super::viewer::Viewer;
use super::worker::Worker;
use super::{Event, Kind, PathQuality};
use crate::SessionId;

/// How often rooms are told; as often as connections measure.
pub(super) const SPACING: Duration = Duration::from_secs(5);

/// A share of lost packets from which on a way counts as one that loses packets. Below, what a decoder conceals is not
/// heard.
const LOSING: f32 = 0.01;
/// For how many intervals it counts as such after the last loss: half a minute.
const LOSING_INTERVALS: u8 = 6;

/// What one connection measured of both ways, over the last whole interval.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// From the client.
    pub up: PathQuality,
    /// To the client; what was sent, not what came.
    pub down: PathQuality,
    /// Jitter of the interval that is under way: (from, to) the client.
    jitter_ms: (f32, f32),
    last: Option<(Instant, u64, u64)>,
    /// Intervals until the way to the client no longer counts as one that loses packets.
    losing_for: u8,
}

/// Totals of a connection at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// When.
    pub at: Instant,
    /// Bytes of RTP payload that came since its beginning.
    pub bytes_in: u64,
    /// The same for what left.
    pub bytes_out: u64,
    /// Share of packets that were lost lately on the way from the client.
    pub loss_in: Option<f32>,
    /// The same on the way to it.
    pub loss_out: Option<f32>,
    /// There and back.
    pub rtt: Option<Duration>,
}

impl Meter {
    /// An interval is over.
    pub fn measured(&mut self, measured: Measured) {
        let Measured { at, bytes_in, bytes_out, .. } = measured;
        let (since, old_in, old_out) =
            self.last.replace((at, bytes_in, bytes_out)).unwrap_or((at, bytes_in, bytes_out));
        let millis = at.saturating_duration_since(since).as_millis() as u64;
        let rate = |new: u64, old: u64| (new.saturating_sub(old) * 8_000).checked_div(millis).unwrap_or(0);
        let rtt_ms = measured.rtt.map(|rtt| rtt.as_secs_f32() * 1_000.0);
        let way = |loss: Option<f32>, jitter_ms: f32, old: PathQuality, bitrate_bps: u64| {
            let loss = loss.unwrap_or(0.0).clamp(0.0, 1.0);
            PathQuality { loss, jitter_ms, rtt_ms: rtt_ms.unwrap_or(old.rtt_ms), bitrate_bps, expected_bps: 0 }
        };
        let (jitter_in, jitter_out) = std::mem::take(&mut self.jitter_ms);
        self.up = way(measured.loss_in, jitter_in, self.up, rate(bytes_in, old_in));
        self.down = way(measured.loss_out, jitter_out, self.down, rate(bytes_out, old_out));
        self.up.expected_bps = (self.up.bitrate_bps as f32 / (1.0 - self.up.loss).max(0.01)) as u64;
        self.losing_for = if self.down.loss >= LOSING { LOSING_INTERVALS } else { self.losing_for.saturating_sub(1) };
        self.down.bitrate_bps = (self.down.bitrate_bps as f32 * (1.0 - self.down.loss)) as u64;
    }

    /// Whether packets to the client have been lost lately, so that redundancy is worth its bits.
    pub fn loses(&self) -> bool {
        self.losing_for > 0
    }

    /// Jitter of one stream, in ticks of its clock; the worst of all streams counts.
    pub fn jitter(&mut self, from_client: bool, ticks: u32, clock_rate: u32) {
        let worst = if from_client { &mut self.jitter_ms.0 } else { &mut self.jitter_ms.1 };
        *worst = worst.max(ticks as f32 * 1_000.0 / clock_rate.max(1) as f32);
    }

    /// Jitter of all streams from and to the client, in milliseconds.
    pub fn jitter_ms(&mut self, from: f32, to: f32) {
        self.jitter_ms = (self.jitter_ms.0.max(from), self.jitter_ms.1.max(to));
    }
}

impl Worker {
    /// Tells how every connected session fares.
    pub(super) fn tell_quality(&mut self) {
        for (&id, session) in &self.sessions {
            let ways = (self.peers.get(session.publisher), self.peers.get(session.subscriber));
            let (Some(publisher), Some(subscriber)) = ways else { continue };
            if !publisher.connected && !subscriber.connected {
                continue;
            }
            let mut down = subscriber.meter.down;
            let sent = (down.bitrate_bps as f32 / (1.0 - down.loss).max(0.01)) as u64;
            down.expected_bps = self.useful_bps(id).max(sent);
            self.events.push_back(Event::Quality { session: id, up: publisher.meter.up, down });
        }
    }

    /// What a client would get of its pictures if its path had room for all it has use for. Those that began within
    /// what was measured are left out: their bits are not missing from the time before.
    fn useful_bps(&self, id: SessionId) -> u64 {
        let Some(session) = self.sessions.get(&id) else { return 0 };
        let now = self.now;
        let counts = |viewer: &Viewer| {
            let whole = viewer.begun.is_some_and(|at| now.saturating_duration_since(at) >= SPACING * 2);
            whole && viewer.stream.is_some() && !viewer.settings.disabled
        };
        let sent = session.wanted.values().map(|wanted| wanted.sent_as);
        let tracks = sent.filter_map(|sid| self.tracks.get(*self.tracks_by_sid.get(&sid)?));
        let viewed = tracks.filter(|track| track.kind == Kind::Video).filter_map(|track| {
            let viewer = track.viewers.iter().find(|viewer| viewer.session == id)?;
            counts(viewer).then(|| track.flowing_bitrate_bps(viewer))
        });
        viewed.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_lost_packets_counts_as_losing_for_half_a_minute() {
        let start = Instant::now();
        let mut meter = Meter::default();
        let mut measure = |interval: u64, loss| {
            let at = start + SPACING * interval as u32;
            meter.measured(Measured { at, bytes_in: 0, bytes_out: 0, loss_in: None, loss_out: Some(loss), rtt: None });
            meter.loses()
        };
        assert!(!measure(0, 0.005));
        assert!(measure(1, 0.02));
        assert!((2..7).all(|interval| measure(interval, 0.0)));
        assert!(!measure(7, 0.0));
    }

    #[test]
    fn rates_are_of_the_last_interval_and_loss_lowers_what_came() {
        let start = Instant::now();
        let at = |seconds, bytes: u64, loss| Measured {
            at: start + Duration::from_secs(seconds),
            bytes_in: bytes,
            bytes_out: bytes * 2,
            loss_in: loss,
            loss_out: loss,
            rtt: (seconds == 5).then(|| Duration::from_millis(40)),
        };
        let mut meter = Meter::default();
        meter.measured(at(0, 1_000_000, None));
        assert_eq!((meter.up.bitrate_bps, meter.up.expected_bps, meter.up.rtt_ms), (0, 0, 0.0));
        meter.jitter(true, 960, 48_000);
        meter.jitter(true, 90, 90_000);
        meter.measured(at(5, 1_625_000, Some(0.5)));
        assert_eq!((meter.up.bitrate_bps, meter.up.expected_bps), (1_000_000, 2_000_000));
        assert_eq!((meter.up.jitter_ms, meter.up.rtt_ms, meter.up.loss), (20.0, 40.0, 0.5));
        assert_eq!((meter.down.bitrate_bps, meter.down.jitter_ms), (1_000_000, 0.0));
        meter.measured(at(10, 1_625_000, None));
        assert_eq!((meter.up.bitrate_bps, meter.up.jitter_ms, meter.up.rtt_ms), (0, 0.0, 40.0));
    }
}
