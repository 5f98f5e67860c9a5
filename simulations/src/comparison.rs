//! Two runs of one scenario and seed that differ in their relay policy alone, beside each other.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;

use crate::outcome::Outcome;
use crate::report::{Overlay, Percentiles, align, bytes, escape, figure, overlay, picture, shell, verdict};

/// Both runs in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    version: String,
    scenario: String,
    scenario_hash: String,
    seed: u64,
    policy: String,
    baseline: String,
    figures: Vec<Figure>,
}

/// One figure of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// With the scenario's policy; `None` where the run has none.
    pub policy: Option<f64>,
    /// With the baseline.
    pub baseline: Option<f64>,
    /// The first over the second; `None` over nothing.
    pub ratio: Option<f64>,
}

/// Percentiles of a metric that comparisons show.
const DELAYS: [(&str, &str, f64); 7] = [
    ("one-way delay, p50", "one_way_ms", 50.0),
    ("one-way delay, p95", "one_way_ms", 95.0),
    ("one-way delay, p99", "one_way_ms", 99.0),
    ("added delay, p50", "added_delay_ms", 50.0),
    ("added delay, p95", "added_delay_ms", 95.0),
    ("added delay, p99", "added_delay_ms", 99.0),
    ("join to first packet, p95", "join_to_first_packet_ms", 95.0),
];

impl Comparison {
    /// Of a run and its baseline.
    pub fn of(run: &Outcome, baseline: &Outcome) -> Self {
        // Both name the same publishers' nodes, unless a tree had ended in one of them.
        let origins: BTreeSet<&str> =
            run.trees.iter().chain(&baseline.trees).map(|tree| tree.origin.as_str()).collect();
        let both = |name, unit, of: &dyn Fn(&Outcome) -> Option<f64>| Figure::new(name, unit, of(run), of(baseline));
        let mut figures = vec![
            both("layers on links, mean", "copies", &copies),
            both("long-haul copies", "layer ms", &|outcome| metric(outcome, "copy_ms").map(|of| of.mean)),
            both("copies over straight ones", "", &|outcome| metric(outcome, "copy_ms_ratio").map(|of| of.mean)),
            both("publishers' egress over straight", "", &|o| metric(o, "source_egress_ratio").map(|of| of.mean)),
            both("bytes on links", "B", &|outcome| Some(outcome.links.iter().map(|link| link.bytes as f64).sum())),
            both("bytes out of publishers' nodes", "B", &|outcome| Some(egress(outcome, &origins))),
            both("bytes out of the busiest node", "B", &|o| {
                o.nodes.iter().map(|node| node.bytes_out as f64).reduce(f64::max)
            }),
        ];
        for (name, key, percent) in DELAYS {
            let at = |outcome: &Outcome| outcome.metrics.get(key).and_then(|samples| samples.percentile(percent));
            figures.push(Figure::new(name, "ms", at(run), at(baseline)));
        }
        figures.push(both("missed for good", "%", &missed));
        figures.push(both("lost by the network", "packets", &|outcome| sum(outcome, |second| second.network_lost)));
        figures.push(both("shed under pressure", "packets", &|o| sum(o, |second| second.shed.iter().sum())));
        figures.push(both("keyframe requests", "", &|outcome| sum(outcome, |second| second.keyframe_requests)));
        Self {
            version: run.version.clone(),
            scenario: run.scenario.clone(),
            scenario_hash: run.scenario_hash.clone(),
            seed: run.seed,
            policy: run.policy.clone(),
            baseline: baseline.policy.clone(),
            figures,
        }
    }

    /// The figures.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// As JSON with a line end.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts are JSON") + "\n"
    }

    /// As a table for a terminal.
    pub fn table(&self) -> String {
        let head = ["".into(), self.policy.clone(), self.baseline.clone(), "ratio".into()];
        let known = self.figures.iter().filter(|figure| figure.policy.is_some() || figure.baseline.is_some());
        let rows = known.map(|figure| {
            let name =
                if figure.unit.is_empty() { figure.name.into() } else { format!("{}, {}", figure.name, figure.unit) };
            [name, shown(figure.policy), shown(figure.baseline), shown(figure.ratio)].to_vec()
        });
        align(&std::iter::once(head.to_vec()).chain(rows).collect::<Vec<_>>())
    }

    /// As a page, with both maps and distributions.
    pub fn page(&self, run: &Outcome, baseline: &Outcome) -> String {
        let name = escape(&self.scenario.replace(['-', '_'], " "));
        let (policy, other) = (escape(&self.policy), escape(&self.baseline));
        let mut rows = String::new();
        for figure in self.figures.iter().filter(|figure| figure.policy.is_some() || figure.baseline.is_some()) {
            rows += &row(figure);
        }
        let overlays: String = ["one_way_ms", "added_delay_ms", "join_to_first_packet_ms", "copy_ms"]
            .iter()
            .map(|metric| {
                let of = |outcome: &Outcome| outcome.metrics.get(*metric).cloned().unwrap_or_default();
                overlay(
                    metric,
                    &[
                        Overlay { name: self.policy.clone(), class: "s1", samples: of(run) },
                        Overlay { name: self.baseline.clone(), class: "s2", samples: of(baseline) },
                    ],
                )
            })
            .collect();
        let body = format!(
            "<header><h1>{name}: {policy} beside {other}</h1><p class=facts><span>seed <b>{}</b></span>\
             <span><b>{}</b> s of virtual time</span><span>same rooms, same losses drawn</span></p></header>\
             <section><div class=scroll><table><thead><tr><th>what</th><th>{policy}</th><th>{other}</th><th>ratio</th><th></th>\
             </tr></thead><tbody>{rows}</tbody></table></div></section>\
             <section><h2>Where it went</h2><div class=cards>{}{}</div></section>\
             <section><h2>Distributions</h2><div class=cards>{overlays}</div></section>\
             <footer>origo-sim {} · again: <code>origo-sim compare {}.toml --baseline {other} --seed {}</code></footer>",
            self.seed,
            figure(run.duration_s),
            side(run),
            side(baseline),
            escape(&self.version),
            escape(&self.scenario),
            self.seed,
        );
        shell(&format!("{name}: {policy} beside {other}"), &body)
    }
}

