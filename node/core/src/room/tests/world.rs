//! Nodes without sockets, joined by a mesh that delivers at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use origo_auth::{Claims, Identity, NodeId, RoomKey, TrackSid, VideoGrant};
use origo_cascade_core as cascade;
use origo_cascade_core::route::{Residency, ResidencyRule};
use origo_cascade_core::{ParticipantRecord, RoomRecord};
use proto::request_response::Reason;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use crate::SessionId;
use crate::media::{self, Command, Target};
use crate::room::newcomers::TOLD_AFTER;
use crate::room::{Input, Join, Output, Rooms, RoomsConfig};

/// Unix time at which every world begins.
pub const BEGIN_MS: u64 = 1_790_000_000_000;

/// One thing that the rooms did about a session.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a test keeps a few hundred of them")]
pub enum Deed {
    Said(Response),
    Asked(Command),
    Token(Box<Claims>),
    Closed,
    Refused(u16),
}

/// A client: its node and its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(pub usize, pub SessionId);

pub struct World {
    pub now: Instant,
    begin: Instant,
    nodes: Vec<Rooms>,
    timeouts: Vec<Instant>,
    deeds: BTreeMap<Client, Vec<Deed>>,
    sessions: u64,
    /// Nodes on which a room lives, the room's record, and everybody's record by owner.
    present: BTreeSet<(RoomKey, usize)>,
    pub rooms: BTreeMap<RoomKey, RoomRecord>,
    records: BTreeMap<(RoomKey, Identity), (usize, ParticipantRecord)>,
    events: VecDeque<(usize, cascade::Event)>,
    /// Whom the room's home let in a moment ago.
    pub seats: Vec<Identity>,
    pub wants: Vec<(usize, TrackSid, cascade::LayerSet)>,
    /// A mesh that answers nobody.
    pub is_mute: bool,
    /// A mesh in which nodes are yet to tell who is in a room.
    pub is_slow: bool,
    /// Nodes whose people nobody tells of any more.
    dead: BTreeSet<usize>,
    /// What applications are told.
    pub notices: Vec<proto::WebhookEvent>,
    /// The order of speakers that the worker of each node last heard.
    pub speakers: BTreeMap<usize, Vec<TrackSid>>,
    /// What nodes answered to calls of the server API.
    pub answers: Vec<cascade::cascade::Answer>,
    /// Data packets, and the node that each was sent at.
    sent: Vec<(usize, cascade::cascade::RoomData)>,
}

pub fn room_key() -> RoomKey {
    RoomKey::new("default", "standup")
}

pub fn node_id(node: usize) -> NodeId {
    NodeId([node as u8 + 1; 16])
}

/// A join as a client with all rights makes it, in v1.
pub fn join_of(identity: &str) -> Join {
    let video = VideoGrant { room_join: true, room: "standup".into(), ..Default::default() };
    Join {
        session: SessionId(0),
        room: room_key(),
        identity: Identity(identity.into()),
        claims: Claims { sub: identity.into(), video, ..Default::default() },
        client: proto::ClientInfo::default(),
        single_connection: true,
        auto_subscribe: true,
        may_pause: false,
        fixed_sections: false,
        disable_ice_lite: false,
        can_be_sent_on: true,
        can_succeed: false,
        successor_of: None,
        received: None,
        may_be_led: false,
        resume: None,
        offer: None,
        add_tracks: Vec::new(),
    }
}

/// An announcement of a camera.
pub fn camera(cid: &str) -> proto::AddTrackRequest {
    proto::AddTrackRequest {
        cid: cid.into(),
        r#type: proto::TrackType::Video as i32,
        source: proto::TrackSource::Camera as i32,
        ..Default::default()
    }
}

impl World {
    pub fn new(nodes: usize) -> Self {
        let begin = Instant::now();
        let config = |node| RoomsConfig {
            node: node_id(node),
            region: format!("region-{node}"),
            country: ["DE", "AT", "US"][node % 3].to_owned(),
            residency: Residency(vec![ResidencyRule {
                rooms: "clinic-*".into(),
                countries: vec!["DE".into(), "AT".into()],
            }]),
            version: "0.0.0".into(),
            seed: node as u64,
        };
        Self {
            now: begin,
            begin,
            nodes: (0..nodes).map(|node| Rooms::new(begin, config(node))).collect(),
            timeouts: vec![begin; nodes],
            deeds: BTreeMap::new(),
            sessions: 0,
            present: BTreeSet::new(),
            rooms: BTreeMap::new(),
            records: BTreeMap::new(),
            events: VecDeque::new(),
            seats: Vec::new(),
            wants: Vec::new(),
            is_mute: false,
            is_slow: false,
            dead: BTreeSet::new(),
            speakers: BTreeMap::new(),
            answers: Vec::new(),
            sent: Vec::new(),
            notices: Vec::new(),
        }
    }

