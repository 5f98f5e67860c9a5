//! What nodes and homes tell each other of rooms: where each lives, and what it is.

use bytes::Bytes;

/// A room's key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Room {
    /// Project.
    #[prost(string, tag = "1")]
    pub project: String,
    /// Name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// See [`crate::RoomRecord`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct RoomRecord {
    /// Which room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// `RM_…`
    #[prost(string, tag = "2")]
    pub sid: String,
    /// Unix milliseconds.
    #[prost(uint64, tag = "3")]
    pub created_ms: u64,
    /// The application's.
    #[prost(string, tag = "4")]
    pub metadata: String,
    /// Grows with each change.
    #[prost(uint64, tag = "5")]
    pub version: u64,
    /// How long it waits for its first participant.
    #[prost(uint32, tag = "6")]
    pub empty_timeout_s: u32,
    /// How long it stays after its last participant.
    #[prost(uint32, tag = "7")]
    pub departure_timeout_s: u32,
    /// 0 for no bound.
    #[prost(uint32, tag = "8")]
    pub max_participants: u32,
    /// Countries whose nodes its media may touch; none for all.
    #[prost(string, repeated, tag = "9")]
    pub countries: Vec<String>,
}

/// "The room lives on me", to a home.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Announce {
    /// Which room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// The room's record as the sender knows it.
    #[prost(message, optional, tag = "2")]
    pub record: Option<RoomRecord>,
    /// Ids of the homes that the sender tells.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub homes: Vec<Bytes>,
    /// [`Members`] is awaited.
    #[prost(bool, tag = "4")]
    pub ask: bool,
    /// Empty: the sender. Else the node for which a home forwards this.
    #[prost(bytes = "bytes", tag = "5")]
    pub node: Bytes,
}

/// Where a room lives, from a home.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Members {
    /// Which room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// The room's record as the home has it.
    #[prost(message, optional, tag = "2")]
    pub record: Option<RoomRecord>,
    /// Ids of the nodes.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub nodes: Vec<Bytes>,
    /// Answers an [`Announce`] that asked.
    #[prost(bool, tag = "4")]
    pub answer: bool,
}

/// The room does not live on the sender, or no longer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exit {
    /// Which room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// `PA_…` of sessions that were here and go on at other nodes, whose word of them may be on its way yet.
    #[prost(string, repeated, tag = "2")]
    pub gone_on: Vec<String>,
}
