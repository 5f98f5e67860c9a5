//! LiveKit's signaling over real loopback sockets, before scripted rooms.

use std::time::Duration;

use base64::Engine;
use futures_util::{SinkExt, StreamExt};
use livekit_protocol as proto;
use livekit_protocol::signal_request::Message as Ask;
use livekit_protocol::signal_response::Message as Say;
use prost::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::frame::FRAME_BYTES_MAX;
use super::join_request::BASE64URL;
use crate::http::tests::{World, grant};
use crate::rooms::scripted::{Heard, REFUSED};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn open(world: &World, path: &str) -> Result<Socket, (u16, String)> {
    match connect_async(format!("ws://{}{path}", world.address)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => {
            let body = answer.body().clone().unwrap_or_default();
            Err((answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
        }
        Err(error) => panic!("{error}"),
    }
}

async fn open_as(world: &World, identity: &str) -> Socket {
    let token = world.token(&grant(identity, "demo"));
    open(world, &format!("/rtc?access_token={token}&sdk=js&protocol=17")).await.unwrap()
}

async fn ask(socket: &mut Socket, ask: Ask) {
    let request = proto::SignalRequest { message: Some(ask) };
    socket.send(Frame::Binary(request.encode_to_vec().into())).await.unwrap();
}

async fn hear(socket: &mut Socket) -> Say {
    match socket.next().await.unwrap().unwrap() {
        Frame::Binary(bytes) => proto::SignalResponse::decode(bytes).unwrap().message.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The code and sentence with which the server closes.
async fn closed(socket: &mut Socket) -> (u16, String) {
    while let Some(frame) = socket.next().await {
        if let Ok(Frame::Close(Some(CloseFrame { code, reason }))) = frame {
            return (code.into(), reason.to_string());
        }
    }
    panic!("no close frame");
}

fn join_request() -> String {
    let offer = proto::SessionDescription { sdp: "v=0\r\n".into(), id: 1, ..Default::default() };
    let request = proto::JoinRequest { publisher_offer: Some(offer), ..Default::default() };
    let wrapped = proto::WrappedJoinRequest { join_request: request.encode_to_vec(), ..Default::default() };
    BASE64URL.encode(wrapped.encode_to_vec())
}

#[tokio::test]
async fn a_v0_client_joins_pings_and_leaves_and_everything_is_sent_before_the_close() {
    let mut world = World::start().await;
    let mut socket = open_as(&world, "ana").await;
    assert!(matches!(hear(&mut socket).await, Say::Join(join) if join.ping_interval == 5));
    let Heard::Join(join) = world.next_heard().await else { panic!("a join") };
    assert_eq!((join.room.to_string().as_str(), join.identity.0.as_str()), ("default/demo", "ana"));
    assert!(!join.single_connection && join.auto_subscribe);
    ask(&mut socket, Ask::Ping(42)).await;
    assert_eq!(hear(&mut socket).await, Say::Pong(42));
    ask(&mut socket, Ask::Leave(Default::default())).await;
    assert!(matches!(hear(&mut socket).await, Say::Leave(_)));
    assert_eq!(closed(&mut socket).await, (1000, "the session is over".into()));
    assert!(matches!(world.next_heard().await, Heard::Signal(_)));
    assert!(matches!(world.next_heard().await, Heard::Signal(_)));
    assert!(matches!(world.next_heard().await, Heard::Closed(session) if session == join.session));
}

#[tokio::test]
async fn a_v1_client_brings_its_offer_along_on_either_path() {
    let mut world = World::start().await;
    let token = world.token(&grant("ana", "demo"));
    for path in ["/rtc/v1", "/rtc", "//rtc/v1"] {
        let request = join_request();
        let _socket = open(&world, &format!("{path}?access_token={token}&join_request={request}")).await.unwrap();
        let join = loop {
            if let Heard::Join(join) = world.next_heard().await {
                break join;
            }
        };
        assert!(join.single_connection && join.offer.is_some(), "{path}");
    }
}

#[tokio::test]
async fn a_token_may_come_as_a_bearer() {
    let world = World::start().await;
    let mut request = format!("ws://{}/rtc", world.address).into_client_request().unwrap();
    let bearer = format!("Bearer {}", world.token(&grant("ana", "demo")));
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    assert!(connect_async(request).await.is_ok());
}

#[tokio::test]
async fn what_is_refused_is_refused_before_the_upgrade_and_validate_says_the_same() {
    let world = World::start().await;
    let token = |change: fn(&mut origo_auth::Claims)| {
        let mut claims = grant("ana", "demo");
        change(&mut claims);
        world.token(&claims)
    };
    for (path, query, status, word) in [
        ("/rtc", String::new(), 401, "no access token"),
        ("/rtc", "access_token=x.y.z".into(), 401, "malformed"),
        ("/rtc", format!("access_token={}", token(|claims| claims.exp = 1)), 401, "expired"),
        ("/rtc", format!("access_token={}", token(|claims| claims.iss = "other".into())), 401, "unknown API key"),
        ("/rtc", format!("access_token={}", token(|claims| claims.video.room_join = false)), 401, "roomJoin"),
        ("/rtc", format!("access_token={}", token(|claims| claims.sub.clear())), 400, "identity"),
        ("/rtc", format!("access_token={}", token(|claims| claims.video.room.clear())), 400, "room"),
        ("/rtc/v1", format!("access_token={}", token(|_| {})), 400, "join_request"),
        ("/rtc/v1", format!("access_token={}&join_request=x", token(|_| {})), 400, "base64url"),
    ] {
        let (code, reason) = open(&world, &format!("{path}?{query}")).await.unwrap_err();
        assert_eq!(code, status, "{path} {reason}");
        assert!(reason.contains(word), "{reason}");
        let validate = format!("GET {path}/validate?{query} HTTP/1.1\r\norigin: https://app.example\r\n");
        let validated = world.send(&validate, "").await;
        assert_eq!((validated.status, &validated.body), (status, &reason));
        assert_eq!(validated.header("access-control-allow-origin"), Some("*"));
    }
    assert!(world.dropped("join", "unauthorized") >= 10 && world.dropped("join", "malformed") >= 4);
}

#[tokio::test]
async fn a_refusal_of_the_rooms_is_an_http_answer() {
    let world = World::start().await;
    let token = world.token(&grant(REFUSED, "demo"));
    let refused = open(&world, &format!("/rtc?access_token={token}")).await.unwrap_err();
    assert_eq!(refused, (503, "the node is full".into()));
    assert_eq!(world.dropped("join", "refused"), 1);
}

#[tokio::test]
async fn a_plain_get_finds_nothing_and_validate_finds_success() {
    let world = World::start().await;
    let token = world.token(&grant("ana", "demo"));
    assert_eq!(world.get_owned(format!("/rtc?access_token={token}")).await.status, 404);
    let request = join_request();
    for path in ["/rtc/validate", "/rtc/v1/validate", "//rtc/validate"] {
        let answer = world.get_owned(format!("{path}?access_token={token}&join_request={request}")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "success"), "{path}");
    }
}

#[tokio::test]
async fn a_client_that_writes_json_reads_json() {
    let world = World::start().await;
    let mut socket = open_as(&world, "ana").await;
    hear(&mut socket).await;
    socket.send(Frame::text(r#"{"ping":"42"}"#)).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Frame::text(r#"{"pong":"42"}"#));
}

#[tokio::test]
async fn an_unknown_request_is_counted_and_the_session_goes_on() {
    let world = World::start().await;
    let mut socket = open_as(&world, "ana").await;
    hear(&mut socket).await;
    socket.send(Frame::Binary(vec![0xba, 0x3e, 0].into())).await.unwrap();
    ask(&mut socket, Ask::Ping(1)).await;
    assert_eq!(hear(&mut socket).await, Say::Pong(1));
    assert_eq!(world.dropped("frame", "unknown"), 1);
}

#[tokio::test]
async fn malformed_and_oversized_frames_close_the_socket_with_a_reason() {
    let world = World::start().await;
    let oversized = Frame::Binary(vec![0; FRAME_BYTES_MAX + 1].into());
    for (frame, code, reason) in [
        (Frame::Binary(vec![0xff; 9].into()), 1007, "malformed"),
        (Frame::text("{"), 1007, "malformed"),
        (oversized, 1009, "oversized"),
    ] {
        let mut socket = open_as(&world, "ana").await;
        hear(&mut socket).await;
        let before = world.dropped("frame", reason);
        socket.send(frame).await.unwrap();
        assert_eq!(closed(&mut socket).await.0, code);
        assert_eq!(world.dropped("frame", reason), before + 1);
    }
}

#[tokio::test]
async fn a_client_that_asks_too_fast_is_read_more_slowly_and_loses_nothing() {
    let world = World::start().await;
    let mut socket = open_as(&world, "ana").await;
    hear(&mut socket).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let (mut asking, mut hearing) = socket.split();
    let asked = tokio::spawn(async move {
        for number in 0..700 {
            let request = proto::SignalRequest { message: Some(Ask::Ping(number)) };
            asking.send(Frame::Binary(request.encode_to_vec().into())).await.unwrap();
        }
        asking
    });
    let mut pongs = 0;
    while pongs < 700 {
        // The server's pings may come between.
        if let Frame::Binary(bytes) = hearing.next().await.unwrap().unwrap() {
            assert_eq!(proto::SignalResponse::decode(bytes).unwrap().message, Some(Say::Pong(pongs)));
            pongs += 1;
        }
    }
    drop(asked.await.unwrap());
    let seconds = begun.elapsed().as_secs_f64();
    assert!((1.9..20.0).contains(&seconds), "200 above the burst of 500, at 100 a second: {seconds}");
}

#[tokio::test]
async fn a_socket_that_says_nothing_is_closed_even_if_it_answers_pings() {
    let mut world = World::start().await;
    let mut socket = open_as(&world, "ana").await;
    hear(&mut socket).await;
    // From here on the clock jumps to the next timer whenever nothing else happens.
    tokio::time::pause();
    let opened = tokio::time::Instant::now();
    assert_eq!(closed(&mut socket).await, (1008, "nothing heard from you in time".into()));
    assert_eq!(opened.elapsed().as_secs(), 20);
    assert_eq!(world.dropped("socket", "silent"), 1);
    assert!(matches!(world.next_heard().await, Heard::Join(_)));
    assert!(matches!(world.next_heard().await, Heard::Closed(_)));
}

#[tokio::test]
async fn who_says_nothing_for_a_while_is_pinged_and_who_was_just_heard_is_not() {
    let world = World::start().await;
    let (mut quiet, mut talking) = (open_as(&world, "ana").await, open_as(&world, "ben").await);
    hear(&mut quiet).await;
    hear(&mut talking).await;
    for _ in 0..6 {
        ask(&mut talking, Ask::Ping(1)).await;
        assert_eq!(hear(&mut talking).await, Say::Pong(1), "and no ping of ours");
        // The clock runs ahead only while nothing is under way.
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(2)).await;
        tokio::time::resume();
    }
    assert!(matches!(quiet.next().await, Some(Ok(Frame::Ping(_)))));
}

#[tokio::test]
async fn pings_are_answered_at_once_in_order_and_the_rooms_hear_nothing_of_them() {
    let mut world = World::start().await;
    let mut socket = open_as(&world, "ana").await;
    hear(&mut socket).await;
    for timestamp in 0..20 {
        let request = proto::SignalRequest { message: Some(Ask::PingReq(proto::Ping { timestamp, rtt: 0 })) };
        socket.feed(Frame::Binary(request.encode_to_vec().into())).await.unwrap();
    }
    socket.flush().await.unwrap();
    for timestamp in 0..20 {
        let pong = proto::Pong { last_ping_timestamp: timestamp, timestamp };
        assert_eq!(hear(&mut socket).await, Say::PongResp(pong));
    }
    ask(&mut socket, Ask::Ping(1)).await;
    assert_eq!(hear(&mut socket).await, Say::Pong(1));
    assert!(matches!(world.next_heard().await, Heard::Join(_)));
    assert!(matches!(world.next_heard().await, Heard::Signal(request) if request.message == Some(Ask::Ping(1))));
}
