//! A simulated and an emulated run of one scenario beside each other, with the error and its bound.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::measured::{LinkMeasured, Measured, dead};
use crate::outcome::{LinkOutcome, Outcome, Samples};
use crate::report::{Totals, align, figure};
use crate::scenario::{Client, Scenario, Trouble};

/// How far an emulated figure may be from the simulated one: the larger of the two counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    absolute: f64,
    percent: f64,
}

const fn bound(absolute: f64, percent: f64) -> Option<Bound> {
    Some(Bound { absolute, percent })
}

/// What a figure has to be, in either run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
}

impl Goal {
    /// Whether a figure reaches it.
    pub fn is_reached(self, figure: f64) -> bool {
        match self {
            Self::AtMost(most) => figure <= most,
            Self::AtLeast(least) => figure >= least,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::AtMost(0.0) => "0".to_owned(),
            Self::AtMost(most) => format!("<= {}", figure(most)),
            Self::AtLeast(least) => format!(">= {}", figure(least)),
        }
    }
}

/// One figure of both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// What.
    pub what: String,
    /// In the simulator.
    pub simulated: Option<f64>,
    /// On real nodes.
    pub emulated: Option<f64>,
    /// How far they may be apart; `None` for what is only shown.
    pub bound: Option<Bound>,
    /// What the emulated one has to be.
    pub goal: Option<Goal>,
}

/// A link in both runs: from, to, and what crossed it.
type Link = (String, String, LinkOutcome, LinkMeasured);

/// Both runs.
#[derive(Clone, Debug)]
pub struct Beside {
    scenario: String,
    hash: String,
    seed: u64,
    /// Figures.
    pub rows: Vec<Row>,
    links: Vec<Link>,
    late_ms: Samples,
    nodes_cpu_s: f64,
    complaints: Vec<String>,
}

impl Row {
    /// The error in percent of the simulated figure.
    pub fn error_percent(&self) -> Option<f64> {
        let (simulated, emulated) = (self.simulated?, self.emulated?);
        (simulated != 0.0).then(|| (emulated - simulated) / simulated * 100.0)
    }

    /// Whether the error is within its bound and the emulated figure reaches its goal; what is only shown always does.
    pub fn holds(&self) -> bool {
        self.is_near() && self.goal.is_none_or(|goal| self.emulated.is_some_and(|emulated| goal.is_reached(emulated)))
    }

    fn is_near(&self) -> bool {
        let Some(Bound { absolute, percent }) = self.bound else { return true };
        match (self.simulated, self.emulated) {
            (Some(simulated), Some(emulated)) => {
                (emulated - simulated).abs() <= absolute.max(simulated.abs() * percent / 100.0)
            }
            (simulated, emulated) => simulated == emulated,
        }
    }

    fn cells(&self) -> Vec<String> {
        let shown = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), figure);
        let error = self.error_percent().map_or_else(String::new, |error| format!("{error:+.1} %"));
        let bound = self.bound.map_or_else(String::new, |bound| match bound.absolute {
            0.0 => format!("{} %", bound.percent),
            absolute => format!("{} or {} %", figure(absolute), bound.percent),
        });
        let goal = self.goal.map_or_else(String::new, Goal::shown);
        let verdict = match (self.bound.is_some() || self.goal.is_some(), self.holds()) {
            (false, _) => "",
            (_, true) => "ok",
            (_, false) => "NO",
        };
        vec![self.what.clone(), shown(self.simulated), shown(self.emulated), error, bound, goal, verdict.to_owned()]
    }
}

const HEAD: [&str; 7] = ["", "simulated", "emulated", "error", "bound", "goal", ""];

/// What issue and design ask of a scenario's figures.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Nodes die, or drain.
    kills: bool,
    drains: bool,
    /// Somebody comes back with `@origo/client`, or everybody with SDKs as they come.
    stock: bool,
}

impl Asked {
    fn of(scenario: &Scenario) -> Self {
        let is = |what: fn(&Trouble) -> bool| scenario.faults.iter().any(|fault| what(&fault.what));
        let mut people = scenario.rooms.iter().flat_map(|room| &room.groups);
        Self {
            kills: is(|what| matches!(what, Trouble::Kill(_) | Trouble::Restart(_))),
            drains: is(|what| matches!(what, Trouble::Drain { .. })),
            stock: people.any(|group| group.client == Client::Stock),
        }
    }

    fn goal(self, metric: &str, percent: f64) -> Option<Goal> {
        let most = |most: f64| Some(Goal::AtMost(most));
        match (metric, percent as u32) {
            ("video_gap_ms", 50) if self.kills => most(450.0),
            ("video_gap_ms", 95) if self.kills => most(700.0),
            ("audio_gap_ms", 95) if self.kills => most(60.0),
            ("gray_avoided_ms", 100) => most(10_000.0),
            ("heal_ms", 100) => most(15_000.0),
            ("media_back_ms", 95) if self.drains => most(3_000.0),
            ("media_back_ms", 95) => most(if self.stock { 5_000.0 } else { 1_000.0 }),
            _ => None,
        }
    }
}

