//! All rooms of one node: the core that front-ends, workers and the mesh drive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use livekit_protocol as proto;
use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey, RoomSid, TrackSid};
use origo_cascade_core as cascade;
use origo_cascade_core::cascade::Reach;
use origo_cascade_core::{MediaKind, RoomRecord, RoomSettings};
use proto::DisconnectReason;

use super::admin::Reservations;
use super::context::{Context, RoomsConfig, Seat};
use super::join::{self, JoinError};
use super::room::Room;
use super::session::Session;
use super::{Input, Join, Output, Stats, limits, resume};
use crate::{SessionId, media};

/// All rooms of one node that have local participants.
///
/// Follows the drain rule: handle one input, then poll outputs until [`Output::Timeout`].
pub struct Rooms {
    pub(super) rooms: BTreeMap<RoomKey, Room>,
    pub(super) context: Context,
    /// Rooms that were made and that nobody is in yet.
    pub(super) reservations: Reservations,
}

impl Rooms {
    /// No rooms yet.
    pub fn new(now: Instant, config: RoomsConfig) -> Self {
        Self { rooms: BTreeMap::new(), context: Context::new(now, config), reservations: Reservations::default() }
    }

    /// Takes one input. `unix_ms` is the wall clock in milliseconds, for what clients are shown; nothing is ordered by
    /// it. Afterwards poll until [`Output::Timeout`].
    pub fn handle_input(&mut self, now: Instant, unix_ms: u64, input: Input) {
        self.context.now = now;
        self.context.unix_ms = unix_ms;
        match input {
            Input::Join(join) => self.join(*join),
            Input::Signal { session, request } => self.request(session, *request),
            Input::SocketClosed(session) => self.socket_closed(session),
            Input::Media(event) => self.media(event),
            Input::Mesh(event) => self.mesh(event),
            Input::Admin(ask) => {
                let answer = self.admin(&ask);
                self.context.output(Output::Admin(answer));
            }
            Input::Drain { refuges, people } => self.drain(refuges, people),
            Input::Full(full) => self.context.full = full,
            Input::Undrain => self.context.refuges = None,
            Input::Timeout => {}
        }
        while let Some(key) = self.context.due() {
            self.in_room(&key, |room, cx| room.wake(cx));
        }
    }

    /// Gives the next thing to do; last, when to come back.
    pub fn poll_output(&mut self) -> Output {
        self.context.next_output()
    }

    /// The nodes that a track's media passes, from its publisher's to this one. None when this node knows no such track
    /// in the room.
    pub fn path(&self, room: &RoomKey, track: TrackSid) -> Option<Vec<NodeId>> {
        self.rooms.get(room)?.path(self.context.config.node, track)
    }

    /// The local participants of a room, with the nodes whose publishers' tracks each takes.
    pub fn watchers(&self, room: &RoomKey) -> Vec<(Identity, BTreeSet<NodeId>)> {
        self.rooms.get(room).map(|room| room.watchers(self.context.config.node)).unwrap_or_default()
    }

    /// The countries that a room of this node stays in; empty for all.
    pub fn countries(&self, room: &RoomKey) -> Vec<String> {
        self.rooms.get(room).map(|room| room.record.settings.countries.clone()).unwrap_or_default()
    }

    /// The session of an identity in a room, whichever node serves it. None when it is not in the room as far as this
    /// node knows, or nobody of the room is on this node.
    pub fn participant(&self, room: &RoomKey, identity: &Identity) -> Option<ParticipantSid> {
        self.rooms.get(room)?.sid_of(identity)
    }

    /// How much there is, and what was thrown away so far.
    pub fn stats(&self) -> Stats {
        let locals = || self.rooms.values().flat_map(|room| room.locals.values());
        let tracks = |kind: MediaKind| {
            locals().flat_map(|local| local.announced()).filter(|publication| publication.kind == kind).count() as u64
        };
        Stats {
            rooms: self.rooms.len() as u64,
            rooms_spread: 0,
            participants: locals().count() as u64,
            over_http: locals().filter(|local| !local.session.can_be_sent_on).count() as u64,
            audio_tracks: tracks(MediaKind::Audio),
            video_tracks: tracks(MediaKind::Video),
            dropped: self.context.stats.dropped.clone(),
        }
    }

    fn join(&mut self, join: Join) {
        let session = join.session;
        if self.context.seats.contains_key(&session) {
            return self.context.stats.drop("join", "session joined before");
        }
        if let Err(error) = self.try_join(join) {
            tracing::debug!(session = session.0, %error, "join refused");
            self.context.seats.remove(&session);
            let (status, reason) = (error.status(), error.to_string());
            let elsewhere = error.elsewhere();
            self.context.output(Output::Refuse { session, status, reason, elsewhere });
        }
    }

