//! `origo-sim emulate`: scenarios on real nodes in network namespaces, beside the simulator.

use std::path::PathBuf;

use super::{Run, Unable};
use crate::emulation::beside::{Beside, markdown};
use crate::emulation::mesh::{Options, remove_leftovers};
use crate::emulation::namespace::Lock;
use crate::emulation::program::Programs;
use crate::emulation::{interrupt, rights, run as replay};
use crate::report::write_file;
use crate::scenario::{Choices, Scenario};

/// Runs scenarios on real nodes in network namespaces of this machine, and holds what they give against what the
/// simulator gives (root).
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Each node of a scenario is an `origo node` in a namespace of its own (og-emu-…), joined to the others by links in user
space with the scenario's delay, jitter, loss, rate and queue; people are `origo-load`. Faults of the scenario happen to
real processes: SIGKILL, SIGSTOP, links that carry nothing. Everything is removed at the end, and after Ctrl-C; what a run
that was killed left is removed by the next one, or by --clean.

Examples:
  origo-sim emulate simulations/scenarios/emulated/quiet.toml
  origo-sim emulate simulations/scenarios/emulated/*.toml --out target/emulated
  origo-sim emulate simulations/scenarios/emulated/lossy.toml --keep

Status: 0 when all errors are within their bounds, 1 when one is not, 2 when a file is faulty or this machine or this user
cannot emulate.")]
pub struct Args {
    /// Scenarios.
    #[arg(required_unless_present = "clean")]
    files: Vec<PathBuf>,
    /// Takes the place of the scenarios' seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Where figures are written: a JSON file of each scenario, and `emulation.md` with one table over all.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leaves the namespaces, their devices, and the nodes' logs for looking around.
    #[arg(long)]
    keep: bool,
    /// Removes what an earlier run left, and does nothing else if no scenario is given.
    #[arg(long)]
    clean: bool,
    /// Prints each link too.
    #[arg(long)]
    links: bool,
    /// The node [default: `origo` beside this program].
    #[arg(long, value_name = "PROGRAM")]
    origo: Option<PathBuf>,
    /// The people [default: `origo-load` beside this program].
    #[arg(long, value_name = "PROGRAM")]
    load: Option<PathBuf>,
    /// Leaves out progress.
    #[arg(long)]
    quiet: bool,
}

/// Runs them; whether all errors are within their bounds.
pub fn run(args: &Args, simulate: &Run) -> anyhow::Result<bool> {
    let choices = Choices { seed: args.seed, ..Choices::default() };
    let scenarios = args.files.iter().map(|file| Scenario::load(file, &choices)).collect::<Result<Vec<_>, _>>()?;
    anyhow::ensure!(
        !args.keep || scenarios.len() < 2,
        "--keep goes with one scenario: the next one needs the namespaces"
    );
    rights::why_not().map_or(Ok(()), |why| Err(Unable(why)))?;
    if args.clean {
        let left = remove_leftovers(&Lock::take()?)?;
        println!("removed {}", if left.is_empty() { "nothing".to_owned() } else { left.join(", ") });
    }
    if scenarios.is_empty() {
        return Ok(true);
    }
    let programs = Programs::find(args.origo.as_deref(), args.load.as_deref())?;
    interrupt::watch();
    let mut all = Vec::new();
    for scenario in &scenarios {
        let options = Options { programs: programs.clone(), folder: None, estimates: false, keep: args.keep };
        let simulated = simulate(scenario);
        let emulated = replay::run(scenario, &simulated.begun, &options, args.quiet)?;
        let beside = Beside::of(scenario, &simulated, &emulated);
        print!("{}", beside.table());
        if args.links {
            print!("{}", beside.link_table());
        }
        if let Some(dir) = &args.out {
            std::fs::create_dir_all(dir)?;
            let text = serde_json::to_string_pretty(&beside.json())? + "\n";
            write_file(&dir.join(format!("{}.json", scenario.name)), &text)?;
        }
        all.push(beside);
    }
    if let Some(dir) = &args.out {
        let file = dir.join("emulation.md");
        write_file(&file, &markdown(&all))?;
        println!("{}", file.display());
    }
    Ok(all.iter().all(Beside::holds))
}
