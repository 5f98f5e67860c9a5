//! Draws what befalls a drawn scenario: one to five faults, and time for all to be well again.

use std::fmt::Write;

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, index::sample};

use crate::dice::dice;

/// Faults begin within this, ms: people have met by the first one.
const BEGIN: std::ops::Range<u64> = 2_000..14_000;
/// After the last fault nodes need 15 s until all must be well, and what must hold then is looked at for some seconds.
const RESTS_MS: u64 = 23_000;

/// How often nodes are short of something besides, and how often of that when everything else is well again: what such a
/// node must not do is looked at only then.
const OVERLOADED: f64 = 0.25;
const ALONE: f64 = 0.5;
/// So long after the last fault everything is, ms.
const WELL_MS: u64 = 16_000;
/// A node that drains has ended by then, ms.
const DRAINED_MS: u64 = 9_000;

/// Faults as a scenario tells them, and when the scenario may end, ms.
pub(super) fn draw(seed: u64, nodes: &[String]) -> (String, u64) {
    let mut faults = Faults { dice: dice(seed, "swarm faults"), nodes, out: String::new(), ends: 0 };
    for _ in 0..faults.dice.random_range(1..=5) {
        faults.one();
    }
    faults.dice = dice(seed, "swarm overload");
    if faults.dice.random_bool(OVERLOADED) {
        faults.overload();
    }
    (faults.out, faults.ends + RESTS_MS)
}

struct Faults<'a> {
    dice: SmallRng,
    nodes: &'a [String],
    out: String,
    /// When the last one is over, ms.
    ends: u64,
}

impl Faults<'_> {
    fn one(&mut self) {
        let at = self.dice.random_range(BEGIN);
        let what = match self.dice.random_range(0..24) {
            0..5 => format!("kill = {}", self.some_nodes(3)),
            5..7 => format!("restart = {}", self.some_nodes(2)),
            7..11 => self.partition(),
            11..13 => format!(
                "degrade = {{ {}, loss = {}, extra_delay = \"60ms\" }}",
                self.link(),
                self.pick(&["5", "30", "100"])
            ),
            13..15 => {
                let (down, up) = (self.pick(&["100ms", "400ms", "3s"]), self.pick(&["300ms", "2s"]));
                format!("flap = {{ {}, down = \"{down}\", up = \"{up}\" }}", self.link())
            }
            15..17 => {
                let how = match self.dice.random_range(0..3) {
                    0 => String::new(),
                    1 => "\nlate = \"400ms\"".to_owned(),
                    _ => format!("\ntowards = {}", self.some_nodes(2)),
                };
                format!("gray = {}{how}", self.some_nodes(1))
            }
            17..20 => format!("hold = {}", self.some_nodes(2)),
            20 => format!("skew = {}\nseconds = {}", self.some_nodes(2), self.pick(&["-3600", "-2", "1", "3600"])),
            21 => format!("slow = {}\nfactor = {}", self.some_nodes(2), self.pick(&["5", "20", "60"])),
            22 => format!("drain = {}", self.some_nodes(2)),
            _ => format!("gossip_loss = {}", self.pick(&["5", "30", "60"])),
        };
        let ends_alone = ["kill", "skew", "drain", "restart"].iter().any(|kind| what.starts_with(kind));
        let lasts = self.pick(&["50ms", "400ms", "1500ms", "4s", "7s", "12s", "28s"]);
        let _ = write!(self.out, "\n[[fault]]\nat = \"{at}ms\"\n{what}\n");
        let lasts =
            if ends_alone && (what.starts_with("restart") || self.dice.random_bool(0.5)) { None } else { Some(lasts) };
        let drained_ms = if what.starts_with("drain") { DRAINED_MS } else { 0 };
        let lasts_ms = lasts.and_then(crate::scenario::duration).map_or(0, |lasts| lasts.as_millis() as u64);
        if let Some(lasts) = lasts {
            let _ = writeln!(self.out, "lasts = \"{lasts}\"");
        }
        self.ends = self.ends.max(at + lasts_ms.max(drained_ms));
    }

    /// Nodes are short of something for a while. Drawn apart, so that a seed's other faults are the same without it.
    fn overload(&mut self) {
        let (at, nodes) = (self.dice.random_range(BEGIN), self.some_nodes(2));
        let level = self.pick(&["full", "shedding", "not_relaying", "not_relaying"]);
        let lasts = self.pick(&["1500ms", "4s", "12s"]);
        let at = if self.dice.random_bool(ALONE) { self.ends + WELL_MS } else { at };
        let _ = write!(self.out, "\n[[fault]]\nat = \"{at}ms\"\noverload = {nodes}\nlevel = \"{level}\"\n");
        let _ = writeln!(self.out, "lasts = \"{lasts}\"");
        let lasts_ms = crate::scenario::duration(lasts).map_or(0, |lasts| lasts.as_millis() as u64);
        self.ends = self.ends.max(at + lasts_ms);
    }

    /// Some nodes, but never all, so that people have somewhere to go.
    fn some_nodes(&mut self, most: usize) -> String {
        let count = self.dice.random_range(1..=most.min(self.nodes.len() - 1).max(1));
        let chosen = sample(&mut self.dice, self.nodes.len(), count);
        let chosen: Vec<&String> = chosen.iter().map(|place| &self.nodes[place]).collect();
        format!("{chosen:?}")
    }

    fn partition(&mut self) -> String {
        let count = self.nodes.len();
        let order = sample(&mut self.dice, count, count).into_vec();
        let groups = if count > 2 && self.dice.random_bool(0.2) { 3 } else { 2 };
        let mut parts = vec![Vec::new(); groups];
        for (place, node) in order.into_iter().enumerate() {
            let group = if place < groups { place } else { self.dice.random_range(0..groups) };
            parts[group].push(self.nodes[node].as_str());
        }
        format!("partition = {parts:?}")
    }

    fn link(&mut self) -> String {
        let two = sample(&mut self.dice, self.nodes.len(), 2);
        let both = self.dice.random_bool(0.7);
        format!("from = \"{}\", to = \"{}\", both = {both}", self.nodes[two.index(0)], self.nodes[two.index(1)])
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices.choose(&mut self.dice).expect("a choice")
    }
}
