//! `make bench-janus`: packets per CPU second of a node and of Janus's VideoRoom under the same load, in turn.
//!
//! Each server has one room with one publisher and the same number of viewers, all connected at the start. Sections of
//! both are taken in turn in one run, with the same packets; medians are quoted, because the speed of a shared machine
//! drifts within minutes. CPU seconds are those of the server's process, over all its threads; the cost of the load
//! generator is measured in the same sections.

mod report;
mod side;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use report::Report;
use side::Side;

/// With less delivered, a server's speed says nothing.
const DELIVERED_PERCENT_MIN: f64 = 99.0;

/// A node and Janus under the same load.
#[derive(Debug, Parser)]
#[command(name = "origo-versus")]
pub struct Cli {
    /// The node to measure; by default the build beside this program
    #[arg(long)]
    origo: Option<PathBuf>,
    /// Viewers of the one publisher of each server
    #[arg(long, default_value_t = 30)]
    viewers: usize,
    /// Frames each second
    #[arg(long, default_value_t = 120)]
    fps: u32,
    /// Packets of each frame
    #[arg(long, default_value_t = 6)]
    packets_per_frame: usize,
    /// RTP payload bytes of a packet
    #[arg(long, default_value_t = 1100)]
    packet_bytes: usize,
    /// Rounds; each takes both servers once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measured section
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Event loops of Janus; 0 is its default, a thread for each participant
    #[arg(long, default_value_t = 0)]
    janus_loops: usize,
    /// Receive through the whole stack, to compare what that costs
    #[arg(long)]
    full_receive: bool,
    /// Measure the node alone
    #[arg(long)]
    without_janus: bool,
    /// Where the figures go
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&cli))?;
    report.print();
    report.must_deliver(DELIVERED_PERCENT_MIN)?;
    match &cli.json {
        Some(path) => report.write(path),
        None => Ok(()),
    }
}

async fn measure(cli: &Cli) -> Result<Report> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("origo"));
    let origo = cli.origo.clone().or_else(beside).context("where is origo? Use --origo")?;
    ensure!(origo.is_file(), "{} is missing: build it, or use --origo", origo.display());
    let mut sides = vec![Side::origo(&origo, cli).await.context("the node")?];
    if !cli.without_janus {
        sides.push(Side::janus(cli).await.context("Janus")?);
    }
    let mut report = Report::default();
    for round in 1..=cli.rounds {
        eprintln!("round {round} of {}", cli.rounds);
        for side in &sides {
            report.add(side.name, side.section(Duration::from_secs_f64(cli.seconds)).await?);
        }
    }
    Ok(report)
}
