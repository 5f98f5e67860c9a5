//! A room that lives on this node: who is in it here and elsewhere, and which record of two stands.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use origo_auth::{Identity, NodeId, TrackSid};

use super::data::Data;
use super::handover::Handover;
use super::hearsay::Hearsay;
use super::kept::Seeking;
use super::rivals::Began;
use crate::wire::message::Record;
use crate::{MediaKind, ParticipantRecord, RoomRecord, TrackRecord};

/// A room with local participants.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) record: RoomRecord,
    /// Until [`super::Event::Entered`] was given.
    pub(super) entering: Option<Entering>,
    /// This node's participants.
    pub(super) local: BTreeMap<Identity, ParticipantRecord>,
    /// Other nodes' participants.
    pub(super) remote: BTreeMap<Identity, ParticipantRecord>,
    /// Who publishes each track of `remote`.
    pub(super) remote_tracks: BTreeMap<TrackSid, RemoteTrack>,
    /// The other nodes where the room lives.
    pub(super) peers: BTreeMap<NodeId, Peer>,
    /// Homes that have heard of us over the link they have now.
    pub(super) told_homes: BTreeSet<NodeId>,
    pub(super) data: Data,
    /// When the session of each identity began.
    pub(super) began: BTreeMap<Identity, Began>,
    /// Records that lost against one that stands, the best of each identity.
    pub(super) refused: BTreeMap<Identity, ParticipantRecord>,
    pub(super) handover: Handover,
    pub(super) hearsay: Hearsay,
    /// Everybody is known whom any node tells of, and it was said so.
    pub(super) acquainted: bool,
}

/// An `Enter` that waits for its answer.
#[derive(Debug)]
pub(super) struct Entering {
    pub(super) until: Instant,
    /// Homes that have not answered.
    pub(super) asked: BTreeSet<NodeId>,
    /// A home has named other nodes.
    pub(super) found: bool,
}

/// Another node where the room lives.
#[derive(Debug)]
pub(super) struct Peer {
    /// It has our records over the link it has now.
    pub(super) introduced: bool,
    /// We have had its records once.
    pub(super) known: bool,
    /// What is done to have them otherwise.
    pub(super) seeking: Seeking,
}

impl Peer {
    pub(super) fn new(now: Instant) -> Self {
        Self { introduced: false, known: false, seeking: Seeking::new(now) }
    }
}

/// A track of another node's participant, as far as taking it needs to know.
#[derive(Clone, Debug)]
pub(super) struct RemoteTrack {
    pub(super) owner: NodeId,
    pub(super) kind: MediaKind,
    pub(super) in_stream: bool,
    layer_bitrates_bps: Vec<u32>,
}

/// What a layer is reckoned with whose publisher did not say, bits per second.
const AUDIO_BPS: u64 = 40_000;
const VIDEO_BPS: u64 = 1_000_000;

impl RemoteTrack {
    pub(super) fn of(track: &TrackRecord, owner: NodeId) -> Self {
        let (kind, in_stream) = (track.kind, track.has_layers_in_stream());
        Self { owner, kind, in_stream, layer_bitrates_bps: track.layer_bitrates_bps.clone() }
    }

    /// How many layers it has.
    pub(super) fn layers(&self) -> u8 {
        self.layer_bitrates_bps.len().max(1) as u8
    }

    /// What a layer takes by itself, never 0.
    pub(super) fn rate_bps(&self, layer: u8) -> u64 {
        let told = |layer: usize| self.layer_bitrates_bps.get(layer).map_or(0, |rate| u64::from(*rate));
        let layer = usize::from(layer);
        // Of layers within one stream each rate includes those below.
        let below = if self.in_stream && layer > 0 { told(layer - 1) } else { 0 };
        match (told(layer).saturating_sub(below), self.kind) {
            (0, MediaKind::Audio) => AUDIO_BPS,
            (0, MediaKind::Video) => VIDEO_BPS,
            (rate, _) => rate,
        }
    }
}

