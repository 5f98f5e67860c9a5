//! Distributions of the metrics, with the percentiles that people ask for and the bounds that were asserted.

use super::chart::{Frame, nice};
use super::figure::figure;
use super::headline::{Bound, bound};
use super::page::{card, escape};
use crate::outcome::{AssertOutcome, Outcome, Samples};

/// Points of a curve: what a card's width shows.
const STEPS: usize = 160;

/// All distributions as cards, those that are asserted first; metrics with one value alone are listed below them.
pub fn cards(outcome: &Outcome) -> String {
    let asserts = &outcome.asserts;
    let is_asserted = |name: &str| asserts.iter().any(|assert| assert.what.split_whitespace().next() == Some(name));
    let drawn = outcome.metrics.iter().filter(|(_, samples)| !samples.values.is_empty());
    let (constant, varied): (Vec<_>, Vec<_>) =
        drawn.partition(|(_, samples)| samples.values.first() == samples.values.last());
    let (first, rest): (Vec<_>, Vec<_>) = varied.into_iter().partition(|(name, _)| is_asserted(name));
    let cards: String = first.into_iter().chain(rest).map(|(name, samples)| draw(name, samples, asserts)).collect();
    let flat = constant.iter().map(|(name, samples)| {
        let value = samples.values.first().copied().map_or("–".into(), figure);
        format!("<span>{} <b>{value}</b></span>", escape(name))
    });
    match (cards.is_empty(), constant.is_empty()) {
        (true, true) => "<p class=none>The run left no samples.</p>".into(),
        (_, true) => format!("<div class=cards>{cards}</div>"),
        _ => format!(
            "<div class=cards>{cards}</div><p class=\"facts flat\"><span>the same throughout:</span>{}</p>",
            flat.collect::<String>()
        ),
    }
}

fn draw(name: &str, samples: &Samples, asserts: &[AssertOutcome]) -> String {
    let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| samples.percentile(percent).unwrap_or(0.0));
    let (count, title) = (samples.values.len(), escape(name));
    let percentiles = format!(
        "<span class=quiet>p50</span> {} <span class=quiet>p95</span> {} <span class=quiet>p99</span> {}",
        figure(p50),
        figure(p95),
        figure(p99)
    );
    let legend = format!("{percentiles} <span class=quiet>of {}</span>", figure(count as f64));
    let (Some(least), Some(most)) = (samples.values.first(), samples.values.last()) else { return String::new() };
    let bounds: Vec<(Bound, bool)> = asserts
        .iter()
        .filter(|assert| assert.what.split_whitespace().next() == Some(name))
        .filter_map(|assert| Some((bound(&assert.what)?, assert.holds)))
        .collect();
    // One wild sample must not squeeze all others against the axis.
    let tail = if *most > 4.0 * p99 && p99 > 0.0 { nice(1.5 * p99) } else { *most };
    let widest = bounds.iter().map(|(bound, _)| bound.value).filter(|value| *value < 3.0 * tail).fold(tail, f64::max);
    // Values far from nought are looked at closely: shares near 100 percent, for one.
    let nearest = bounds.iter().map(|(bound, _)| bound.value).fold(*least, f64::min);
    let from = if nearest > 0.6 * widest { nearest - 0.05 * (widest - nearest) } else { nearest.min(0.0) };
    let frame = Frame::new([from, widest], 100.0);
    let mut svg = frame.open(&title, "", |value| format!("{}%", figure(value)));
    let points = steps(samples);
    svg += &frame.area(&points, "s1");
    svg += &frame.line(&points, "s1");
    for (bound, holds) in bounds.iter().filter(|(bound, _)| bound.value <= widest) {
        let name = escape(&format!("{} {} {}", bound.of, bound.sign, figure(bound.value)));
        svg += &frame.mark(bound.value, &name, if *holds { "good" } else { "bad" });
    }
    for pair in points.windows(2) {
        let title = format!("{} % at most {}", figure(pair[1].1), figure(pair[1].0));
        svg += &frame.column(pair[0].0, pair[1].0, &title);
    }
    card(&title, &legend, &(svg + "</svg>"))
}

/// One of several distributions in one plot.
pub struct Overlay {
    /// What it is of.
    pub name: String,
    /// Its colour: `s1` to `s4`.
    pub class: &'static str,
    /// What is drawn.
    pub samples: Samples,
}

/// Several distributions of one metric in one plot; nothing when none has samples.
pub fn overlay(metric: &str, overlays: &[Overlay]) -> String {
    let most = overlays.iter().filter_map(|overlay| overlay.samples.percentile(99.5)).reduce(f64::max);
    let Some(most) = most else { return String::new() };
    let least = overlays.iter().filter_map(|overlay| overlay.samples.values.first().copied()).fold(0.0, f64::min);
    let frame = Frame::new([least, most], 100.0);
    let mut svg = frame.open(&escape(metric), "", |value| format!("{}%", figure(value)));
    let mut legend = String::new();
    for Overlay { name, class, samples } in overlays {
        svg += &frame.line(&steps(samples), class);
        let median = samples.percentile(50.0).map_or("–".into(), figure);
        legend += &format!("<span class=\"key {class}\">{}, median {median}</span>", escape(name));
    }
    card(&escape(metric), &legend, &(svg + "</svg>"))
}

fn steps(samples: &Samples) -> Vec<(f64, f64)> {
    let percents = (0..=STEPS).map(|step| 100.0 * step as f64 / STEPS as f64);
    percents.filter_map(|percent| Some((samples.percentile(percent)?, percent))).collect()
}
