//! The cascade's promises, in virtual time.

// Virtual time begins at some instant.
#![allow(clippy::disallowed_methods)]

mod data;
mod deaths;
mod directory;
mod drawn;
mod handover;
mod heard;
mod invariants;
mod lies;
mod media;
mod overloads;
mod records;
mod seats;
mod storms;
mod subscriptions;
mod trees;
mod world;
