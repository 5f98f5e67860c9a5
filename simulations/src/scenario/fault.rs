//! `[[fault]]`: what befalls nodes and links while a scenario runs, in the simulator and in an emulation alike.

use std::time::Duration;

use origo_cascade_core::Level;
use rand::Rng;
use rand::rngs::SmallRng;

use super::line::{self, Patch};
use super::reader::Section;
use super::topology::{Topology, Which, read_which};
use super::tree::Value;
use crate::dice::dice;

/// Something that befalls the mesh at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// When.
    pub at: Duration,
    /// When it is over: who was killed is restarted, a partition heals, a line is as it was. Never when `None`.
    pub until: Option<Duration>,
    /// What.
    pub what: Trouble,
}

/// What befalls it. Nodes are told by their place in the scenario.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Nodes die at once, with all that they hold.
    Kill(Vec<usize>),
    /// Nodes start anew, under the identity that they had; who lives is killed first.
    Restart(Vec<usize>),
    /// Nodes are asked to send everybody elsewhere and to end at the deadline at the latest.
    Drain {
        /// Which.
        nodes: Vec<usize>,
        /// How long they may take.
        deadline: Duration,
    },
    /// Nodes that drain take people again.
    Undrain(Vec<usize>),
    /// Nodes are short of something and do without things until the fault is over.
    Overload {
        /// Which.
        nodes: Vec<usize>,
        /// Without what.
        level: Level,
    },
    /// Nothing passes between nodes of different groups; nodes that no group names are with the first.
    Partition(Vec<Vec<usize>>),
    /// All partitions are over, and every line is as it was at the start.
    Heal,
    /// Lines change.
    Degrade(Which, Patch),
    /// Lines carry nothing, something, nothing, ...
    Flap {
        /// Which.
        which: Which,
        /// For how long they carry nothing.
        down: Duration,
        /// For how long they do.
        up: Duration,
    },
    /// Nodes answer, and do not forward media as they should.
    Gray {
        /// Which.
        nodes: Vec<usize>,
        /// What they do instead.
        how: Gray,
    },
    /// Nodes stand still (SIGSTOP) until the fault is over, and go on where they were.
    Hold(Vec<usize>),
    /// Clocks of nodes are wrong by that many seconds; below zero they are behind.
    Skew {
        /// Which.
        nodes: Vec<usize>,
        /// By how much.
        seconds: f64,
    },
    /// Nodes take that many times as long for everything.
    Slow {
        /// Which.
        nodes: Vec<usize>,
        /// How many times.
        factor: f64,
    },
    /// That share of gossip is lost, 0 to 1.
    GossipLoss(f64),
}

/// What a gray node does with media.
#[derive(Clone, Debug, PartialEq)]
pub enum Gray {
    /// It forwards nothing to other nodes.
    Drops,
    /// It forwards that much later.
    Late(Duration),
    /// It forwards nothing to these nodes.
    Towards(Vec<usize>),
}

/// Names of what may befall, as the file tells them.
const KINDS: [&str; 14] = [
    "kill",
    "restart",
    "drain",
    "undrain",
    "overload",
    "partition",
    "heal",
    "degrade",
    "flap",
    "gray",
    "hold",
    "skew",
    "slow",
    "gossip_loss",
];
/// Those that chance may choose.
const BY_CHANCE: [&str; 8] = ["kill", "drain", "partition", "degrade", "flap", "gray", "hold", "overload"];
/// More faults of one scenario are a slip of the pen.
const FAULTS_MAX: usize = 10_000;
/// How long a drain may take when nothing else is said, as that of a node.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(120);
const FLAP: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

pub(super) fn read(root: &Section<'_>, topology: &Topology, duration: Duration, seed: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for section in root.tables("fault") {
        if section.has("random") {
            faults.extend(read_random(section, topology, duration, seed));
        } else {
            faults.extend(read_one(section, topology));
        }
    }
    faults.truncate(FAULTS_MAX);
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn read_one(section: Section<'_>, topology: &Topology) -> Option<Fault> {
    let at = section.duration("at");
    if !section.has("at") {
        section.refuse("at", "missing", "when it happens");
    }
    let lasts = section.duration("lasts");
    let told = KINDS.iter().filter(|kind| section.has(kind)).count();
    if told != 1 {
        section.refuse("at", format!("{told} kinds of fault"), format!("one of {}", KINDS.join(", ")));
    }
    let what = read_nodes_fault(&section, topology).or_else(|| read_links_fault(&section, topology));
    if matches!(what, Some(Trouble::Hold(_) | Trouble::Flap { .. })) && lasts.is_none() {
        section.refuse("lasts", "missing", "for how long, such as \"2s\"");
    }
    section.finish();
    let at = at?;
    Some(Fault { at, until: lasts.map(|lasts| at + lasts), what: what? })
}

