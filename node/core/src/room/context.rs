//! What every step of a room has at hand: the time, the dice, the way out, and who sits where.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey, TrackSid};
use origo_cascade_core as cascade;
use origo_cascade_core::cascade::Reach;
use origo_cascade_core::route::Residency;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Full, Output, Refuge, Stats, limits};
use crate::{SessionId, media};

/// How a node's rooms are set up.
#[derive(Clone, Debug)]
pub struct RoomsConfig {
    /// This node.
    pub node: NodeId,
    /// Its region's name, as shown to clients.
    pub region: String,
    /// The country where it stands (ISO 3166-1 alpha-2); empty when nobody said.
    pub country: String,
    /// In which countries rooms are to stay.
    pub residency: Residency,
    /// Our own version, shown as debug information. Clients are told the LiveKit version whose behaviour we follow.
    pub version: String,
    /// Where the random ids come from. Different with each start of the node, or ids would repeat.
    pub seed: u64,
}

/// Where a session sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub room: RoomKey,
    pub identity: Identity,
}

/// Shared by all rooms of a node.
pub(super) struct Context {
    pub now: Instant,
    pub unix_ms: u64,
    pub config: RoomsConfig,
    pub rng: StdRng,
    pub stats: Stats,
    /// Where each living session sits, from its join on.
    pub seats: BTreeMap<SessionId, Seat>,
    /// The room of each track that is published on another node.
    pub remote_tracks: BTreeMap<TrackSid, RoomKey>,
    /// The room of each track that is published here.
    pub local_tracks: BTreeMap<TrackSid, RoomKey>,
    /// Whose next session is to use TCP alone, and until when that stands.
    switched: BTreeMap<(RoomKey, Identity), Instant>,
    /// Where people go on, while the node drains.
    pub refuges: Option<Vec<Refuge>>,
    /// Why newcomers are refused, while they are.
    pub full: Option<Full>,
    /// Who was sent on, to which URL, and until when that is remembered.
    sent_on: BTreeMap<(RoomKey, Identity), (Instant, String)>,
    /// Who came back in vain to which session, and until when it may begin its successor.
    claims: BTreeMap<(RoomKey, Identity), (Instant, ParticipantSid)>,
    /// Other nodes with people of rooms here from which nothing comes.
    pub unreached: BTreeMap<NodeId, Reach>,
    timers: BTreeSet<(Instant, RoomKey)>,
    /// When the whole seconds begin in which many wait together.
    began: Instant,
    outputs: VecDeque<Output>,
}

impl Context {
    pub fn new(now: Instant, config: RoomsConfig) -> Self {
        Self {
            now,
            unix_ms: 0,
            rng: StdRng::seed_from_u64(config.seed),
            config,
            stats: Stats::default(),
            seats: BTreeMap::new(),
            remote_tracks: BTreeMap::new(),
            local_tracks: BTreeMap::new(),
            switched: BTreeMap::new(),
            refuges: None,
            full: None,
            sent_on: BTreeMap::new(),
            claims: BTreeMap::new(),
            unreached: BTreeMap::new(),
            timers: BTreeSet::new(),
            began: now,
            outputs: VecDeque::new(),
        }
    }

    /// A client is about to come back with another session, which is to use TCP alone.
    pub fn switch_to_tcp(&mut self, room: &RoomKey, identity: &Identity) {
        let now = self.now;
        self.switched.retain(|_, until| *until > now);
        if self.switched.len() < limits::SWITCHED_MAX {
            self.switched.insert((room.clone(), identity.clone()), now + limits::SWITCH_STANDS);
        }
    }

    /// Whether a client that joins is to use TCP alone. True once.
    pub fn take_switch(&mut self, room: &RoomKey, identity: &Identity) -> bool {
        let until = self.switched.remove(&(room.clone(), identity.clone()));
        until.is_some_and(|until| until > self.now)
    }

