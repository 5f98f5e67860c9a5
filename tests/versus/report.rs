//! Medians, the table and the JSON file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

/// One measured section.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Packets that arrived.
    pub packets: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Processor time of the server.
    pub server: Duration,
    /// Processor time of the load generator.
    pub own: Duration,
    /// How long it took.
    pub wall: Duration,
}

impl Section {
    fn per_server_second(&self) -> f64 {
        self.packets as f64 / self.server.as_secs_f64().max(1e-9)
    }

    fn server_us(&self) -> f64 {
        self.server.as_secs_f64() * 1e6 / self.packets.max(1) as f64
    }

    fn own_us(&self) -> f64 {
        self.own.as_secs_f64() * 1e6 / self.packets.max(1) as f64
    }

    fn delivered(&self) -> f64 {
        100.0 * self.packets as f64 / (self.packets + self.lost).max(1) as f64
    }

    fn rate(&self) -> f64 {
        self.packets as f64 / self.wall.as_secs_f64().max(1e-9)
    }
}

/// All sections of a run.
#[derive(Debug, Default)]
pub struct Report(BTreeMap<&'static str, Vec<Section>>);

impl Report {
    /// Adds a section of a server.
    pub fn add(&mut self, name: &'static str, section: Section) {
        self.0.entry(name).or_default().push(section);
    }

    /// Prints the table.
    pub fn print(&self) {
        println!("medians over the sections of each server, taken in turn");
        println!(
            "  {:8} {:>14} {:>14} {:>16} {:>12} {:>10}",
            "server", "packets/CPU s", "µs a packet", "load: µs a packet", "packets/s", "delivered"
        );
        for (name, sections) in self.0.iter().rev() {
            println!(
                "  {name:8} {:14.0} {:14.2} {:17.2} {:12.0} {:9.2} %",
                median(sections, Section::per_server_second),
                median(sections, Section::server_us),
                median(sections, Section::own_us),
                median(sections, Section::rate),
                median(sections, Section::delivered),
            );
        }
        if let Some(ratio) = self.ratio() {
            println!("  a node forwards {ratio:.2} times as many packets per CPU second as Janus");
        }
    }

    fn ratio(&self) -> Option<f64> {
        let speed = |name: &str| Some(median(self.0.get(name)?, Section::per_server_second));
        Some(speed("origo")? / speed("janus")?)
    }

    /// Fails when a server delivered less than that share of its packets.
    pub fn must_deliver(&self, percent: f64) -> Result<()> {
        for (name, sections) in &self.0 {
            let delivered = median(sections, Section::delivered);
            ensure!(delivered >= percent, "{name} delivered {delivered:.2} %, less than {percent} %");
        }
        Ok(())
    }

    /// Writes the figures.
    pub fn write(&self, path: &Path) -> Result<()> {
        let side = |(name, sections): (&&str, &Vec<Section>)| {
            let figures = json!({
                "packets_per_cpu_second": median(sections, Section::per_server_second).round(),
                "server_us_per_packet": median(sections, Section::server_us),
                "load_us_per_packet": median(sections, Section::own_us),
                "delivered_percent": median(sections, Section::delivered),
            });
            ((*name).to_owned(), figures)
        };
        let figures: BTreeMap<String, serde_json::Value> = self.0.iter().map(side).collect();
        let text = serde_json::to_string_pretty(&figures)? + "\n";
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("{} written", path.display());
        Ok(())
    }
}

fn median(sections: &[Section], figure: impl Fn(&Section) -> f64) -> f64 {
    let mut figures: Vec<f64> = sections.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    if figures.is_empty() { 0.0 } else { (figures[(figures.len() - 1) / 2] + figures[figures.len() / 2]) / 2.0 }
}
