//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) as one front-end: tokens, media types, headers, and the requests on
//! a session's own URL. What each does with an offer is its own file's.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{
    ACCEPT, ALLOW, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, LINK, LOCATION, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use livekit_protocol as proto;
use origo_auth::{Claims, Identity, ProjectId, RoomKey, TokenError};
use origo_node_core::room::Join;

use super::exchange::Exchange;
use super::offer::{self, OFFER_BYTES_MAX, Offer};
use super::resource::{Condition, Kind, Opened, Owner, Patched};
use super::watch::Watch;
use super::{sdpfrag, whep, whip};
use crate::http::{ClientAddress, Counted, Parameters, Problem, Surface, authorize};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// Tells which bodies a POST may have (W3C Linked Data Platform, RFC 9725 4.2).
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// Tells which bodies a PATCH may have (RFC 5789 3.1).
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// Links that are told; more servers than these help nobody.
const LINKS_MAX: usize = 16;

/// A refusal, with a header that says more.
pub(super) struct Refused(Problem, Option<Box<(HeaderName, HeaderValue)>>);

impl Refused {
    /// One with a header.
    pub fn with(problem: Problem, header: HeaderName, value: &'static str) -> Self {
        Self(problem, Some(Box::new((header, HeaderValue::from_static(value)))))
    }

    /// The same, with the URL where it can be asked in place of this one (RFC 9725 4.5): the other node's, with the path
    /// and the query of this one.
    fn redirecting(self, uri: &Uri) -> Self {
        let asked = uri.path_and_query().map_or("/", |asked| asked.as_str());
        let http = |url: &str| Some(format!("http{}", url.strip_prefix("ws")?.trim_end_matches('/')));
        let there = self.0.next().and_then(http).and_then(|url| HeaderValue::from_str(&format!("{url}{asked}")).ok());
        match there {
            Some(there) => Self(self.0, Some(Box::new((LOCATION, there)))),
            None => self,
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem, None)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        if let Some((header, value)) = self.1.map(|header| *header) {
            response.headers_mut().insert(header, value);
        }
        response
    }
}

/// A session that has begun.
pub(super) struct Begun {
    pub exchange: Exchange,
    /// SDP.
    pub answer: String,
    pub ice_servers: Vec<proto::IceServer>,
    /// What it watches, if it watches.
    pub watch: Option<Watch>,
}

type Shared = State<Arc<Surface>>;
type Id = Path<String>;
type Body = Result<Bytes, BytesRejection>;

/// Both endpoints and their sessions.
pub(super) fn router() -> Router<Arc<Surface>> {
    endpoint(Kind::Whip).merge(endpoint(Kind::Whep)).layer(DefaultBodyLimit::max(OFFER_BYTES_MAX))
}

fn endpoint(kind: Kind) -> Router<Arc<Surface>> {
    let begin = move |State(surface): Shared,
                      address: ClientAddress,
                      uri: Uri,
                      head: HeaderMap,
                      query: Parameters,
                      body: Body| async move {
        let opened = open(kind, &surface, address, &head, &query, body).await;
        counting(&surface, opened.map_err(|refused| refused.redirecting(&uri)))
    };
    let change = move |State(surface): Shared, Path(id): Id, head: HeaderMap, query: Parameters, body: Body| async move {
        counting(&surface, change(kind, &surface, &id, &head, &query, body).await)
    };
    let end = move |State(surface): Shared, Path(id): Id, head: HeaderMap, query: Parameters| async move {
        counting(&surface, end(kind, &surface, &id, &head, &query).await)
    };
    Router::new()
        .route(kind.path(), post(begin).fallback(only_post))
        .route(&format!("{}/{{id}}", kind.path()), patch(change).delete(end).fallback(only_patch_and_delete))
}

/// Counts what is refused.
fn counting<T>(surface: &Surface, result: Result<T, Refused>) -> Result<T, Refused> {
    result.inspect_err(|refused| surface.app.dropped.count("over http", refused.0.code()))
}

