//! Tells the cluster how busy this node is.

use std::sync::Arc;
use std::time::Duration;

use origo_cascade::Mesh;
use tokio::task::JoinHandle;

use crate::worker::WorkerHandle;

/// Routing looks at load in steps of 0.05; a second is fresh enough.
const EVERY: Duration = Duration::from_secs(1);

/// Announces the busiest worker's load until the node ends: a room sits on one worker, so that one decides.
pub fn announce(workers: &Arc<Vec<WorkerHandle>>, mesh: &Arc<Mesh>) -> JoinHandle<()> {
    let (workers, mesh) = (Arc::downgrade(workers), Arc::downgrade(mesh));
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tick.tick().await;
            let (Some(workers), Some(mesh)) = (workers.upgrade(), mesh.upgrade()) else { return };
            mesh.set_load(workers.iter().map(WorkerHandle::load).fold(0.0, f64::max));
        }
    })
}
