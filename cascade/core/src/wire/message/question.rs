//! Questions between nodes that the cascade carries and does not read.

use bytes::Bytes;

/// Do that for me: a question of the server API or of the nodes' front-ends, which the cascade does not read.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ask {
    /// The asker's number for it.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Whose rooms it is about.
    #[prost(string, tag = "2")]
    pub project: String,
    /// What to do.
    #[prost(string, tag = "3")]
    pub method: String,
    /// The method's request, protobuf.
    #[prost(bytes = "bytes", tag = "4")]
    pub payload: Bytes,
}

/// What came of an [`Ask`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Answer {
    /// The asker's number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Twirp's word for what went wrong; empty when nothing did.
    #[prost(string, tag = "2")]
    pub code: String,
    /// A sentence about what went wrong.
    #[prost(string, tag = "3")]
    pub sentence: String,
    /// The method's response, protobuf.
    #[prost(bytes = "bytes", tag = "4")]
    pub payload: Bytes,
}
