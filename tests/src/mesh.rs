//! A demo mesh of several nodes on this machine.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::{self, Process};
use crate::token;

/// How long a mesh may take to be ready; a dev build on a busy machine included.
const READY_WAIT: Duration = Duration::from_secs(20);
/// Port blocks of tests lie between the demo's own and the kernel's ephemeral ports.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Ports of one mesh.
const BLOCK: u16 = 100;

/// What `origo demo --json` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Description {
    /// Address of the page.
    pub web: String,
    /// API key of the mesh.
    pub api_key: String,
    /// Its secret.
    pub api_secret: String,
    /// The nodes in their order.
    pub nodes: Vec<Node>,
}

/// One node of the mesh.
#[derive(Clone, Debug, Deserialize)]
pub struct Node {
    /// `ND_…`
    pub id: String,
    /// Its region.
    pub region: String,
    /// Its process.
    pub pid: u32,
    /// What a LiveKit SDK takes as server URL.
    pub url: String,
    /// Its metrics page.
    pub metrics: String,
}

impl Description {
    /// A token for a participant that may do everything in a room.
    pub fn token(&self, room: &str, identity: &str) -> String {
        token::join(&self.api_key, &self.api_secret, room, identity)
    }
}

/// A running demo mesh; it ends when this is dropped.
pub struct Mesh {
    /// The process of `origo demo`.
    pub process: Process,
    /// What it says of itself.
    pub description: Description,
}

impl Mesh {
    /// Starts a mesh that keeps its temporary files in `scratch`.
    pub fn start(nodes: usize, scratch: &Path) -> Result<Self> {
        let mut command = Command::new(process::origo()?);
        command.args(["demo", "--json", "--nodes", &nodes.to_string(), "--port-base", &random_port().to_string()]);
        command.env("TMPDIR", scratch);
        end_with_this_thread(&mut command);
        let process = Process::spawn(&mut command)?;
        let line = process.stdout.recv_timeout(READY_WAIT);
        let line = line.with_context(|| format!("the mesh did not become ready:\n{}", process.stderr()))?;
        let description = serde_json::from_str(&line).with_context(|| format!("reading {line:?}"))?;
        Ok(Self { process, description })
    }
}

/// Has the kernel terminate the process when the calling thread is gone, however this process ends.
fn end_with_this_thread(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches nothing of this process.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
}

/// The beginning of a block of ports that is probably free; a used block is skipped by the demo. No two calls of one
/// process give the same one: meshes that begin at the same time would both find it free.
pub fn random_port() -> u16 {
    static FIRST: OnceLock<u16> = OnceLock::new();
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let blocks = PORTS.len() as u16 / BLOCK;
    let first = *FIRST.get_or_init(|| rand::random_range(0..blocks));
    let given = GIVEN.fetch_add(1, Ordering::Relaxed);
    PORTS.start + first.wrapping_add(given) % blocks * BLOCK
}

/// One mesh of three nodes for all tests of a test binary. It ends with the binary: the thread that starts it lives as
/// long as the process.
pub fn shared() -> &'static Description {
    static SHARED: OnceLock<Description> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mesh = Mesh::start(3, &std::env::temp_dir());
            let description = mesh.as_ref().map(|mesh| mesh.description.clone());
            // The asker waits for this.
            let _ = tell.send(description.map_err(|error| format!("{error:#}")));
            loop {
                std::thread::park();
            }
        });
        told.recv().expect("the mesh thread tells").unwrap_or_else(|error| panic!("{error}"))
    })
}
