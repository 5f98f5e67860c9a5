//! `origo-sim swarm`: random scenarios, one a seed, with all invariants checked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Run;
use crate::outcome::Outcome;
use crate::report::figure;
use crate::scenario::{Choices, Scenario};
use crate::swarm::{Seed, cut_down, draw, draw_with_faults, keep, swarm};

/// Draws a random scenario from each seed, runs it and checks all invariants.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// Nodes die, lines are cut, processes stand still: random faults too, and what must hold once they are over.
    #[arg(long)]
    faults: bool,
    /// The first one.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Where the scenarios that break something are written.
    #[arg(long, value_name = "DIR", default_value = "target/swarm")]
    out: PathBuf,
    /// Leaves out of those what does not matter, one piece after the other (up to 200 runs each).
    #[arg(long)]
    cut: bool,
}

/// Seeds between two lines of progress.
const PROGRESS: u64 = 50;

/// Runs it.
pub fn run(args: &Args, run: &Run) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let one = |text: &str| {
        let scenario = Scenario::parse(Path::new("drawn.toml"), text, &Choices::default());
        scenario.map(|scenario| run(&scenario)).map_err(|mistakes| mistakes.to_string())
    };
    let draw = if args.faults { draw_with_faults } else { draw };
    let (mut ended, mut broken) = (0, 0);
    let seeds = swarm(args.from..args.from.saturating_add(args.seeds), draw, one, |seed| {
        ended += 1;
        broken += u64::from(!seed.broken.is_empty());
        if ended % PROGRESS == 0 || ended == args.seeds {
            eprintln!("{ended}/{} seeds, {broken} broke something", args.seeds);
        }
        if let Some(what) = seed.broken.first() {
            eprintln!("seed {}: {what}", seed.seed);
        }
    });
    let failed: Vec<&Seed> = seeds.iter().filter(|seed| !seed.broken.is_empty()).collect();
    for seed in &failed {
        let drawn = draw(seed.seed);
        let text = if args.cut { cut_down(&drawn, |text| breaks(one, text)) } else { drawn };
        let kept = keep(seed, &text, &args.out)?;
        let first = seed.broken.first().map_or("", String::as_str);
        println!("seed {}: {first} ({} in all); {}", seed.seed, seed.broken.len(), args.out.join(kept).display());
    }
    let events: u64 = seeds.iter().map(|seed| seed.events).sum();
    let (all, seconds) = (seeds.len(), begun.elapsed().as_secs_f64());
    println!(
        "{all} seeds, {} events in {} s: {} broke something",
        figure(events as f64),
        figure(seconds),
        failed.len()
    );
    Ok(failed.is_empty())
}

/// Whether a scenario is whole and still breaks something.
fn breaks(run: impl Fn(&str) -> Result<Outcome, String>, text: &str) -> bool {
    let scenario = Scenario::parse(Path::new("drawn.toml"), text, &Choices::default());
    scenario.is_ok_and(|scenario| scenario.axes.is_empty())
        && catch_unwind(AssertUnwindSafe(|| run(text))).map_or(true, |ran| ran.is_ok_and(|o| !o.violations.is_empty()))
}
