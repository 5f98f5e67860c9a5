//! What nodes ask each other to send, and the trees over which it comes.

use bytes::Bytes;

use super::room::Room;

/// Send me that layer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Subscribe {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// `TR_…`
    #[prost(string, tag = "2")]
    pub track: String,
    /// Spatial layer, 0 the lowest.
    #[prost(uint32, tag = "3")]
    pub layer: u32,
    /// The number that packets are to carry.
    #[prost(uint32, tag = "4")]
    pub flow: u32,
    /// 0 audio, 1 video.
    #[prost(uint32, tag = "5")]
    pub kind: u32,
    /// Highest temporal layer plus one; 0 takes all. A node that cannot cut temporal layers sends all.
    #[prost(uint32, tag = "6")]
    pub temporal_ceiling: u32,
    /// The node where the track is published; empty when that is the receiver of this message.
    #[prost(bytes = "bytes", tag = "7")]
    pub origin: Bytes,
    /// Bits per second, as the track's record tells; what the origin reckons with when it draws its tree.
    #[prost(uint64, tag = "8")]
    pub rate_bps: u64,
    /// The track's layers lie within one stream.
    #[prost(bool, tag = "9")]
    pub in_stream: bool,
    /// The sender lacks what came of the layer within so many milliseconds before this message, and what comes until it
    /// arrives; 0 when it lacks nothing.
    #[prost(uint32, tag = "10")]
    pub missing_ms: u32,
    /// Another node sends the layer too; this copy is for when that one fails.
    #[prost(bool, tag = "11")]
    pub second: bool,
}

/// The layer will come.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscribeOk {
    /// Which subscription.
    #[prost(uint32, tag = "1")]
    pub flow: u32,
    /// The nodes that the layer passes, from the origin to the sender of this message.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub path: Vec<Bytes>,
}

/// The layer is not here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscribeErr {
    /// Which subscription.
    #[prost(uint32, tag = "1")]
    pub flow: u32,
    /// When to ask again.
    #[prost(uint32, tag = "2")]
    pub retry_ms: u32,
    /// For the log.
    #[prost(string, tag = "3")]
    pub why: String,
}

/// Stop sending that layer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Unsubscribe {
    /// Which subscription.
    #[prost(uint32, tag = "1")]
    pub flow: u32,
}

/// From an origin to a member of its tree: take my layers of this room from that parent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attach {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// Only grows; what an older one says does not count.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Who feeds the receiver.
    #[prost(bytes = "bytes", tag = "3")]
    pub parent: Bytes,
    /// Who would if the parent died; empty when there is nobody.
    #[prost(bytes = "bytes", tag = "4")]
    pub backup: Bytes,
    /// From the origin to the parent.
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub path: Vec<Bytes>,
    /// Countries (ISO 3166-1 alpha-2) that the room's media may touch, for relays that do not have the room; empty for
    /// all.
    #[prost(string, repeated, tag = "6")]
    pub countries: Vec<String>,
}

/// From a member to the origin: what became of an [`Attach`], or of the parent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attached {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// That of the [`Attach`].
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Who feeds the sender now; empty when it takes nothing of this origin in this room any more.
    #[prost(bytes = "bytes", tag = "3")]
    pub parent: Bytes,
    /// Bits per second that the sender's own viewers take.
    #[prost(uint64, tag = "4")]
    pub rate_bps: u64,
    /// Why the parent is another than the one that was named; empty when it is that one.
    #[prost(string, tag = "5")]
    pub why: String,
    /// The named parent answers, but does not pass on what the receiver sends.
    #[prost(bool, tag = "6")]
    pub gray: bool,
}

/// From an origin to members of its tree that take from others, once a second: what it has sent so far.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sent {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// Layers of which something was sent since the last of these messages.
    #[prost(message, repeated, tag = "2")]
    pub layers: Vec<Counted>,
}

/// What was sent of one layer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Counted {
    /// `TR_…`
    #[prost(string, tag = "1")]
    pub track: String,
    /// Spatial layer.
    #[prost(uint32, tag = "2")]
    pub layer: u32,
    /// Packets so far, wrapping.
    #[prost(uint32, tag = "3")]
    pub packets: u32,
    /// The newest RTP number.
    #[prost(uint32, tag = "4")]
    pub newest: u32,
}

/// From a parent to a child: the nodes that an origin's layers pass, up to the parent, have changed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Path {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// The origin.
    #[prost(bytes = "bytes", tag = "2")]
    pub origin: Bytes,
    /// From the origin to the sender.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub path: Vec<Bytes>,
}
