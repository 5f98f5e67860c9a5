//! All sections of a run: the table of points, and the figures that are set against goals.

use std::time::Duration;

use origo_tests::figure::{self, Figure, Goal, median};
use origo_tests::joins::Joins;
use origo_tests::stage::memory::Memory;
use serde_json::{Map, Value};

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
    /// A fifth of a core.
    Busy,
    /// Two thirds of a core: what a core carries, with room for bursts.
    Full,
}

/// How a node sends, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// str0m's way out, and its estimator.
    Estimated,
    /// str0m's way out, without an estimator.
    Str0m,
    /// Our own way out, without an estimator.
    Own,
    /// Our own way out, and an estimator.
    OwnEstimated,
    /// Without an estimator to ten times as many viewers, each of whom gets a tenth as many packets.
    Crowd,
    /// Without an estimator to the viewers of a large stage.
    Stage,
    /// Without an estimator among people who all publish and receive all others.
    Conference,
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
    /// A worker that routes, seals and sends, with neither ingest nor feedback.
    Alone,
    /// The same to ten times as many viewers, each of whom gets as many packets.
    AloneCrowd,
    /// Copy, seal and send alone.
    Ceiling,
}

/// The points of the table, and their keys in the JSON file.
const POINTS: [(Point, &str, &str); 15] = [
    (Point::Ceiling, "egress ceiling", "egress_ceiling_per_core_second"),
    (OWN, "own, busy", "forwarded_per_core_second_own"),
    (OWN_FULL, "own, full", "forwarded_per_core_second_own_full"),
    (Point::Alone, "egress alone, mixed sizes", "egress_alone_per_core_second"),
    (Point::AloneCrowd, "egress alone, 10 x viewers", "egress_alone_per_core_second_crowd"),
    (node(Load::Busy, Way::Crowd), "own, busy, 10 x viewers", "forwarded_per_core_second_own_crowd"),
    (node(Load::Full, Way::Crowd), "own, full, 10 x viewers", "forwarded_per_core_second_own_full_crowd"),
    (node(Load::Busy, Way::Stage), "own, 2,000 viewers", "forwarded_per_core_second_own_stage"),
    (node(Load::Busy, Way::Conference), "own, 30 people", "forwarded_per_core_second_own_conference"),
    (node(Load::Busy, Way::OwnEstimated), "own, estimator, busy", "forwarded_per_core_second_own_bwe"),
    (node(Load::Busy, Way::Str0m), "str0m, busy", "forwarded_per_core_second"),
    (node(Load::Busy, Way::Estimated), "str0m, estimator, busy", "forwarded_per_core_second_bwe"),
    (node(Load::Camera, Way::Own), "own, 30 fps", "forwarded_per_core_second_30fps_own"),
    (node(Load::Camera, Way::OwnEstimated), "own, estimator, 30 fps", "forwarded_per_core_second_30fps_own_bwe"),
    (node(Load::Camera, Way::Str0m), "str0m, 30 fps", "forwarded_per_core_second_30fps"),
];

/// What everything else is set against.
const OWN: Point = node(Load::Busy, Way::Own);

/// What a core carries.
const OWN_FULL: Point = node(Load::Full, Way::Own);

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
    /// Series of joins.
    pub joins: Vec<Joins>,
    /// Memory of a viewer in a worker.
    pub memory: Option<Memory>,
    /// Bytes of a node's process for each viewer of a crowd.
    pub resident_per_viewer: Option<u64>,
}

impl Report {
    /// A run with that many viewers.
    pub fn new(viewers: usize, profile: Profile) -> Self {
        let (sections, joins) = (Vec::new(), Vec::new());
        Self { viewers, profile, sections, joins, memory: None, resident_per_viewer: None }
    }

    /// Adds a section.
    pub fn add(&mut self, point: Point, section: Section) {
        self.sections.push((point, section));
    }

    /// Prints both tables.
    pub fn print(&self) {
        println!("1 publisher, {} viewers, {}, medians over sections", self.viewers, self.profile.name());
        println!();
        println!(
            "| point                     | packets per CPU second | of the ceiling | delivered | CPU used | sections |"
        );
        println!(
            "| ------------------------- | ---------------------: | -------------: | --------: | -------: | -------: |"
        );
        for (point, name, _) in POINTS {
            let (good, all) = self.counts(point);
            let Some(delivery) = median(self.of(point).map(Section::delivery)) else { continue };
            let load = median(self.of(point).map(Section::load)).unwrap_or_default() * 100.0;
            let speed = self.speed(point).map_or("too much lost".to_owned(), |speed| format!("{speed:.0}"));
            let ratio = median(self.pairs(point, Point::Ceiling)).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let delivery = delivery * 100.0;
            println!(
                "| {name:25} | {speed:>22} | {ratio:>14} | {delivery:>7.2} % | {load:>6.1} % | {good:>3} of {all} |"
            );
        }
        println!();
        println!("Sections with less than {} % delivered do not count.", DELIVERY_MIN * 100.0);
        println!();
        figure::print(&self.figures());
    }

    /// Adds the figures that have sections to those of a file.
    pub fn write(&self, file: &mut Map<String, Value>) {
        let point = |(point, name, key): (Point, &'static str, &'static str)| {
            let baseline = self.speed(Point::Ceiling).filter(|_| point != Point::Ceiling);
            Figure::told(name, key, self.speed(point), "packets/s").baseline(baseline).pairs(self.counts(point))
        };
        figure::write(&POINTS.map(point), file);
        figure::write(&self.figures(), file);
    }

