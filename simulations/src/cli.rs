//! The command line.

use clap::{Parser, Subcommand};

use crate::command::{compare, gallery, replay, run, swarm, sweep};
#[cfg(target_os = "linux")]
use crate::command::{emulate, lab};
use crate::scenario::Mistakes;
use crate::trunk;
use crate::world;

/// Status when an assert or an invariant does not hold.
pub const FAILED: u8 = 1;
/// Status when a file or an argument has mistakes.
pub const FAULTY: u8 = 2;

/// Runs a mesh in virtual time: the cores that nodes run, over a modelled network, from scenarios that are one TOML
/// file each (docs/simulation.md explains every key).
#[derive(Debug, Parser)]
#[command(
    name = "origo-sim",
    version,
    after_help = "Equal scenario, seed and version give equal bytes.\n\n\
    Examples:\n  \
      origo-sim run simulations/scenarios/two-friends.toml\n  \
      origo-sim run simulations/scenarios/*.toml --out target/sim\n  \
      origo-sim compare simulations/scenarios/twelve-regions.toml --baseline mesh\n  \
      origo-sim sweep simulations/scenarios/twelve-regions.toml --set policy.alpha=1.0,1.1,1.2\n  \
      origo-sim swarm --seeds 1000\n  \
      origo-sim replay target/swarm/swarm-17.toml --until 12.5s\n  \
      origo-sim emulate simulations/scenarios/emulated/*.toml --out target/emulated\n  \
      origo-sim lab simulations/scenarios/emulated/quiet.toml\n\n\
    Status: 0 when everything held, 1 when an assert or an invariant did not, 2 when a file has mistakes."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Replay(replay::Args),
    Sweep(sweep::Args),
    Compare(compare::Args),
    Swarm(swarm::Args),
    Gallery(gallery::Args),
    Trunk(trunk::Args),
    #[cfg(target_os = "linux")]
    Emulate(emulate::Args),
    #[cfg(target_os = "linux")]
    Lab(lab::Args),
}

/// Does what the arguments say; gives the status to end with.
pub fn execute(cli: &Cli) -> u8 {
    let held = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Sweep(args) => sweep::run(args, &world::run),
        Command::Compare(args) => compare::run(args, &world::run),
        Command::Swarm(args) => swarm::run(args, &world::run),
        Command::Gallery(args) => gallery::run(args, &world::run),
        Command::Trunk(args) => trunk::run(args),
        #[cfg(target_os = "linux")]
        Command::Emulate(args) => emulate::run(args, &world::run),
        #[cfg(target_os = "linux")]
        Command::Lab(args) => lab::run(args),
    };
    match held {
        Ok(true) => 0,
        Ok(false) => FAILED,
        Err(error) => {
            if error.is::<Mistakes>() {
                eprintln!("{error}");
            } else {
                eprintln!("origo-sim: {error:#}");
            }
            FAULTY
        }
    }
}
