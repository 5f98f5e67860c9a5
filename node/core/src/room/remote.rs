//! Participants that other nodes serve: copies of their records, as this node's clients are told of them.

use std::collections::{BTreeMap, BTreeSet};

use livekit_protocol as proto;
use origo_auth::{Identity, NodeId, ParticipantSid, TrackSid};
use origo_cascade_core as cascade;
use origo_cascade_core::{LayerSet, LeaveReason, ParticipantRecord, TrackRecord};
use prost::Message;
use proto::participant_info::State;
use proto::{DisconnectReason, ParticipantInfo};

use super::annex::Annex;
use super::context::Context;
use super::limits;
use super::publication::redundancy_of;
use super::room::Room;
use super::streams::Moment;
use crate::media::Redundancy;

/// A participant on another node.
#[derive(Debug)]
pub(super) struct Remote {
    pub record: ParticipantRecord,
    pub info: ParticipantInfo,
    pub annex: Annex,
    /// When this node heard of it.
    pub known: Moment,
}

impl Remote {
    /// Reads a record; none when its info is no `ParticipantInfo`.
    fn read(record: ParticipantRecord) -> Option<Self> {
        let mut info = ParticipantInfo::decode(&record.info[..]).ok()?;
        info.sid = record.sid.to_string();
        info.identity.clone_from(&record.identity.0);
        for track in record.tracks.iter().filter(|track| track.shown_as.is_some()) {
            let carried = track.sid.to_string();
            info.tracks
                .iter_mut()
                .filter(|told| told.sid == carried)
                .for_each(|told| told.sid = track.name().to_string());
        }
        let annex = Annex::read(&record.info)?;
        Some(Self { record, info, annex, known: Moment::ELSEWHERE })
    }

    pub fn is_hidden(&self) -> bool {
        self.info.permission.as_ref().is_some_and(|permission| permission.hidden)
    }

    /// Its tracks, as clients know them.
    pub fn tracks(&self) -> impl Iterator<Item = &TrackRecord> {
        self.record.tracks.iter().filter(|track| track.backup_of.is_none())
    }

    /// The second codec of one of its tracks.
    pub fn backup(&self, track: TrackSid) -> Option<&TrackRecord> {
        self.record.tracks.iter().find(|record| record.backup_of == Some(track))
    }

    /// The msid stream of one of its tracks.
    pub fn stream(&self, track: TrackSid) -> &str {
        self.track_info(track).map_or("", |info| &info.stream)
    }

    /// Whether one of its tracks is a shared screen.
    pub fn is_screen(&self, track: TrackSid) -> bool {
        self.track_info(track).is_some_and(|info| info.source() == proto::TrackSource::ScreenShare)
    }

    /// What may be done with one of its sounds on its way.
    pub fn redundancy(&self, track: TrackSid) -> Redundancy {
        self.track_info(track).map(redundancy_of).unwrap_or_default()
    }

    fn track_info(&self, track: TrackSid) -> Option<&proto::TrackInfo> {
        let sid = track.to_string();
        self.info.tracks.iter().find(|info| info.sid == sid)
    }
}

/// Everybody in a room whom other nodes serve.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    pub by_identity: BTreeMap<Identity, Remote>,
    /// Tracks of theirs that local viewers have the mesh bring here.
    wanted: BTreeSet<TrackSid>,
    /// Those of them whose publishers have gone on at other nodes, while viewers still take what they had.
    handed_over: BTreeSet<TrackSid>,
    /// The last numbered reliable packet of each that was delivered.
    last_sequences: BTreeMap<ParticipantSid, u32>,
}

impl Remotes {
    /// Those whom clients see.
    pub fn visible(&self) -> impl Iterator<Item = &Remote> {
        self.by_identity.values().filter(|remote| !remote.is_hidden())
    }

    /// How many clients see, and how many of these publish.
    pub fn counts(&self) -> (usize, usize) {
        let publishing = self.visible().filter(|remote| !remote.record.tracks.is_empty()).count();
        (self.visible().count(), publishing)
    }

    /// Whether a node serves any of them.
    pub fn has_people_of(&self, node: NodeId) -> bool {
        self.by_identity.values().any(|remote| remote.record.owner == node)
    }

    /// The node that serves a track's publisher.
    pub fn owner_of(&self, track: TrackSid) -> Option<NodeId> {
        self.find(track).map(|(remote, _)| remote.record.owner)
    }

