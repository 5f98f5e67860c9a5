//! Swarms: one random scenario a seed, each run with all invariants checked.

mod cut;
mod draw;
mod fault;

use std::path::Path;

use crate::outcome::Outcome;
use crate::parallel;
use crate::report::{WriteError, figure, write_file};

pub use cut::cut_down;
pub use draw::{draw, draw_with_faults};

/// What became of one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Seed {
    /// The seed.
    pub seed: u64,
    /// Events that its run handled.
    pub events: u64,
    /// What broke: invariants, or a panic of the code under test.
    pub broken: Vec<String>,
}

/// Runs seeds over all cores. `done` hears of each as it ends.
pub fn swarm(
    seeds: std::ops::Range<u64>,
    draw: fn(u64) -> String,
    run: impl Fn(&str) -> Result<Outcome, String> + Sync,
    mut done: impl FnMut(&Seed) + Send,
) -> Vec<Seed> {
    let seeds: Vec<u64> = seeds.collect();
    let results = parallel::map(
        &seeds,
        |seed| match run(&draw(*seed)) {
            Ok(outcome) => ended(*seed, &outcome),
            Err(mistake) => Seed { seed: *seed, events: 0, broken: vec![mistake] },
        },
        |at, result| match result {
            Ok(seed) => done(seed),
            Err(panic) => done(&panicked(seeds[at], panic)),
        },
    );
    let results = results.into_iter().zip(&seeds);
    results.map(|(result, seed)| result.unwrap_or_else(|panic| panicked(*seed, &panic))).collect()
}

fn ended(seed: u64, outcome: &Outcome) -> Seed {
    let broken = outcome.violations.iter().map(|violation| format!("{} s: {}", figure(violation.at_s), violation.what));
    Seed { seed, events: outcome.events, broken: broken.collect() }
}

fn panicked(seed: u64, panic: &str) -> Seed {
    Seed { seed, events: 0, broken: vec![format!("panic: {panic}")] }
}

/// Writes the scenario of a seed that broke something (`text`, as it was drawn or cut down), with what broke on top.
/// Gives its file name.
pub fn keep(seed: &Seed, text: &str, dir: &Path) -> Result<String, WriteError> {
    /// What breaks once tends to break at every event; the first ones tell.
    const TOLD: usize = 3;
    let name = format!("swarm-{}.toml", seed.seed);
    let told = seed.broken.iter().take(TOLD).map(|what| format!("# {}\n", what.replace('\n', " ")));
    let text = format!(
        "# Drawn by `origo-sim swarm {}--seeds 1 --from {}`; it broke:\n{}\n{}",
        if text.contains("[[fault]]") { "--faults " } else { "" },
        seed.seed,
        told.collect::<String>(),
        text
    );
    std::fs::create_dir_all(dir).map_err(|source| WriteError { path: dir.into(), source })?;
    write_file(&dir.join(&name), &text)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Violation;
    use crate::scenario::{Choices, Scenario};

    #[test]
    fn every_drawn_scenario_is_without_mistake_and_the_same_again() {
        let mut relays = std::collections::BTreeSet::new();
        for (seed, draw) in (0..300).flat_map(|seed| [(seed, draw as fn(u64) -> String), (seed, draw_with_faults)]) {
            let text = draw(seed);
            assert_eq!(text, draw(seed));
            let scenario = Scenario::parse(Path::new("drawn.toml"), &text, &Choices::default())
                .unwrap_or_else(|mistakes| panic!("seed {seed}: {mistakes}\n{text}"));
            assert_eq!(scenario.seed, seed);
            assert!(scenario.axes.is_empty(), "seed {seed} draws a list where a value belongs");
            relays.insert(scenario.policy.relay);
        }
        assert_eq!(relays.len(), 4, "all policies are drawn");
    }

    #[test]
    fn a_swarm_tells_which_seeds_broke_and_keeps_their_scenarios() {
        let run = |text: &str| match text {
            text if text.contains("seed = 12\n") => panic!("a core broke"),
            text if text.contains("seed = 13\n") => Err("faulty".to_owned()),
            text => {
                let broken = Violation { at_s: 1.5, what: "two copies of one layer".into() };
                let violations = if text.contains("seed = 11\n") { vec![broken] } else { Vec::new() };
                Ok(Outcome { events: 5, violations, ..Outcome::default() })
            }
        };
        let mut heard = 0;
        let seeds = swarm(10..14, draw, run, |_| heard += 1);
        assert_eq!(heard, 4);
        let broken: Vec<&[String]> = seeds.iter().map(|seed| &seed.broken[..]).collect();
        assert_eq!(broken[0].len(), 0);
        assert_eq!(broken[1], ["1.5 s: two copies of one layer"]);
        assert_eq!(broken[2], ["panic: a core broke"]);
        assert_eq!(broken[3], ["faulty"]);

        let dir = tempfile::tempdir().expect("a folder");
        let name = keep(&seeds[1], &draw(11), dir.path()).expect("written");
        let scenario = Scenario::load(&dir.path().join(&name), &Choices::default()).expect("a scenario");
        assert_eq!((name.as_str(), scenario.seed), ("swarm-11.toml", 11));
    }
}
