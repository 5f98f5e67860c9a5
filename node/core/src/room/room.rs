//! One room on this node: whom it serves, whom other nodes serve, and who hears of what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use livekit_protocol as proto;
use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey, TrackSid};
use origo_cascade_core as cascade;
use origo_cascade_core::{LeaveReason, RoomRecord};
use proto::leave_request::Action;
use proto::signal_response::Message;
use proto::{DisconnectReason, ParticipantInfo};
use rand::RngCore;

use super::context::Context;
use super::history::History;
use super::newcomers::Newcomers;
use super::participant::Participant;
use super::remote::Remotes;
use super::resume::Departed;
use super::returning::Returning;
use super::session::Overdue;
use super::shown::Shown;
use super::speakers::Speakers;
use super::streams::Streams;
use super::{Join, Output, info, limits};
use crate::media::Command;

/// Length of the random bytes that mark frames which a server injects into encrypted media (LiveKit's length).
const SIF_TRAILER_BYTES: usize = 16;

/// Whether joins may proceed.
#[derive(Debug)]
pub(super) enum Phase {
    /// The mesh was asked who is in the room. These joins wait, until then at most.
    Entering { waiting: Vec<Join>, until: Instant },
    /// People are let in at once.
    Live,
}

/// One room on this node.
#[derive(Debug)]
pub(super) struct Room {
    pub key: RoomKey,
    pub phase: Phase,
    pub record: RoomRecord,
    pub sif_trailer: Vec<u8>,
    pub locals: BTreeMap<Identity, Participant>,
    pub remotes: Remotes,
    pub departed: Departed,
    pub shown: Shown,
    pub newcomers: Newcomers,
    pub speakers: Speakers,
    pub history: History,
    pub streams: Streams,
    /// When clients are told of the quality of connections, if there is news.
    pub qualities_at: Option<Instant>,
    /// Joins that wait for the home's word on a seat, and until when.
    pub seating: BTreeMap<Identity, (Join, Instant)>,
    /// Clients that come back to sessions of which nobody has told yet.
    pub returning: Returning,
    /// Nodes that had the room and could not be heard when this one came, and of whose people nobody has told.
    pub untold: BTreeSet<NodeId>,
    /// When its counts were last told, and whether they have changed since.
    counts_told: Instant,
    counts_changed: bool,
}

impl Room {
    /// A room whose first participant is about to join: asks the mesh who is in it.
    pub fn enter(cx: &mut Context, fresh: RoomRecord) -> Self {
        let until = cx.now + limits::ENTER_TIMEOUT;
        let mut sif_trailer = vec![0; SIF_TRAILER_BYTES];
        cx.rng.fill_bytes(&mut sif_trailer);
        cx.mesh(cascade::Input::Enter { fresh: fresh.clone() });
        cx.wake(&fresh.room, until);
        Self {
            key: fresh.room.clone(),
            phase: Phase::Entering { waiting: Vec::new(), until },
            record: fresh,
            sif_trailer,
            locals: BTreeMap::new(),
            remotes: Remotes::default(),
            departed: Departed::default(),
            shown: Shown::default(),
            newcomers: Newcomers::default(),
            speakers: Speakers::default(),
            history: History::default(),
            streams: Streams::default(),
            qualities_at: None,
            seating: BTreeMap::new(),
            returning: Returning::default(),
            untold: BTreeSet::new(),
            counts_told: cx.now,
            counts_changed: false,
        }
    }

    /// Whether nobody is here and nobody is about to be.
    pub fn is_over(&self) -> bool {
        let waiting = match &self.phase {
            Phase::Entering { waiting, .. } => waiting.len(),
            Phase::Live => 0,
        };
        waiting + self.returning.len() == 0 && self.seating.is_empty() && self.locals.is_empty()
    }

    /// The last participant is gone: the mesh need not tell of this room any more.
    pub fn exit(mut self, cx: &mut Context) {
        self.forget_remotes(cx);
        cx.mesh(cascade::Input::Exit(self.key));
    }

