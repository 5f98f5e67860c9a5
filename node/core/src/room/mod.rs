//! LiveKit rooms and sessions of one node.
//!
//! [`Rooms`] is the core. Within it each [`room`](self) is one value whose deeds are grouped by what they are about:
//! letting in (`join`, `full`), requests (`request`), negotiation and connections (`connection`), own tracks (`publish`),
//! received tracks (`subscribe`), whom a publisher lets have them (`audience`) and how they are shown (`shown`), which
//! layers publishers need send (`dynacast`), who speaks (`speakers`), how good connections are (`quality`), coming back
//! (`resume`, `history`, `token`), going on at another node
//! (`moving`, `heir`, `returning`, `carried`), data packets (`data`), faults on request (`simulate`), the server API (`admin`) and
//! other nodes' participants (`remote`).

mod admin;
mod annex;
mod audience;
mod backup;
mod carried;
mod connection;
mod context;
mod control;
mod data;
mod dynacast;
mod full;
mod grants;
mod heir;
mod history;
mod info;
mod join;
pub mod limits;
mod moving;
mod newcomers;
mod notice;
mod participant;
mod publication;
mod publish;
mod quality;
mod remote;
mod request;
mod resume;
mod returning;
#[expect(clippy::module_inception, reason = "one room is the noun, and this folder is about rooms")]
mod room;
mod rooms;
mod seat;
mod session;
mod shown;
mod simulate;
mod speakers;
mod stats;
mod streams;
mod subscribe;
#[cfg(test)]
mod tests;
mod token;

pub use admin::{AdminError, Answer, Ask};
pub use context::RoomsConfig;
pub use control::{Elsewhere, Input, Join, Output, Received, Refuge};
pub use full::Full;
pub use notice::Notice;
pub use request::pong;
pub use rooms::Rooms;
pub use stats::Stats;
