//! The commands. Each gives whether everything held.

pub mod compare;
#[cfg(target_os = "linux")]
pub mod emulate;
pub mod gallery;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod replay;
pub mod run;
pub mod swarm;
pub mod sweep;

use std::path::Path;

use anyhow::Context;

use crate::outcome::Outcome;
use crate::scenario::Scenario;

/// How a scenario is run; the same for all commands.
pub type Run = dyn Fn(&Scenario) -> Outcome + Sync;

/// Why this machine or this user cannot do something: a sentence that needs nothing around it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unable(pub String);

/// A file's text.
fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

/// What a failed run is called in one line.
fn verdict(outcome: &Outcome) -> String {
    crate::report::verdict(outcome).0
}