/// Faults of nodes.
fn read_nodes_fault(section: &Section<'_>, topology: &Topology) -> Option<Trouble> {
    let nodes = |key| section.has(key).then(|| nodes_of(section, key, topology));
    if let Some(nodes) = nodes("kill") {
        return Some(Trouble::Kill(nodes));
    }
    if let Some(nodes) = nodes("restart") {
        return Some(Trouble::Restart(nodes));
    }
    if let Some(nodes) = nodes("drain") {
        return Some(Trouble::Drain { nodes, deadline: section.duration("deadline").unwrap_or(DRAIN_DEADLINE) });
    }
    if let Some(nodes) = nodes("undrain") {
        return Some(Trouble::Undrain(nodes));
    }
    if let Some(nodes) = nodes("overload") {
        return Some(Trouble::Overload { nodes, level: read_level(section)? });
    }
    if let Some(nodes) = nodes("gray") {
        return Some(Trouble::Gray { nodes, how: read_gray(section, topology)? });
    }
    if let Some(nodes) = nodes("hold") {
        return Some(Trouble::Hold(nodes));
    }
    if let Some(nodes) = nodes("skew") {
        return Some(Trouble::Skew { nodes, seconds: needed(section, "seconds", -3600.0, 3600.0)? });
    }
    let nodes = nodes("slow")?;
    Some(Trouble::Slow { nodes, factor: needed(section, "factor", 1.0, 1000.0)? })
}

/// Faults of links and of all at once.
fn read_links_fault(section: &Section<'_>, topology: &Topology) -> Option<Trouble> {
    if section.has("partition") {
        return Some(Trouble::Partition(read_groups(section, topology)));
    }
    if section.has("heal") {
        return (section.switch("heal")?).then_some(Trouble::Heal);
    }
    if let Some(table) = section.table("degrade") {
        let which = read_which(&table, topology);
        let patch = line::read(&table);
        table.finish();
        return Some(Trouble::Degrade(which?, patch));
    }
    if let Some(table) = section.table("flap") {
        let which = read_which(&table, topology);
        let spell = |key, default| table.duration(key).filter(|spell| !spell.is_zero()).unwrap_or(default);
        let (down, up) = (spell("down", FLAP.0), spell("up", FLAP.1));
        table.finish();
        return Some(Trouble::Flap { which: which?, down, up });
    }
    Some(Trouble::GossipLoss(section.number("gossip_loss", 0.0, 100.0)? / 100.0))
}

fn needed(section: &Section<'_>, key: &'static str, least: f64, most: f64) -> Option<f64> {
    if !section.has(key) {
        section.refuse(key, "missing", format!("a number from {least} to {most}"));
    }
    section.number(key, least, most)
}

/// `not_relaying` unless told.
fn read_level(section: &Section<'_>) -> Option<Level> {
    let levels = &Level::ALL[1..];
    let accepted = levels.iter().map(|level| level.name()).collect::<Vec<_>>().join(", ");
    let Some(told) = section.text("level", &accepted) else { return Some(Level::NotRelaying) };
    let level = levels.iter().find(|level| level.name() == told).copied();
    if level.is_none() {
        section.refuse("level", format!("{told:?}"), accepted);
    }
    level
}

fn read_gray(section: &Section<'_>, topology: &Topology) -> Option<Gray> {
    if section.has("towards") {
        return Some(Gray::Towards(nodes_of(section, "towards", topology)));
    }
    if section.has("late") {
        return section.duration("late").map(Gray::Late);
    }
    Some(Gray::Drops)
}

