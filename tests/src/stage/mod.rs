//! A media worker as a value with viewers of one track, in virtual time: what it costs to send, and what it allocates.
//!
//! The track comes over a link, so that nothing of a publisher's connection is in what is measured. Viewers are str0m's,
//! connected by ICE and DTLS in memory. What the worker is asked is told apart by [`Phase`].

pub mod bare;
pub mod memory;
mod viewer;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use origo_auth::TrackSid;
use origo_cascade_core::link::{Extensions, Packet, Received};
use origo_cascade_core::{TrackLayer, TrackRecord};
use origo_node_core::SessionId;
use origo_node_core::media::{
    Command, Egress, Event, Input, Kind, OpenSession, Output, Stats, Subscription, Transmit, Transport, Worker,
    WorkerConfig,
};

use crate::allocator::{Counts, counted, uncounted};
use viewer::Viewer;

/// Steps of time while everybody connects and in [`Stage::pass`].
const STEP: Duration = Duration::from_millis(5);
/// Steps until everybody has to be connected.
const STEPS_MAX: usize = 400;
/// Ticks of a picture's clock in a second.
const CLOCK_HZ: u64 = 90_000;
/// Where the worker is, as clients know it. Nothing is bound there.
const SERVER: ([u8; 4], u16) = ([127, 0, 0, 1], 7_883);

/// What the worker was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Sessions and subscriptions.
    Setup,
    /// What its clients sent.
    Feedback,
    /// Time has passed.
    Time,
    /// What was to come over a link was made, which is another thread's work in a node.
    Arrival,
    /// A batch came over a link.
    Link,
    /// It was routed, sealed and handed to the sender.
    Egress,
}

/// The worker and its viewers.
pub struct Stage {
    worker: Worker,
    now: Instant,
    viewers: Vec<Viewer>,
    by_address: BTreeMap<SocketAddr, usize>,
    wire: VecDeque<(SocketAddr, Vec<u8>)>,
    frames: u64,
    sequence: u64,
    began: Instant,
    counts: BTreeMap<Phase, Counts>,
    /// Each so-many-th datagram of the track is lost on its way; 0 for none.
    pub loses_every: u64,
    delivered: u64,
    /// Payloads by length, made once: the link thread of a node hands them over ready.
    payloads: BTreeMap<(usize, bool, bool), Arc<[u8]>>,
}

impl Stage {
    /// A worker with a viewer at each of those addresses, all connected and subscribed.
    pub fn start(addresses: &[SocketAddr], egress: Egress, bwe: bool) -> Result<Self> {
        let now = Instant::now();
        let (told, place) = (vec![SERVER.into()], (0, 1));
        let (tcp_addresses, loudest, sections) = (Vec::new(), 0, Default::default());
        let config = WorkerConfig { addresses: told, tcp_addresses, bwe, egress, loudest, sections, place };
        let mut stage = Self {
            worker: Worker::new(config, now),
            now,
            viewers: Vec::new(),
            by_address: BTreeMap::new(),
            wire: VecDeque::new(),
            frames: 0,
            sequence: 0,
            began: now,
            counts: BTreeMap::new(),
            loses_every: 0,
            delivered: 0,
            payloads: BTreeMap::new(),
        };
        for (index, &address) in addresses.iter().enumerate() {
            stage.viewers.push(Viewer::new(address, now)?);
            stage.by_address.insert(address, index);
            stage.join(index)?;
        }
        for _ in 0..STEPS_MAX {
            if stage.viewers.iter().all(|viewer| viewer.connected) {
                stage.pass(Duration::from_millis(200))?;
                return Ok(stage);
            }
            stage.pass(STEP)?;
        }
        anyhow::bail!("of {} viewers not all have connected", addresses.len())
    }

    /// What the worker asked for in memory, by what it was to do.
    pub fn counts(&self, phase: Phase) -> Counts {
        self.counts.get(&phase).copied().unwrap_or_default()
    }

