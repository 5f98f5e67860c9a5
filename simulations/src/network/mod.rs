//! The network between nodes: a path per directed link, and the best way that they make together.

mod path;
mod ways;

pub use path::{Path, Tally};
pub use ways::Ways;

/// What QUIC (short header, packet number, frame, tag), UDP and IPv4 add to a datagram, bytes.
pub const QUIC_BYTES: usize = 30;
/// UDP and IPv4.
pub const IP_BYTES: usize = 28;
/// Both.
pub const OVERHEAD_BYTES: usize = QUIC_BYTES + IP_BYTES;
