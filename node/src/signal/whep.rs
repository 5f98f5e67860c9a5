//! WHEP (draft-ietf-wish-whep): watches what a room publishes with one POST. The client offers, and the answer has the
//! tracks that are there; later ones take the sections that are left.

use axum::http::header::RETRY_AFTER;
use livekit_protocol as proto;
use livekit_protocol::signal_request::Message;
use origo_auth::Claims;
use origo_node_core::room::Join;

use super::exchange::Exchange;
use super::offer::Offer;
use super::over_http::{Begun, Refused};
use super::watch::{Watch, Wish};
use crate::http::{Parameters, Problem};
use crate::rooms::RoomsHandle;

/// When to ask again for what is not published yet, seconds.
const RETRY_SECONDS: &str = "2";

/// Whether a token is for it, and for the room that the URL may name.
pub(super) fn permit(claims: &Claims, parameters: &Parameters) -> Result<(), Problem> {
    if claims.video.can_subscribe == Some(false) {
        return Err(Problem::forbidden("the token does not allow to subscribe"));
    }
    if parameters.get("room").is_some_and(|room| room != claims.video.room) {
        return Err(Problem::forbidden("the token is for another room"));
    }
    Ok(())
}

/// Something has to be received.
pub(super) fn check(offer: &Offer) -> Result<(), Problem> {
    match room_in(offer) {
        (0, 0) => Err(Problem::unprocessable("the offer has no section that only receives sound or picture")),
        _ => Ok(()),
    }
}

/// How many tracks of sound and of pictures an offer has room for.
fn room_in(offer: &Offer) -> (usize, usize) {
    let receives = |is_video| offer.count(|section| section.receives && !section.sends && section.is_video == is_video);
    (receives(false), receives(true))
}

/// Joins, takes what is there, and offers.
pub(super) async fn begin(
    rooms: &RoomsHandle,
    join: Join,
    text: &str,
    offer: &Offer,
    parameters: &Parameters,
) -> Result<Begun, Refused> {
    let owned = |name| parameters.get(name).map(str::to_owned);
    let wish = Wish { participant: owned("participant"), track: owned("track") };
    let (mut exchange, joined) = Exchange::open(rooms, join).await?;
    let mut watch = Watch::new(wish, room_in(offer), joined.other_participants);
    let track_sids = watch.take();
    if track_sids.is_empty() {
        exchange.leave().await;
        // The draft's answer to who comes before the stream.
        let problem = Problem::conflict("nothing that you ask for is published in this room yet");
        return Err(Refused::with(problem, RETRY_AFTER, RETRY_SECONDS));
    }
    let subscription = proto::UpdateSubscription { track_sids, subscribe: true, ..Default::default() };
    exchange.ask(Message::Subscription(subscription)).await;
    let answer = exchange.offer(text.to_owned()).await?;
    Ok(Begun { exchange, answer, ice_servers: joined.ice_servers, watch: Some(watch) })
}
