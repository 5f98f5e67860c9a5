//! The links of several nodes in virtual time: what one takes from another goes on to a third.

// Virtual time begins at some instant.
#![allow(clippy::disallowed_methods)]

mod net;
mod parents;
mod relays;
mod streams;
