//! A mesh in virtual time: the cores that nodes run, over a modelled network, from scenarios that are one file each.

pub mod calendar;
pub mod chance;
pub mod cli;
pub mod command;
pub mod comparison;
pub mod dice;
#[cfg(target_os = "linux")]
pub mod emulation;
pub mod gossip;
pub mod measures;
pub mod membership;
pub mod network;
pub mod outcome;
pub mod parallel;
pub mod report;
pub mod scenario;
pub mod swarm;
pub mod sweep;
pub mod trunk;
pub mod world;
