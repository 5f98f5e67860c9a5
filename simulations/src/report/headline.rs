//! The head of a report: what was asserted beside what was measured, and the figures that matter most.

use std::fmt::Write;

use super::figure::{bytes, figure};
use super::page::escape;
use super::summary::{Totals, passed};
use crate::outcome::{AssertOutcome, Outcome};

/// Violations shown; a broken invariant tends to break at every event, and the first ones tell.
const VIOLATIONS_SHOWN: usize = 20;

/// What an assert asks for, read off its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Which statistic: `p95`, `max`.
    pub of: String,
    /// `<=`, `>=`, `<`, `>` or `=`.
    pub sign: String,
    /// The bound.
    pub value: f64,
}

/// Reads `added_delay_ms p95 <= 15`; `None` where the text has another form.
pub fn bound(what: &str) -> Option<Bound> {
    let words: Vec<&str> = what.split_whitespace().collect();
    let at = words.iter().position(|word| ["<=", ">=", "<", ">", "="].contains(word))?;
    let of = if at > 1 { words[at - 1] } else { "" };
    Some(Bound { of: of.into(), sign: words[at].into(), value: words.get(at + 1)?.parse().ok()? })
}

/// The verdict in a few words and whether it is good.
pub fn verdict(outcome: &Outcome) -> (String, bool) {
    let (all, broken) = (outcome.asserts.len(), outcome.violations.len());
    let failed = outcome.asserts.iter().filter(|assert| !assert.holds).count();
    let text = match (failed, broken) {
        (0, 0) if all == 0 => "nothing asserted, all invariants hold".into(),
        (0, 0) => format!("all {all} asserts hold"),
        (0, _) => format!("{broken} invariants broken"),
        (_, 0) => format!("{failed} of {all} asserts fail"),
        _ => format!("{failed} of {all} asserts fail, {broken} invariants broken"),
    };
    (text, passed(outcome))
}

/// Asserts and violations.
pub fn asserts(outcome: &Outcome) -> String {
    let mut out = String::from("<ul class=asserts>");
    for assert in &outcome.asserts {
        out += &row(assert);
    }
    for violation in outcome.violations.iter().take(VIOLATIONS_SHOWN) {
        let (at, what) = (figure(violation.at_s), escape(&violation.what));
        let _ = write!(out, "<li class=bad><b>✗</b><span>invariant broken at {at} s: {what}</span></li>");
    }
    if let Some(more) = outcome.violations.len().checked_sub(VIOLATIONS_SHOWN + 1) {
        let _ = write!(out, "<li class=bad><b>✗</b><span>and {} more</span></li>", more + 1);
    }
    out + "</ul>"
}

fn row(assert: &AssertOutcome) -> String {
    let (class, sign) = if assert.holds { ("good", "✓") } else { ("bad", "✗") };
    let measured = assert.measured.map_or("no samples".into(), figure);
    let what = escape(&assert.what);
    let gauge = assert.measured.zip(bound(&assert.what)).map_or(String::new(), |(value, bound)| gauge(value, &bound));
    format!("<li class={class}><b>{sign}</b><span>{what}</span>{gauge}<em>{measured}</em></li>")
}

/// How far the measured value is from its bound: a bar whose mark is the bound.
fn gauge(measured: f64, bound: &Bound) -> String {
    let scale =
        1.25 * bound.value.abs().max(if measured.abs() < 4.0 * bound.value.abs() { measured.abs() } else { 0.0 });
    if scale == 0.0 {
        return "<i class=gauge></i>".into();
    }
    let share = |value: f64| (100.0 * value / scale).clamp(0.0, 100.0);
    let (filled, mark) = (share(measured), share(bound.value));
    format!("<i class=gauge><i style=\"width:{filled:.1}%\"></i><i class=at style=\"left:{mark:.1}%\"></i></i>")
}

/// The figures that matter most, as tiles.
pub fn tiles(outcome: &Outcome) -> String {
    let totals = Totals::of(outcome);
    let due = totals.delivered + totals.missed;
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    let packets: u64 = outcome.links.iter().map(|link| link.packets).sum();
    let lost: u64 = outcome.links.iter().map(|link| link.lost).sum();
    let busy = outcome.links.iter().filter(|link| link.payload_bytes > 0);
    let (sent, payload) = busy.fold((0, 0), |sums, link| (sums.0 + link.bytes, sums.1 + link.payload_bytes));
    let overhead = share(sent.saturating_sub(payload), payload);
    let edges: usize = outcome.trees.iter().map(|tree| tree.edges.len()).sum();
    let delays: Vec<f64> =
        outcome.seconds.iter().map(|second| second.one_way_ms).filter(|delay| *delay > 0.0).collect();
    let delay = outcome.metrics.get("one_way_ms").and_then(|samples| samples.percentile(50.0));
    let delay = delay.or_else(|| delays.get(delays.len() / 2).copied()).unwrap_or(0.0);
    let shed: u64 = totals.shed.iter().sum();
    let tiles = [
        (
            format!("{} %", delivered(share(totals.delivered, due))),
            "delivered to viewers",
            count(totals.missed, "missed"),
        ),
        (format!("{} ms", figure(delay)), "one way, median", String::new()),
        (format!("{} %", figure(share(lost, packets))), "lost by the network", count(totals.repaired, "sent again")),
        (bytes(totals.link_bytes as f64), "on links", format!("{} % over RTP's payload", figure(overhead))),
        (
            figure(edges as f64),
            "tree edges",
            format!("{} trees, {} moves", outcome.trees.len(), figure(totals.moves as f64)),
        ),
        (figure(shed as f64), "packets shed", format!("{} of audio", figure(totals.shed[0] as f64))),
    ];
    let tile = |(value, name, more): &(String, &str, String)| {
        format!("<div class=tile><strong>{value}</strong><span>{name}</span><small>{more}</small></div>")
    };
    format!("<div class=tiles>{}</div>", tiles.iter().map(tile).collect::<String>())
}

fn count(count: u64, what: &str) -> String {
    format!("{} {what}", figure(count as f64))
}

/// Nines matter here: 99.98 must not be told as 100.
fn delivered(percent: f64) -> String {
    if percent == 100.0 { "100".into() } else { format!("{:.3}", (percent * 1000.0).floor() / 1000.0) }
}
