//! `origo-sim lab`: the mesh of a scenario, up on this machine, for people to call through and to break.

use std::path::PathBuf;

use super::Unable;
use crate::emulation::mesh::Options;
use crate::emulation::program::Programs;
use crate::emulation::{interrupt, lab, rights};
use crate::scenario::{Choices, Scenario};

/// Brings the mesh of a scenario up on this machine, and stays: call through it with browsers in its namespaces, change
/// links while you talk, kill nodes, and watch (root).
#[derive(clap::Args, Debug)]
#[command(after_help = lab_help())]
pub struct Args {
    /// The scenario: its nodes and links are brought up; its people, changes and faults stay out of it.
    file: PathBuf,
    /// Where nodes keep their keys and logs [default: a temporary folder].
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The node [default: `origo` beside this program].
    #[arg(long, value_name = "PROGRAM")]
    origo: Option<PathBuf>,
    /// `origo-load`, for the namespaces' people [default: beside this program].
    #[arg(long, value_name = "PROGRAM")]
    load: Option<PathBuf>,
}

fn lab_help() -> String {
    format!(
        "What can be typed while it is up:\n{}\n\nExample:\n  origo-sim lab simulations/scenarios/emulated/quiet.toml",
        lab::HELP
    )
}

/// Runs it until somebody quits.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let scenario = Scenario::load(&args.file, &Choices::default())?;
    rights::why_not().map_or(Ok(()), |why| Err(Unable(why)))?;
    let programs = Programs::find(args.origo.as_deref(), args.load.as_deref())?;
    interrupt::watch();
    let options = Options { programs, folder: args.folder.clone(), estimates: true, keep: false };
    lab::run(&scenario, &options)?;
    Ok(true)
}
