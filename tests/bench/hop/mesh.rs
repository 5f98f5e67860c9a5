//! Two nodes' meshes with a track that one publishes and the other takes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use origo_auth::{Identity, MeshAuthority, NodeId, NodeIdentity, NodeKey, RoomKey, TrackSid};
use origo_cascade::{Inbox, Mesh, MeshConfig, MeshEvent};
use origo_cascade_core::link::{self, Class, Extensions, Flow, Packet, Received};
use origo_cascade_core::route::{Direct, Prices};
use origo_cascade_core::{
    Event, Forward, Input, LayerSet, MediaKind, Node, NodeAddress, ParticipantRecord, RoomRecord, RoomSettings,
    TrackRecord,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::WARM_UP;
use super::load::{Arrivals, Load, Section};

/// Longest wait for a step of the setting up.
const WAIT: Duration = Duration::from_secs(10);
const REGION: &str = "bench";
const RATE_BPS: u64 = 1_000_000_000;

/// An identity of the bench's own authority.
pub fn identity() -> Result<NodeIdentity> {
    let key = NodeKey::generate(&mut rand::rng());
    Ok(MeshAuthority::from_secret(b"the secret of the bench's mesh")?.issue(&key)?)
}

/// Measures once; the meshes end with it.
pub async fn section(length: Duration) -> Result<CascadeSection> {
    let arrivals = Arrivals::default();
    let mut sender = End::start(&[], Arrivals::default())?;
    let mut receiver = End::start(&[sender.mesh.address()], arrivals.clone())?;
    let (to, flow) = subscribe(&mut sender, &mut receiver).await?;
    let links = sender.mesh.links();
    let mut sequence = 0;
    let load = Load::start(arrivals, move |payloads| {
        let sends = payloads.into_iter().map(|payload| {
            sequence += 1;
            link::Send::Packet { to, flow, class: Class::Base, packet: packet(sequence, payload) }
        });
        links.send(sends.collect());
    });
    tokio::time::sleep(WARM_UP).await;
    let section = load.section(length).await?;
    let made = load.end();
    // Counters are 100 ms old.
    tokio::time::sleep(WARM_UP).await;
    let crossed = crossed(&sender.mesh, to);
    sender.mesh.shutdown().await;
    receiver.mesh.shutdown().await;
    Ok(CascadeSection { section, copies: crossed as f64 / made as f64 })
}

/// A section of the cascade.
#[derive(Clone, Debug)]
pub struct CascadeSection {
    /// As of bare quinn.
    pub section: Section,
    /// Packets that went over the link, repairs aside, for each that was made.
    pub copies: f64,
}

fn crossed(mesh: &Mesh, to: NodeId) -> u64 {
    let stats = mesh.stats();
    let link = stats.links.iter().find(|(peer, _)| *peer == to);
    link.map_or(0, |(_, link)| link.packets[0][1..4].iter().sum())
}

struct End {
    mesh: Mesh,
    events: mpsc::Receiver<MeshEvent>,
}

impl End {
    fn start(seeds: &[SocketAddr], arrivals: Arrivals) -> Result<Self> {
        let (identity, bind) = (identity()?, SocketAddr::from(([127, 0, 0, 1], 0)));
        let node = Node {
            id: identity.id,
            region: REGION.into(),
            country: String::new(),
            continent: String::new(),
            latitude: 0.0,
            longitude: 0.0,
            url: "ws://bench".into(),
            address: NodeAddress { quic: bind },
            load: 0.0,
            draining: false,
            overload: Default::default(),
        };
        let (batches, received) = crossbeam_channel::bounded(1024);
        let wake = move || {
            for received in received.try_iter().flatten() {
                if let Received::Packet { packet, .. } = received {
                    arrivals.note(&packet.payload);
                }
            }
        };
        let config = MeshConfig {
            node,
            bind,
            seeds: seeds.to_vec(),
            rates_bps: BTreeMap::from([(REGION.to_owned(), RATE_BPS)]),
            policy: Arc::new(Direct),
            prices: Prices::default(),
            inboxes: vec![Inbox { batches, wake: Arc::new(wake) }],
            worker_of: |_, _| 0,
        };
        let (mesh, events) = Mesh::start(config, identity)?;
        Ok(Self { mesh, events })
    }

    async fn until<T>(&mut self, wanted: impl Fn(&MeshEvent) -> Option<T>) -> Result<T> {
        let found = async {
            while let Some(event) = self.events.recv().await {
                if let Some(found) = wanted(&event) {
                    return Ok(found);
                }
            }
            bail!("the mesh has ended")
        };
        timeout(WAIT, found).await.context("the mesh is slow")?
    }

    async fn enter(&mut self) -> Result<()> {
        let settings = RoomSettings::default();
        let sid = "RM_bench0000000".parse().context("a room's sid")?;
        let fresh = RoomRecord { room: room(), sid, created_ms: 1, metadata: String::new(), version: 0, settings };
        self.mesh.ask(Input::Enter { fresh });
        self.until(|event| matches!(event, MeshEvent::Rooms(Event::Entered { .. })).then_some(())).await
    }
}

/// The receiver takes a track of the sender. Gives whom to send it to under which number.
async fn subscribe(sender: &mut End, receiver: &mut End) -> Result<(NodeId, Flow)> {
    let begun = Instant::now();
    while sender.mesh.metrics().is_empty() || receiver.mesh.nodes().len() < 2 {
        anyhow::ensure!(begun.elapsed() < WAIT, "the nodes do not find each other");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sender.enter().await?;
    receiver.enter().await?;
    let track: TrackSid = "TR_bench0000000".parse().context("a track's sid")?;
    sender.mesh.ask(Input::Publish(publisher(track)?));
    let known = |event: &MeshEvent| matches!(event, MeshEvent::Rooms(Event::ParticipantChanged(_))).then_some(());
    receiver.until(known).await?;
    receiver.mesh.ask(Input::Want { room: room(), track, layers: LayerSet::only(0) });
    let served = |event: &MeshEvent| match event {
        MeshEvent::Forward(_, Forward::Serve { to, flow, .. }) => Some((*to, *flow)),
        _ => None,
    };
    sender.until(served).await
}

fn room() -> RoomKey {
    RoomKey::new("default", "bench")
}

fn publisher(track: TrackSid) -> Result<ParticipantRecord> {
    let track = TrackRecord {
        sid: track,
        kind: MediaKind::Video,
        mime: "video/VP8".into(),
        layer_bitrates_bps: vec![40_000_000],
        layer_sizes: Vec::new(),
        backup_of: None,
        shown_as: None,
    };
    Ok(ParticipantRecord {
        room: room(),
        identity: Identity("publisher".into()),
        sid: "PA_bench0000000".parse().context("a participant's sid")?,
        owner: NodeId([0; 16]),
        incarnation: 1,
        owner_epoch: 0,
        version: 0,
        info: Vec::new(),
        tracks: vec![track],
    })
}

fn packet(sequence: u64, payload: Vec<u8>) -> Packet {
    Packet {
        sequence,
        timestamp: sequence as u32 * 18,
        marker: true,
        key: false,
        redundant: false,
        skipped: 0,
        extensions: Extensions::default(),
        payload: payload.into(),
        arrived: Instant::now(),
    }
}
