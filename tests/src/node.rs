//! One `origo node` process on loopback.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::mesh::random_port;
use crate::namespace::Namespace;
use crate::process::{Process, until};
use crate::{http, paths, token};

/// How long a node may take to be ready.
const READY_WAIT: Duration = Duration::from_secs(10);
/// Ports of one node: HTTP, QUIC, metrics, and media from the fourth on.
const PORTS: u16 = 10;
/// First port of a node that has a network to itself.
const PORT_WITHIN: u16 = 7_880;
/// Development key of a node on loopback.
const API_KEY: &str = "devkey";
const API_SECRET: &str = "secret";

/// A running node; it ends when this is dropped.
pub struct Node {
    /// Its process.
    pub process: Process,
    /// HTTP and WebSocket; QUIC, metrics and the first media port are the next three.
    pub port: u16,
    ip: String,
    /// Its key lives here.
    data: tempfile::TempDir,
}

impl Node {
    /// Starts a node of `origo` with further flags, and waits until it is healthy.
    pub fn start(origo: &Path, flags: &[&str]) -> Result<Self> {
        Self::start_at(origo, "127.0.0.1", free_block()?, flags)
    }

    /// The same of a node that may let nobody in: waits until it answers at all.
    pub fn start_full(origo: &Path, flags: &[&str]) -> Result<Self> {
        Self::start_until(origo, "127.0.0.1", free_block()?, flags, |_| true)
    }

    /// The same at an address of this machine and at ports that the caller has chosen.
    pub fn start_at(origo: &Path, ip: &str, port: u16, flags: &[&str]) -> Result<Self> {
        Self::start_until(origo, ip, port, flags, |status| status == 200)
    }

    /// The same in a namespace, with keys and a mesh secret among the flags.
    pub fn start_within(namespace: &Namespace, origo: &Path, flags: &[&str]) -> Result<Self> {
        let (data, ip) = (tempfile::tempdir()?, namespace.address().to_string());
        Self::start_as(namespace.command(origo), data, &ip, PORT_WITHIN, flags, |status| status == 200)
    }

    fn start_until(origo: &Path, ip: &str, port: u16, flags: &[&str], is_ready: fn(u16) -> bool) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, origo, ip, port, flags, is_ready)
    }

    /// Another node with the same key, as from a copied disk.
    pub fn twin(&self, origo: &Path, flags: &[&str]) -> Result<Self> {
        let data = tempfile::tempdir()?;
        std::fs::copy(self.data.path().join("node.key"), data.path().join("node.key"))?;
        Self::start_in(data, origo, "127.0.0.1", free_block()?, flags, |status| status == 200)
    }

    fn start_in(
        data: tempfile::TempDir,
        origo: &Path,
        ip: &str,
        port: u16,
        flags: &[&str],
        is_ready: fn(u16) -> bool,
    ) -> Result<Self> {
        Self::start_as(Command::new(origo), data, ip, port, flags, is_ready)
    }

    fn start_as(
        mut command: Command,
        data: tempfile::TempDir,
        ip: &str,
        port: u16,
        flags: &[&str],
        is_ready: fn(u16) -> bool,
    ) -> Result<Self> {
        command.arg("node").args(["--bind", ip, "--port", &port.to_string(), "--log-format", "text"]);
        command.arg("--data-dir").arg(data.path()).args(flags);
        let mut node = Self { process: Process::spawn(&mut command)?, port, ip: ip.into(), data };
        let healthy = until(READY_WAIT, || {
            if !node.process.is_running() {
                return Some(false);
            }
            let response = http::get(&node.authority(), "/health", &[]).ok()?;
            is_ready(response.status).then_some(true)
        });
        anyhow::ensure!(healthy == Some(true), "the node did not become ready:\n{}", node.process.stderr());
        Ok(node)
    }

    /// `host:port` of its HTTP listener.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    /// What a LiveKit SDK takes as server URL.
    pub fn url(&self) -> String {
        format!("ws://{}", self.authority())
    }

    /// Its metrics page.
    pub fn metrics(&self) -> String {
        format!("127.0.0.1:{}", self.port + 2)
    }

    /// A token for a participant that may do everything in a room.
    pub fn token(&self, room: &str, identity: &str) -> String {
        token::join(API_KEY, API_SECRET, room, identity)
    }

    /// The same for one of an audience, whom nobody is told of.
    pub fn hidden_token(&self, room: &str, identity: &str) -> String {
        token::hidden(API_KEY, API_SECRET, room, identity)
    }

    /// What this node tells of the paths of a room.
    pub fn paths(&self, room: &str) -> Result<serde_json::Value> {
        paths::of_room(&self.authority(), API_KEY, API_SECRET, room)
    }
}

/// The first of [`PORTS`] ports in a row of which the TCP ones are free.
pub fn free_block() -> Result<u16> {
    let free = |port: &u16| (0..PORTS).all(|offset| TcpListener::bind(("127.0.0.1", port + offset)).is_ok());
    let mut tries = std::iter::repeat_with(|| random_port() + PORTS * rand::random_range(0..10)).take(100);
    tries.find(free).context("no free ports")
}
