//! `make soak`: 200 participants in 20 rooms come and go at random over three nodes for ten minutes; afterwards memory
//! must be what it was before with the same people there, and once all have left, nothing of them may be left.

mod checks;
mod node;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use origo_auth::Secret;
use origo_client::load::{Churn, Credentials, Crowd, Placement, Plan, Server};
use origo_client::{AudioOptions, Options, VideoOptions};
use origo_tests::mesh::Mesh;

use checks::Checks;
use node::{Look, look};
use report::Report;

/// How long everybody may take to be there again.
const GATHER_WAIT: Duration = Duration::from_secs(90);
/// How long a full house rests before its memory is read.
const SETTLE: Duration = Duration::from_secs(10);
/// How long everything of the participants may take to go.
const CLEAN_WAIT: Duration = Duration::from_secs(60);
/// Readings of memory that are averaged, a second apart.
const READINGS: usize = 5;
/// How often a line is printed.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Participants who come and go over several nodes, and what they leave behind.
#[derive(Debug, Parser)]
#[command(name = "origo-soak")]
struct Cli {
    /// Minutes of comings and goings between the two readings of memory
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Minutes of comings and goings before the first reading
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Nodes, each a region
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Rooms
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Participants in each room, of whom two publish
    #[arg(long, default_value_t = 10)]
    people: usize,
    /// Mean seconds in the room
    #[arg(long, default_value_t = 60.0)]
    stay: f64,
    /// Mean seconds away
    #[arg(long, default_value_t = 4.0)]
    away: f64,
    /// Draws who goes when
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Frames each second of a camera
    #[arg(long, default_value_t = 10)]
    fps: u32,
    /// Kilobits per second of a camera's top layer
    #[arg(long, default_value_t = 200)]
    kbps: u32,
    /// Milliseconds of sound in a packet: more of them are less work for machines with few cores
    #[arg(long, default_value_t = 20)]
    audio_ms: u64,
    /// Write samples and checks as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    ensure!(cli.people >= 2, "--people {}: two of them publish", cli.people);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let scratch = tempfile::tempdir()?;
    let mut mesh = Mesh::start(cli.nodes, scratch.path())?;
    let report = runtime.block_on(soak(&cli, &mut mesh, scratch.path()))?;
    println!("{report}");
    if let Some(path) = &cli.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    ensure!(report.checks.hold(), "the soak failed");
    Ok(())
}

async fn soak(cli: &Cli, mesh: &mut Mesh, scratch: &std::path::Path) -> Result<Report> {
    let nodes = mesh.description.nodes.clone();
    let plan = plan(cli, mesh);
    let crowd = Crowd::open(&plan)?;
    let mut report = Report::new(nodes.iter().map(|node| node.region.clone()).collect());
    report.line("empty", &crowd.progress().await, look(&nodes)?);
    crowd.gather().await;
    report.line("gathered", &crowd.progress().await, look(&nodes)?);

    churn_for(&crowd, cli.warm_up, mesh, &mut report).await?;
    let before = full_house(&crowd, mesh, "before", &mut report).await?;
    let measurement = crowd.measure().await;
    churn_for(&crowd, cli.minutes, mesh, &mut report).await?;
    let after = full_house(&crowd, mesh, "after", &mut report).await?;

    let summary = crowd.finish(measurement).await?;
    let empty = wait_until_empty(&nodes).await?;
    tokio::time::sleep(SETTLE).await;
    let rest = look(&nodes)?;
    let nobody = origo_client::load::Progress::default();
    report.line("left", &nobody, rest.clone());

    let mut checks = Checks::default();
    checks.memory(&before, &after);
    checks.counts(&summary, &rest);
    checks.emptiness(&empty);
    checks.quiet(&empty, &rest);
    checks.course(&report.looks());
    checks.processes(mesh, scratch);
    report.end(summary, checks);
    Ok(report)
}

fn plan(cli: &Cli, mesh: &Mesh) -> Plan {
    let description = &mesh.description;
    Plan {
        server: Server::LiveKit,
        urls: description.nodes.iter().map(|node| node.url.clone()).collect(),
        placement: Placement::RoundRobin,
        credentials: Credentials::Key {
            key: description.api_key.clone(),
            secret: Secret::new(description.api_secret.clone()),
        },
        room: "soak".to_owned(),
        rooms: cli.rooms,
        publishers: 2,
        subscribers: cli.people - 2,
        publishers_watch: true,
        options: Options { light: true, join_timeout: Duration::from_secs(30), ..Options::v1() },
        video: Some(VideoOptions::lifelike(3, cli.kbps * 1000, cli.fps, 1100)),
        audio: Some(AudioOptions { interval: Duration::from_millis(cli.audio_ms), ..AudioOptions::default() }),
        duration: Duration::from_secs_f64((cli.minutes + cli.warm_up) * 60.0),
        ramp_per_second: 10.0,
        churn: Some(Churn {
            stay: Duration::from_secs_f64(cli.stay),
            away: Duration::from_secs_f64(cli.away),
            seed: cli.seed,
        }),
        server_pids: description.nodes.iter().map(|node| node.pid).collect(),
    }
}

async fn churn_for(crowd: &Crowd, minutes: f64, mesh: &mut Mesh, report: &mut Report) -> Result<()> {
    crowd.churn(true);
    let ends = tokio::time::Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let mut lines = tokio::time::interval(LINE_INTERVAL);
    lines.tick().await;
    while tokio::time::Instant::now() < ends {
        lines.tick().await;
        ensure!(mesh.process.is_running(), "the mesh ended:\n{}", mesh.process.stderr());
        report.line("churn", &crowd.progress().await, look(&mesh.description.nodes)?);
    }
    crowd.churn(false);
    Ok(())
}

/// Waits until everybody is there and all is calm, and reads the memory of each node, averaged.
async fn full_house(crowd: &Crowd, mesh: &Mesh, name: &str, report: &mut Report) -> Result<Vec<f64>> {
    let deadline = tokio::time::Instant::now() + GATHER_WAIT;
    loop {
        let progress = crowd.progress().await;
        if progress.present == progress.seats {
            break;
        }
        ensure!(tokio::time::Instant::now() < deadline, "not everybody came back: {progress}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(SETTLE).await;
    let mut sums = vec![0.0; mesh.description.nodes.len()];
    for _ in 0..READINGS {
        let looks = look(&mesh.description.nodes)?;
        let counted: f64 = looks.iter().map(Look::participants).sum();
        let progress = crowd.progress().await;
        ensure!(counted == progress.present as f64, "{} are there, the nodes count {counted}", progress.present);
        sums.iter_mut().zip(&looks).for_each(|(sum, look)| *sum += look.resident_mib / READINGS as f64);
        report.line(name, &progress, looks);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(sums)
}

/// The looks at the moment when nothing of the participants is left, or when the wait for that is over.
async fn wait_until_empty(nodes: &[origo_tests::mesh::Node]) -> Result<Vec<Look>> {
    let deadline = tokio::time::Instant::now() + CLEAN_WAIT;
    loop {
        let looks = look(nodes)?;
        if looks.iter().all(Look::is_empty) || tokio::time::Instant::now() > deadline {
            return Ok(looks);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
