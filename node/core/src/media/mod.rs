//! The media worker: WebRTC connections of the sessions it serves, and the forwarding between them and links.

mod agreed;
mod allocate;
mod backup;
mod clock;
mod codec;
mod command;
mod control;
mod cut;
mod demux;
mod descriptor;
mod egress;
mod filling;
mod forward;
mod gaps;
mod ingest;
mod keyframe;
mod layer;
mod loudest;
mod negotiate;
mod numbers;
mod own;
mod peer;
mod place;
mod probe;
mod quality;
mod rate;
mod red;
mod redundancy;
mod ring;
mod route;
mod sdp;
mod serve;
mod session;
mod shed;
mod shortlist;
mod sibling;
mod silent;
mod slab;
mod srtp;
mod stats;
mod succession;
mod taken;
mod timer;
mod track;
mod uplink;
mod viewer;
mod vp8;
mod vp9;
mod worker;

#[cfg(test)]
mod on_own;
#[cfg(test)]
mod tests;

pub use control::{
    Channel, Command, Event, Expected, Kind, OpenSession, PathQuality, Redundancy, Subscription, Target, TrackSettings,
};
pub use demux::ufrag_of;
pub use egress::Egress;
pub use shortlist::Sections;
pub use sibling::{Ask, Carried};
pub use stats::{Direction, Entries, Stats, Traffic, Via};
pub use worker::{Input, Output, Transmit, Transport, Worker, WorkerConfig};
