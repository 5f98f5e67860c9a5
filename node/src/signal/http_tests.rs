//! WHIP and WHEP over real loopback sockets, before scripted rooms.

use livekit_protocol::signal_request::Message as Ask;
use origo_auth::Claims;

use super::offer::tests::PUBLISHING;
use crate::http::tests::{Answer, World, grant};
use crate::rooms::scripted::{ANSWER, BAD_OFFER, ELSEWHERE, EMPTY_ROOM, Heard, LATER, LATER_TRACK, REFUSED, TRACK};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const PASSWORD: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";

fn watching() -> String {
    PUBLISHING.replace("sendonly", "recvonly")
}

/// Sends a request with these headers (each with its line end) by this token.
async fn send(world: &World, request: &str, claims: &Claims, headers: &str, body: &str) -> Answer {
    let token = world.token(claims);
    world.send(&format!("{request} HTTP/1.1\r\nauthorization: Bearer {token}\r\n{headers}"), body).await
}

async fn post(world: &World, path: &str, claims: &Claims, body: &str) -> Answer {
    send(world, &format!("POST {path}"), claims, &format!("content-type: {SDP}\r\n"), body).await
}

/// Publishes as `ana`; gives the session's URL and tag.
async fn publish(world: &World) -> (String, String) {
    let answer = post(world, "/whip/v1", &grant("ana", "demo"), PUBLISHING).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    (answer.header("location").unwrap().to_owned(), answer.header("etag").unwrap().to_owned())
}

async fn patch(world: &World, url: &str, who: &str, condition: &str, body: &str) -> Answer {
    let headers = format!("content-type: {FRAGMENT}\r\n{condition}");
    send(world, &format!("PATCH {url}"), &grant(who, "demo"), &headers, body).await
}

/// The next request of a session that is no join.
async fn next_ask(world: &mut World) -> Ask {
    loop {
        if let Heard::Signal(request) = world.next_heard().await {
            return request.message.unwrap();
        }
    }
}

fn problem(answer: &Answer) -> (u16, String) {
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.len() > 10, "a sentence: {answer:?}");
    (answer.status, message)
}

#[tokio::test]
async fn a_node_that_drains_sends_a_new_client_to_the_same_url_of_another_one() {
    let world = World::start().await;
    for path in ["/whip/v1", "/whep/v1?participant=ana"] {
        let offer = if path.starts_with("/whip") { PUBLISHING.to_owned() } else { watching() };
        let answer = post(&world, path, &grant(ELSEWHERE, "demo"), &offer).await;
        assert_eq!(answer.status, 307, "a POST stays a POST: {answer:?}");
        assert_eq!(answer.header("location"), Some(&*format!("https://next.example{path}")));
        assert_eq!(answer.json()["code"], "elsewhere");
    }
}

#[tokio::test]
async fn a_whip_offer_joins_with_its_tracks_and_is_answered_with_a_session() {
    let mut world = World::start().await;
    let answer = post(&world, "/whip/v1", &grant("ana", "demo"), PUBLISHING).await;
    assert_eq!((answer.status, answer.body.as_str()), (201, ANSWER));
    assert_eq!(answer.header("content-type"), Some(SDP));
    assert_eq!(answer.header("link"), Some("<stun:stun.example>; rel=\"ice-server\""));
    assert_eq!(answer.header("accept-patch"), Some(FRAGMENT));
    assert!(answer.header("location").unwrap().strip_prefix("/whip/v1/").unwrap().len() == 32);
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for header in ["location", "etag", "link"] {
        assert!(exposed.contains(header), "{exposed}");
    }
    let Heard::Join(join) = world.next_heard().await else { panic!("a join") };
    assert!(join.single_connection && !join.auto_subscribe);
    assert_eq!((join.identity.0.as_str(), join.room.name.as_str()), ("ana", "demo"));
    assert_eq!(join.offer.unwrap().sdp, PUBLISHING);
    assert_eq!(join.add_tracks.iter().map(|track| track.cid.as_str()).collect::<Vec<_>>(), ["mic", "cam"]);
}

#[tokio::test]
async fn a_whep_offer_subscribes_and_then_offers() {
    let mut world = World::start().await;
    let answer = post(&world, "/whep/v1?room=demo&participant=ben", &grant("ana", "demo"), &watching()).await;
    assert_eq!((answer.status, answer.body.as_str()), (201, ANSWER));
    let Ask::Subscription(subscription) = next_ask(&mut world).await else { panic!("a subscription") };
    assert_eq!((subscription.track_sids, subscription.subscribe), (vec![TRACK.to_owned()], true));
    assert!(matches!(next_ask(&mut world).await, Ask::Offer(offer) if offer.sdp == watching()));
}