/// The nodes of one key: a name or a region, or several.
fn nodes_of(section: &Section<'_>, key: &'static str, topology: &Topology) -> Vec<usize> {
    let names = section.texts(key, &topology.names());
    let mut nodes: Vec<usize> = names.iter().flat_map(|name| find(section, key, name, topology)).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

fn find(section: &Section<'_>, key: &str, name: &str, topology: &Topology) -> Vec<usize> {
    let found = topology.find(name);
    if found.is_empty() {
        section.refuse(key, format!("there is no node {name:?}"), topology.names());
    }
    found
}

/// `partition = [["a", "b"], ["c"]]`.
fn read_groups(section: &Section<'_>, topology: &Topology) -> Vec<Vec<usize>> {
    const GROUPS: &str = "two or more lists of nodes, such as [[\"a\", \"b\"], [\"c\"]], none of them in two";
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for item in section.list("partition").unwrap_or_default() {
        let Value::List(items) = &item.value else {
            section.reader.mistake(item.line, &section.key("partition"), item.value.shown(), GROUPS);
            continue;
        };
        let names = items.iter().filter_map(|item| match &item.value {
            Value::Text(name) => Some(name),
            other => {
                section.reader.mistake(item.line, &section.key("partition"), other.shown(), GROUPS);
                None
            }
        });
        groups.push(names.flat_map(|name| find(section, "partition", name, topology)).collect());
    }
    let is_twice = |node: usize| groups.iter().filter(|group| group.contains(&node)).count() > 1;
    if groups.len() < 2 || (0..topology.nodes.len()).any(is_twice) {
        section.refuse("partition", format!("{} groups", groups.len()), GROUPS);
    }
    groups
}

/// `random = { mtbf, mttr, kinds }`: one after the other, from `at` (the start of all when it is not told) to the end.
fn read_random(section: Section<'_>, topology: &Topology, duration: Duration, seed: u64) -> Vec<Fault> {
    let from = section.duration("at").unwrap_or_default();
    let random = section.table("random");
    let place = section.path.clone();
    section.finish();
    let Some(random) = random else { return Vec::new() };
    let mean = |key: &'static str, default: u64| {
        random.duration(key).filter(|mean| !mean.is_zero()).unwrap_or(Duration::from_secs(default))
    };
    let (between, lasts) = (mean("mtbf", 10), mean("mttr", 3));
    let mut kinds = random.texts("kinds", &BY_CHANCE.join(", "));
    for kind in kinds.iter().filter(|kind| !BY_CHANCE.contains(&kind.as_str())) {
        random.refuse("kinds", format!("{kind:?}"), BY_CHANCE.join(", "));
    }
    kinds.retain(|kind| BY_CHANCE.contains(&kind.as_str()));
    if kinds.is_empty() {
        kinds = BY_CHANCE.iter().map(|kind| (*kind).to_owned()).collect();
    }
    random.finish();
    let count = topology.nodes.len();
    if count < 2 {
        return Vec::new();
    }
    let mut dice = dice(seed, &place);
    let (mut at, mut faults) = (from, Vec::new());
    while faults.len() < FAULTS_MAX {
        at += drawn(&mut dice, between);
        if at >= duration {
            break;
        }
        let what = draw(&kinds[dice.random_range(0..kinds.len())], count, lasts, &mut dice);
        faults.push(Fault { at, until: Some(at + drawn(&mut dice, lasts)), what });
    }
    faults
}

/// Exponentially distributed, at least a millisecond.
fn drawn(dice: &mut SmallRng, mean: Duration) -> Duration {
    mean.mul_f64(-(1.0 - dice.random::<f64>()).ln()).max(Duration::from_millis(1))
}

