//! Sessions of one identity on two nodes, whose clocks may disagree: the one that began later is to stay.
//!
//! All nodes order sessions by their incarnation, which comes from a clock. Where that order is wrong, the owner of the
//! younger session alone mends it: it raises its incarnation above the other's. Ages are told as spans, so no clock of
//! another node counts; they grow by the way of the message alone, which makes a session look younger than it is, so
//! never do both owners believe theirs to be the younger.

use std::time::{Duration, Instant};

use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey};

use super::hearsay::UNDER_WAY_MAX;
use super::machine::Cascade;
use super::participants::DUPLICATE_IDENTITY;
use super::room::{Room, supersedes};
use super::timers::Timer;
use crate::ParticipantRecord;
use crate::wire::Malformed;
use crate::wire::message::{Leave, Rival};
use crate::wire::record::{identity_of, room_of, sid_of};

/// How often a session is raised above others: each time all nodes of the room are told.
const RAISED_MAX: u8 = 8;
/// Of two sessions this young the ages do not tell which began first: a word is under way for up to a third of a second.
const YOUNG: Duration = Duration::from_millis(500);
/// So long the end of the other one is waited for before a young session gives way.
const ENDS_WITHIN: Duration = Duration::from_millis(500);
/// Refused records that one room keeps.
const REFUSED_MAX: usize = 1000;

/// When a session began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began {
    sid: ParticipantSid,
    heard_at: Instant,
    /// How old it was then.
    age: Duration,
    /// How often it was raised above others.
    raised: u8,
}

impl Began {
    pub(super) fn new(sid: ParticipantSid, heard_at: Instant, age: Duration) -> Self {
        Self { sid, heard_at, age, raised: 0 }
    }

    pub(super) fn is_of(&self, sid: ParticipantSid) -> bool {
        self.sid == sid
    }
}

impl Room {
    /// How old a session is at least.
    pub(super) fn age_of(&self, record: &ParticipantRecord, now: Instant) -> Duration {
        let began = self.began.get(&record.identity).filter(|began| began.sid == record.sid);
        began.map_or(Duration::ZERO, |began| began.age + now.saturating_duration_since(began.heard_at))
    }

    /// A session is known from now on, if it was not.
    pub(super) fn note_begin(&mut self, record: &ParticipantRecord, now: Instant, age: Duration) {
        let known = self.began.get(&record.identity);
        if known.is_none_or(|began| began.sid != record.sid) {
            self.began.insert(record.identity.clone(), Began::new(record.sid, now, age));
        }
    }
}

impl Cascade {
    /// Another node's record loses against one that stands here: it is kept for the time when that one goes, and its owner
    /// hears of the other.
    pub(super) fn refuse_record(&mut self, key: &RoomKey, record: ParticipantRecord) {
        let now = self.now;
        let Some(room) = self.rooms.get_mut(key) else { return };
        let stands = room.local.get(&record.identity).or_else(|| room.remote.get(&record.identity));
        let Some(stands) = stands.filter(|stands| stands.sid != record.sid) else { return };
        let message = Rival {
            room: Some(key.into()),
            identity: record.identity.0.clone(),
            sid: record.sid.to_string(),
            incarnation: stands.incarnation,
            age_ms: room.age_of(stands, now).as_millis() as u64,
        };
        let to = record.owner;
        let known = room.refused.get(&record.identity);
        if known.is_some_and(|known| known.owner == to || supersedes(&record, known))
            || known.is_none() && room.refused.len() < REFUSED_MAX
        {
            room.refused.insert(record.identity.clone(), record);
        }
        self.send(to, &message);
    }

