//! The participant's core against a small SFU on bare str0m, in virtual time.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use origo_client::session::{Command, Input, Output, Session};
use origo_client::stamp::{Stamp, Vp8Place, encode_vp8};
use origo_client::{Event, Options, VideoOptions, proto};
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpWrite, SeqNo, Ssrc};
use str0m::{Candidate, Rtc, RtcConfig};

const STEP: Duration = Duration::from_millis(5);
const UNIX_US: u64 = 1_800_000_000_000_000;
const PUBLISHER: usize = 0;

/// A client, an SFU with one `Rtc` per connection, and a network between them that loses nothing.
struct World {
    now: Instant,
    begun: Instant,
    client: Session,
    servers: Vec<Rtc>,
    pending: Option<SdpPendingOffer>,
    single_connection: bool,
    sends_on: Option<Mid>,
    events: Vec<Event>,
    rids: BTreeSet<String>,
    received: usize,
    newest_ssrc: Option<Ssrc>,
    data: VecDeque<Vec<u8>>,
    channel: Option<ChannelId>,
    /// The next media packet to the client is lost.
    loses_next: bool,
    /// The machine of the SFU has died.
    is_dead: bool,
}

fn server(connection: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1000 + connection as u16))
}

impl World {
    /// A client that has joined; the SFU sends it a track `TR_remote` of `PA_other`.
    fn joined(options: Options) -> Self {
        Self::joined_to(options, true)
    }

    /// As `joined`, and with v0 perhaps to a room where nobody publishes.
    fn joined_to(options: Options, with_track: bool) -> Self {
        let now = Instant::now();
        let connections = if options.single_connection { 1 } else { 2 };
        let local: Vec<SocketAddr> =
            (0..connections).map(|connection| SocketAddr::from(([10, 0, 0, 2], 2000 + connection))).collect();
        let mut client = Session::new(&options, &local, now, UNIX_US).unwrap();
        let offer = options.single_connection.then(|| client.first_offer().unwrap());
        let servers = (0..connections.into()).map(|connection| rtc(connection, now)).collect();
        let mut world = Self {
            now,
            begun: now,
            client,
            servers,
            pending: None,
            single_connection: options.single_connection,
            sends_on: None,
            events: Vec::new(),
            rids: BTreeSet::new(),
            received: 0,
            newest_ssrc: None,
            data: VecDeque::new(),
            channel: None,
            loses_next: false,
            is_dead: false,
        };
        world.say(Response::Join(proto::JoinResponse { ping_interval: 1, ping_timeout: 3, ..Default::default() }));
        match offer {
            Some(offer) => world.answer_offer(&offer),
            None => world.offer_track(with_track),
        }
        world
    }

    fn say(&mut self, message: Response) {
        let response = Box::new(proto::SignalResponse { message: Some(message) });
        self.client.handle_input(self.now, Input::Signal(response));
    }

