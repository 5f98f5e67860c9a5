//! A participant that this node serves, and the record that other nodes get of it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use livekit_protocol as proto;
use origo_auth::{Claims, Identity, NodeId, ParticipantSid, RoomKey, TrackSid};
use origo_cascade_core::ParticipantRecord;
use prost::Message;
use proto::DisconnectReason;
use proto::participant_info::{Kind, State};

use super::annex::Annex;
use super::audience::Audience;
use super::grants::Grants;
use super::moving::Standing;
use super::notice::Noticed;
use super::publication::Publication;
use super::quality::Quality;
use super::session::Session;
use crate::pace::Pace;

/// `ParticipantInfo.version` has 16 bits for the changes under one owner epoch.
const CHANGES_PER_EPOCH: u32 = 1 << 16;

/// A participant that this node serves.
#[derive(Debug)]
pub(super) struct Participant {
    pub identity: Identity,
    pub sid: ParticipantSid,
    pub incarnation: u64,
    pub name: String,
    pub metadata: String,
    pub attributes: BTreeMap<String, String>,
    pub kind: Kind,
    pub grants: Grants,
    /// What its token said.
    pub claims: Claims,
    pub state: State,
    pub joined_ms: u64,
    pub session: Session,
    pub publications: BTreeMap<TrackSid, Publication>,
    /// Announcements that wait for an earlier track of the same client id to end.
    pub queued: VecDeque<proto::AddTrackRequest>,
    /// How often others hear of it.
    pub announcing: Pace,
    /// It changed since others heard of it.
    pub is_unannounced: bool,
    /// Who may receive its tracks.
    pub audience: Audience,
    pub quality: Quality,
    /// The last numbered reliable packet that it sent.
    pub last_sequence: u32,
    /// What the application was told of it.
    pub noticed: Noticed,
    pub owner_epoch: u32,
    pub version: u32,
    pub standing: Standing,
    /// It came from another node, and may go on at a third as its SDK reaches one.
    pub was_elsewhere: bool,
    /// Tracks that it had at another node and has not published here yet.
    pub former_tracks: Vec<proto::TrackInfo>,
    /// Added to the numbers of its reliable packets: those of its earlier connections to other nodes stay below.
    pub sequence_base: u32,
    /// Reliable packets that wait until others take it for who it is.
    pub held: Vec<Bytes>,
    /// What its client said of the reliable data of the session before this one.
    pub received: Option<super::Received>,
}

impl Participant {
    /// Marks a change that others will hear of.
    pub fn bump(&mut self) {
        self.version += 1;
        // An epoch that is used up is followed by the next one, so that what clients compare only grows.
        if self.version == CHANGES_PER_EPOCH {
            self.version = 0;
            self.owner_epoch += 1;
        }
    }

    /// One of its tracks by the id that clients know.
    pub fn publication(&mut self, name: TrackSid) -> Option<&mut Publication> {
        self.publications.values_mut().find(|publication| publication.name == name)
    }

    /// Tracks that others know of.
    pub fn announced(&self) -> impl Iterator<Item = &Publication> {
        self.publications.values().filter(|publication| publication.announced)
    }

    /// The participant as clients are told of it.
    pub fn info(&self, region: &str) -> proto::ParticipantInfo {
        let tracks: Vec<_> = self.announced().map(|publication| publication.info.clone()).collect();
        proto::ParticipantInfo {
            sid: self.sid.to_string(),
            identity: self.identity.0.clone(),
            state: self.state as i32,
            is_publisher: !tracks.is_empty(),
            tracks,
            metadata: self.metadata.clone(),
            joined_at: (self.joined_ms / 1_000) as i64,
            joined_at_ms: self.joined_ms as i64,
            name: self.name.clone(),
            version: (self.owner_epoch << 16) | self.version,
            permission: Some(self.grants.permission()),
            region: region.into(),
            kind: self.kind as i32,
            attributes: self.attributes.clone().into_iter().collect(),
            client_protocol: self.session.client.client_protocol,
            capabilities: self.session.client.capabilities.clone(),
            ..Default::default()
        }
    }

    /// The participant as nodes tell it: each track by the id under which it is carried. A node that knows no other id
    /// than that takes a track that goes on under another one for one that follows the first.
    fn info_for_nodes(&self, region: &str) -> proto::ParticipantInfo {
        let mut info = self.info(region);
        for (told, publication) in info.tracks.iter_mut().zip(self.announced()) {
            told.sid = publication.sid.to_string();
        }
        info
    }

    /// The participant as the last word that clients get of it.
    pub fn parting(&self, region: &str, reason: DisconnectReason) -> proto::ParticipantInfo {
        proto::ParticipantInfo {
            state: State::Disconnected as i32,
            disconnect_reason: reason as i32,
            tracks: Vec::new(),
            ..self.info(region)
        }
    }

    /// The participant as other nodes are told of it.
    pub fn record(&self, room: &RoomKey, owner: NodeId, region: &str) -> ParticipantRecord {
        let mut info = self.info_for_nodes(region).encode_to_vec();
        let annex = Annex::new(&self.audience, self.quality.verdict(), self.standing.moves(), self.sequence_base);
        annex.append(&mut info);
        ParticipantRecord {
            room: room.clone(),
            identity: self.identity.clone(),
            sid: self.sid,
            owner,
            incarnation: self.incarnation,
            owner_epoch: self.owner_epoch,
            version: self.version,
            info,
            tracks: self.announced().flat_map(Publication::records).collect(),
        }
    }
}