    fn figures(&self) -> Vec<Figure> {
        let ratio = |name, key, point, base| {
            let pairs = self.pairs(point, base);
            let counts = (pairs.len(), self.of(point).count());
            Figure::told(name, key, median(pairs), "").baseline(self.speed(base)).pairs(counts)
        };
        let conference = node(Load::Busy, Way::Conference);
        let mut figures = vec![
            ratio("1: whole worker over the ceiling", "worker_over_ceiling", OWN, Point::Ceiling)
                .goal(Goal::AtLeast(1.1)),
            ratio(
                "1: egress alone, mixed sizes, over the ceiling",
                "egress_alone_over_ceiling",
                Point::Alone,
                Point::Ceiling,
            )
            .goal(Goal::AtLeast(1.3)),
            ratio(
                "2: a camera to ten times as many viewers",
                "crowd_over_usual_camera",
                node(Load::Busy, Way::Crowd),
                node(Load::Camera, Way::Own),
            )
            .goal(Goal::AtLeast(0.9)),
            ratio("2: as many packets to them, busy", "crowd_over_usual", node(Load::Busy, Way::Crowd), OWN)
                .goal(Goal::AtLeast(0.9)),
            ratio("2: as many packets to them, full", "crowd_over_usual_full", node(Load::Full, Way::Crowd), OWN_FULL)
                .goal(Goal::AtLeast(0.9)),
            ratio("2: egress alone to them", "egress_alone_crowd_over_usual", Point::AloneCrowd, Point::Alone)
                .goal(Goal::AtLeast(0.9)),
            ratio("3: CPU of a packet, 30 people over a stage", "conference_cpu_over_usual", OWN, conference)
                .baseline(self.speed(OWN).map(|speed| 1e9 / speed))
                .goal(Goal::AtMost(1.2)),
        ];
        figures.extend(self.stage_figures());
        figures.extend(self.join_figures());
        figures.extend(self.memory_figures());
        figures
    }

    /// What a stage's viewers receive, and what the node takes for them beside what a crowd's figure predicts.
    fn stage_figures(&self) -> Vec<Figure> {
        let (stage, crowd) = (node(Load::Busy, Way::Stage), node(Load::Busy, Way::Crowd));
        let all = self.of(stage).count();
        if all == 0 {
            return Vec::new();
        }
        let over = self.pairs(crowd, stage);
        let counts = (over.len(), self.of(crowd).count());
        let delivered = median(self.of(stage).map(|section| section.delivery() * 100.0));
        let cores = median(self.of(stage).map(Section::load));
        vec![
            Figure::told("stage of 2,000: delivered", "stage_delivered_percent", delivered, "%")
                .goal(Goal::AtLeast(DELIVERY_MIN * 100.0))
                .pairs((all, all)),
            Figure::told("stage of 2,000: cores that the node takes", "stage_cores", cores, "")
                .goal(Goal::AtMost(1.0))
                .pairs((all, all)),
            Figure::told("stage of 2,000: CPU over what 500 predict", "stage_cpu_over_predicted", median(over), "")
                .goal(Goal::AtMost(1.2))
                .pairs(counts),
        ]
    }

    fn join_figures(&self) -> [Figure; 3] {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let all = |of: fn(&Joins) -> &Vec<Duration>| median(self.joins.iter().flat_map(of).copied().map(ms));
        let series = (self.joins.len(), self.joins.len());
        [
            Figure::told(
                "7: offer to connected",
                "join_offer_to_connected_ms",
                all(|joins| &joins.offer_to_connected),
                "ms",
            ),
            Figure::told("7: call of connect to connected", "join_ms", all(|joins| &joins.whole), "ms"),
            Figure::told("7: CPU of a join", "join_cpu_ms", median(self.joins.iter().map(|joins| ms(joins.cpu))), "ms"),
        ]
        .map(|figure| figure.pairs(series))
    }

    fn memory_figures(&self) -> [Figure; 2] {
        let kb = |bytes: i64| bytes as f64 / 1000.0;
        let above = self.memory.map(|memory| kb(memory.above()));
        let resident = self.resident_per_viewer.map(|bytes| bytes as f64 / 1000.0);
        [
            Figure::told("9: memory of a viewer over a bare connection", "memory_per_viewer_kb", above, "kB")
                .baseline(self.memory.map(|memory| kb(memory.bare)))
                .goal(Goal::AtMost(30.0)),
            Figure::told(
                "   resident memory of the node for each of a crowd",
                "resident_per_viewer_kb",
                resident,
                "kB",
            ),
        ]
    }

    /// The median speed over the sections that count.
    fn speed(&self, point: Point) -> Option<f64> {
        median(self.of(point).filter(|section| section.counts()).map(Section::speed))
    }

    /// The speed of each section that counts over that of the section of `base` that is nearest in time.
    fn pairs(&self, point: Point, base: Point) -> Vec<f64> {
        let is_base = |index: &usize| self.sections[*index].0 == base && self.sections[*index].1.counts();
        let ratio = |(index, (of, section)): (usize, &(Point, Section))| {
            let nearest = (0..self.sections.len()).filter(is_base).min_by_key(|other| other.abs_diff(index))?;
            (*of == point && section.counts()).then(|| section.speed() / self.sections[nearest].1.speed())
        };
        self.sections.iter().enumerate().filter_map(ratio).collect()
    }

    fn counts(&self, point: Point) -> (usize, usize) {
        (self.of(point).filter(|section| section.counts()).count(), self.of(point).count())
    }

    fn of(&self, point: Point) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |(of, _)| *of == point).map(|(_, section)| section)
    }
}
