//! `origo`: one node of the mesh, and the commands around it.

mod cli;
mod config;
mod demo;
mod geo;
mod http;
mod log;
mod metrics;
mod node;
mod rooms;
mod route;
mod signal;
mod state;
mod token;
mod worker;

fn main() {}
