//! Between the cascade's values and their protobuf bodies: every string, list and number from a peer is checked here.

use bytes::Bytes;
use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey, TrackSid};

use super::message as body;
use super::message::Malformed;
use crate::layer::LAYERS_MAX;
use crate::{MediaKind, ParticipantRecord, RoomRecord, RoomSettings, TrackRecord};

/// Longest name, identity, project, MIME type: LiveKit's own limits are at most 256.
const NAME_BYTES_MAX: usize = 512;
/// Largest `ParticipantInfo`: LiveKit bounds metadata and attributes at 64 KiB each.
const INFO_BYTES_MAX: usize = 256 << 10;
/// Largest room metadata.
const METADATA_BYTES_MAX: usize = 64 << 10;
/// Countries of a room.
const COUNTRIES_MAX: usize = 256;
/// Tracks of one participant.
const TRACKS_MAX: usize = 256;
/// Nodes named in one message.
const NODES_MAX: usize = 1024;

/// A name within bounds.
pub(crate) fn name(value: String, what: &'static str) -> Result<String, Malformed> {
    if value.is_empty() || value.len() > NAME_BYTES_MAX { Err(Malformed(what)) } else { Ok(value) }
}

impl From<&RoomKey> for body::Room {
    fn from(room: &RoomKey) -> Self {
        Self { project: room.project.0.clone(), name: room.name.clone() }
    }
}

/// The room that a message names.
pub(crate) fn room_of(room: Option<body::Room>) -> Result<RoomKey, Malformed> {
    let room = room.ok_or(Malformed("room"))?;
    Ok(RoomKey::new(name(room.project, "project")?, name(room.name, "room name")?))
}

impl From<&RoomRecord> for body::RoomRecord {
    fn from(record: &RoomRecord) -> Self {
        Self {
            room: Some((&record.room).into()),
            sid: record.sid.to_string(),
            created_ms: record.created_ms,
            metadata: record.metadata.clone(),
            version: record.version,
            empty_timeout_s: record.settings.empty_timeout_s,
            departure_timeout_s: record.settings.departure_timeout_s,
            max_participants: record.settings.max_participants,
            countries: record.settings.countries.clone(),
        }
    }
}

impl TryFrom<body::RoomRecord> for RoomRecord {
    type Error = Malformed;

    fn try_from(record: body::RoomRecord) -> Result<Self, Malformed> {
        if record.metadata.len() > METADATA_BYTES_MAX {
            return Err(Malformed("room metadata"));
        }
        let countries = countries_of(record.countries)?;
        Ok(Self {
            room: room_of(record.room)?,
            sid: record.sid.parse().map_err(|_| Malformed("room sid"))?,
            created_ms: record.created_ms,
            metadata: record.metadata,
            version: record.version,
            settings: RoomSettings {
                empty_timeout_s: record.empty_timeout_s,
                departure_timeout_s: record.departure_timeout_s,
                max_participants: record.max_participants,
                countries,
            },
        })
    }
}

/// Country codes from a list of a bounded length.
pub(crate) fn countries_of(countries: Vec<String>) -> Result<Vec<String>, Malformed> {
    let is_sound = countries.len() <= COUNTRIES_MAX && countries.iter().all(|country| country.len() == 2);
    if is_sound { Ok(countries) } else { Err(Malformed("countries")) }
}

impl From<&ParticipantRecord> for body::Record {
    fn from(record: &ParticipantRecord) -> Self {
        Self {
            room: Some((&record.room).into()),
            identity: record.identity.0.clone(),
            sid: record.sid.to_string(),
            incarnation: record.incarnation,
            owner_epoch: record.owner_epoch,
            version: record.version,
            info: record.info.clone(),
            tracks: record.tracks.iter().map(Into::into).collect(),
            data: 0,
            age_ms: 0,
        }
    }
}

