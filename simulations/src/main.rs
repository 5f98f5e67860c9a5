//! `origo-sim`: runs scenarios.

fn main() {}
