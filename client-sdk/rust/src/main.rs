//! Load generator for an Origo mesh.
fn main() {}
