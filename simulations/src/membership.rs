//! Who lives, as each node knows it by gossip: a model of the heartbeats that nodes pass on, and of the patience with
//! those that fall silent.
//!
//! Gossip itself cannot be seeded, so this does what chitchat does as far as life and death go: each round a node's
//! count rises, it exchanges all counts that it knows with three others, and who has not risen for seven of its usual
//! intervals is dead.

use origo_cascade_core::Level;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::index::sample;

/// Length of a round, ns.
pub const ROUND: u64 = 300_000_000;
/// A node tells this many living others in a round.
const TELLS: usize = 3;
/// A node is dead after so many of its usual intervals.
const SILENT_ROUNDS: f64 = 7.0;
/// An interval as it is believed to be before any was seen, counted as so many samples.
const PRIOR: (f64, u32) = (ROUND as f64, 5);
/// Longer intervals are no samples, ns.
const INTERVAL_MAX: u64 = 5_000_000_000;
/// About so many samples count.
const SAMPLES: u32 = 100;

/// What one node tells of itself, and others pass on. A higher one is newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beat {
    /// Grows with each start of the node; 0 for one that was never heard of.
    pub life: u32,
    /// Rounds of this life.
    pub count: u32,
    /// How often it began to drain, or stopped: it drains while this is odd.
    pub drains: u32,
    /// Grows with each change of what it does without, which is this modulo the number of levels.
    pub overloads: u32,
}

/// How a node stands, as others know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It drains.
    pub draining: bool,
    /// What it does without.
    pub level: Level,
}

impl Beat {
    /// How the node stands that tells it.
    pub fn standing(&self) -> Standing {
        Standing { draining: self.drains % 2 == 1, level: Level::ALL[self.overloads as usize % Level::ALL.len()] }
    }
}

/// What a node knows of the others.
#[derive(Clone, Debug)]
pub struct View {
    me: usize,
    known: Vec<Known>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    beat: Beat,
    /// When the count rose last; `None` for one that is to rise twice before it counts as living.
    at: Option<u64>,
    /// Of intervals between rises.
    sum: f64,
    samples: u32,
    /// Since the last look.
    lives: bool,
    /// This life said goodbye.
    left: u32,
}

impl Known {
    fn rise(&mut self, now: u64, beat: Beat) {
        self.beat = beat;
        let Some(before) = self.at.replace(now) else { return };
        let interval = now.saturating_sub(before);
        if interval <= INTERVAL_MAX {
            (self.sum, self.samples) = (self.sum + interval as f64, self.samples + 1);
        }
        if self.samples >= SAMPLES {
            (self.sum, self.samples) = (self.sum / 2.0, self.samples / 2);
        }
    }

    /// For how long it may be silent, ns.
    fn patience(&self) -> u64 {
        let mean = (self.sum + PRIOR.0 * f64::from(PRIOR.1)) / f64::from(self.samples + PRIOR.1);
        (SILENT_ROUNDS * mean) as u64
    }

    fn is_living(&self, now: u64) -> bool {
        let seen_twice = self.samples > 0 || self.lives;
        seen_twice && self.left != self.beat.life && self.at.is_some_and(|at| now.saturating_sub(at) < self.patience())
    }
}

impl View {
    /// A node in a mesh of so many that knows itself alone.
    pub fn new(me: usize, nodes: usize, life: u32) -> Self {
        let mut known = vec![Known::default(); nodes];
        (known[me].beat.life, known[me].lives) = (life, true);
        Self { me, known }
    }

    /// A node that knows all others, which are in their first life.
    pub fn settled(me: usize, nodes: usize, now: u64) -> Self {
        let mut view = Self::new(me, nodes, 1);
        for known in &mut view.known {
            (known.beat.life, known.at, known.lives) = (1, Some(now), true);
        }
        view
    }

    /// Another round of this node's own.
    pub fn beat(&mut self) {
        self.known[self.me].beat.count += 1;
    }

    /// This node begins to drain, or stops; as in [`Beat`].
    pub fn set_drains(&mut self, drains: u32) {
        self.known[self.me].beat.drains = drains;
    }

    /// This node does without so much.
    pub fn set_level(&mut self, level: Level) {
        let beat = &mut self.known[self.me].beat;
        while beat.standing().level != level {
            beat.overloads += 1;
        }
    }

    /// Whom it talks to in this round: three of the living, and at times one of the dead.
    pub fn partners(&self, dice: &mut SmallRng) -> Vec<usize> {
        let others = |lives: bool| {
            let others =
                self.known.iter().enumerate().filter(move |(node, known)| *node != self.me && known.lives == lives);
            others.map(|(node, _)| node).collect::<Vec<_>>()
        };
        let (living, dead) = (others(true), others(false));
        let pool = if living.is_empty() { &dead } else { &living };
        let mut partners: Vec<usize> =
            sample(dice, pool.len(), TELLS.min(pool.len())).iter().map(|place| pool[place]).collect();
        if !living.is_empty() && dice.random_range(0..living.len() + 1) < dead.len() {
            partners.push(dead[dice.random_range(0..dead.len())]);
        }
        partners
    }

