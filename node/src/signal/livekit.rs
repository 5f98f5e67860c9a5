//! LiveKit's signaling endpoints: `/rtc` (v0) and `/rtc/v1`, and their `/validate`, which tells a browser why a web
//! socket was refused (it cannot read that from the socket).

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::upgrade::OnUpgrade;
use origo_auth::{Claims, ProjectId, TokenError};
use origo_node_core::room::Join;
use tracing::Instrument;

use super::asked::{Asked, AskedError};
use super::frame::FRAME_BYTES_MAX;
use super::led::Led;
use super::{join_request, query, received, socket};
use crate::http::{ClientAddress, Parameters, Surface, authorize};
use crate::overload::RETRY_AFTER_S;
use crate::rooms::{Elsewhere, Refusal};

/// Parameter of a client that can open a successor of its session: `1`, or the session of which this one is it.
const SUCCESSOR: &str = "origo_successor";
/// Path of the second generation of the protocol: one PeerConnection.
const V1: &str = "/rtc/v1";
/// Read buffer of a web socket, bytes: nearly all messages fit, and 16,384 sockets take 128 MB.
const READ_BUFFER_BYTES: usize = 8 * 1024;
/// What is written together, bytes, as long as nobody flushes.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// What may wait for a client that does not read, bytes, before the socket breaks.
const WRITE_BUFFER_BYTES_MAX: usize = 4 << 20;

/// All of LiveKit's signaling endpoints.
pub(super) fn router() -> Router<Arc<Surface>> {
    Router::new()
        .route("/rtc", get(connect))
        .route(V1, get(connect))
        .route("/rtc/validate", get(validate))
        .route("/rtc/v1/validate", get(validate))
}

/// A status and a sentence in plain text, as SDKs show it.
type Refused = (StatusCode, Cow<'static, str>);

/// Says what [`connect`] would say, short of joining.
async fn validate(
    State(surface): State<Arc<Surface>>,
    uri: Uri,
    headers: HeaderMap,
    parameters: Parameters,
) -> Response {
    match admit(&surface, uri.path(), &headers, &parameters) {
        Ok((asked, ..)) if asked.resume.is_none() && surface.app.overload.is_full() => {
            unavailable("the node is full: GET /v1/route names others".into())
        }
        Ok(_) => "success".into_response(),
        Err(refused) => refused.into_response(),
    }
}

/// Joins, and only then opens the web socket: until then a failure is an HTTP status.
async fn connect(
    State(surface): State<Arc<Surface>>,
    uri: Uri,
    address: ClientAddress,
    headers: HeaderMap,
    parameters: Parameters,
    ours: Option<Extension<OnUpgrade>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return (StatusCode::NOT_FOUND, "this is a web socket endpoint").into_response();
    };
    let (asked, claims, project) = match admit(&surface, uri.path(), &headers, &parameters) {
        Ok(admitted) => admitted,
        Err(refused) => return refused.into_response(),
    };
    let Some(counted) = surface.sockets.count(address.client) else {
        surface.app.dropped.count("socket", "too many");
        return (StatusCode::TOO_MANY_REQUESTS, "too many sessions from your address").into_response();
    };
    let session = surface.app.rooms.next_session();
    let join = asked.join(session, claims, project);
    let span = tracing::info_span!(
        "signal",
        session = session.0,
        room = %join.room,
        identity = %join.identity,
        participant = tracing::field::Empty
    );
    span.in_scope(|| tracing::debug!(client = %address.client, sdk = join.client.sdk, "joining"));
    // Whom the node that has its session does not take either, is told here to join anew.
    let again = join.resume.is_some().then(|| Join { may_be_led: false, ..join.clone() });
    let mut counted = Some(counted);
    let mut joined = surface.app.rooms.join(join).instrument(span.clone()).await;
    if let Err(Refusal { elsewhere: Some(elsewhere), .. }) = &joined
        && let Some((Extension(ours), url)) = ours.zip(url_of(&surface, elsewhere))
    {
        let led = Led { url, uri, headers, client: address.client };
        match (led.lead(ours, &mut counted).instrument(span.clone()).await, again) {
            (Ok(response), _) => return response,
            (Err(_), Some(again)) => joined = surface.app.rooms.join(again).instrument(span.clone()).await,
            (Err(response), None) => return response,
        }
    }
    let stream = match joined {
        Ok(stream) => stream,
        Err(refusal) => return refuse(&surface, refusal),
    };
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .on_upgrade(move |socket: WebSocket| {
            let rooms = surface.app.rooms.clone();
            let dropped = surface.app.dropped.clone();
            async move {
                socket::run(socket, stream, rooms, &dropped).await;
                drop(counted);
            }
            .instrument(span)
        })
}

/// The server URL of another node, if it lives.
fn url_of(surface: &Surface, elsewhere: &Elsewhere) -> Option<String> {
    match elsewhere {
        Elsewhere::Url(url) => Some(url.clone()),
        // SDKs take no redirect for a web socket. They read in the refusal where to go on.
        Elsewhere::Next(_) => None,
        Elsewhere::Node(id) => (surface.app.nodes)().into_iter().find(|node| node.id == *id).map(|node| node.url),
    }
}

/// What a client is told that is not let in.
fn refuse(surface: &Surface, refusal: Refusal) -> Response {
    surface.app.dropped.count("join", "refused");
    tracing::info!(status = refusal.status, reason = refusal.reason, "join refused");
    match StatusCode::from_u16(refusal.status) {
        Ok(StatusCode::SERVICE_UNAVAILABLE) => unavailable(refusal.reason.into()),
        status => (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), refusal.reason).into_response(),
    }
}

/// Not now, or not here.
fn unavailable(sentence: Cow<'static, str>) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_AFTER_S)], sentence).into_response()
}

/// Checks the token and reads what the client asks for.
fn admit(
    surface: &Surface,
    path: &str,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<(Asked, Claims, ProjectId), Refused> {
    let (claims, project) = authorize(surface, headers, parameters).map_err(|error| {
        surface.app.dropped.count("join", "unauthorized");
        (status_of(&error), error.to_string().into())
    })?;
    let asked = read(path, parameters).map_err(|error| {
        surface.app.dropped.count("join", "malformed");
        (StatusCode::BAD_REQUEST, error.to_string().into())
    })?;
    Ok((asked, claims, project))
}

/// A `join_request` makes any join a v1 join, also on the path of v0.
fn read(path: &str, parameters: &Parameters) -> Result<Asked, AskedError> {
    let asked = match parameters.get("join_request") {
        Some(text) => join_request::read(text),
        None if path.starts_with(V1) => Err(AskedError::NoJoinRequest),
        None => query::read(parameters),
    };
    // SDKs pass the parameters of their server URL on, and know nothing of these.
    let successor = parameters.get(SUCCESSOR);
    let successor_of = successor.and_then(|sid| sid.parse().ok());
    let received = received::read(parameters)?;
    asked.map(|asked| Asked { can_succeed: successor.is_some(), successor_of, received, ..asked })
}

/// A token that holds but names nobody or no room is the caller's mistake, not a lack of rights.
fn status_of(error: &TokenError) -> StatusCode {
    match error {
        TokenError::NoIdentity | TokenError::NoRoom => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNAUTHORIZED,
    }
}