    fn try_join(&mut self, join: Join) -> Result<(), JoinError> {
        join::check(&join)?;
        let stands = |room: &Room| join.resume.is_some() && room.locals.contains_key(&join.identity);
        if self.context.refuges.is_some() && !self.rooms.get(&join.room).is_some_and(stands) {
            return Err(self.goes_on(&join));
        }
        self.check_newcomer(&join)?;
        let stands_here = self.rooms.get(&join.room).is_some_and(|room| room.locals.contains_key(&join.identity));
        if let Some(sid) = join.resume.filter(|_| stands_here || !join.may_be_led) {
            self.resume(&join, sid);
            return Ok(());
        }
        let key = join.room.clone();
        if !self.rooms.contains_key(&key) {
            if self.rooms.len() >= limits::ROOMS_MAX {
                return Err(JoinError::NodeFull);
            }
            // A node that may not have the room does not even ask who is in it.
            join::check_country(&self.context, &key, self.context.config.residency.countries_of(&key))?;
            let room = self.fresh_room(key.clone());
            self.rooms.insert(key.clone(), room);
            // What was said while it was on its way here is not lost to it.
            if join.received.is_some() {
                self.context.mesh(cascade::Input::CatchUp(key.clone()));
            }
        }
        self.context.seats.insert(join.session, Seat { room: key.clone(), identity: join.identity.clone() });
        self.in_room(&key, |room, cx| room.join(cx, join)).unwrap_or(Ok(()))
    }

    fn fresh_room(&mut self, room: RoomKey) -> Room {
        let reserved = self.reservations.take(&room, self.context.now);
        let countries = self.context.config.residency.countries_of(&room).to_vec();
        let fresh = reserved.unwrap_or_else(|| RoomRecord {
            room,
            sid: RoomSid::random(&mut self.context.rng),
            created_ms: self.context.unix_ms,
            metadata: String::new(),
            version: 0,
            settings: RoomSettings { countries, ..RoomSettings::default() },
        });
        Room::enter(&mut self.context, fresh)
    }

    /// A client comes back to its session. When there is none, or none like it, the client is to join anew, and what is
    /// left of the old one goes first, so that nobody sees both.
    fn resume(&mut self, join: &Join, sid: ParticipantSid) {
        if self.in_room(&join.room, |room, cx| room.resume(cx, join, sid)) == Some(true) {
            // Nobody sits there when the client asked for its socket to be cut and had nothing else.
            if self.rooms.get(&join.room).is_some_and(|room| room.locals.contains_key(&join.identity)) {
                let seat = Seat { room: join.room.clone(), identity: join.identity.clone() };
                self.context.seats.insert(join.session, seat);
            }
            return;
        }
        resume::refuse(&mut self.context, join, sid);
        self.in_room(&join.room, |room, cx| {
            if room.locals.get(&join.identity).is_some_and(|local| local.sid == sid) {
                room.remove(cx, &join.identity, DisconnectReason::SignalClose, None);
            }
        });
    }

    fn request(&mut self, session: SessionId, request: proto::SignalRequest) {
        let acted = self.with_participant(session, by_socket, |room, cx, identity| room.request(cx, identity, request));
        if !acted {
            self.context.stats.drop("request", "no such session");
        }
    }

    fn socket_closed(&mut self, session: SessionId) {
        if self.with_participant(session, by_socket, |room, cx, identity| room.lose_socket(cx, identity)) {
            return;
        }
        // It may still wait for its join. A session that has ended, or has another socket by now, misses nothing.
        let Some(seat) = self.context.seats.get(&session).cloned() else { return };
        if self.in_room(&seat.room, |room, _| room.stop_waiting(session)) == Some(true) {
            self.context.seats.remove(&session);
        }
    }

    fn media(&mut self, event: media::Event) {
        let Some(session) = session_of(&event) else { return self.media_of_tracks(event) };
        // A worker may still speak of a session that has just ended.
        if !self.with_participant(session, by_name, |room, cx, identity| room.media_event(cx, identity, event)) {
            self.context.stats.drop("media event", "no such session");
        }
    }

    /// News about tracks. A worker may still speak of one that has just ended.
    fn media_of_tracks(&mut self, event: media::Event) {
        match event {
            media::Event::Want { track, layers } => {
                let Some(key) = self.context.remote_tracks.get(&track).cloned() else { return };
                self.in_room(&key, |room, cx| room.want(cx, track, layers));
            }
            media::Event::Demand { track, layers } => {
                let Some(key) = self.context.local_tracks.get(&track).cloned() else { return };
                self.in_room(&key, |room, cx| room.demand(cx, track, layers));
            }
            media::Event::Levels(levels) => {
                for (track, dbov, _) in levels {
                    let tracks = (&self.context.local_tracks, &self.context.remote_tracks);
                    let key = tracks.0.get(&track).or_else(|| tracks.1.get(&track)).cloned();
                    key.and_then(|key| self.in_room(&key, |room, cx| room.hear(cx, track, dbov)));
                }
            }
            _ => {}
        }
    }

