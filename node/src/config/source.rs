//! Where a node's configuration comes from, read again whenever it has to be.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;

use super::Config;
use super::check::{Machine, check, metrics_address};
use super::raw::RawConfig;

/// The largest file that is read as configuration, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The flags of one call and the file that they (or `ORIGO_CONFIG`) name.
#[derive(Clone, Default)]
pub struct Sources {
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// Settings given as flags.
    pub flags: Vec<(&'static str, String)>,
}

/// A configuration that was read.
pub struct Loaded {
    /// What the node runs with.
    pub config: Config,
    /// `ORIGO_` variables that mean nothing, for the log.
    pub unknown_variables: Vec<String>,
}

impl Sources {
    /// Reads and checks everything. No port is opened for it.
    pub fn load(&self) -> anyhow::Result<Loaded> {
        let mut raw = self.collect()?;
        let unknown_variables = std::mem::take(&mut raw.unknown_variables);
        let machine = Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            read_file: &|path| std::fs::read_to_string(path),
            rust_log: std::env::var("RUST_LOG").ok(),
        };
        let config = check(raw, &machine)?;
        Ok(Loaded { config, unknown_variables })
    }

    /// Where the metrics listener of a node with this configuration is, and nothing else: whoever asks for it need not
    /// be able to read the node's secrets.
    pub fn metrics_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(metrics_address(self.collect()?)?)
    }

    fn collect(&self) -> anyhow::Result<RawConfig> {
        let text = self.file_text()?;
        let file = self.file.as_deref().zip(text.as_deref());
        let variables = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        Ok(RawConfig::collect(file, variables, self.flags.iter().cloned()))
    }

    /// The file as it is now.
    pub fn file_text(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.file else { return Ok(None) };
        let size = std::fs::metadata(path).map(|data| data.len());
        let size = size.with_context(|| format!("reading the configuration file {}", path.display()))?;
        anyhow::ensure!(size <= FILE_BYTES_MAX, "the configuration file {} is larger than 1 MiB", path.display());
        let text = std::fs::read_to_string(path);
        Ok(Some(text.with_context(|| format!("reading the configuration file {}", path.display()))?))
    }
}
