//! Trees: what must hold of every plan, and what plans are worth on measured round trips.

// Tests begin their virtual time at some instant, and one tells how long a plan takes.
#![allow(clippy::disallowed_methods)]

mod azure;
mod examples;
mod matrix;
mod properties;
mod world;
