//! A client's session with this node: its socket, its connections, and what it receives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use livekit_protocol as proto;
use origo_auth::{ParticipantSid, TrackSid};

use super::quality::Verdict;
use super::simulate::CutOnResume;
use super::streams::Moment;
use super::{Join, limits};
use crate::SessionId;
use crate::media::{Target, TrackSettings};
use crate::pace::Pace;

/// One client's session.
#[derive(Debug)]
pub(super) struct Session {
    /// Its name: the session of its first socket, by which workers know it.
    pub id: SessionId,
    /// The socket that it has now, or had last.
    pub socket: SessionId,
    pub single_connection: bool,
    pub can_be_sent_on: bool,
    pub can_succeed: bool,
    pub auto_subscribe: bool,
    pub client: proto::ClientInfo,
    /// The connection whose coming up makes the participant active.
    pub primary: Target,
    /// Tracks that it receives or is about to.
    pub subscriptions: BTreeSet<TrackSid>,
    /// Of them and of those that it would receive, those that it named itself.
    pub asked: BTreeSet<TrackSid>,
    /// Tracks that it would receive if their publishers let it.
    pub denied: BTreeSet<TrackSid>,
    /// How often it changes what it receives.
    pub subscribing: Pace,
    /// What it wants and what not, as far as it said so too fast.
    pub wishes: BTreeMap<TrackSid, bool>,
    /// How it shows tracks, as far as it has said.
    pub settings: BTreeMap<TrackSid, TrackSettings>,
    /// What it was told of connections.
    pub qualities: BTreeMap<ParticipantSid, Verdict>,
    /// When it joined, in the order of the room's data.
    pub arrived: Moment,
    /// When this node heard of the participant first: what came before that is not for it.
    pub known: Moment,
    /// When its token is refreshed.
    pub token_at: Instant,
    /// It wants to see what happens when coming back fails.
    pub cut_on_resume: Option<CutOnResume>,
    /// A track was taken from it, so that the section of it may carry another one next.
    pub has_idle_sections: bool,
    connected: BTreeSet<Target>,
    socket_lost: bool,
    /// When the participant is removed unless something happens, and what must not have happened by then.
    deadline: Option<(Instant, Overdue)>,
}

/// What a session waits for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Its first connection.
    Connection,
    /// A word from a client whose connection is over.
    Media,
    /// Its socket to come back.
    Socket,
}

impl Session {
    pub fn new(join: &Join, subscriber_primary: bool, now: Instant) -> Self {
        Self {
            id: join.session,
            socket: join.session,
            single_connection: join.single_connection,
            can_be_sent_on: join.can_be_sent_on,
            can_succeed: join.can_succeed,
            auto_subscribe: join.auto_subscribe,
            client: join.client.clone(),
            primary: if subscriber_primary { Target::Subscriber } else { Target::Publisher },
            subscriptions: BTreeSet::new(),
            asked: BTreeSet::new(),
            denied: BTreeSet::new(),
            subscribing: Pace::default(),
            wishes: BTreeMap::new(),
            settings: BTreeMap::new(),
            qualities: BTreeMap::new(),
            arrived: Moment::default(),
            known: Moment::default(),
            token_at: now,
            cut_on_resume: None,
            has_idle_sections: false,
            connected: BTreeSet::new(),
            socket_lost: false,
            deadline: Some((now + limits::CONNECT_TIMEOUT, Overdue::Connection)),
        }
    }

    /// Whether anything said to the client can reach it.
    pub fn has_socket(&self) -> bool {
        !self.socket_lost
    }

    /// Whether a track's id has to ride in its stream's id. Firefox makes up its own track ids, and where we offer, a
    /// browser calls what comes on a used section by the id of the first track there.
    pub fn reads_track_from_stream(&self) -> bool {
        let renames = self.client.browser.eq_ignore_ascii_case("firefox");
        renames || (!self.single_connection && self.has_idle_sections)
    }

    /// It is no longer to receive a track. Says whether it was.
    pub fn unsubscribe(&mut self, track: TrackSid) -> bool {
        self.denied.remove(&track);
        self.asked.remove(&track);
        let was = self.subscriptions.remove(&track);
        self.has_idle_sections |= was;
        was
    }

    /// A connection is up. Says whether it is the primary one, for the first time.
    pub fn connect(&mut self, target: Target) -> bool {
        let first = self.connected.insert(target) && target == self.primary;
        if first && matches!(self.deadline, Some((_, Overdue::Connection))) {
            self.deadline = None;
        }
        first
    }

    /// A connection is over for good. Gives the instant at which the participant goes; none when it goes at once,
    /// because its socket is gone too.
    pub fn disconnect(&mut self, target: Target, now: Instant) -> Option<Instant> {
        self.connected.remove(&target);
        if self.socket_lost {
            return None;
        }
        let at = now + limits::MEDIA_GRACE;
        self.deadline = Some((at, Overdue::Media));
        Some(at)
    }

    /// The socket is gone. Gives the instant until which the participant stays; none when it goes at once, because no
    /// media flows either.
    pub fn lose_socket(&mut self, now: Instant) -> Option<Instant> {
        self.socket_lost = true;
        if self.connected.is_empty() {
            return None;
        }
        let until = now + limits::SOCKET_GRACE;
        self.deadline = Some((until, Overdue::Socket));
        Some(until)
    }

    /// Whether it can go on with another socket: no connection of it is over.
    pub fn is_whole(&self) -> bool {
        !matches!(self.deadline, Some((_, Overdue::Media)))
    }

    /// Its client was told to go on elsewhere: nothing is awaited of it here.
    pub fn send_on(&mut self) {
        self.socket_lost = true;
        self.deadline = None;
    }

    /// It has a socket again.
    pub fn take_up(&mut self, socket: SessionId) {
        self.socket = socket;
        self.socket_lost = false;
        self.deadline = self.deadline.filter(|(_, what)| *what == Overdue::Connection);
    }

    /// What the session has waited for too long, if anything.
    pub fn overdue(&self, now: Instant) -> Option<Overdue> {
        self.deadline.filter(|(at, _)| *at <= now).map(|(_, what)| what)
    }
}