    /// A session that stands has to give way to one on another node. Both have just begun, or word of the other has been
    /// held up: it may be the one before, whose end is still under way, so it is waited for a moment. Says whether it is.
    pub(super) fn awaits_end(&mut self, key: &RoomKey, record: &ParticipantRecord, age: Duration) -> bool {
        let now = self.now;
        let Some(room) = self.rooms.get(key) else { return false };
        let identity = &record.identity;
        let Some(stands) = room.local.get(identity).or_else(|| room.remote.get(identity)) else { return false };
        let (owner, stood_for) = (stands.owner, room.age_of(stands, now));
        let is_young = stood_for < YOUNG && age < YOUNG;
        // Nothing comes of a node that is not heard: its people come back elsewhere.
        let may_be_older = stood_for < age + UNDER_WAY_MAX && (owner == self.me || self.can_feed(&owner));
        let Some(room) = self.rooms.get_mut(key) else { return false };
        let has_place = room.refused.len() < REFUSED_MAX || room.refused.contains_key(identity);
        let waits = (is_young || may_be_older) && has_place;
        if waits {
            room.refused.insert(identity.clone(), record.clone());
            self.timers.set(now + ENDS_WITHIN, Timer::Rival(key.clone(), identity.clone()));
        }
        waits
    }

    /// The other session has not ended: the one that stands does.
    pub(super) fn yield_to_rival(&mut self, key: &RoomKey, identity: &Identity) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let stands = room.local.get(identity).or_else(|| room.remote.get(identity));
        let is_next = |record: &&ParticipantRecord| stands.is_some_and(|stands| supersedes(record, stands));
        let Some(record) = room.refused.get(identity).filter(is_next).cloned() else { return };
        if !self.can_feed(&record.owner) {
            // Word of its end cannot come as long as its node is not heard.
            return self.timers.set(self.now + ENDS_WITHIN, Timer::Rival(key.clone(), identity.clone()));
        }
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.refused.remove(identity);
        if let Some(local) = room.local.remove(identity) {
            self.give_up(key, Some(local), record.sid);
        }
        self.take_record_now(key, record, YOUNG, false);
    }

    /// A local session has given way. Others keep one that is young while they wait for the other session to end: they
    /// hear that they need not.
    pub(super) fn end_wait_for(&mut self, key: &RoomKey, local: &ParticipantRecord) {
        let Some(room) = self.rooms.get(key) else { return };
        if room.age_of(local, self.now) >= UNDER_WAY_MAX + 2 * (YOUNG + ENDS_WITHIN) {
            return;
        }
        let peers: Vec<NodeId> = room.peers.keys().copied().collect();
        let (identity, sid) = (local.identity.0.clone(), local.sid.to_string());
        let message = Leave { room: Some(key.into()), identity, sid, reason: DUPLICATE_IDENTITY };
        for to in peers {
            self.send(to, &message);
        }
    }

    /// A record is gone: one that it kept out takes its place.
    pub(super) fn revive(&mut self, key: &RoomKey, identity: &Identity) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let Some(record) = room.refused.remove(identity) else { return };
        if room.peers.contains_key(&record.owner) {
            self.take_record(key, record, Duration::ZERO);
        }
    }

    /// Another node knows of a session of a local participant's identity that it takes for the newer one.
    pub(super) fn handle_rival(&mut self, message: Rival) -> Result<(), Malformed> {
        let key = room_of(message.room)?;
        let (identity, sid) = (identity_of(message.identity)?, sid_of(&message.sid)?);
        let local = self.rooms.get(&key).and_then(|room| room.local.get(&identity));
        if local.is_some_and(|local| local.sid == sid && local.incarnation <= message.incarnation) {
            self.raise_if_younger(&key, &identity, message.incarnation, Duration::from_millis(message.age_ms));
        }
        Ok(())
    }

    /// Raises a local session above another one if it began later; says whether it did.
    pub(super) fn raise_if_younger(
        &mut self,
        key: &RoomKey,
        identity: &Identity,
        incarnation: u64,
        age: Duration,
    ) -> bool {
        let now = self.now;
        let Some(room) = self.rooms.get_mut(key) else { return false };
        let Some(local) = room.local.get(identity) else { return false };
        let own_age = room.age_of(local, now);
        let Some(began) = room.began.get_mut(identity) else { return false };
        if own_age >= age || began.raised >= RAISED_MAX {
            return false;
        }
        began.raised += 1;
        let Some(local) = room.local.get_mut(identity) else { return false };
        local.incarnation = local.incarnation.max(incarnation.saturating_add(1));
        let message = room.record_to_tell(&room.local[identity], now);
        let peers: Vec<NodeId> = room.peers.iter().filter(|(_, peer)| peer.introduced).map(|(id, _)| *id).collect();
        for to in peers {
            self.send(to, &message);
        }
        true
    }
}
