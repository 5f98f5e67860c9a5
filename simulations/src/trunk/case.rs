//! One case of a table: what is run, and what is measured of it.

use origo_cascade_core::link::Class;
use serde::Serialize;

use super::control::Control;
use super::crowd::{Crowd, Media, PAYLOAD};
use super::path::Conditions;
use super::trunk::{Setup, Trunk};
use super::world::World;

/// After publishers have stopped, what is under way may still come: s.
const DRAIN_S: f64 = 1.0;
/// Of a packet with a payload of 1150 bytes on the wire: QUIC, UDP, IP and the link's framing.
const WIRE: f64 = (PAYLOAD as f64 + 68.0) / PAYLOAD as f64;

/// A run.
#[derive(Clone, Debug)]
pub struct Case {
    /// What tables call it.
    pub name: String,
    /// The way there.
    pub conditions: Conditions,
    /// All that send.
    pub setups: Vec<Setup>,
    /// Media is sent for so long, s.
    pub span_s: f64,
    /// The seed.
    pub seed: u64,
}

/// What became of one trunk. Shares in percent, delays in ms beyond the path's, counted by when packets were sent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measured {
    /// The case.
    pub case: String,
    /// Who decided.
    pub control: &'static str,
    /// Of all packets, those that came.
    pub delivered: f64,
    /// Of those of the first two seconds.
    pub first_2s: f64,
    /// From the fourth second on.
    pub after_4s: f64,
    /// By class.
    pub audio: f64,
    /// By class.
    pub base: f64,
    /// By class.
    pub enhancement: f64,
    /// Added delay of what came: median, 95th and 99th percentile.
    pub added_p50: f64,
    /// See `added_p50`.
    pub added_p95: f64,
    /// See `added_p50`.
    pub added_p99: f64,
    /// Of sound alone.
    pub audio_p95: f64,
    /// Of all packets, those that the sender dropped: shed by the link, or discarded in QUIC's queue.
    pub dropped: f64,
    /// Of the bottleneck's packets, those lost or dropped by it.
    pub path_loss: f64,
    /// Mb/s of payload that came after the fifth second.
    pub carried_mbps: f64,
    /// Share of the bottleneck that pictures and sound with all that wraps them filled after the fifth second.
    pub used: Option<f64>,
    /// Of what the path lost, restored by parities; sent again; parities; repair requests.
    pub recovered: u64,
    /// See `recovered`.
    pub repairs: u64,
    /// See `recovered`.
    pub parities: u64,
    /// See `recovered`.
    pub nacks: u64,
    /// Marks that the path made, and that QUIC told its controller of.
    pub marked: u64,
    /// See `marked`.
    pub marks_told: u64,
    /// After an outage: until the first packet, ms.
    pub first_after_ms: Option<f64>,
    /// After an outage: until nine tenths of the rate come on time again, ms.
    pub recovered_after_ms: Option<f64>,
    /// What the link would send at the end, Mb/s.
    pub allowed_mbps: Option<f64>,
    /// Mb/s that a download beside it got.
    pub download_mbps: Option<f64>,
}

impl Case {
    /// Media over a path, decided by one controller.
    pub fn one(
        name: impl Into<String>,
        conditions: Conditions,
        control: Control,
        media: Media,
        rate: Option<f64>,
    ) -> Self {
        let setup = Setup { control, media: Some(media), rate_mbps: rate, stalls_ms: None };
        Self { name: name.into(), conditions, setups: vec![setup], span_s: 12.0, seed: 1 }
    }

    /// Runs it. Outages and changes of rate count from the start of media.
    pub fn run(&self) -> anyhow::Result<(Vec<Measured>, u64)> {
        let mut conditions = self.conditions.clone();
        // Both ends are up one and a half round trips after the start; a second is enough for any lost packet of it.
        let lead = self.conditions.delay_ms * 3e-3;
        conditions.outage_s = conditions.outage_s.map(|(from, span)| (from + lead, span));
        conditions.later_mbps = conditions.later_mbps.map(|(from, rate)| (from + lead, rate));
        let mut world = World::new(&conditions, &self.setups, self.seed)?;
        while world.trunks.iter().any(|trunk| trunk.up_at.is_none()) && world.now < 20_000_000_000 {
            world.run_until(world.now + 1_000_000);
        }
        let start = world.now;
        let stop = start + (self.span_s * 1e9) as u64;
        world.trunks.iter_mut().for_each(|trunk| trunk.stops_at = stop);
        world.run_until(stop);
        let downloaded: u64 = world.trunks.iter().map(|trunk| trunk.downloaded).sum();
        world.run_until(stop + (DRAIN_S * 1e9) as u64);
        let download = (downloaded > 0).then(|| downloaded as f64 * 8e-6 / self.span_s);
        let mut measured = Vec::new();
        for (trunk, crowd) in world.trunks.iter().filter_map(|trunk| Some((trunk, trunk.crowd.as_ref()?))) {
            let start = trunk.up_at.unwrap_or(start);
            measured.push(Measured { download_mbps: download, ..self.measure(&world, trunk, crowd, start) });
        }
        Ok((measured, world.events))
    }