    /// Remembers where a participant went on.
    pub fn note_sent(&mut self, room: &RoomKey, identity: &Identity, url: &str) {
        let now = self.now;
        if self.sent_on.len() >= limits::SENT_MAX {
            self.sent_on.retain(|_, (until, _)| *until > now);
        }
        if self.sent_on.len() < limits::SENT_MAX {
            let until = now + limits::SENT_REMEMBERED;
            self.sent_on.insert((room.clone(), identity.clone()), (until, url.to_owned()));
        }
    }

    /// Where a participant that was here went on, while the node drains.
    pub fn sent_to(&self, room: &RoomKey, identity: &Identity) -> Option<&str> {
        self.refuges.as_ref()?;
        let (until, url) = self.sent_on.get(&(room.clone(), identity.clone()))?;
        (*until > self.now).then_some(url)
    }

    /// A client knows a session of its identity that is not here: it is to join anew, and to go on with that one.
    pub fn note_claim(&mut self, room: &RoomKey, identity: &Identity, sid: ParticipantSid) {
        let now = self.now;
        if self.claims.len() >= limits::CLAIMS_MAX {
            self.claims.retain(|_, (until, _)| *until > now);
        }
        if self.claims.len() < limits::CLAIMS_MAX {
            self.claims.insert((room.clone(), identity.clone()), (now + limits::CLAIM_STANDS, sid));
        }
    }

    /// Whether a client may go on with a session that it asked for before.
    pub fn has_claim(&self, room: &RoomKey, identity: &Identity) -> bool {
        self.claim(room, identity).is_some()
    }

    /// The session to which a client came back in vain, and which it is about to go on with.
    pub fn claim(&self, room: &RoomKey, identity: &Identity) -> Option<ParticipantSid> {
        let (until, sid) = self.claims.get(&(room.clone(), identity.clone()))?;
        (*until > self.now).then_some(*sid)
    }

    /// The session that a joining client goes on with by what it asked for before. Once.
    pub fn take_claim(&mut self, room: &RoomKey, identity: &Identity) -> Option<ParticipantSid> {
        let (until, sid) = self.claims.remove(&(room.clone(), identity.clone()))?;
        (until > self.now).then_some(sid)
    }

    /// Says something to a client.
    pub fn signal(&mut self, session: SessionId, message: proto::signal_response::Message) {
        let response = Box::new(proto::SignalResponse { message: Some(message) });
        self.outputs.push_back(Output::Signal { session, response });
    }

    /// Asks something of the room's media worker.
    pub fn media(&mut self, room: &RoomKey, command: media::Command) {
        self.outputs.push_back(Output::Media { room: room.clone(), command });
    }

    /// Asks something of the cascade.
    pub fn mesh(&mut self, input: cascade::Input) {
        self.outputs.push_back(Output::Mesh(input));
    }

    /// Asks a front-end for something.
    pub fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Has the room looked at then.
    pub fn wake(&mut self, room: &RoomKey, at: Instant) {
        self.timers.insert((at, room.clone()));
    }

    /// The same for what each of many people waits for and nobody sees to the second: at the end of that second, once for
    /// all who wait, since a room that is looked at looks at everybody.
    pub fn wake_about(&mut self, room: &RoomKey, at: Instant) {
        let since = at.saturating_duration_since(self.began);
        // Never too early: what is not yet due is not asked for again.
        let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
        self.wake(room, self.began + Duration::from_secs(seconds));
    }

    /// A room whose time has come.
    pub fn due(&mut self) -> Option<RoomKey> {
        if self.timers.first()?.0 > self.now {
            return None;
        }
        self.timers.pop_first().map(|(_, room)| room)
    }

    /// The next thing to do.
    pub fn next_output(&mut self) -> Output {
        let idle = self.now + limits::IDLE;
        self.outputs
            .pop_front()
            .unwrap_or_else(|| Output::Timeout(self.timers.first().map_or(idle, |(at, _)| (*at).min(idle))))
    }
}
