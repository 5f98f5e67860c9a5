//! The participant's core: takes signaling, datagrams and time, gives what to send and what to tell.
//!
//! Drain rule: handle one input, then poll until [`Output::Timeout`], then wait.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message as Request;
use str0m::rtp::Ssrc;

use crate::description::Descriptions;
use crate::event::Event;
use crate::options::{AudioOptions, Options, VideoOptions};
use crate::peer::{Additions, Peer, PeerOutput};
use crate::publication::{Content, Publication};
use crate::pulse::{self, Pulse};
use crate::reception::{Packet, Reception, TrackReport};
use crate::source::Source;
use crate::totals::Totals;

/// Placeholder sections of each kind in v1's first offer, as `livekit-client` has them.
const PLACEHOLDERS: u32 = 3;
/// Data packets that wait for their channel.
const DATA_QUEUE_MAX: usize = 1024;
/// After the end of its media a server's word about why may still be on its way.
const LAST_WORD_WAIT: Duration = Duration::from_secs(2);
/// Wake-ups of an idle session.
const IDLE: Duration = Duration::from_secs(5);
/// With v1 the one connection; with v0 the one that we send on.
pub(crate) const PUBLISHER: usize = 0;
/// With v0 the one that we receive on.
pub(crate) const SUBSCRIBER: usize = 1;

/// What a session takes in.
pub enum Input<'a> {
    /// A message of the server.
    Signal(Box<proto::SignalResponse>),
    /// The server has closed the signaling socket.
    SignalClosed(String),
    /// The signaling socket broke.
    SignalBroken(String),
    /// A datagram came on the socket of a connection.
    Datagram {
        /// Index of the connection, as in [`Session::new`]'s addresses.
        connection: usize,
        /// Who sent it.
        from: SocketAddr,
        /// What came.
        datagram: &'a [u8],
    },
    /// The owner wants something.
    Command(Command),
    /// The instant of the last [`Output::Timeout`] has come.
    Timeout,
}

/// What an owner may ask.
#[derive(Clone, Debug)]
pub enum Command {
    /// Publish a microphone under that name.
    PublishAudio(String, AudioOptions),
    /// Publish a camera under that name.
    PublishVideo(String, VideoOptions),
    /// Send a data packet to the room.
    SendData {
        /// On the reliable channel.
        reliable: bool,
        /// What it says; its sequence is set here.
        packet: Box<proto::DataPacket>,
    },
    /// Make no packets of the published tracks, as a camera that sees nothing new.
    Pause,
    /// Make packets again.
    Resume,
    /// Make so many frames of the published cameras in a second from now on.
    SetFps(u32),
    /// Send any signaling request.
    Request(Box<proto::SignalRequest>),
    /// Say goodbye and end.
    Leave,
}

/// What a session gives. Poll until `Timeout`.
pub enum Output {
    /// Send this to the server.
    Signal(Box<proto::SignalRequest>),
    /// Send this datagram from the socket of that connection.
    Transmit(usize, str0m::net::Transmit),
    /// News for the owner.
    Event(Event),
    /// The session is over; drop it once its outputs are done.
    Closed,
    /// Nothing more to do until then.
    Timeout(Instant),
}

/// One participant.
pub struct Session {
    pub(crate) single_connection: bool,
    pub(crate) record: bool,
    pub(crate) peers: Vec<Peer>,
    pub(crate) publications: Vec<Publication>,
    pub(crate) receptions: Vec<Reception>,
    pub(crate) reception_by_ssrc: BTreeMap<Ssrc, usize>,
    /// What the server's newest SDP announces.
    pub(crate) mid_by_ssrc: BTreeMap<u32, String>,
    /// What the server has described so far.
    pub(crate) descriptions: Descriptions,
    pub(crate) additions: (u32, u32),
    pub(crate) offer_wanted: bool,
    pub(crate) joined: bool,
    pub(crate) closed: bool,
    pub(crate) ping_interval: Option<Duration>,
    next_ping_at: Instant,
    dies_silently: bool,
    /// What the server says about pings that stay unanswered, and when it last said anything.
    pub(crate) ping_timeout: Option<Duration>,
    signal_heard_at: Instant,
    watch: Option<Watch>,
    /// When the session ends for want of a media connection, and why.
    ends_at: Option<(Instant, String)>,
    outputs: VecDeque<Output>,
    drained: VecDeque<PeerOutput>,
    data: VecDeque<(bool, Vec<u8>)>,
    next_sequence: u32,
    epoch: (Instant, u64),
}

/// Looks at what comes of the server.
#[derive(Debug)]
struct Watch {
    pulse: Pulse,
    came: bool,
    next_at: Instant,
}

