//! The whole worker against str0m clients of both protocol versions.

mod data;
mod forwarding;
mod layers;
mod negotiation;
mod redundancy;
mod tcp;
mod world;
