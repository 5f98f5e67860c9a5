//! Whether this machine and this user can emulate a mesh: one sentence when not, before anything is made.

use std::fs::File;

use super::namespace::ip;

/// Bits of Linux's capabilities (`capability.h`).
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
/// What packets between namespaces pass through.
const TUN: &str = "/dev/net/tun";

/// Why a mesh cannot be emulated here; `None` when it can.
pub fn why_not() -> Option<String> {
    let has = |capability: u32| effective_capabilities() >> capability & 1 == 1;
    if !has(CAP_NET_ADMIN) || !has(CAP_SYS_ADMIN) {
        return Some("emulation needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN), to make network namespaces".to_owned());
    }
    if let Err(error) = File::options().read(true).write(true).open(TUN) {
        return Some(format!("emulation needs {TUN}, which cannot be opened: {error}"));
    }
    let trial = format!("og-emu-trial-{}", std::process::id());
    let made = ip(&["netns", "add", &trial]).and_then(|()| {
        let entered = ip(&["-n", &trial, "link", "set", "lo", "up"]);
        entered.and(ip(&["netns", "del", &trial]))
    });
    made.err().map(|error| format!("no network namespace can be made here: {error:#}"))
}

fn effective_capabilities() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}
