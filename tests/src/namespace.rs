//! A network namespace with a server in it, joined to this one by a pair of interfaces. Needs root.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Addresses of pairs, four each: of the block for benchmarks of RFC 2544.
const BLOCK: [u8; 2] = [198, 18];

/// A namespace; it goes with this value.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    inside: IpAddr,
}

impl Namespace {
    /// Whether this process may make one.
    pub fn is_possible() -> bool {
        // SAFETY: it takes nothing and cannot fail.
        unsafe { libc::geteuid() == 0 }
    }

    /// Makes one. `number` tells those of one process apart.
    pub fn open(number: u8) -> Result<Self> {
        let pid = std::process::id();
        // Four addresses for each pair, by process, so that runs side by side do not meet.
        let pair = (pid as u16 & 0x0fff) << 2 | u16::from(number & 3);
        let base = u32::from(Ipv4Addr::new(BLOCK[0], BLOCK[1], 0, 0)) + u32::from(pair) * 4;
        let [outside, inside] = [1, 2].map(|host| Ipv4Addr::from(base + host));
        let namespace = Self { name: format!("og-bench-{pid}-{number}"), inside: inside.into() };
        let (name, link) = (namespace.name.as_str(), format!("ogb{pid}{number}"));
        ip(&["netns", "add", name])?;
        ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        ip(&["addr", "add", &format!("{outside}/30"), "dev", &link])?;
        ip(&["link", "set", &link, "up"])?;
        ip(&["-n", name, "addr", "add", &format!("{inside}/30"), "dev", "eth0"])?;
        ip(&["-n", name, "link", "set", "eth0", "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        ip(&["-n", name, "route", "add", "default", "via", &outside.to_string()])?;
        Ok(namespace)
    }

    /// Its own address, which this one reaches.
    pub fn address(&self) -> IpAddr {
        self.inside
    }

    /// A command that runs a program in it, under the process id of what is spawned.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its end of the pair goes with it, and with that the other.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output().context("running ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
