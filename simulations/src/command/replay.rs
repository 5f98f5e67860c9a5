//! `origo-sim replay`: a scenario up to an instant, with everything that happens in words.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::scenario::{Choices, Scenario, duration};
use crate::world::{Detail, Following, News, follow};

/// Runs a scenario up to an instant and prints what happens.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The scenario.
    file: PathBuf,
    /// Takes the place of the scenario's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The instant, such as `12.5s`; the scenario's end when nothing is said.
    #[arg(long, value_parser = instant)]
    until: Option<Duration>,
    /// Nothing is printed before this instant.
    #[arg(long, value_parser = instant)]
    from: Option<Duration>,
    /// Prints every packet too.
    #[arg(long)]
    trace: bool,
}

fn instant(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "accepted: an instant such as 12.5s or 300ms".to_owned())
}

/// Runs it; holds unless an invariant breaks.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let scenario = Scenario::load(&args.file, &Choices { seed: args.seed, ..Choices::default() })?;
    let detail = if args.trace { Detail::Packets } else { Detail::Decisions };
    let from = args.from.unwrap_or_default().as_secs_f64();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut failed = None;
    let outcome = follow(&scenario, Following { detail, until: args.until }, &mut |news| {
        if let News::Told { at_s, what } = news
            && at_s >= from
            && failed.is_none()
        {
            failed = writeln!(out, "{at_s:12.6}  {what}").err();
        }
    });
    match failed {
        // Whoever reads may have enough.
        Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(outcome.violations.is_empty()),
    }
}
