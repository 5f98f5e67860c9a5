//! The server API of a real node over plain HTTP: what a key of another project sees, and what bad calls get.

use origo_auth::{Claims, Secret, VideoGrant, mint};
use origo_client::{Event, Fleet, Options, Participant};
use origo_tests::http::{self, Response};
use origo_tests::node::Node;
use origo_tests::process::origo;
use origo_tests::token;
use serde_json::{Value, json};

const KEYS: [(&str, &str); 2] =
    [("one", "the secret of the first project"), ("two", "the secret of the second project")];

/// A node with two projects.
fn node() -> Node {
    let file = tempfile::NamedTempFile::new().unwrap();
    let table = |(id, secret): (&str, &str)| format!("[keys.{id}]\nsecret = \"{secret}\"\nproject = \"{id}\"\n");
    std::fs::write(file.path(), KEYS.map(table).concat()).unwrap();
    let path = file.path().to_str().unwrap();
    // The node has read it once it is ready, and keeps its keys when the file is gone.
    Node::start(&origo().unwrap(), &["--config", path]).unwrap()
}

fn admin(key: usize, room: &str) -> String {
    let video = VideoGrant {
        room_create: true,
        room_list: true,
        room_admin: true,
        room: room.to_owned(),
        ..VideoGrant::default()
    };
    let claims = Claims { video, sub: "server".to_owned(), ..token::claims(KEYS[key].0, room, "server") };
    mint(&claims, &Secret::new(KEYS[key].1))
}

fn call(node: &Node, token: &str, method: &str, content_type: &str, body: &[u8]) -> Response {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", content_type)];
    http::send(&node.authority(), &format!("POST /twirp/{method}"), &headers, body).unwrap()
}

/// A call in JSON of one project's key: status, and code or answer.
fn ask(node: &Node, key: usize, method: &str, body: &Value) -> (u16, Value) {
    let method = format!("livekit.RoomService/{method}");
    let response = call(node, &admin(key, "lobby"), &method, "application/json", body.to_string().as_bytes());
    (response.status, serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("{response:?}")))
}

async fn join(fleet: &Fleet, node: &Node, key: usize, identity: &str) -> Participant {
    let token = token::join(KEYS[key].0, KEYS[key].1, "lobby", identity);
    fleet.connect(&node.url(), &token, Options::v1()).await.unwrap()
}

fn identities(answer: &Value) -> Vec<&str> {
    answer["participants"].as_array().into_iter().flatten().filter_map(|one| one["identity"].as_str()).collect()
}

#[tokio::test]
async fn a_key_of_another_project_sees_and_touches_nothing_of_a_room_of_the_same_name() {
    let (node, fleet) = (node(), Fleet::start().unwrap());
    let mut ann = join(&fleet, &node, 0, "ann").await;
    let _ben = join(&fleet, &node, 1, "ben").await;
    let room = json!({"room": "lobby"});
    assert_eq!(identities(&ask(&node, 0, "ListParticipants", &room).1), ["ann"]);
    assert_eq!(identities(&ask(&node, 1, "ListParticipants", &room).1), ["ben"]);
    let sid = |key| ask(&node, key, "ListRooms", &json!({})).1["rooms"][0]["sid"].as_str().map(str::to_owned);
    assert_ne!(sid(0).expect("a room"), sid(1).expect("a room"), "two rooms of one name");

    let foreign = json!({"room": "lobby", "identity": "ann"});
    for method in ["GetParticipant", "RemoveParticipant", "UpdateParticipant"] {
        let (status, answer) = ask(&node, 1, method, &foreign);
        assert_eq!((status, answer["code"].as_str()), (404, Some("not_found")), "{method}");
    }
    assert_eq!(ask(&node, 1, "UpdateRoomMetadata", &json!({"room": "lobby", "metadata": "theirs"})).0, 200);
    assert_eq!(ask(&node, 1, "SendData", &json!({"room": "lobby", "data": "aGk=", "kind": "RELIABLE"})).0, 200);
    assert_eq!(ask(&node, 1, "DeleteRoom", &room).0, 200);
    assert!(ask(&node, 1, "ListRooms", &json!({})).1["rooms"].as_array().is_none_or(Vec::is_empty));

    let (status, own) = ask(&node, 0, "GetParticipant", &foreign);
    assert_eq!((status, own["identity"].as_str()), (200, Some("ann")));
    assert_ne!(ask(&node, 0, "ListRooms", &json!({})).1["rooms"][0]["metadata"], "theirs");
    let touched =
        |event: &Event| matches!(event, Event::Data { .. } | Event::Leave(_) | Event::Closed { .. }).then_some(());
    assert!(ann.wait_for(std::time::Duration::from_millis(300), touched).await.is_none(), "ann was touched");
}

/// Token, method, content type and body, then status and code of the answer.
type Case<'a> = (&'a str, &'a str, &'a str, &'a [u8], u16, &'a str);

#[test]
fn a_bad_call_gets_twirps_answer() {
    let node = node();
    let (good, service) = (admin(0, "lobby"), "livekit.RoomService");
    let claims = token::claims(KEYS[0].0, "lobby", "server");
    let expired = mint(&Claims { exp: token::now_unix() - 3_600, ..claims.clone() }, &Secret::new(KEYS[0].1));
    let forged = mint(&claims, &Secret::new(KEYS[1].1));
    let long = format!("{{\"room\":\"lobby\",\"metadata\":\"{}\"}}", "x".repeat(300_000));
    let deep = "[".repeat(100_000);
    let json = "application/json";
    let cases: [Case<'_>; 12] = [
        (&expired, "ListRooms", json, b"{}", 401, "unauthenticated"),
        (&forged, "ListRooms", json, b"{}", 401, "unauthenticated"),
        ("not.a.token", "ListRooms", json, b"{}", 401, "unauthenticated"),
        (&good, "ListRooms", "text/plain", b"{}", 404, "bad_route"),
        (&good, "NoSuchMethod", json, b"{}", 501, "unimplemented"),
        (&good, "ListRooms", json, b"{", 400, "malformed"),
        (&good, "ListRooms", json, b"\xff\xfe", 400, "malformed"),
        (&good, "ListRooms", json, deep.as_bytes(), 400, "malformed"),
        (&good, "ListRooms", json, b"{\"names\":7}", 400, "malformed"),
        (&good, "ListRooms", "application/protobuf", &[0x0a, 0xff], 400, "malformed"),
        (&good, "UpdateRoomMetadata", json, long.as_bytes(), 429, "resource_exhausted"),
        (&good, "ListParticipants", json, b"{\"room\":\"other\"}", 403, "permission_denied"),
    ];
    for (token, method, content_type, body, status, code) in cases {
        let response = call(&node, token, &format!("{service}/{method}"), content_type, body);
        let answer: Value = serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("{response:?}"));
        assert_eq!((response.status, answer["code"].as_str()), (status, Some(code)), "{method} {answer}");
        assert!(answer["msg"].as_str().is_some_and(|sentence| sentence.len() > 5), "{answer}");
        assert_eq!(response.header("content-type"), Some("application/json"));
    }
    let empty = call(&node, &good, &format!("{service}/ListRooms"), "application/protobuf", b"");
    assert_eq!((empty.status, empty.header("content-type")), (200, Some("application/protobuf")));
}
