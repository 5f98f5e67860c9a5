//! `origo-load`: fills rooms of a LiveKit-compatible server, or of Janus, with publishers and viewers, and says what
//! arrived.

mod check;
mod cli;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use origo_client::load::{self, Progress, Summary};

use crate::check::Run;

/// An assertion failed.
const EXIT_FAILED: u8 = 1;
/// A flag is wrong; nothing was done.
const EXIT_USAGE: u8 = 2;
/// The run itself did not come about.
const EXIT_NO_RUN: u8 = 3;

fn main() -> ExitCode {
    let run = match check::from_arguments(std::env::args_os()) {
        Ok(run) => run,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    match execute(&run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            eprintln!("origo-load: {error:#}");
            ExitCode::from(EXIT_NO_RUN)
        }
    }
}

/// Runs, prints and writes; whether all assertions held.
fn execute(run: &Run) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let in_place = std::io::stderr().is_terminal();
    let mut summary = runtime.block_on(load::run(&run.plan, |progress| tell(run.quiet, in_place, &progress)))?;
    if in_place && !run.quiet {
        eprintln!();
    }
    summary.assertions = run.assertions.iter().map(|assertion| assertion.judge(&summary)).collect();
    print!("{summary}");
    write_json(run, &summary)?;
    Ok(summary.assertions.iter().all(|verdict| verdict.held))
}

/// On a terminal one line that is written again; elsewhere a line each second.
fn tell(quiet: bool, in_place: bool, progress: &Progress) {
    if quiet {
        return;
    }
    let mut err = std::io::stderr().lock();
    let end = if in_place { "" } else { "\n" };
    let begin = if in_place { "\r\x1b[K" } else { "" };
    // Progress that nobody reads ends no run.
    let _ = write!(err, "{begin}{progress}{end}").and_then(|()| err.flush());
}

fn write_json(run: &Run, summary: &Summary) -> Result<()> {
    let Some(path) = &run.json else { return Ok(()) };
    let text = serde_json::to_string_pretty(summary)? + "\n";
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
