//! `origo-load`: fills rooms of a LiveKit-compatible server, or of Janus, with publishers and viewers, and says what
//! arrived.

mod check;
mod cli;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use origo_client::load::{self, Progress, Summary};
use origo_client::script::{self, Script};

use crate::check::{Run, Work};

/// An assertion failed.
const EXIT_FAILED: u8 = 1;
/// A flag is wrong; nothing was done.
const EXIT_USAGE: u8 = 2;
/// The run itself did not come about.
const EXIT_NO_RUN: u8 = 3;

fn main() -> ExitCode {
    let work = match check::from_arguments(std::env::args_os()) {
        Ok(work) => work,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let done = match &work {
        Work::Load(run) => execute(run),
        Work::Script(script, record) => act(script, record).map(|()| true),
    };
    match done {
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

/// Does what a script says, and writes what came.
fn act(script: &Script, record: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(script::run(script))?;
    let file = std::fs::File::create(record).with_context(|| format!("making {}", record.display()))?;
    let mut out = std::io::BufWriter::new(file);
    let written = seen.write(&mut out).and_then(|()| out.flush());
    written.with_context(|| format!("writing {}", record.display()))
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
