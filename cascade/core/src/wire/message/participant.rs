//! What nodes tell each other of their participants.

use bytes::Bytes;

use super::room::{Room, RoomRecord};

/// A participant of the sender is new or changed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Record {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// Who it is.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// `PA_…`
    #[prost(string, tag = "3")]
    pub sid: String,
    /// Which life of the identity.
    #[prost(uint64, tag = "4")]
    pub incarnation: u64,
    /// Grows at a takeover.
    #[prost(uint32, tag = "5")]
    pub owner_epoch: u32,
    /// Grows with each change.
    #[prost(uint32, tag = "6")]
    pub version: u32,
    /// A `livekit.ParticipantInfo`.
    #[prost(bytes = "vec", tag = "7")]
    pub info: Vec<u8>,
    /// What others may take.
    #[prost(message, repeated, tag = "8")]
    pub tracks: Vec<Track>,
    /// Number of its last reliable data packet; 0 before the first.
    #[prost(uint64, tag = "9")]
    pub data: u64,
    /// How long ago its session began, ms; a span, so that no clock counts but the sender's own.
    #[prost(uint64, tag = "10")]
    pub age_ms: u64,
}

/// See [`crate::TrackRecord`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Track {
    /// `TR_…`
    #[prost(string, tag = "1")]
    pub sid: String,
    /// 0 audio, 1 video.
    #[prost(uint32, tag = "2")]
    pub kind: u32,
    /// MIME type.
    #[prost(string, tag = "3")]
    pub mime: String,
    /// Lowest layer first.
    #[prost(uint32, repeated, tag = "4")]
    pub layer_bitrates_bps: Vec<u32>,
    /// Width in the upper 16 bits, height in the lower.
    #[prost(uint32, repeated, tag = "5")]
    pub layer_sizes: Vec<u32>,
    /// `TR_…`; empty for a track of its own.
    #[prost(string, tag = "6")]
    pub backup_of: String,
    /// The track as which clients know it, when that is another; else empty.
    #[prost(string, tag = "7")]
    pub shown_as: String,
}

/// A participant of the sender is gone.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Leave {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// Who it was.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// `PA_…`
    #[prost(string, tag = "3")]
    pub sid: String,
    /// LiveKit's `DisconnectReason`.
    #[prost(int32, tag = "4")]
    pub reason: i32,
}

/// The sender knows of another session of an identity, and takes that for the newer one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Rival {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// Who it is.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// The receiver's session, `PA_…`
    #[prost(string, tag = "3")]
    pub sid: String,
    /// The other session's incarnation.
    #[prost(uint64, tag = "4")]
    pub incarnation: u64,
    /// How long ago the other session began, at least, ms.
    #[prost(uint64, tag = "5")]
    pub age_ms: u64,
}

/// "These are all my participants of this room": follows their records.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Snapshot {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// The room's record as the sender knows it.
    #[prost(message, optional, tag = "2")]
    pub record: Option<RoomRecord>,
    /// `PA_…` of each.
    #[prost(string, repeated, tag = "3")]
    pub sids: Vec<String>,
    /// Nodes of whose people the sender knows there, and that it cannot hear.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub unheard: Vec<Bytes>,
    /// `PA_…` of sessions that were here and go on at other nodes, whose word of them may be on its way yet.
    #[prost(string, repeated, tag = "5")]
    pub gone_on: Vec<String>,
}
