//! `origo-sim gallery`: reports of many scenarios, and a page over all of them.

use std::path::PathBuf;

use super::{Run, read, verdict};
use crate::parallel;
use crate::report::{align, gallery, passed, write, write_file};
use crate::scenario::{Choices, Scenario};

/// Runs scenarios and writes a report of each, with a page over all of them.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Scenarios, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where the reports are written.
    #[arg(long, value_name = "DIR", default_value = "target/sim")]
    out: PathBuf,
}

/// Runs it.
pub fn run(args: &Args, run: &Run) -> anyhow::Result<bool> {
    let mut scenarios = Vec::new();
    for file in scenario_files(&args.files)? {
        let text = read(&file)?;
        scenarios.push((Scenario::parse(&file, &text, &Choices::default())?, story(&text)));
    }
    let all = scenarios.len();
    let mut ended = 0;
    let outcomes = parallel::map(
        &scenarios,
        |(scenario, _)| run(scenario),
        |at, outcome| {
            ended += 1;
            eprintln!(
                "{ended}/{all} {}: {}",
                scenarios[at].0.name,
                outcome.as_ref().map_or_else(String::clone, verdict)
            );
        },
    );
    let mut runs = Vec::new();
    for (outcome, (scenario, story)) in outcomes.into_iter().zip(&scenarios) {
        let outcome = outcome.map_err(|panic| anyhow::anyhow!("{}: {panic}", scenario.name))?;
        write(&outcome, &args.out.join(&outcome.scenario))?;
        runs.push((outcome, story.clone()));
    }
    write_file(&args.out.join("index.html"), &gallery(&runs))?;
    let rows: Vec<Vec<String>> =
        runs.iter().map(|(outcome, _)| vec![outcome.scenario.clone(), verdict(outcome)]).collect();
    print!("{}", align(&rows));
    println!("{}", args.out.join("index.html").display());
    Ok(runs.iter().all(|(outcome, _)| passed(outcome)))
}

/// Files as they are, and of folders the scenarios in them, by name.
fn scenario_files(files: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in files {
        if !file.is_dir() {
            found.push(file.clone());
            continue;
        }
        let entries = std::fs::read_dir(file)?.map(|entry| entry.map(|entry| entry.path()));
        let mut inside = entries.collect::<Result<Vec<_>, _>>()?;
        inside.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
        inside.sort();
        found.extend(inside);
    }
    Ok(found)
}

/// The comment that a file begins with.
pub fn story(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#').trim()).collect::<Vec<_>>().join(" ")
}
