//! `origo-sim run`: scenarios one after the other, with progress, and a short table of what came of each.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::verdict;
use crate::outcome::Outcome;
use crate::report::{align, figure, passed, write};
use crate::scenario::{Choices, Scenario};
use crate::world::{Following, News, follow};

/// Runs scenarios and tells whether what they assert holds.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Scenarios.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Takes the place of the scenarios' seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Where reports are written: `summary.json`, CSV files, trees, and `index.html`. With several scenarios each gets
    /// a folder of its own in it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leaves out progress and tables.
    #[arg(long)]
    quiet: bool,
}

/// How often progress is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(250);

/// Runs them; all files are read before the first one runs.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let choices = Choices { seed: args.seed, ..Choices::default() };
    let scenarios = args.files.iter().map(|file| Scenario::load(file, &choices)).collect::<Result<Vec<_>, _>>()?;
    let mut all_passed = true;
    for scenario in &scenarios {
        let (begun, used) = (Instant::now(), processor_time());
        let outcome = run_shown(scenario, args.quiet);
        let used = processor_time().saturating_sub(used);
        all_passed &= passed(&outcome);
        if !args.quiet {
            print!("{}", table(scenario, &outcome, begun.elapsed(), used));
        }
        if let Some(dir) = &args.out {
            let dir = if scenarios.len() > 1 { dir.join(&scenario.name) } else { dir.clone() };
            write(&outcome, &dir)?;
        }
    }
    Ok(all_passed)
}

/// Runs a scenario with progress on the error stream, if that is a terminal.
fn run_shown(scenario: &Scenario, quiet: bool) -> Outcome {
    let shows = !quiet && std::io::stderr().is_terminal();
    let (begun, mut shown) = (Instant::now(), Instant::now());
    let outcome = follow(scenario, Following::default(), &mut |news| {
        let News::Progress { at, of, events } = news else { return };
        if shows && shown.elapsed() >= SHOWN_EVERY {
            shown = Instant::now();
            let speed = events as f64 / begun.elapsed().as_secs_f64() / 1e6;
            let percent = at.as_secs_f64() / of.as_secs_f64() * 100.0;
            let (at, of) = (at.as_secs_f64(), of.as_secs_f64());
            eprint!("\r{}: {at:.1} of {of:.0} s ({percent:.0} %), {speed:.2} M events/s ", scenario.name);
            let _ = std::io::stderr().flush();
        }
    });
    if shows {
        eprint!("\r\x1b[K");
    }
    outcome
}

/// What the processor has done for this thread so far, which other programs do not lengthen as they do the time that passes.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec to where it is told, which is ours.
    match unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } {
        0 => Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
        _ => Duration::ZERO,
    }
}

/// Metrics that the table shows besides those that are asserted.
const SHOWN: [&str; 11] = [
    "one_way_ms",
    "added_delay_ms",
    "join_over_rtt_ms",
    "video_lost_percent",
    "copies_per_link",
    "copy_ms_ratio",
    "video_gap_ms",
    "audio_gap_ms",
    "media_back_ms",
    "heal_ms",
    "death_known_ms",
];

fn table(scenario: &Scenario, outcome: &Outcome, took: Duration, used: Duration) -> String {
    let speed = outcome.duration_s / took.as_secs_f64();
    let rate = |span: Duration| figure(outcome.events as f64 / span.as_secs_f64() / 1e6);
    let mut text = format!(
        "{}: {}\n  seed {}, policy {}, {} nodes, {} s in {} s ({} times real time), {} events, {} M a second\n  \
         {} s of processor time, {} M events a core-second\n",
        scenario.name,
        verdict(outcome),
        outcome.seed,
        outcome.policy,
        outcome.nodes.len(),
        figure(outcome.duration_s),
        figure(took.as_secs_f64()),
        figure(speed),
        outcome.events,
        rate(took),
        figure(used.as_secs_f64()),
        rate(used),
    );
    let mut rows = vec![["  metric", "p50", "p95", "p99", "max"].map(str::to_owned).to_vec()];
    for (name, samples) in outcome.metrics.iter().filter(|(name, _)| SHOWN.contains(&name.as_str())) {
        let of = |percent| samples.percentile(percent).map_or_else(|| "none".to_owned(), figure);
        rows.push(vec![format!("  {name}"), of(50.0), of(95.0), of(99.0), of(100.0)]);
    }
    text.push_str(&align(&rows));
    for assert in &outcome.asserts {
        let (sign, measured) = (if assert.holds { "ok" } else { "NO" }, assert.measured.map_or("none".into(), figure));
        text.push_str(&format!("  {sign}  {}: {measured}\n", assert.what));
    }
    const TOLD: usize = 10;
    for violation in outcome.violations.iter().take(TOLD) {
        text.push_str(&format!("  BROKEN at {:.3} s: {}\n", violation.at_s, violation.what));
    }
    text
}
