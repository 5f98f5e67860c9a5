//! What WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) have in common: tokens, media types, headers, and the requests
//! on a session's own URL.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCEPT, ALLOW, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, LINK, LOCATION, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use livekit_protocol as proto;
use origo_auth::{Claims, Identity, ProjectId, RoomKey, TokenError};
use origo_node_core::room::Join;

use super::offer::{self, Offer};
use super::resource::{Condition, Kind, Owner, Patched};
use super::sdpfrag;
use crate::http::{ClientAddress, Counted, Parameters, Problem, Surface, authorize};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// Tells which bodies a POST may have (W3C Linked Data Platform, RFC 9725 4.2).
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// Links that are told; more servers than these help nobody.
const LINKS_MAX: usize = 16;

/// A refusal, with the header that a missing token asks for.
pub(super) struct Refused(Problem, Option<&'static str>);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem, None)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        if let Some(challenge) = self.1 {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Who asks, by its token.
pub(super) fn admit(
    surface: &Surface,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<(Claims, ProjectId), Refused> {
    authorize(surface, headers, parameters).map_err(|error| {
        surface.app.dropped.count("join", "unauthorized");
        match error {
            TokenError::NoIdentity | TokenError::NoRoom => Problem::bad_request(error.to_string()).into(),
            TokenError::NoRoomJoin => Problem::forbidden(error.to_string()).into(),
            _ => Refused(Problem::unauthorized(error.to_string()), Some("Bearer")),
        }
    })
}

/// The offer of a POST.
pub(super) fn read_offer(headers: &HeaderMap, body: &Bytes) -> Result<(String, Offer), Problem> {
    check_type(headers, SDP)?;
    let accepted = headers.get(ACCEPT).map(|accept| accept.to_str().unwrap_or_default());
    if accepted.is_some_and(|accepted| !["*/*", "application/*", SDP].iter().any(|ours| accepted.contains(ours))) {
        return Err(Problem::not_acceptable("the answer is application/sdp, which `Accept` excludes"));
    }
    if body.is_empty() {
        return Err(Problem::not_acceptable("the client makes the offer here: send it as the body"));
    }
    let no_offer = || Problem::bad_request("the body is no SDP offer with ICE credentials");
    let text = std::str::from_utf8(body).map_err(|_| no_offer())?;
    let read = offer::read(text).ok_or_else(no_offer)?;
    Ok((text.to_owned(), read))
}

fn check_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bare = given.split(';').next().unwrap_or_default().trim();
    if bare.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Problem::unsupported_type(format!("the body's Content-Type must be {expected}")))
}

/// A place among the sessions of the caller's address.
pub(super) fn count(surface: &Surface, address: ClientAddress) -> Result<Counted, Problem> {
    surface.sockets.count(address.client).ok_or_else(|| {
        surface.app.dropped.count("socket", "too many");
        Problem::too_often("too many sessions from your address")
    })
}

/// The join of a client that has one connection and offers.
pub(super) fn join(surface: &Surface, claims: Claims, owner: &Owner) -> Join {
    Join {
        session: surface.app.rooms.next_session(),
        room: owner.room.clone(),
        identity: owner.identity.clone(),
        claims,
        client: proto::ClientInfo { protocol: 17, ..Default::default() },
        single_connection: true,
        auto_subscribe: false,
        may_pause: false,
        disable_ice_lite: false,
        resume: None,
        offer: None,
        add_tracks: Vec::new(),
    }
}

/// Whose session it is.
pub(super) fn owner(kind: Kind, claims: &Claims, project: ProjectId) -> Owner {
    let room = RoomKey { project, name: claims.video.room.clone() };
    Owner { kind, room, identity: Identity(claims.sub.clone()) }
}

/// 201 with everything that the client needs to know.
pub(super) fn created(path: &str, (id, tag): (String, String), ice: &[proto::IceServer], answer: String) -> Response {
    let mut response = (StatusCode::CREATED, [(CONTENT_TYPE, SDP)], answer).into_response();
    let headers = response.headers_mut();
    // Both are hex digits.
    headers.extend(HeaderValue::from_str(&format!("{path}/{id}")).map(|value| (LOCATION, value)));
    headers.extend(HeaderValue::from_str(&format!("\"{tag}\"")).map(|value| (ETAG, value)));
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
pub(super) async fn patch(
    kind: Kind,
    State(surface): State<Arc<Surface>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    parameters: Parameters,
    body: Bytes,
) -> Result<Response, Refused> {
    let (claims, project) = admit(&surface, &headers, &parameters)?;
    check_type(&headers, FRAGMENT)?;
    if body.len() > sdpfrag::FRAGMENT_BYTES_MAX {
        return Err(Problem::bad_request("the fragment is too long").into());
    }
    let text = std::str::from_utf8(&body).map_err(|_| Problem::bad_request("the fragment is not UTF-8"))?;
    let fragment = sdpfrag::read(text).map_err(|error| Problem::bad_request(error.to_string()))?;
    let condition = condition(&headers)?;
    let patched = surface.resources.patch(&id, &owner(kind, &claims, project), condition, fragment).await?;
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
pub(super) async fn delete(
    kind: Kind,
    State(surface): State<Arc<Surface>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<StatusCode, Refused> {
    let (claims, project) = admit(&surface, &headers, &parameters)?;
    surface.resources.delete(&id, &owner(kind, &claims, project)).await?;
    Ok(StatusCode::OK)
}

/// 405 on an endpoint.
pub(super) async fn only_post() -> Response {
    not_allowed("OPTIONS, POST", "this URL takes POST with an SDP offer")
}

/// 405 on a session.
pub(super) async fn only_patch_and_delete() -> Response {
    not_allowed("OPTIONS, PATCH, DELETE", "a session takes PATCH and DELETE")
}

fn not_allowed(allow: &'static str, message: &str) -> Response {
    let mut response = Problem::method_not_allowed(message).into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Says on OPTIONS what a POST may carry.
pub async fn name_accepted(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let concerned = request.method() == Method::OPTIONS && (path.starts_with("/whip/") || path.starts_with("/whep/"));
    let mut response = next.run(request).await;
    if concerned {
        response.headers_mut().insert(ACCEPT_POST, HeaderValue::from_static(SDP));
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