    /// Does what has become due.
    pub fn wake(&mut self, cx: &mut Context) {
        if matches!(&self.phase, Phase::Entering { until, .. } if *until <= cx.now) {
            tracing::debug!(room = %self.key, "the mesh did not answer in time, joining with whom is known");
            self.go_live(cx);
        }
        let overdue: Vec<_> = self
            .locals
            .values()
            .filter_map(|local| local.session.overdue(cx.now).map(|what| (local.identity.clone(), what)))
            .collect();
        for (identity, what) in overdue {
            let (reason, action) = match what {
                Overdue::Connection => (DisconnectReason::JoinFailure, Action::Disconnect),
                Overdue::Media => (DisconnectReason::ConnectionTimeout, Action::Reconnect),
                Overdue::Socket => (DisconnectReason::SignalClose, Action::Disconnect),
            };
            self.remove(cx, &identity, reason, Some(action));
        }
        self.end_moves(cx);
        self.announce_late(cx);
        self.tell_newcomers(cx);
        self.grant_wishes(cx);
        self.seat_overdue(cx);
        self.end_returns(cx);
        self.pass_on_settings(cx);
        self.tell_speakers(cx);
        self.tell_qualities(cx);
        self.lower_demands(cx);
        self.refresh_tokens(cx);
        self.tell_counts(cx);
    }

    /// A local participant changed in a way that others see: tells everybody else, here and on other nodes. One that
    /// changes too fast is told of a moment later, as it is then.
    pub fn announce(&mut self, cx: &mut Context, identity: &Identity) {
        if let Some(info) = self.change(cx, identity) {
            self.tell_others(cx, identity, info);
        }
    }

    /// The same of one that has come, or is connected now. Where it shows nothing yet, others here are told a moment later.
    pub fn announce_arrival(&mut self, cx: &mut Context, identity: &Identity) {
        match self.change(cx, identity) {
            Some(info) if info.tracks.is_empty() => self.tell_soon(cx, identity),
            Some(info) => self.tell_others(cx, identity, info),
            None => {}
        }
    }

    /// A local participant changed: tells other nodes, and gives what others here are to be told of it.
    fn change(&mut self, cx: &mut Context, identity: &Identity) -> Option<ParticipantInfo> {
        let local = self.locals.get_mut(identity).filter(|local| local.standing.is_served())?;
        let too_fast = local.announcing.take(cx.now, limits::ANNOUNCING).err();
        if let Some(at) = too_fast {
            cx.stats.drop("change", "too fast");
            local.is_unannounced = true;
            cx.wake(&self.key, at);
            return None;
        }
        local.is_unannounced = false;
        local.bump();
        let info = local.info(&cx.config.region);
        let record = local.record(&self.key, cx.config.node, &cx.config.region);
        let hidden = local.grants.hidden;
        cx.mesh(cascade::Input::Publish(record));
        self.notice(cx, identity);
        self.note_counts(cx);
        (!hidden).then_some(info)
    }

    /// Tells of those who changed too fast.
    fn announce_late(&mut self, cx: &mut Context) {
        let unannounced = self.locals.values().filter(|local| local.is_unannounced);
        let unannounced: Vec<_> = unannounced.map(|local| local.identity.clone()).collect();
        for identity in unannounced {
            self.announce(cx, &identity);
        }
    }

    /// Removes a local participant, with a farewell if its socket is still there.
    pub fn remove(&mut self, cx: &mut Context, who: &Identity, reason: DisconnectReason, farewell: Option<Action>) {
        let Some(mut local) = self.locals.remove(who) else { return };
        tracing::info!(room = %self.key, participant = %local.sid, identity = %who, ?reason, "participant left");
        local.bump();
        let (session, socket) = (local.session.id, local.session.socket);
        cx.seats.remove(&session);
        cx.seats.remove(&socket);
        if local.session.has_socket() {
            if let Some(action) = farewell {
                cx.signal(socket, info::leave(reason, action));
            }
            cx.output(Output::Close(socket));
        }
        self.forget_shown_to(session);
        cx.media(&self.key, Command::Close(session));
        for (track, publication) in &local.publications {
            cx.local_tracks.remove(track);
            publication.backup.as_ref().map(|backup| cx.local_tracks.remove(&backup.sid));
        }
        // Whoever is served by another node is there, whatever ends here.
        if !local.standing.is_served() {
            return;
        }
        self.streams.end(local.sid);
        cx.mesh(cascade::Input::Withdraw {
            room: self.key.clone(),
            identity: who.clone(),
            sid: local.sid,
            reason: LeaveReason::Left(reason as i32),
        });
        if !local.grants.hidden {
            let parting = local.parting(&cx.config.region, reason);
            self.departed.note(cx.now, parting.clone());
            self.tell_others(cx, who, parting);
        }
        for name in local.publications.values().map(|publication| publication.name) {
            self.forget_shown(name);
            self.unsubscribe_all(cx, name);
        }
        let parting = local.parting(&cx.config.region, reason);
        self.notice_departure(cx, &local.noticed, &parting);
        self.note_counts(cx);
    }

