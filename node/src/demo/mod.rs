//! `origo demo`: a mesh of several regions on this machine, each node a child process of its own.

mod block;
mod child;
mod folder;
mod mesh;
mod probe;
mod report;

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::DemoArgs;
use mesh::Mesh;

/// How long the nodes may take until all of them serve and see each other. They need one or two seconds.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the mesh until it is told to stop, and leaves nothing behind.
pub fn main(args: &DemoArgs) -> anyhow::Result<()> {
    // One thread: the children are bound to the life of the thread that starts them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(args))
}

async fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let folder = folder::Folder::open(args.data_dir.as_deref())?;
    let blocks = block::free(args.port_base, usize::from(args.nodes))?;
    let mut mesh = Mesh::start(args, folder.path(), &blocks)?;
    let outcome = tokio::select! {
        outcome = serve(args, &mut mesh, folder.path()) => outcome,
        () = stop.asked() => Ok(()),
    };
    mesh.end().await;
    folder.close();
    outcome
}

async fn serve(args: &DemoArgs, mesh: &mut Mesh, folder: &std::path::Path) -> anyhow::Result<()> {
    let ready = tokio::time::timeout(READY_TIMEOUT, mesh.ready()).await;
    let nodes = ready.with_context(|| format!("the nodes are not ready after {} s", READY_TIMEOUT.as_secs()))??;
    report::print(args.json, &mesh.keys, &nodes, folder);
    mesh.watch().await
}

/// What asks the demo to end.
struct Stop {
    signals: [Signal; 3],
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        let hear = |kind| signal(kind);
        Ok(Self {
            signals: [hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?, hear(SignalKind::hangup())?],
        })
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
