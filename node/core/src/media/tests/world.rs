//! A worker and str0m clients in virtual time, joined by a network without delay or loss.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use origo_auth::{ParticipantSid, RoomKey, TrackSid};
use origo_cascade_core::link::{self, Received};
use str0m::Input as RtcInput;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, Ssrc};

use super::connection::Connection;
use super::line::Line;
use crate::media::{
    Command, Egress, Event, Input, OpenSession, Output, Redundancy, Sections, Target, Transport, Worker, WorkerConfig,
};
use crate::spread::{Settings, Spread};
use crate::{SessionId, worker_of};

/// Sounds that a client gets at once.
pub const LOUDEST: usize = 3;

/// Sounds and pictures for which a client has sections, as a node has it unless told otherwise.
pub const LISTED: Sections = Sections { sounds: 50, pictures: 50 };

pub fn server() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7_883))
}

/// Where a worker of the node is reached.
pub fn server_of(worker: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7_883 + worker as u16))
}

fn worker((egress, bwe): (Egress, bool), place: (usize, usize), now: Instant) -> Worker {
    let address = server_of(place.0);
    let (addresses, tcp_addresses) = (vec![address], vec![address]);
    Worker::new(WorkerConfig { addresses, tcp_addresses, bwe, egress, loudest: LOUDEST, sections: LISTED, place }, now)
}

/// A room that begins on the first of so many workers.
pub fn room_on_first(workers: usize) -> RoomKey {
    let mut rooms = (0..).map(|number: u32| RoomKey::new("p", format!("room {number}")));
    rooms.find(|room| worker_of(room, workers) == 0).expect("one of them")
}

pub fn sid(letter: char) -> TrackSid {
    format!("TR_{}", letter.to_string().repeat(12)).parse().unwrap()
}

/// A client's session: one connection in v1, two in v0.
pub struct Client {
    pub id: SessionId,
    /// Publisher (or single) connection, then the subscriber connection.
    pub connections: Vec<Connection>,
    pub tracks_by_mid: BTreeMap<String, TrackSid>,
    pub last_answer: String,
    pub last_offer: String,
    pub offers: u32,
    /// v1: sections on which it would receive. str0m forgets that once they were answered inactive; browsers do not.
    receiving: Vec<Mid>,
}

/// Everything.
pub struct World {
    pub now: Instant,
    pub worker: Worker,
    /// Further workers of the same node.
    pub others: Vec<Worker>,
    pub spread: Spread,
    /// How many packets went from one worker to another, and how many batches.
    pub handed: (usize, usize),
    pub clients: Vec<Client>,
    pub events: Vec<Event>,
    pub sends: Vec<link::Send>,
    /// Clients answer v0 offers and give v1 offers when asked.
    pub signaling: bool,
    /// What publishers allow of their sound.
    pub redundancy: Redundancy,
    /// Whether clients who join from now on know sound with redundancy.
    pub takes_redundancy: bool,
    /// The same of VP9.
    pub takes_vp9: bool,
    /// What clients subscribe to from now on they ask for by name.
    pub asks: bool,
    /// Who publishes it.
    pub publisher: ParticipantSid,
    /// It is shared screens.
    pub screens: bool,
    /// Clients who join from now on are told TCP alone.
    pub tcp_only: bool,
    /// Each so-many-th datagram to the clients is lost.
    pub lose_every: Option<usize>,
    /// Nothing that is sent there comes.
    pub deaf: Option<SocketAddr>,
    /// The codec of what is published, by client and section.
    pub formats: BTreeMap<(usize, Mid), str0m::format::Codec>,
    /// The index of each RTCP packet to a client, by where it went.
    pub control_indexes: BTreeMap<SocketAddr, Vec<u32>>,
    /// Each send: when, to whom, and how many datagrams it carried.
    pub sends_made: Vec<(Instant, SocketAddr, usize)>,
    /// RTCP of clients.
    pub control_said: Vec<(SocketAddr, Vec<u8>)>,
    delivered: usize,
    wire: VecDeque<(SocketAddr, Vec<u8>)>,
    /// What all clients' networks let through.
    transport: Transport,
    /// Where the way to one connection is long and narrow.
    line: Option<(SocketAddr, Line)>,
    /// How long a step of time is.
    tick: Duration,
}

impl World {
    pub fn new() -> Self {
        Self::with(false)
    }

    /// All clients' networks let TCP through alone.
    pub fn over_tcp() -> Self {
        let mut world = Self::new();
        world.transport = Transport::Tcp;
        world
    }

