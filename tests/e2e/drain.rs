//! Taking nodes out of a real mesh: who is moved where, what newcomers and the operator are told, and how nodes end.

use std::process::Command;
use std::time::{Duration, Instant};

use origo_client::proto::leave_request::Action;
use origo_client::proto::{self, DisconnectReason, participant_info};
use origo_client::{Event, Fleet, Options, Participant};
use origo_tests::http;
use origo_tests::node::Node;
use origo_tests::process::{origo, until};
use serde_json::Value;

/// Longest wait for anything that has no time of its own in the test.
const WAIT: Duration = Duration::from_secs(10);

/// Three nodes that see each other; the second is the nearest to the first.
fn mesh(flags: &[&str]) -> Vec<Node> {
    let origo = origo().unwrap();
    let mut nodes: Vec<Node> = Vec::new();
    for region in ["frankfurt", "london", "tokyo"] {
        let seeds = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port + 1)).collect::<Vec<_>>().join(",");
        let own = ["--region", region, "--workers", "1", "--seeds", &seeds];
        nodes.push(Node::start(&origo, &[&own, flags].concat()).unwrap());
    }
    let sees_all = |node: &Node| health(node)["nodes"] == 3;
    until(WAIT, || nodes.iter().all(sees_all).then_some(())).expect("the nodes see each other");
    nodes
}

fn health(node: &Node) -> Value {
    let answer = http::get(&node.authority(), "/health", &[]);
    answer.ok().and_then(|answer| serde_json::from_str(&answer.body).ok()).unwrap_or_default()
}

/// `origo node drain` or `undrain`: whether it succeeded, and what it said.
fn tell(node: &Node, order: &str) -> (bool, String) {
    let line = format!("node {order} --metrics {}", node.metrics());
    let output = Command::new(origo().unwrap()).args(line.split(' ')).env_remove("ORIGO_BIN").output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&words).into_owned())
}

async fn join(fleet: &Fleet, node: &Node, identity: &str) -> Participant {
    let joined = fleet.connect(&node.url(), &node.token("lobby", identity), Options::v1()).await;
    joined.unwrap_or_else(|error| panic!("{identity} cannot join: {error}"))
}

