//! The table of links.

use std::fmt::Write;

use super::figure::{bytes, figure, rate};
use super::page::escape;
use crate::outcome::{LinkOutcome, Outcome};

/// Rows on the page; all are in `links.csv`.
const ROWS_MAX: usize = 200;

/// A table of the busiest links, the busiest first.
pub fn table(outcome: &Outcome) -> String {
    let mut links: Vec<&LinkOutcome> = outcome.links.iter().collect();
    links.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to))));
    let Some(busiest) = links.first().map(|link| link.bytes.max(1)) else {
        return "<p class=none>Nothing crossed a link.</p>".into();
    };
    let heads = [
        "from",
        "to",
        "bytes",
        "mean rate",
        "packets",
        "lost",
        "for good",
        "sent again",
        "FEC",
        "overhead",
        "most copies",
        "round trip",
        "queue p95",
    ];
    let mut out = String::from("<div class=scroll><table class=sortable><thead><tr>");
    for head in heads {
        let _ = write!(out, "<th>{head}</th>");
    }
    out += "</tr></thead><tbody>";
    for link in links.iter().take(ROWS_MAX) {
        out += &row(link, busiest, outcome.duration_s);
    }
    out += "</tbody></table></div>";
    if links.len() > ROWS_MAX {
        let _ = write!(out, "<p class=quiet>{} more in links.csv</p>", links.len() - ROWS_MAX);
    }
    out
}

fn row(link: &LinkOutcome, busiest: u64, duration_s: f64) -> String {
    let overhead = link.bytes.saturating_sub(link.payload_bytes) as f64 / link.payload_bytes.max(1) as f64;
    let lost = link.lost as f64 / link.packets.max(1) as f64;
    let bits = if duration_s > 0.0 { link.bytes as f64 * 8.0 / duration_s } else { 0.0 };
    let bar = 100.0 * link.bytes as f64 / busiest as f64;
    let mut out = format!("<tr><td>{}</td><td>{}</td>", escape(&link.from), escape(&link.to));
    let _ = write!(
        out,
        "<td data-v={}><i class=bar style=\"width:{bar:.0}%\"></i>{}</td>",
        link.bytes,
        bytes(link.bytes as f64)
    );
    let mut cell = |value: f64, text: String, class: &str| {
        let _ = write!(out, "<td data-v={value}{class}>{text}</td>");
    };
    let warn = |bad: bool| if bad { " class=bad" } else { "" };
    cell(bits, rate(bits), "");
    cell(link.packets as f64, figure(link.packets as f64), "");
    cell(lost, format!("{}\u{a0}%", figure(100.0 * lost)), "");
    cell(link.lost_for_good as f64, figure(link.lost_for_good as f64), warn(link.lost_for_good > 0));
    cell(link.retransmissions as f64, figure(link.retransmissions as f64), "");
    cell(link.fec as f64, figure(link.fec as f64), "");
    cell(overhead, format!("{}\u{a0}%", figure(100.0 * overhead)), "");
    cell(link.copies_max as f64, figure(link.copies_max as f64), warn(link.copies_max > 1));
    cell(link.rtt_ms, format!("{}\u{a0}ms", figure(link.rtt_ms)), "");
    cell(link.queue_ms, format!("{}\u{a0}ms", figure(link.queue_ms)), "");
    out + "</tr>"
}