    fn answer_offer(&mut self, offer: &proto::SessionDescription) {
        let parsed = SdpOffer::from_sdp_string(&offer.sdp).unwrap();
        let answer = self.servers[PUBLISHER].sdp_api().accept_offer(parsed).unwrap().to_sdp_string();
        let (sdp, mid) = if self.single_connection { choose_section(&answer) } else { (answer, None) };
        let mid_to_track_id: HashMap<_, _> = mid.iter().map(|mid| (mid.clone(), "TR_remote".to_owned())).collect();
        self.sends_on = mid.map(|mid| Mid::from(mid.as_str())).or(self.sends_on);
        let answer = proto::SessionDescription { r#type: "answer".into(), sdp, id: offer.id, mid_to_track_id };
        self.say(Response::Answer(answer));
    }

    fn offer_track(&mut self, with_track: bool) {
        let mut api = self.servers[1].sdp_api();
        let (stream, track) = (Some("PA_other|camera".to_owned()), Some("TR_remote".to_owned()));
        if with_track {
            self.sends_on = Some(api.add_media(MediaKind::Video, Direction::SendOnly, stream, track, None));
        }
        api.add_channel("_reliable".to_owned());
        let (offer, pending) = api.apply().unwrap();
        self.pending = Some(pending);
        let offer = proto::SessionDescription {
            r#type: "offer".into(),
            sdp: offer.to_sdp_string(),
            id: 1,
            ..Default::default()
        };
        self.say(Response::Offer(offer));
    }

    fn hear(&mut self, request: proto::SignalRequest) {
        match request.message.unwrap() {
            Request::Offer(offer) => self.answer_offer(&offer),
            Request::Answer(answer) => {
                let answer = SdpAnswer::from_sdp_string(&answer.sdp).unwrap();
                self.servers[1].sdp_api().accept_answer(self.pending.take().unwrap(), answer).unwrap();
            }
            Request::AddTrack(add) => {
                let track = proto::TrackInfo { sid: "TR_own".into(), ..Default::default() };
                self.say(Response::TrackPublished(proto::TrackPublishedResponse { cid: add.cid, track: Some(track) }));
            }
            _ => {}
        }
    }

    /// Runs until `done`, within five seconds of virtual time.
    fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = self.now + Duration::from_secs(5);
        while !done(self) {
            assert!(self.now < deadline, "{what} did not happen; events: {:?}", self.events);
            self.step();
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        self.client.handle_input(self.now, Input::Timeout);
        for server in &mut self.servers {
            server.handle_input(str0m::Input::Timeout(self.now)).unwrap();
        }
        while self.move_client() | self.move_servers() {}
    }

    fn move_client(&mut self) -> bool {
        let mut moved = false;
        loop {
            match self.client.poll_output() {
                Output::Timeout(_) => return moved,
                Output::Transmit(connection, transmit) => {
                    let receive =
                        Receive::new(Protocol::Udp, transmit.source, transmit.destination, &transmit.contents).unwrap();
                    self.servers[connection].handle_input(str0m::Input::Receive(self.now, receive)).unwrap();
                    self.move_server(connection);
                }
                Output::Signal(request) => self.hear(*request),
                Output::Event(event) => self.events.push(event),
                Output::Closed => {}
            }
            moved = true;
        }
    }

    fn move_servers(&mut self) -> bool {
        (0..self.servers.len()).fold(false, |moved, connection| moved | self.move_server(connection))
    }

    fn move_server(&mut self, connection: usize) -> bool {
        let mut moved = false;
        loop {
            match self.servers[connection].poll_output().unwrap() {
                str0m::Output::Timeout(_) => return moved,
                str0m::Output::Transmit(transmit) if is_media(&transmit.contents) && self.loses_next => {
                    self.loses_next = false;
                }
                str0m::Output::Transmit(_) if self.is_dead => {}
                str0m::Output::Transmit(transmit) => {
                    let input = Input::Datagram { connection, from: server(connection), datagram: &transmit.contents };
                    self.client.handle_input(self.now, input);
                }
                str0m::Output::Event(event) => self.note(connection, event),
            }
            moved = true;
        }
    }

    fn note(&mut self, connection: usize, event: str0m::Event) {
        match event {
            str0m::Event::RtpPacket(packet) => {
                let mut api = self.servers[connection].direct_api();
                let rid = api.stream_rx(&packet.header.ssrc).unwrap().rid();
                self.rids.extend(rid.map(|rid| rid.to_string()));
                self.received += 1;
                self.newest_ssrc = Some(packet.header.ssrc);
            }
            str0m::Event::ChannelData(data) => self.data.push_back(data.data),
            str0m::Event::ChannelOpen(id, label) if label == "_reliable" => self.channel = Some(id),
            _ => {}
        }
    }

    /// The SFU sends the packet with that counter to the client.
    fn send(&mut self, counter: u32) {
        let sent_us = UNIX_US + (self.now - self.begun).as_micros() as u64 - 1500;
        let place = Vp8Place { first: true, keyframe: counter == 0, picture: counter as u16, width: 640, height: 360 };
        let payload = encode_vp8(Stamp { layer: 0, counter, sent_us }, place, 900);
        let server = self.servers.last_mut().unwrap();
        let mid = self.sends_on.unwrap();
        let pt = server.media(mid).unwrap().remote_pts()[0];
        let rtp = RtpWrite::new(pt, SeqNo::from(100 + u64::from(counter)), counter * 3000, self.now, payload);
        server.direct_api().stream_tx_by_mid(mid, None).unwrap().write_rtp(rtp.marker(true).nackable(true));
    }

    fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

/// RTP, as RFC 7983 and RFC 5761 tell it from everything else.
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !(192..=223).contains(second))
}

fn rtc(connection: usize, now: Instant) -> Rtc {
    let mut rtc = RtcConfig::new().set_rtp_mode(true).set_ice_lite(true).build(now);
    rtc.add_local_candidate(Candidate::host(server(connection), "udp").unwrap());
    rtc
}

