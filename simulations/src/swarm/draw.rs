//! Draws a scenario from a seed: topology, lines, rooms, people, and what changes while it runs.
//!
//! What is drawn is the text of a scenario file, so that whatever breaks can be kept, read and cut down by hand.

use std::fmt::Write;

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, index::sample};

use crate::dice::dice;

const AZURE: &str = include_str!("../../data/rtt_matrix.csv");
const GCP: &str = include_str!("../../data/rtt_matrix_gcp.csv");

/// Nodes of a drawn scenario at most: invariants of trees break among few nodes as well, and a run stays short.
const NODES_MAX: usize = 10;
/// Bounds on trees are drawn up to these, and hold so many times the nodes that there are.
const DEGREE_MAX: usize = 8;
const HOPS_MAX: usize = 5;
const SPARE: usize = 2;
/// What publishers send, with how often it is drawn. Rates are low, so that many seeds take little time.
const MEDIA: [&str; 6] = [
    "video = [{ w = 160, kbps = 60 }, { w = 320, kbps = 150 }], fps = 10",
    "video = [{ w = 160, kbps = 60 }, { w = 320, kbps = 150 }, { w = 640, kbps = 500 }], fps = 15",
    "video = [{ w = 160, kbps = 60 }, { w = 320, kbps = 150 }, { w = 640, kbps = 400 }], in_stream = true, fps = 10",
    "video = [{ w = 320, kbps = 200 }], fps = 5, keyframe_every = \"2s\", keyframe_size = 12",
    "video = false, dtx = true",
    "video = [{ w = 320, kbps = 150 }], audio = false, fps = 10",
];
const LOSSES: [&str; 6] = [
    "0",
    "0.01",
    "0.5",
    "3",
    "{ model = \"gilbert\", percent = 1, burst = 5 }",
    "{ model = \"gilbert\", good = 0.01, bad = 50, p = 0.001, r = 0.05 }",
];

/// One seed of so many comes to rest: nobody comes and goes again and again, and it goes on for so many seconds after the
/// time in which things change. Bounds on trees hold once they have not changed for ten, which other seeds never see.
const RESTS_EVERY: u64 = 5;
const RESTS_S: std::ops::RangeInclusive<u32> = 12..=14;

/// The text of a seed's scenario.
pub fn draw(seed: u64) -> String {
    let rests = (seed % RESTS_EVERY == RESTS_EVERY - 1).then(|| dice(seed, "swarm rest").random_range(RESTS_S));
    let draw = Draw::all(seed, rests.is_some());
    let seconds = draw.seconds + rests.unwrap_or(0);
    format!("[run]\nduration = \"{seconds}s\"\nseed = {seed}\n{}", draw.out)
}

/// The same with faults, which last longer: no seed comes to rest before them.
pub fn draw_with_faults(seed: u64) -> String {
    let draw = Draw::all(seed, false);
    let (faults, ends_ms) = super::fault::draw(seed, &draw.nodes);
    format!("[run]\nduration = \"{ends_ms}ms\"\nseed = {seed}\n{}{faults}", draw.out)
}

struct Draw {
    dice: SmallRng,
    /// Their names.
    nodes: Vec<String>,
    /// Countries of some of them: what a room may be confined to.
    countries: Vec<String>,
    /// How long things change.
    seconds: u32,
    /// Nobody comes and goes again and again.
    rests: bool,
    out: String,
}

impl Draw {
    fn all(seed: u64, rests: bool) -> Self {
        let mut dice = dice(seed, "swarm");
        let seconds = dice.random_range(4..=8);
        let mut all = Self { dice, nodes: Vec::new(), countries: Vec::new(), seconds, rests, out: String::new() };
        all.topology();
        all.lines();
        let rooms = all.dice.random_range(1..=3);
        for room in 1..=rooms {
            all.room(room);
        }
        all.policy();
        all.changes(rooms);
        all
    }

    fn topology(&mut self) {
        let (matrix, text) = if self.dice.random_bool(0.7) { ("azure", AZURE) } else { ("gcp", GCP) };
        let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let country = rows.next().and_then(|head| head.iter().position(|name| *name == "country")).expect("a column");
        let regions: Vec<(&str, &str)> = rows.map(|row| (row[0], row[country])).collect();
        let count = self.dice.random_range(2..=NODES_MAX);
        let mut told = Vec::new();
        for at in sample(&mut self.dice, regions.len(), count) {
            let (region, country) = regions[at];
            if self.dice.random_bool(0.6) {
                self.countries.push(country.to_owned());
            }
            if self.nodes.len() + 3 <= NODES_MAX && self.dice.random_bool(0.15) {
                let several = self.dice.random_range(2..=3);
                told.push(format!("{{ region = \"{region}\", count = {several} }}"));
                self.nodes.extend((1..=several).map(|number| format!("{region}-{number}")));
            } else {
                told.push(format!("\"{region}\""));
                self.nodes.push(region.to_owned());
            }
        }
        let _ = write!(self.out, "\n[topology]\nmatrix = \"{matrix}\"\nnodes = [{}]\n", told.join(", "));
    }

