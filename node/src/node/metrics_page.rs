//! The metrics listener: one page, gathered at each scrape; and the way in for the node's operator.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use origo_cascade::Mesh;
use tokio::net::TcpListener;

use crate::drain::{self, Admin};
use crate::http::{self, Surface};
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
    /// Whether the node drains.
    pub admin: Admin,
}

/// Serves `GET /metrics` and `GET /v1/nodes`, and `/v1/drain` to this machine, until `shutdown`.
pub async fn serve(listener: TcpListener, source: Source, shutdown: impl Future<Output = ()> + Send + 'static) {
    let drain = drain::router(source.admin.clone());
    let nodes = Router::new().route("/v1/nodes", get(http::nodes)).with_state(source.surface.app.clone());
    let router = Router::new().route("/metrics", get(page)).with_state(source).merge(drain).merge(nodes);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(shutdown).await {
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
        overload: app.overload.get(),
        mesh: mesh.stats(),
        nodes: mesh.nodes().len(),
        dropped: app.dropped.counts(),
    })
}
