//! One server with a publisher and its viewers, of which sections are measured.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use origo_client::janus::JanusSeat;
use origo_client::{Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::janus::Janus;
use origo_tests::joins::{self, Joins};
use origo_tests::namespace::Namespace;
use origo_tests::node::Node;
use origo_tests::process::cpu_time;
use origo_tests::token;

use crate::Cli;
use crate::report::Section;

/// Longest wait for a viewer's first packet.
const FIRST_PACKET_WAIT: Duration = Duration::from_secs(15);
/// A busy machine may take its time.
const JOIN_WAIT: Duration = Duration::from_secs(60);
/// Time to let queues and caches find their level before each section.
const WARM_UP: Duration = Duration::from_millis(700);
/// Time for the last packets to arrive.
const SETTLE: Duration = Duration::from_millis(300);
const ROOM: u64 = 7;
const KEY: &str = "versus";
/// Of nobody's but this run's, in a network that nobody else reaches.
const SECRET: &str = "a secret of one run of a benchmark";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A node with one worker, on our own way out and, as Janus, without an estimator.
    Origo,
    /// Janus with its VideoRoom.
    Janus,
}

impl Kind {
    /// What the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Origo => "origo",
            Self::Janus => "janus",
        }
    }
}

/// A running server; its network goes after it.
struct Server {
    running: Running,
    namespace: Option<Namespace>,
}

enum Running {
    Origo(Node),
    Janus(Janus),
}

impl Server {
    /// Starts one. `number` tells the networks of one run apart.
    fn start(kind: Kind, number: u8, origo: &Path, cli: &Cli) -> Result<Self> {
        let namespace = Namespace::is_possible().then(|| Namespace::open(number)).transpose()?;
        let running = match kind {
            Kind::Janus => Running::Janus(Janus::start(cli.janus_loops, namespace.as_ref())?),
            Kind::Origo => {
                let (key, secret, mesh) =
                    (format!("--api-key={KEY}"), format!("--api-secret={SECRET}"), format!("--mesh-secret={SECRET}"));
                let own = ["--workers=1", "--log=warn", "--overload=false", "--egress=own", "--bwe=false"];
                let flags = [&own[..], &[&key, &secret, &mesh]].concat();
                Running::Origo(match &namespace {
                    Some(namespace) => Node::start_within(namespace, origo, &flags)?,
                    None => Node::start(origo, &flags)?,
                })
            }
        };
        Ok(Self { running, namespace })
    }

    fn pid(&self) -> u32 {
        match &self.running {
            Running::Origo(node) => node.process.pid(),
            Running::Janus(janus) => janus.process.pid(),
        }
    }

    /// Publishes a camera that rests; a thread of its own makes its frames.
    async fn publisher(&self, cli: &Cli) -> Result<Participant> {
        let fleet = Fleet::start()?;
        let mut publisher = match &self.running {
            Running::Origo(node) => {
                let publisher = fleet.connect(&node.url(), &join_token("publisher"), options(cli)).await?;
                publisher.publish_video("camera", camera(cli));
                publisher
            }
            Running::Janus(janus) => fleet.connect_janus(&janus.url(), seat(Some(camera(cli))), options(cli)).await?,
        };
        let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
        publisher.wait_for(FIRST_PACKET_WAIT, flows).await.context("the track is not negotiated")?;
        Ok(publisher)
    }

    async fn viewer(&self, fleet: &Fleet, number: usize, cli: &Cli) -> Result<Participant> {
        Ok(match &self.running {
            Running::Origo(node) => {
                fleet.connect(&node.url(), &join_token(&format!("viewer-{number}")), options(cli)).await?
            }
            Running::Janus(janus) => fleet.connect_janus(&janus.url(), seat(None), options(cli)).await?,
        })
    }
}

/// A server with everybody connected.
pub struct Side {
    /// Which.
    pub kind: Kind,
    publisher: Participant,
    watching: Fleet,
    viewers: Vec<Participant>,
    server: Server,
}

impl Side {
    /// Starts it, waits until every viewer receives, then rests.
    pub async fn start(kind: Kind, number: u8, origo: &Path, cli: &Cli) -> Result<Self> {
        let server = Server::start(kind, number, origo, cli)?;
        let publisher = server.publisher(cli).await?;
        let (watching, mut viewers) = (Fleet::start()?, Vec::new());
        for number in 0..cli.viewers {
            viewers.push(server.viewer(&watching, number, cli).await?);
        }
        let deadline = Instant::now() + FIRST_PACKET_WAIT;
        for viewer in &viewers {
            while viewer.report().await.tracks.iter().all(|track| track.packets() == 0) {
                let count = viewers.len();
                ensure!(Instant::now() < deadline, "one of {count} viewers of {} receives nothing", kind.name());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        publisher.pause();
        Ok(Self { kind, publisher, watching, viewers, server })
    }

    /// Publishes so many frames a second for that long and measures.
    pub async fn section(&self, fps: u32, length: Duration) -> Result<Section> {
        let pid = self.server.pid();
        self.publisher.set_fps(fps);
        self.publisher.resume();
        tokio::time::sleep(WARM_UP).await;
        let (before, server, own, began) =
            (self.watching.totals().await, cpu_time(pid)?, cpu_time(std::process::id())?, Instant::now());
        tokio::time::sleep(length).await;
        let (after, server_after, own_after) =
            (self.watching.totals().await, cpu_time(pid)?, cpu_time(std::process::id())?);
        let wall = began.elapsed();
        self.publisher.pause();
        tokio::time::sleep(SETTLE).await;
        Ok(Section {
            packets: after.received - before.received,
            lost: after.lost.saturating_sub(before.lost),
            server: server_after - server,
            own: own_after - own,
            wall,
        })
    }

    /// How the run is described.
    pub fn place(&self) -> &'static str {
        if self.server.namespace.is_some() { "in a namespace of its own" } else { "on this machine's own network" }
    }

    /// How many watch.
    pub fn viewers(&self) -> usize {
        self.viewers.len()
    }
}

/// Joins to a fresh server of viewers who come one after the other, while its publisher rests.
pub async fn joins(kind: Kind, number: u8, origo: &Path, cli: &Cli) -> Result<Joins> {
    let server = Server::start(kind, number, origo, cli)?;
    let publisher = server.publisher(cli).await?;
    // A track is there for others once something of it has come.
    tokio::time::sleep(SETTLE).await;
    publisher.pause();
    let fleet = Fleet::start()?;
    let connect = async |number: usize| server.viewer(&fleet, number, cli).await;
    joins::measure(server.pid(), cli.joins, connect).await
}

fn join_token(identity: &str) -> String {
    token::join(KEY, SECRET, "versus", identity)
}

fn seat(video: Option<VideoOptions>) -> JanusSeat {
    JanusSeat { room: ROOM, display: "load".to_owned(), video, audio: None, feeds: 1 }
}

fn options(cli: &Cli) -> Options {
    Options { light: !cli.full_receive, join_timeout: JOIN_WAIT, ..Options::v1() }
}

fn camera(cli: &Cli) -> VideoOptions {
    VideoOptions::single(cli.fps.first().copied().unwrap_or(1), cli.packets_per_frame, cli.packet_bytes)
}