    pub fn node(&self, node: usize) -> &Rooms {
        &self.nodes[node]
    }

    /// Lets a participant with all rights in.
    pub fn join(&mut self, node: usize, identity: &str) -> Client {
        self.join_as(node, join_of(identity))
    }

    pub fn join_as(&mut self, node: usize, mut join: Join) -> Client {
        self.sessions += 1;
        join.session = SessionId(self.sessions);
        let client = Client(node, join.session);
        self.input(node, Input::Join(Box::new(join)));
        client
    }

    pub fn request(&mut self, client: Client, message: Request) {
        let request = Box::new(proto::SignalRequest { message: Some(message) });
        self.input(client.0, Input::Signal { session: client.1, request });
    }

    pub fn media(&mut self, client: Client, event: media::Event) {
        self.input(client.0, Input::Media(event));
    }

    pub fn connect(&mut self, client: Client, target: Target) {
        self.media(client, media::Event::Connected { session: client.1, target });
    }

    /// Publishes a camera up to its first packet.
    pub fn publish(&mut self, client: Client, cid: &str) -> TrackSid {
        self.request(client, Request::AddTrack(camera(cid)));
        let sid = self.published(client).expect("the announcement is answered");
        self.start(client, sid);
        sid
    }

    /// The first packet of a track comes.
    pub fn start(&mut self, client: Client, track: TrackSid) {
        let (mime, mid) = ("video/VP8".into(), "3".into());
        self.media(client, media::Event::TrackStarted { session: client.1, track, mime, mid, ssrcs: vec![7] });
    }

    /// The last `track_published` that a client got.
    pub fn published(&self, client: Client) -> Option<TrackSid> {
        self.said(client).rev().find_map(|said| match said {
            Response::TrackPublished(published) => published.track.as_ref()?.sid.parse().ok(),
            _ => None,
        })
    }

    /// Everything done about a client's session, in order.
    pub fn deeds(&self, client: Client) -> &[Deed] {
        self.deeds.get(&client).map_or(&[], Vec::as_slice)
    }

    pub fn said(&self, client: Client) -> impl DoubleEndedIterator<Item = &Response> {
        self.deeds(client).iter().filter_map(|deed| match deed {
            Deed::Said(said) => Some(said),
            _ => None,
        })
    }

    pub fn refusals(&self, client: Client) -> Vec<Reason> {
        let said = self.said(client).filter_map(|said| match said {
            Response::RequestResponse(response) => Some(response.reason()),
            _ => None,
        });
        said.collect()
    }

    pub fn asked(&self, client: Client) -> impl DoubleEndedIterator<Item = &Command> {
        self.deeds(client).iter().filter_map(|deed| match deed {
            Deed::Asked(asked) => Some(asked),
            _ => None,
        })
    }

    /// The join response of a client.
    pub fn joined(&self, client: Client) -> &proto::JoinResponse {
        match self.said(client).next() {
            Some(Response::Join(join)) => join,
            other => panic!("{client:?} was told {other:?} first"),
        }
    }

    /// Who a client knows of, and with which tracks, after all that it was told.
    pub fn knows(&self, client: Client) -> BTreeMap<String, proto::ParticipantInfo> {
        let mut known: BTreeMap<_, _> = BTreeMap::new();
        for said in self.said(client) {
            let news = match said {
                Response::Join(join) => &join.other_participants,
                Response::Update(update) => &update.participants,
                _ => continue,
            };
            for info in news {
                if info.state == proto::participant_info::State::Disconnected as i32 {
                    known.remove(&info.identity);
                } else {
                    known.insert(info.identity.clone(), info.clone());
                }
            }
        }
        known
    }

    /// The record of a participant, as its node told it last.
    pub fn record(&self, identity: &str) -> ParticipantRecord {
        self.records[&(room_key(), Identity(identity.into()))].1.clone()
    }

    /// Tells a node how another one can be reached.
    pub fn reach(&mut self, node: usize, of: usize, reach: cascade::cascade::Reach) {
        self.input(node, Input::Mesh(cascade::Event::Reach { node: node_id(of), reach }));
    }

