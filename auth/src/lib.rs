//! Who may do what in an Origo mesh: ids, grants, tokens, and the identity of nodes.
//!
//! This crate is at the bottom of the workspace: it knows no socket, no clock and no file. Time comes in as unix
//! seconds, randomness as an argument.

// Tests begin their virtual time at some instant and may draw a seed; nothing else may.
#![cfg_attr(test, allow(clippy::disallowed_methods))]
#![deny(clippy::iter_over_hash_type)]

pub mod authority;
pub mod claims;
pub mod id;
pub mod session;
pub mod token;

pub use authority::{AuthorityError, MeshAuthority, NodeIdentity, NodeKey};
pub use claims::{Claims, VideoGrant};
pub use id::{Identity, NodeId, ParticipantSid, ProjectId, RoomKey, RoomSid, SidError, TrackSid};
pub use session::{Carried, SessionClaim, TrackClaim};
pub use token::{ApiKey, Keys, Secret, TokenError, mint, verify};