    fn measure(&self, world: &World, trunk: &Trunk, crowd: &Crowd, start: u64) -> Measured {
        const ALL: &[Class] = &[Class::Audio, Class::Base, Class::Enhancement];
        let delay = (self.conditions.delay_ms * 1e6) as u64;
        let after = |seconds: f64| start + (seconds * 1e9) as u64;
        let share = |classes: &[Class], from: u64, to: u64| {
            let (mut sent, mut came) = (0, 0);
            for (_, arrived, _) in crowd.packets(classes).filter(|(at, ..)| (from..to).contains(at)) {
                sent += 1;
                came += u64::from(arrived > 0);
            }
            percent(came, sent)
        };
        let added = |classes: &[Class]| {
            let came = crowd.packets(classes).filter(|(_, arrived, _)| *arrived > 0);
            let mut added: Vec<f64> =
                came.map(|(sent, arrived, _)| arrived.saturating_sub(sent + delay) as f64 / 1e6).collect();
            added.sort_by(f64::total_cmp);
            added
        };
        let (all, audio) = (added(ALL), added(&[Class::Audio]));
        let ((sent, dropped), (got, _)) = (trunk.stats(0), trunk.stats(1));
        let path = &world.net.paths[0];
        let offered = crowd.packets(ALL).count() as u64;
        let late_bits: f64 = crowd
            .packets(ALL)
            .filter(|(_, arrived, _)| *arrived >= after(5.0) && *arrived < after(self.span_s))
            .map(|(_, _, bytes)| bytes as f64 * 8.0)
            .sum();
        let carried_mbps = late_bits / 1e6 / (self.span_s - 5.0);
        let rate = self.conditions.rate_mbps.filter(|_| self.conditions.later_mbps.is_none());
        let outage_end = self.conditions.outage_s.map(|(from, span)| after(from + span));
        Measured {
            case: self.name.clone(),
            control: trunk.setup.control.name(),
            delivered: share(ALL, 0, u64::MAX),
            first_2s: share(ALL, 0, after(2.0)),
            after_4s: share(ALL, after(4.0), u64::MAX),
            audio: share(&[Class::Audio], 0, u64::MAX),
            base: share(&[Class::Base], 0, u64::MAX),
            enhancement: share(&[Class::Enhancement], 0, u64::MAX),
            added_p50: percentile(&all, 50),
            added_p95: percentile(&all, 95),
            added_p99: percentile(&all, 99),
            audio_p95: percentile(&audio, 95),
            dropped: percent(dropped.shed.iter().sum::<u64>() + dropped.expired + trunk.discarded, offered),
            path_loss: percent(path.lost + path.overflowed, path.packets),
            carried_mbps,
            used: rate.map(|rate| 100.0 * carried_mbps * WIRE / rate),
            recovered: got.recovered,
            repairs: sent.packets[0][4],
            parities: sent.parities[0],
            nacks: got.nacks[0],
            marked: path.marked,
            marks_told: trunk.marks_told(),
            first_after_ms: outage_end.map(|end| first_after(crowd, end)),
            recovered_after_ms: outage_end.map(|end| recovered_after(crowd, end, delay, after(self.span_s))),
            allowed_mbps: Some(trunk.allowed_mbps()).filter(|mbps| mbps.is_finite()),
            download_mbps: None,
        }
    }
}

/// Until the first picture that comes after an outage, ms.
fn first_after(crowd: &Crowd, end: u64) -> f64 {
    let arrivals = crowd.packets(&Trunk::PICTURES).map(|(_, arrived, _)| arrived);
    arrivals.filter(|at| *at >= end).min().map_or(f64::NAN, |at| (at - end) as f64 / 1e6)
}

/// Until three tenths of a second begin in each of which nine tenths of what is published come, less than 25 ms late.
fn recovered_after(crowd: &Crowd, end: u64, delay: u64, until: u64) -> f64 {
    const SLOT: u64 = 100_000_000;
    let slots = (until.saturating_sub(end) / SLOT) as usize;
    let (mut sent, mut came) = (vec![0_u32; slots + 1], vec![0_u32; slots + 1]);
    for (at, arrived, _) in crowd.packets(&Trunk::PICTURES) {
        let slot = |at: u64| at.checked_sub(end).map(|since| (since / SLOT) as usize).filter(|slot| *slot < slots);
        if let Some(slot) = slot(at + delay) {
            sent[slot] += 1;
        }
        if let Some(slot) = slot(arrived).filter(|_| arrived < at + delay + 25_000_000) {
            came[slot] += 1;
        }
    }
    let good = |slot: usize| f64::from(came[slot]) >= 0.9 * f64::from(sent[slot]) && sent[slot] > 0;
    let first = (0..slots.saturating_sub(3)).find(|slot| (*slot..slot + 3).all(good));
    first.map_or(f64::NAN, |slot| slot as f64 * 100.0)
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// Of sorted values, nearest rank.
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}
