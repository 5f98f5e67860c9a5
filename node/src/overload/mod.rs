//! What the node does when it runs short of something: measures a few times a second, lets the core decide, and tells
//! rooms, media workers and the cluster.

mod cgroup;
mod meter;
mod process;
mod shown;
mod text;
mod watch;

use std::time::Duration;

pub use shown::{Shown, State, Told};
pub use watch::{Parts, watch};

/// What `Retry-After` tells newcomers whom nobody else takes, seconds: the soonest that a node takes one step back.
pub const RETRY_AFTER_S: &str = "10";
/// How often the machine is asked.
pub const EVERY: Duration = Duration::from_millis(250);