#[tokio::test]
async fn who_comes_before_the_stream_is_told_when_to_ask_again() {
    let mut world = World::start().await;
    for query in [format!("?room={EMPTY_ROOM}"), "?participant=nobody".to_owned(), "?track=TR_x".to_owned()] {
        let room = if query.contains(EMPTY_ROOM) { EMPTY_ROOM } else { "demo" };
        let answer = post(&world, &format!("/whep/v1{query}"), &grant("ana", room), &watching()).await;
        assert_eq!(problem(&answer).0, 409, "{query}");
        assert_eq!(answer.header("retry-after"), Some("2"));
        assert!(matches!(next_ask(&mut world).await, Ask::Leave(_)));
    }
}

#[tokio::test]
async fn candidates_trickle_and_a_new_ufrag_restarts_ice() {
    let mut world = World::start().await;
    let (url, tag) = publish(&world).await;
    let fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2 192.0.2.1 9 typ host\r\n";
    assert_eq!(patch(&world, &url, "ana", &format!("if-match: {tag}\r\n"), fragment).await.status, 204);
    let Ask::Trickle(trickle) = next_ask(&mut world).await else { panic!("a candidate") };
    assert!(trickle.candidate_init.contains("candidate:1 1 udp 2 192.0.2.1 9 typ host"));

    let restart = format!("a=ice-ufrag:NEWu\r\na=ice-pwd:{PASSWORD}\r\n");
    let answer = patch(&world, &url, "ana", "if-match: *\r\n", &restart).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(FRAGMENT)));
    assert!(answer.body.contains("a=ice-ufrag:node\r\n") && answer.body.contains("a=candidate:1"));
    let new_tag = answer.header("etag").unwrap().to_owned();
    assert_ne!(new_tag, tag);
    let Ask::Offer(offer) = next_ask(&mut world).await else { panic!("an offer") };
    assert_eq!(offer.id, 2);
    assert!(offer.sdp.contains("a=ice-ufrag:NEWu\r\n") && offer.sdp.contains("a=msid:stream cam\r\n"));

    let stale = patch(&world, &url, "ana", &format!("if-match: {tag}\r\n"), fragment).await;
    assert_eq!(problem(&stale).0, 412);
    let foreign = patch(&world, &url, "ana", &format!("if-match: {new_tag}\r\n"), fragment).await;
    assert_eq!(problem(&foreign).0, 409, "the ufrag of before");
}

#[tokio::test]
async fn a_session_ends_once_and_by_its_owner() {
    let mut world = World::start().await;
    let (url, _) = publish(&world).await;
    let delete = format!("DELETE {url}");
    assert_eq!(problem(&send(&world, &delete, &grant("eve", "demo"), "", "").await).0, 403);
    assert_eq!(problem(&send(&world, &delete, &grant("ana", "other"), "", "").await).0, 403);
    assert_eq!(problem(&world.send(&format!("{delete} HTTP/1.1\r\n"), "").await).0, 401);
    let elsewhere = delete.replace("whip", "whep");
    assert_eq!(problem(&send(&world, &elsewhere, &grant("ana", "demo"), "", "").await).0, 404);
    assert_eq!(send(&world, &delete, &grant("ana", "demo"), "", "").await.status, 200);
    assert!(matches!(next_ask(&mut world).await, Ask::Leave(_)));
    assert_eq!(problem(&send(&world, &delete, &grant("ana", "demo"), "", "").await).0, 404);
}