impl Beside {
    /// Of two runs of a scenario.
    pub fn of(scenario: &Scenario, simulated: &Outcome, emulated: &Measured) -> Self {
        let links = links(scenario, simulated, emulated);
        let asked = Asked::of(scenario);
        let mut rows = Vec::new();
        let percentile = |samples: Option<&Samples>, percent| samples.and_then(|samples| samples.percentile(percent));
        let mut compare = |metric: &str, name: &str, percent, bound| {
            let of = |metrics: &BTreeMap<String, Samples>| percentile(metrics.get(metric), percent);
            let what = format!("{name}, p{percent}, ms");
            let goal = asked.goal(metric, percent);
            let row = Row { what, simulated: of(&simulated.metrics), emulated: of(&emulated.metrics), bound, goal };
            if row.simulated.is_some() || row.emulated.is_some() {
                rows.push(row);
            }
        };
        // Who was sent on is served over the wide area, of which the simulator knows nothing; who lost a node that died
        // is left out with that node's links.
        let stays = |bound| if asked.drains { None } else { bound };
        compare("one_way_ms", "one way", 50.0, stays(bound(1.0, 2.0)));
        compare("one_way_ms", "one way", 95.0, stays(bound(3.0, 5.0)));
        compare("failover_gap_ms", "failover gap", 50.0, stays(bound(40.0, 15.0)));
        compare("failover_gap_ms", "failover gap", 95.0, None);
        compare("video_gap_ms", "picture's gap", 50.0, None);
        compare("video_gap_ms", "picture's gap", 95.0, None);
        compare("audio_gap_ms", "sound's gap", 95.0, None);
        compare("gray_avoided_ms", "gray node avoided after", 100.0, None);
        compare("heal_ms", "one room again after a partition", 100.0, None);
        compare("seen_over_cut_ms", "everybody beyond it seen again", 100.0, None);
        compare("media_back_ms", "media back", 50.0, None);
        compare("media_back_ms", "media back", 95.0, None);
        let kept = without_keyframe(simulated, emulated);
        rows.extend(kept.map(|row| Row { goal: asked.kills.then_some(Goal::AtLeast(90.0)), ..row }));
        let crossed = bytes(&links).into_iter().chain(again(&links));
        rows.extend(crossed.map(|row| Row { bound: stays(row.bound), ..row }));
        let lost = |count: &dyn Fn(&Link) -> u64| Some(links.iter().map(count).sum::<u64>() as f64);
        let row =
            |what: &str, simulated, emulated| Row { what: what.to_owned(), simulated, emulated, ..Row::default() };
        rows.push(row("lost by the network, packets", lost(&|link| link.2.lost), lost(&|link| link.3.lost)));
        let totals = Totals::of(simulated);
        let share = |part: u64, rest: u64| Some(100.0 * part as f64 / (part + rest).max(1) as f64);
        let (there, here) = (share(totals.missed, totals.delivered), share(emulated.missed, emulated.delivered));
        rows.push(row("missed by viewers, %", there, here));
        if !scenario.faults.is_empty() {
            let ghosts = simulated.metrics.get("ghosts").and_then(|samples| samples.percentile(100.0)).or(Some(0.0));
            let what = "ghosts at the end".to_owned();
            let (emulated, goal) = (Some(emulated.ghosts as f64), Some(Goal::AtMost(0.0)));
            rows.push(Row { what, simulated: ghosts, emulated, bound: bound(0.0, 0.0), goal });
        }
        rows.extend(moves(asked, simulated, emulated));
        Self {
            scenario: scenario.name.clone(),
            hash: scenario.hash.clone(),
            seed: scenario.seed,
            rows,
            links,
            late_ms: emulated.late_ms.clone(),
            nodes_cpu_s: emulated.nodes_cpu_s,
            complaints: emulated.complaints.clone(),
        }
    }

    /// Whether every error is within its bound.
    pub fn holds(&self) -> bool {
        self.rows.iter().all(Row::holds)
    }

    /// For terminals.
    pub fn table(&self) -> String {
        let late = |percent| self.late_ms.percentile(percent).map_or_else(|| "none".to_owned(), figure);
        let mut text = format!(
            "{}: seed {}; links late by {} ms (p50), {} ms (p99); nodes had {:.1} s of processor time\n",
            self.scenario,
            self.seed,
            late(50.0),
            late(99.0),
            self.nodes_cpu_s
        );
        let head = HEAD.map(|cell| format!("  {cell}")).to_vec();
        let rows = self.rows.iter().map(|row| row.cells().iter().map(|cell| format!("  {cell}")).collect());
        text.push_str(&align(&std::iter::once(head).chain(rows).collect::<Vec<_>>()));
        const TOLD: usize = 5;
        for complaint in self.complaints.iter().take(TOLD) {
            text.push_str(&format!("  {complaint}\n"));
        }
        text
    }

