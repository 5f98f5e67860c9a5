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
use crate::report::Section;

/// Longest wait for a viewer's first packet.
const FIRST_PACKET_WAIT: Duration = Duration::from_secs(10);
/// Time to let queues, caches and the estimator find their level before each section.
const WARM_UP: Duration = Duration::from_millis(700);

/// A node process with everybody connected.
pub struct Rig {
    node: Node,
    publisher: Participant,
    viewers: Vec<Participant>,
}

impl Rig {
    /// Starts the node and connects everybody; the publisher then rests.
    pub async fn start(origo: &Path, estimator: bool, cli: &Cli) -> Result<Self> {
        let estimator = if estimator { "--bwe=true" } else { "--bwe=false" };
        let node = Node::start(origo, &["--workers", "1", "--log", "warn", estimator])?;
        // The publisher has a thread of its own, so that its frames leave in time while the viewers' thread is busy.
        let publisher = Fleet::start()?.connect(&node.url(), &node.token("bench", "publisher"), Options::v1()).await?;
        let video = VideoOptions::single(cli.fps, cli.packets_per_frame, cli.packet_bytes);
        publisher.publish_video("camera", video);
        let fleet = Fleet::start()?;
        let mut viewers = Vec::new();
        for number in 0..cli.viewers {
            let token = node.token("bench", &format!("viewer-{number}"));
            viewers.push(fleet.connect(&node.url(), &token, Options::v0()).await?);
        }
        for viewer in &mut viewers {
            let first = |event: &Event| matches!(event, Event::FirstPacket { .. }).then_some(());
            viewer.wait_for(FIRST_PACKET_WAIT, first).await.context("a viewer receives nothing")?;
        }
        publisher.pause();
        Ok(Self { node, publisher, viewers })
    }

    /// What the node negotiated with everybody.
    pub fn srtp_profile(&self) -> Result<Profile> {
        let profiles = Metrics::read(&self.node.metrics())?.by_label("origo_srtp_sessions", "profile");
        Profile::of(profiles.keys())
    }

    /// Publishes for that long and measures.
    pub async fn section(&self, length: Duration) -> Result<Section> {
        self.publisher.resume();
        tokio::time::sleep(WARM_UP).await;
        let (before, cpu_before, began) = (self.received().await, cpu_time(self.node.process.pid())?, Instant::now());
        tokio::time::sleep(length).await;
        let (after, cpu_after) = (self.received().await, cpu_time(self.node.process.pid())?);
        let wall = began.elapsed();
        self.publisher.pause();
        ensure!(after.0 > before.0, "nothing arrived in a section");
        let (packets, lost) = (after.0 - before.0, after.1.saturating_sub(before.1));
        Ok(Section { packets, lost, cpu: cpu_after - cpu_before, wall })
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
