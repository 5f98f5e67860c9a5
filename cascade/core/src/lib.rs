//! The cascade as pure state machines: which nodes there are, which rooms live where, who takes which track from whom,
//! and how packets are framed and repaired on the link between two nodes.
//!
//! Nothing in here opens a socket, reads a clock or draws unseeded randomness: the driver (`origo-cascade`), tests in
//! virtual time and the simulator run the same objects.
//!
//! # The drain rule
//!
//! Every core of the project follows one rule: *handle one input, then poll outputs until `Output::Timeout`, then wait*
//! until that instant or the next input.

// Tests begin their virtual time at some instant and may draw a seed; nothing else may.
#![cfg_attr(test, allow(clippy::disallowed_methods))]
#![deny(clippy::iter_over_hash_type)]

pub mod cascade;
pub mod cluster;
pub mod home;
pub mod layer;
pub mod link;
pub mod links;
pub mod metric;
mod places;
pub mod record;
pub mod route;
pub mod wire;

pub use cascade::{Cascade, Event, Forward, Input, Output};
pub use cluster::{Level, Node, NodeAddress, Overload};
pub use layer::{LayerSet, MediaKind, TrackLayer};
pub use places::Places;
pub use record::{LeaveReason, ParticipantRecord, RoomRecord, RoomSettings, TrackRecord};
