//! One node of the demo as a child process: it cannot outlive the demo, and its secrets are not in its arguments.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};

use super::block::Block;
use super::mesh::MeshKeys;
use crate::cli::DemoArgs;
use crate::config::region::City;

/// How much of a log's end is looked at for its last lines, bytes.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 12;

/// A node's process.
pub struct Node {
    /// Where it stands.
    pub city: &'static City,
    /// Its ports.
    pub block: Block,
    /// Its process id, also after its end.
    pub pid: u32,
    child: Child,
    log: Option<PathBuf>,
}

impl Node {
    /// Starts it.
    pub fn start(
        args: &DemoArgs,
        (city, block): (&'static City, Block),
        seeds: &str,
        keys: &MeshKeys,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let folder = folder.join(city.region);
        std::fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
        let log = (!args.log_to_stderr).then(|| folder.join("node.log"));
        let mut command = Command::new(std::env::current_exe().context("finding the program itself")?);
        command.args(arguments(args, city, block, seeds)).arg("--data-dir").arg(&folder);
        clear_settings(&mut command);
        command.env("ORIGO_API_KEY", &keys.api_key).env("ORIGO_API_SECRET", keys.api_secret.expose());
        command.env("ORIGO_MESH_SECRET", keys.mesh_secret.expose());
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).process_group(0);
        if let Some(log) = &log {
            command.stderr(File::create(log).with_context(|| format!("making the log {}", log.display()))?);
        }
        bind_to_parent(&mut command);
        let child = command.spawn().with_context(|| format!("starting the node in {}", city.name))?;
        let pid = child.id().context("the node has no process id")?;
        Ok(Self { city, block, pid, child, log })
    }

    /// Waits for its end. Cancel safe.
    pub async fn ended(&mut self) -> ExitStatus {
        // Waiting for one's own child fails only when somebody else has reaped it: it is gone as well then.
        self.child.wait().await.unwrap_or_default()
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let Some(path) = &self.log else { return String::new() };
        let text = tail(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Asks it to end, and ends it when it does not within `patience`.
    pub async fn end(&mut self, patience: Duration) {
        if self.child.id().is_none() {
            return;
        }
        // The child is not reaped yet, so that its process id is still its own.
        // SAFETY: kill takes two integers.
        unsafe { libc::kill(self.pid.cast_signed(), libc::SIGTERM) };
        if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            // Fails only when it ended just now.
            let _ = self.child.kill().await;
        }
    }
}

fn arguments(args: &DemoArgs, city: &City, block: Block, seeds: &str) -> Vec<String> {
    let mut line = vec!["node".to_owned(), "--demo".to_owned(), format!("--bwe={}", args.bwe)];
    let mut flag = |name: &str, value: String| line.extend([format!("--{name}"), value]);
    flag("region", city.region.to_owned());
    flag("latitude", city.latitude.to_string());
    flag("longitude", city.longitude.to_string());
    flag("port", block.http().to_string());
    flag("quic-port", block.quic().to_string());
    flag("metrics-port", block.metrics().to_string());
    flag("media-port", block.media().to_string());
    flag("workers", "1".to_owned());
    // Whoever ends a demo does not wait for its people; a single node is drained with `origo node drain`.
    flag("drain-deadline", "0".to_owned());
    if let Some(ip) = args.media_ip {
        flag("media-bind", ip.to_string());
    }
    flag("seeds", seeds.to_owned());
    if let Some(log) = &args.log {
        flag("log", log.clone());
    }
    if let Some(geoip) = &args.geoip {
        flag("geoip", geoip.display().to_string());
    }
    if let Some(proxies) = &args.trusted_proxies {
        flag("trusted-proxies", proxies.clone());
    }
    line
}

/// What the caller's shell sets for a node of its own is not for these.
fn clear_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ORIGO_")) {
        command.env_remove(name);
    }
}

/// The kernel ends the child when the demo is gone, however it went.
fn bind_to_parent(command: &mut Command) {
    let parent = std::process::id().cast_signed();
    let bind = move || {
        // SAFETY: prctl and getppid take and give integers, and both may be called between fork and exec.
        unsafe {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have gone before the line above.
            if libc::getppid() != parent {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        Ok(())
    };
    // SAFETY: the closure calls two functions that are safe between fork and exec, and allocates nothing.
    unsafe { command.pre_exec(bind) };
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
