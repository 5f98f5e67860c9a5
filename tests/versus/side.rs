//! One server with a publisher and its viewers, of which sections are measured.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use origo_client::janus::JanusSeat;
use origo_client::{Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::janus::Janus;
use origo_tests::node::Node;
use origo_tests::process::cpu_time;

use crate::Cli;
use crate::report::Section;

/// Longest wait for a viewer's first packet.
const FIRST_PACKET_WAIT: Duration = Duration::from_secs(15);
/// Time to let queues and caches find their level before each section.
const WARM_UP: Duration = Duration::from_millis(700);
/// Time for the last packets to arrive.
const SETTLE: Duration = Duration::from_millis(300);
const ROOM: u64 = 7;

/// Keeps the server alive.
enum Server {
    Origo(Node),
    Janus(Janus),
}

/// A server with everybody connected.
pub struct Side {
    /// What the tables call it.
    pub name: &'static str,
    server: Server,
    publisher: Participant,
    watching: Fleet,
    viewers: Vec<Participant>,
}

impl Side {
    /// A node with one worker.
    pub async fn origo(origo: &Path, cli: &Cli) -> Result<Self> {
        let node = Node::start(origo, &["--workers", "1", "--log", "warn", "--overload=false"])?;
        let mut publisher =
            Fleet::start()?.connect(&node.url(), &node.token("versus", "publisher"), options(cli)).await?;
        publisher.publish_video("camera", camera(cli));
        wait_for_track(&mut publisher).await?;
        let (watching, mut viewers) = (Fleet::start()?, Vec::new());
        for number in 0..cli.viewers {
            let token = node.token("versus", &format!("viewer-{number}"));
            viewers.push(watching.connect(&node.url(), &token, options(cli)).await?);
        }
        Self { name: "origo", server: Server::Origo(node), publisher, watching, viewers }.settled(cli).await
    }

    /// Janus with its VideoRoom.
    pub async fn janus(cli: &Cli) -> Result<Self> {
        let janus = Janus::start(cli.janus_loops)?;
        let seat = |video| JanusSeat { room: ROOM, display: "load".to_owned(), video, audio: None, feeds: 1 };
        let publishing = Fleet::start()?;
        let mut publisher = publishing.connect_janus(&janus.url(), seat(Some(camera(cli))), options(cli)).await?;
        wait_for_track(&mut publisher).await?;
        let (watching, mut viewers) = (Fleet::start()?, Vec::new());
        for _ in 0..cli.viewers {
            viewers.push(watching.connect_janus(&janus.url(), seat(None), options(cli)).await?);
        }
        Self { name: "janus", server: Server::Janus(janus), publisher, watching, viewers }.settled(cli).await
    }

    /// Waits until every viewer receives, then rests.
    async fn settled(self, cli: &Cli) -> Result<Self> {
        let deadline = Instant::now() + FIRST_PACKET_WAIT;
        for viewer in &self.viewers {
            while viewer.report().await.tracks.iter().all(|track| track.packets() == 0) {
                ensure!(Instant::now() < deadline, "one of {} viewers of {} receives nothing", cli.viewers, self.name);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        self.publisher.pause();
        Ok(self)
    }

    fn pid(&self) -> u32 {
        match &self.server {
            Server::Origo(node) => node.process.pid(),
            Server::Janus(janus) => janus.process.pid(),
        }
    }

    /// Publishes for that long and measures.
    pub async fn section(&self, length: Duration) -> Result<Section> {
        self.publisher.resume();
        tokio::time::sleep(WARM_UP).await;
        let (before, server, own, began) =
            (self.watching.totals().await, cpu_time(self.pid())?, cpu_time(std::process::id())?, Instant::now());
        tokio::time::sleep(length).await;
        let (after, server_after, own_after) =
            (self.watching.totals().await, cpu_time(self.pid())?, cpu_time(std::process::id())?);
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
}

fn options(cli: &Cli) -> Options {
    Options { light: !cli.full_receive, ..Options::v1() }
}

fn camera(cli: &Cli) -> VideoOptions {
    VideoOptions::single(cli.fps, cli.packets_per_frame, cli.packet_bytes)
}

async fn wait_for_track(publisher: &mut Participant) -> Result<()> {
    let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
    publisher.wait_for(FIRST_PACKET_WAIT, flows).await.context("the track is not negotiated")
}
