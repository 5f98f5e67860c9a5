//! One node: its parts, assembled in order.

use crate::config::Sources;

/// Runs a node until it is told to stop.
pub fn main(sources: &Sources) -> anyhow::Result<()> {
    let loaded = sources.load()?;
    crate::log::start(&loaded.config.log)?;
    Ok(())
}
