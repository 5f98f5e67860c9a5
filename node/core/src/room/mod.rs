//! LiveKit rooms and sessions of one node.

mod control;

pub use control::{Input, Join, Output};