    /// All that it knows, for another node.
    pub fn told(&self) -> Vec<Beat> {
        self.known.iter().map(|known| known.beat).collect()
    }

    /// Takes what another node knows.
    pub fn hear(&mut self, now: u64, told: &[Beat]) {
        for (node, (known, beat)) in self.known.iter_mut().zip(told).enumerate() {
            if node != self.me && *beat > known.beat {
                known.rise(now, *beat);
            }
        }
    }

    /// This life of a node has said that it ends.
    pub fn take_leave(&mut self, node: usize, life: u32) {
        self.known[node].left = life;
    }

    /// Looks who lives; says who has died since the last look, and whether anything is new.
    pub fn review(&mut self, now: u64) -> (Vec<usize>, bool) {
        let (mut died, mut is_news) = (Vec::new(), false);
        for node in (0..self.known.len()).filter(|node| *node != self.me) {
            let known = &mut self.known[node];
            let lives = known.is_living(now);
            if known.lives && !lives {
                died.push(node);
                // All samples are to be fresh when it comes back.
                (known.at, known.sum, known.samples) = (None, 0.0, 0);
            }
            is_news |= known.lives != lives;
            known.lives = lives;
        }
        (died, is_news)
    }

    /// How this node stands.
    pub fn own(&self) -> Standing {
        self.known[self.me].beat.standing()
    }

    /// Who lives, this node among them, and how each stands.
    pub fn living(&self) -> impl Iterator<Item = (usize, Standing)> {
        let living = self.known.iter().enumerate().filter(|(_, known)| known.lives);
        living.map(|(node, known)| (node, known.beat.standing()))
    }

    /// Whether it counts another node as living.
    pub fn knows(&self, node: usize) -> bool {
        self.known[node].lives
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::dice;

    /// A mesh in which every message takes 50 ms; `lost` is the share of messages that never come.
    struct Mesh {
        views: Vec<View>,
        dice: SmallRng,
        lost: f64,
        now: u64,
    }

    const DELAY: u64 = 50_000_000;

    impl Mesh {
        fn new(nodes: usize, lost: f64) -> Self {
            let views = (0..nodes).map(|node| View::settled(node, nodes, 0)).collect();
            Self { views, dice: dice(1, "membership"), lost, now: 0 }
        }

        /// One round of all that run; (observer, who died).
        fn round(&mut self, runs: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
            let count = self.views.len();
            let mut died = Vec::new();
            for node in (0..count).filter(|node| runs(*node)) {
                self.now += ROUND / count as u64;
                self.views[node].beat();
                for partner in self.views[node].partners(&mut self.dice).into_iter().filter(|node| runs(*node)) {
                    let (there, back) = (self.views[node].told(), self.views[partner].told());
                    if self.dice.random::<f64>() < self.lost {
                        continue;
                    }
                    self.views[partner].hear(self.now + DELAY, &there);
                    if self.dice.random::<f64>() >= self.lost {
                        self.views[node].hear(self.now + 2 * DELAY, &back);
                    }
                }
                died.extend(self.views[node].review(self.now + 2 * DELAY).0.into_iter().map(|gone| (node, gone)));
            }
            died
        }
    }

    #[test]
    fn a_death_is_known_within_three_seconds_among_thirty_nodes_and_a_return_within_two() {
        let mut mesh = Mesh::new(30, 0.0);
        for _ in 0..100 {
            assert_eq!(mesh.round(|_| true), []);
        }
        let (killed_at, mut late) = (mesh.now, Vec::new());
        for _ in 0..12 {
            for (_, gone) in mesh.round(|node| node != 7) {
                assert_eq!(gone, 7);
                late.push((mesh.now - killed_at) as f64 / 1e9);
            }
        }
        assert_eq!(late.len(), 29);
        assert!(late.iter().all(|late| (1.8..3.0).contains(late)), "{late:?}");
        mesh.views[7] = View::new(7, 30, 2);
        mesh.views[7].known[0].beat.life = 1;
        for _ in 0..7 {
            mesh.round(|_| true);
        }
        assert!(mesh.views.iter().all(|view| view.living().count() == 30), "all know it, and it knows all");
    }

    #[test]
    fn nobody_is_taken_for_dead_in_an_hour_of_five_percent_loss() {
        let mut mesh = Mesh::new(30, 0.05);
        for round in 0..12_000 {
            let died = mesh.round(|_| true);
            assert_eq!(died, [], "round {round}");
        }
    }

    #[test]
    fn who_says_goodbye_is_gone_at_once_and_may_come_back_in_another_life() {
        let mut view = View::settled(0, 3, 0);
        view.take_leave(1, 1);
        assert_eq!(view.review(1), (vec![1], true));
        let beat = |life, count| [Beat::default(), Beat { life, count, ..Beat::default() }, Beat::default()];
        view.hear(2, &beat(1, 9));
        view.hear(3, &beat(1, 10));
        assert_eq!(view.review(4), (vec![], false), "an old word");
        view.hear(5, &beat(2, 1));
        view.hear(6, &beat(2, 2));
        assert_eq!(view.review(7), (vec![], true));
        assert!(view.knows(1));
    }
}
