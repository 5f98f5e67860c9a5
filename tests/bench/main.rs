//! `make bench`: how many packets a node forwards per CPU second, beside the egress ceiling of this machine.
//!
//! One publisher, 50 headless viewers (and 500, and 30 people among each other), one node with one worker, all on
//! loopback. CPU seconds are those of the node's process alone, over all its threads; the viewers' work is not in them.
//! The ceiling is copy + AES-GCM with own keys + one `sendto` a packet, to as many sockets that another process drains.
//! All points are taken in turn in one run, and medians are quoted of what each is of the point that it is set against,
//! in the section nearest in time: the speed of a shared machine drifts within minutes.
//!
//! What a hop between two nodes costs is measured apart: see [`hop`]. Egress [`alone`], what [`joins`] cost and how much
//! [`memory`] a viewer takes have modules of their own too.
//!
//! A node with a camera of 30 frames a second is nearly idle, so what it costs to wake up shows; the figures that count
//! are those of a worker that has something to do. With 240 frames it takes a fifth of a core, of which what hangs on
//! clients and time rather than on packets is a good part; with 960 two thirds of one, which is what a core carries.

mod alone;
mod ceiling;
mod flame;
mod hop;
mod joins;
mod report;
mod rig;
mod sink;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;

use alone::Alone;
use ceiling::{Ceiling, Profile};
use origo_tests::allocator::Counting;
use origo_tests::stage::memory;
use report::{Load, Point, Report, Way};
use rig::Rig;

#[global_allocator]
static COUNTING: Counting = Counting;

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
    /// Frames each second of the publisher that loads a core as far as it should be
    #[arg(long, default_value_t = 960)]
    full_fps: u32,
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
    /// Leave out the nodes with ten times as many viewers and with 2,000
    #[arg(long)]
    no_crowd: bool,
    /// Measure the goals alone: neither str0m's way out nor estimators nor idle nodes
    #[arg(long)]
    goals: bool,
    /// Receive through the whole stack, which costs the machine several times as much
    #[arg(long)]
    full_receive: bool,
    /// Measure a hop of the cascade alone: no node is needed
    #[arg(long)]
    hop: bool,
    /// Measure what a viewer takes in memory alone: no node is needed
    #[arg(long)]
    memory: bool,
    /// Draw a flame graph of a loaded worker there, by perf, and measure nothing
    #[arg(long, value_name = "SVG")]
    flame: Option<PathBuf>,
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
    if cli.memory {
        let memory = memory::measure()?;
        let [above, bare] = [memory.above(), memory.bare].map(|bytes| bytes as f64 / 1000.0);
        println!("memory of a viewer over a bare connection: {above:.1} kB; that connection: {bare:.1} kB");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(to) = &cli.flame {
        return runtime.block_on(flame::draw(&cli, cli.section(), to));
    }
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

impl Way {
    /// Whether its node is measured under a load.
    fn is_measured(self, load: Load) -> bool {
        match self {
            Self::Own => true,
            Self::OwnEstimated | Self::Str0m => load != Load::Full,
            Self::Crowd => load != Load::Camera,
            Self::Estimated | Self::Stage | Self::Conference => load == Load::Busy,
        }
    }
}

impl Cli {
    /// The nodes, in the order in which they are measured: what is set against another stands beside it.
    fn ways(&self) -> Vec<Way> {
        let crowd = [Way::Crowd, Way::Stage].into_iter().filter(|_| !self.no_crowd);
        let others = [Way::OwnEstimated, Way::Str0m, Way::Estimated].into_iter().filter(|_| !self.goals);
        [Way::Conference, Way::Own].into_iter().chain(crowd).chain(others).collect()
    }

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
    let (origo, rounds, section, began) = (origo(cli)?, cli.rounds(), cli.section(), Instant::now());
    let tell = |what: &str| eprintln!("{:4.0} s: {what}", began.elapsed().as_secs_f64());
    tell(&format!("memory of viewers, then nodes of {} with {} viewers each", origo.display(), cli.viewers));
    let memory = memory::measure()?;
    let mut nodes = Vec::new();
    for way in cli.ways() {
        tell(&format!("a node: {way:?}"));
        match Rig::start(&origo, way, cli).await {
            Ok(rig) => nodes.push((way, rig)),
            // A machine that cannot carry so many viewers has the other figures still.
            Err(error) if way == Way::Stage => tell(&format!("no stage: {error:#}")),
            Err(error) => return Err(error.context(format!("the node {way:?}"))),
        }
    }
    let profile = nodes.first().context("a node")?.1.srtp_profile()?;
    let mut ceiling = Ceiling::start(cli.viewers, cli.packets_per_frame, cli.packet_bytes, profile)?;
    let alone = |viewers| Alone::start(viewers, cli.packets_per_frame, cli.packet_bytes);
    let (mut usual, mut crowd) = (alone(cli.viewers)?, (!cli.no_crowd).then(|| alone(10 * cli.viewers)).transpose()?);
    let mut report = Report::new(cli.viewers, profile);
    report.memory = Some(memory);
    report.resident_per_viewer =
        nodes.iter().find(|(way, _)| *way == Way::Crowd).map(|(_, rig)| rig.resident_per_viewer);
    for round in 1..=rounds {
        tell(&format!("round {round} of {rounds}"));
        report.add(Point::Alone, usual.section(section)?);
        if let Some(crowd) = &mut crowd {
            report.add(Point::AloneCrowd, crowd.section(section)?);
        }
        report.add(Point::Ceiling, ceiling.section(section)?);
        for load in [Load::Busy, Load::Full, Load::Camera] {
            for (way, rig) in nodes.iter().filter(|(way, _)| way.is_measured(load)) {
                report.add(Point::Node { load, way: *way }, rig.section(load, section).await?);
            }
        }
        match joins::series(&origo).await {
            Ok(joins) => report.joins.push(joins),
            Err(error) => tell(&format!("no joins: {error:#}")),
        }
    }
    tell("done but for the hop");
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