    /// Says something to every local client but `except`.
    pub fn tell_others(&mut self, cx: &mut Context, except: &Identity, info: ParticipantInfo) {
        self.newcomers.forget(except);
        for local in self.locals.values() {
            if local.identity != *except && local.session.has_socket() {
                cx.signal(local.session.socket, info::update(vec![info.clone()]));
            }
        }
    }

    /// Says something to a participant, when anything can reach it.
    pub fn tell(&self, cx: &mut Context, identity: &Identity, message: Message) {
        if let Some(local) = self.locals.get(identity).filter(|local| local.session.has_socket()) {
            cx.signal(local.session.socket, message);
        }
    }

    /// The room as clients are told of it.
    pub fn info(&self) -> proto::Room {
        let locals = self.locals.values().filter(|local| local.standing.is_served() && !local.grants.hidden);
        let publishing = locals.clone().filter(|local| local.announced().next().is_some()).count();
        let (remotes, remotes_publishing) = self.remotes.counts();
        info::room(&self.record, locals.count() + remotes, publishing + remotes_publishing)
    }

    /// The room's record as another node has it, after a heal or a change.
    pub fn set_record(&mut self, cx: &mut Context, record: RoomRecord) {
        if self.record == record {
            return;
        }
        self.record = record;
        self.tell_room(cx);
    }

    /// The nodes that a track passes from its publisher to here.
    pub fn path(&self, here: NodeId, track: TrackSid) -> Option<Vec<NodeId>> {
        let is_local = self.locals.values().any(|local| local.announced().any(|known| known.name == track));
        if is_local {
            return Some(vec![here]);
        }
        self.remotes.owner_of(track).map(|owner| vec![owner, here])
    }

    /// The participants here, with the nodes whose publishers' tracks each takes.
    pub fn watchers(&self, here: NodeId) -> Vec<(Identity, BTreeSet<NodeId>)> {
        let published: BTreeSet<TrackSid> =
            self.locals.values().flat_map(|local| local.announced().map(|publication| publication.name)).collect();
        let origin = |track: &TrackSid| {
            if published.contains(track) { Some(here) } else { self.remotes.owner_of(*track) }
        };
        let takes = |local: &Participant| local.session.subscriptions.iter().filter_map(origin).collect();
        self.locals.values().map(|local| (local.identity.clone(), takes(local))).collect()
    }

    /// The participant of this identity, wherever it is served.
    pub fn sid_of(&self, identity: &Identity) -> Option<ParticipantSid> {
        let local = self.locals.get(identity).map(|local| local.sid);
        local.or_else(|| self.remotes.sid_of(identity))
    }

    /// Remembers to tell the room's counts, not too often.
    pub fn note_counts(&mut self, cx: &mut Context) {
        if !self.counts_changed {
            self.counts_changed = true;
            cx.wake(&self.key, self.counts_told + limits::ROOM_UPDATE_INTERVAL);
        }
    }

    fn tell_counts(&mut self, cx: &mut Context) {
        if self.counts_changed && self.counts_told + limits::ROOM_UPDATE_INTERVAL <= cx.now {
            self.tell_room(cx);
        }
    }

    fn tell_room(&mut self, cx: &mut Context) {
        self.counts_changed = false;
        self.counts_told = cx.now;
        let room = self.info();
        for local in self.locals.values().filter(|local| local.session.has_socket()) {
            cx.signal(local.session.socket, Message::RoomUpdate(proto::RoomUpdate { room: Some(room.clone()) }));
        }
    }
}