    /// A track and its publisher.
    pub fn find(&self, track: TrackSid) -> Option<(&Remote, &TrackRecord)> {
        let tracks = self.visible().flat_map(|remote| remote.tracks().map(move |record| (remote, record)));
        tracks.into_iter().find(|(_, record)| record.name() == track)
    }

    pub fn sid_of(&self, identity: &Identity) -> Option<ParticipantSid> {
        self.by_identity.get(identity).map(|remote| remote.record.sid)
    }

    /// Number of the last reliable packet of a participant that was delivered here.
    pub fn last_sequence(&self, publisher: ParticipantSid) -> u32 {
        self.last_sequences.get(&publisher).copied().unwrap_or(0)
    }

    /// Whether a numbered reliable packet is newer than all before it, and remembers it.
    pub fn advance(&mut self, publisher: ParticipantSid, sequence: u32) -> bool {
        if self.last_sequences.len() >= limits::REMOTES_MAX && !self.last_sequences.contains_key(&publisher) {
            // Packets may come before the record of who sent them, so strangers are remembered too, within the bound.
            self.last_sequences.retain(|sid, _| self.by_identity.values().any(|remote| remote.record.sid == *sid));
        }
        let last = self.last_sequences.entry(publisher).or_default();
        let newer = sequence > *last;
        *last = sequence.max(*last);
        newer
    }
}

impl Room {
    /// A participant on another node is new or changed.
    pub fn change_remote(&mut self, cx: &mut Context, record: ParticipantRecord) {
        if record.owner == cx.config.node {
            return cx.stats.drop("record", "of this node itself");
        }
        // The cascade decides which session of an identity stays, and ends one here before it tells of another. What
        // comes while there is one here was said before the cascade knew of it.
        if self.is_served(&record.identity) {
            return cx.stats.drop("record", "of a local participant");
        }
        let Some(mut remote) = Remote::read(record) else { return cx.stats.drop("record", "malformed") };
        self.untold.remove(&remote.record.owner);
        let identity = remote.record.identity.clone();
        let before = self.remotes.by_identity.get(&identity).map(|known| known.record.sid);
        if before.is_none() && self.remotes.by_identity.len() >= limits::REMOTES_MAX {
            return cx.stats.drop("record", "too many participants");
        }
        if before.is_some_and(|sid| sid != remote.record.sid) {
            self.remove_remote(cx, &identity, DisconnectReason::DuplicateIdentity);
        }
        self.end_other_heir(cx, &identity, remote.record.sid);
        remote.known = match self.remotes.by_identity.get(&identity) {
            Some(known) => known.known,
            None if self.returning.is_acquainted() => self.streams.pass(),
            None => Moment::ELSEWHERE,
        };
        for track in &remote.record.tracks {
            cx.remote_tracks.insert(track.sid, self.key.clone());
        }
        let tracks = remote.record.tracks.clone();
        let owner = remote.record.owner;
        let (info, is_hidden) = (remote.info.clone(), remote.is_hidden());
        let annex = remote.annex.clone();
        let old = self.remotes.by_identity.insert(identity.clone(), remote);
        if !is_hidden && old.as_ref().is_none_or(|old| is_news(&old.info, &info)) {
            let shows = |info: &ParticipantInfo| !info.tracks.is_empty();
            match shows(&info) || old.as_ref().is_some_and(|old| shows(&old.info)) {
                true => self.tell_others(cx, &identity, info),
                false => self.tell_soon(cx, &identity),
            }
        }
        let has_moved = old.as_ref().is_some_and(|old| old.record.owner != owner);
        if has_moved || annex.verdict().is_some() {
            self.gather_qualities(cx);
        }
        self.end_changed_codecs(cx, &identity, &tracks);
        let has_other_audience = old.as_ref().is_some_and(|old| old.annex.audience != annex.audience);
        self.follow_tracks(cx, old.map(|old| old.record.tracks).unwrap_or_default(), &tracks);
        if has_other_audience {
            self.apply_audience(cx, &identity);
        }
        self.note_counts(cx);
        self.let_return_as(cx, &identity);
    }

