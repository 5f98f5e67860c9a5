//! `origo demo`: a mesh of several regions on this machine.

use crate::cli::DemoArgs;

/// Runs the mesh until it is told to stop.
pub fn main(_args: &DemoArgs) -> anyhow::Result<()> {
    Ok(())
}