/// POST: a session begins.
async fn open(
    kind: Kind,
    surface: &Arc<Surface>,
    address: ClientAddress,
    headers: &HeaderMap,
    parameters: &Parameters,
    body: Body,
) -> Result<Response, Refused> {
    let (claims, project) = admit(surface, headers, parameters)?;
    match kind {
        Kind::Whip => whip::permit(&claims)?,
        Kind::Whep => whep::permit(&claims, parameters)?,
    }
    let (text, offer) = read_offer(headers, &whole(body)?)?;
    match kind {
        Kind::Whip => whip::check(&offer)?,
        Kind::Whep => whep::check(&offer)?,
    }
    let owner = owner(kind, &claims, project);
    let counted = count(surface, address)?;
    let join = join(surface, claims, &owner);
    tracing::info!(?kind, session = join.session.0, room = %owner.room, identity = %owner.identity, "session over HTTP");
    let begun = match kind {
        Kind::Whip => whip::begin(&surface.app.rooms, join, &text, &offer).await?,
        Kind::Whep => whep::begin(&surface.app.rooms, join, &text, &offer, parameters).await?,
    };
    let Begun { exchange, answer, ice_servers, watch } = begun;
    let opened = Opened { exchange, offer: text, ufrag: offer.ufrag, owner, watch, counted };
    Ok(created(kind.path(), surface.resources.insert(opened), &ice_servers, answer))
}

fn whole(body: Body) -> Result<Bytes, Problem> {
    body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(format!("the body is longer than {OFFER_BYTES_MAX} bytes")),
        _ => Problem::bad_request("the body does not come in whole"),
    })
}

/// Who asks, by its token.
fn admit(surface: &Surface, headers: &HeaderMap, parameters: &Parameters) -> Result<(Claims, ProjectId), Refused> {
    authorize(surface, headers, parameters).map_err(|error| {
        surface.app.dropped.count("join", "unauthorized");
        match error {
            TokenError::NoIdentity | TokenError::NoRoom => Problem::bad_request(error.to_string()).into(),
            TokenError::NoRoomJoin => Problem::forbidden(error.to_string()).into(),
            _ => Refused::with(Problem::unauthorized(error.to_string()), WWW_AUTHENTICATE, "Bearer"),
        }
    })
}

/// The offer of a POST.
fn read_offer(headers: &HeaderMap, body: &Bytes) -> Result<(String, Offer), Refused> {
    check_type(headers, SDP, ACCEPT_POST)?;
    let accepted = headers.get(ACCEPT).map(|accept| accept.to_str().unwrap_or_default());
    if accepted.is_some_and(|accepted| !["*/*", "application/*", SDP].iter().any(|ours| accepted.contains(ours))) {
        return Err(Problem::not_acceptable("the answer is application/sdp, which `Accept` excludes").into());
    }
    if body.is_empty() {
        return Err(Problem::not_acceptable("the client makes the offer here: send it as the body").into());
    }
    let no_offer = || Problem::bad_request("the body is no SDP offer with ICE credentials");
    let text = std::str::from_utf8(body).map_err(|_| no_offer())?;
    let read = offer::read(text).ok_or_else(no_offer)?;
    Ok((text.to_owned(), read))
}

/// A body of another type is refused with a header that names the one that is taken (RFC 5789 3.1).
fn check_type(headers: &HeaderMap, expected: &'static str, naming: HeaderName) -> Result<(), Refused> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bare = given.split(';').next().unwrap_or_default().trim();
    if bare.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let problem = Problem::unsupported_type(format!("the body's Content-Type must be {expected}"));
    Err(Refused::with(problem, naming, expected))
}

/// A place among the sessions of the caller's address.
fn count(surface: &Surface, address: ClientAddress) -> Result<Counted, Problem> {
    surface.sockets.count(address.client).ok_or_else(|| {
        surface.app.dropped.count("socket", "too many");
        Problem::too_often("too many sessions from your address")
    })
}

/// The join of a client that has one connection and offers.
fn join(surface: &Surface, claims: Claims, owner: &Owner) -> Join {
    Join {
        session: surface.app.rooms.next_session(),
        room: owner.room.clone(),
        identity: owner.identity.clone(),
        claims,
        client: proto::ClientInfo { protocol: 17, ..Default::default() },
        single_connection: true,
        fixed_sections: true,
        auto_subscribe: false,
        may_pause: false,
        disable_ice_lite: false,
        can_be_sent_on: false,
        can_succeed: false,
        successor_of: None,
        received: None,
        may_be_led: false,
        resume: None,
        offer: None,
        add_tracks: Vec::new(),
    }
}

/// Whose session it is.
fn owner(kind: Kind, claims: &Claims, project: ProjectId) -> Owner {
    let room = RoomKey { project, name: claims.video.room.clone() };
    Owner { kind, room, identity: Identity(claims.sub.clone()) }
}

/// 201 with everything that the client needs to know.
fn created(path: &str, (id, tag): (String, String), ice: &[proto::IceServer], answer: String) -> Response {
    let mut response = (StatusCode::CREATED, [(CONTENT_TYPE, SDP)], answer).into_response();
    let headers = response.headers_mut();
    // Both are hex digits.
    headers.extend(HeaderValue::from_str(&format!("{path}/{id}")).map(|value| (LOCATION, value)));
    headers.extend(HeaderValue::from_str(&format!("\"{tag}\"")).map(|value| (ETAG, value)));
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    for link in ice.iter().flat_map(links).take(LINKS_MAX) {
        headers.append(LINK, link);
    }
    response
}

