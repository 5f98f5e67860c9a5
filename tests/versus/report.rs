//! Medians, the tables and the JSON file.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use origo_tests::figure::{self, Figure, Goal, median};
use origo_tests::joins::Joins;
use serde_json::Map;

use crate::side::Kind;

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

/// All sections and series of a run, by round.
#[derive(Debug, Default)]
pub struct Report {
    sections: Vec<(usize, Kind, Section)>,
    joins: Vec<(usize, Kind, Joins)>,
    /// With less delivered, a section counts for nothing.
    delivered_min: f64,
}

impl Report {
    /// An empty one; sections with less than that delivered, percent, count for nothing.
    pub fn new(delivered_min: f64) -> Self {
        Self { delivered_min, ..Self::default() }
    }

    /// Adds a section of a server.
    pub fn add(&mut self, round: usize, kind: Kind, section: Section) {
        self.sections.push((round, kind, section));
    }

    /// Adds a series of joins.
    pub fn add_joins(&mut self, round: usize, kind: Kind, joins: Joins) {
        self.joins.push((round, kind, joins));
    }

    /// Prints the tables.
    pub fn print(&self) {
        println!("medians over the sections of each server, taken in turn");
        println!(
            "  {:8} {:>14} {:>14} {:>16} {:>12} {:>10}",
            "server", "packets/CPU s", "µs a packet", "load: µs a packet", "packets/s", "delivered"
        );
        for kind in [Kind::Origo, Kind::Janus] {
            if self.of(kind).next().is_none() {
                continue;
            }
            println!(
                "  {:8} {:14.0} {:14.2} {:17.2} {:12.0} {:9.2} %",
                kind.name(),
                self.figure(kind, Section::per_server_second),
                self.figure(kind, Section::server_us),
                self.figure(kind, Section::own_us),
                self.figure(kind, Section::rate),
                self.figure(kind, Section::delivered),
            );
        }
        println!();
        figure::print(&self.figures());
    }

    fn figures(&self) -> Vec<Figure> {
        let speeds: Vec<f64> = self.pairs().collect();
        let rounds = self.of(Kind::Origo).count();
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let shares = |of: &dyn Fn(&Joins) -> f64| -> (Vec<f64>, Option<f64>) {
            let janus = |round: usize| self.joins.iter().find(|(at, kind, _)| *at == round && *kind == Kind::Janus);
            let ours = self.joins.iter().filter(|(_, kind, _)| *kind == Kind::Origo);
            let pairs = ours.filter_map(|(round, _, joins)| Some(of(joins) / of(&janus(*round)?.2))).collect();
            let baseline = self.joins.iter().filter(|(_, kind, _)| *kind == Kind::Janus);
            (pairs, median(baseline.map(|(_, _, joins)| of(joins))))
        };
        let middle = |times: &[Duration]| median(times.iter().copied().map(ms)).unwrap_or_default();
        let share = |name, key, of: &dyn Fn(&Joins) -> f64| {
            let (pairs, baseline) = shares(of);
            let counts = (pairs.len(), pairs.len());
            Figure::told(name, key, median(pairs), "").baseline(baseline).pairs(counts)
        };
        let told = |name, key, of: &dyn Fn(&Joins) -> f64| {
            let ours = self.joins.iter().filter(|(_, kind, _)| *kind == Kind::Origo);
            Figure::told(name, key, median(ours.map(|(_, _, joins)| of(joins))), "ms")
        };
        let (offer, whole, cpu) = (
            |joins: &Joins| middle(&joins.offer_to_connected),
            |joins: &Joins| middle(&joins.whole),
            |joins: &Joins| ms(joins.cpu),
        );
        let figures = vec![
            Figure::told("1: packets per CPU second over Janus's", "packets_over_janus", median(speeds.clone()), "")
                .baseline(self.speed(Kind::Janus))
                .goal(Goal::AtLeast(8.0))
                .pairs((speeds.len(), rounds)),
            Figure::told("   packets per CPU second", "packets_per_cpu_second", self.speed(Kind::Origo), ""),
            share("7: offer to connected over Janus's (ms)", "offer_to_connected_over_janus", &offer)
                .goal(Goal::AtMost(0.6)),
            share("7: CPU of a join over Janus's (ms)", "join_cpu_over_janus", &cpu).goal(Goal::AtMost(0.5)),
            share("   call to connected over Janus's (ms)", "join_over_janus", &whole),
            told("   offer to connected", "offer_to_connected_ms", &offer),
            told("   call to connected", "join_ms", &whole),
            told("   CPU of a join", "join_cpu_ms", &cpu),
        ];
        figures.into_iter().filter(|figure| figure.value.is_some()).collect()
    }

    /// What a node is of Janus in each round in which both delivered.
    fn pairs(&self) -> impl Iterator<Item = f64> {
        let counts = |section: &Section| section.delivered() >= self.delivered_min;
        let janus = move |round: usize| {
            self.sections.iter().find(|(at, kind, section)| *at == round && *kind == Kind::Janus && counts(section))
        };
        let ours = self.sections.iter().filter(move |(_, kind, section)| *kind == Kind::Origo && counts(section));
        ours.filter_map(move |(round, _, section)| {
            Some(section.per_server_second() / janus(*round)?.2.per_server_second())
        })
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |(_, of, _)| *of == kind).map(|(_, _, section)| section)
    }

    fn figure(&self, kind: Kind, figure: impl Fn(&Section) -> f64) -> f64 {
        median(self.of(kind).map(figure)).unwrap_or_default()
    }

    fn speed(&self, kind: Kind) -> Option<f64> {
        median(self.of(kind).map(Section::per_server_second))
    }

    /// Fails when a server delivered less than it must.
    pub fn must_deliver(&self) -> Result<()> {
        for kind in [Kind::Origo, Kind::Janus].into_iter().filter(|&kind| self.of(kind).next().is_some()) {
            let (name, delivered) = (kind.name(), self.figure(kind, Section::delivered));
            ensure!(
                delivered >= self.delivered_min,
                "{name} delivered {delivered:.2} %, less than {} %",
                self.delivered_min
            );
        }
        Ok(())
    }

    /// Writes the figures.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut file = Map::new();
        figure::write(&self.figures(), &mut file);
        let text = serde_json::to_string_pretty(&file)? + "\n";
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("{} written", path.display());
        Ok(())
    }
}
