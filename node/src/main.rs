//! `origo`: one node of the mesh, and the commands around it.

mod api;
mod cli;
mod config;
mod demo;
mod drain;
mod geo;
mod http;
mod log;
mod metrics;
mod node;
mod overload;
mod paths;
mod rooms;
mod route;
mod signal;
mod state;
mod token;
mod webhooks;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Subcommands};

/// `EX_USAGE` of sysexits: the configuration is wrong, so starting again will not help.
const EXIT_CONFIG: u8 = 64;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Subcommands::Node(args) => match args.into_parts() {
            (sources, None) => node::main(&sources),
            (_, Some(order)) => drain::tell(order),
        },
        Subcommands::Token(args) => token::run(&args),
        Subcommands::Demo(args) => demo::main(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("origo: {error:#}");
            let misconfigured = error.is::<config::Faults>() || error.is::<node::Double>();
            ExitCode::from(if misconfigured { EXIT_CONFIG } else { 1 })
        }
    }
}