/// A record as its owner, the sender, tells it.
pub(crate) fn record_of(record: body::Record, owner: NodeId) -> Result<ParticipantRecord, Malformed> {
    if record.info.len() > INFO_BYTES_MAX {
        return Err(Malformed("participant info"));
    }
    if record.tracks.len() > TRACKS_MAX {
        return Err(Malformed("tracks"));
    }
    Ok(ParticipantRecord {
        room: room_of(record.room)?,
        identity: identity_of(record.identity)?,
        sid: sid_of(&record.sid)?,
        owner,
        incarnation: record.incarnation,
        owner_epoch: record.owner_epoch,
        version: record.version,
        info: record.info,
        tracks: record.tracks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
    })
}

/// An identity within bounds.
pub(crate) fn identity_of(identity: String) -> Result<Identity, Malformed> {
    name(identity, "identity").map(Identity)
}

/// A participant's sid.
pub(crate) fn sid_of(sid: &str) -> Result<ParticipantSid, Malformed> {
    sid.parse().map_err(|_| Malformed("participant sid"))
}

/// A track's sid.
pub(crate) fn track_of(sid: &str) -> Result<TrackSid, Malformed> {
    sid.parse().map_err(|_| Malformed("track sid"))
}

/// A media kind's number.
pub(crate) fn number_of(kind: MediaKind) -> u32 {
    match kind {
        MediaKind::Audio => 0,
        MediaKind::Video => 1,
    }
}

/// A media kind from its number.
pub(crate) fn kind_of(number: u32) -> Result<MediaKind, Malformed> {
    match number {
        0 => Ok(MediaKind::Audio),
        1 => Ok(MediaKind::Video),
        _ => Err(Malformed("media kind")),
    }
}

impl From<&TrackRecord> for body::Track {
    fn from(track: &TrackRecord) -> Self {
        Self {
            sid: track.sid.to_string(),
            kind: number_of(track.kind),
            mime: track.mime.clone(),
            layer_bitrates_bps: track.layer_bitrates_bps.clone(),
            layer_sizes: track.layer_sizes.iter().map(|&(w, h)| u32::from(w) << 16 | u32::from(h)).collect(),
            backup_of: track.backup_of.map(|sid| sid.to_string()).unwrap_or_default(),
            shown_as: track.shown_as.map(|sid| sid.to_string()).unwrap_or_default(),
        }
    }
}

impl TryFrom<body::Track> for TrackRecord {
    type Error = Malformed;

    fn try_from(track: body::Track) -> Result<Self, Malformed> {
        let layers = track.layer_bitrates_bps.len().max(track.layer_sizes.len());
        if layers > LAYERS_MAX || track.mime.len() > NAME_BYTES_MAX {
            return Err(Malformed("track"));
        }
        Ok(Self {
            sid: track_of(&track.sid)?,
            kind: kind_of(track.kind)?,
            mime: track.mime,
            layer_bitrates_bps: track.layer_bitrates_bps,
            layer_sizes: track.layer_sizes.into_iter().map(|size| ((size >> 16) as u16, size as u16)).collect(),
            backup_of: (!track.backup_of.is_empty()).then(|| track_of(&track.backup_of)).transpose()?,
            shown_as: (!track.shown_as.is_empty()).then(|| track_of(&track.shown_as)).transpose()?,
        })
    }
}

/// A node id from its 16 bytes.
pub(crate) fn node_of(bytes: &[u8]) -> Result<NodeId, Malformed> {
    bytes.try_into().map(NodeId).map_err(|_| Malformed("node id"))
}

/// Node ids from a list of a bounded length.
pub(crate) fn nodes_of(list: &[Bytes]) -> Result<Vec<NodeId>, Malformed> {
    if list.len() > NODES_MAX {
        return Err(Malformed("list of nodes"));
    }
    list.iter().map(|bytes| node_of(bytes)).collect()
}

/// A node id as bytes.
pub(crate) fn bytes_of(node: NodeId) -> Bytes {
    Bytes::copy_from_slice(&node.0)
}
