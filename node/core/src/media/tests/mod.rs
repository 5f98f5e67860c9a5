//! The whole worker against str0m clients of both protocol versions. Most of it is run a second time, on our own way out:
//! see `on_own`.

use super::Egress;

const EGRESS: Egress = Egress::Str0m;

mod backup;
mod bandwidth;
mod call;
mod connection;
mod data;
mod decode;
mod deeds;
mod following;
mod forwarding;
mod hostile;
mod layers;
mod lies;
mod line;
mod loudest;
mod negotiation;
mod onset;
mod pictures;
mod redundancy;
mod rival;
mod sealed;
mod shortlist;
mod siblings;
mod succession;
mod tcp;
mod traces;
mod world;
