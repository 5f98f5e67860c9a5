//! Medians, the table and `bench.json`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::ceiling::Profile;

/// A section with less delivered does not count.
const DELIVERY_MIN: f64 = 0.995;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The node without str0m's estimator.
    Off,
    /// The node with it.
    On,
    /// Copy, seal and send alone.
    Ceiling,
}

/// One measured section.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Packets that arrived.
    pub packets: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Processor time of the sender.
    pub cpu: Duration,
    /// How long it took.
    pub wall: Duration,
}

impl Section {
    fn delivery(&self) -> f64 {
        self.packets as f64 / (self.packets + self.lost).max(1) as f64
    }

    fn speed(&self) -> f64 {
        self.packets as f64 / self.cpu.as_secs_f64().max(1e-9)
    }
}

/// All sections of a run.
pub struct Report {
    viewers: usize,
    profile: Profile,
    sections: Vec<(Point, Section)>,
}

impl Report {
    /// A run with that many viewers.
    pub fn new(viewers: usize, profile: Profile) -> Self {
        Self { viewers, profile, sections: Vec::new() }
    }

    /// Adds a section.
    pub fn add(&mut self, point: Point, section: Section) {
        self.sections.push((point, section));
    }

    /// Prints the table.
    pub fn print(&self) {
        let ceiling = self.median(Point::Ceiling, Section::speed);
        println!("1 publisher, {} viewers, {}, medians over sections", self.viewers, self.profile.name());
        println!();
        println!(
            "| point                         | packets per CPU second | of the ceiling | delivered | CPU used | sections |"
        );
        println!(
            "| ----------------------------- | ---------------------: | -------------: | --------: | -------: | -------: |"
        );
        for (point, name) in
            [(Point::Ceiling, "egress ceiling"), (Point::Off, "node, estimator off"), (Point::On, "node, estimator on")]
        {
            let (good, all) = self.counts(point);
            if all == 0 {
                continue;
            }
            let delivery = self.median_of_all(point, Section::delivery).unwrap_or(0.0);
            let load = self.median_of_all(point, |s| s.cpu.as_secs_f64() / s.wall.as_secs_f64()).unwrap_or(0.0);
            let speed = self.median(point, Section::speed);
            let text = speed.map_or("too much lost".to_owned(), |speed| format!("{speed:.0}"));
            let ratio = speed.zip(ceiling).map_or("-".to_owned(), |(speed, ceiling)| format!("{:.2}", speed / ceiling));
            let (delivery, load) = (delivery * 100.0, load * 100.0);
            println!(
                "| {name:29} | {text:>22} | {ratio:>14} | {delivery:>7.2} % | {load:>6.1} % | {good:>3} of {all} |"
            );
        }
        println!();
        println!("Sections with less than {} % delivered do not count.", DELIVERY_MIN * 100.0);
    }

    /// Writes the figures that have enough sections.
    pub fn write(&self, path: &Path) -> Result<()> {
        let ceiling = self.median(Point::Ceiling, Section::speed);
        let mut figures = serde_json::Map::new();
        if let Some(ceiling) = ceiling {
            let figure = json!({"value": ceiling.round(), "unit": "packets/s", "goal": null, "baseline": null});
            figures.insert("egress_ceiling_per_core_second".to_owned(), figure);
        }
        for (point, name, share) in
            [(Point::Off, "forwarded_per_core_second", 0.5), (Point::On, "forwarded_per_core_second_bwe", 0.4)]
        {
            let Some((speed, ceiling)) = self.median(point, Section::speed).zip(ceiling) else { continue };
            let goal = (ceiling * share).round();
            let (value, baseline) = (speed.round(), ceiling.round());
            let figure = json!({"value": value, "unit": "packets/s", "goal": goal, "baseline": baseline});
            figures.insert(name.to_owned(), figure);
        }
        let text = serde_json::to_string_pretty(&figures)? + "\n";
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("{} written", path.display());
        Ok(())
    }

    /// The median over the sections that count.
    fn median(&self, point: Point, figure: impl Fn(&Section) -> f64) -> Option<f64> {
        median(self.of(point).filter(|section| section.delivery() >= DELIVERY_MIN).map(figure))
    }

    fn median_of_all(&self, point: Point, figure: impl Fn(&Section) -> f64) -> Option<f64> {
        median(self.of(point).map(figure))
    }

    fn counts(&self, point: Point) -> (usize, usize) {
        let good = self.of(point).filter(|section| section.delivery() >= DELIVERY_MIN).count();
        (good, self.of(point).count())
    }

    fn of(&self, point: Point) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |(of, _)| *of == point).map(|(_, section)| section)
    }
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    (!figures.is_empty()).then(|| (figures[(figures.len() - 1) / 2] + figures[figures.len() / 2]) / 2.0)
}