    /// A node of several workers, each of which has room for so much ([`Settings::at`]).
    pub fn of(workers: usize, at: usize) -> Self {
        let mut world = Self::new();
        world.worker = worker((super::EGRESS, false), (0, workers), world.now);
        world.others = (1..workers).map(|index| worker((super::EGRESS, false), (index, workers), world.now)).collect();
        world.spread = Spread::new(Settings { workers, at });
        world
    }

    pub fn with(bwe: bool) -> Self {
        Self::on(super::EGRESS, bwe)
    }

    /// The same by a way out.
    pub fn on(egress: Egress, bwe: bool) -> Self {
        // str0m takes the first instant it sees as the beginning of time.
        let now = Instant::now();
        Self {
            now,
            worker: worker((egress, bwe), (0, 1), now),
            others: Vec::new(),
            spread: Spread::new(Settings { workers: 1, at: usize::MAX }),
            handed: (0, 0),
            clients: Vec::new(),
            events: Vec::new(),
            sends: Vec::new(),
            signaling: true,
            redundancy: Redundancy::Allowed,
            takes_redundancy: false,
            takes_vp9: true,
            asks: false,
            publisher: "PA_abcdefghjkmn".parse().unwrap(),
            screens: false,
            tcp_only: false,
            lose_every: None,
            deaf: None,
            formats: BTreeMap::new(),
            control_indexes: BTreeMap::new(),
            sends_made: Vec::new(),
            control_said: Vec::new(),
            delivered: 0,
            wire: VecDeque::new(),
            transport: Transport::Udp,
            line: None,
            // The estimator's probes are as long as a few large steps: those would spoil what it measures.
            tick: Duration::from_millis(if bwe { 1 } else { 5 }),
        }
    }

    /// Lets time pass in steps of a millisecond from now on.
    pub fn slowly(&mut self) {
        self.tick = Duration::from_millis(1);
    }

    /// Puts a line between the node and the connection on which a client receives.
    pub fn narrow(&mut self, client: usize) {
        self.line = Some((self.receiver(client).address, Line::default()));
    }

    /// That line.
    pub fn line(&mut self) -> &mut Line {
        &mut self.line.as_mut().expect("narrowed").1
    }

    /// A client joins; v1 with its placeholder sections and channels in the first offer.
    pub fn join(&mut self, single: bool) -> usize {
        self.join_as(single, false, false)
    }

    /// The same with a client that lets pictures be paused.
    pub fn join_with(&mut self, single: bool, may_pause: bool) -> usize {
        self.join_as(single, false, may_pause)
    }

    /// A client that offers once, with the same sections.
    pub fn join_with_fixed_sections(&mut self) -> usize {
        self.join_as(true, true, false)
    }

    fn join_as(&mut self, single: bool, fixed_sections: bool, may_pause: bool) -> usize {
        let index = self.clients.len();
        let id = SessionId(index as u64 + 1);
        let port = 20_000 + index as u16 * 2;
        let connections = (0..if single { 1 } else { 2 })
            .map(|i| Connection::new(self.now, port + i, self.transport, (self.takes_redundancy, self.takes_vp9)));
        let last = String::new();
        self.clients.push(Client {
            id,
            connections: connections.collect(),
            tracks_by_mid: BTreeMap::new(),
            last_answer: last.clone(),
            last_offer: last,
            offers: 0,
            receiving: Vec::new(),
        });
        self.command(Command::Open(OpenSession {
            session: id,
            single_connection: single,
            ice_lite: true,
            fixed_sections,
            tcp_only: self.tcp_only,
            may_pause,
        }));
        if single {
            self.add_sections(index, 3, 3);
        }
        index
    }

    fn add_sections(&mut self, client: usize, audios: u32, videos: u32) {
        let first = self.clients[client].offers == 0;
        let added = self.offer(client, |api| {
            for label in ["_reliable", "_lossy"].into_iter().filter(|_| first) {
                api.add_channel(label.to_owned());
            }
            let kinds = [(MediaKind::Audio, audios), (MediaKind::Video, videos)];
            let kinds = kinds.into_iter().flat_map(|(kind, count)| (0..count).map(move |_| kind));
            kinds.map(|kind| api.add_media(kind, Direction::RecvOnly, None, None, None)).collect::<Vec<_>>()
        });
        self.clients[client].receiving.extend(added);
    }

