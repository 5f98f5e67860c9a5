//! Time lines: what happened in each second of a run.

use super::chart::Frame;
use super::figure::{figure, rate};
use super::page::card;
use crate::outcome::{Outcome, Second};

/// Points on a line: more than that no screen shows. Longer runs are told as means of so many spans.
const SPANS_MAX: usize = 240;

/// One curve of a time line.
struct Curve {
    name: &'static str,
    class: &'static str,
    value: fn(&Second) -> f64,
}

/// One time line.
struct Line {
    title: &'static str,
    unit: fn(f64) -> String,
    curves: &'static [Curve],
}

const LINES: [Line; 8] = [
    Line {
        title: "Packets a second",
        unit: figure,
        curves: &[
            Curve { name: "delivered", class: "s1", value: |second| second.delivered as f64 },
            Curve { name: "published", class: "s2", value: |second| second.published as f64 },
        ],
    },
    Line {
        title: "Lost and repaired, packets a second",
        unit: figure,
        curves: &[
            Curve { name: "sent again", class: "s1", value: |second| second.repaired as f64 },
            Curve { name: "lost by the network", class: "s2", value: |second| second.network_lost as f64 },
            Curve { name: "missed for good", class: "bad", value: |second| second.missed as f64 },
        ],
    },
    Line {
        title: "Traffic on all links",
        unit: rate,
        curves: &[Curve { name: "on the wire", class: "s1", value: |second| second.link_bytes as f64 * 8.0 }],
    },
    Line {
        title: "One-way delay, median, ms",
        unit: figure,
        curves: &[Curve { name: "publisher to viewer", class: "s1", value: |second| second.one_way_ms }],
    },
    Line {
        title: "Layers that cross links",
        unit: figure,
        curves: &[Curve { name: "copies", class: "s1", value: |second| second.copies as f64 }],
    },
    Line {
        title: "Parents that changed",
        unit: figure,
        curves: &[Curve { name: "moves", class: "s4", value: |second| second.moves as f64 }],
    },
    Line {
        title: "Shed under pressure, packets a second",
        unit: figure,
        curves: &[
            Curve { name: "enhancement", class: "s1", value: |second| second.shed[2] as f64 },
            Curve { name: "base", class: "s2", value: |second| second.shed[1] as f64 },
            Curve { name: "audio", class: "bad", value: |second| second.shed[0] as f64 },
        ],
    },
    Line {
        title: "Keyframe requests at publishers",
        unit: figure,
        curves: &[Curve { name: "requests", class: "s3", value: |second| second.keyframe_requests as f64 }],
    },
];

/// All time lines as cards.
pub fn cards(outcome: &Outcome) -> String {
    if outcome.seconds.is_empty() {
        return "<p class=none>The run left no seconds.</p>".into();
    }
    LINES.iter().map(|line| draw(line, &outcome.seconds)).collect()
}

fn draw(line: &Line, seconds: &[Second]) -> String {
    let span = seconds.len().div_ceil(SPANS_MAX);
    let curves: Vec<Vec<(f64, f64)>> = line.curves.iter().map(|curve| points(curve, seconds, span)).collect();
    let highest = curves.iter().flatten().map(|point| point.1).fold(0.0, f64::max);
    let legend: String = line.curves.iter().map(legend).collect();
    if highest == 0.0 {
        return card(line.title, &legend, "<p class=none>none in this run</p>");
    }
    let frame = Frame::new([0.0, seconds.len() as f64], highest);
    let mut svg = frame.open(line.title, " s", line.unit);
    for (curve, points) in line.curves.iter().zip(&curves).rev() {
        if line.curves.len() == 1 {
            svg += &frame.area(points, curve.class);
        }
        svg += &frame.line(points, curve.class);
    }
    for at in 0..curves[0].len() {
        let from = curves[0][at].0;
        let values = line.curves.iter().zip(&curves);
        let values = values.map(|(curve, points)| format!("{} {}", (line.unit)(points[at].1), curve.name));
        let title = format!("{} s: {}", figure(from), values.collect::<Vec<_>>().join(", "));
        svg += &frame.column(from, from + span as f64, &title);
    }
    card(line.title, &legend, &(svg + "</svg>"))
}

/// A curve's points, each the mean of a span of seconds and standing at its beginning.
fn points(curve: &Curve, seconds: &[Second], span: usize) -> Vec<(f64, f64)> {
    let means = seconds.chunks(span).map(|seconds| seconds.iter().map(curve.value).sum::<f64>() / seconds.len() as f64);
    means.enumerate().map(|(at, mean)| ((at * span) as f64, mean)).collect()
}

fn legend(curve: &Curve) -> String {
    format!("<span class=\"key {}\">{}</span>", curve.class, curve.name)
}
