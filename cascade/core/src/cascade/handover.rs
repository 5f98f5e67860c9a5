//! A participant goes on at another node under the same session: what its old node sends flows on beside what the new
//! one begins to send, until viewers have moved.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use origo_auth::{NodeId, ParticipantSid, RoomKey, TrackSid};

use super::Event;
use super::machine::Cascade;
use super::room::RemoteTrack;
use super::timers::Timer;
use crate::wire::message::Exit;
use crate::{MediaKind, ParticipantRecord};

/// How long the old tracks can still be had: a keyframe and a way around the world take a second, a client that is slow
/// to answer two or three.
const LINGERS: Duration = Duration::from_secs(5);

/// Others hear of sessions that go on elsewhere for this long after that: until then the next node's word may be under way,
/// and so may the question to which a node answers that the room is not here any more.
const TOLD_FOR: Duration = Duration::from_secs(30);
/// Of one room so many are told, those that have gone last.
const TOLD_MAX: usize = 1_000;

/// Sessions of this node that go on at others, by room, and since when: also of rooms that are not here any more.
#[derive(Debug, Default)]
pub(super) struct GoneOn(BTreeMap<RoomKey, BTreeMap<ParticipantSid, Instant>>);

impl GoneOn {
    fn note(&mut self, room: &RoomKey, sid: ParticipantSid, now: Instant) {
        self.0.retain(|_, gone| {
            gone.retain(|_, at| now < *at + TOLD_FOR);
            !gone.is_empty()
        });
        let gone = self.0.entry(room.clone()).or_default();
        if gone.len() >= TOLD_MAX
            && let Some(first) = gone.iter().min_by_key(|(_, at)| **at).map(|(sid, _)| *sid)
        {
            gone.remove(&first);
        }
        gone.insert(sid, now);
    }

    /// It has come back.
    pub(super) fn forget(&mut self, room: &RoomKey, sid: ParticipantSid) {
        if let Some(gone) = self.0.get_mut(room) {
            gone.remove(&sid);
        }
    }

    /// What others are told.
    pub(super) fn told(&self, room: &RoomKey, now: Instant) -> Vec<String> {
        let gone = self.0.get(room).into_iter().flatten();
        gone.filter(|(_, at)| now < **at + TOLD_FOR).map(|(sid, _)| sid.to_string()).collect()
    }
}

/// Tracks of one room whose participant goes on elsewhere.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// This node's: until when they are served, and what [`Handover::kind_of`] tells.
    local: BTreeMap<TrackSid, (Instant, MediaKind, bool)>,
    /// Other nodes', until when they are taken.
    remote: BTreeMap<TrackSid, Instant>,
}

impl Handover {
    /// The kind of a track that this node still serves, and whether its layers lie within one stream.
    pub(super) fn kind_of(&self, track: TrackSid) -> Option<(MediaKind, bool)> {
        self.local.get(&track).map(|&(_, kind, in_stream)| (kind, in_stream))
    }
}

impl Cascade {
    /// Says that a room is not here any more.
    pub(super) fn send_exit(&mut self, to: NodeId, key: &RoomKey) {
        let gone_on = self.gone_on.told(key, self.now);
        self.send(to, &Exit { room: Some(key.into()), gone_on });
    }

    /// Another node has taken a local participant over.
    pub(super) fn hand_over(&mut self, key: &RoomKey, local: ParticipantRecord) {
        let until = self.now + LINGERS;
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.handover
            .local
            .extend(local.tracks.iter().map(|track| (track.sid, (until, track.kind, track.has_layers_in_stream()))));
        self.timers.set(until, Timer::Handover(key.clone()));
        self.gone_on.note(key, local.sid, self.now);
        self.tell(Event::TakenOver { room: key.clone(), identity: local.identity, sid: local.sid });
    }

    /// A participant of another node is served by a third one now, or by this one: what it had is still to be had.
    pub(super) fn keep_former_tracks(&mut self, key: &RoomKey, before: &ParticipantRecord, after: &ParticipantRecord) {
        if before.sid != after.sid || before.owner == after.owner {
            return;
        }
        let until = self.now + LINGERS;
        let Some(room) = self.rooms.get_mut(key) else { return };
        let stays: BTreeSet<TrackSid> = after.tracks.iter().map(|track| track.sid).collect();
        for track in before.tracks.iter().filter(|track| !stays.contains(&track.sid)) {
            room.remote_tracks.entry(track.sid).or_insert_with(|| RemoteTrack::of(track, before.owner));
            room.handover.remote.insert(track.sid, until);
        }
        self.timers.set(until, Timer::Handover(key.clone()));
    }

    /// Ends what has lingered for long enough.
    pub(super) fn end_handovers(&mut self, key: &RoomKey) {
        let now = self.now;
        let Some(room) = self.rooms.get_mut(key) else { return };
        let over: Vec<TrackSid> =
            room.handover.remote.iter().filter(|(_, at)| **at <= now).map(|(sid, _)| *sid).collect();
        for track in &over {
            room.handover.remote.remove(track);
            room.remote_tracks.remove(track);
        }
        let served = room.handover.local.iter().filter(|(_, (at, ..))| *at <= now).map(|(sid, _)| *sid);
        let served: BTreeSet<TrackSid> = served.collect();
        room.handover.local.retain(|sid, _| !served.contains(sid));
        for track in over {
            self.apply_want(key, track);
        }
        if !served.is_empty() {
            self.stop_serving(|_, given| given.room == *key && served.contains(&given.layer.track));
        }
    }
}
