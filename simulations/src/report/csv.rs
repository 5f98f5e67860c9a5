//! A run's tables as CSV: one row a second, a link, or a step of a distribution.

use std::fmt::Write;

use crate::outcome::{LinkOutcome, Samples, Second};

/// A distribution is told in steps of a tenth of a percent: what a plot shows, whatever the number of samples.
const CDF_STEPS: usize = 1000;

/// One row a second of virtual time.
pub fn seconds(seconds: &[Second]) -> String {
    let mut out = String::from(
        "second,published,delivered,missed,network_lost,repaired,link_bytes,copies,shed_audio,shed_base,\
         shed_enhancement,keyframe_requests,moves,one_way_ms\n",
    );
    for (at, second) in seconds.iter().enumerate() {
        let Second { published, delivered, missed, network_lost, repaired, link_bytes, copies, .. } = second;
        let [audio, base, enhancement] = second.shed;
        let Second { keyframe_requests, moves, one_way_ms, .. } = second;
        let _ = writeln!(
            out,
            "{at},{published},{delivered},{missed},{network_lost},{repaired},{link_bytes},{copies},{audio},{base},\
             {enhancement},{keyframe_requests},{moves},{one_way_ms}"
        );
    }
    out
}

/// One row a directed link.
pub fn links(links: &[LinkOutcome]) -> String {
    let mut out = String::from(
        "from,to,bytes,payload_bytes,packets,lost,lost_for_good,retransmissions,fec,copies_max,rtt_ms,queue_ms\n",
    );
    for link in links {
        let _ = writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{},{}",
            field(&link.from),
            field(&link.to),
            link.bytes,
            link.payload_bytes,
            link.packets,
            link.lost,
            link.lost_for_good,
            link.retransmissions,
            link.fec,
            link.copies_max,
            link.rtt_ms,
            link.queue_ms
        );
    }
    out
}

/// A distribution: percent of the samples, and the value that so many do not exceed.
pub fn cdf(samples: &Samples) -> String {
    let mut out = String::from("percent,value\n");
    let steps = CDF_STEPS.min(samples.values.len());
    for step in 1..=steps {
        let percent = 100.0 * step as f64 / steps as f64;
        if let Some(value) = samples.percentile(percent) {
            let _ = writeln!(out, "{percent},{value}");
        }
    }
    out
}

/// A text as a field: in quotes where it has to be (RFC 4180).
pub fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
