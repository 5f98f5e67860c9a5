//! The whole worker against str0m clients of both protocol versions.

mod backup;
mod bandwidth;
mod data;
mod decode;
mod deeds;
mod forwarding;
mod layers;
mod lies;
mod line;
mod negotiation;
mod redundancy;
mod tcp;
mod world;