/// An ICE server as `Link` headers (RFC 9725 4.6). A value that no header can carry is left out.
fn links(server: &proto::IceServer) -> Vec<HeaderValue> {
    let mut credential = String::new();
    if !server.username.is_empty() {
        let (user, password) = (quoted(&server.username), quoted(&server.credential));
        credential = format!("; username={user}; credential={password}; credential-type=\"password\"");
    }
    let link = |url: &String| HeaderValue::from_str(&format!("<{url}>; rel=\"ice-server\"{credential}")).ok();
    server.urls.iter().filter_map(link).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// PATCH: candidates, or an ICE restart.
async fn change(
    kind: Kind,
    surface: &Surface,
    id: &str,
    headers: &HeaderMap,
    parameters: &Parameters,
    body: Body,
) -> Result<Response, Refused> {
    let (claims, project) = admit(surface, headers, parameters)?;
    check_type(headers, FRAGMENT, ACCEPT_PATCH)?;
    let body = whole(body)?;
    if body.len() > sdpfrag::FRAGMENT_BYTES_MAX {
        return Err(Problem::too_large("the fragment is too long").into());
    }
    let text = std::str::from_utf8(&body).map_err(|_| Problem::bad_request("the fragment is not UTF-8"))?;
    let fragment = sdpfrag::read(text).map_err(|error| Problem::bad_request(error.to_string()))?;
    let condition = condition(headers)?;
    let patched = surface.resources.patch(id, &owner(kind, &claims, project), condition, fragment).await?;
    Ok(match patched {
        Patched::Trickled => StatusCode::NO_CONTENT.into_response(),
        Patched::Restarted { tag, fragment } => {
            let mut response = (StatusCode::OK, [(CONTENT_TYPE, FRAGMENT)], fragment).into_response();
            response.headers_mut().extend(HeaderValue::from_str(&format!("\"{tag}\"")).map(|value| (ETAG, value)));
            response
        }
    })
}

fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    let missing = || Problem::precondition_required("`If-Match` is required: the session's ETag, or * to restart ICE");
    let value = headers.get(IF_MATCH).and_then(|value| value.to_str().ok()).ok_or_else(missing)?.trim();
    Ok(if value == "*" { Condition::Any } else { Condition::Tag(value.trim_matches('"').to_owned()) })
}

/// DELETE: the session ends.
async fn end(
    kind: Kind,
    surface: &Surface,
    id: &str,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<StatusCode, Refused> {
    let (claims, project) = admit(surface, headers, parameters)?;
    surface.resources.delete(id, &owner(kind, &claims, project)).await?;
    Ok(StatusCode::OK)
}

/// 405 on an endpoint.
async fn only_post() -> Response {
    not_allowed("OPTIONS, POST", "this URL takes POST with an SDP offer")
}

/// 405 on a session.
async fn only_patch_and_delete() -> Response {
    not_allowed("OPTIONS, PATCH, DELETE", "a session takes PATCH and DELETE")
}

fn not_allowed(allow: &'static str, message: &str) -> Response {
    let mut response = Problem::method_not_allowed(message).into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Says on OPTIONS what a POST or a PATCH may carry.
pub async fn name_accepted(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let naming = [Kind::Whip, Kind::Whep].into_iter().find_map(|kind| match path.strip_prefix(kind.path())? {
        "" | "/" => Some((ACCEPT_POST, SDP)),
        _ => Some((ACCEPT_PATCH, FRAGMENT)),
    });
    let naming = naming.filter(|_| request.method() == Method::OPTIONS);
    let mut response = next.run(request).await;
    if let Some((header, value)) = naming {
        response.headers_mut().insert(header, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ice_servers_become_links() {
        let server = proto::IceServer {
            urls: vec!["stun:stun.example.net".into(), "turn:turn.example.net?transport=udp".into()],
            username: "us\"er".into(),
            credential: "pass".into(),
        };
        let links: Vec<_> = links(&server).iter().map(|link| link.to_str().unwrap().to_owned()).collect();
        assert_eq!(
            links[1],
            "<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"us\\\"er\"; credential=\"pass\"; \
             credential-type=\"password\""
        );
        assert_eq!(links.len(), 2);
        let open = proto::IceServer { username: String::new(), ..server };
        assert_eq!(super::links(&open)[0], "<stun:stun.example.net>; rel=\"ice-server\"");
    }
}