impl Session {
    /// A session with one local address per connection: one for v1, two for v0. `unix_us` is the wall clock at `now`,
    /// by which delays are measured between processes.
    pub fn new(
        options: &Options,
        local: &[SocketAddr],
        now: Instant,
        unix_us: u64,
    ) -> Result<Self, str0m::error::IceError> {
        let peers = local.iter().map(|&address| Peer::new(address, options.light, now)).collect::<Result<_, _>>()?;
        Ok(Self {
            single_connection: options.single_connection,
            record: options.record,
            peers,
            publications: Vec::new(),
            receptions: Vec::new(),
            reception_by_ssrc: BTreeMap::new(),
            mid_by_ssrc: BTreeMap::new(),
            descriptions: Descriptions::default(),
            additions: (0, 0),
            offer_wanted: false,
            joined: false,
            closed: false,
            ping_interval: None,
            next_ping_at: now + IDLE,
            dies_silently: options.dies_silently,
            ping_timeout: None,
            signal_heard_at: now,
            watch: options.watches.then(|| Watch { pulse: Pulse::default(), came: false, next_at: now + pulse::TICK }),
            ends_at: None,
            outputs: VecDeque::new(),
            drained: VecDeque::new(),
            data: VecDeque::new(),
            next_sequence: 1,
            epoch: (now, unix_us),
        })
    }

    /// v1: the offer that rides in the join request. To be called once, before anything else.
    pub fn first_offer(&mut self) -> Option<proto::SessionDescription> {
        let additions = Additions {
            receiving_audios: PLACEHOLDERS,
            receiving_videos: PLACEHOLDERS,
            channels: true,
            ..Default::default()
        };
        let (id, sdp, _) = self.peers[PUBLISHER].offer(&additions)?;
        Some(proto::SessionDescription { r#type: "offer".to_owned(), sdp, id, ..Default::default() })
    }

    /// Takes one input. Afterwards poll until [`Output::Timeout`].
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Signal(message) => {
                self.signal_heard_at = now;
                self.handle_signal(now, *message);
            }
            Input::SignalClosed(reason) => self.close(reason),
            Input::SignalBroken(reason) if self.dies_silently && self.joined => self.tell(Event::SignalLost { reason }),
            Input::SignalBroken(reason) => self.close(reason),
            Input::Datagram { connection, from, datagram } => {
                if let Some(watch) = &mut self.watch {
                    watch.came = true;
                }
                if self.handle_light(connection, now, from, datagram) {
                    return;
                }
                if let Some(peer) = self.peers.get_mut(connection) {
                    peer.handle_datagram(now, from, datagram);
                }
                self.drain(connection, now);
                return;
            }
            Input::Command(command) => self.handle_command(now, command),
            Input::Timeout => self.handle_timeout(now),
        }
        for connection in 0..self.peers.len() {
            self.drain(connection, now);
        }
    }