    /// The client makes an offer on its publisher (or single) connection.
    pub fn offer<T>(&mut self, client: usize, change: impl FnOnce(&mut str0m::change::SdpApi<'_>) -> T) -> T {
        let client = &mut self.clients[client];
        let connection = &mut client.connections[0];
        let mut api = connection.rtc.sdp_api();
        client.receiving.iter().for_each(|&mid| api.set_direction(mid, Direction::RecvOnly));
        let value = change(&mut api);
        let (offer, pending) = api.apply().expect("something to offer");
        connection.pending = Some(pending);
        client.offers += 1;
        client.last_offer = offer.to_sdp_string();
        let offer = Command::Offer { session: client.id, id: client.offers, sdp: client.last_offer.clone() };
        self.command(offer);
        value
    }

    /// Asks as the rooms do. The room begins on the first worker.
    pub fn command(&mut self, command: Command) {
        let (room, mut given) = (room_on_first(1 + self.others.len()), Vec::new());
        self.spread.take(&room, command, |worker, command| given.push((worker, command)));
        for (worker, command) in given {
            self.input(worker, Input::Command(command));
        }
    }

    fn input(&mut self, worker: usize, input: Input<'_>) {
        let now = self.now;
        self.at(worker).handle_input(now, input);
    }

    /// A worker by its number.
    pub fn at(&mut self, worker: usize) -> &mut Worker {
        worker.checked_sub(1).map_or(&mut self.worker, |other| &mut self.others[other])
    }

    /// The worker of a client's connection.
    fn seat(&self, address: SocketAddr) -> usize {
        let of_it = |client: &&Client| client.connections.iter().any(|connection| connection.public == address);
        let client = self.clients.iter().find(of_it);
        client.and_then(|client| self.spread.seat(client.id)).unwrap_or(0)
    }

    /// Lets time pass in small steps; clients and the worker talk all the while.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += self.tick;
            self.step();
        }
    }

    pub fn run_ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    pub fn datagram(&mut self, source: SocketAddr, contents: &[u8]) {
        self.worker.handle_input(
            self.now,
            Input::Datagram { source, transport: Transport::Udp, destination: server(), contents },
        );
    }

    pub fn link(&mut self, received: Received) {
        self.worker.handle_input(self.now, Input::Link(vec![received]));
    }

    fn step(&mut self) {
        for connection in self.clients.iter_mut().flat_map(|client| &mut client.connections) {
            connection.rtc.handle_input(RtcInput::Timeout(self.now)).unwrap();
            connection.poll(&mut self.wire);
        }
        if let Some((address, line)) = &mut self.line {
            while let Some(datagram) = line.arrived(self.now) {
                let sent = (Transport::Udp, &datagram[..]);
                deliver(&mut self.clients, self.now, (server(), *address), sent, &mut self.wire);
            }
        }
        (0..=self.others.len()).for_each(|worker| self.input(worker, Input::Timeout));
        for _ in 0..20 {
            while let Some((source, contents)) = self.wire.pop_front() {
                if let [128..=191, 192..=223, ..] = contents[..] {
                    self.control_said.push((source, contents.clone()));
                }
                let (worker, transport) = (self.seat(source), self.transport);
                let datagram =
                    Input::Datagram { source, transport, destination: server_of(worker), contents: &contents };
                self.input(worker, datagram);
            }
            (0..=self.others.len()).for_each(|worker| self.input(worker, Input::BurstEnd));
            let mut passed = false;
            for worker in 0..=self.others.len() {
                passed |= self.drain(worker);
            }
            if self.wire.is_empty() && !passed {
                return;
            }
        }
    }

    /// Takes what comes out of a worker. Says whether something is for another one.
    fn drain(&mut self, worker: usize) -> bool {
        let (mut signals, mut passed) = (Vec::new(), Vec::new());
        loop {
            let polled = worker.checked_sub(1).map_or(&mut self.worker, |other| &mut self.others[other]);
            match polled.poll_output() {
                Output::Timeout(_) => break,
                Output::Transmit(transmit) => {
                    let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
                    let datagrams = transmit.contents.len().div_ceil(segment);
                    self.sends_made.push((self.now, transmit.destination, datagrams));
                    for contents in transmit.contents.chunks(segment) {
                        self.delivered += 1;
                        if let ([128..=191, 192..=223, ..], Some(index)) = (contents, contents.last_chunk()) {
                            let index = u32::from_be_bytes(*index) & !(1 << 31);
                            self.control_indexes.entry(transmit.destination).or_default().push(index);
                        }
                        if self.deaf == Some(transmit.destination) {
                            continue;
                        }
                        if self.lose_every.is_some_and(|every| self.delivered.is_multiple_of(every)) {
                            continue;
                        }
                        if let Some((_, line)) = self.line.as_mut().filter(|line| line.0 == transmit.destination) {
                            line.take(self.now, contents);
                            continue;
                        }
                        let sent = (transmit.transport, contents);
                        let (from, to) = (server_of(worker), transmit.destination);
                        deliver(&mut self.clients, self.now, (from, to), sent, &mut self.wire);
                    }
                }
                Output::Sibling { to, batch } => {
                    self.handed.0 += batch.iter().filter(|one| matches!(one, Received::Packet { .. })).count();
                    self.handed.1 += 1;
                    passed.push((to, Input::Sibling(batch)));
                }
                Output::Ask { to, ask } => passed.push((to, Input::Command(Command::Sibling(ask)))),
                Output::Event(event) => {
                    self.spread.heard(&event);
                    signals.push(event.clone());
                    self.events.push(event);
                }
                Output::Link(sends) => self.sends.extend(sends),
            }
        }
        signals.into_iter().for_each(|event| self.signal(event));
        let any = !passed.is_empty();
        for (to, input) in passed {
            self.input(to, input);
        }
        any
    }

    fn signal(&mut self, event: Event) {
        match event {
            Event::Answer { session, sdp, tracks_by_mid, id } => {
                let client = &mut self.clients[session.0 as usize - 1];
                assert_eq!(id, client.offers);
                client.last_answer = sdp.clone();
                client.tracks_by_mid = tracks_by_mid;
                let connection = &mut client.connections[0];
                let answer = SdpAnswer::from_sdp_string(&sdp).unwrap();
                let pending = connection.pending.take().unwrap();
                connection.rtc.sdp_api().accept_answer(pending, answer).unwrap();
                connection.poll(&mut self.wire);
            }
            Event::Offer { session, id, sdp, tracks_by_mid } => {
                let client = &mut self.clients[session.0 as usize - 1];
                client.tracks_by_mid = tracks_by_mid;
                client.last_offer = sdp.clone();
                if !self.signaling {
                    return;
                }
                let connection = &mut client.connections[1];
                let offer = SdpOffer::from_sdp_string(&sdp).unwrap();
                let answer = connection.rtc.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
                connection.poll(&mut self.wire);
                self.command(Command::Answer { session, id, sdp: answer });
            }
            Event::SectionsNeeded { session, audios, videos } if self.signaling => {
                let index = session.0 as usize - 1;
                self.add_sections(index, audios, videos);
            }
            _ => {}
        }
    }

    pub fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| matches(event)).count()
    }

    /// The connection on which a client receives.
    pub fn receiver(&self, client: usize) -> &Connection {
        self.clients[client].connections.last().unwrap()
    }

    /// What a client received on the section of a track.
    pub fn received(&self, client: usize, letter: char) -> Vec<&RtpPacket> {
        let client = &self.clients[client];
        let connection = client.connections.last().unwrap();
        let mid =
            client.tracks_by_mid.iter().find(|(_, track)| **track == sid(letter)).map(|(mid, _)| Mid::from(&**mid));
        // Once the client has acknowledged an SSRC, its packets no longer say their section.
        let of = |packet: &&RtpPacket| mid.is_some() && packet.header.ext_vals.mid == mid;
        let ssrcs: Vec<Ssrc> = connection.packets.iter().filter(of).map(|packet| packet.header.ssrc).collect();
        connection.packets.iter().filter(|packet| ssrcs.contains(&packet.header.ssrc)).collect()
    }

    /// The client asks for a keyframe of what it receives.
    pub fn ask_keyframe(&mut self, client: usize, letter: char) {
        let ssrc: Ssrc = self.received(client, letter)[0].header.ssrc;
        let connection = self.clients[client].connections.last_mut().unwrap();
        connection.rtc.direct_api().stream_rx(&ssrc).unwrap().request_keyframe(str0m::media::KeyframeRequestKind::Pli);
    }

    pub fn is_connected(&self, client: usize, target: Target) -> bool {
        let session = self.clients[client].id;
        self.events.contains(&Event::Connected { session, target })
    }
}

fn deliver(
    clients: &mut [Client],
    now: Instant,
    (from, destination): (SocketAddr, SocketAddr),
    (transport, contents): (Transport, &[u8]),
    wire: &mut VecDeque<(SocketAddr, Vec<u8>)>,
) {
    let mut connections = clients.iter_mut().flat_map(|client| &mut client.connections);
    let Some(connection) = connections.find(|connection| connection.public == destination) else { return };
    let protocol = if transport == Transport::Udp { Protocol::Udp } else { Protocol::Tcp };
    let receive = Receive::new(protocol, from, connection.address, contents).unwrap();
    connection.rtc.handle_input(RtcInput::Receive(now, receive)).unwrap();
    connection.poll(wire);
}
