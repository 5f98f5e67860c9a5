//! The figures of a hop, as medians over its rounds.

use serde_json::{Map, Value, json};

use super::load::Section;
use super::mesh::CascadeSection;

/// A section with less delivered does not count.
const DELIVERY_MIN: f64 = 0.995;

/// All sections.
#[derive(Default)]
pub struct Report {
    pub(super) cascade: Vec<CascadeSection>,
    pub(super) bare: Vec<Section>,
}

/// Name, key in the JSON file, unit, goal.
const FIGURES: [(&str, &str, &str, f64); 4] = [
    ("one-way latency of a hop, p50", "hop_latency_p50_ms", "ms", 0.25),
    ("one-way latency of a hop, p99", "hop_latency_p99_ms", "ms", 1.0),
    ("CPU of a packet over bare quinn", "cascade_cpu_ratio", "", 1.5),
    ("copies of a packet on the link", "copies_per_link", "", 1.0),
];

impl Report {
    /// Prints the table.
    pub fn print(&self) {
        println!("one hop of the cascade, 5,000 packets a second, medians over {} rounds", self.cascade.len());
        println!();
        println!("| figure                          | value    | goal | bare quinn |");
        println!("| ------------------------------- | -------: | ---: | ---------: |");
        for ((name, _, unit, goal), (value, bare)) in FIGURES.into_iter().zip(self.figures()) {
            let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3} {unit}"));
            println!("| {name:31} | {:>8} | {goal:>4} | {:>10} |", shown(value), shown(bare));
        }
        println!();
    }

    /// Adds the figures to those of a file.
    pub fn write(&self, figures: &mut Map<String, Value>) {
        for ((_, key, unit, goal), (value, bare)) in FIGURES.into_iter().zip(self.figures()) {
            let Some(value) = value else { continue };
            let round = |value: f64| (value * 1000.0).round() / 1000.0;
            let figure = json!({"value": round(value), "unit": unit, "goal": goal, "baseline": bare.map(round)});
            figures.insert(key.to_owned(), figure);
        }
    }

    fn figures(&self) -> [(Option<f64>, Option<f64>); 4] {
        let cascade = || self.cascade.iter().map(|it| &it.section);
        let ratio = self.cascade.iter().zip(&self.bare).filter_map(|(cascade, bare)| {
            let counts = delivery(&cascade.section) >= DELIVERY_MIN && delivery(bare) >= DELIVERY_MIN;
            counts.then(|| cpu_of_packet(&cascade.section) / cpu_of_packet(bare))
        });
        let copies = self.cascade.iter().map(|it| it.copies);
        [
            (latency(cascade(), 0.5), latency(self.bare.iter(), 0.5)),
            (latency(cascade(), 0.99), latency(self.bare.iter(), 0.99)),
            (median(ratio), None),
            (median(copies), None),
        ]
    }
}

fn delivery(section: &Section) -> f64 {
    section.micros.len() as f64 / section.made.max(1) as f64
}

fn cpu_of_packet(section: &Section) -> f64 {
    section.cpu.as_secs_f64() / section.micros.len().max(1) as f64
}

/// Milliseconds.
fn latency<'a>(sections: impl Iterator<Item = &'a Section>, share: f64) -> Option<f64> {
    let of_section = |section: &Section| {
        let place = ((section.micros.len() as f64 * share) as usize).min(section.micros.len().checked_sub(1)?);
        Some(f64::from(section.micros[place]) / 1000.0)
    };
    median(sections.filter_map(of_section))
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    (!figures.is_empty()).then(|| (figures[(figures.len() - 1) / 2] + figures[figures.len() / 2]) / 2.0)
}
