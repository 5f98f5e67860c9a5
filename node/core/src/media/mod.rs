//! The media worker: WebRTC connections of the sessions it serves, and the forwarding between them and links.

mod agreed;
mod allocate;
mod clock;
mod codec;
mod command;
mod control;
mod demux;
mod egress;
mod forward;
mod gaps;
mod ingest;
mod negotiate;
mod peer;
mod probe;
mod quality;
mod red;
mod redundancy;
mod route;
mod sdp;
mod session;
mod slab;
mod stats;
mod timer;
mod track;
mod viewer;
mod worker;

#[cfg(test)]
mod tests;

pub use control::{
    Channel, Command, Event, Expected, Kind, OpenSession, PathQuality, Redundancy, Subscription, Target, TrackSettings,
};
pub use demux::ufrag_of;
pub use stats::{Direction, Stats, Traffic, Via};
pub use worker::{Input, Output, Transmit, Transport, Worker, WorkerConfig};
