//! Taking a node out of service without anybody missing anything: newcomers go elsewhere, people are moved, and the
//! node ends, at the latest at a deadline.

mod admin;
mod moving;
mod order;
mod state;
mod tell;

pub use admin::{Admin, router};
pub use moving::{Moving, Refuges, run};
pub use order::Orders;
pub use state::Left;
pub use tell::tell;
