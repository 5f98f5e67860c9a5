//! `origo-sim sweep`: a scenario at every combination of some values.

use std::path::PathBuf;

use super::{Run, read, verdict};
use crate::parallel;
use crate::report::{passed, write_file};
use crate::scenario::{Choices, Scenario};
use crate::sweep::{csv, points, pooled, set, table};
use crate::world::judge;

/// Runs every combination of the values that a scenario has lists of.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The scenario.
    file: PathBuf,
    /// A key and its values, such as `policy.alpha=1.0,1.1,1.2` or `link[1].rate=5Mbps,10Mbps`.
    #[arg(long = "set", value_name = "KEY=VALUES")]
    sets: Vec<String>,
    /// Takes the place of the scenario's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Where `sweep.csv` is written.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &Args, run: &Run) -> anyhow::Result<bool> {
    let text = set(&read(&args.file)?, &args.sets)?;
    let load = |values| Scenario::parse(&args.file, &text, &Choices { seed: args.seed, values });
    let axes = load(Default::default())?.axes;
    let points = points(&axes)?;
    let scenarios = points.iter().map(|point| load(point.clone())).collect::<Result<Vec<_>, _>>()?;
    let all = scenarios.len();
    let mut ended = 0;
    let outcomes = parallel::map(
        &scenarios,
        |scenario| run(scenario),
        |_, outcome| {
            ended += 1;
            eprintln!("{ended}/{all}: {}", outcome.as_ref().map_or_else(String::clone, verdict));
        },
    );
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?;
    let ran: Vec<_> = points.into_iter().zip(outcomes).collect();
    let together = pooled(&ran);
    let asserts = scenarios.first().map_or(&[] as &[_], |scenario| &scenario.asserts[..]);
    let all: Vec<_> = asserts.iter().map(|assertion| judge(assertion, together.get(&assertion.metric))).collect();
    print!("{}", table(&axes, &ran, &all));
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir)?;
        write_file(&dir.join("sweep.csv"), &csv(&axes, &ran))?;
    }
    Ok(ran.iter().all(|(_, outcome)| passed(outcome)))
}
