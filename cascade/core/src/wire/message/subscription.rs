//! What nodes ask each other to send.

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
}

/// The layer will come.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscribeOk {
    /// Which subscription.
    #[prost(uint32, tag = "1")]
    pub flow: u32,
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
