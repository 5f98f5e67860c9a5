//! The node's HTTP surface: the web page, health, routing and paths for clients, and LiveKit's signaling endpoints.
//!
//! Everything a stranger can send here is bounded by a named constant and counted when it is dropped.

mod address;
mod bearer;
mod census;
mod demo_token;
mod health;
mod ice;
mod limiter;
mod nodes;
mod page;
mod parameters;
mod path;
mod problem;
mod room_paths;
mod serve;
mod spare;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{ETAG, LINK, LOCATION, RETRY_AFTER};
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, map_request};
use axum::routing::{get, post};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

pub use address::ClientAddress;
pub use bearer::{authenticate, authorize, unix_now};
pub use census::{Census, Counted};
pub use limiter::{Limit, Limiter};
pub use nodes::nodes;
pub use parameters::Parameters;
pub use problem::Problem;
pub use serve::serve;

use crate::geo::Geo;
use crate::state::AppState;
use crate::{api, route, signal};

/// The largest body of a request, bytes: the only one that has a body is a demo token's.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a browser may remember that cross-origin requests are allowed.
const CORS_MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// What all handlers share.
pub struct Surface {
    /// The node behind the handlers.
    pub app: AppState,
    /// Where callers are.
    pub geo: Geo,
    /// Bounds how often one address asks where to go.
    pub routes: Limiter,
    /// Bounds how many signaling sockets one address holds.
    pub sockets: Arc<Census>,
    /// Sessions of clients without a socket.
    pub resources: signal::Resources,
}

impl Surface {
    /// Puts the surface before a node.
    pub fn new(app: AppState, geo: Geo) -> Arc<Self> {
        let sockets = Census::new(app.config.sockets_per_address, signal::SOCKETS_MAX);
        Arc::new(Self {
            app,
            geo,
            routes: Limiter::new(route::LIMIT),
            sockets,
            resources: signal::Resources::default(),
        })
    }
}

/// All endpoints of a node.
pub fn router(surface: Arc<Surface>) -> Router {
    let endpoints = Router::new()
        .route("/health", get(health::health))
        .route("/v1/route", get(route::route))
        .route("/v1/path", get(path::path))
        .route("/v1/rooms/{room}/paths", get(room_paths::room_paths))
        .route("/v1/demo/token", post(demo_token::demo_token))
        .merge(signal::router())
        .merge(api::router())
        .fallback(page::page)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(surface);
    // The outer router has no route of its own: its layers see a request before the inner one picks the endpoint.
    Router::new()
        .fallback_service(endpoints)
        .layer(map_request(collapse_slashes))
        .layer(cors())
        .layer(from_fn(signal::name_accepted))
}

/// Browser SDKs read `/rtc/validate` and `HEAD /` across origins; without these headers a refused join looks to them
/// like a server that is down. Request headers are mirrored, since `*` does not cover `Authorization`.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::OPTIONS, Method::HEAD, Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([ETAG, LINK, LOCATION, RETRY_AFTER])
        .max_age(CORS_MAX_AGE)
}

/// SDKs that are given a server URL with a slash at its end ask for `//rtc`.
async fn collapse_slashes(mut request: Request) -> Request {
    if let Some(uri) = collapsed(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn collapsed(uri: &Uri) -> Option<Uri> {
    let path_and_query = uri.path_and_query()?.as_str();
    path_and_query.starts_with("//").then(|| format!("/{}", path_and_query.trim_start_matches('/')).parse().ok())?
}
