//! The media worker: WebRTC connections of the sessions it serves, and the forwarding between them and links.

mod control;
mod stats;
mod worker;

pub use control::{Channel, Command, Event, Expected, Kind, OpenSession, Subscription, Target};
pub use stats::{Direction, Stats, Traffic, Via};
pub use worker::{Input, Output, Transmit, Worker, WorkerConfig};
