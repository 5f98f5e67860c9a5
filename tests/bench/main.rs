//! Forwarding speed of a node beside the egress ceiling of this machine.
fn main() {}
