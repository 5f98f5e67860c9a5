//! SRTP with AES-GCM (RFC 3711, RFC 7714) for what we send and read ourselves.
//!
//! The rule of the whole: under one key, no nonce seals twice. Types keep it. A handshake's [`Keying`] is not copied and
//! is used up by [`Keying::split`]; it gives one [`Sealer`] for RTP and one [`ControlSealer`] for RTCP, neither of which
//! can be copied. A sealer gives out the [`Numbers`] of a stream once, and those give out each number once, as a
//! [`Number`] that sealing uses up. The control sealer counts by itself. What str0m sealed with the same key never
//! leaves: see `own::report`.

mod control;
mod keys;
mod numbers;
mod opener;
mod rtp;

pub(crate) use control::{ControlOpener, ControlSealer};
pub(crate) use keys::{Keying, Profile};
pub(crate) use numbers::{Number, Numbers};
pub(crate) use opener::{Arrivals, Opener};
pub(crate) use rtp::Sealer;

/// Bytes of an authentication tag; both profiles have the full 128 bits (RFC 7714 12).
pub(crate) const TAG_BYTES: usize = 16;
/// What SRTCP adds: the tag, and the index with its E bit (RFC 7714 9.2).
pub(crate) const CONTROL_OVERHEAD: usize = TAG_BYTES + 4;
/// Bytes of a salt, and of a nonce (RFC 7714 8.1).
const SALT_BYTES: usize = 12;
