//! A headless LiveKit participant: joins a room in both protocol forms, publishes stamped packets, counts what arrives.
//!
//! The core is [`session::Session`]: it takes `(now, Input)` and gives `Output`s and knows no socket. Its drain rule:
//! *handle one input, then poll until `Output::Timeout`, then wait.* The driver is [`Fleet`]: one thread that moves the
//! datagrams of many participants, so that hundreds of viewers fit into a process. [`Participant`] is the handle.
//!
//! ```no_run
//! # async fn example(token: &str) -> anyhow::Result<()> {
//! use origo_client::{Fleet, Options, VideoOptions};
//! let fleet = Fleet::start()?;
//! let mut participant = fleet.connect("ws://127.0.0.1:7880", token, Options::v1()).await?;
//! participant.publish_video("camera", VideoOptions::simulcast(30, 1100));
//! while let Some(event) = participant.next_event().await {
//!     println!("{event:?}");
//! }
//! # Ok(()) }
//! ```

mod description;
mod event;
mod fleet;
mod histogram;
pub mod janus;
mod join;
mod ledger;
mod light;
pub mod load;
mod negotiation;
mod options;
mod participant;
mod peer;
mod publication;
mod pulse;
mod reception;
pub mod script;
mod sections;
pub mod session;
pub mod signal;
mod source;
pub mod stamp;
mod totals;

pub use description::Descriptions;
pub use event::{Event, Subscribed};
pub use fleet::{ConnectError, Fleet};
pub use histogram::Histogram;
pub use join::Join;
pub use ledger::LayerCounts;
pub use livekit_protocol as proto;
pub use options::{AudioOptions, Layer, Options, Successor, Turns, VideoOptions};
pub use participant::{Participant, Report};
pub use reception::{Arrival, Freezes, TrackReport};
pub use totals::Totals;

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaKind {
    /// Opus.
    Audio,
    /// VP8.
    Video,
}