    fn lines(&mut self) {
        let jitter = self.pick(&["0ms", "200us", "1ms", "4ms"]);
        let (loss, reorder) = (self.pick(&LOSSES[..4]), self.dice.random_bool(0.2));
        let _ = write!(self.out, "\n[every_link]\njitter = \"{jitter}\"\nreorder = {reorder}\nloss = {loss}\n");
        for _ in 0..self.dice.random_range(0..=4) {
            let (from, to) = self.two_nodes();
            let both = self.dice.random_bool(0.5);
            let _ = write!(self.out, "\n[[link]]\nfrom = \"{from}\"\nto = \"{to}\"\nboth = {both}\n");
            if self.dice.random_bool(0.5) {
                let (rate, queue) = (self.pick(&["1Mbps", "3Mbps", "10Mbps"]), self.pick(&["2ms", "20ms", "200ms"]));
                let _ = write!(self.out, "rate = \"{rate}\"\nqueue = \"{queue}\"\n");
                if self.dice.random_bool(0.3) {
                    let _ = writeln!(self.out, "configured_rate = \"{rate}\"");
                }
            }
            if self.dice.random_bool(0.4) {
                let loss = self.pick(&LOSSES);
                let _ = writeln!(self.out, "loss = {loss}");
            }
            if self.dice.random_bool(0.4) {
                let extra = self.pick(&["5ms", "40ms", "250ms"]);
                let _ = writeln!(self.out, "extra_delay = \"{extra}\"");
            }
        }
    }

    fn room(&mut self, number: u32) {
        let _ = write!(self.out, "\n[[room]]\nname = \"room {number}\"\n");
        if !self.countries.is_empty() && self.dice.random_bool(0.15) {
            let _ = writeln!(self.out, "countries = {:?}", self.countries);
        }
        let publishers = self.dice.random_range(1..=3);
        let publishers: Vec<String> = (0..publishers).map(|_| self.group(true)).collect();
        let viewers = self.dice.random_range(0..=4);
        let viewers: Vec<String> = (0..viewers).map(|_| self.group(false)).collect();
        let _ = writeln!(self.out, "publishers = [\n    {},\n]", publishers.join(",\n    "));
        if !viewers.is_empty() {
            let _ = writeln!(self.out, "viewers = [\n    {},\n]", viewers.join(",\n    "));
        }
    }

    fn group(&mut self, publishes: bool) -> String {
        let node = if self.dice.random_bool(0.2) { "*".to_owned() } else { self.node() };
        let mut group = format!("{{ node = \"{node}\", count = {}", self.dice.random_range(1..=2));
        if publishes {
            let _ = write!(group, ", {}", self.pick(&MEDIA));
        }
        if !publishes || self.dice.random_bool(0.7) {
            let layer = self.pick(&["0", "1", "2", "\"top\"", "\"none\""]);
            let _ = write!(group, ", layer = {layer}");
        }
        let (join, within) = (self.pick(&["0s", "0s", "300ms", "2s"]), self.pick(&["0s", "500ms", "2s"]));
        let _ = write!(group, ", join = \"{join}\", join_within = \"{within}\"");
        match self.dice.random_range(0..10) {
            0..3 => {
                let stay = self.pick(&["200ms", "1s", "3s"]);
                let again = self.pick(&["50ms", "500ms", "2s"]);
                if !self.rests {
                    let _ = write!(group, ", stay = \"{stay}\", again = \"{again}\"");
                }
            }
            3 => group.push_str(", leave = \"3s\""),
            _ => {}
        }
        group + " }"
    }

    fn policy(&mut self) {
        let relay = self.pick(&["tree", "tree", "tree", "tree", "tree", "direct", "star", "mesh"]);
        let (degree, hops) = (self.number(&[1, 2, 3, 8]), self.number(&[1, 2, 3, 3, 5]));
        let (degree, hops) = room_to_spare(self.nodes.len(), degree, hops);
        let (alpha, beta) = (self.pick(&["1.0", "1.1", "1.1", "2.0"]), self.pick(&["0ms", "3ms", "30ms"]));
        let _ = write!(self.out, "\n[policy]\nrelay = \"{relay}\"\nalpha = {alpha}\nbeta = \"{beta}\"\n");
        let _ = write!(self.out, "degree = {degree}\nhops = {hops}\n");
    }

