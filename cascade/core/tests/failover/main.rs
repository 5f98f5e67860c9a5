//! Relays that die, links that fall silent and nodes that only pretend: cascades and links together, with packets, in
//! virtual time.

// Virtual time begins at some instant.
#![allow(clippy::disallowed_methods)]

mod grays;
mod kills;
mod mesh;
mod publisher;
mod regions;
mod silences;
mod slander;
mod storms;
mod viewer;
