//! LiveKit's server API over Twirp: `POST /twirp/livekit.<Service>/<Method>`, served by any node for any room of the
//! mesh.
//!
//! A call is checked and decoded here, done by the nodes that it concerns, and merged here.

mod fault;
mod merge;
mod method;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use origo_auth::Claims;

use crate::http::{Surface, authenticate};
use fault::Fault;
use method::{Encoding, Grant, Method};

/// The largest body, bytes: a data packet of 64,000 bytes in base64, and its addressees.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// What is served, for who asks something else.
const ROUTE: &str = "the server API takes POST /twirp/<service>/<method> alone";
/// Characters of a stranger's service and method that a refusal repeats.
const ECHO_CHARS: usize = 64;

/// The endpoints.
pub fn router() -> Router<Arc<Surface>> {
    Router::new().route("/twirp/{*path}", post(call).fallback(no_route))
}

/// What Twirp has no name for.
async fn no_route(State(surface): State<Arc<Surface>>) -> Response {
    let fault = Fault::bad_route(ROUTE);
    surface.app.dropped.count("api call", fault.code());
    fault.into_response()
}

async fn call(
    State(surface): State<Arc<Surface>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match answer(&surface, &path, &headers, body).await {
        Ok((encoding, body)) => {
            ([(CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()))], body).into_response()
        }
        Err(fault) => {
            tracing::debug!(path, code = fault.code(), "a call of the server API is refused");
            surface.app.dropped.count("api call", fault.code());
            fault.into_response()
        }
    }
}

async fn answer(surface: &Surface, path: &str, headers: &HeaderMap, body: Body) -> Result<(Encoding, Bytes), Fault> {
    let (service, name) = path.split_once('/').ok_or_else(|| Fault::bad_route(ROUTE))?;
    if name.contains('/') {
        return Err(Fault::bad_route(ROUTE));
    }
    let (claims, project) =
        authenticate(surface, headers).map_err(|error| Fault::unauthenticated(error.to_string()))?;
    let method = Method::find(service, name).ok_or_else(|| {
        let short = |text: &str| text.chars().take(ECHO_CHARS).collect::<String>();
        Fault::unimplemented(format!("this server does not serve {}/{}", short(service), short(name)))
    })?;
    let encoding = Encoding::of(headers)?;
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
    let body =
        body.map_err(|_| Fault::resource_exhausted(format!("the body is longer than {BODY_BYTES_MAX} bytes")))?;
    let request = method.read(encoding, &body)?;
    permit(method, &claims, &request)?;
    let response = merge::call(&surface.app, &project, method, request).await?;
    Ok((encoding, method.write(encoding, &response)?))
}

/// A token opens what its grants name, and of rooms only the one that it names.
fn permit(method: &Method, claims: &Claims, request: &Bytes) -> Result<(), Fault> {
    let video = &claims.video;
    let (granted, word) = match method.grant {
        Grant::Create => (video.room_create, "roomCreate"),
        Grant::List => (video.room_list, "roomList"),
        Grant::Admin => (video.room_admin && video.room == method::room_of(request)?, "roomAdmin of this room"),
    };
    if granted { Ok(()) } else { Err(Fault::permission_denied(format!("the token does not grant {word}"))) }
}
