//! The tests of the whole worker on our own way out: those of `tests` that it could break, and its own.
#![allow(clippy::duplicate_mod, reason = "the same tests on the other way out")]

use super::Egress;

const EGRESS: Egress = Egress::Own;

#[path = "tests/backup.rs"]
mod backup;
#[path = "tests/bandwidth.rs"]
mod bandwidth;
#[path = "tests/bursts.rs"]
mod bursts;
#[path = "tests/call.rs"]
#[expect(dead_code, reason = "both ways are compared in `tests`")]
mod call;
#[path = "tests/connection.rs"]
mod connection;
#[path = "tests/data.rs"]
mod data;
#[path = "tests/deeds.rs"]
mod deeds;
#[path = "tests/following.rs"]
mod following;
#[path = "tests/forwarding.rs"]
mod forwarding;
#[path = "tests/hostile.rs"]
mod hostile;
#[path = "tests/layers.rs"]
mod layers;
#[path = "tests/line.rs"]
#[expect(dead_code, reason = "both ways are compared in `tests`")]
mod line;
#[path = "tests/loudest.rs"]
mod loudest;
#[path = "tests/negotiation.rs"]
mod negotiation;
#[path = "tests/pictures.rs"]
mod pictures;
#[path = "tests/redundancy.rs"]
mod redundancy;
#[path = "tests/rival.rs"]
#[expect(dead_code, reason = "both ways are compared in `tests`")]
mod rival;
#[path = "tests/sealed.rs"]
mod sealed;
#[path = "tests/shortlist.rs"]
mod shortlist;
#[path = "tests/siblings.rs"]
mod siblings;
#[path = "tests/tcp.rs"]
mod tcp;
#[path = "tests/world.rs"]
mod world;
