//! WHIP (RFC 9725): publishes into a room with one POST. The room and who publishes stand in the bearer token.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{patch, post};
use livekit_protocol as proto;

use super::exchange::Exchange;
use super::offer::{OFFER_BYTES_MAX, Offer};
use super::over_http::{self, Refused, admit, count, created, owner, read_offer};
use super::resource::{Kind, Opened};
use crate::http::{ClientAddress, Parameters, Problem, Surface};

const PATH: &str = "/whip/v1";

/// The endpoint and its sessions.
pub(super) fn router() -> Router<Arc<Surface>> {
    let session = patch(|state, id, headers, parameters, body| {
        over_http::patch(Kind::Whip, state, id, headers, parameters, body)
    })
    .delete(|state, id, headers, parameters| over_http::delete(Kind::Whip, state, id, headers, parameters));
    Router::new()
        .route(PATH, post(publish).fallback(over_http::only_post))
        .route("/whip/v1/{id}", session.fallback(over_http::only_patch_and_delete))
        .layer(DefaultBodyLimit::max(OFFER_BYTES_MAX))
}

async fn publish(
    State(surface): State<Arc<Surface>>,
    address: ClientAddress,
    headers: HeaderMap,
    parameters: Parameters,
    body: Bytes,
) -> Result<Response, Refused> {
    let (claims, project) = admit(&surface, &headers, &parameters)?;
    if claims.video.can_publish == Some(false) || claims.video.hidden {
        return Err(Problem::forbidden("the token does not allow to publish").into());
    }
    let (text, offer) = read_offer(&headers, &body)?;
    check(&offer)?;
    let owner = owner(Kind::Whip, &claims, project);
    let counted = count(&surface, address)?;
    let mut join = over_http::join(&surface, claims, &owner);
    join.offer = Some(proto::SessionDescription { r#type: "offer".into(), sdp: text.clone(), ..Default::default() });
    join.add_tracks = offer.add_tracks();
    tracing::info!(session = join.session.0, room = %owner.room, identity = %owner.identity, "publishing over WHIP");
    let (mut exchange, joined) = Exchange::open(&surface.app.rooms, join).await?;
    let answer = exchange.answer().await?;
    let opened = Opened { exchange, offer: text, ufrag: offer.ufrag, owner, counted };
    Ok(created(PATH, surface.resources.insert(opened), &joined.ice_servers, answer))
}

/// One track of a kind (RFC 9725 4.4.2 lets an endpoint say so).
fn check(offer: &Offer) -> Result<(), Problem> {
    let sent = |is_video| offer.count(|section| section.sends && section.is_video == is_video);
    match (sent(false), sent(true)) {
        (0, 0) => Err(Problem::unprocessable("the offer sends neither sound nor picture")),
        (0..=1, 0..=1) => Ok(()),
        _ => Err(Problem::not_acceptable("the offer sends more than one track of a kind, one of each is taken")),
    }
}
