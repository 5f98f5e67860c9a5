//! `/v1/drain` on the metrics listener: from this machine alone, and from no web page.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State as With};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::order::Orders;
use super::state::{Ask, Left, State};
use crate::config::time;
use crate::http::Problem;
use crate::rooms::RoomsHandle;
use crate::webhooks::Inlet;

/// What the requests are about.
#[derive(Clone)]
pub struct Admin {
    /// Whether the node drains.
    pub orders: Orders,
    /// What is on it.
    pub rooms: RoomsHandle,
    /// What applications are yet to hear.
    pub webhooks: Option<Inlet>,
}

impl Admin {
    /// What is on the node now.
    pub async fn left(&self) -> Left {
        let waiting = self.webhooks.as_ref().map_or(0, |inlet| inlet.stats().waiting);
        Left::of(&self.rooms.stats().await, waiting)
    }

    async fn state(&self, was_draining: bool) -> Json<State> {
        Json(State::of(&self.orders, was_draining, self.left().await, Instant::now()))
    }
}

/// `GET`, `POST` and `DELETE /v1/drain`.
pub fn router(admin: Admin) -> Router {
    let methods = get(show).post(drain).delete(undrain);
    Router::new().route("/v1/drain", methods).layer(from_fn(from_here)).with_state(admin)
}

/// The metrics page may be open to others; this is not. A page in an operator's browser is on this machine too, but a
/// browser says that a page asks.
async fn from_here(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    if !peer.is_some_and(|ip| ip.is_loopback()) {
        return Problem::forbidden("drain a node from its own machine").into_response();
    }
    if request.headers().contains_key(ORIGIN) {
        return Problem::forbidden("a web page cannot drain a node").into_response();
    }
    next.run(request).await
}

async fn show(With(admin): With<Admin>) -> Response {
    admin.state(admin.orders.current().is_some()).await.into_response()
}

async fn drain(With(admin): With<Admin>, request: Request) -> Response {
    let is_json =
        request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await.unwrap_or_default();
    let wanted = serde_json::from_slice::<Ask>(&body).ok().filter(|_| is_json);
    let Some(within) = wanted.and_then(|ask| time::of_seconds(ask.deadline_s)) else {
        let sentence = "the body has to be JSON such as {\"deadline_s\":120}, a day at most";
        return Problem::bad_request(sentence).into_response();
    };
    let was_draining = admin.orders.drain(Instant::now(), within);
    (StatusCode::ACCEPTED, admin.state(was_draining).await).into_response()
}

async fn undrain(With(admin): With<Admin>) -> Response {
    let was_draining = admin.orders.undrain();
    admin.state(was_draining).await.into_response()
}

/// An order is a short line.
const BODY_BYTES_MAX: usize = 1_024;

/// How long a node may take to answer the command.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
