//! One Janus gateway with its VideoRoom, from Debian's package `janus`, on this machine.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::namespace::Namespace;
use crate::process::{Process, until};

/// How long it may take to be ready.
const READY_WAIT: Duration = Duration::from_secs(10);
const PROGRAM: &str = "/usr/bin/janus";
/// Where it listens in a namespace of its own.
const PORT: u16 = 8188;

/// A running gateway; it ends when this is dropped.
pub struct Janus {
    /// Its process.
    pub process: Process,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Janus {
    /// Whether the package is installed.
    pub fn is_installed() -> bool {
        Path::new(PROGRAM).is_file()
    }

    /// Starts it with VideoRoom and WebSocket alone. `loops` event loops carry all participants; with 0 each has a thread
    /// of its own, which is Janus's default. In the namespace, if one is given.
    pub fn start(loops: usize, namespace: Option<&Namespace>) -> Result<Self> {
        ensure!(Self::is_installed(), "{PROGRAM} is missing: install Debian's package janus");
        let folder = tempfile::tempdir()?;
        let (address, mut command) = match namespace {
            Some(namespace) => (SocketAddr::new(namespace.address(), PORT), namespace.command(PROGRAM)),
            None => (TcpListener::bind((outward_ip()?, 0))?.local_addr()?, Command::new(PROGRAM)),
        };
        write_config(folder.path(), address, loops)?;
        command.arg("-F").arg(folder.path()).arg("-C").arg(folder.path().join("janus.jcfg"));
        let mut janus = Self { process: Process::spawn(&mut command)?, address, _folder: folder };
        let ready = until(READY_WAIT, || {
            if !janus.process.is_running() {
                return Some(false);
            }
            TcpStream::connect(address).ok().map(|_| true)
        });
        ensure!(ready == Some(true), "Janus did not become ready:\n{}", janus.process.stderr());
        Ok(janus)
    }

    /// Where participants join.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

/// Debian puts the modules below a folder that is named after the architecture.
fn modules() -> Result<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path().join("janus"));
    folders.into_iter().find(|folder| folder.join("plugins").is_dir()).context("the modules of Janus")
}

/// Janus gathers no candidates on loopback, so it listens on the address by which this machine would leave its network;
/// packets to it stay inside all the same.
fn outward_ip() -> Result<IpAddr> {
    let probe = UdpSocket::bind("0.0.0.0:0")?;
    // Nothing is sent: connecting chooses the route. The address is one of RFC 5737, for documentation.
    probe.connect("198.51.100.1:9").context("Janus needs a network beside loopback")?;
    Ok(probe.local_addr()?.ip())
}

fn write_config(folder: &Path, address: SocketAddr, loops: usize) -> Result<()> {
    let modules = modules()?;
    let others = |kind: &str, wanted: &str| -> Result<String> {
        let names = std::fs::read_dir(modules.join(kind))?.flatten().map(|entry| entry.file_name());
        let names = names.filter_map(|name| name.into_string().ok());
        Ok(names.filter(|name| name.ends_with(".so") && !name.contains(wanted)).collect::<Vec<_>>().join(","))
    };
    let main = format!(
        "general: {{\n configs_folder = \"{folder}\"\n plugins_folder = \"{modules}/plugins\"\n transports_folder = \
         \"{modules}/transports\"\n events_folder = \"{modules}/events\"\n loggers_folder = \"{modules}/loggers\"\n \
         debug_level = 2\n {loops} }}\nplugins: {{\n disable = \"{plugins}\"\n}}\ntransports: {{\n disable = \
         \"{transports}\"\n}}\n",
        folder = folder.display(),
        modules = modules.display(),
        loops = if loops > 0 { format!("event_loops = {loops}\n") } else { String::new() },
        plugins = others("plugins", "videoroom")?,
        transports = others("transports", "websockets")?,
    );
    let socket = format!(
        "general: {{\n json = \"compact\"\n ws = true\n ws_port = {}\n ws_ip = \"{}\"\n}}\n",
        address.port(),
        address.ip()
    );
    std::fs::write(folder.join("janus.jcfg"), main)?;
    std::fs::write(folder.join("janus.transport.websockets.jcfg"), socket)?;
    std::fs::write(folder.join("janus.plugin.videoroom.jcfg"), "general: {\n}\n")?;
    Ok(())
}