    /// Links one by one, for terminals.
    pub fn link_table(&self) -> String {
        let head = ["link", "bytes simulated", "emulated", "error", "again", "", "lost", ""];
        let mut rows = vec![head.map(|cell| format!("  {cell}")).to_vec()];
        for (from, to, there, here) in &self.links {
            let error =
                (there.warm_bytes > 0).then(|| (here.warm_bytes as f64 / there.warm_bytes as f64 - 1.0) * 100.0);
            let numbers = [there.retransmissions, here.retransmissions, there.lost, here.lost];
            let mut row =
                vec![format!("{from} to {to}"), figure(there.warm_bytes as f64), figure(here.warm_bytes as f64)];
            row.push(error.map_or_else(String::new, |error| format!("{error:+.1} %")));
            row.extend(numbers.map(|number| figure(number as f64)));
            rows.push(row.into_iter().map(|cell| format!("  {cell}")).collect());
        }
        align(&rows)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "what": row.what, "simulated": row.simulated, "emulated": row.emulated,
                "error_percent": row.error_percent(), "holds": row.holds(),
                "goal": row.goal.map(Goal::shown), "bound": row.bound.map(|bound| json!({ "absolute": bound.absolute, "percent": bound.percent })),
            })
        });
        let links = self.links.iter().map(|(from, to, there, here)| {
            json!({
                "from": from, "to": to,
                "simulated": { "bytes": there.bytes, "warm_bytes": there.warm_bytes, "packets": there.packets, "lost": there.lost, "again": there.retransmissions },
                "emulated": { "bytes": here.bytes, "warm_bytes": here.warm_bytes, "packets": here.packets, "lost": here.lost, "again": here.retransmissions },
            })
        });
        let late = |percent| self.late_ms.percentile(percent);
        json!({
            "scenario": self.scenario, "scenario_hash": self.hash, "seed": self.seed,
            "version": env!("CARGO_PKG_VERSION"), "holds": self.holds(),
            "rows": rows.collect::<Vec<_>>(), "links": links.collect::<Vec<_>>(),
            "links_late_ms": { "p50": late(50.0), "p99": late(99.0), "max": late(100.0) },
            "nodes_cpu_s": self.nodes_cpu_s, "complaints": self.complaints,
        })
    }
}

/// All scenarios in one table, in Markdown: simulated / emulated.
pub fn markdown(all: &[Beside]) -> String {
    let mut text = String::from(
        "| scenario | figure | simulated | emulated | error | bound | goal |\n\
         | --- | --- | ---: | ---: | ---: | --- | --- |\n",
    );
    for beside in all {
        for row in beside.rows.iter().filter(|row| row.bound.is_some() || row.goal.is_some()) {
            let [what, simulated, emulated, error, bound, goal, _] = &row.cells()[..] else { continue };
            // Bold is what does not hold.
            let mark = if row.holds() { "" } else { "**" };
            text.push_str(&format!(
                "| `{}` | {what} | {simulated} | {mark}{emulated}{mark} | {error} | {bound} | {goal} |\n",
                beside.scenario
            ));
        }
    }
    text
}

/// Every link that either run used, between nodes that live all the time.
fn links(scenario: &Scenario, simulated: &Outcome, emulated: &Measured) -> Vec<Link> {
    let nodes = &scenario.topology.nodes;
    // From a dead node's namespace its people go on to another node, over links that are not theirs in the simulator.
    let dead: Vec<usize> = scenario.faults.iter().flat_map(|fault| dead(&fault.what).iter().copied()).collect();
    let alive = emulated.links.iter().filter(|((from, to), _)| !dead.contains(from) && !dead.contains(to));
    let both = alive.map(|((from, to), here)| {
        let (from, to) = (nodes[*from].name.clone(), nodes[*to].name.clone());
        let there = simulated.links.iter().find(|link| link.from == from && link.to == to);
        (from, to, there.cloned().unwrap_or_default(), *here)
    });
    both.filter(|(_, _, there, here)| there.bytes + here.bytes > 0).collect()
}

