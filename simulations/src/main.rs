//! `origo-sim`: runs scenarios.

use std::process::ExitCode;

use clap::Parser;
use origo_sim::cli::{Cli, execute};

fn main() -> ExitCode {
    ExitCode::from(execute(&Cli::parse()))
}
