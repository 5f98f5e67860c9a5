//! Signaling front-ends: they authenticate a client, frame its messages, and leave all meaning to the rooms.

mod asked;
mod frame;
mod join_request;
mod livekit;
mod query;
mod socket;
#[cfg(test)]
mod tests;

pub use livekit::router;

/// Open signaling sockets in all. Each takes some 20 KB, so a full house takes 320 MB.
pub const SOCKETS_MAX: u32 = 16_384;
/// Open signaling sockets of one address: an office behind one address, and a load generator.
pub const SOCKETS_PER_ADDRESS_MAX: u32 = 1_024;
