//! One link between two nodes: RTP framing, hop sequence numbers, repair on the hop where a packet was lost.
//!
//! [`Link`] is the core, one per peer; [`packet`] types are what workers and the link thread hand to each other. What a
//! link may send and when is decided where [`Link`] turns a packet into a datagram: the rate estimator, the scheduler
//! and FEC belong there, between the classes' hop numbers and `Output::Transmit`.

mod counters;
mod datagram;
mod keyframe;
mod machine;
mod message;
mod packet;
mod receiver;
mod report;
mod ring;
mod sequence;

pub(crate) use sequence::extend;

pub use counters::{Dropped, Stats};
pub use machine::{Input, Link, Output};
pub use packet::{Class, Extensions, Packet, Received, Send};

/// A subscription's number on a media connection, chosen by the subscriber; 0 is for link messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow(pub u32);
