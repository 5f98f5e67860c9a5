//! Medians and the table of what a node forwards.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::ceiling::Profile;

/// A section with less delivered does not count.
const DELIVERY_MIN: f64 = 0.995;

/// Frames each second of an ordinary camera.
pub const CAMERA_FPS: u32 = 30;

/// How much the publisher sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// An ordinary camera: the worker is nearly idle.
    Camera,
    /// Enough to keep the worker busy.
    Busy,
}

/// How a node sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// str0m's way out, and its estimator.
    Estimated,
    /// str0m's way out, without an estimator.
    Str0m,
    /// Our own way out, without an estimator.
    Own,
    /// The same to ten times as many viewers, each of whom gets a tenth as many packets.
    Crowd,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A node.
    Node {
        /// What it has to do.
        load: Load,
        /// How it sends.
        way: Way,
    },
    /// Copy, seal and send alone.
    Ceiling,
}

/// The points of the table: name, key in the JSON file, and goal as a share of the ceiling.
const POINTS: [(Point, &str, &str, Option<f64>); 8] = [
    (Point::Ceiling, "egress ceiling", "egress_ceiling_per_core_second", None),
    (node(Load::Busy, Way::Own), "own, busy", "forwarded_per_core_second_own", Some(1.1)),
    (node(Load::Busy, Way::Crowd), "own, busy, 10 x viewers", "forwarded_per_core_second_own_crowd", Some(1.0)),
    (node(Load::Busy, Way::Str0m), "str0m, busy", "forwarded_per_core_second", Some(0.5)),
    (node(Load::Busy, Way::Estimated), "estimator on, busy", "forwarded_per_core_second_bwe", Some(0.4)),
    (node(Load::Camera, Way::Own), "own, 30 fps", "forwarded_per_core_second_30fps_own", Some(0.5)),
    (node(Load::Camera, Way::Str0m), "str0m, 30 fps", "forwarded_per_core_second_30fps", Some(0.5)),
    (node(Load::Camera, Way::Estimated), "estimator on, 30 fps", "forwarded_per_core_second_30fps_bwe", Some(0.4)),
];

/// The goal for ten times as many viewers, as a share of what is forwarded to the usual number.
const CROWD_SHARE: f64 = 0.9;

const fn node(load: Load, way: Way) -> Point {
    Point::Node { load, way }
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

    fn counts(&self) -> bool {
        self.delivery() >= DELIVERY_MIN
    }

    /// Cores in use.
    fn load(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64().max(1e-9)
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
        println!("1 publisher, {} viewers, {}, medians over sections", self.viewers, self.profile.name());
        println!();
        println!(
            "| point                   | packets per CPU second | of the ceiling | goal | delivered | CPU used | sections |"
        );
        println!(
            "| ----------------------- | ---------------------: | -------------: | ---: | --------: | -------: | -------: |"
        );
        for (point, name, _, goal) in POINTS {
            let (good, all) = self.counts(point);
            let Some(delivery) = median(self.of(point).map(Section::delivery)) else { continue };
            let load = median(self.of(point).map(Section::load)).unwrap_or_default();
            let speed = self.speed(point).map_or("too much lost".to_owned(), |speed| format!("{speed:.0}"));
            let ratio = self.ratio(point).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let goal = goal.map_or("-".to_owned(), |goal| format!("{goal:.1}"));
            let (delivery, load) = (delivery * 100.0, load * 100.0);
            println!(
                "| {name:23} | {speed:>22} | {ratio:>14} | {goal:>4} | {delivery:>7.2} % | {load:>6.1} % | {good:>3} of {all} |"
            );
        }
        println!();
        if let Some(share) = self.crowd_share() {
            println!("own, busy: 10 x viewers over viewers {share:.2}, goal {CROWD_SHARE}");
        }
        println!("Sections with less than {} % delivered do not count.", DELIVERY_MIN * 100.0);
    }

    /// Adds the figures that have sections to those of a file.
    pub fn write(&self, figures: &mut Map<String, Value>) {
        let ceiling = self.speed(Point::Ceiling);
        for (point, _, key, share) in POINTS {
            let Some(speed) = self.speed(point) else { continue };
            let baseline = share.and(ceiling).map(f64::round);
            let goal = share.zip(ceiling).map(|(share, ceiling)| (share * ceiling).round());
            let figure = json!({"value": speed.round(), "unit": "packets/s", "goal": goal, "baseline": baseline});
            figures.insert(key.to_owned(), figure);
        }
        if let Some(share) = self.crowd_share() {
            let figure = json!({"value": share, "unit": "ratio", "goal": CROWD_SHARE, "baseline": 1.0});
            figures.insert("crowd_over_usual".to_owned(), figure);
        }
    }

    /// What is forwarded to ten times as many viewers over what is forwarded to the usual number.
    fn crowd_share(&self) -> Option<f64> {
        let ratio = |way| self.ratio(node(Load::Busy, way));
        Some(ratio(Way::Crowd)? / ratio(Way::Own)?)
    }

    /// The median speed over the sections that count.
    fn speed(&self, point: Point) -> Option<f64> {
        median(self.of(point).filter(|section| section.counts()).map(Section::speed))
    }

    /// The median over the sections that count, each set against the ceiling nearest in time.
    fn ratio(&self, point: Point) -> Option<f64> {
        let is_ceiling = |index: &usize| self.sections[*index].0 == Point::Ceiling && self.sections[*index].1.counts();
        let ratio = |(index, (of, section)): (usize, &(Point, Section))| {
            let nearest = (0..self.sections.len()).filter(is_ceiling).min_by_key(|other| other.abs_diff(index))?;
            (*of == point && section.counts()).then(|| section.speed() / self.sections[nearest].1.speed())
        };
        median(self.sections.iter().enumerate().filter_map(ratio))
    }

    fn counts(&self, point: Point) -> (usize, usize) {
        (self.of(point).filter(|section| section.counts()).count(), self.of(point).count())
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