fn draw(kind: &str, count: usize, lasts: Duration, dice: &mut SmallRng) -> Trouble {
    let node = dice.random_range(0..count);
    let other = (node + dice.random_range(1..count)) % count;
    let which = Which::Between { from: vec![node], to: vec![other], both: dice.random_bool(0.7) };
    match kind {
        "kill" => Trouble::Kill(vec![node]),
        "overload" => Trouble::Overload { nodes: vec![node], level: Level::NotRelaying },
        "drain" => Trouble::Drain { nodes: vec![node], deadline: lasts },
        "partition" => {
            let (mut here, mut there) = (vec![node], vec![other]);
            for place in (0..count).filter(|place| ![node, other].contains(place)) {
                if dice.random_bool(0.5) { here.push(place) } else { there.push(place) }
            }
            Trouble::Partition(vec![here, there])
        }
        "degrade" => {
            let loss = Some(line::Loss::Random(dice.random_range(0.0..0.2)));
            let extra_delay = Some(Duration::from_millis(dice.random_range(0..150)));
            Trouble::Degrade(which, Patch { loss, extra_delay, ..Patch::default() })
        }
        "flap" => Trouble::Flap { which, down: FLAP.0, up: FLAP.1 },
        "gray" => {
            let how = match dice.random_range(0..3) {
                0 => Gray::Drops,
                1 => Gray::Late(Duration::from_millis(dice.random_range(100..800))),
                _ => Gray::Towards(vec![other]),
            };
            Trouble::Gray { nodes: vec![node], how }
        }
        _ => Trouble::Hold(vec![node]),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Choices, Scenario};
    use super::*;

    const MESH: &str = "[topology]\nmatrix = \"azure\"\nnodes = [\"eastus\", \"westus\", \"uksouth\"]\n[[room]]\nname = \"r\"\nviewers = [{ node = \"eastus\" }]\n";

    fn parse(faults: &str) -> Result<Vec<Fault>, String> {
        let scenario = Scenario::parse(Path::new("case.toml"), &format!("{MESH}{faults}"), &Choices::default());
        scenario.map(|scenario| scenario.faults).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn every_kind_of_fault_is_read() {
        let text = r#"
[[fault]]
at = "4s"
kill = "eastus"
lasts = "2s"
[[fault]]
at = "1s"
drain = ["westus", "uksouth"]
deadline = "20s"
[[fault]]
at = "5s"
partition = [["eastus", "westus"], ["uksouth"]]
lasts = "3s"
[[fault]]
at = "9s"
flap = { from = "eastus", to = "uksouth", both = true, down = "300ms" }
lasts = "5s"
[[fault]]
at = "10s"
gray = "westus"
towards = "uksouth"
[[fault]]
at = "11s"
skew = "westus"
seconds = -3
[[fault]]
at = "12s"
gossip_loss = 20
[[fault]]
at = "13s"
heal = true
[[fault]]
at = "14s"
overload = "westus"
[[fault]]
at = "15s"
overload = ["westus", "eastus"]
level = "full"
lasts = "4s"
"#;
        let faults = parse(text).unwrap();
        assert_eq!(faults[0].what, Trouble::Drain { nodes: vec![1, 2], deadline: Duration::from_secs(20) });
        assert_eq!(faults[1].what, Trouble::Kill(vec![0]));
        assert_eq!((faults[1].at, faults[1].until), (Duration::from_secs(4), Some(Duration::from_secs(6))));
        assert_eq!(faults[2].what, Trouble::Partition(vec![vec![0, 1], vec![2]]));
        let which = Which::Between { from: vec![0], to: vec![2], both: true };
        assert_eq!(faults[3].what, Trouble::Flap { which, down: Duration::from_millis(300), up: FLAP.1 });
        assert_eq!(faults[4].what, Trouble::Gray { nodes: vec![1], how: Gray::Towards(vec![2]) });
        assert_eq!(faults[5].what, Trouble::Skew { nodes: vec![1], seconds: -3.0 });
        assert_eq!(faults[6].what, Trouble::GossipLoss(0.2));
        assert_eq!(faults[7].what, Trouble::Heal);
        assert_eq!(faults[8].what, Trouble::Overload { nodes: vec![1], level: Level::NotRelaying });
        assert_eq!(faults[9].what, Trouble::Overload { nodes: vec![0, 1], level: Level::Full });
        let told = parse("[[fault]]\nat = \"1s\"\noverload = \"westus\"\nlevel = \"calm\"\n").unwrap_err();
        assert!(told.contains("fault[1].level: \"calm\"; accepted: full, shedding, not_relaying"), "{told}");
    }

    #[test]
    fn what_a_fault_lacks_or_has_too_much_of_is_told() {
        let told = parse("[[fault]]\nkill = \"mars\"\n[[fault]]\nat = \"1s\"\nhold = \"eastus\"\n[[fault]]\nat = \"1s\"\n[[fault]]\nat = \"2s\"\npartition = [[\"eastus\"]]\n")
            .unwrap_err();
        for piece in [
            "fault[1].at: missing",
            "fault[1].kill: there is no node \"mars\"",
            "fault[2].lasts: missing",
            "fault[3].at: 0 kinds of fault; accepted: one of kill, restart",
            "fault[4].partition: 1 groups",
        ] {
            assert!(told.contains(piece), "{piece} is not in\n{told}");
        }
    }

    #[test]
    fn faults_by_chance_are_the_same_for_one_seed() {
        let text = "[run]\nduration = \"60s\"\n[[fault]]\nat = \"5s\"\nrandom = { mtbf = \"2s\", mttr = \"1s\" }\n";
        let faults = parse(text).unwrap();
        assert_eq!(faults, parse(text).unwrap());
        assert!((10..60).contains(&faults.len()), "{} faults", faults.len());
        assert!(faults.iter().all(|fault| fault.at > Duration::from_secs(5) && fault.until > Some(fault.at)));
        assert!(parse(&text.replace("mttr", "kinds = [\"lunch\"], mttr")).unwrap_err().contains("\"lunch\""));
    }
}
