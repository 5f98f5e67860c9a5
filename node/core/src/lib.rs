//! One node's rooms, sessions and media as pure state machines.
//!
//! - [`room`]: LiveKit sessions and rooms. Takes decoded `SignalRequest`s, gives `SignalResponse`s; knows no socket.
//! - [`media`]: the media worker. Takes datagrams and commands, gives datagrams and events; its `peer` module is the
//!   only place that names str0m.
//! - [`spread`]: which media worker a session sits on. Takes what the rooms ask, gives it to workers.
//! - [`overload`]: what a node does without when it runs short of something. Takes figures, gives a step.
//!
//! The first two follow one drain rule: *handle one input, then poll outputs until `Output::Timeout`, then wait.*

// Tests begin their virtual time at some instant and may draw a seed; nothing else may.
#![cfg_attr(test, allow(clippy::disallowed_methods))]
#![deny(clippy::iter_over_hash_type)]

pub mod media;
pub mod overload;
mod pace;
pub mod room;
pub mod spread;

/// A client's session on this node: one join, from its first message until it is gone. Given by the front-end, never
/// used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The media worker of a node where a room begins, and whose the room's tracks of other nodes are. A stable hash
/// (FNV-1a), so that the link thread and the rooms agree without asking.
pub fn worker_of(room: &origo_auth::RoomKey, workers: usize) -> usize {
    let bytes = room.project.0.bytes().chain([0]).chain(room.name.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash % workers.max(1) as u64) as usize
}