    /// The same over all phases.
    pub fn all_counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.counts.values().for_each(|&counts| sum += counts);
        sum
    }

    /// Forgets what was counted.
    pub fn clear_counts(&mut self) {
        self.counts.clear();
    }

    /// The worker's counters.
    pub fn stats(&self) -> &Stats {
        self.worker.stats()
    }

    /// Packets of the track that viewers received.
    pub fn received(&self) -> u64 {
        self.viewers.iter().map(|viewer| viewer.packets).sum()
    }

    /// Lets time pass; viewers and worker talk all the while.
    pub fn pass(&mut self, time: Duration) -> Result<()> {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + STEP);
            for viewer in &mut self.viewers {
                viewer.tick(self.now, &mut self.wire)?;
            }
            self.ask(Phase::Time, |worker, now| worker.handle_input(now, Input::Timeout));
            self.talk(Phase::Time)?;
        }
        Ok(())
    }

    /// The time is later, and nobody was told yet.
    pub fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    /// A frame of packets of these sizes comes over the link and is sent through `send`.
    pub fn frame(&mut self, sizes: &[usize], mut send: impl FnMut(&Transmit<'_>)) {
        let (batch, made) = counted(|| self.batch(sizes));
        self.add(Phase::Arrival, made);
        self.ask(Phase::Link, |worker, now| worker.handle_input(now, Input::Link(batch)));
        self.ask(Phase::Egress, |worker, now| {
            worker.handle_input(now, Input::BurstEnd);
            loop {
                match worker.poll_output() {
                    Output::Transmit(transmit) => uncounted(|| send(&transmit)),
                    Output::Event(_) | Output::Link(_) | Output::Sibling { .. } | Output::Ask { .. } => {}
                    Output::Timeout(_) => return,
                }
            }
        });
    }

    /// The same, to the viewers in memory, who answer.
    pub fn frame_to_viewers(&mut self, sizes: &[usize]) -> Result<()> {
        let mut sent = Vec::new();
        self.frame(sizes, |transmit| sent.extend(datagrams(transmit)));
        for (address, datagram) in sent {
            self.delivered += 1;
            if self.loses_every == 0 || !self.delivered.is_multiple_of(self.loses_every) {
                self.deliver(address, &datagram)?;
            }
        }
        self.talk(Phase::Feedback)
    }

    fn batch(&mut self, sizes: &[usize]) -> Vec<Received> {
        let timestamp = ((self.now - self.began).as_micros() as u64 * CLOCK_HZ / 1_000_000) as u32;
        let (key, count) = (self.frames == 0, sizes.len());
        self.frames += 1;
        let packet = |(at, &size): (usize, &usize)| {
            self.sequence += 1;
            let made = || uncounted(|| vp8(size, at == 0, key));
            let packet = Packet {
                sequence: self.sequence,
                timestamp,
                marker: at + 1 == count,
                key,
                redundant: false,
                skipped: 0,
                extensions: Extensions::default(),
                payload: uncounted(|| Arc::clone(self.payloads.entry((size, at == 0, key)).or_insert_with(made))),
                arrived: self.now,
            };
            Received::Packet { layer: TrackLayer { track: track(), layer: 0 }, packet }
        };
        sizes.iter().enumerate().map(packet).collect()
    }

    fn join(&mut self, index: usize) -> Result<()> {
        let session = SessionId(index as u64 + 1);
        let sdp = self.viewers[index].offer()?;
        let open = OpenSession {
            session,
            single_connection: true,
            ice_lite: true,
            fixed_sections: false,
            tcp_only: false,
            may_pause: false,
        };
        self.ask(Phase::Setup, |worker, now| {
            worker.handle_input(now, Input::Command(Command::Open(open)));
            worker.handle_input(now, Input::Command(Command::Offer { session, id: 1, sdp: sdp.clone() }));
            worker.handle_input(now, Input::Command(Command::Subscribe(subscription(session))));
        });
        self.talk(Phase::Setup)
    }

    /// Takes what clients sent, and everything that the worker says, until nobody has anything to say.
    fn talk(&mut self, phase: Phase) -> Result<()> {
        let mut phase = phase;
        for _ in 0..20 {
            while let Some((source, contents)) = self.wire.pop_front() {
                let datagram = Input::Datagram {
                    source,
                    transport: Transport::Udp,
                    destination: SERVER.into(),
                    contents: &contents,
                };
                self.ask(Phase::Feedback, |worker, now| worker.handle_input(now, datagram));
            }
            let (mut sent, mut events) = (Vec::new(), Vec::new());
            self.ask(phase, |worker, now| {
                worker.handle_input(now, Input::BurstEnd);
                loop {
                    match worker.poll_output() {
                        Output::Transmit(transmit) => uncounted(|| sent.extend(datagrams(&transmit))),
                        Output::Event(event) => uncounted(|| events.push(event.clone())),
                        Output::Link(_) | Output::Sibling { .. } | Output::Ask { .. } => {}
                        Output::Timeout(_) => return,
                    }
                }
            });
            for event in events {
                self.signal(event)?;
            }
            for (address, datagram) in sent {
                self.deliver(address, &datagram)?;
            }
            if self.wire.is_empty() {
                return Ok(());
            }
            phase = Phase::Feedback;
        }
        Ok(())
    }

    fn signal(&mut self, event: Event) -> Result<()> {
        if let Event::Answer { session, sdp, .. } = event {
            let viewer = self.viewers.get_mut(session.0 as usize - 1).context("an answer to nobody")?;
            viewer.answer(&sdp, &mut self.wire)?;
        } else {
            ensure!(!matches!(event, Event::Refused { .. } | Event::Disconnected { .. }), "{event:?}");
        }
        Ok(())
    }

    fn deliver(&mut self, address: SocketAddr, datagram: &[u8]) -> Result<()> {
        let Some(&index) = self.by_address.get(&address) else { return Ok(()) };
        self.viewers[index].receive(self.now, SERVER.into(), datagram, &mut self.wire)
    }

    fn ask(&mut self, phase: Phase, what: impl FnOnce(&mut Worker, Instant)) {
        let (worker, now) = (&mut self.worker, self.now);
        let ((), counts) = counted(|| what(worker, now));
        self.add(phase, counts);
    }

    fn add(&mut self, phase: Phase, counts: Counts) {
        *self.counts.entry(phase).or_default() += counts;
    }
}

