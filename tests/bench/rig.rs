//! One node with everybody connected, of which short sections are measured.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use origo_client::{Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::metrics::Metrics;
use origo_tests::node::Node;
use origo_tests::process::{cpu_time, resident_bytes};
use tokio::task::JoinSet;

use crate::Cli;
use crate::ceiling::Profile;
use crate::report::{CAMERA_FPS, Load, Section, Way};

/// How many times as many viewers a crowd has.
pub const CROWD: usize = 10;
/// Viewers of a stage, and its frames a second: about twice the packets of the other points.
pub const STAGE: (usize, u32) = (2_000, 12);
/// Joins that are under way at a time.
const JOINING: usize = 8;
/// A busy machine may take its time.
pub const JOIN_WAIT: Duration = Duration::from_secs(60);
/// People of a conference, each of whom receives all others.
pub const PEOPLE: usize = 30;
/// Longest wait for a viewer's first packet.
const FIRST_PACKET_WAIT: Duration = Duration::from_secs(30);
/// How long everything flows before the first section.
const SETTLE: Duration = Duration::from_secs(1);
/// Time to let queues, caches and the estimator find their level before each section.
const WARM_UP: Duration = Duration::from_millis(700);

/// A node process with everybody connected.
pub struct Rig {
    node: Node,
    busy: Vec<Participant>,
    camera: Vec<Participant>,
    viewers: Vec<Participant>,
    /// All viewers are on it.
    watching: Fleet,
    /// How many receive each packet.
    watchers: u64,
    packets_per_frame: u64,
    /// Frames each second of what loads it well, and of what loads it fully.
    fps: [u32; 2],
    /// Bytes of the node's process for each viewer, once everything has flowed.
    pub resident_per_viewer: u64,
}

impl Rig {
    /// Starts the node and connects everybody; the publishers then rest.
    pub async fn start(origo: &Path, way: Way, cli: &Cli) -> Result<Self> {
        let estimator = if matches!(way, Way::Estimated | Way::OwnEstimated) { "--bwe=true" } else { "--bwe=false" };
        let egress = if matches!(way, Way::Str0m | Way::Estimated) { "--egress=str0m" } else { "--egress=own" };
        let sockets = format!("--sockets-per-address={}", STAGE.0 * 2);
        let settings = ["--workers", "1", "--log", "warn", "--overload=false", estimator, egress, &sockets];
        let node = Node::start(origo, &settings)?;
        let watching = Fleet::start()?;
        let mut rig = Self {
            node,
            busy: Vec::new(),
            camera: Vec::new(),
            viewers: Vec::new(),
            watching,
            watchers: 0,
            packets_per_frame: cli.packets_per_frame as u64,
            fps: [0; 2],
            resident_per_viewer: 0,
        };
        if way == Way::Conference {
            rig.seat_conference(cli).await?
        } else {
            rig.seat_stage(way, cli).await?
        }
        rig.settle().await?;
        Ok(rig)
    }

    /// Publishers of the loads that are measured, and viewers of both.
    async fn seat_stage(&mut self, way: Way, cli: &Cli) -> Result<()> {
        let (viewers, fps, full_fps) = match way {
            Way::Crowd => (cli.viewers * CROWD, cli.fps / CROWD as u32, cli.full_fps / CROWD as u32),
            Way::Stage => (STAGE.0, STAGE.1, STAGE.1),
            _ => (cli.viewers, cli.fps, cli.full_fps),
        };
        self.fps = [fps, full_fps];
        // A thread of their own, so that frames leave in time while the viewers' thread is busy.
        self.busy.push(self.publisher(&Fleet::start()?, "busy", fps.max(1), Options::v1(), cli).await?);
        if way.is_measured(Load::Camera) {
            self.camera.push(self.publisher(&Fleet::start()?, "camera", CAMERA_FPS, Options::v1(), cli).await?);
        }
        self.resident_per_viewer = resident_bytes(self.node.process.pid())?;
        let mut joining = JoinSet::new();
        for number in 0..viewers {
            if joining.len() >= JOINING {
                self.viewers.extend(joining.join_next().await.transpose()?.transpose()?);
            }
            let (fleet, url) = (self.watching.clone(), self.node.url());
            let (name, options) = (format!("viewer-{number}"), watcher(cli));
            // Word of everybody to everybody would be millions of messages.
            let token = match way {
                Way::Stage => self.node.hidden_token("bench", &name),
                _ => self.node.token("bench", &name),
            };
            joining.spawn(async move { fleet.connect(&url, &token, options).await });
        }
        while let Some(joined) = joining.join_next().await {
            self.viewers.push(joined??);
        }
        self.watchers = viewers as u64;
        Ok(())
    }

