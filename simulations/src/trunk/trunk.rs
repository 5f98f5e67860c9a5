//! One trunk: two QUIC endpoints, a connection, and a link at each end or raw datagrams in its place.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use origo_cascade_core::MediaKind;
use origo_cascade_core::link::{Class, Dropped, Flow, Input, Link, Output, Packet, Received, Stats};
use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, Dir, EcnCodepoint, Endpoint, EndpointConfig, Event, StreamEvent,
};

use super::control::{Allowed, Control, ends};
use super::crowd::{Crowd, Media};
use super::world::{Clock, Net};

/// UDP payloads that one call gives at most, as quinn's driver asks for.
const BATCH: usize = 10;

/// What a trunk carries, and how.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Who decides.
    pub control: Control,
    /// What is sent; none is a download: a stream as fast as it goes.
    pub media: Option<Media>,
    /// The rate that is configured.
    pub rate_mbps: Option<f64>,
    /// The link's thread stands still for so many ms once in so many ms.
    pub stalls_ms: Option<(f64, f64)>,
}

struct End {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    link: Option<Link>,
    link_at: u64,
    allowed: Arc<Allowed>,
    queued: usize,
}

/// See the module. Side 0 sends media, side 1 receives it.
pub struct Trunk {
    /// What it is.
    pub setup: Setup,
    /// Publishers; `None` until the connection is up, and of a download.
    pub crowd: Option<Crowd>,
    /// When the connection was up, ns.
    pub up_at: Option<u64>,
    /// Bytes that a download brought.
    pub downloaded: u64,
    /// Datagrams that QUIC's queue threw away unsent.
    pub discarded: u64,
    /// Publishers stop then, ns.
    pub stops_at: u64,
    clock: Clock,
    number: usize,
    rtt: Duration,
    ends: [End; 2],
    download: Option<quinn_proto::StreamId>,
}

impl Trunk {
    /// A trunk that begins to connect.
    pub fn new(clock: Clock, number: usize, setup: Setup, rtt: Duration, seed: u64) -> anyhow::Result<Self> {
        let allowed = [Arc::new(Allowed::default()), Arc::new(Allowed::default())];
        allowed.iter().for_each(|allowed| allowed.set(0, true));
        let (client, server) = ends(setup.control, rtt, &allowed)?;
        let config = Arc::new(EndpointConfig::default());
        let mut dice = [number as u8; 32];
        dice[..8].copy_from_slice(&seed.to_le_bytes());
        let mut endpoints = [
            Endpoint::new(Arc::clone(&config), None, true, Some(dice)),
            Endpoint::new(config, Some(server), true, Some(dice)),
        ];
        let connected = endpoints[0].connect(clock.at(0), client, address(1), "node")?;
        let mut connection = Some(connected);
        let mut sides = endpoints.into_iter().zip(allowed).map(|(endpoint, allowed)| End {
            endpoint,
            connection: connection.take(),
            link: None,
            link_at: u64::MAX,
            allowed,
            queued: 0,
        });
        let ends = [sides.next().expect("two"), sides.next().expect("two")];
        let (crowd, up_at, download) = (None, None, None);
        let (downloaded, discarded, stops_at) = (0, 0, u64::MAX);
        Ok(Self { setup, crowd, up_at, downloaded, discarded, stops_at, clock, number, rtt, ends, download })
    }

    /// What the sending link counted.
    pub fn stats(&self, side: usize) -> (Stats, Dropped) {
        self.ends[side].link.as_ref().map(|link| (link.stats().clone(), *link.dropped())).unwrap_or_default()
    }

    /// What the sending link may send, Mb/s.
    pub fn allowed_mbps(&self) -> f64 {
        self.ends[0].link.as_ref().and_then(Link::allowed_bps).map_or(f64::NAN, |bps| bps as f64 / 1e6)
    }

    /// Marks of congestion that the sender's controller was told of.
    pub fn marks_told(&self) -> u64 {
        self.ends[0].allowed.marks.load(Ordering::Relaxed)
    }

