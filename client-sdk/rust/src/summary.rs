//! What a load run saw, as a table and as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;
use crate::ledger::LayerCounts;
use crate::participant::Report;

/// The figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Seconds of media that were planned.
    pub seconds: f64,
    /// Participants that joined, publishers first.
    pub publishers: usize,
    /// As `publishers`.
    pub subscribers: usize,
    /// Why subscribers could not join.
    pub failed: Vec<String>,
    /// Packets that publishers made, all layers.
    pub sent: u64,
    /// Different packets that subscribers received, lost on the way, received twice and out of order.
    pub received: LayerCounts,
    /// Share of `received.unique` in what should have come, percent.
    pub delivered_percent: f64,
    /// RTP payload bytes that subscribers received.
    pub received_bytes: u64,
    /// Keyframes that subscribers saw begin.
    pub keyframes: u64,
    /// Subscriptions without a single packet.
    pub silent: usize,
    /// From making a packet to receiving it.
    pub delay_ms: Percentiles,
    /// From the call of connect to connected.
    pub join_ms: Percentiles,
    /// From a subscription being negotiated to its first packet.
    pub first_packet_ms: Percentiles,
    #[serde(skip)]
    delays: Histogram,
    #[serde(skip)]
    joins: Histogram,
    #[serde(skip)]
    first_packets: Histogram,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Percentiles {
    /// Half stay below.
    pub p50: f64,
    /// 95 of 100 stay below.
    pub p95: f64,
    /// 99 of 100 stay below.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Percentiles {
    fn of(histogram: &Histogram) -> Self {
        let ms = |share| histogram.quantile_us(share) as f64 / 1000.0;
        Self { p50: ms(0.5), p95: ms(0.95), p99: ms(0.99), max: ms(1.0) }
    }
}

impl Summary {
    pub(crate) fn new(lasted: Duration, failed: Vec<String>) -> Self {
        Self {
            seconds: lasted.as_secs_f64(),
            publishers: 0,
            subscribers: 0,
            failed,
            sent: 0,
            received: LayerCounts::default(),
            delivered_percent: 100.0,
            received_bytes: 0,
            keyframes: 0,
            silent: 0,
            delay_ms: Percentiles::default(),
            join_ms: Percentiles::default(),
            first_packet_ms: Percentiles::default(),
            delays: Histogram::default(),
            joins: Histogram::default(),
            first_packets: Histogram::default(),
        }
    }

    pub(crate) fn add_publisher(&mut self, join_time: Duration, report: &Report) {
        self.publishers += 1;
        self.sent += report.sent.values().flatten().map(|&packets| u64::from(packets)).sum::<u64>();
        self.add_join(join_time);
    }

    pub(crate) fn add_subscriber(&mut self, join_time: Duration, report: &Report) {
        self.subscribers += 1;
        self.add_join(join_time);
        for track in &report.tracks {
            self.received = self.received + track.total();
            self.received_bytes += track.bytes;
            self.keyframes += track.keyframes;
            self.delays.merge(&track.delay);
            match track.first_packet_us {
                Some(after) => self.first_packets.add(after),
                None => self.silent += 1,
            }
        }
        let due = (self.received.unique + self.received.lost).max(1);
        self.delivered_percent = 100.0 * self.received.unique as f64 / due as f64;
        self.delay_ms = Percentiles::of(&self.delays);
        self.first_packet_ms = Percentiles::of(&self.first_packets);
    }

    fn add_join(&mut self, join_time: Duration) {
        self.joins.add(join_time.as_micros() as u64);
        self.join_ms = Percentiles::of(&self.joins);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let received = self.received;
        writeln!(f, "{} publishers, {} subscribers, {:.1} s", self.publishers, self.subscribers, self.seconds)?;
        writeln!(f, "  packets   {} made, {} received", self.sent, received.unique)?;
        writeln!(
            f,
            "  delivery  {:.3} %: {} lost, {} twice, {} out of order",
            self.delivered_percent, received.lost, received.duplicates, received.reordered
        )?;
        for (name, times) in [("delay", self.delay_ms), ("join", self.join_ms), ("first", self.first_packet_ms)] {
            let Percentiles { p50, p95, p99, max } = times;
            writeln!(f, "  {name:8}  p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms, longest {max:.1} ms")?;
        }
        if self.silent > 0 {
            writeln!(f, "  {} subscriptions received nothing", self.silent)?;
        }
        for failed in &self.failed {
            writeln!(f, "  not joined: {failed}")?;
        }
        Ok(())
    }
}
