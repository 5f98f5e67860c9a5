//! WHIP (RFC 9725): publishes into a room with one POST. The room and who publishes stand in the bearer token.

use livekit_protocol as proto;
use origo_auth::Claims;
use origo_node_core::room::Join;

use super::exchange::Exchange;
use super::offer::Offer;
use super::over_http::{Begun, Refused};
use crate::http::Problem;
use crate::rooms::RoomsHandle;

/// Whether a token is for it.
pub(super) fn permit(claims: &Claims) -> Result<(), Problem> {
    if claims.video.can_publish == Some(false) || claims.video.hidden {
        return Err(Problem::forbidden("the token does not allow to publish"));
    }
    Ok(())
}

/// One track of a kind (RFC 9725 4.4.2 lets an endpoint say so).
pub(super) fn check(offer: &Offer) -> Result<(), Problem> {
    let sent = |is_video| offer.count(|section| section.sends && section.is_video == is_video);
    match (sent(false), sent(true)) {
        (0, 0) => Err(Problem::unprocessable("the offer sends neither sound nor picture")),
        (0..=1, 0..=1) => Ok(()),
        _ => Err(Problem::not_acceptable("the offer sends more than one track of a kind, one of each is taken")),
    }
}

/// Joins with what the offer sends.
pub(super) async fn begin(rooms: &RoomsHandle, mut join: Join, text: &str, offer: &Offer) -> Result<Begun, Refused> {
    join.offer = Some(proto::SessionDescription { r#type: "offer".into(), sdp: text.to_owned(), ..Default::default() });
    join.add_tracks = offer.add_tracks();
    let (mut exchange, joined) = Exchange::open(rooms, join).await?;
    let answer = exchange.answer().await?;
    Ok(Begun { exchange, answer, ice_servers: joined.ice_servers, watch: None })
}