    /// A node is dead, and what others knew of its people is lost.
    pub fn lose(&mut self, node: usize) {
        self.dead.insert(node);
        self.timeouts[node] = self.now + Duration::from_secs(86_400);
        self.records.retain(|_, (owner, _)| *owner != node);
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.reach(other, node, cascade::cascade::Reach::Silent);
        }
    }

    /// What a client's last token says.
    pub fn token(&self, client: Client) -> Claims {
        let tokens = self.deeds(client).iter().rev().filter_map(|deed| match deed {
            Deed::Token(claims) => Some((**claims).clone()),
            _ => None,
        });
        tokens.into_iter().next().expect("a token")
    }

    /// What a client was told of another one's connection, in order.
    pub fn qualities(&self, client: Client, sid: &str) -> Vec<proto::ConnectionQuality> {
        let updates = self.said(client).filter_map(|said| match said {
            Response::ConnectionQuality(update) => Some(&update.updates),
            _ => None,
        });
        updates
            .flatten()
            .filter(|info| info.participant_sid == sid)
            .map(proto::ConnectionQualityInfo::quality)
            .collect()
    }

    /// Whom a client was told to have left.
    pub fn seen_to_leave(&self, client: Client) -> Vec<String> {
        let updates = self.said(client).filter_map(|said| match said {
            Response::Update(update) => Some(&update.participants),
            _ => None,
        });
        let gone = proto::participant_info::State::Disconnected;
        let left = updates.flatten().filter(|info| info.state() == gone);
        left.map(|info| info.identity.clone()).collect()
    }

    /// Data packets that a client was sent.
    pub fn packets(&self, client: Client) -> Vec<proto::DataPacket> {
        let sent = self.asked(client).filter_map(|asked| match asked {
            Command::SendData { packet, .. } => Some(packet),
            _ => None,
        });
        sent.map(|packet| prost::Message::decode(&packet[..]).expect("what is sent is a packet")).collect()
    }

    /// Lets as much time pass as others may wait for word of who has come.
    pub fn introduce(&mut self) {
        self.pass(TOLD_AFTER);
    }

    /// Lets time pass; every timer on the way goes off. Gives how many did.
    pub fn pass(&mut self, time: Duration) -> usize {
        self.seats.clear();
        let (end, mut looks) = (self.now + time, 0);
        while let Some(next) = self.timeouts.iter().copied().min().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            looks += 1;
            for node in 0..self.nodes.len() {
                self.input(node, Input::Timeout);
            }
        }
        self.now = end;
        looks
    }

    pub fn input(&mut self, node: usize, input: Input) {
        self.take(node, input);
        while let Some((to, event)) = self.events.pop_front() {
            self.take(to, Input::Mesh(event));
        }
    }

    fn take(&mut self, node: usize, input: Input) {
        if self.dead.contains(&node) {
            return;
        }
        let unix_ms = BEGIN_MS + (self.now - self.begin).as_millis() as u64;
        self.nodes[node].handle_input(self.now, unix_ms, input);
        loop {
            match self.nodes[node].poll_output() {
                Output::Timeout(at) => {
                    self.timeouts[node] = at;
                    return;
                }
                Output::Signal { session, response } => {
                    self.note(node, session, Deed::Said(response.message.expect("no empty responses")));
                }
                Output::Refuse { session, status, .. } => self.note(node, session, Deed::Refused(status)),
                Output::Close(session) => self.note(node, session, Deed::Closed),
                Output::Media { command: Command::Speakers(order), .. } => drop(self.speakers.insert(node, order)),
                Output::Media { command, .. } => {
                    if let Some(session) = session_of(&command) {
                        self.note(node, session, Deed::Asked(command));
                    }
                }
                Output::RefreshToken { session, claims } => self.note(node, session, Deed::Token(claims)),
                Output::Mesh(input) => self.mesh(node, input),
                Output::Notice(notice) => self.notices.push(notice.event),
                Output::Admin(answer) => self.answers.push(answer),
            }
        }
    }

    fn note(&mut self, node: usize, session: SessionId, deed: Deed) {
        self.deeds.entry(Client(node, session)).or_default().push(deed);
    }

    fn mesh(&mut self, from: usize, input: cascade::Input) {
        match input {
            cascade::Input::Enter { fresh } => self.enter(from, fresh),
            cascade::Input::Exit(room) => {
                self.present.remove(&(room, from));
            }
            cascade::Input::Publish(record) => self.spread(from, record),
            cascade::Input::Withdraw { room, identity, sid, reason } => {
                let key = (room.clone(), identity.clone());
                if self.records.get(&key).is_some_and(|(_, record)| record.sid == sid) {
                    self.records.remove(&key);
                }
                let left = cascade::Event::ParticipantLeft { room: room.clone(), identity, sid, reason };
                self.tell_others(from, &room, left);
            }
            cascade::Input::Data(data) => {
                self.sent.push((from, data.clone()));
                self.tell_others(from, &data.room.clone(), cascade::Event::Data(data));
            }
            cascade::Input::CatchUp(room) => {
                let sent = self.sent.iter().filter(|(node, data)| *node != from && data.room == room && data.reliable);
                let earlier = sent.map(|(_, data)| (from, cascade::Event::EarlierData(data.clone())));
                self.events.extend(earlier.collect::<Vec<_>>());
            }
            cascade::Input::Want { track, layers, .. } => self.wants.push((from, track, layers)),
            cascade::Input::Keep { record, .. } => drop(self.rooms.entry(record.room.clone()).or_insert(record)),
            cascade::Input::Describe { room, metadata } => {
                let Some(record) = self.rooms.get_mut(&room) else { return };
                (record.metadata, record.version) = (metadata, record.version + 1);
                let changed = cascade::Event::RoomChanged(record.clone());
                let present = self.present.iter().filter(|(of, _)| *of == room).map(|(_, node)| *node);
                self.events.extend(present.map(|node| (node, changed.clone())));
            }
            cascade::Input::Release(room) => drop(self.rooms.remove(&room)),
            cascade::Input::Seat { room, identity, present, max } => {
                let others: BTreeSet<_> = self.seats.iter().chain(&present).filter(|who| **who != identity).collect();
                let granted = others.len() < max as usize;
                if granted {
                    self.seats.push(identity.clone());
                }
                if !self.is_mute {
                    self.events.push_back((from, cascade::Event::Seated { room, identity, granted }));
                }
            }
            cascade::Input::Answer { answer, .. } => self.answers.push(answer),
            cascade::Input::Ask { to, ask } => {
                let from = node_id(from);
                let to = usize::from(to.0[0]) - 1;
                self.events.push_back((to, cascade::Event::Asked { from, ask }));
            }
            other => panic!("rooms never say {other:?}"),
        }
    }

    fn enter(&mut self, from: usize, fresh: RoomRecord) {
        let room = fresh.room.clone();
        self.present.insert((room.clone(), from));
        let record = self.rooms.entry(room.clone()).or_insert(fresh).clone();
        let here = self.records.iter().filter(|((of, _), (owner, _))| *of == room && *owner != from);
        let participants = here.map(|(_, (_, record))| record.clone()).collect();
        if !self.is_mute {
            let participants = if self.is_slow { Vec::new() } else { participants };
            self.events.push_back((from, cascade::Event::Entered { record, participants }));
            if !self.is_slow {
                let dead = self.dead.iter().filter(|node| self.present.contains(&(room.clone(), **node)));
                let untold = dead.map(|node| node_id(*node)).collect();
                self.events.push_back((from, cascade::Event::Acquainted { room, untold }));
            }
        }
    }

    fn spread(&mut self, from: usize, record: ParticipantRecord) {
        let key = (record.room.clone(), record.identity.clone());
        if let Some((owner, old)) = self.records.insert(key, (from, record.clone()))
            && owner != from
        {
            let (room, identity, sid) = (old.room, old.identity, old.sid);
            let told = match sid == record.sid {
                true => cascade::Event::TakenOver { room, identity, sid },
                false => cascade::Event::Superseded { room, identity, sid },
            };
            self.events.push_back((owner, told));
        }
        self.tell_others(from, &record.room.clone(), cascade::Event::ParticipantChanged(record));
    }

    fn tell_others(&mut self, from: usize, room: &RoomKey, event: cascade::Event) {
        let others = self.present.iter().filter(|(of, node)| of == room && *node != from);
        let others: Vec<_> = others.map(|(_, node)| (*node, event.clone())).collect();
        self.events.extend(others);
    }
}

fn session_of(command: &Command) -> Option<SessionId> {
    match command {
        Command::Open(open) => Some(open.session),
        Command::Subscribe(subscription) => Some(subscription.session),
        Command::Close(session)
        | Command::Offer { session, .. }
        | Command::Answer { session, .. }
        | Command::Trickle { session, .. }
        | Command::Expect { session, .. }
        | Command::Reserve { session, .. }
        | Command::CapBandwidth { session, .. }
        | Command::Unpublish { session, .. }
        | Command::Unsubscribe { session, .. }
        | Command::Favour { session, .. }
        | Command::Settings { session, .. }
        | Command::SendData { session, .. } => Some(*session),
        _ => None,
    }
}