impl Figure {
    fn new(name: &'static str, unit: &'static str, policy: Option<f64>, baseline: Option<f64>) -> Self {
        let ratio = policy.zip(baseline).and_then(|(a, b)| (b != 0.0).then(|| a / b));
        Self { name, unit, policy, baseline, ratio }
    }
}

fn metric(outcome: &Outcome, name: &str) -> Option<Percentiles> {
    outcome.metrics.get(name).and_then(Percentiles::of)
}

fn copies(outcome: &Outcome) -> Option<f64> {
    let carried: Vec<f64> =
        outcome.seconds.iter().map(|second| second.copies as f64).filter(|copies| *copies > 0.0).collect();
    (!carried.is_empty()).then(|| carried.iter().sum::<f64>() / carried.len() as f64)
}

fn egress(outcome: &Outcome, origins: &BTreeSet<&str>) -> f64 {
    let nodes = outcome.nodes.iter().filter(|node| origins.contains(node.name.as_str()));
    nodes.map(|node| node.bytes_out as f64).sum()
}

fn missed(outcome: &Outcome) -> Option<f64> {
    let (missed, delivered) = (sum(outcome, |second| second.missed)?, sum(outcome, |second| second.delivered)?);
    (missed + delivered > 0.0).then(|| 100.0 * missed / (missed + delivered))
}

fn sum(outcome: &Outcome, of: impl Fn(&crate::outcome::Second) -> u64) -> Option<f64> {
    Some(outcome.seconds.iter().map(|second| of(second) as f64).sum())
}

fn shown(value: Option<f64>) -> String {
    value.map_or("–".into(), figure)
}

fn row(of: &Figure) -> String {
    let value = |value: Option<f64>| match (value, of.unit) {
        (None, _) => "–".to_owned(),
        (Some(value), "B") => bytes(value),
        (Some(value), unit) => format!("{}\u{a0}{unit}", figure(value)),
    };
    let mut out = format!("<tr><td>{}</td><td>{}</td><td>{}</td>", of.name, value(of.policy), value(of.baseline));
    let Some(ratio) = of.ratio else { return out + "<td>–</td><td></td></tr>" };
    let class = if ratio < 0.995 { "good" } else { "" };
    let (filled, text) = ((ratio * 50.0).clamp(0.0, 100.0), figure(ratio));
    let _ = write!(
        out,
        "<td class=\"{class}\">{text}</td><td class=wide><i class=gauge><i style=\"width:{filled:.1}%\"></i>\
         <i class=at style=\"left:50%\"></i></i></td></tr>"
    );
    out
}

fn side(outcome: &Outcome) -> String {
    let ((verdict, good), policy) = (verdict(outcome), escape(&outcome.policy));
    let class = if good { "good" } else { "bad" };
    format!(
        "<div class=card><h3>{policy}</h3><p class=keys><span class={class}>{verdict}</span></p>{}</div>",
        picture(outcome)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::made_by_hand;

    fn pair() -> (Outcome, Outcome) {
        let run = made_by_hand();
        let mut baseline = run.clone();
        baseline.policy = "mesh".into();
        for node in &mut baseline.nodes {
            node.bytes_out *= 4;
        }
        baseline.seconds.iter_mut().for_each(|second| second.copies *= 2);
        (run, baseline)
    }

    #[test]
    fn ratios_are_of_the_run_over_its_baseline() {
        let (run, baseline) = pair();
        let comparison = Comparison::of(&run, &baseline);
        let ratio =
            |name| comparison.figures().iter().find(|figure| figure.name == name).and_then(|figure| figure.ratio);
        assert_eq!(ratio("layers on links, mean"), Some(0.5));
        assert_eq!(ratio("bytes out of publishers' nodes"), Some(0.25));
        assert_eq!(ratio("one-way delay, p95"), Some(1.0));
        assert_eq!(ratio("long-haul copies"), None, "the runs have no such metric");
    }

    #[test]
    fn a_comparison_is_told_as_table_json_and_page_the_same_each_time() {
        let (run, baseline) = pair();
        let comparison = Comparison::of(&run, &baseline);
        assert!(
            comparison.table().lines().nth(1).is_some_and(|line| line.ends_with("28  56  0.5") || line.contains("0.5"))
        );
        let read: serde_json::Value = serde_json::from_str(&comparison.json()).expect("JSON");
        assert_eq!(read["baseline"], "mesh");
        let page = comparison.page(&run, &baseline);
        assert_eq!(page, Comparison::of(&run, &baseline).page(&run, &baseline));
        assert!(page.contains("tree beside mesh") && !page.contains("NaN"));
    }
}