    /// A UDP payload came.
    pub fn arrive(&mut self, now: u64, side: usize, ecn: EcnCodepoint, bytes: BytesMut, net: &mut Net) {
        let (at, from) = (self.clock.at(now), address(1 - side));
        let end = &mut self.ends[side];
        let mut answer = Vec::new();
        match end.endpoint.handle(at, from, None, Some(ecn), bytes, &mut answer) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut end.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                end.connection = end.endpoint.accept(incoming, at, &mut answer, None).ok();
            }
            Some(DatagramEvent::Response(response)) => {
                net.send(now, self.number, side, &answer[..response.size], response.ecn);
            }
            None => {}
        }
    }

    /// When something is to be done next, ns.
    pub fn next_at(&mut self, now: u64) -> u64 {
        let crowd = self.published_at();
        let crowd = if crowd >= self.stops_at { u64::MAX } else { crowd };
        let clock = self.clock;
        let of_end = |end: &mut End| {
            let timer = end.connection.as_mut().and_then(|(_, connection)| connection.poll_timeout());
            timer.map_or(u64::MAX, |at| clock.timer(at)).min(end.link_at).max(now)
        };
        let [one, other] = &mut self.ends;
        crowd.min(of_end(one)).min(of_end(other))
    }

    /// Fires timers, and takes what publishers send. Gives how many events that were.
    pub fn wake(&mut self, now: u64) -> u64 {
        let (at, mut events) = (self.clock.at(now), 0);
        for side in 0..2 {
            let end = &mut self.ends[side];
            if let Some((_, connection)) = &mut end.connection
                && connection.poll_timeout().is_some_and(|timer| self.clock.timer(timer) <= now)
            {
                connection.handle_timeout(at);
                events += 1;
            }
            if end.link_at <= now {
                self.link_input(now, side, Input::Timeout);
                events += 1;
            }
        }
        if now < self.stops_at && self.published_at() <= now {
            events += self.publish(now, at);
        }
        events
    }

    /// When publishers' packets get to the link next: not while its thread stands still.
    fn published_at(&self) -> u64 {
        self.crowd.as_ref().map_or(u64::MAX, |crowd| self.stalled(0, crowd.next_at()))
    }

    fn publish(&mut self, now: u64, at: Instant) -> u64 {
        let mut events = 0;
        while let Some((index, class, packet)) = self.crowd.as_mut().and_then(|crowd| crowd.next(now, at)) {
            events += 1;
            if self.setup.control == Control::Link {
                self.link_input(now, 0, Input::Packet { flow: flow(index), class, packet });
            } else {
                self.send_raw(index, &packet);
            }
        }
        events
    }

    /// Everything that can be done now.
    pub fn drive(&mut self, now: u64, net: &mut Net) {
        loop {
            let done = self.drive_end(now, 0, net) | self.drive_end(now, 1, net);
            if !done {
                break;
            }
        }
    }

    fn drive_end(&mut self, now: u64, side: usize, net: &mut Net) -> bool {
        let mut done = self.transmit(now, side, net);
        let end = &mut self.ends[side];
        let Some((handle, connection)) = &mut end.connection else { return done };
        while let Some(event) = connection.poll_endpoint_events() {
            done = true;
            if let Some(event) = end.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        let mut connected = false;
        while let Some(event) = connection.poll() {
            done = true;
            match event {
                Event::Connected => connected = true,
                Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                    self.download = self.download.or(connection.streams().accept(Dir::Uni));
                }
                _ => {}
            }
        }
        if connected {
            self.connected(now, side);
        }
        done |= self.read(now, side);
        self.move_download(side);
        self.tell_queue(now, side);
        done
    }

    fn transmit(&mut self, now: u64, side: usize, net: &mut Net) -> bool {
        let Some((_, connection)) = &mut self.ends[side].connection else { return false };
        let mut done = false;
        let mut bytes = Vec::new();
        while let Some(transmit) = connection.poll_transmit(self.clock.at(now), BATCH, &mut bytes) {
            done = true;
            for payload in bytes[..transmit.size].chunks(transmit.segment_size.unwrap_or(transmit.size)) {
                net.send(now, self.number, side, payload, transmit.ecn);
            }
            bytes.clear();
        }
        done
    }

    fn connected(&mut self, now: u64, side: usize) {
        let at = self.clock.at(now);
        if side == 0 {
            self.up_at = Some(now);
            self.crowd = self.setup.media.map(|media| Crowd::new(media, now));
        }
        if self.setup.control == Control::Link {
            self.ends[side].link = Some(Link::new(at));
            let rate_bps = self.setup.rate_mbps.map(|mbps| (mbps * 1e6) as u64);
            self.link_input(now, side, Input::Up { rtt: self.rtt, rate_bps });
            // Both ends know the layers; that is the control connection's work.
            let Some(media) = self.setup.media else { return };
            for (index, layer) in Crowd::new(media, now).layers().enumerate() {
                let (flow, sink) = (flow(index), index);
                self.link_input(
                    now,
                    side,
                    match side {
                        0 => Input::Serve { flow, layer, kind: MediaKind::Video, in_stream: false, sink },
                        _ => Input::Receive { flow, layer, sink },
                    },
                );
            }
        }
    }

    fn read(&mut self, now: u64, side: usize) -> bool {
        let mut done = false;
        while let Some(datagram) = self.ends[side].connection.as_mut().and_then(|(_, it)| it.datagrams().recv()) {
            done = true;
            if self.setup.control == Control::Link {
                self.link_input(now, side, Input::Datagram(datagram.into()));
            } else if let Some(crowd) = &mut self.crowd {
                let index = u16::from_be_bytes([datagram[0], datagram[1]]);
                let number = u16::from_be_bytes([datagram[2], datagram[3]]);
                crowd.arrive(now, index.into(), number.into());
            }
        }
        done
    }

    fn link_input(&mut self, now: u64, side: usize, input: Input) {
        let Some(link) = &mut self.ends[side].link else { return };
        link.handle_input(self.clock.at(now), input);
        loop {
            let Some(link) = &mut self.ends[side].link else { return };
            match link.poll_output() {
                Output::Transmit(datagram) => self.send_datagram(side, datagram.to_bytes()),
                Output::Allow { bps, silent } => self.ends[side].allowed.set(bps, silent),
                // Nobody in here has another way to go.
                Output::Hearing { .. } => {}
                Output::Received { sink, received, .. } => self.take(now, sink, &received),
                Output::Timeout(at) => {
                    self.ends[side].link_at = self.stalled(side, self.clock.timer(at).max(now));
                    return;
                }
            }
        }
    }

    /// When the link's thread really wakes.
    fn stalled(&self, side: usize, at: u64) -> u64 {
        let Some((stall_ms, every_ms)) = self.setup.stalls_ms.filter(|_| side == 0 && at < u64::MAX) else { return at };
        let (stall, every) = ((stall_ms * 1e6) as u64, (every_ms * 1e6) as u64);
        let into = at % every;
        if into < stall { at - into + stall } else { at }
    }

    fn take(&mut self, now: u64, sink: usize, received: &Received) {
        let Some(crowd) = &mut self.crowd else { return };
        match received {
            Received::Packet { packet, .. } => crowd.arrive(now, sink, packet.sequence),
            Received::Keyframe { layer } => crowd.ask_keyframe(*layer),
            Received::SenderReport { .. } => {}
        }
    }

    fn send_raw(&mut self, index: usize, packet: &Packet) {
        let mut datagram = BytesMut::with_capacity(packet.payload.len());
        datagram.put_u16(index as u16);
        datagram.put_u16(packet.sequence as u16);
        datagram.put_slice(&packet.payload[4..]);
        self.send_datagram(0, datagram.freeze());
    }

    fn send_datagram(&mut self, side: usize, datagram: Bytes) {
        let Some((_, connection)) = &mut self.ends[side].connection else { return };
        let mut datagrams = connection.datagrams();
        let is_full = datagrams.send_buffer_space() < datagram.len();
        self.discarded += u64::from(side == 0 && is_full);
        if is_full && self.setup.control == Control::Link {
            return;
        }
        let _ = datagrams.send(datagram, true);
    }

    /// Tells the link what QUIC has not sent.
    fn tell_queue(&mut self, now: u64, side: usize) {
        let size = self.setup.control.send_buffer();
        let end = &mut self.ends[side];
        let Some((_, connection)) = end.connection.as_mut().filter(|_| end.link.is_some()) else { return };
        let queued = size - connection.datagrams().send_buffer_space().min(size);
        if queued != end.queued {
            end.queued = queued;
            self.link_input(now, side, Input::Queued(queued));
        }
    }

    /// A download writes as much as QUIC takes, and is read as it comes.
    fn move_download(&mut self, side: usize) {
        if self.setup.media.is_some() || self.up_at.is_none() {
            return;
        }
        let Some((_, connection)) = &mut self.ends[side].connection else { return };
        if side == 0 {
            if self.download.is_none() {
                self.download = connection.streams().open(Dir::Uni);
            }
            let Some(id) = self.download else { return };
            while connection.send_stream(id).write(&[0; 16 << 10]).is_ok_and(|written| written > 0) {}
        } else if let Some(id) = self.download {
            let mut stream = connection.recv_stream(id);
            let Ok(mut chunks) = stream.read(false) else { return };
            while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                self.downloaded += chunk.bytes.len() as u64;
            }
            let _ = chunks.finalize();
        }
    }

    /// Classes that pictures are sent in.
    pub const PICTURES: [Class; 2] = [Class::Base, Class::Enhancement];
}

fn flow(index: usize) -> Flow {
    Flow(index as u32 + 1)
}

fn address(side: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, side as u8 + 1], 1))
}
