//! Bytes between nodes, as `docs/wire.md` tells them: variable-length integers, control frames and data frames.
//!
//! Everything here may come from a stranger: reading never panics, and every length has a bound.

pub mod data;
pub mod frame;
pub mod message;
pub(crate) mod record;
mod resend;
pub mod varint;

pub use frame::{Frame, FrameError, FrameReader, encode_frame};
pub use message::{Kind, Malformed};

#[cfg(test)]
pub(crate) mod golden;