/// As a LiveKit server does: what has no track yet is answered inactive. The first video section carries a track.
fn choose_section(answer: &str) -> (String, Option<String>) {
    let mut chosen = None;
    let mut sections = answer.split("m=");
    let mut sdp = sections.next().unwrap().to_owned();
    for section in sections {
        let is_sendonly = section.contains("a=sendonly");
        let mid = section.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap();
        sdp.push_str("m=");
        if is_sendonly && section.starts_with("video") && chosen.is_none() {
            chosen = Some(mid.to_owned());
            sdp.push_str(&with_msid(section));
        } else {
            sdp.push_str(&section.replace("a=sendonly", "a=inactive"));
        }
    }
    (sdp, chosen)
}

fn with_msid(section: &str) -> String {
    let line = |line: &str| if line.starts_with("a=msid:") { "a=msid:PA_other|camera TR_x" } else { line }.to_owned();
    section.lines().map(line).collect::<Vec<_>>().join("\r\n") + "\r\n"
}

fn both_forms(test: impl Fn(World)) {
    for options in [Options::v0(), Options::v1()] {
        test(World::joined(Options { light: true, ..options.clone() }));
        test(World::joined(options));
    }
}

fn is_subscribed(event: &Event) -> bool {
    matches!(event, Event::TrackSubscribed(what) if what.track == "TR_remote" && what.publisher == "PA_other")
}

#[test]
fn a_subscribed_track_is_counted_packet_by_packet() {
    both_forms(|mut world| {
        world.run_until("the connection", |world| world.has(|event| matches!(event, Event::Connected)));
        assert!(world.has(is_subscribed), "{:?}", world.events);
        for counter in (0..100).filter(|counter| *counter != 50) {
            world.send(counter);
            world.step();
        }
        let report = &world.client.report(world.now)[0];
        assert_eq!((report.layers[0].unique, report.layers[0].lost), (99, 1));
        assert_eq!((report.layers[0].duplicates, report.foreign, report.keyframes), (0, 0, 1));
        let delay = report.delay.quantile_us(0.5);
        assert!((1500..8000).contains(&delay), "{delay}");
        assert!(world.has(|event| matches!(event, Event::FirstPacket { track, .. } if track == "TR_remote")));
    });
}

#[test]
fn a_published_camera_sends_three_layers_and_answers_a_keyframe_request() {
    both_forms(|mut world| {
        world.run_until("the connection", |world| world.has(|event| matches!(event, Event::Connected)));
        let command = Command::PublishVideo("camera".to_owned(), VideoOptions::simulcast(30, 900));
        world.client.handle_input(world.now, Input::Command(command));
        world.run_until("the track", |world| world.received > 100);
        assert_eq!(world.rids, ["f", "h", "q"].map(str::to_owned).into());
        assert_eq!(world.client.sent()["camera"].len(), 3);

        assert!(world.has(|event| matches!(event, Event::TrackFlows { cid } if cid == "camera")));
        request_keyframe(&mut world);
        let asked = |event: &Event| matches!(event, Event::KeyframeRequested { cid } if cid == "camera");
        world.run_until("the keyframe request", |world| world.has(asked));
    });
}

fn request_keyframe(world: &mut World) {
    let ssrc = world.newest_ssrc.unwrap();
    let mut api = world.servers[PUBLISHER].direct_api();
    api.stream_rx(&ssrc).unwrap().request_keyframe(KeyframeRequestKind::Pli);
}

#[test]
fn data_goes_both_ways_and_waits_for_its_channel() {
    both_forms(|mut world| {
        let user = proto::UserPacket { payload: b"hello".to_vec(), ..Default::default() };
        let value = Some(proto::data_packet::Value::User(user));
        let packet = Box::new(proto::DataPacket { value, ..Default::default() });
        world.client.handle_input(world.now, Input::Command(Command::SendData { reliable: true, packet }));
        world.run_until("the data", |world| !world.data.is_empty());
        let sent = world.data.pop_front().unwrap();
        let packet: proto::DataPacket = prost::Message::decode(&sent[..]).unwrap();
        assert_eq!(packet.sequence, 1);

        world.run_until("the channel back", |world| world.channel.is_some());
        let channel = world.channel.unwrap();
        let server = world.servers.last_mut().unwrap();
        assert!(server.channel(channel).unwrap().write(true, &sent).unwrap());
        world.run_until("the data back", |world| {
            world.has(|event| matches!(event, Event::Data { reliable: true, packet } if packet.sequence == 1))
        });
    });
}

#[test]
fn a_leave_of_the_server_ends_the_session_once() {
    let mut world = World::joined(Options::v1());
    world.say(Response::Leave(proto::LeaveRequest { reason: 2, ..Default::default() }));
    world.client.handle_input(world.now, Input::SignalClosed("gone".to_owned()));
    while world.move_client() {}
    let ends = world.events.iter().filter(|event| matches!(event, Event::Closed { .. })).count();
    assert_eq!(ends, 1);
}

