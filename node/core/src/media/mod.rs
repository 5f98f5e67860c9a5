//! The media worker: WebRTC connections of the sessions it serves, and the forwarding between them and links.

mod control;

pub use control::{Channel, Command, Event, Expected, Kind, OpenSession, Subscription, Target};
