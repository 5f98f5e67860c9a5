//! One node with a publisher and its viewers, of which short sections are measured.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use origo_client::{Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::metrics::Metrics;
use origo_tests::node::Node;
use origo_tests::process::cpu_time;

use crate::Cli;
use crate::ceiling::Profile;
use crate::report::{CAMERA_FPS, Load, Section, Way};

/// How many times as many viewers a crowd has.
const CROWD: usize = 10;
/// Longest wait for a viewer's first packet.
const FIRST_PACKET_WAIT: Duration = Duration::from_secs(30);
/// How long everything flows before the first section.
const SETTLE: Duration = Duration::from_secs(1);
/// Time to let queues, caches and the estimator find their level before each section.
const WARM_UP: Duration = Duration::from_millis(700);

/// A node process with everybody connected.
pub struct Rig {
    node: Node,
    busy: Participant,
    camera: Participant,
    viewers: Vec<Participant>,
    packets_per_frame: usize,
}

impl Rig {
    /// Starts the node and connects everybody; the publishers then rest.
    pub async fn start(origo: &Path, way: Way, cli: &Cli) -> Result<Self> {
        let estimator = if way == Way::Estimated { "--bwe=true" } else { "--bwe=false" };
        let egress = if matches!(way, Way::Own | Way::Crowd) { "--egress=own" } else { "--egress=str0m" };
        let node = Node::start(origo, &["--workers", "1", "--log", "warn", "--overload=false", estimator, egress])?;
        let (viewers_wanted, fps) = match way {
            Way::Crowd => (cli.viewers * CROWD, cli.fps / CROWD as u32),
            _ => (cli.viewers, cli.fps),
        };
        let busy = publisher(&node, "busy", fps.max(1), cli).await?;
        let camera = publisher(&node, "camera", CAMERA_FPS, cli).await?;
        let fleet = Fleet::start()?;
        let mut viewers = Vec::new();
        for number in 0..viewers_wanted {
            let token = node.token("bench", &format!("viewer-{number}"));
            viewers.push(fleet.connect(&node.url(), &token, Options::v1()).await?);
        }
        let rig = Self { node, busy, camera, viewers, packets_per_frame: cli.packets_per_frame };
        rig.settle().await?;
        Ok(rig)
    }

    /// Lets everything flow once, until every viewer has both tracks, then rests.
    async fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + FIRST_PACKET_WAIT;
        for load in [Load::Busy, Load::Camera] {
            self.publisher(load).resume();
        }
        for viewer in &self.viewers {
            while viewer.report().await.tracks.iter().filter(|track| track.packets() > 0).count() < 2 {
                ensure!(Instant::now() < deadline, "a viewer receives nothing:\n{}", self.node.process.stderr());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        tokio::time::sleep(SETTLE).await;
        self.busy.pause();
        self.camera.pause();
        Ok(())
    }

    fn publisher(&self, load: Load) -> &Participant {
        match load {
            Load::Busy => &self.busy,
            Load::Camera => &self.camera,
        }
    }

    /// What the node negotiated with everybody.
    pub fn srtp_profile(&self) -> Result<Profile> {
        let profiles = Metrics::read(&self.node.metrics())?.by_label("origo_srtp_sessions", "profile");
        Profile::of(profiles.keys())
    }

    /// Publishes for that long and measures.
    pub async fn section(&self, load: Load, length: Duration) -> Result<Section> {
        self.publisher(load).resume();
        tokio::time::sleep(WARM_UP).await;
        let pid = self.node.process.pid();
        let (sent, received, cpu, began) =
            (self.sent(load).await, self.received().await, cpu_time(pid)?, Instant::now());
        tokio::time::sleep(length).await;
        let (sent_after, received_after, cpu_after) = (self.sent(load).await, self.received().await, cpu_time(pid)?);
        let wall = began.elapsed();
        self.publisher(load).pause();

        ensure!(received_after.0 > received.0, "nothing arrived in a section");
        let packets = received_after.0 - received.0;
        // What was made and did not come at all, beside the holes that viewers saw; a frame may be on its way.
        let due = (sent_after - sent).saturating_sub(self.packets_per_frame as u64) * self.viewers.len() as u64;
        let lost = received_after.1.saturating_sub(received.1).max(due.saturating_sub(packets));
        Ok(Section { packets, lost, cpu: cpu_after - cpu, wall })
    }

    /// Packets that a publisher made so far.
    async fn sent(&self, load: Load) -> u64 {
        self.publisher(load).report().await.sent.values().flatten().map(|&packets| u64::from(packets)).sum()
    }

    /// Packets that the viewers received and missed so far.
    async fn received(&self) -> (u64, u64) {
        let mut sum = (0, 0);
        for viewer in &self.viewers {
            for track in viewer.report().await.tracks {
                let total = track.total();
                sum = (sum.0 + total.unique, sum.1 + total.lost);
            }
        }
        sum
    }
}

/// A publisher with a thread of its own, so that its frames leave in time while the viewers' thread is busy.
async fn publisher(node: &Node, name: &str, fps: u32, cli: &Cli) -> Result<Participant> {
    let mut publisher = Fleet::start()?.connect(&node.url(), &node.token("bench", name), Options::v1()).await?;
    publisher.publish_video(name, VideoOptions::single(fps, cli.packets_per_frame, cli.packet_bytes));
    let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
    publisher.wait_for(FIRST_PACKET_WAIT, flows).await.context("a track is not negotiated")?;
    publisher.pause();
    Ok(publisher)
}