/// Bytes after the warm-up of links that mostly carry media, and of the one whose error is largest: elsewhere
/// acknowledgements and gossip weigh more than what is simulated.
fn bytes(links: &[Link]) -> Vec<Row> {
    let busy = links.iter().filter(|(_, _, there, _)| there.payload_bytes * 2 > there.bytes);
    let sum = |bytes: &dyn Fn(&Link) -> u64| Some(busy.clone().map(bytes).sum::<u64>() as f64);
    let (simulated, emulated) = (sum(&|link| link.2.warm_bytes), sum(&|link| link.3.warm_bytes));
    let what = "bytes, all links".to_owned();
    let mut rows = vec![Row { what, simulated, emulated, bound: bound(0.0, 2.0), goal: None }];
    let error = |link: &&Link| (link.3.warm_bytes as f64 / link.2.warm_bytes.max(1) as f64).ln().abs();
    let worst = busy.max_by(|a, b| error(a).total_cmp(&error(b)));
    rows.extend(worst.map(|(from, to, there, here)| Row {
        what: format!("bytes, worst link ({from} to {to})"),
        simulated: Some(there.warm_bytes as f64),
        emulated: Some(here.warm_bytes as f64),
        bound: bound(0.0, 2.0),
        goal: None,
    }));
    rows
}

/// What moves from node to node cost; none where nobody moves.
fn moves(asked: Asked, simulated: &Outcome, emulated: &Measured) -> Vec<Row> {
    let moves = &emulated.moves;
    if !moves.any() {
        return Vec::new();
    }
    let there = |metric: &str, percent| simulated.metrics.get(metric).and_then(|samples| samples.percentile(percent));
    let pause = |percent| moves.picture_pause_ms.percentile(percent);
    let row = |what: &str, simulated, emulated, goal| Row {
        what: what.to_owned(),
        simulated,
        emulated,
        bound: None,
        goal: Option::map(goal, Goal::AtMost),
    };
    let shown = |what: &str, emulated: u64| row(what, None, Some(emulated as f64), None);
    let mut rows = vec![
        shown("went on elsewhere beside their session", moves.beside),
        shown("joined anew", moves.anew),
        Row {
            bound: bound(0.0, 0.0),
            ..row("leaves seen by others", Some(0.0), Some(moves.leaves_seen as f64), Some(0.0))
        },
        row("a picture's longest pause, p95, ms", None, pause(95.0), (asked.drains && asked.stock).then_some(3_000.0)),
        row("longest pause of a picture, ms", None, pause(100.0), (asked.drains && !asked.stock).then_some(200.0)),
    ];
    if moves.anew == 0 {
        let lost =
            row("sound lost, packets", there("drain_lost_packets", 100.0), Some(moves.all_sound_lost()), Some(0.0));
        rows.push(Row { bound: bound(0.0, 0.0), ..lost });
    }
    rows
}

/// Pictures whose way failed and that went on without a keyframe.
fn without_keyframe(simulated: &Outcome, emulated: &Measured) -> Option<Row> {
    let share = |metrics: &BTreeMap<String, Samples>| {
        let needed = &metrics.get("keyframes_at_failover")?.values;
        (!needed.is_empty()).then(|| 100.0 * (1.0 - needed.iter().sum::<f64>() / needed.len() as f64))
    };
    let (there, here) = (share(&simulated.metrics), share(&emulated.metrics));
    (here.is_some() || there.is_some()).then(|| Row {
        what: "pictures that need no keyframe, %".to_owned(),
        simulated: there,
        emulated: here,
        ..Row::default()
    })
}

/// Datagrams sent again; of a few chance alone decides.
fn again(links: &[Link]) -> Option<Row> {
    const FEW: f64 = 40.0;
    let there: u64 = links.iter().map(|link| link.2.retransmissions).sum();
    let here: u64 = links.iter().map(|link| link.3.retransmissions).sum();
    let (simulated, emulated) = (Some(there as f64), Some(here as f64));
    let bound = if there as f64 >= FEW { bound(0.0, 15.0) } else { None };
    (there + here > 0).then(|| Row { what: "retransmissions".to_owned(), simulated, emulated, bound, goal: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_within_the_larger_of_its_two_bounds_and_when_it_reaches_its_goal() {
        let row = |simulated, emulated| Row {
            what: String::new(),
            simulated: Some(simulated),
            emulated: Some(emulated),
            bound: bound(1.0, 2.0),
            goal: None,
        };
        assert!(row(10.0, 10.9).holds() && !row(10.0, 11.1).holds());
        assert!(row(100.0, 101.9).holds() && !row(100.0, 97.9).holds());
        assert_eq!(row(100.0, 97.0).error_percent(), Some(-3.0));
        assert!(!Row { emulated: None, ..row(1.0, 1.0) }.holds());
        let with = |goal| Row { goal: Some(goal), ..row(100.0, 101.0) };
        assert!(with(Goal::AtMost(101.0)).holds() && !with(Goal::AtMost(100.0)).holds());
        assert!(with(Goal::AtLeast(90.0)).holds() && !with(Goal::AtLeast(102.0)).holds());
    }
}
