//! Scenarios: one TOML file each. `docs/simulation.md` explains every key.

mod assertion;
mod change;
mod crowd;
mod fault;
mod line;
mod matrix;
mod media;
mod mistake;
mod policy;
mod reader;
mod room;
mod stay;
mod table;
mod topology;
mod trace;
mod tree;
mod unit;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub use assertion::{Assertion, Comparison, Statistic};
pub use change::{Change, What};
pub use fault::{DRAIN_DEADLINE, Fault, Gray, Trouble};
pub use line::{Line, Loss, Patch};
pub use matrix::Region;
pub use media::{Layer, Media, Takes};
pub use mistake::{Mistake, Mistakes};
pub use policy::Policy;
pub use room::{Client, Group, Room};
pub use stay::Stay;
pub use topology::{Node, Reach, Topology, Which};
pub use trace::{Row, Trace};
pub use unit::{duration, rate};

use self::reader::{Reader, Section};
use self::tree::Value;
use crate::dice::hash;

/// A scenario, checked and complete: random rooms are drawn, every link is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its file without the ending.
    pub name: String,
    /// Hash of its text.
    pub hash: String,
    /// How long it runs, warm-up included.
    pub duration: Duration,
    /// Measures begin after this.
    pub warmup: Duration,
    /// What all randomness comes from.
    pub seed: u64,
    /// Nodes and lines.
    pub topology: Topology,
    /// Rooms, the drawn ones behind the told ones.
    pub rooms: Vec<Room>,
    /// How trees are drawn.
    pub policy: Policy,
    /// What changes, in the order of time.
    pub changes: Vec<Change>,
    /// What befalls it, in the order of time.
    pub faults: Vec<Fault>,
    /// What it must show.
    pub asserts: Vec<Assertion>,
    /// Keys with a list of values, of which this is one combination.
    pub axes: Vec<Axis>,
}

/// A key with a list of values: a sweep runs each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The key, such as `policy.alpha`.
    pub key: String,
    /// Its values as they are written.
    pub values: Vec<String>,
}

/// What is said beside the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Takes the place of the file's seed.
    pub seed: Option<u64>,
    /// Which value of an axis to take, by its key; the first where nothing is said.
    pub values: BTreeMap<String, usize>,
}

/// What [`Run`] takes as fidelity: every packet, over a modelled QUIC.
const FIDELITY: &str = "\"packet\" (links over the real QUIC are `origo-sim trunk`)";

impl Scenario {
    /// Reads a file.
    pub fn load(path: &Path, choices: &Choices) -> Result<Self, Mistakes> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text, choices),
            Err(error) => Err(Mistakes(vec![Mistake {
                file,
                line: 1,
                key: String::new(),
                found: error.to_string(),
                accepted: "a scenario, as docs/simulation.md explains it".to_owned(),
            }])),
        }
    }

    /// Reads the text of a file. Files that it names lie beside it.
    pub fn parse(path: &Path, text: &str, choices: &Choices) -> Result<Self, Mistakes> {
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let reader = Reader::new(path.display().to_string(), folder, &choices.values);
        let item = match tree::read(text) {
            Ok(item) => item,
            Err((line, what)) => {
                reader.mistake(line, "", what, "TOML 1.0");
                return Err(Mistakes(reader.into_parts().0));
            }
        };
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let scenario = reader.section(String::new(), &item).map(|root| read(root, name, text, choices.seed));
        let (mistakes, axes) = reader.into_parts();
        match scenario {
            Some(scenario) if mistakes.is_empty() => Ok(Self { axes, ..scenario }),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

fn read(root: Section<'_>, name: String, text: &str, seed: Option<u64>) -> Scenario {
    let run = Run::read(&root);
    let seed = seed.unwrap_or(run.seed);
    let topology = topology::read(&root, seed);
    let mut rooms = room::read(&root, &topology);
    rooms.extend(crowd::read(&root, &topology, seed));
    if rooms.is_empty() {
        root.refuse("room", "no room", "[[room]] or [[people]]");
    }
    let changes = change::read(&root, &topology, &rooms);
    let scenario = Scenario {
        name,
        hash: format!("{:016x}", hash(text.as_bytes())),
        duration: run.duration,
        warmup: run.warmup,
        seed,
        policy: policy::read(&root, &topology),
        faults: fault::read(&root, &topology, run.duration, seed),
        asserts: assertion::read(&root),
        axes: Vec::new(),
        topology,
        rooms,
        changes,
    };
    root.finish();
    scenario
}

/// `[run]`.
struct Run {
    duration: Duration,
    warmup: Duration,
    seed: u64,
}

impl Run {
    fn read(root: &Section<'_>) -> Self {
        let default = Self { duration: Duration::from_secs(10), warmup: Duration::ZERO, seed: 1 };
        let Some(section) = root.table("run") else { return default };
        let read = Self {
            duration: section.duration("duration").unwrap_or(default.duration),
            warmup: section.duration("warmup").unwrap_or(default.warmup),
            seed: read_seed(&section).unwrap_or(default.seed),
        };
        section.get("fidelity", FIDELITY, |value| matches!(value, Value::Text(text) if text == "packet").then_some(()));
        if read.warmup >= read.duration {
            section.refuse("warmup", format!("{:?} of {:?}", read.warmup, read.duration), "less than the duration");
        }
        section.finish();
        read
    }
}

fn read_seed(section: &Section<'_>) -> Option<u64> {
    const SEED_MAX: f64 = 9_007_199_254_740_992.0;
    section.get("seed", "a whole number, or a list of numbers to sweep over", |value| match value {
        Value::Number(number) if number.fract() == 0.0 && (0.0..=SEED_MAX).contains(number) => Some(*number as u64),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