async fn told_to_leave(participant: &mut Participant) -> proto::LeaveRequest {
    let told = participant.wait_for(WAIT, |event| match event {
        Event::Leave(leave) => Some(leave.as_ref().clone()),
        _ => None,
    });
    told.await.expect("it is told to go on elsewhere")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_sends_people_to_the_nearest_other_node_and_newcomers_away_and_ends_with_0() {
    let (fleet, mut nodes) = (Fleet::start().unwrap(), mesh(&[]));
    let mut watcher = join(&fleet, &nodes[2], "watcher").await;
    let mut moved = join(&fleet, &nodes[0], "moved").await;
    let sid = moved.sid().to_owned();

    let (done, words) = tell(&nodes[0], "drain --deadline 60s");
    assert!(done && words.contains("drains and ends in 60 s at the latest; 1 person, 1 room"), "{words}");
    let leave = told_to_leave(&mut moved).await;
    assert_eq!((leave.action(), leave.reason()), (Action::Reconnect, DisconnectReason::Migration));
    let regions = leave.regions.unwrap().regions;
    let named: Vec<_> = regions.iter().map(|region| (region.region.as_str(), region.url.as_str())).collect();
    assert_eq!(named, [("london", &*nodes[1].url()), ("tokyo", &*nodes[2].url())]);

    let state = health(&nodes[0]);
    assert_eq!((state["status"].as_str(), state["participants"].as_u64()), (Some("draining"), Some(1)));
    let route = |node: &Node| {
        let answer = http::get(&node.authority(), "/v1/route", &[]).unwrap();
        let routes: Value = serde_json::from_str(&answer.body).unwrap();
        routes["nodes"].as_array().unwrap().iter().map(|node| node["region"].as_str().unwrap().to_owned()).collect()
    };
    let without: Vec<String> =
        until(WAIT, || Some(route(&nodes[2])).filter(|nodes: &Vec<_>| nodes.len() == 2)).unwrap();
    assert!(!without.contains(&"frankfurt".to_owned()), "{without:?}");
    let newcomer = fleet.connect(&nodes[0].url(), &nodes[0].token("lobby", "newcomer"), Options::v1()).await;
    let refusal = newcomer.err().expect("nobody new is let in").to_string();
    assert!(refusal.contains("503"), "{refusal}");

    // Who knows the one address alone comes back to it, and is led on.
    let led = join(&fleet, &nodes[0], "moved").await;
    let server = led.joined().server_info.clone().unwrap();
    assert_eq!(server.region, "london", "the session is there");
    assert_eq!(led.sid(), sid, "others need not know");
    let status = nodes[0].process.wait(WAIT).expect("the node ends when everybody has moved");
    assert!(status.success(), "{status}");
    let log = nodes[0].process.stderr();
    assert!(log.contains("this is left") && log.contains("people=0"), "{log}");
    let gone = participant_info::State::Disconnected;
    let left = watcher.wait_for(Duration::from_millis(500), |event| match event {
        Event::Participants(infos) => infos.iter().find(|info| info.state() == gone).map(|info| info.identity.clone()),
        _ => None,
    });
    assert_eq!(left.await, None, "nobody was seen to leave");
}

/// An offer as an encoder makes it that sends a picture.
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=setup:actpass\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=msid:stream camera\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=rtpmap:96 VP8/90000\r\n";

#[test]
fn encoders_over_http_stay_until_the_deadline_and_new_ones_are_sent_to_the_nearest_other_node() {
    let mut nodes = mesh(&[]);
    let post = |node: &Node, identity: &str| {
        let bearer = format!("Bearer {}", node.token("lobby", identity));
        let headers = [("Content-Type", "application/sdp"), ("Authorization", bearer.as_str())];
        http::send(&node.authority(), "POST /whip/v1?x=1", &headers, OFFER.as_bytes()).unwrap()
    };
    let begun = post(&nodes[0], "encoder");
    assert_eq!(begun.status, 201, "{begun:?}");
    let asked = Instant::now();
    let (done, words) = tell(&nodes[0], "drain --deadline 3s");
    assert!(done && words.contains("1 person (1 by WHIP or WHEP), 1 room"), "{words}");
    let sent = post(&nodes[0], "another");
    let there = format!("http://{}/whip/v1?x=1", nodes[1].authority());
    assert_eq!((sent.status, sent.header("location")), (307, Some(there.as_str())), "{sent:?}");
    assert_eq!(post(&nodes[1], "another").status, 201, "which takes it");
    let status = nodes[0].process.wait(WAIT).expect("the deadline ends it");
    assert!(status.success() && asked.elapsed() > Duration::from_secs(2), "{status} after {:?}", asked.elapsed());
    let log = nodes[0].process.stderr();
    assert!(log.contains("this is left") && log.contains("over_http=1"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_order_keeps_the_earlier_deadline_and_the_node_ends_at_it_saying_what_is_left() {
    let (fleet, mut nodes) = (Fleet::start().unwrap(), mesh(&[]));
    let _stays = join(&fleet, &nodes[0], "stays").await;
    let (_, first) = tell(&nodes[0], "drain --deadline 2s");
    assert!(first.contains("drains and ends in 2 s"), "{first}");
    let asked = Instant::now();
    let (done, second) = tell(&nodes[0], "drain --deadline 600");
    assert!(done && second.contains("drains already and ends in 2 s"), "{second}");
    let status = nodes[0].process.wait(WAIT).expect("the deadline ends it");
    assert!(status.success() && asked.elapsed() > Duration::from_secs(1), "{status} after {:?}", asked.elapsed());
    let log = nodes[0].process.stderr();
    assert!(log.contains("this is left") && log.contains("people=1"), "{log}");
    let (done, nobody) = tell(&nodes[0], "drain");
    assert!(!done && nobody.contains("no node runs here"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stay_takes_people_again_and_a_deadline_of_zero_ends_it_at_once() {
    let (fleet, mut nodes) = (Fleet::start().unwrap(), mesh(&[]));
    let (done, words) = tell(&nodes[0], "undrain");
    assert!(done && words.contains("did not drain"), "{words}");
    let _watched = join(&fleet, &nodes[0], "watched").await;
    tell(&nodes[0], "drain --deadline 60s");
    until(WAIT, || (health(&nodes[1])["nodes"] == 3).then_some(())).unwrap();
    let (done, words) = tell(&nodes[0], "undrain");
    assert!(done && words.contains("stays and takes people again"), "{words}");
    until(WAIT, || (health(&nodes[0])["status"] == "ok").then_some(())).expect("it says so");
    let mut here = join(&fleet, &nodes[0], "here").await;
    assert_eq!(here.joined().server_region, "frankfurt");

    let asked = Instant::now();
    let (done, words) = tell(&nodes[0], "drain --deadline 0");
    assert!(done && words.contains("ends now"), "{words}");
    assert_eq!(told_to_leave(&mut here).await.action(), Action::Reconnect);
    let status = nodes[0].process.wait(WAIT).expect("it ends at once");
    assert!(status.success() && asked.elapsed() < Duration::from_secs(4), "{status} after {:?}", asked.elapsed());
}

#[test]
fn sigterm_drains_and_a_second_one_does_not_wait() {
    let mut nodes = mesh(&["--drain-deadline", "30s"]);
    nodes[1].process.terminate();
    assert!(nodes[1].process.wait(WAIT).is_some_and(|status| status.success()), "nobody is there: it ends at once");

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let fleet = Fleet::start().unwrap();
    let _stays = runtime.block_on(join(&fleet, &nodes[0], "stays"));
    nodes[0].process.terminate();
    until(WAIT, || (health(&nodes[0])["status"] == "draining").then_some(())).expect("it drains");
    assert!(nodes[0].process.is_running());
    nodes[0].process.terminate();
    assert!(nodes[0].process.wait(WAIT).is_some_and(|status| status.success()), "asked twice, it ends");
}

#[test]
fn only_this_machine_and_no_web_page_drains_a_node_and_only_with_a_deadline() {
    let node = Node::start(&origo().unwrap(), &["--workers", "1"]).unwrap();
    let json = ("Content-Type", "application/json");
    let ask = |headers: &[(&str, &str)], body: &str| {
        http::send(&node.metrics(), "POST /v1/drain", headers, body.as_bytes()).unwrap().status
    };
    assert_eq!(ask(&[json, ("Origin", "http://127.0.0.1:8000")], "{\"deadline_s\":9}"), 403);
    for (headers, body) in [
        (&[][..], "{\"deadline_s\":9}"),
        (&[json], ""),
        (&[json], "{}"),
        (&[json], "{\"deadline_s\":-1}"),
        (&[json], "{\"deadline_s\":86401}"),
        (&[json], "{\"deadline_s\":9,\"force\":true}"),
    ] {
        assert_eq!(ask(headers, body), 400, "{body}");
    }
    assert_eq!(health(&node)["status"], "ok");
}
