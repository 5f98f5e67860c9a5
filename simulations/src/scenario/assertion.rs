//! `[[assert]]`: what a run must show.

use super::reader::Section;
use super::tree::Value;
use crate::measures::METRICS;

/// Something that a run must show.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// Which metric, of [`METRICS`].
    pub metric: String,
    /// What of its samples.
    pub statistic: Statistic,
    /// How it compares with the bound.
    pub comparison: Comparison,
    /// The bound, in the metric's unit.
    pub bound: f64,
}

/// A figure of many samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The mean.
    Mean,
    /// The median.
    P50,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// How many there are.
    Count,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<=`
    AtMost,
    /// `<`
    Below,
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `=`
    Equal,
}

const STATISTICS: [(&str, Statistic); 7] = [
    ("min", Statistic::Min),
    ("max", Statistic::Max),
    ("mean", Statistic::Mean),
    ("p50", Statistic::P50),
    ("p95", Statistic::P95),
    ("p99", Statistic::P99),
    ("count", Statistic::Count),
];
/// Longer signs first, for `<` begins `<=` too.
const COMPARISONS: [(&str, Comparison); 5] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Below),
    (">", Comparison::Above),
    ("=", Comparison::Equal),
];
const BOUND: &str = "a comparison and a number, such as \"<= 15\"";

impl Statistic {
    /// As it is written in a scenario.
    pub fn name(self) -> &'static str {
        STATISTICS.iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }
}

impl Comparison {
    /// As it is written in a scenario.
    pub fn sign(self) -> &'static str {
        COMPARISONS.iter().find(|(_, other)| *other == self).map_or("", |(sign, _)| sign)
    }

    /// Whether it holds.
    pub fn holds(self, measured: f64, bound: f64) -> bool {
        match self {
            Self::AtMost => measured <= bound,
            Self::Below => measured < bound,
            Self::AtLeast => measured >= bound,
            Self::Above => measured > bound,
            Self::Equal => measured == bound,
        }
    }
}

pub(super) fn read(root: &Section<'_>) -> Vec<Assertion> {
    root.tables("assert").into_iter().flat_map(read_one).collect()
}

fn read_one(section: Section<'_>) -> Vec<Assertion> {
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let metric = section.get("metric", &names.join(", "), |value| match value {
        Value::Text(text) => names.contains(&text.as_str()).then(|| text.clone()),
        _ => None,
    });
    if !section.has("metric") {
        section.refuse("metric", "missing", names.join(", "));
    }
    let mut asserted = Vec::new();
    let mut has_bound = false;
    for (name, statistic) in STATISTICS {
        has_bound |= section.has(name);
        let bound = section.get(name, BOUND, |value| match value {
            Value::Text(text) => bound_of(text),
            _ => None,
        });
        if let (Some(metric), Some((comparison, bound))) = (&metric, bound) {
            asserted.push(Assertion { metric: metric.clone(), statistic, comparison, bound });
        }
    }
    if !has_bound {
        section.refuse(
            "metric",
            "nothing is asserted of it",
            format!("min, max, mean, p50, p95, p99 or count with {BOUND}"),
        );
    }
    section.finish();
    asserted
}

fn bound_of(text: &str) -> Option<(Comparison, f64)> {
    let (sign, comparison) = COMPARISONS.into_iter().find(|(sign, _)| text.trim_start().starts_with(sign))?;
    let bound = text.trim_start().strip_prefix(sign)?.trim().parse().ok().filter(|bound: &f64| bound.is_finite())?;
    Some((comparison, bound))
}
