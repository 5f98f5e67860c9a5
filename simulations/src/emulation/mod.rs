//! A mesh of real nodes on this machine: one network namespace a node, joined by a wide area in user space.
//!
//! [`run`] replays a scenario on it and [`beside`] holds what it gave against what the simulator gave; [`lab`] leaves it to
//! people.

pub mod beside;
mod crowd;
mod http;
pub mod interrupt;
pub mod lab;
pub mod measured;
pub mod mesh;
mod moves;
pub mod namespace;
pub mod program;
pub mod rights;
pub mod run;
mod seen;
mod settings;
mod troubles;
pub mod wan;
