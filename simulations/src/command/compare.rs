//! `origo-sim compare`: a scenario's policy beside a baseline, on the same seed.

use std::path::PathBuf;

use super::{Run, read};
use crate::comparison::Comparison;
use crate::parallel;
use crate::report::{write, write_file};
use crate::scenario::{Choices, Scenario};
use crate::sweep::set;

/// Runs a scenario twice: with its policy, and with a baseline.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The scenario.
    file: PathBuf,
    /// The other policy.
    #[arg(long, value_parser = ["mesh", "star", "direct", "tree"])]
    baseline: String,
    /// A key and its value, such as `policy.alpha=1.2`, for both.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Takes the place of the scenario's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Where `compare.json`, `compare.html` and the reports of both runs are written.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs it. Asserts are the scenario's own affair; this holds unless an invariant breaks.
pub fn run(args: &Args, run: &Run) -> anyhow::Result<bool> {
    let text = set(&read(&args.file)?, &args.sets)?;
    let choices = Choices { seed: args.seed, ..Choices::default() };
    let own = Scenario::parse(&args.file, &text, &choices)?;
    let other = set(&text, &[format!("policy.relay={}", args.baseline)])?;
    let mut baseline = Scenario::parse(&args.file, &other, &choices)?;
    baseline.hash.clone_from(&own.hash);
    let outcomes = parallel::map(&[own, baseline], |scenario| run(scenario), |_, _| ());
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?;
    let [own, baseline] = &outcomes[..] else { anyhow::bail!("two runs were asked for") };
    let comparison = Comparison::of(own, baseline);
    print!("{}", comparison.table());
    if let Some(dir) = &args.out {
        write(own, &dir.join(&own.policy))?;
        write(baseline, &dir.join(&baseline.policy))?;
        write_file(&dir.join("compare.json"), &comparison.json())?;
        write_file(&dir.join("compare.html"), &comparison.page(own, baseline))?;
    }
    Ok(own.violations.is_empty() && baseline.violations.is_empty())
}
