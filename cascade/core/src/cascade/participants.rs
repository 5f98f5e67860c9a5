//! Participants' records: written by the node that serves them, copied by the others.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey, TrackSid};

use super::Event;
use super::machine::Cascade;
use super::room::supersedes;
use crate::wire::Malformed;
use crate::wire::message::{Leave, Record};
use crate::wire::record::{identity_of, record_of, room_of, sid_of};
use crate::{LeaveReason, ParticipantRecord};

/// Records of other nodes in one room: bounds what peers can make us store.
const REMOTE_RECORDS_MAX: usize = 10_000;
/// LiveKit's `DUPLICATE_IDENTITY`.
pub(super) const DUPLICATE_IDENTITY: i32 = 2;

impl Cascade {
    pub(super) fn publish(&mut self, mut record: ParticipantRecord) {
        let key = record.room.clone();
        let Some(room) = self.rooms.get_mut(&key) else {
            self.counters.ask_without_room += 1;
            return;
        };
        record.owner = self.me;
        let stored = [room.local.get(&record.identity), room.remote.get(&record.identity)];
        for stored in stored.into_iter().flatten() {
            if stored.sid == record.sid {
                record.incarnation = stored.incarnation;
            } else {
                record.incarnation = record.incarnation.max(stored.incarnation.saturating_add(1));
            }
        }
        let elsewhere = room.take_remote(&record.identity);
        let before = room.local.insert(record.identity.clone(), record.clone());
        room.refused.remove(&record.identity);
        room.note_begin(&record, self.now, Duration::ZERO);
        self.gone_on.forget(&key, record.sid);
        let message = room.record_to_tell(&record, self.now);
        let peers: Vec<NodeId> = room.peers.iter().filter(|(_, peer)| peer.introduced).map(|(id, _)| *id).collect();
        for to in peers {
            self.send(to, &message);
        }
        self.stop_serving_ended_tracks(&key, before.as_ref(), Some(&record));
        if let Some(elsewhere) = elsewhere {
            self.keep_former_tracks(&key, &elsewhere, &record);
            self.after_remote_change(&key, Some(&elsewhere), None);
            if elsewhere.sid != record.sid {
                self.tell_left(&elsewhere, LeaveReason::Left(DUPLICATE_IDENTITY));
            }
        }
    }

