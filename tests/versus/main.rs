//! `make bench-janus`: packets per CPU second of a node and of Janus's VideoRoom under the same load, in turn.
//!
//! Each server has one room with one publisher and the same number of viewers, all connected at the start. Sections of
//! both are taken in turn in one run, with the same packets, at ever higher rates until a server no longer delivers what
//! it is sent: what a packet costs hangs on how much else there is to do. Two ratios come of it, at the highest rate that
//! both carry, and of each at the rate where it takes least for a packet. Medians are quoted, because the speed of a shared
//! machine drifts within minutes. CPU seconds are those of the server's process, over all its threads; the cost of the load
//! generator is measured in the same sections. As root, each server has a network namespace to itself. Joins are measured
//! beside, each round on fresh servers.

mod report;
mod side;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use report::{Report, Taken};
use side::{Kind, Side};

/// With less delivered, a server's speed says nothing.
const DELIVERED_PERCENT_MIN: f64 = 99.5;

/// A node and Janus under the same loads, and each at the one that suits it.
#[derive(Debug, Parser)]
#[command(name = "origo-versus")]
pub struct Cli {
    /// The node to measure; by default the build beside this program
    #[arg(long)]
    origo: Option<PathBuf>,
    /// Viewers of the one publisher of each server
    #[arg(long, default_value_t = 50)]
    viewers: usize,
    /// Frames each second, one rate after the other; the others are left out for a server that did not deliver one
    #[arg(long, value_delimiter = ',', default_values_t = [120, 200, 240, 480, 960, 1440])]
    fps: Vec<u32>,
    /// Packets of each frame
    #[arg(long, default_value_t = 8)]
    packets_per_frame: usize,
    /// RTP payload bytes of a packet
    #[arg(long, default_value_t = 1150)]
    packet_bytes: usize,
    /// Rounds; each takes both servers once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measured section
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Event loops of Janus; 0 is its default, a thread for each participant, which costs it twice as much
    #[arg(long, default_value_t = 2)]
    janus_loops: usize,
    /// Joins of a series, of which each round has one for each server; 0 for none
    #[arg(long, default_value_t = 20)]
    joins: usize,
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
    if let Some(path) = &cli.json {
        report.write(path)?;
    }
    report.must_deliver()
}

async fn measure(cli: &Cli) -> Result<Report> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("origo"));
    let origo = cli.origo.clone().or_else(beside).context("where is origo? Use --origo")?;
    ensure!(origo.is_file(), "{} is missing: build it, or use --origo", origo.display());
    let kinds = if cli.without_janus { &[Kind::Origo][..] } else { &[Kind::Origo, Kind::Janus] };
    let mut sides = Vec::new();
    for (number, &kind) in (0..).zip(kinds) {
        let side = Side::start(kind, number, &origo, cli).await.with_context(|| kind.name())?;
        eprintln!("{} serves {} viewers {}", kind.name(), side.viewers(), side.place());
        sides.push(side);
    }
    let mut report = Report::new(DELIVERED_PERCENT_MIN);
    for round in 1..=cli.rounds {
        eprintln!("round {round} of {}", cli.rounds);
        let mut delivers = vec![true; sides.len()];
        for &fps in &cli.fps {
            for (side, delivers) in sides.iter().zip(&mut delivers).filter(|(_, delivers)| **delivers) {
                let section = side.section(fps, Duration::from_secs_f64(cli.seconds)).await?;
                *delivers = section.delivered() >= DELIVERED_PERCENT_MIN;
                report.add(Taken { round, kind: side.kind, fps, section });
            }
        }
        if cli.joins == 0 {
            continue;
        }
        for (number, &kind) in (2..).zip(kinds) {
            match side::joins(kind, number, &origo, cli).await {
                Ok(joins) => report.add_joins(round, kind, joins),
                Err(error) => eprintln!("no joins to {}: {error:#}", kind.name()),
            }
        }
    }
    Ok(report)
}
