//! The lines of a soak as it goes, and its end as a table and as JSON.

use std::fmt;

use origo_client::load::{Progress, Summary};
use serde::Serialize;

use crate::checks::Checks;
use crate::node::Look;

/// Each so many MiB is a mark of the plot.
const PLOT_MIB: f64 = 8.0;

/// One line.
#[derive(Clone, Debug, Serialize)]
struct Line {
    phase: String,
    seconds: u64,
    present: usize,
    joins: u64,
    received_per_second: u64,
    nodes: Vec<Look>,
}

/// Everything that a soak saw.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    regions: Vec<String>,
    lines: Vec<Line>,
    summary: Option<Summary>,
    /// What must be true.
    pub checks: Checks,
}

impl Report {
    /// A report on nodes in these regions.
    pub fn new(regions: Vec<String>) -> Self {
        println!("phase        s   here  joins  packets/s   resident MiB: {}", regions.join(" + "));
        Self { regions, lines: Vec::new(), summary: None, checks: Checks::default() }
    }

    /// Adds a line, and prints it.
    pub fn line(&mut self, phase: &str, progress: &Progress, nodes: Vec<Look>) {
        let line = Line {
            phase: phase.to_owned(),
            seconds: progress.since.as_secs(),
            present: progress.present,
            joins: progress.joins,
            received_per_second: progress.received_per_second,
            nodes,
        };
        println!("{line}");
        self.lines.push(line);
    }

    /// All looks at the nodes, in order.
    pub fn looks(&self) -> Vec<&Vec<Look>> {
        self.lines.iter().map(|line| &line.nodes).collect()
    }

    /// Adds what was found at the end.
    pub fn end(&mut self, summary: Summary, checks: Checks) {
        (self.summary, self.checks) = (Some(summary), checks);
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, seconds, present, joins, received_per_second, nodes } = self;
        let total: f64 = nodes.iter().map(|look| look.resident_mib).sum();
        let each: Vec<String> = nodes.iter().map(|look| format!("{:.1}", look.resident_mib)).collect();
        let plot = "#".repeat((total / PLOT_MIB) as usize);
        write!(f, "{phase:9} {seconds:4}  {present:5} {joins:6} {received_per_second:10}   ")?;
        write!(f, "{total:6.1} = {}  {plot}", each.join(" + "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(summary) = &self.summary {
            write!(f, "{summary}")?;
        }
        if let Some(line) = self.lines.last() {
            let mut dropped = std::collections::BTreeMap::new();
            for (reason, count) in line.nodes.iter().flat_map(|look| &look.dropped) {
                *dropped.entry(reason.as_str()).or_insert(0.0) += count;
            }
            let dropped: Vec<String> = dropped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            writeln!(
                f,
                "  nodes did not act upon: {}",
                if dropped.is_empty() { "nothing".into() } else { dropped.join(", ") }
            )?;
        }
        for check in self.checks.iter() {
            let verdict = match (check.holds, check.decides) {
                (true, _) => "ok    ",
                (false, true) => "FAILED",
                (false, false) => "missed",
            };
            writeln!(f, "  {verdict}  {}: {}", check.what, check.found)?;
        }
        Ok(())
    }
}
