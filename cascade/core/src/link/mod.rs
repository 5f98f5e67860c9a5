//! One link between two nodes: RTP framing, hop sequence numbers, repair on the hop where a packet was lost.
//!
//! [`Link`] is the core, one per peer; [`packet`] types are what workers and the link thread hand to each other. A packet
//! to send passes `shedding` (is its layer left out?) and `scheduler` (its turn), then gets its hop number, goes into the
//! `ring` for repairs and into the `fec` block. How much may go is `estimator`'s word, from the peer's `report`s.

mod bucket;
mod counters;
mod datagram;
mod estimator;
mod fec;
mod flows;
mod hop;
mod input;
mod keyframe;
mod left_out;
mod machine;
mod message;
mod meter;
mod outgoing;
mod output;
mod packet;
mod path;
mod receiver;
mod report;
mod ring;
mod scheduler;
mod sequence;
mod shedding;
mod stream;

pub(crate) use machine::Came;
pub(crate) use sequence::extend;

pub use counters::{Dropped, Stats};
pub use input::Input;
pub use left_out::{LeftOut, void};
pub use machine::Link;
pub use outgoing::Datagram;
pub use output::{Hearing, Output};
pub use packet::{Class, Extensions, Packet, Received, Send};

/// A subscription's number on a media connection, chosen by the subscriber; 0 is for link messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow(pub u32);
