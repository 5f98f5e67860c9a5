//! A run in one JSON object: who ran it, what was asserted, and the percentiles of every metric.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::outcome::{Outcome, Samples};

/// A run in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    version: String,
    scenario: String,
    scenario_hash: String,
    seed: u64,
    policy: String,
    duration_s: f64,
    events: u64,
    passed: bool,
    asserts: Vec<Assert>,
    violations: Vec<Violation>,
    totals: Totals,
    metrics: BTreeMap<String, Percentiles>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Assert {
    assert: String,
    measured: Option<f64>,
    holds: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Violation {
    at_s: f64,
    what: String,
}

/// Sums over the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Packets that publishers sent.
    pub published: u64,
    /// Packets delivered to viewers.
    pub delivered: u64,
    /// Packets that viewers missed for good.
    pub missed: u64,
    /// Packets lost by the network.
    pub network_lost: u64,
    /// Packets sent again on links.
    pub repaired: u64,
    /// FEC packets on links.
    pub fec: u64,
    /// Packets shed: audio, base, enhancement.
    pub shed: [u64; 3],
    /// Bytes on links.
    pub link_bytes: u64,
    /// Bytes of RTP among them.
    pub link_payload_bytes: u64,
    /// Parents that changed.
    pub moves: u64,
    /// Keyframe requests that reached publishers.
    pub keyframe_requests: u64,
}

/// A metric in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub samples: usize,
    pub mean: f64,
    pub min: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Percentiles {
    /// Of sorted samples; `None` without any.
    pub fn of(samples: &Samples) -> Option<Self> {
        let at = |percent| samples.percentile(percent);
        Some(Self {
            samples: samples.values.len(),
            mean: samples.mean()?,
            min: *samples.values.first()?,
            p50: at(50.0)?,
            p90: at(90.0)?,
            p95: at(95.0)?,
            p99: at(99.0)?,
            max: *samples.values.last()?,
        })
    }
}

impl Totals {
    /// Over a run.
    pub fn of(outcome: &Outcome) -> Self {
        let mut totals = Self::default();
        for second in &outcome.seconds {
            totals.published += second.published;
            totals.delivered += second.delivered;
            totals.missed += second.missed;
            totals.network_lost += second.network_lost;
            totals.repaired += second.repaired;
            totals.moves += second.moves;
            totals.keyframe_requests += second.keyframe_requests;
            for (sum, shed) in totals.shed.iter_mut().zip(second.shed) {
                *sum += shed;
            }
        }
        for link in &outcome.links {
            totals.link_bytes += link.bytes;
            totals.link_payload_bytes += link.payload_bytes;
            totals.fec += link.fec;
        }
        totals
    }
}

/// A run in short.
pub fn summary(outcome: &Outcome) -> Summary {
    let asserts = outcome.asserts.iter();
    let asserts = asserts.map(|a| Assert { assert: a.what.clone(), measured: a.measured, holds: a.holds }).collect();
    let violations = outcome.violations.iter();
    let violations = violations.map(|v| Violation { at_s: v.at_s, what: v.what.clone() }).collect();
    let metrics = outcome.metrics.iter();
    Summary {
        version: outcome.version.clone(),
        scenario: outcome.scenario.clone(),
        scenario_hash: outcome.scenario_hash.clone(),
        seed: outcome.seed,
        policy: outcome.policy.clone(),
        duration_s: outcome.duration_s,
        events: outcome.events,
        passed: passed(outcome),
        asserts,
        violations,
        totals: Totals::of(outcome),
        metrics: metrics.filter_map(|(name, samples)| Some((name.clone(), Percentiles::of(samples)?))).collect(),
    }
}

/// Whether all asserts and invariants hold.
pub fn passed(outcome: &Outcome) -> bool {
    outcome.violations.is_empty() && outcome.asserts.iter().all(|assert| assert.holds)
}

/// The summary as JSON with a line end.
pub fn json(outcome: &Outcome) -> String {
    let text = serde_json::to_string_pretty(&summary(outcome)).expect("numbers and texts are JSON");
    text + "\n"
}