    /// Gives the next thing to do, and last the time to come back.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let connections = self.peers.iter().map(Peer::timeout);
        let frames = self.publications.iter().filter_map(|publication| publication.source()?.next_at());
        let end = self.ends_at.iter().map(|(at, _)| *at).chain(self.unanswered_at());
        let look = self.watch.iter().map(|watch| watch.next_at);
        Output::Timeout(connections.chain(frames).chain(end).chain(look).fold(self.next_ping_at, Instant::min))
    }

    /// What came of each subscribed track so far.
    pub fn report(&self, now: Instant) -> Vec<TrackReport> {
        self.receptions.iter().map(|reception| reception.report(now)).collect()
    }

    /// The sums of what came and went so far.
    pub fn totals(&self) -> Totals {
        let sources = self.publications.iter().filter_map(Publication::source);
        let sent = sources.flat_map(Source::sent).map(u64::from).sum();
        let received = self.receptions.iter().map(Reception::totals);
        received.fold(Totals { sent, ..Default::default() }, |sum, one| sum + one)
    }

    /// Packets made of each published track, by layer, lowest first.
    pub fn sent(&self) -> BTreeMap<String, Vec<u32>> {
        let sent = |publication: &Publication| Some((publication.cid.clone(), publication.source()?.sent()));
        self.publications.iter().filter_map(sent).collect()
    }

    /// When what is in each packet of published sound was captured, unix microseconds, by track; nothing unless that is
    /// recorded.
    pub fn made(&self) -> BTreeMap<String, Vec<u64>> {
        let made = |publication: &Publication| Some((publication.cid.clone(), publication.source()?.made()?.to_vec()));
        self.publications.iter().filter_map(made).collect()
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::PublishAudio(cid, options) => self.publish(cid, Content::Audio(options)),
            Command::PublishVideo(cid, options) => self.publish(cid, Content::Video(options)),
            Command::SendData { reliable, packet } => self.send_data(reliable, *packet),
            Command::Pause => self.sources().for_each(Source::pause),
            Command::Resume => self.sources().for_each(|source| source.resume(now)),
            Command::SetFps(fps) => self.sources().for_each(|source| source.set_fps(fps)),
            Command::Request(request) => self.outputs.push_back(Output::Signal(request)),
            Command::Leave => self.leave(),
        }
    }

    fn sources(&mut self) -> impl Iterator<Item = &mut Source> {
        self.publications.iter_mut().filter_map(Publication::source_mut)
    }

    fn publish(&mut self, cid: String, content: Content) {
        let publication = Publication::new(cid, content);
        self.signal(Request::AddTrack(publication.add_track()));
        self.publications.push(publication);
    }

    fn send_data(&mut self, reliable: bool, mut packet: proto::DataPacket) {
        if reliable {
            packet.sequence = self.next_sequence;
            self.next_sequence += 1;
        }
        if self.data.len() < DATA_QUEUE_MAX {
            self.data.push_back((reliable, packet.encode_to_vec()));
        }
        self.flush_data();
    }

    /// Sends what waits for the channels, in order, as far as they take it.
    fn flush_data(&mut self) {
        while let Some((reliable, message)) = self.data.front() {
            if !self.peers[PUBLISHER].send_data(*reliable, message) {
                return;
            }
            self.data.pop_front();
        }
    }

    fn leave(&mut self) {
        let leave =
            proto::LeaveRequest { reason: proto::DisconnectReason::ClientInitiated as i32, ..Default::default() };
        self.signal(Request::Leave(leave));
        self.close("left".to_owned());
    }

    /// Ends the session, once.
    pub(crate) fn close(&mut self, reason: String) {
        if !std::mem::replace(&mut self.closed, true) {
            self.tell(Event::Closed { reason });
            self.outputs.push_back(Output::Closed);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_ping_at {
            self.ping(now);
        }
        if let Some((_, reason)) = self.ends_at.take_if(|(at, _)| now >= *at) {
            self.close(reason);
        }
        if self.unanswered_at().is_some_and(|at| now >= at) {
            self.close("pings stayed unanswered".to_owned());
        }
        self.look(now);
        for (connection, peer) in self.peers.iter_mut().enumerate() {
            if let Some(feedback) = peer.feedback(now, &self.receptions) {
                self.outputs.push_back(Output::Transmit(connection, feedback));
            }
            if peer.rtc_timeout() <= now {
                peer.handle_timeout(now);
            }
        }
        self.make_frames(now);
        self.flush_data();
    }

    /// When pings will have stayed unanswered for too long, with a server that may die silently.
    fn unanswered_at(&self) -> Option<Instant> {
        let patience = self.ping_timeout.filter(|_| self.dies_silently && !self.closed)?;
        Some(self.signal_heard_at + patience)
    }

    fn look(&mut self, now: Instant) {
        let Some(watch) = self.watch.as_mut().filter(|watch| now >= watch.next_at) else { return };
        watch.next_at = now + pulse::TICK;
        if watch.pulse.look(std::mem::take(&mut watch.came)) {
            let since = watch.pulse.silence();
            self.tell(Event::Silent { since });
        }
    }

    fn ping(&mut self, now: Instant) {
        self.next_ping_at = now + self.ping_interval.unwrap_or(IDLE);
        if self.joined {
            let timestamp = (self.unix_us(now) / 1000) as i64;
            self.signal(Request::Ping(timestamp));
            self.signal(Request::PingReq(proto::Ping { timestamp, rtt: 0 }));
        }
    }

    fn make_frames(&mut self, now: Instant) {
        let unix_us = self.unix_us(now);
        let peer = &mut self.peers[PUBLISHER];
        let mut wrote = false;
        for source in self.publications.iter_mut().filter_map(Publication::source_mut) {
            while source.next_at().is_some_and(|at| at <= now) {
                let mid = source.mid;
                source.make_frame(now, unix_us, |rid, rtp| peer.write(mid, rid, rtp));
                wrote = true;
            }
        }
        if wrote {
            peer.handle_timeout(now);
        }
    }

    /// Takes everything that a connection has to say.
    fn drain(&mut self, connection: usize, now: Instant) {
        let Some(peer) = self.peers.get_mut(connection) else { return };
        let mut drained = std::mem::take(&mut self.drained);
        let result = peer.drain(now, &mut drained);
        for output in drained.drain(..) {
            match output {
                PeerOutput::Transmit(transmit) => self.outputs.push_back(Output::Transmit(connection, transmit)),
                PeerOutput::Event(event) => self.handle_event(connection, now, event),
            }
        }
        self.drained = drained;
        let end = match result {
            Err(error) => format!("the media connection failed: {error}"),
            Ok(()) if self.joined && !self.peers[connection].is_alive() => "the media connection is over".to_owned(),
            Ok(()) => return,
        };
        self.ends_at.get_or_insert((now + LAST_WORD_WAIT, end));
    }

    fn handle_event(&mut self, connection: usize, now: Instant, event: str0m::Event) {
        match event {
            str0m::Event::RtpPacket(packet) => self.handle_packet(connection, now, &packet),
            str0m::Event::Connected if connection + 1 == self.peers.len() => self.tell(Event::Connected),
            str0m::Event::ChannelOpen(id, label) => self.channel_opened(connection, now, id, &label),
            str0m::Event::ChannelData(data) => self.handle_data(connection, data),
            str0m::Event::KeyframeRequest(request) => self.handle_keyframe_request(request),
            _ => {}
        }
    }

    fn channel_opened(&mut self, connection: usize, now: Instant, id: str0m::channel::ChannelId, label: &str) {
        if self.peers[connection].channel_opened(id, label) && connection == PUBLISHER {
            self.tell(Event::ChannelsOpen);
            self.flush_data();
            self.peers[connection].handle_timeout(now);
        }
    }

    fn handle_packet(&mut self, connection: usize, now: Instant, packet: &str0m::rtp::RtpPacket) {
        let ssrc = packet.header.ssrc;
        let index = match self.reception_by_ssrc.get(&ssrc) {
            Some(&index) => index,
            None => {
                let Some(mid) = self.peers[connection].mid_of(ssrc) else { return };
                let mid = mid.to_string();
                let Some(index) = self.receptions.iter().position(|r| !r.ended && r.what.mid == mid) else {
                    return;
                };
                self.reception_by_ssrc.insert(ssrc, index);
                index
            }
        };
        let mut noted = Packet::new(index, packet.payload.len());
        noted.fill(&packet.payload);
        self.note_packet(now, &noted);
    }

    fn note_packet(&mut self, now: Instant, packet: &Packet) {
        let unix_us = self.unix_us(now);
        let Some(reception) = self.receptions.get_mut(packet.reception) else { return };
        if let Some(after) = reception.note(now, unix_us, packet) {
            let track = reception.what.track.clone();
            self.tell(Event::FirstPacket { track, after });
        }
    }

    /// Gives a datagram to the light receiver; whether that was all.
    fn handle_light(&mut self, connection: usize, now: Instant, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some(light) = self.peers.get_mut(connection).and_then(|peer| peer.light.as_mut()) else { return false };
        if !light.takes(datagram) {
            light.handle_control(now, datagram);
            return false;
        }
        let (receptions, mid_by_ssrc) = (&self.receptions, &self.mid_by_ssrc);
        let find = |ssrc: u32, mid: Option<&str>| {
            let mid = mid.or_else(|| mid_by_ssrc.get(&ssrc).map(String::as_str))?;
            receptions.iter().position(|reception| !reception.ended && reception.what.mid == mid)
        };
        if let Some(packet) = light.handle_media(now, from, datagram, find) {
            self.note_packet(now, &packet);
        }
        true
    }

    fn handle_data(&mut self, connection: usize, data: str0m::channel::ChannelData) {
        let reliable = self.peers[connection].is_reliable(data.id);
        if let Ok(packet) = proto::DataPacket::decode(&data.data[..]) {
            self.tell(Event::Data { reliable, packet: Box::new(packet) });
        }
    }

    fn handle_keyframe_request(&mut self, request: str0m::media::KeyframeRequest) {
        for publication in &mut self.publications {
            let Some(source) = publication.source_mut().filter(|source| source.mid == request.mid) else { continue };
            source.want_keyframe(request.rid);
            let cid = publication.cid.clone();
            self.outputs.push_back(Output::Event(Event::KeyframeRequested { cid }));
        }
    }

    pub(crate) fn signal(&mut self, message: Request) {
        self.outputs.push_back(Output::Signal(Box::new(proto::SignalRequest { message: Some(message) })));
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn set_ping_interval(&mut self, interval: Duration, now: Instant) {
        self.ping_interval = Some(interval);
        self.next_ping_at = now + interval;
    }

    fn unix_us(&self, now: Instant) -> u64 {
        self.epoch.1 + now.saturating_duration_since(self.epoch.0).as_micros() as u64
    }
}
