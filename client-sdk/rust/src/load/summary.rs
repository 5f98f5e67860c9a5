//! What a load run saw, as a table and as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::description::Descriptions;
use crate::histogram::Histogram;
use crate::ledger::LayerCounts;
use crate::load::assertion::Verdict;
use crate::load::cost::Spent;
use crate::load::plan::Plan;
use crate::load::tally::{Counts, Received};
use crate::reception::Freezes;

/// The figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Seconds measured, from the last join on.
    pub seconds: f64,
    /// Rooms.
    pub rooms: usize,
    /// Seats of publishers that were taken at least once.
    pub publishers: usize,
    /// Seats of subscribers that were taken at least once.
    pub subscribers: usize,
    /// Joins that worked, those of participants who came back included.
    pub joins: u64,
    /// Joins that did not work.
    pub failed_joins: u64,
    /// Sessions that the server or the network ended.
    pub dropped: u64,
    /// Why joins failed and sessions were dropped, as far as there is room.
    pub failed: Vec<String>,
    /// Packets that publishers made, all layers.
    pub sent: u64,
    /// Different packets received, lost on the way, received twice, out of order, and repaired.
    pub received: LayerCounts,
    /// Packets without our stamp: from other clients.
    pub foreign: u64,
    /// Share of `received.unique` in what should have come, percent.
    pub delivered_percent: f64,
    /// RTP payload bytes received.
    pub received_bytes: u64,
    /// Keyframes seen to begin.
    pub keyframes: u64,
    /// Subscriptions without a single packet.
    pub silent: u64,
    /// Subscriptions whose packets ended before the run did.
    pub stalled: u64,
    /// Tracks that sections carried, from the participants' joins on: one that lost its section and got another counts twice.
    pub subscriptions: u64,
    /// What the server described to participants, from their joins on.
    pub descriptions: Descriptions,
    /// Times that a picture stood still for more than 200 ms.
    pub freezes: u64,
    /// Together, milliseconds.
    pub freeze_total_ms: f64,
    /// The longest, milliseconds.
    pub freeze_max_ms: f64,
    /// From making a packet to receiving it.
    pub delay_ms: Percentiles,
    /// From the call of connect to connected.
    pub join_ms: Percentiles,
    /// From a subscription being negotiated to its first packet.
    pub first_packet_ms: Percentiles,
    /// The same by URL, when there are several.
    pub places: Vec<PlaceSummary>,
    /// What it cost, here and at the server.
    pub cost: Spent,
    /// What was asserted and whether it held.
    pub assertions: Vec<Verdict>,
}

/// What the participants at one URL received.
#[derive(Clone, Debug, Serialize)]
pub struct PlaceSummary {
    /// Where they joined.
    pub url: String,
    /// As in [`Summary`].
    pub received: LayerCounts,
    /// As in [`Summary`].
    pub delivered_percent: f64,
    /// As in [`Summary`].
    pub freezes: u64,
    /// As in [`Summary`].
    pub delay_ms: Percentiles,
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
    pub(super) fn new(plan: &Plan, counts: &Counts, lasted: Duration, cost: Spent) -> Self {
        let all = counts.by_url.iter().fold(Received::default(), merge);
        let Freezes { count, total_us, longest_us } = all.freezes;
        let places = plan.urls.iter().zip(&counts.by_url).map(|(url, received)| place(url, received));
        Self {
            seconds: lasted.as_secs_f64(),
            rooms: plan.rooms,
            publishers: counts.publishers,
            subscribers: counts.subscribers,
            joins: counts.joins,
            failed_joins: counts.failed,
            dropped: counts.dropped,
            failed: counts.sentences.clone(),
            sent: counts.sent,
            received: all.counts,
            foreign: all.foreign,
            delivered_percent: delivered_percent(all.counts),
            received_bytes: all.bytes,
            keyframes: all.keyframes,
            silent: counts.silent,
            stalled: counts.stalled,
            subscriptions: counts.subscriptions,
            descriptions: counts.descriptions,
            freezes: count,
            freeze_total_ms: total_us as f64 / 1000.0,
            freeze_max_ms: longest_us as f64 / 1000.0,
            delay_ms: Percentiles::of(&all.delays),
            join_ms: Percentiles::of(&counts.join_times),
            first_packet_ms: Percentiles::of(&counts.first_packets),
            places: if plan.urls.len() > 1 { places.collect() } else { Vec::new() },
            cost,
            assertions: Vec::new(),
        }
    }
}

