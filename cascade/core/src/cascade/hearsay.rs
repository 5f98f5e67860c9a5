//! People of whom another node than theirs has told: that word may be newer than what their own node said last and is
//! still under way.
//!
//! All words of one node come in order, so whoever its list of people does not name has gone. Somebody whom a third node
//! named may have come after that list was written: such a session is kept until its node has spoken of it, or until the
//! list must be the newer word. And a session that its own node has ended is not believed in again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey};

use super::machine::Cascade;
use super::room::Room;
use super::timers::Timer;
use crate::{LeaveReason, ParticipantRecord};

/// A word is under way no longer than this: a connection over which nothing comes is over after 5.5 s. A session that is
/// older was there when its node wrote.
pub(super) const UNDER_WAY_MAX: Duration = Duration::from_secs(6);
/// How long ended sessions are remembered: others forget them within the time that a word is under way, and tell of them
/// until then.
const ENDED_STAYS: Duration = Duration::from_secs(30);
/// Ended sessions that one room remembers.
const ENDED_MAX: usize = 1_000;

/// What others than its own node have told of somebody.
#[derive(Debug, Default)]
pub(super) struct Hearsay {
    /// Sessions that stand by the word of a third node, and until when they do though their own node does not name them.
    heard: BTreeMap<Identity, Option<Instant>>,
    /// Sessions that their own node has ended, and when.
    ended: BTreeMap<(NodeId, ParticipantSid), Instant>,
}

impl Hearsay {
    /// Whoever it is stands by no third node's word any more.
    pub(super) fn forget(&mut self, identity: &Identity) {
        self.heard.remove(identity);
    }

    /// A session's own node says that it is over.
    pub(super) fn note_end(&mut self, owner: NodeId, sid: ParticipantSid, now: Instant) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.retain(|_, at| *at + ENDED_STAYS > now);
        }
        if self.ended.len() < ENDED_MAX {
            self.ended.insert((owner, sid), now);
        }
    }

    fn has_ended(&self, record: &ParticipantRecord, now: Instant) -> bool {
        self.ended.get(&(record.owner, record.sid)).is_some_and(|at| *at + ENDED_STAYS > now)
    }
}

impl Room {
    /// Until when a session may be newer than a word of its own node that does not name it; nothing if it is not.
    fn outlives_word(&self, record: &ParticipantRecord, now: Instant) -> Option<Instant> {
        let until = self.hearsay.heard.get(&record.identity)?;
        let left = UNDER_WAY_MAX.checked_sub(self.age_of(record, now)).filter(|left| !left.is_zero())?;
        Some(until.unwrap_or(now + left))
    }

    /// Whether a third node tells of a session that its own node had before the one that stands here. An owner's word about
    /// another session always stands, since it may have begun anew; what others remember of it may be from before that.
    fn is_from_before(&self, record: &ParticipantRecord, age: Duration, now: Instant) -> bool {
        let stored = self.remote.get(&record.identity);
        stored.is_some_and(|stored| {
            let is_other = stored.owner == record.owner && stored.sid != record.sid;
            is_other && (self.age_of(stored, now) < age || stored.incarnation > record.incarnation)
        })
    }
}

impl Cascade {
    /// A third node tells of a session.
    pub(super) fn take_hearsay(&mut self, key: &RoomKey, record: ParticipantRecord, age: Duration) {
        let now = self.now;
        let Some(room) = self.rooms.get(key) else { return };
        if room.hearsay.has_ended(&record, now) {
            return;
        }
        let (identity, owner, sid) = (record.identity.clone(), record.owner, record.sid);
        let is_it = |room: &Room| room.remote.get(&identity).is_some_and(|at| (at.owner, at.sid) == (owner, sid));
        let stood_for = room.hearsay.heard.get(&identity).copied();
        if is_it(room) && stood_for.is_none() || room.is_from_before(&record, age, now) {
            return;
        }
        self.take_record(key, record, age);
        let Some(room) = self.rooms.get_mut(key) else { return };
        if is_it(room) {
            room.hearsay.heard.insert(identity, stood_for.flatten());
        }
    }

    /// A node's own word of a session that may be older than another session of the same person there, of which a third
    /// node has told: that one stands for now.
    pub(super) fn is_outlived(&mut self, key: &RoomKey, record: &ParticipantRecord) -> bool {
        let now = self.now;
        let Some(room) = self.rooms.get_mut(key) else { return false };
        let Some(stored) = room.remote.get(&record.identity) else { return false };
        if stored.owner != record.owner || stored.sid == record.sid || stored.incarnation < record.incarnation {
            return false;
        }
        let Some(until) = room.outlives_word(stored, now) else { return false };
        room.hearsay.heard.insert(record.identity.clone(), Some(until));
        self.timers.set(until, Timer::Hearsay(key.clone()));
        true
    }

    /// A node's own word: sessions that it had go on elsewhere. They stand until that node's word comes, which may have been
    /// held up.
    pub(super) fn expect_elsewhere(&mut self, key: &RoomKey, owner: NodeId, sids: &BTreeSet<String>) {
        let until = self.now + UNDER_WAY_MAX;
        let Some(room) = self.rooms.get_mut(key) else { return };
        let expected = room.remote.values().filter(|record| record.owner == owner);
        let expected = expected.filter(|record| sids.contains(&record.sid.to_string()));
        let expected: Vec<Identity> = expected.map(|record| record.identity.clone()).collect();
        if !expected.is_empty() {
            self.timers.set(until, Timer::Hearsay(key.clone()));
        }
        for identity in expected {
            room.hearsay.heard.entry(identity).or_default().get_or_insert(until);
        }
    }

    /// A node's own word: of its people these sessions are there and no others.
    pub(super) fn drop_all_but(&mut self, key: &RoomKey, owner: NodeId, sids: &BTreeSet<String>, reason: LeaveReason) {
        let now = self.now;
        let Some(room) = self.rooms.get_mut(key) else { return };
        let gone = room.remote.values().filter(|record| record.owner == owner);
        let gone = gone.filter(|record| !sids.contains(&record.sid.to_string()));
        let kept = gone.filter_map(|record| Some((record.identity.clone(), room.outlives_word(record, now)?)));
        let kept: BTreeMap<Identity, Instant> = kept.collect();
        for (identity, until) in &kept {
            room.hearsay.heard.insert(identity.clone(), Some(*until));
            self.timers.set(*until, Timer::Hearsay(key.clone()));
        }
        self.drop_records(key, reason, |record| {
            record.owner == owner && !sids.contains(&record.sid.to_string()) && !kept.contains_key(&record.identity)
        });
    }

    /// Drops sessions that their own nodes had time enough to name.
    pub(super) fn end_hearsay(&mut self, key: &RoomKey) {
        let now = self.now;
        let Some(room) = self.rooms.get(key) else { return };
        let over = room.hearsay.heard.iter().filter(|(_, until)| until.is_some_and(|until| until <= now));
        let over: BTreeSet<Identity> = over.map(|(identity, _)| identity.clone()).collect();
        let is_over = |record: &ParticipantRecord| over.contains(&record.identity);
        let sids = room.remote.values().filter(|record| is_over(record)).map(|record| record.sid);
        let sids: BTreeSet<ParticipantSid> = sids.collect();
        self.drop_records(key, LeaveReason::NodeLost, |record| sids.contains(&record.sid));
    }
}
