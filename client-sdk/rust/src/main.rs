//! `origo-load`: fills a room of a LiveKit-compatible server with publishers and viewers, and says what arrived.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use origo_auth::Secret;
use origo_client::load::{self, Plan};
use origo_client::{AudioOptions, Options, VideoOptions};

const EXAMPLES: &str = "\
Examples:
  origo-load --url ws://127.0.0.1:7880 --room lobby --subscribers 50
  origo-load --url ws://127.0.0.1:7880 --subscriber-url ws://127.0.0.1:7890 --publishers 2 --subscribers 20 --simulcast
  origo-load --url ws://127.0.0.1:7880 --subscribers 0 --publishers 3 --audio --duration 60";

/// Fills a room with headless publishers and viewers, and says what arrived and when.
#[derive(Debug, Parser)]
#[command(name = "origo-load", version, after_help = EXAMPLES)]
struct Cli {
    /// Server that publishers join: ws://host:port
    #[arg(long)]
    url: String,
    /// Server that subscribers join, such as another node [default: that of the publishers]
    #[arg(long, value_name = "URL")]
    subscriber_url: Option<String>,
    /// API key that signs the tokens
    #[arg(long, env = "ORIGO_API_KEY", default_value = "devkey")]
    api_key: String,
    /// Its secret
    #[arg(long, env = "ORIGO_API_SECRET", default_value = "secret", hide_env_values = true)]
    api_secret: String,
    /// The room
    #[arg(long, default_value = "load")]
    room: String,
    /// Participants that publish
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    /// Participants that receive everything
    #[arg(long, default_value_t = 1)]
    subscribers: usize,
    /// Seconds of media after everybody has joined
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
    /// Form of the protocol
    #[arg(long, value_enum, default_value_t = Form::V1)]
    protocol: Form,
    /// Publish a microphone too
    #[arg(long)]
    audio: bool,
    /// Publish no camera
    #[arg(long)]
    no_video: bool,
    /// Three layers instead of one
    #[arg(long)]
    simulcast: bool,
    /// Frames each second
    #[arg(long, default_value_t = 30)]
    fps: u32,
    /// Kilobits per second of the camera, without simulcast
    #[arg(long, default_value_t = 2000)]
    kbps: u32,
    /// RTP payload bytes of a video packet
    #[arg(long, default_value_t = 1100)]
    packet_bytes: usize,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Two PeerConnections
    V0,
    /// One PeerConnection
    V1,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let json = cli.json.clone();
    let plan = plan(cli)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(load::run(&plan))?;
    print!("{summary}");
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&summary)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn plan(cli: Cli) -> Result<Plan> {
    if cli.publishers + cli.subscribers == 0 {
        bail!("--publishers and --subscribers are both 0: there is nothing to do");
    }
    let video = match (cli.no_video, cli.simulcast) {
        (true, _) => None,
        (false, true) => Some(VideoOptions::simulcast(cli.fps, cli.packet_bytes)),
        (false, false) => Some(VideoOptions::at_bitrate(cli.fps, cli.kbps.saturating_mul(1000), cli.packet_bytes)),
    };
    let duration = Duration::try_from_secs_f64(cli.duration).context("--duration")?;
    Ok(Plan {
        subscriber_url: cli.subscriber_url.unwrap_or_else(|| cli.url.clone()),
        url: cli.url,
        api_key: cli.api_key,
        api_secret: Secret::new(cli.api_secret),
        room: cli.room,
        publishers: cli.publishers,
        subscribers: cli.subscribers,
        options: if cli.protocol == Form::V0 { Options::v0() } else { Options::v1() },
        video,
        audio: cli.audio.then(AudioOptions::default),
        duration,
    })
}