fn place(url: &str, received: &Received) -> PlaceSummary {
    PlaceSummary {
        url: url.to_owned(),
        received: received.counts,
        delivered_percent: delivered_percent(received.counts),
        freezes: received.freezes.count,
        delay_ms: Percentiles::of(&received.delays),
    }
}

fn delivered_percent(counts: LayerCounts) -> f64 {
    100.0 * counts.unique as f64 / (counts.unique + counts.lost).max(1) as f64
}

fn merge(mut sum: Received, other: &Received) -> Received {
    sum.delays.merge(&other.delays);
    Received {
        counts: sum.counts + other.counts,
        foreign: sum.foreign + other.foreign,
        bytes: sum.bytes + other.bytes,
        keyframes: sum.keyframes + other.keyframes,
        freezes: sum.freezes + other.freezes,
        delays: sum.delays,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let received = self.received;
        let people = format!("{} publishers, {} subscribers", self.publishers, self.subscribers);
        writeln!(
            f,
            "{people} in {} room{}, {:.1} s",
            self.rooms,
            if self.rooms == 1 { "" } else { "s" },
            self.seconds
        )?;
        let mbps = self.received_bytes as f64 * 8.0 / self.seconds.max(0.001) / 1e6;
        row(f, "packets", format!("{} made, {} received, {mbps:.1} Mbit/s", self.sent, received.unique))?;
        let faults = format!("{} lost, {} repaired", received.lost, received.repaired);
        let order = format!("{} twice, {} out of order", received.duplicates, received.reordered);
        row(f, "delivered", format!("{:.3} %: {faults}, {order}", self.delivered_percent))?;
        row(
            f,
            "freezes",
            format!("{}, longest {:.0} ms, together {:.0} ms", self.freezes, self.freeze_max_ms, self.freeze_total_ms),
        )?;
        for (name, times) in [("delay", self.delay_ms), ("join", self.join_ms), ("first packet", self.first_packet_ms)]
        {
            let Percentiles { p50, p95, p99, max } = times;
            row(f, name, format!("p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms, longest {max:.1} ms"))?;
        }
        let Descriptions { count, bytes, longest, sounds, pictures } = self.descriptions;
        let sections = format!("up to {sounds} sections for sounds and {pictures} for pictures");
        row(f, "descriptions", format!("{count}, {bytes} bytes together, longest {longest}, {sections}"))?;
        row(f, "tracks", format!("{} that sections carried", self.subscriptions))?;
        self.write_faults(f)?;
        for place in &self.places {
            let PlaceSummary { url, received, delivered_percent, freezes, delay_ms } = place;
            let counts = format!("{} received, {delivered_percent:.3} %, {freezes} freezes", received.unique);
            row(f, "at", format!("{url}: {counts}, delay p50 {:.1} ms, p99 {:.1} ms", delay_ms.p50, delay_ms.p99))?;
        }
        self.write_cost(f)?;
        self.assertions.iter().try_for_each(|verdict| row(f, "assert", verdict))
    }
}

impl Summary {
    fn write_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.joins > (self.publishers + self.subscribers) as u64 || self.failed_joins + self.dropped > 0 {
            let (joins, failed, dropped) = (self.joins, self.failed_joins, self.dropped);
            row(f, "joins", format!("{joins} worked, {failed} failed, {dropped} sessions dropped"))?;
        }
        if self.silent + self.stalled > 0 {
            row(f, "streams", format!("{} received nothing, {} ended early", self.silent, self.stalled))?;
        }
        self.failed.iter().try_for_each(|sentence| row(f, "", sentence))
    }

    fn write_cost(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spent { own_seconds, own_us_per_packet, .. } = self.cost;
        row(f, "cost here", format!("{own_seconds:.2} CPU s, {own_us_per_packet:.2} µs a packet received"))?;
        if let (Some(seconds), Some(us)) = (self.cost.server_seconds, self.cost.server_us_per_packet) {
            let speed = self.cost.server_packets_per_second.unwrap_or_default();
            row(f, "cost there", format!("{seconds:.2} CPU s, {us:.2} µs a packet, {speed:.0} packets per CPU s"))?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:12}  {value}")
}