    fn changes(&mut self, rooms: u32) {
        for _ in 0..self.dice.random_range(0..=4) {
            let at = self.dice.random_range(500..u64::from(self.seconds) * 1000 - 1500);
            if self.dice.random_bool(0.5) {
                self.line_changes(at);
            } else {
                let (room, layer) = (self.dice.random_range(1..=rooms), self.pick(&["0", "1", "\"top\"", "\"none\""]));
                let node = self.node();
                let (every, times) = (self.pick(&["90ms", "700ms"]), self.dice.random_range(1..=6));
                let _ = write!(self.out, "\n[[at]]\nat = \"{at}ms\"\nevery = \"{every}\"\ntimes = {times}\n");
                let _ =
                    writeln!(self.out, "viewers = {{ room = \"room {room}\", node = \"{node}\", layer = {layer} }}");
            }
        }
    }

    /// A line gets worse, and better again.
    fn line_changes(&mut self, at: u64) {
        let (from, to) = self.two_nodes();
        let both = self.dice.random_bool(0.6);
        let mut say = |at: u64, what: &str| {
            let _ = write!(self.out, "\n[[at]]\nat = \"{at}ms\"\n");
            let _ = writeln!(self.out, "link = {{ from = \"{from}\", to = \"{to}\", both = {both}, {what} }}");
        };
        let back = at + 1200;
        match back % 3 {
            0 => {
                say(at, "loss = 100");
                say(back, "loss = 0");
            }
            1 => {
                say(at, "rate = \"1Mbps\", queue = \"100ms\"");
                say(back, "rate = \"unlimited\"");
            }
            _ => say(at, "extra_delay = \"80ms\", loss = 2"),
        }
    }

    fn node(&mut self) -> String {
        self.nodes.choose(&mut self.dice).expect("there are two at least").clone()
    }

    fn two_nodes(&mut self) -> (String, String) {
        let two = sample(&mut self.dice, self.nodes.len(), 2);
        (self.nodes[two.index(0)].clone(), self.nodes[two.index(1)].clone())
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices.choose(&mut self.dice).expect("a choice")
    }

    fn number(&mut self, choices: &[usize]) -> usize {
        *choices.choose(&mut self.dice).expect("a choice")
    }
}

/// Bounds on a tree no tighter than drawn in which as many nodes as there are fit, with room to spare: no planner can keep
/// others. The tightest of those; a chain (degree 1) has no second way round a link that failed, so only two nodes get it.
fn room_to_spare(nodes: usize, degree: usize, hops: usize) -> (usize, usize) {
    let others = nodes - 1;
    let places = |(degree, hops): &(usize, usize)| (1..=*hops as u32).map(|row| degree.pow(row)).sum::<usize>();
    let bounds = (degree..=DEGREE_MAX).flat_map(|degree| (hops..=HOPS_MAX).map(move |hops| (degree, hops)));
    let fits = bounds.filter(|bounds| others == 1 || bounds.0 > 1 && places(bounds) >= SPARE * others);
    fits.min_by_key(|bounds| (places(bounds), *bounds)).expect("the widest bounds hold hundreds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_of_five_lasts_until_trees_have_not_changed_for_ten_seconds_and_the_others_are_short() {
        for seed in 0..200 {
            let text = draw(seed);
            let seconds = text.split('"').nth(1).and_then(|lasts| lasts.strip_suffix('s')).expect("a duration");
            let range = if seed % 5 == 4 { 16..=22 } else { 4..=8 };
            assert!(range.contains(&seconds.parse::<u32>().expect("seconds")), "seed {seed}");
            assert!(seed % 5 != 4 || !text.contains("again"), "seed {seed}");
        }
        assert!((0..200).any(|seed| draw(seed).contains("again")));
    }

    #[test]
    fn bounds_on_trees_are_as_drawn_where_those_hold_all_nodes_twice_and_hardly_wider_elsewhere() {
        let drawn = [(2, 1, 1), (3, 1, 5), (5, 2, 3), (10, 1, 1), (10, 2, 2), (10, 3, 1), (10, 8, 1), (12, 8, 3)];
        let bounds = [(1, 1), (2, 5), (2, 3), (4, 2), (4, 2), (4, 2), (8, 2), (8, 3)];
        assert_eq!(drawn.map(|(nodes, degree, hops)| room_to_spare(nodes, degree, hops)), bounds);
    }
}
