//! What the door of the server API lets through.

use origo_auth::{Claims, VideoGrant};
use serde_json::json;

use crate::http::tests::{World, grant};

fn claims(video: VideoGrant) -> Claims {
    Claims { video, ..grant("server", "") }
}

async fn call(world: &World, claims: &Claims, method: &str, body: &str) -> (u16, serde_json::Value) {
    let token = world.token(claims);
    let head =
        format!("POST /twirp/{method} HTTP/1.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n");
    let answer = world.send(&head, body).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn each_method_asks_for_its_grant() {
    let world = World::start().await;
    let list = VideoGrant { room_list: true, ..VideoGrant::default() };
    let admin = VideoGrant { room_admin: true, room: "lobby".into(), ..VideoGrant::default() };
    let answer = call(&world, &claims(list.clone()), "livekit.RoomService/ListRooms", "{}").await;
    assert_eq!(answer, (200, json!({})));
    let remove = "livekit.RoomService/RemoveParticipant";
    for (video, body, status, code) in [
        (&list, r#"{"room":"lobby","identity":"ana"}"#, 403, "permission_denied"),
        (&admin, r#"{"room":"other","identity":"ana"}"#, 403, "permission_denied"),
        (&admin, r#"{"room":"lobby","identity":"ana"}"#, 404, "not_found"),
        (&admin, r#"{"room":"#, 400, "malformed"),
        (&admin, r#"{"room":"lobby","identity":7}"#, 400, "malformed"),
    ] {
        let answer = call(&world, &claims(video.clone()), remove, body).await;
        assert_eq!((answer.0, answer.1["code"].as_str()), (status, Some(code)), "{body}");
    }
    assert_eq!(world.dropped("api call", "permission_denied"), 2);
}

#[tokio::test]
async fn who_has_no_token_of_ours_is_refused_before_anything_is_read() {
    let world = World::start().await;
    let head = "POST /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\ncontent-type: application/json\r\n";
    let answer = world.send(head, "{}").await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthenticated")));
    let stranger = Claims { iss: "somebody".into(), ..claims(VideoGrant { room_list: true, ..VideoGrant::default() }) };
    assert_eq!(call(&world, &stranger, "livekit.RoomService/ListRooms", "{}").await.0, 401);
}

#[tokio::test]
async fn what_twirp_has_no_route_for_says_so_in_twirps_words() {
    let world = World::start().await;
    let token = world.token(&claims(VideoGrant { room_list: true, ..VideoGrant::default() }));
    let json = "content-type: application/json\r\n";
    let service = "/twirp/livekit.RoomService";
    for (request, headers, body) in [
        (format!("GET {service}/ListRooms"), json, ""),
        (format!("PUT {service}/ListRooms"), json, "{}"),
        (format!("POST {service}"), json, "{}"),
        (format!("POST {service}/ListRooms/more"), json, "{}"),
        (format!("POST {service}/ListRooms"), "", "{}"),
        (format!("POST {service}/ListRooms"), "content-type: text/plain\r\n", "{}"),
    ] {
        let head = format!("{request} HTTP/1.1\r\nauthorization: Bearer {token}\r\n{headers}");
        let answer = world.send(&head, body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("bad_route")), "{request} {headers}");
        assert!(answer.json()["msg"].as_str().is_some_and(|msg| msg.len() > 10));
    }
    assert_eq!(world.dropped("api call", "bad_route"), 6);
}

#[tokio::test]
async fn what_is_not_served_says_so_and_a_long_body_is_cut_off() {
    let world = World::start().await;
    let admin = claims(VideoGrant { room_admin: true, room: "lobby".into(), ..VideoGrant::default() });
    for method in ["livekit.Egress/ListEgress", "livekit.RoomService/MoveParticipant", "a/b"] {
        let answer = call(&world, &admin, method, "{}").await;
        assert_eq!((answer.0, answer.1["code"].as_str()), (501, Some("unimplemented")), "{method}");
    }
    let long = format!(r#"{{"room":"lobby","metadata":"{}"}}"#, "x".repeat(300_000));
    let answer = call(&world, &admin, "livekit.RoomService/UpdateRoomMetadata", &long).await;
    assert_eq!((answer.0, answer.1["code"].as_str()), (429, Some("resource_exhausted")));
}
