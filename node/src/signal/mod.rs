//! Signaling front-ends: they authenticate a client, frame its messages, and leave all meaning to the rooms.

mod asked;
mod exchange;
mod frame;
#[cfg(test)]
mod http_tests;
mod join_request;
mod led;
mod livekit;
mod offer;
mod over_http;
mod query;
mod received;
mod resource;
mod sdpfrag;
mod socket;
#[cfg(test)]
mod tests;
mod watch;
mod whep;
mod whip;

use std::sync::Arc;

use axum::Router;

pub use over_http::name_accepted;
pub use resource::Resources;

use crate::http::Surface;

/// Open signaling sockets in all. Each takes some 20 KB, so a full house takes 320 MB.
pub const SOCKETS_MAX: u32 = 16_384;

/// All signaling endpoints.
pub fn router() -> Router<Arc<Surface>> {
    livekit::router().merge(over_http::router())
}