fn datagrams(transmit: &Transmit<'_>) -> impl Iterator<Item = (SocketAddr, Vec<u8>)> {
    let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
    let destination = transmit.destination;
    transmit.contents.chunks(segment).map(move |contents| (destination, contents.to_vec()))
}

fn track() -> TrackSid {
    "TR_stagestage00".parse().expect("a sid")
}

fn subscription(session: SessionId) -> Subscription {
    let track = TrackRecord {
        sid: track(),
        kind: Kind::Video,
        mime: "video/VP8".into(),
        layer_bitrates_bps: vec![2_500_000],
        layer_sizes: Vec::new(),
        backup_of: None,
        shown_as: None,
    };
    Subscription {
        session,
        track,
        backup: None,
        publisher: "PA_stagestage00".parse().expect("a sid"),
        stream: "PA_stagestage00|camera".into(),
        screen: false,
        asked: false,
        redundancy: Default::default(),
        home: None,
    }
}

/// A packet of VP8: a descriptor with a picture number of 15 bits, then what begins a frame or goes on with it.
fn vp8(size: usize, first: bool, key: bool) -> Arc<[u8]> {
    let mut payload = vec![if first { 0x90 } else { 0x80 }, 0x80, 0x80, 0, u8::from(!(first && key))];
    payload.resize(size.max(5), 0x5a);
    payload.into()
}
