//! How much of everything the node may use, and what it does when that runs short.

use std::time::Duration;

use origo_node_core::overload::{FULL, Settings};

use super::check::read_rate;
use super::reader::Reader;

/// The settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Refuses newcomers and does without things when something runs short; else it only shows that.
    pub sheds: bool,
    /// The share of processors from which on it is full, 0 to 1.
    pub cpu_full: f64,
    /// How long nothing is short before a step is taken back.
    pub recovery: Duration,
    /// Bytes of memory; none for what the machine or its control group has.
    pub memory_bytes: Option<u64>,
    /// Bits per second out; none without a limit.
    pub egress_bps: Option<u64>,
    /// Bits per second in; none without a limit.
    pub ingress_bps: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        let Settings { cpu_full, falls_after } = Settings::default();
        let (memory_bytes, egress_bps, ingress_bps) = (None, None, None);
        Self { sheds: true, cpu_full, recovery: falls_after, memory_bytes, egress_bps, ingress_bps }
    }
}

/// Reads them.
pub fn read(reader: &mut Reader) -> Limits {
    let rate = |reader: &mut Reader, name| {
        reader.get(name, "a rate such as 500Mbps or 2Gbps; 1Mbps to 100Gbps", |value| read_rate(value.as_str()?.trim()))
    };
    let memory = "a size such as 512MB or 2GB; 1MB to 1000GB";
    let recovery = reader.time("overload_recovery");
    if recovery.is_some_and(|recovery| recovery.is_zero()) {
        reader.refuse("overload_recovery", "a second at least");
    }
    Limits {
        sheds: reader.switch("overload").unwrap_or(true),
        cpu_full: reader.whole("cpu_full", 1, 100).map_or(FULL, |percent| f64::from(percent) / 100.0),
        recovery: recovery.unwrap_or(Limits::default().recovery),
        memory_bytes: reader.get("memory_limit", memory, |value| read_size(value.as_str()?.trim())),
        egress_bps: rate(reader, "egress_limit"),
        ingress_bps: rate(reader, "ingress_limit"),
    }
}

/// Bytes.
fn read_size(text: &str) -> Option<u64> {
    let (number, unit) = [("MB", 1_000_000), ("GB", 1_000_000_000)]
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), unit)))?;
    let size = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (1_000_000..=1_000_000_000_000).contains(&size).then_some(size)
}
