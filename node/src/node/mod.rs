//! One node: its parts, assembled in an order that leaves nothing half open when one of them cannot start.

mod identity;
mod metrics_page;
mod parts;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use origo_auth::NodeId;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Sources;
use parts::Running;

/// How long the parts may take to end; what is left then is dropped with the process.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Two processes run with one identity; the older of them ends with this.
#[derive(Debug, thiserror::Error)]
#[error(
    "another process runs as this node ({id}) and is newer; this one ends. Each node needs a key of its own: give one of \
     the two another data_dir, or remove its {}",
    key.display()
)]
pub struct Double {
    id: NodeId,
    key: PathBuf,
}

/// Runs a node until it is told to stop.
pub fn main(sources: &Sources) -> anyhow::Result<()> {
    let loaded = sources.load()?;
    // The identity comes first: every log line carries the node's id.
    let identity = identity::open(&loaded.config)?;
    crate::log::start(&loaded.config.log, identity.id)?;
    for name in &loaded.unknown_variables {
        tracing::warn!(name, "this ORIGO_ variable means nothing");
    }
    let (id, key) = (identity.id, identity::path(&loaded.config));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("node").build();
    let runtime = runtime.context("starting the runtime")?;
    let outcome = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let deadline = loaded.config.drain_deadline;
        let mut running = Running::start(loaded.config, sources.clone(), identity).await?;
        let double = running.double();
        tokio::pin!(double);
        let (mut terminated, mut is_double) = (false, false);
        let left = loop {
            tokio::select! {
                // Asked once more, the node does not wait for anybody.
                _ = terminate.recv() => match std::mem::replace(&mut terminated, true) {
                    false => running.drain(deadline),
                    true => break running.left().await,
                },
                _ = interrupt.recv() => break running.left().await,
                left = running.drained() => break left,
                // That one is newer and linked. Whoever is here is told where to go on.
                () = &mut double => {
                    is_double = true;
                    break running.left().await;
                }
            }
        };
        tracing::info!(
            people = left.people,
            over_http = left.over_http,
            rooms = left.rooms,
            webhooks = left.webhooks,
            "the node ends; this is left"
        );
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, running.stop()).await.is_err() {
            tracing::warn!("some parts did not end in time");
        }
        if is_double { Err(Double { id, key }.into()) } else { Ok(()) }
    });
    runtime.shutdown_background();
    outcome
}
