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
    let (mut all_passed, mut runs) = (true, Vec::new());
    for scenario in &scenarios {
        let (begun, used) = (Instant::now(), processor_time());
        let outcome = run_shown(scenario, args.quiet);
        let used = processor_time().saturating_sub(used);
        all_passed &= passed(&outcome);
        runs.push(Run { events: outcome.events, used, passed: passed(&outcome) });
        if !args.quiet {
            print!("{}", table(scenario, &outcome, begun.elapsed(), used));
        }
        if let Some(dir) = &args.out {
            let dir = if scenarios.len() > 1 { dir.join(&scenario.name) } else { dir.clone() };
            write(&outcome, &dir)?;
        }
    }
    if !args.quiet && runs.len() > 1 {
        print!("{}", sum(&runs));
    }
    Ok(all_passed)
}

/// What a run leaves for the sum of all.
struct Run {
    events: u64,
    used: Duration,
    passed: bool,
}

impl Run {
    /// Millions of events in a second of a core.
    fn rate(&self) -> f64 {
        self.events as f64 / self.used.as_secs_f64().max(1e-9) / 1e6
    }
}

/// All runs together: how many hold, and how fast they were.
fn sum(runs: &[Run]) -> String {
    let all = Run {
        events: runs.iter().map(|run| run.events).sum(),
        used: runs.iter().map(|run| run.used).sum(),
        passed: runs.iter().all(|run| run.passed),
    };
    let passed = runs.iter().filter(|run| run.passed).count();
    let mut rates: Vec<f64> = runs.iter().map(Run::rate).collect();
    rates.sort_by(f64::total_cmp);
    let quick = rates.iter().filter(|rate| **rate >= 1.0).count();
    format!(
        "{} scenarios: {}; {} events in {} s of processor time, {} M events a core-second\n  \
         each by itself: {} to {} M, half of them {} M or more, {quick} of {} at least 1 M\n",
        runs.len(),
        if all.passed { "all hold".to_owned() } else { format!("{passed} hold") },
        all.events,
        figure(all.used.as_secs_f64()),
        figure(all.rate()),
        figure(rates[0]),
        figure(rates[rates.len() - 1]),
        figure(rates[rates.len() / 2]),
        runs.len(),
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_several_runs_tells_how_fast_all_and_each_were() {
        let run = |events, ms, passed| Run { events, used: Duration::from_millis(ms), passed };
        let told = sum(&[run(3_000_000, 1_000, true), run(500_000, 1_000, true), run(2_000_000, 1_000, true)]);
        assert_eq!(
            told,
            "3 scenarios: all hold; 5500000 events in 3 s of processor time, 1.83 M events a core-second\n  \
             each by itself: 0.5 to 3 M, half of them 2 M or more, 2 of 3 at least 1 M\n"
        );
        assert!(sum(&[run(1, 0, true), run(1, 1, false)]).starts_with("2 scenarios: 1 hold;"), "no time passed in one");
    }
}