    /// People who all publish and receive all others; together they are sent about as much as the viewers of a stage.
    async fn seat_conference(&mut self, cli: &Cli) -> Result<()> {
        let streams = PEOPLE * (PEOPLE - 1);
        let fps = (cli.fps as usize * cli.viewers / streams).max(1) as u32;
        self.fps = [fps; 2];
        for number in 0..PEOPLE {
            let name = format!("person-{number}");
            self.busy.push(self.publisher(&self.watching, &name, fps, watcher(cli), cli).await?);
        }
        self.watchers = PEOPLE as u64 - 1;
        Ok(())
    }

    async fn publisher(&self, fleet: &Fleet, name: &str, fps: u32, options: Options, cli: &Cli) -> Result<Participant> {
        let mut publisher = fleet.connect(&self.node.url(), &self.node.token("bench", name), options).await?;
        publisher.publish_video(name, VideoOptions::single(fps, cli.packets_per_frame, cli.packet_bytes));
        let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
        publisher.wait_for(FIRST_PACKET_WAIT, flows).await.context("a track is not negotiated")?;
        publisher.pause();
        Ok(publisher)
    }

    /// Lets everything flow once, until everybody has all tracks, then rests.
    async fn settle(&mut self) -> Result<()> {
        let deadline = Instant::now() + FIRST_PACKET_WAIT;
        self.busy.iter().chain(&self.camera).for_each(Participant::resume);
        let (watching, tracks) = match self.viewers.is_empty() {
            true => (&self.busy, self.busy.len() - 1),
            false => (&self.viewers, self.busy.len() + self.camera.len()),
        };
        for viewer in watching {
            while viewer.report().await.tracks.iter().filter(|track| track.packets() > 0).count() < tracks {
                ensure!(Instant::now() < deadline, "a viewer receives nothing:\n{}", self.node.process.stderr());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        tokio::time::sleep(SETTLE).await;
        self.busy.iter().chain(&self.camera).for_each(Participant::pause);
        let resident = resident_bytes(self.node.process.pid())?;
        self.resident_per_viewer = resident.saturating_sub(self.resident_per_viewer) / self.viewers.len().max(1) as u64;
        Ok(())
    }

    fn publishers(&self, load: Load) -> &[Participant] {
        match load {
            Load::Busy | Load::Full => &self.busy,
            Load::Camera => &self.camera,
        }
    }

    /// The node's process.
    pub fn pid(&self) -> u32 {
        self.node.process.pid()
    }

    /// What the node negotiated with everybody.
    pub fn srtp_profile(&self) -> Result<Profile> {
        let profiles = Metrics::read(&self.node.metrics())?.by_label("origo_srtp_sessions", "profile");
        Profile::of(profiles.keys())
    }

    /// Publishes for that long and measures.
    pub async fn section(&self, load: Load, length: Duration) -> Result<Section> {
        let fps = match load {
            Load::Camera => CAMERA_FPS,
            Load::Busy => self.fps[0],
            Load::Full => self.fps[1],
        };
        self.publishers(load).iter().for_each(|publisher| {
            publisher.set_fps(fps.max(1));
            publisher.resume();
        });
        tokio::time::sleep(WARM_UP).await;
        let pid = self.node.process.pid();
        let (sent, received, cpu, began) =
            (self.sent(load).await, self.watching.totals().await, cpu_time(pid)?, Instant::now());
        tokio::time::sleep(length).await;
        let (sent_after, received_after, cpu_after) =
            (self.sent(load).await, self.watching.totals().await, cpu_time(pid)?);
        let wall = began.elapsed();
        self.publishers(load).iter().for_each(Participant::pause);

        ensure!(received_after.received > received.received, "nothing arrived in a section");
        let packets = received_after.received - received.received;
        // What was made and did not come at all, beside the holes that viewers saw; a frame may be on its way.
        let on_the_way = self.packets_per_frame * self.publishers(load).len() as u64;
        let due = (sent_after - sent).saturating_sub(on_the_way) * self.watchers;
        let lost = received_after.lost.saturating_sub(received.lost).max(due.saturating_sub(packets));
        Ok(Section { packets, lost, cpu: cpu_after - cpu, wall })
    }

    /// Packets that the publishers made so far.
    async fn sent(&self, load: Load) -> u64 {
        let mut sum = 0;
        for publisher in self.publishers(load) {
            sum += publisher.report().await.sent.values().flatten().map(|&packets| u64::from(packets)).sum::<u64>();
        }
        sum
    }
}

/// How those receive whom the machine has to carry beside the node.
fn watcher(cli: &Cli) -> Options {
    Options { light: !cli.full_receive, join_timeout: JOIN_WAIT, ..Options::v1() }
}
