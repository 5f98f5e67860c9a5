//! What nodes tell each other about a room: one record per participant, written only by the node that serves it.

use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey, RoomSid, TrackSid};

use crate::MediaKind;

/// A participant as its own node describes it. Other nodes keep a copy and never change it.
///
/// The newest is told by (`owner_epoch`, then the smaller owner id, then `version`): no wall clock orders anything.
#[derive(Clone, Debug, PartialEq)]
pub struct ParticipantRecord {
    /// The room.
    pub room: RoomKey,
    /// Who it is; unique in the room.
    pub identity: Identity,
    /// This session of it.
    pub sid: ParticipantSid,
    /// The node that serves it and alone writes this record.
    pub owner: NodeId,
    /// Which life of the identity this is: `max(stored + 1, unix seconds)` at its join. Of two sessions of one
    /// identity the higher incarnation stays; the owner of one that began later than another raises it above that one's,
    /// whatever clocks say.
    pub incarnation: u64,
    /// Grows when another node takes the participant over.
    pub owner_epoch: u32,
    /// Grows with each change under one owner; `ParticipantInfo.version` is `owner_epoch << 16 | version`.
    pub version: u32,
    /// A `livekit.ParticipantInfo` as protobuf. The cascade carries it and never reads it.
    pub info: Vec<u8>,
    /// The tracks that other nodes may take.
    pub tracks: Vec<TrackRecord>,
}

/// A published track, as far as the cascade needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackRecord {
    /// Its id.
    pub sid: TrackSid,
    /// Sound or picture.
    pub kind: MediaKind,
    /// Codec as a MIME type, such as `video/VP8`.
    pub mime: String,
    /// Bits per second of each layer as the publisher declared them, lowest first; its length is the number of layers.
    pub layer_bitrates_bps: Vec<u32>,
    /// Width and height of each layer in pixels as the publisher declared them, lowest first; empty when it did not.
    pub layer_sizes: Vec<(u16, u16)>,
    /// The track of which this is the picture in a second codec, for clients that cannot decode the first. It is carried
    /// like a track of its own, and shown to clients as that one.
    pub backup_of: Option<TrackSid>,
    /// The track as which clients know it, when that is another: a participant that goes on at another node is carried
    /// from there under a new id, beside the old one until viewers have moved, and nobody sees another track.
    pub shown_as: Option<TrackSid>,
}

impl TrackRecord {
    /// The id by which clients know it.
    pub fn name(&self) -> TrackSid {
        self.shown_as.unwrap_or(self.sid)
    }

    /// Whether its layers lie within one stream, whose numbers count over all of them.
    pub fn has_layers_in_stream(&self) -> bool {
        let carries = |codec: &str| self.mime.eq_ignore_ascii_case(codec);
        self.layer_bitrates_bps.len() > 1 && (carries("video/VP9") || carries("video/AV1"))
    }
}

/// What all of a room share; written by the primary home and copied to the backup. The earliest (`created_ms`, `sid`)
/// wins after a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// The room.
    pub room: RoomKey,
    /// This life of the room.
    pub sid: RoomSid,
    /// Unix milliseconds of its first join.
    pub created_ms: u64,
    /// What the application stored with it.
    pub metadata: String,
    /// Grows with each change.
    pub version: u64,
    /// What the application asked for when it made the room.
    pub settings: RoomSettings,
}

/// Bounds and times of a room, as `CreateRoom` of the server API gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomSettings {
    /// Seconds for which the room waits for its first participant.
    pub empty_timeout_s: u32,
    /// Seconds for which the room stays after its last participant.
    pub departure_timeout_s: u32,
    /// Participants in all; 0 for no bound.
    pub max_participants: u32,
    /// Countries (ISO 3166-1 alpha-2) whose nodes its media may touch, relays included; empty for all.
    pub countries: Vec<String>,
}

/// Why a participant is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// It left, was removed, or its connection ended; the number is LiveKit's `DisconnectReason`.
    Left(i32),
    /// Its node died and nobody took it over in time.
    NodeLost,
}