impl Room {
    pub(super) fn new(record: RoomRecord, entering: Entering) -> Self {
        Self {
            record,
            entering: Some(entering),
            local: BTreeMap::new(),
            remote: BTreeMap::new(),
            remote_tracks: BTreeMap::new(),
            peers: BTreeMap::new(),
            told_homes: BTreeSet::new(),
            data: Data::default(),
            began: BTreeMap::new(),
            refused: BTreeMap::new(),
            handover: Handover::default(),
            hearsay: Hearsay::default(),
            acquainted: false,
        }
    }

    /// Whether the room's participants have been told of it.
    pub(super) fn is_entered(&self) -> bool {
        self.entering.is_none()
    }

    /// What was said to `peer` may be lost.
    pub(super) fn link_is_down(&mut self, peer: NodeId) {
        self.told_homes.remove(&peer);
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.introduced = false;
        }
        if let Some(entering) = &mut self.entering {
            entering.asked.remove(&peer);
        }
    }

    /// Puts in a record of another node; gives the one that it replaces.
    pub(super) fn put_remote(&mut self, record: ParticipantRecord) -> Option<ParticipantRecord> {
        let before = self.take_remote(&record.identity.clone());
        for track in &record.tracks {
            self.remote_tracks.entry(track.sid).or_insert_with(|| RemoteTrack::of(track, record.owner));
        }
        self.remote.insert(record.identity.clone(), record);
        before
    }

    /// Takes out a record of another node.
    pub(super) fn take_remote(&mut self, identity: &Identity) -> Option<ParticipantRecord> {
        let record = self.remote.remove(identity)?;
        self.hearsay.forget(identity);
        if self.began.get(identity).is_some_and(|began| began.is_of(record.sid)) {
            self.began.remove(identity);
        }
        for track in &record.tracks {
            if self.remote_tracks.get(&track.sid).is_some_and(|known| known.owner == record.owner) {
                self.remote_tracks.remove(&track.sid);
            }
        }
        Some(record)
    }

    /// A local participant's record as other nodes are told it.
    pub(super) fn record_to_tell(&self, record: &ParticipantRecord, now: Instant) -> Record {
        let age_ms = self.age_of(record, now).as_millis() as u64;
        Record { data: self.data.last_of(record.sid), age_ms, ..record.into() }
    }

    /// The kind of a track that a local participant publishes, or published until another node took it over, and whether
    /// its layers lie within one stream.
    pub(super) fn local_track(&self, track: TrackSid) -> Option<(MediaKind, bool)> {
        let mut tracks = self.local.values().flat_map(|record| &record.tracks);
        let published = tracks.find(|other| other.sid == track);
        let published = published.map(|track| (track.kind, track.has_layers_in_stream()));
        published.or_else(|| self.handover.kind_of(track))
    }
}

/// Whether `new` takes the place of `stored`, both being records of one identity.
///
/// Of two sessions the higher incarnation stays; of two owners the higher epoch, then the smaller node id; of two words
/// of one owner the later. An owner that starts anew may have forgotten its numbers, so its word about another session
/// always stands.
pub(super) fn supersedes(new: &ParticipantRecord, stored: &ParticipantRecord) -> bool {
    if new.owner == stored.owner {
        return new.sid != stored.sid || (new.owner_epoch, new.version) >= (stored.owner_epoch, stored.version);
    }
    let rank = |record: &ParticipantRecord| (record.incarnation, record.owner_epoch, Reverse(record.owner));
    rank(new) > rank(stored)
}

/// Merges what another node knows of a room: the earliest (created, sid) wins, then the higher version. The order in
/// which records meet does not matter. Says whether `record` changed.
pub(super) fn merge_room_record(record: &mut RoomRecord, other: RoomRecord) -> bool {
    let rank = |record: &RoomRecord| (record.created_ms, record.sid, Reverse(record.version));
    if other.room != record.room || rank(&other) >= rank(record) {
        return false;
    }
    *record = other;
    true
}
