//! A mesh of real nodes on this machine: one network namespace a node, joined by a wide area in user space.

pub mod namespace;
pub mod rights;
pub mod wan;
