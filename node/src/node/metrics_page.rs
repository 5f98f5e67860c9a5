//! The metrics listener: one page, gathered at each scrape.

use std::future::Future;
use std::sync::{Arc, Weak};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use origo_cascade::Mesh;
use tokio::net::TcpListener;

use crate::http::Surface;
use crate::metrics::{Snapshot, render};
use crate::webhooks;
use crate::worker::WorkerHandle;

/// What the page is gathered from.
#[derive(Clone)]
pub struct Source {
    /// Front-ends and rooms.
    pub surface: Arc<Surface>,
    /// Media workers.
    pub workers: Weak<Vec<WorkerHandle>>,
    /// Links.
    pub mesh: Weak<Mesh>,
}

/// Serves `GET /metrics` until `shutdown`.
pub async fn serve(listener: TcpListener, source: Source, shutdown: impl Future<Output = ()> + Send + 'static) {
    let router = Router::new().route("/metrics", get(page)).with_state(source);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(shutdown).await {
        tracing::error!(%error, "the metrics listener broke");
    }
}

async fn page(State(source): State<Source>) -> Response {
    match gather(&source).await {
        Some(snapshot) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], render(&snapshot)).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the node is shutting down\n").into_response(),
    }
}

async fn gather(source: &Source) -> Option<Snapshot> {
    let app = &source.surface.app;
    let rooms = app.rooms.stats().await;
    let (workers, mesh) = (source.workers.upgrade()?, source.mesh.upgrade()?);
    Some(Snapshot {
        node: app.node,
        region: app.config.region.clone(),
        rooms,
        workers: workers.iter().map(|worker| (worker.stats(), worker.load())).collect(),
        webhooks: app.webhooks.as_ref().map(webhooks::Inlet::stats),
        mesh: mesh.stats(),
        nodes: mesh.nodes().len(),
        dropped: app.dropped.counts(),
    })
}
