//! WHEP (draft-ietf-wish-whep): watches what a room publishes with one POST. The client offers, and the answer has the
//! tracks that are there.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderMap;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use livekit_protocol as proto;
use livekit_protocol::signal_request::Message;

use super::exchange::Exchange;
use super::offer::OFFER_BYTES_MAX;
use super::over_http::{self, Refused, admit, count, created, owner, read_offer};
use super::resource::{Kind, Opened};
use crate::http::{ClientAddress, Parameters, Problem, Surface};

const PATH: &str = "/whep/v1";
/// When to ask again for what is not published yet, seconds.
const RETRY_SECONDS: &str = "2";

/// The endpoint and its sessions.
pub(super) fn router() -> Router<Arc<Surface>> {
    let session = patch(|state, id, headers, parameters, body| {
        over_http::patch(Kind::Whep, state, id, headers, parameters, body)
    })
    .delete(|state, id, headers, parameters| over_http::delete(Kind::Whep, state, id, headers, parameters));
    Router::new()
        .route(PATH, post(watch).fallback(over_http::only_post))
        .route("/whep/v1/{id}", session.fallback(over_http::only_patch_and_delete))
        .layer(DefaultBodyLimit::max(OFFER_BYTES_MAX))
}

async fn watch(
    State(surface): State<Arc<Surface>>,
    address: ClientAddress,
    headers: HeaderMap,
    parameters: Parameters,
    body: Bytes,
) -> Result<Response, Refused> {
    let (claims, project) = admit(&surface, &headers, &parameters)?;
    if claims.video.can_subscribe == Some(false) {
        return Err(Problem::forbidden("the token does not allow to subscribe").into());
    }
    if parameters.get("room").is_some_and(|room| room != claims.video.room) {
        return Err(Problem::forbidden("the token is for another room").into());
    }
    let (text, offer) = read_offer(&headers, &body)?;
    let receives = |is_video| offer.count(|section| section.receives && !section.sends && section.is_video == is_video);
    let room_for = (receives(false), receives(true));
    if room_for == (0, 0) {
        return Err(Problem::unprocessable("the offer has no section that only receives sound or picture").into());
    }
    let owner = owner(Kind::Whep, &claims, project);
    let counted = count(&surface, address)?;
    let join = over_http::join(&surface, claims, &owner);
    tracing::info!(session = join.session.0, room = %owner.room, identity = %owner.identity, "watching over WHEP");
    let (mut exchange, joined) = Exchange::open(&surface.app.rooms, join).await?;
    let wish = Wish { participant: parameters.get("participant"), track: parameters.get("track") };
    let track_sids = wish.choose(&joined.other_participants, room_for);
    if track_sids.is_empty() {
        exchange.leave().await;
        return Ok(nothing_there());
    }
    let subscription = proto::UpdateSubscription { track_sids, subscribe: true, ..Default::default() };
    exchange.ask(Message::Subscription(subscription)).await;
    let answer = exchange.offer(text.clone()).await?;
    let opened = Opened { exchange, offer: text, ufrag: offer.ufrag, owner, counted };
    Ok(created(PATH, surface.resources.insert(opened), &joined.ice_servers, answer))
}

/// The draft's answer to who comes before the stream.
fn nothing_there() -> Response {
    let problem = Problem::conflict("nothing that you ask for is published in this room yet");
    ([(RETRY_AFTER, RETRY_SECONDS)], problem).into_response()
}

/// Which tracks of a room are asked for.
#[derive(Default)]
struct Wish<'a> {
    /// Identity of the publisher.
    participant: Option<&'a str>,
    /// Sid of a track.
    track: Option<&'a str>,
}

impl Wish<'_> {
    /// Sids of the tracks to watch, no more than the offer has room for (audio, video). Without a wish all are of one
    /// participant: who shows a picture and is there for longest, else who is heard.
    fn choose(&self, participants: &[proto::ParticipantInfo], room_for: (usize, usize)) -> Vec<String> {
        let fits = |participant: &&proto::ParticipantInfo| {
            self.participant.is_none_or(|identity| participant.identity == identity)
                && participant.tracks.iter().any(|track| self.fits(track))
        };
        let rank = |participant: &&proto::ParticipantInfo| {
            let has_picture = participant.tracks.iter().any(is_video);
            (!has_picture, participant.joined_at_ms, participant.identity.clone())
        };
        let Some(chosen) = participants.iter().filter(fits).min_by_key(rank) else { return Vec::new() };
        let tracks = |video: bool, most: usize| {
            let fitting = chosen.tracks.iter().filter(move |track| is_video(track) == video && self.fits(track));
            fitting.map(|track| track.sid.clone()).take(most)
        };
        tracks(false, room_for.0).chain(tracks(true, room_for.1)).collect()
    }

    fn fits(&self, track: &proto::TrackInfo) -> bool {
        self.track.is_none_or(|sid| track.sid == sid)
    }
}

fn is_video(track: &proto::TrackInfo) -> bool {
    track.r#type == proto::TrackType::Video as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn participant(identity: &str, joined_at_ms: i64, tracks: &[(&str, proto::TrackType)]) -> proto::ParticipantInfo {
        let track = |(sid, kind): &(&str, proto::TrackType)| proto::TrackInfo {
            sid: (*sid).to_owned(),
            r#type: *kind as i32,
            ..Default::default()
        };
        let tracks = tracks.iter().map(track).collect();
        proto::ParticipantInfo { identity: identity.into(), joined_at_ms, tracks, ..Default::default() }
    }

    #[test]
    fn without_a_wish_the_first_who_shows_a_picture_is_watched() {
        use proto::TrackType::{Audio, Video};
        let room = [
            participant("talks", 1, &[("TR_t", Audio)]),
            participant("late", 3, &[("TR_la", Audio), ("TR_lv", Video)]),
            participant("early", 2, &[("TR_ea", Audio), ("TR_ev", Video), ("TR_screen", Video)]),
        ];
        assert_eq!(Wish::default().choose(&room, (1, 1)), ["TR_ea", "TR_ev"]);
        assert_eq!(Wish::default().choose(&room, (0, 2)), ["TR_ev", "TR_screen"]);
        assert_eq!(Wish::default().choose(&room[..1], (1, 1)), ["TR_t"]);
        let late = Wish { participant: Some("late"), ..Wish::default() };
        assert_eq!(late.choose(&room, (1, 1)), ["TR_la", "TR_lv"]);
        let screen = Wish { track: Some("TR_screen"), ..Wish::default() };
        assert_eq!(screen.choose(&room, (1, 1)), ["TR_screen"]);
        assert!(Wish { participant: Some("nobody"), ..Wish::default() }.choose(&room, (1, 1)).is_empty());
        assert!(Wish::default().choose(&[participant("silent", 1, &[])], (1, 1)).is_empty());
    }
}
