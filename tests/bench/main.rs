//! `make bench`: how many packets a node forwards per CPU second, beside the egress ceiling of this machine.
//!
//! One publisher, 50 headless viewers (and 500), one node with one worker, all on loopback. CPU seconds are those of the node's
//! process alone, over all its threads; the viewers' work is not in them. The ceiling is copy + AES-GCM with own keys +
//! one `sendto` a packet, to as many sockets that another process drains. All points are taken in turn in one run, and
//! medians are quoted, each set against the ceiling nearest in time: the speed of a shared machine drifts within
//! minutes.
//!
//! What a hop between two nodes costs is measured apart: see [`hop`].
//!
//! A node with a camera of 30 frames a second is nearly idle, so what it costs to wake up shows; the figures that count
//! are those of a worker that has something to do. Both are printed.

mod ceiling;
mod hop;
mod report;
mod rig;
mod sink;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use ceiling::{Ceiling, Profile};
use report::{Load, Point, Report, Way};
use rig::Rig;

/// Forwarded packets per CPU second of a node, beside the egress ceiling.
#[derive(Debug, Parser)]
#[command(name = "origo-bench")]
struct Cli {
    /// The node to measure; by default the release build beside this program
    #[arg(long)]
    origo: Option<PathBuf>,
    /// One round of short sections: shows that it works, measures little
    #[arg(long)]
    quick: bool,
    /// Viewers of the one publisher
    #[arg(long, default_value_t = 50)]
    viewers: usize,
    /// Frames each second of the publisher that loads the worker well
    #[arg(long, default_value_t = 240)]
    fps: u32,
    /// Packets of each frame
    #[arg(long, default_value_t = 8)]
    packets_per_frame: usize,
    /// RTP payload bytes of a packet
    #[arg(long, default_value_t = 1150)]
    packet_bytes: usize,
    /// Rounds; each takes every point once
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of each measured section
    #[arg(long)]
    seconds: Option<f64>,
    /// Where the figures go
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure the ceiling alone, with AES-256-GCM: no node is needed
    #[arg(long)]
    ceiling: bool,
    /// Leave out the node with ten times as many viewers
    #[arg(long)]
    no_crowd: bool,
    /// Measure a hop of the cascade alone: no node is needed
    #[arg(long)]
    hop: bool,
    /// Drain that many sockets for another process: how this program starts itself
    #[arg(long, hide = true)]
    sink: Option<usize>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(sockets) = cli.sink {
        return sink::run(sockets);
    }
    if cli.ceiling {
        return measure_ceiling(&cli);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut figures = serde_json::Map::new();
    if !cli.hop {
        let report = runtime.block_on(measure(&cli))?;
        report.print();
        report.write(&mut figures);
    }
    let report = runtime.block_on(hop::measure(cli.rounds(), cli.section()))?;
    report.print();
    report.write(&mut figures);
    write(&figures, &json_path(&cli)?)
}

fn write(figures: &serde_json::Map<String, serde_json::Value>, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(figures)? + "\n";
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    println!("{} written", path.display());
    Ok(())
}

impl Cli {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    fn section(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { 0.5 } else { 2.0 }))
    }
}

fn measure_ceiling(cli: &Cli) -> Result<()> {
    let profile = Profile::Aes256Gcm;
    let mut ceiling = Ceiling::start(cli.viewers, cli.packets_per_frame, cli.packet_bytes, profile)?;
    let mut report = Report::new(cli.viewers, profile);
    for _ in 0..cli.rounds() {
        report.add(Point::Ceiling, ceiling.section(cli.section())?);
    }
    report.print();
    Ok(())
}

async fn measure(cli: &Cli) -> Result<Report> {
    let (origo, rounds, section) = (origo(cli)?, cli.rounds(), cli.section());
    eprintln!("starting four nodes of {} with {} viewers, one with ten times as many", origo.display(), cli.viewers);
    let own = Rig::start(&origo, Way::Own, cli).await.context("the node with its own way out")?;
    let str0m = Rig::start(&origo, Way::Str0m, cli).await.context("the node with str0m's way out")?;
    let estimated = Rig::start(&origo, Way::Estimated, cli).await.context("the node with estimator")?;
    let crowd = match cli.no_crowd {
        true => None,
        false => Some(Rig::start(&origo, Way::Crowd, cli).await.context("the node with many viewers")?),
    };
    let profile = own.srtp_profile()?;
    let mut ceiling = Ceiling::start(cli.viewers, cli.packets_per_frame, cli.packet_bytes, profile)?;
    let mut report = Report::new(cli.viewers, profile);
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for load in [Load::Busy, Load::Camera] {
            let node = |way| Point::Node { load, way };
            report.add(node(Way::Str0m), str0m.section(load, section).await?);
            report.add(node(Way::Own), own.section(load, section).await?);
            report.add(Point::Ceiling, ceiling.section(section)?);
            if let Some(crowd) = crowd.as_ref().filter(|_| load == Load::Busy) {
                report.add(node(Way::Crowd), crowd.section(load, section).await?);
            }
            report.add(node(Way::Estimated), estimated.section(load, section).await?);
        }
    }
    Ok(report)
}

/// The release build: beside this program in `target/release`.
fn origo(cli: &Cli) -> Result<PathBuf> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("origo"));
    let path = cli.origo.clone().or_else(beside).context("where is origo? Use --origo")?;
    if !path.is_file() {
        bail!("{} is missing: run `cargo build --release -p origo-node`, or use --origo", path.display());
    }
    Ok(path)
}

fn json_path(cli: &Cli) -> Result<PathBuf> {
    if let Some(path) = &cli.json {
        return Ok(path.clone());
    }
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("the target folder")?;
    Ok(target.join("bench.json"))
}
