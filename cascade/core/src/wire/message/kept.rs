//! Records of participants that their own node does not tell: question and answer, within ASK and ANSWER.

use bytes::Bytes;

use super::participant::Record;

/// Who of a node's people is in a room, as you know them?
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeptOf {
    /// The room's name; ASK names its project.
    #[prost(string, tag = "1")]
    pub room: String,
    /// The node, 16 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub node: Bytes,
    /// Those up to this identity are known already; empty at first.
    #[prost(string, tag = "3")]
    pub after: String,
}

/// They are these, in the order of their identities.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Kept {
    /// As their node told them last.
    #[prost(message, repeated, tag = "1")]
    pub records: Vec<Record>,
    /// For how long the node has neither gossiped nor had a link, ms; 0 when it does.
    #[prost(uint64, tag = "2")]
    pub lost_ms: u64,
    /// There are more after the last of these.
    #[prost(bool, tag = "3")]
    pub more: bool,
}