#[test]
fn an_empty_room_connects_by_its_channels_alone() {
    let mut world = World::joined_to(Options::v0(), false);
    world.run_until("the connection", |world| world.has(|event| matches!(event, Event::Connected)));
}

#[test]
fn the_reason_for_an_end_is_heard_though_the_media_ends_first() {
    let mut world = World::joined(Options::v1());
    world.run_until("the connection", |world| world.has(|event| matches!(event, Event::Connected)));
    world.servers[PUBLISHER].close().unwrap();
    for _ in 0..20 {
        world.step();
    }
    assert!(!world.has(|event| matches!(event, Event::Closed { .. })));
    world.say(Response::Leave(proto::LeaveRequest { reason: 2, ..Default::default() }));
    world.step();
    assert!(world.has(|event| matches!(event, Event::Leave(leave) if leave.reason == 2)));
    assert!(world.has(|event| matches!(event, Event::Closed { .. })));
}

#[test]
fn a_session_without_media_ends_in_time() {
    let mut world = World::joined(Options::v1());
    world.run_until("the connection", |world| world.has(|event| matches!(event, Event::Connected)));
    world.servers[PUBLISHER].close().unwrap();
    world.run_until("the end", |world| world.has(|event| matches!(event, Event::Closed { .. })));
}

#[test]
fn a_light_receiver_asks_for_what_is_lost_and_counts_it_as_repaired() {
    for options in [Options::v0(), Options::v1()] {
        let mut world = World::joined(Options { light: true, ..options });
        world.run_until("the connection", |world| world.has(|event| matches!(event, Event::Connected)));
        for counter in 0..60 {
            world.loses_next = counter == 30 || counter == 40;
            world.send(counter);
            world.step();
        }
        for _ in 0..40 {
            world.step();
        }
        let report = &world.client.report(world.now)[0];
        let counts = report.layers[0];
        assert_eq!((counts.unique, counts.lost, counts.repaired), (60, 0, 2), "{counts:?}");
    }
}

#[test]
fn a_light_receiver_counts_a_picture_that_stands_still() {
    let mut world = World::joined(Options { light: true, ..Options::v1() });
    world.run_until("the connection", |world| world.has(|event| matches!(event, Event::Connected)));
    world.send(0);
    for _ in 0..100 {
        world.step();
    }
    world.send(1);
    world.step();
    let freezes = world.client.report(world.now)[0].freezes;
    assert_eq!(freezes.count, 1);
    assert!((400_000..600_000).contains(&freezes.longest_us), "{freezes:?}");
}

/// A client that hears sound or picture each 20 ms for two seconds, until the machine of the SFU dies; gives when.
fn until_death(options: Options) -> (World, Instant) {
    let mut world = World::joined(options);
    world.run_until("the connection", |world| world.has(|event| matches!(event, Event::Connected)));
    for counter in 0..100 {
        world.send(counter);
        (0..4).for_each(|_| world.step());
    }
    world.is_dead = true;
    let died_at = world.now;
    (world, died_at)
}

#[test]
fn a_server_of_which_nothing_comes_any_more_is_doubted_within_400_ms() {
    let is_silent = |event: &Event| matches!(event, Event::Silent { .. });
    let (mut world, died_at) = until_death(Options { watches: true, light: true, ..Options::v1() });
    assert!(!world.has(is_silent), "{:?}", world.events);
    world.run_until("the silence", |world| world.has(is_silent));
    let after = world.now - died_at;
    assert!(after >= Duration::from_millis(300) && after <= Duration::from_millis(410), "{after:?}");
}

#[test]
fn a_socket_that_breaks_as_the_machine_dies_ends_nothing_until_pings_have_stayed_unanswered() {
    let is_closed = |event: &Event| matches!(event, Event::Closed { .. });
    let (mut world, died_at) = until_death(Options { dies_silently: true, ..Options::v1() });
    world.say(Response::PongResp(proto::Pong::default()));
    world.client.handle_input(world.now, Input::SignalBroken("reset".to_owned()));
    world.step();
    assert!(world.has(|event| matches!(event, Event::SignalLost { reason } if reason == "reset")));
    world.run_until("the end", |world| world.has(is_closed));
    let after = world.now - died_at;
    assert!(after >= Duration::from_secs(3) && after <= Duration::from_millis(3_020), "{after:?}");

    let mut world = World::joined(Options::v1());
    world.client.handle_input(world.now, Input::SignalBroken("reset".to_owned()));
    world.step();
    assert!(world.has(is_closed), "without that it is over at once");
}
