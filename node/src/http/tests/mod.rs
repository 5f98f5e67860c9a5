//! The HTTP surface over real loopback sockets, before scripted rooms.

mod world;

use origo_auth::{Claims, VideoGrant};
use origo_cascade_core::Level;
use origo_node_core::overload::{Resource, Step, Usage};
use serde_json::json;
pub(crate) use world::{Answer, World, grant};

use crate::overload::State;
use crate::rooms::scripted;

#[tokio::test]
async fn the_page_is_there_for_get_and_head_and_any_origin_may_ask() {
    let world = World::start().await;
    let page = world.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let head = world.send("HEAD / HTTP/1.1\r\norigin: https://app.example\r\n", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_preflight_allows_the_headers_it_asks_for() {
    let world = World::start().await;
    let preflight = "OPTIONS /v1/path HTTP/1.1\r\norigin: https://app.example\r\n\
        access-control-request-method: GET\r\naccess-control-request-headers: authorization\r\n";
    let answer = world.send(preflight, "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization"));
    for method in ["OPTIONS", "HEAD", "GET", "POST", "PATCH", "DELETE"] {
        assert!(answer.header("access-control-allow-methods").unwrap().contains(method), "{method}");
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_page() {
    let world = World::start().await;
    for path in ["/../Cargo.toml", "/..%2fCargo.toml", "/assets/../../Cargo.toml", "//etc/passwd", "/nothing"] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["code"], "not_found");
    }
}

#[tokio::test]
async fn health_says_what_the_node_carries_and_whether_it_takes_sessions() {
    let world = World::start().await;
    let healthy = world.get("/health").await;
    assert_eq!(healthy.status, 200);
    let health = healthy.json();
    assert_eq!((&health["status"], &health["region"], &health["nodes"]), (&json!("ok"), &json!("tokyo"), &json!(2)));
    assert_eq!(health["id"], "ND_01010101010101010101010101010101");
    world.nodes.lock().unwrap()[0].draining = true;
    let draining = world.get("/health").await;
    assert_eq!((draining.status, &draining.json()["status"]), (503, &json!("draining")));
    world.nodes.lock().unwrap().clear();
    assert_eq!(world.get("/health").await.json()["status"], "starting");
}

#[tokio::test]
async fn a_full_node_says_so_and_why_and_routes_leave_full_nodes_out_while_others_have_room() {
    let world = World::start().await;
    let mut usage = Usage::default();
    usage.set(Resource::Cpu, Some(0.912_34));
    world.shown.set(State { step: Step::FULL, why: "cpu 91 %".into(), usage });
    let full = world.get("/health").await;
    assert_eq!((full.status, &full.json()["status"]), (503, &json!("full")));
    assert_eq!(full.json()["overload"], json!({"level": "full", "why": "cpu 91 %", "usage": {"cpu": 0.912}}));
    let validate = |more: &str| {
        let token = world.token(&grant("ana", "demo"));
        world.get_owned(format!("/rtc/validate?access_token={token}{more}"))
    };
    let newcomer = validate("").await;
    assert_eq!((newcomer.status, newcomer.header("retry-after")), (503, Some("10")));
    assert_eq!(validate("&reconnect=1&sid=PA_abcdefghijkm").await.status, 200, "who is here comes back");
    let fill = |nodes: usize| {
        let mut known = world.nodes.lock().unwrap();
        known.iter_mut().take(nodes).for_each(|node| node.overload.level = Level::Full);
    };
    let regions = async || {
        let routes = world.get("/v1/route?room=demo").await.json();
        let nodes = routes["nodes"].as_array().unwrap().iter();
        nodes.map(|node| format!("{} {}", node["region"], node["level"]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!(regions().await, ["tokyo calm", "frankfurt calm"]);
    fill(1);
    assert_eq!(regions().await, ["frankfurt calm"]);
    fill(2);
    assert_eq!(regions().await, ["tokyo full", "frankfurt full"], "better than none");
}

#[tokio::test]
async fn a_private_caller_is_sent_to_the_answering_node_first_with_a_sentence_why() {
    let world = World::start().await;
    let routes = world.get("/v1/route?room=demo").await.json();
    assert_eq!(routes["client"], json!({"country": null, "lat": null, "lon": null, "source": "none"}));
    let first = &routes["nodes"][0];
    assert_eq!((&first["region"], &first["url"]), (&json!("tokyo"), &json!("ws://tokyo.example")));
    assert!(first["why"].as_str().unwrap().len() > 10 && first["distance_km"].is_null(), "{first}");
    assert_eq!(routes["nodes"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_caller_behind_a_trusted_proxy_is_sent_to_the_nearest_node() {
    let world = World::behind_proxy().await;
    let request = "GET /v1/route?room=demo HTTP/1.1\r\nx-forwarded-for: 193.0.6.139\r\n"; // Amsterdam
    let routes = world.send(request, "").await.json();
    assert_eq!((&routes["client"]["country"], &routes["client"]["source"]), (&json!("NL"), &json!("embedded")));
    assert_eq!(routes["nodes"][0]["region"], "frankfurt");
    let km = routes["nodes"][0]["distance_km"].as_f64().unwrap();
    assert!((200.0..600.0).contains(&km), "{km}");
    let stranger = World::start().await.send(request, "").await.json();
    assert_eq!(stranger["client"]["source"], "none", "a proxy that nobody trusts says nothing");
}

#[tokio::test]
async fn who_asks_for_routes_too_often_is_told_when_to_come_back() {
    let world = World::start().await;
    let mut refused = None;
    for _ in 0..200 {
        let answer = world.get("/v1/route?room=demo").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a burst ends");
    assert_eq!((refused.header("retry-after"), &refused.json()["code"]), (Some("1"), &json!("too_often")));
    assert!(world.dropped("request", "rate limit") >= 1);
}

#[tokio::test]
async fn a_path_is_told_to_who_holds_a_token_of_the_room() {
    let world = World::start().await;
    let token = world.token(&grant("ana", "demo"));
    let get = |query: String| world.get_owned(format!("/v1/path?{query}"));
    let track = scripted::TRACK;
    let path = get(format!("room=demo&track={track}&access_token={token}")).await.json();
    let id = |byte: &str| format!("ND_{}", byte.repeat(16));
    let hop = |byte: &str, region: &str, country: &str| json!({"node": id(byte), "region": region, "country": country});
    assert_eq!(path["hops"], json!([hop("02", "frankfurt", "DE"), hop("01", "tokyo", "JP")]));
    let link = json!({
        "from": id("02"), "to": id("01"), "from_region": "frankfurt", "to_region": "tokyo", "rtt_ms": 230.0,
        "delay_ms": 115.0, "jitter_ms": 1.5, "queue_ms": 0.0, "loss_percent": 2.0, "lost_percent": 0.0,
    });
    assert_eq!((&path["links"], &path["delay_ms"]), (&json!([link]), &json!(115.0)));
    assert_eq!(path["hurts"], json!({"hop": 0, "why": "the link Frankfurt - Tokyo lost 2 %, repaired"}));
    assert_eq!(path["countries"], json!(["JP"]));
    let bearer = format!("GET /v1/path?room=demo&track={track} HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
    assert_eq!(world.send(&bearer, "").await.status, 200);
    for (query, status, code) in [
        (format!("room=demo&track={track}"), 401, "unauthorized"),
        (format!("room=demo&track={track}&access_token=x.y.z"), 401, "unauthorized"),
        (format!("room=other&track={track}&access_token={token}"), 403, "forbidden"),
        (format!("room=demo&track=TR_abcdefghijkn&access_token={token}"), 404, "not_found"),
        (format!("room=demo&track=nonsense&access_token={token}"), 404, "not_found"),
        (format!("room=demo&access_token={token}"), 400, "bad_request"),
    ] {
        let answer = get(query.clone()).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{query}");
        assert!(answer.json()["message"].as_str().unwrap().len() > 10);
    }
}

#[tokio::test]
async fn a_demo_node_gives_its_own_machine_a_token_that_opens_the_room() {
    let world = World::start().await;
    let post = "POST /v1/demo/token HTTP/1.1\r\ncontent-type: application/json\r\n";
    let answer = world.send(post, r#"{"room":"demo","identity":"ana","name":"Ana"}"#).await;
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let validated = world.get_owned(format!("/rtc/validate?access_token={token}")).await;
    assert_eq!((validated.status, validated.body.as_str()), (200, "success"));
    for body in ["", "{", "{}", r#"{"room":"","identity":"ana"}"#, r#"{"room":7,"identity":"ana"}"#] {
        let answer = world.send(post, body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_request")), "{body}");
    }
    let far = format!("{post}x-forwarded-for: 203.0.113.7\r\n");
    assert_eq!(world.send(&far, "{}").await.status, 404);
}

#[tokio::test]
async fn a_node_outside_the_demo_gives_nobody_a_token() {
    let world = World::behind_proxy().await;
    let post = "POST /v1/demo/token HTTP/1.1\r\ncontent-type: application/json\r\n";
    let answer = world.send(post, r#"{"room":"demo","identity":"ana"}"#).await;
    assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn garbage_and_endless_heads_get_a_refusal_and_the_node_lives_on() {
    let world = World::start().await;
    let long = format!("GET /rtc?access_token={} HTTP/1.1\r\n", "x".repeat(60_000));
    assert_eq!(world.send(&long, "").await.status, 404, "a long request line is read");
    let endless = format!("GET /?{} HTTP/1.1\r\n", "x".repeat(200_000));
    assert!(matches!(world.send(&endless, "").await.status, 0 | 414 | 431), "an endless one is not");
    assert_eq!(world.send("\u{1}\u{2}\u{3} nonsense\r\n", "").await.status, 400);
    assert_eq!(world.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    use tokio::io::AsyncReadExt;
    let world = World::start().await;
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    assert_eq!(world.get("/health").await.status, 200, "the silent one was accepted before");
    // From here on the clock jumps to the next timer whenever nothing else happens.
    tokio::time::pause();
    let opened = tokio::time::Instant::now();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    assert!(opened.elapsed().as_secs() <= 15, "{:?}", opened.elapsed());
    assert_eq!(world.dropped("connection", "silent"), 1);
}

#[tokio::test]
async fn a_node_that_ends_accepts_no_connection_and_lets_go_of_idle_ones() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut world = World::start().await;
    let mut idle = tokio::net::TcpStream::connect(world.address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: node\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 4096]).await.unwrap() > 0);
    world.stop().await;
    assert_eq!(idle.read(&mut [0; 4096]).await.unwrap_or(0), 0, "closed");
    assert!(tokio::net::TcpStream::connect(world.address).await.is_err());
}

/// What becomes of a connection that says this: what it is counted as, and that it is closed.
async fn ice_over_tcp(world: &World, said: &[u8], reason: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    stream.write_all(said).await.unwrap();
    assert_eq!(stream.read(&mut [0; 64]).await.unwrap_or(0), 0, "closed without a word");
    assert_eq!(world.dropped("ice tcp", reason), 1, "{reason}");
}

#[tokio::test]
async fn the_door_tells_ice_from_http_and_closes_what_no_worker_knows() {
    let config = crate::worker::Config {
        index: 0,
        count: 1,
        bind: ([127, 0, 0, 1], 0).into(),
        advertise: vec![[127, 0, 0, 1].into()],
        tcp: vec![],
        bwe: true,
        egress: Default::default(),
        loudest: 0,
        sections: Default::default(),
    };
    let workers = [crate::worker::start(config, tokio::sync::mpsc::unbounded_channel().0).unwrap()];
    let world = World::before(&workers).await;
    assert_eq!(world.get("/health").await.status, 200);
    let check = b"\0\x22\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl\0\x06\0\x0aours:their\0\0";
    ice_over_tcp(&world, check, "unknown ufrag").await;
    ice_over_tcp(&world, b"\0\x05hello", "malformed").await;
    tokio::time::pause();
    ice_over_tcp(&world, b"\0\x30\0\x01", "silent").await;
    workers.into_iter().for_each(crate::worker::WorkerHandle::stop);
}

#[tokio::test]
async fn the_paths_of_a_room_are_told_to_who_may_administer_it() {
    let world = World::start().await;
    let admin = |room: &str| {
        let video = VideoGrant { room_admin: true, room: room.into(), ..VideoGrant::default() };
        world.token(&Claims { video, ..grant("server", room) })
    };
    let get = async |room: &str, token: Option<&str>| {
        let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        world.send(&format!("GET /v1/rooms/{room}/paths HTTP/1.1\r\n{bearer}"), "").await
    };
    let answer = get("demo", Some(&admin("demo"))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let paths = answer.json();
    assert_eq!((&paths["room"], &paths["countries"]), (&json!("demo"), &json!(["JP"])));
    let ana = &paths["subscribers"][0];
    assert_eq!((&ana["identity"], &ana["region"]), (&json!("ana"), &json!("tokyo")));
    let [near, far] = [0, 1].map(|index| &ana["origins"][index]);
    assert_eq!((&near["region"], &near["hops"], &near["hurts"]), (&json!("tokyo"), &json!([]), &json!(null)));
    assert_eq!((&far["region"], &far["delay_ms"]), (&json!("frankfurt"), &json!(115.0)));
    assert_eq!(far["hops"][0]["loss_percent"], 2.0);
    assert_eq!(far["hurts"], json!({"hop": 0, "why": "the link Frankfurt - Tokyo lost 2 %, repaired"}));

    let joins = world.token(&grant("ana", "demo"));
    for (room, token, status, code) in [
        ("demo", None, 401, "unauthorized"),
        ("demo", Some("x.y.z"), 401, "unauthorized"),
        ("demo", Some(joins.as_str()), 403, "forbidden"),
        ("other", Some(&admin("demo")), 403, "forbidden"),
        (scripted::EMPTY_ROOM, Some(&admin(scripted::EMPTY_ROOM)), 404, "not_found"),
    ] {
        let answer = get(room, token).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{room} {token:?}");
        assert!(answer.json()["message"].as_str().unwrap().len() > 10);
    }
}

#[tokio::test]
async fn a_room_that_stays_in_some_countries_is_routed_to_nodes_there_alone() {
    let world = World::in_japan("clinic-*").await;
    let routes = world.get("/v1/route?room=clinic-7").await.json();
    assert_eq!(routes["countries"], json!(["JP"]));
    assert_eq!(routes["nodes"].as_array().unwrap().len(), 1);
    let why = routes["nodes"][0]["why"].as_str().unwrap();
    assert!(routes["nodes"][0]["region"] == "tokyo" && why.ends_with(", in JP, where this room may be"), "{why}");
    let routes = world.get("/v1/route?room=lobby").await.json();
    assert!(routes.get("countries").is_none() && routes["nodes"].as_array().unwrap().len() == 2);
    world.nodes.lock().unwrap().remove(0);
    assert_eq!(world.get("/v1/route?room=clinic-7").await.json()["nodes"], json!([]));
}
