//! LiveKit rooms and sessions of one node.
//!
//! [`Rooms`] is the core. Within it each [`room`](self) is one value whose deeds are grouped by what they are about:
//! letting in (`join`), requests (`request`), negotiation and connections (`connection`), own tracks (`publish`),
//! received tracks (`subscribe`), the server API (`admin`), coming back
//! (`resume`), data packets (`data`) and other nodes' participants (`remote`).

mod admin;
mod connection;
mod context;
mod control;
mod data;
mod grants;
mod info;
mod join;
pub mod limits;
mod participant;
mod publication;
mod publish;
mod remote;
mod request;
mod resume;
#[expect(clippy::module_inception, reason = "one room is the noun, and this folder is about rooms")]
mod room;
mod rooms;
mod session;
mod stats;
mod subscribe;
#[cfg(test)]
mod tests;

pub use admin::{AdminError, Answer, Ask};
pub use context::RoomsConfig;
pub use control::{Input, Join, Output};
pub use rooms::Rooms;
pub use stats::Stats;
