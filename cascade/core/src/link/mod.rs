//! One link between two nodes: RTP framing, hop sequence numbers, repair on the hop where a packet was lost.

mod packet;

pub use packet::{Class, Extensions, Packet, Received, Send};

/// A subscription's number on a media connection, chosen by the subscriber; 0 is for link messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow(pub u32);