    fn mesh(&mut self, event: cascade::Event) {
        let acted = match event {
            cascade::Event::Entered { record, participants } => self.in_room(&record.room.clone(), |room, cx| {
                for participant in participants {
                    room.change_remote(cx, participant);
                }
                room.set_record(cx, record);
                room.go_live(cx);
            }),
            cascade::Event::Acquainted { room, untold } => self.in_room(&room, |room, cx| room.acquaint(cx, untold)),
            cascade::Event::Reach { node, reach } => return self.reach(node, reach),
            cascade::Event::RoomChanged(record) => {
                self.in_room(&record.room.clone(), |room, cx| room.set_record(cx, record))
            }
            cascade::Event::RoomWaits { record, stays } => return self.await_return(record, stays),
            cascade::Event::HandOn { to, record, stays } => return self.hand_on(to, &record, stays),
            cascade::Event::ParticipantChanged(record) => {
                self.in_room(&record.room.clone(), |room, cx| room.change_remote(cx, record))
            }
            cascade::Event::ParticipantLeft { room, identity, sid, reason } => {
                self.in_room(&room, |room, cx| room.lose_remote(cx, &identity, sid, reason))
            }
            cascade::Event::Superseded { room, identity, sid } => self.in_room(&room, |room, cx| {
                if room.locals.get(&identity).is_some_and(|local| local.sid == sid) {
                    room.supersede(cx, &identity);
                }
            }),
            cascade::Event::TakenOver { room, identity, sid } => {
                self.in_room(&room, |room, cx| room.taken_over(cx, &identity, sid))
            }
            cascade::Event::Seated { room, identity, granted } => {
                self.in_room(&room, |room, cx| room.seated(cx, &identity, granted))
            }
            cascade::Event::Asked { from, ask } => {
                let answer = self.admin(&ask);
                self.context.mesh(cascade::Input::Answer { to: from, answer });
                return;
            }
            // Whoever asks takes its answers before they come here.
            cascade::Event::Answered { .. } => return self.context.stats.drop("mesh event", "unexpected answer"),
            cascade::Event::DataLost { room, publisher } => {
                self.in_room(&room, |room, cx| room.lose_data(cx, publisher))
            }
            cascade::Event::Data(data) => self.in_room(&data.room, |room, cx| room.remote_data(cx, &data, false)),
            cascade::Event::EarlierData(data) => self.in_room(&data.room, |room, cx| room.remote_data(cx, &data, true)),
        };
        // Normal just after the room's last local participant has left.
        if acted.is_none() {
            self.context.stats.drop("mesh event", "no such room");
        }
    }

    /// Another node, and with it its people, can be reached otherwise than before.
    fn reach(&mut self, node: NodeId, reach: Reach) {
        match reach {
            Reach::Well => self.context.unreached.remove(&node),
            _ => self.context.unreached.insert(node, reach),
        };
        // A node that is heard tells of its people itself.
        if reach == Reach::Well {
            for room in self.rooms.values_mut() {
                room.untold.remove(&node);
            }
        }
        for room in self.rooms.values_mut().filter(|room| room.remotes.has_people_of(node)) {
            room.gather_qualities(&mut self.context);
        }
    }

    /// Does something in the room of a session that has joined and is known by this number. Says whether there is one.
    fn with_participant(
        &mut self,
        session: SessionId,
        known_by: fn(&Session) -> SessionId,
        act: impl FnOnce(&mut Room, &mut Context, &Identity),
    ) -> bool {
        let Some(Seat { room, identity }) = self.context.seats.get(&session).cloned() else { return false };
        let acted = self.in_room(&room, |room, cx| {
            let joined = room.locals.get(&identity).is_some_and(|local| known_by(&local.session) == session);
            if joined {
                act(room, cx, &identity);
            }
            joined
        });
        acted == Some(true)
    }

    /// Does something in a room, and ends the room when nobody is left.
    pub(super) fn in_room<T>(&mut self, key: &RoomKey, act: impl FnOnce(&mut Room, &mut Context) -> T) -> Option<T> {
        let room = self.rooms.get_mut(key)?;
        let result = act(room, &mut self.context);
        if room.is_over()
            && let Some(room) = self.rooms.remove(key)
        {
            tracing::info!(room = %key, "room ended");
            room.exit(&mut self.context);
        }
        Some(result)
    }
}

/// Front-ends know a session by its socket.
fn by_socket(session: &Session) -> SessionId {
    session.socket
}

/// Workers know a session by the name that it began with.
fn by_name(session: &Session) -> SessionId {
    session.id
}

/// Whom a worker's event is about.
fn session_of(event: &media::Event) -> Option<SessionId> {
    match event {
        media::Event::Answer { session, .. }
        | media::Event::Refused { session, .. }
        | media::Event::Offer { session, .. }
        | media::Event::SectionsNeeded { session, .. }
        | media::Event::Connected { session, .. }
        | media::Event::Disconnected { session, .. }
        | media::Event::TrackStarted { session, .. }
        | media::Event::TrackEnded { session, .. }
        | media::Event::Data { session, .. }
        | media::Event::Quality { session, .. }
        | media::Event::Unsupported { session, .. }
        | media::Event::StreamState { session, .. }
        | media::Event::FellBehind(session)
        | media::Event::ChannelsOpen(session) => Some(*session),
        media::Event::Want { .. } | media::Event::Levels(_) | media::Event::Demand { .. } => None,
    }
}