#[tokio::test]
async fn each_mistake_has_its_status_and_a_sentence() {
    let world = World::start().await;
    let (url, tag) = publish(&world).await;
    let ben = grant("ben", "demo");
    let request =
        |request: &'static str, headers: &str, body: &str| (request.to_owned(), headers.to_owned(), body.to_owned());
    let sdp = "content-type: application/sdp\r\n";
    let two_mics = PUBLISHING.replace("m=application", "m=audio");
    let bad = format!("{PUBLISHING}{BAD_OFFER}\r\n");
    for ((request, headers, body), status) in [
        (request("POST /whip/v1", "", PUBLISHING), 415),
        (request("POST /whip/v1", "content-type: text/plain\r\n", PUBLISHING), 415),
        (request("POST /whip/v1", sdp, "nonsense"), 400),
        (request("POST /whip/v1", sdp, ""), 406),
        (request("POST /whip/v1", &format!("{sdp}accept: text/html\r\n"), PUBLISHING), 406),
        (request("POST /whip/v1", sdp, &two_mics), 406),
        (request("POST /whip/v1", sdp, &watching()), 422),
        (request("POST /whip/v1", sdp, &bad), 422),
        (request("POST /whep/v1", sdp, PUBLISHING), 422),
        (request("POST /whep/v1?room=other", sdp, &watching()), 403),
        (request("POST /whip/v1", sdp, &"x".repeat(200_000)), 413),
        (request("GET /whip/v1", "", ""), 405),
        (request("DELETE /whip/v1", "", ""), 405),
        (request("PUT /whep/v1", "", ""), 405),
    ] {
        assert_eq!(problem(&send(&world, &request, &ben, &headers, &body).await).0, status, "{request} {headers}");
    }
    let get = send(&world, &format!("GET {url}"), &ben, "", "").await;
    assert_eq!((problem(&get).0, get.header("allow")), (405, Some("OPTIONS, PATCH, DELETE")));
    let trickle = "a=candidate:1 1 udp 2 192.0.2.1 9 typ host\r\n";
    let condition = format!("if-match: {tag}\r\n");
    for (condition, body, status) in [("", trickle, 428), (condition.as_str(), "", 400), (&condition, "nonsense", 400)]
    {
        assert_eq!(problem(&patch(&world, &url, "ana", condition, body).await).0, status, "{condition}{body}");
    }
    let long = patch(&world, &url, "ana", &condition, &"a=x\r\n".repeat(10_000)).await;
    assert_eq!(problem(&long).0, 413);
    let head = send(&world, &format!("HEAD {url}"), &ben, "", "").await;
    assert_eq!((head.status, head.body.as_str()), (405, ""));
    let wrong_type =
        send(&world, &format!("PATCH {url}"), &grant("ana", "demo"), &format!("{sdp}{condition}"), trickle).await;
    assert_eq!((problem(&wrong_type).0, wrong_type.header("accept-patch")), (415, Some(FRAGMENT)));
    assert!(world.dropped("over http", "unsupported_media_type") >= 3);
    assert!(world.dropped("over http", "too_large") == 2 && world.dropped("over http", "conflict") == 0);
    let unknown = patch(&world, "/whip/v1/0123456789abcdef0123456789abcdef", "ana", &condition, trickle).await;
    assert_eq!(problem(&unknown).0, 404);
}

#[tokio::test]
async fn a_token_that_may_not_is_refused_and_a_missing_one_is_asked_for() {
    let world = World::start().await;
    let none = world.send(&format!("POST /whip/v1 HTTP/1.1\r\ncontent-type: {SDP}\r\n"), PUBLISHING).await;
    assert_eq!((problem(&none).0, none.header("www-authenticate")), (401, Some("Bearer")));
    let mut mute = grant("ana", "demo");
    mute.video.can_publish = Some(false);
    assert_eq!(problem(&post(&world, "/whip/v1", &mute, PUBLISHING).await).0, 403);
    let mut deaf = grant("ana", "demo");
    deaf.video.can_subscribe = Some(false);
    assert_eq!(problem(&post(&world, "/whep/v1", &deaf, &watching()).await).0, 403);
    assert_eq!(problem(&post(&world, "/whip/v1", &grant(REFUSED, "demo"), PUBLISHING).await).0, 503);
    assert_eq!(world.dropped("join", "unauthorized"), 1);
}

#[tokio::test]
async fn options_name_what_a_post_takes() {
    let world = World::start().await;
    let preflight =
        "OPTIONS /whip/v1 HTTP/1.1\r\norigin: https://app.example\r\naccess-control-request-method: POST\r\n";
    let answer = world.send(preflight, "").await;
    assert_eq!((answer.status, answer.header("accept-post")), (200, Some(SDP)));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("PATCH"));
    let (url, _) = publish(&world).await;
    let answer = world.send(&preflight.replace("/whip/v1", &url).replace("POST", "PATCH"), "").await;
    assert_eq!((answer.status, answer.header("accept-patch")), (200, Some(FRAGMENT)));
}

#[tokio::test]
async fn a_whep_session_takes_what_begins_later_and_has_room() {
    let mut world = World::start().await;
    let answer = post(&world, "/whep/v1?participant=ben", &grant(LATER, "demo"), &watching()).await;
    assert_eq!(answer.status, 201);
    let mut taken = Vec::new();
    while taken.len() < 2 {
        if let Ask::Subscription(subscription) = next_ask(&mut world).await {
            taken.extend(subscription.track_sids);
        }
    }
    assert_eq!(taken, [TRACK, LATER_TRACK]);
}
