//! Medians, the tables and the JSON file.

use std::collections::BTreeSet;
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

    /// Percent of all packets.
    pub fn delivered(&self) -> f64 {
        100.0 * self.packets as f64 / (self.packets + self.lost).max(1) as f64
    }

    fn rate(&self) -> f64 {
        self.packets as f64 / self.wall.as_secs_f64().max(1e-9)
    }
}

/// A section, and what was measured in it.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Which of the rounds.
    pub round: usize,
    /// Whose.
    pub kind: Kind,
    /// Frames each second.
    pub fps: u32,
    /// What came of it.
    pub section: Section,
}

/// All sections and series of a run, by round.
#[derive(Debug, Default)]
pub struct Report {
    sections: Vec<Taken>,
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
    pub fn add(&mut self, taken: Taken) {
        self.sections.push(taken);
    }

    /// Adds a series of joins.
    pub fn add_joins(&mut self, round: usize, kind: Kind, joins: Joins) {
        self.joins.push((round, kind, joins));
    }

    /// Prints the tables.
    pub fn print(&self) {
        println!("medians over the sections of each server at each rate, taken in turn");
        println!(
            "  {:8} {:>8} {:>14} {:>14} {:>17} {:>12} {:>11} {:>9}",
            "server",
            "frames/s",
            "packets/CPU s",
            "µs a packet",
            "load: µs a packet",
            "packets/s",
            "delivered",
            "sections"
        );
        for (kind, fps) in self.points() {
            let figure = |figure: fn(&Section) -> f64| median(self.of(kind, fps).map(figure)).unwrap_or_default();
            println!(
                "  {:8} {fps:8} {:14.0} {:14.2} {:17.2} {:12.0} {:9.2} % {:9}",
                kind.name(),
                figure(Section::per_server_second),
                figure(Section::server_us),
                figure(Section::own_us),
                figure(Section::rate),
                figure(Section::delivered),
                self.of(kind, fps).count(),
            );
        }
        println!();
        figure::print(&self.figures());
    }

    fn figures(&self) -> Vec<Figure> {
        let rounds = self.sections.iter().map(|taken| taken.round).max().unwrap_or_default();
        let [best, equal] = [self.best_over_best(), self.at_equal_rates()];
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
            Figure::told("1: packets per CPU second over Janus's", "packets_over_janus", median(equal.clone()), "")
                .goal(Goal::AtLeast(8.0))
                .pairs((equal.len(), rounds)),
            Figure::told("1: the same, each at its best rate", "packets_over_janus_best", median(best.clone()), "")
                .baseline(self.best(Kind::Janus))
                .goal(Goal::AtLeast(8.0))
                .pairs((best.len(), rounds)),
            Figure::told("   packets per CPU second, best", "packets_per_cpu_second", self.best(Kind::Origo), ""),
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

    /// What a node is of Janus in each round, each at the rate at which it takes least for a packet and delivers.
    fn best_over_best(&self) -> Vec<f64> {
        let best = |round: usize, kind: Kind| {
            let all = self.counting().filter(|taken| (taken.round, taken.kind) == (round, kind));
            all.map(|taken| taken.section.per_server_second()).max_by(f64::total_cmp)
        };
        let rounds: BTreeSet<usize> = self.sections.iter().map(|taken| taken.round).collect();
        rounds.into_iter().filter_map(|round| Some(best(round, Kind::Origo)? / best(round, Kind::Janus)?)).collect()
    }

    /// What a node is of Janus in each round, both at the highest rate at which both deliver.
    fn at_equal_rates(&self) -> Vec<f64> {
        let speed = |round: usize, kind: Kind, fps: u32| {
            let section = self.counting().find(|taken| (taken.round, taken.kind, taken.fps) == (round, kind, fps));
            Some(section?.section.per_server_second())
        };
        let rounds: BTreeSet<usize> = self.sections.iter().map(|taken| taken.round).collect();
        let rates: BTreeSet<u32> = self.sections.iter().map(|taken| taken.fps).collect();
        let highest = |round: usize| {
            let ratio = |&fps: &u32| Some(speed(round, Kind::Origo, fps)? / speed(round, Kind::Janus, fps)?);
            rates.iter().rev().find_map(ratio)
        };
        rounds.into_iter().filter_map(highest).collect()
    }

    /// A server's speed at the rate that suits it: the highest of its medians.
    fn best(&self, kind: Kind) -> Option<f64> {
        let points = self.points().into_iter().filter(|point| point.0 == kind);
        let speed = |(kind, fps): (Kind, u32)| {
            let counting = self.counting().filter(|taken| (taken.kind, taken.fps) == (kind, fps));
            median(counting.map(|taken| taken.section.per_server_second()))
        };
        points.filter_map(speed).max_by(f64::total_cmp)
    }

    /// Which server was measured at which rates.
    fn points(&self) -> Vec<(Kind, u32)> {
        let rates: BTreeSet<u32> = self.sections.iter().map(|taken| taken.fps).collect();
        let all = [Kind::Origo, Kind::Janus].into_iter().flat_map(|kind| rates.iter().map(move |&fps| (kind, fps)));
        all.filter(|&(kind, fps)| self.of(kind, fps).next().is_some()).collect()
    }

    fn counting(&self) -> impl Iterator<Item = &Taken> {
        self.sections.iter().filter(|taken| taken.section.delivered() >= self.delivered_min)
    }

    fn of(&self, kind: Kind, fps: u32) -> impl Iterator<Item = &Section> {
        let taken = self.sections.iter().filter(move |taken| (taken.kind, taken.fps) == (kind, fps));
        taken.map(|taken| &taken.section)
    }

    /// Fails when a server did not deliver what it must at any rate.
    pub fn must_deliver(&self) -> Result<()> {
        for kind in [Kind::Origo, Kind::Janus] {
            let mut sections = self.sections.iter().filter(|taken| taken.kind == kind).peekable();
            ensure!(
                sections.peek().is_none() || self.counting().any(|taken| taken.kind == kind),
                "{} delivered less than {} % at every rate: give lower ones by --fps",
                kind.name(),
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