    pub(super) fn withdraw(&mut self, key: &RoomKey, identity: &Identity, sid: ParticipantSid, reason: LeaveReason) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if room.local.get(identity).is_none_or(|record| record.sid != sid) {
            return;
        }
        let record = room.local.remove(identity);
        room.began.remove(identity);
        let peers: Vec<NodeId> = room.peers.keys().copied().collect();
        let reason = match reason {
            LeaveReason::Left(reason) => reason,
            LeaveReason::NodeLost => 0,
        };
        let message = Leave { room: Some(key.into()), identity: identity.0.clone(), sid: sid.to_string(), reason };
        for to in peers {
            self.send(to, &message);
        }
        self.stop_serving_ended_tracks(key, record.as_ref(), None);
        let waits = |other: &ParticipantRecord| record.as_ref().is_some_and(|own| supersedes(other, own));
        if self.rooms.get(key).and_then(|room| room.refused.get(identity)).is_some_and(waits) {
            self.revive(key, identity);
        }
    }

    /// An owner's word about its participant.
    pub(super) fn handle_record(&mut self, from: NodeId, message: Record) -> Result<(), Malformed> {
        let (last_data, age) = (message.data, Duration::from_millis(message.age_ms));
        let record = record_of(message, from)?;
        let (key, identity, sid) = (record.room.clone(), record.identity.clone(), record.sid);
        let epoch = record.owner_epoch;
        if !self.rooms.contains_key(&key) {
            self.send_exit(from, &key);
            return Ok(());
        }
        self.add_peer(from, &key);
        if self.is_outlived(&key, &record) {
            self.refuse_record(&key, record);
            return Ok(());
        }
        self.take_record(&key, record, age);
        let Some(room) = self.rooms.get_mut(&key) else { return Ok(()) };
        if room.remote.get(&identity).is_some_and(|taken| taken.owner == from && taken.sid == sid) {
            room.hearsay.forget(&identity);
            self.begin_data(from, &key, (sid, epoch), last_data);
        }
        Ok(())
    }

    /// `age` is how long ago the session began, at least.
    pub(super) fn take_record(&mut self, key: &RoomKey, record: ParticipantRecord, age: Duration) {
        self.take_record_now(key, record, age, true);
    }

    /// The same; without `waits` the end of the session that stands was waited for long enough.
    pub(super) fn take_record_now(&mut self, key: &RoomKey, record: ParticipantRecord, age: Duration, waits: bool) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        match room.local.get(&record.identity) {
            Some(local) if supersedes(&record, local) => {
                let is_other = local.sid != record.sid;
                if is_other && self.raise_if_younger(key, &record.identity, record.incarnation, age) {
                    return;
                }
                if is_other && waits && self.awaits_end(key, &record, age) {
                    return;
                }
                let Some(room) = self.rooms.get_mut(key) else { return };
                let local = room.local.remove(&record.identity);
                self.give_up(key, local, record.sid);
            }
            // The other node hears of ours by itself, and gives its own up unless that is the younger.
            Some(_) => return self.refuse_record(key, record),
            None => {}
        }
        let Some(room) = self.rooms.get_mut(key) else { return };
        let stored = room.remote.get(&record.identity);
        if stored.is_some_and(|stored| *stored == record) {
            return;
        }
        if stored.is_some_and(|stored| !supersedes(&record, stored)) {
            return self.refuse_record(key, record);
        }
        if stored.is_some_and(|stored| stored.owner != record.owner && stored.sid != record.sid)
            && waits
            && self.awaits_end(key, &record, age)
        {
            return;
        }
        let Some(room) = self.rooms.get_mut(key) else { return };
        let stored = room.remote.get(&record.identity);
        if stored.is_none() && room.remote.len() >= REMOTE_RECORDS_MAX {
            self.counters.over_limit += 1;
            return;
        }
        let known = room.remote.get(&record.identity).is_some_and(|known| known.sid == record.sid);
        let age = if known { room.age_of(&record, self.now) } else { age };
        let before = room.put_remote(record.clone());
        room.note_begin(&record, self.now, age);
        if let Some(before) = before.as_ref().filter(|before| before.sid != record.sid) {
            self.tell_left(before, LeaveReason::Left(DUPLICATE_IDENTITY));
        }
        if let Some(before) = &before {
            self.keep_former_tracks(key, before, &record);
        }
        self.after_remote_change(key, before.as_ref(), Some(&record));
        if self.rooms.get(key).is_some_and(super::room::Room::is_entered) {
            self.tell(Event::ParticipantChanged(record));
        }
    }

    /// A local participant lost its identity to a session elsewhere, or goes on there.
    pub(super) fn give_up(&mut self, key: &RoomKey, local: Option<ParticipantRecord>, elsewhere: ParticipantSid) {
        let Some(local) = local else { return };
        if local.sid == elsewhere {
            return self.hand_over(key, local);
        }
        self.stop_serving_ended_tracks(key, Some(&local), None);
        self.end_wait_for(key, &local);
        self.tell(Event::Superseded { room: key.clone(), identity: local.identity, sid: local.sid });
    }

    pub(super) fn handle_leave(&mut self, from: NodeId, message: Leave) -> Result<(), Malformed> {
        let key = room_of(message.room)?;
        let (identity, sid) = (identity_of(message.identity)?, sid_of(&message.sid)?);
        if let Some(room) = self.rooms.get_mut(&key) {
            room.hearsay.note_end(from, sid, self.now);
        }
        self.drop_records(&key, LeaveReason::Left(message.reason), |record| {
            record.owner == from && record.identity == identity && record.sid == sid
        });
        Ok(())
    }

    /// Drops other nodes' records that `is_gone` names.
    pub(super) fn drop_records(
        &mut self,
        key: &RoomKey,
        reason: LeaveReason,
        is_gone: impl Fn(&ParticipantRecord) -> bool,
    ) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.refused.retain(|_, record| !is_gone(record));
        let gone: Vec<Identity> =
            room.remote.values().filter(|record| is_gone(record)).map(|record| record.identity.clone()).collect();
        for identity in gone {
            let Some(record) = self.rooms.get_mut(key).and_then(|room| room.take_remote(&identity)) else { continue };
            self.after_remote_change(key, Some(&record), None);
            self.tell_left(&record, reason);
            self.end_data(key, record.sid, reason);
            self.revive(key, &identity);
        }
    }

    fn tell_left(&mut self, record: &ParticipantRecord, reason: LeaveReason) {
        if self.rooms.get(&record.room).is_some_and(super::room::Room::is_entered) {
            self.tell(Event::ParticipantLeft {
                room: record.room.clone(),
                identity: record.identity.clone(),
                sid: record.sid,
                reason,
            });
        }
    }

    /// Starts and ends subscriptions as tracks of other nodes come and go.
    fn after_remote_change(
        &mut self,
        key: &RoomKey,
        before: Option<&ParticipantRecord>,
        after: Option<&ParticipantRecord>,
    ) {
        for track in tracks_of(before).union(&tracks_of(after)) {
            self.apply_want(key, *track);
        }
    }

    fn stop_serving_ended_tracks(
        &mut self,
        key: &RoomKey,
        before: Option<&ParticipantRecord>,
        after: Option<&ParticipantRecord>,
    ) {
        let (before, after) = (tracks_of(before), tracks_of(after));
        let ended: BTreeSet<&TrackSid> = before.difference(&after).collect();
        if !ended.is_empty() {
            self.stop_serving(|_, served| served.room == *key && ended.contains(&served.layer.track));
        }
    }
}

fn tracks_of(record: Option<&ParticipantRecord>) -> BTreeSet<TrackSid> {
    record.iter().flat_map(|record| &record.tracks).map(|track| track.sid).collect()
}