    /// A participant on another node is gone.
    pub fn lose_remote(&mut self, cx: &mut Context, identity: &Identity, sid: ParticipantSid, reason: LeaveReason) {
        if self.remotes.sid_of(identity) != Some(sid) {
            return;
        }
        // One that goes on here is not gone.
        if self.take_over(cx, identity) {
            return;
        }
        let reason = match reason {
            LeaveReason::Left(number) => DisconnectReason::try_from(number).unwrap_or(DisconnectReason::UnknownReason),
            LeaveReason::NodeLost => DisconnectReason::ServerShutdown,
        };
        self.remove_remote(cx, identity, reason);
    }

    /// Forgets a participant on another node and tells everybody.
    pub fn remove_remote(&mut self, cx: &mut Context, identity: &Identity, reason: DisconnectReason) {
        let Some(remote) = self.remotes.by_identity.remove(identity) else { return };
        self.remotes.last_sequences.remove(&remote.record.sid);
        self.streams.end(remote.record.sid);
        if !remote.is_hidden() {
            let info = ParticipantInfo {
                state: State::Disconnected as i32,
                disconnect_reason: reason as i32,
                tracks: Vec::new(),
                ..remote.info
            };
            self.departed.note(cx.now, info.clone());
            self.tell_others(cx, identity, info);
        }
        self.follow_tracks(cx, remote.record.tracks, &[]);
        self.note_counts(cx);
    }

    /// The layers that local viewers need of a track that is published elsewhere.
    pub fn want(&mut self, cx: &mut Context, track: TrackSid, layers: LayerSet) {
        if layers.is_empty() {
            self.remotes.wanted.remove(&track);
            if self.remotes.handed_over.remove(&track) {
                cx.remote_tracks.remove(&track);
            }
        } else {
            self.remotes.wanted.insert(track);
        }
        cx.mesh(cascade::Input::Want { room: self.key.clone(), track, layers });
    }

    /// Drops everybody on other nodes without a word to anyone.
    pub fn forget_remotes(&mut self, cx: &mut Context) {
        let tracks = self.remotes.by_identity.values().flat_map(|remote| &remote.record.tracks);
        let tracks: Vec<_> = tracks.map(|track| track.sid).chain(self.remotes.handed_over.iter().copied()).collect();
        for track in tracks {
            self.forget_track(cx, track);
        }
        self.remotes = Remotes::default();
    }

    /// Ends what is gone of a remote participant's tracks and takes what is new. A track that changes its codec is
    /// taken anew.
    fn follow_tracks(&mut self, cx: &mut Context, old: Vec<TrackRecord>, new: &[TrackRecord]) {
        for track in &old {
            let same = new.iter().find(|now| now.name() == track.name());
            if same.is_none_or(|now| !now.mime.eq_ignore_ascii_case(&track.mime)) {
                self.unsubscribe_all(cx, track.name());
            }
            match same {
                None => self.forget_track(cx, track.sid),
                Some(now) if now.sid != track.sid => self.let_go(cx, track.sid),
                Some(_) => {}
            }
        }
        for track in new {
            let known =
                old.iter().find(|before| before.sid == track.sid && before.mime.eq_ignore_ascii_case(&track.mime));
            match track.backup_of {
                None if known.is_none() => {
                    self.renew_subscriptions(cx, track.name());
                    self.subscribe_all(cx, track.name());
                }
                // Whoever takes the first for the first time is told of both at once.
                Some(shown) if known != Some(track) && old.iter().any(|before| before.name() == shown) => {
                    self.renew_subscriptions(cx, shown);
                }
                _ => {}
            }
        }
    }

    /// A track is carried under another id now. Viewers take the old one until the new one flows.
    pub(super) fn let_go(&mut self, cx: &mut Context, track: TrackSid) {
        if self.remotes.wanted.contains(&track) {
            self.remotes.handed_over.insert(track);
        } else {
            cx.remote_tracks.remove(&track);
        }
    }

    pub(super) fn forget_track(&mut self, cx: &mut Context, track: TrackSid) {
        cx.remote_tracks.remove(&track);
        self.remotes.handed_over.remove(&track);
        self.forget_shown(track);
        if self.remotes.wanted.remove(&track) {
            cx.mesh(cascade::Input::Want { room: self.key.clone(), track, layers: LayerSet::NONE });
        }
    }
}

/// Whether clients see a change. What nodes tell each other beside it counts up the version, too.
fn is_news(before: &ParticipantInfo, now: &ParticipantInfo) -> bool {
    ParticipantInfo { version: now.version, ..before.clone() } != *now
}
