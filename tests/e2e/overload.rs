//! Real nodes that run short of something: newcomers go elsewhere, upper layers of pictures are shed, sound and those who
//! are here stay, and all comes back.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use origo_auth::{Claims, Secret, VideoGrant, mint};
use origo_client::{AudioOptions, Event, Fleet, Options, Participant, TrackReport, VideoOptions};
use origo_tests::node::Node;
use origo_tests::process::{cpu_time, origo};
use origo_tests::{http, token};
use serde_json::Value;

/// Longest wait for anything that has no time of its own in the test.
const WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
const ROOM: &str = "hall";
/// One step back after a second instead of ten.
const QUICK: [&str; 4] = ["--workers", "1", "--overload-recovery", "1s"];
/// Layers of the picture: width and bits per second.
const LAYERS: [(u32, u32); 3] = [(320, 100_000), (640, 300_000), (1280, 1_000_000)];

fn health(node: &Node) -> Value {
    let answer = http::get(&node.authority(), "/health", &[]);
    answer.ok().and_then(|answer| serde_json::from_str(&answer.body).ok()).unwrap_or_default()
}

fn level(node: &Node) -> String {
    health(node)["overload"]["level"].as_str().unwrap_or_default().to_owned()
}

/// Waits until something holds, while everything goes on.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < WAIT, "{what} is waited for in vain");
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until nothing is shed and newcomers are let in again. To ask fifty times a second takes 2 % of a processor, which
/// alone would keep a node busy that is full at 3 %.
async fn until_calm(node: &Node) {
    let begun = Instant::now();
    while level(node) != "calm" {
        assert!(begun.elapsed() < WAIT, "no room again: {}\n{}", health(node), node.process.stderr());
        tokio::time::sleep(10 * POLL).await;
    }
}

async fn join(fleet: &Fleet, node: &Node, identity: &str) -> Participant {
    let joined = fleet.connect(&node.url(), &node.token(ROOM, identity), Options::v1()).await;
    joined.unwrap_or_else(|error| panic!("{identity} cannot join: {error}"))
}

/// What a newcomer is told who asks for a web socket.
fn knock(node: &Node) -> http::Response {
    let path = format!("/rtc?access_token={}", node.token(ROOM, "newcomer"));
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    http::get(&node.authority(), &path, &upgrade).expect("an answer")
}

async fn track(participant: &Participant, video: bool) -> TrackReport {
    let tracks = participant.report().await.tracks;
    tracks.into_iter().find(|track| track.video == video).unwrap_or_else(|| panic!("video {video} is taken"))
}

async fn of_layer(participant: &Participant, layer: usize) -> u64 {
    track(participant, true).await.layers[layer].unique
}

/// Somebody who speaks and shows a picture.
async fn performer(fleet: &Fleet, node: &Node) -> Participant {
    let mut performer = join(fleet, node, "performer").await;
    performer.publish_audio("microphone", AudioOptions::default());
    performer.publish_video("camera", VideoOptions::of_rates(&LAYERS, 30, 1000));
    for _ in 0..2 {
        let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
        performer.wait_for(WAIT, flows).await.expect("the tracks are negotiated");
    }
    performer
}

async fn audience(fleet: &Fleet, node: &Node, count: usize) -> Vec<Participant> {
    let mut audience = Vec::new();
    for number in 0..count {
        audience.push(join(fleet, node, &format!("viewer{number}")).await);
    }
    for viewer in &mut audience {
        for _ in 0..2 {
            let first = |event: &Event| matches!(event, Event::FirstPacket { .. }).then_some(());
            viewer.wait_for(WAIT, first).await.expect("sound and picture");
        }
    }
    audience
}

/// All sound that was sent since the first packet has come.
async fn assert_sound_is_whole(audience: &[Participant]) {
    for viewer in audience {
        let total = track(viewer, false).await.total();
        assert!(total.unique > 100 && total.lost == 0, "{total:?}");
    }
}

/// How often the log tells of a step forth, and of one back.
fn steps(node: &Node) -> [usize; 2] {
    let log = node.process.stderr();
    ["the node is short of something", "the node has room again"].map(|sentence| log.matches(sentence).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_short_of_bandwidth_sends_newcomers_to_its_neighbour_and_sheds_layers_until_people_leave() {
    let origo = origo().unwrap();
    let short = ["--region", "frankfurt", "--egress-limit", "2Mbps", "--bwe=false"];
    let node = Node::start(&origo, &[&QUICK[..], &short].concat()).unwrap();
    let seeds = format!("127.0.0.1:{}", node.port + 1);
    let neighbour = Node::start(&origo, &["--region", "london", "--workers", "1", "--seeds", &seeds]).unwrap();
    until("the other node", async || health(&node)["nodes"] == 2).await;
    let fleet = Fleet::start().unwrap();
    let performer = performer(&fleet, &node).await;
    // Three times a megabit is more than two.
    let mut viewers = audience(&fleet, &node, 3).await;
    until("the picture in full", async || of_layer(&viewers[0], 2).await > 0).await;

    until("shedding", async || level(&node) == "shedding").await;
    let begun = Instant::now();
    until("the middle layer", async || {
        let before = (of_layer(&viewers[0], 1).await, of_layer(&viewers[0], 2).await);
        tokio::time::sleep(10 * POLL).await;
        of_layer(&viewers[0], 1).await > before.0 && of_layer(&viewers[0], 2).await == before.1
    })
    .await;
    let state = health(&node);
    assert_eq!(state["status"], "full", "{state}");
    assert!(state["overload"]["why"].as_str().unwrap().starts_with("egress "), "{state}");

    let refusal = knock(&node);
    assert_eq!((refusal.status, refusal.header("retry-after")), (503, Some("10")), "{refusal:?}");
    assert!(refusal.body.contains("short of egress") && refusal.body.contains(&neighbour.url()), "{refusal:?}");
    let routes = async || -> Value {
        let answer = http::get(&neighbour.authority(), "/v1/route", &[]).unwrap();
        serde_json::from_str(&answer.body).unwrap()
    };
    until("gossip", async || routes().await["nodes"].as_array().unwrap().len() == 1).await;
    let url = routes().await["nodes"][0]["url"].as_str().unwrap().to_owned();
    let options = Options { auto_subscribe: false, ..Options::v1() };
    let newcomer = fleet.connect(&url, &node.token(ROOM, "newcomer"), options).await.unwrap();
    assert_eq!(newcomer.joined().server_info.as_ref().unwrap().region, "london");
    // That it is full, a step before, may be what the neighbour has heard so far.
    let page = || http::get(&format!("127.0.0.1:{}", neighbour.port + 2), "/v1/nodes", &[]).unwrap().body;
    let is_told = async || page().contains(r#""level":"shedding","why":"egress "#);
    until("that the neighbour hears of the shedding", is_told).await;

    // The server API is control, which nothing is taken from; and so is coming back.
    let video = VideoGrant { room_list: true, ..VideoGrant::default() };
    let claims = Claims { video, ..token::claims("devkey", ROOM, "application") };
    let bearer = format!("Bearer {}", mint(&claims, &Secret::new("secret")));
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let list = http::send(&node.authority(), "POST /twirp/livekit.RoomService/ListRooms", &headers, b"{}").unwrap();
    assert_eq!(list.status, 200, "{list:?}");
    viewers.push(join(&fleet, &node, "viewer2").await);
    drop(viewers.remove(2));

    // What was shed does not come back while it would not fit.
    until("some quiet time", async || begun.elapsed() > Duration::from_secs(5)).await;
    assert_eq!(level(&node), "shedding");
    let [forth, back] = steps(&node);
    assert!(forth <= 3 && back == 0, "{forth} steps forth, {back} back:\n{}", node.process.stderr());
    assert_sound_is_whole(&viewers).await;

    viewers.truncate(1);
    until_calm(&node).await;
    let before = of_layer(&viewers[0], 2).await;
    until("the picture in full", async || of_layer(&viewers[0], 2).await > before + 30).await;
    assert_sound_is_whole(&viewers).await;
    until("gossip", async || routes().await["nodes"].as_array().unwrap().len() == 2).await;
    let late = join(&fleet, &node, "late").await;
    assert_eq!(late.joined().server_info.as_ref().unwrap().region, "frankfurt");
    drop((performer, newcomer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_short_of_processors_sheds_layers_and_no_sound_and_recovers() {
    // Of a machine that others use too a small share is all that a test may count on.
    let node = Node::start(&origo().unwrap(), &[&QUICK[..], &["--cpu-full", "3", "--bwe=false"]].concat()).unwrap();
    let fleet = Fleet::start().unwrap();
    let performer = performer(&fleet, &node).await;
    performer.publish_video("stage", VideoOptions::simulcast(60, 1000));
    // All come before the node is full: it takes a second of want.
    let viewers = audience(&fleet, &node, 12).await;
    until("shedding", async || ["shedding", "not_relaying"].contains(&&*level(&node))).await;
    assert!(health(&node)["overload"]["why"].as_str().unwrap().starts_with("cpu "), "{}", health(&node));
    assert!(knock(&node).body.contains("short of cpu"));
    until("less of the picture", async || {
        let before = (of_layer(&viewers[0], 2).await, track(&viewers[0], false).await.total().unique);
        tokio::time::sleep(10 * POLL).await;
        let sound = track(&viewers[0], false).await.total().unique;
        of_layer(&viewers[0], 2).await == before.0 && sound > before.1
    })
    .await;
    assert_sound_is_whole(&viewers).await;
    drop((viewers, performer));
    until_calm(&node).await;
    let _late = join(&fleet, &node, "late").await;
}

/// File handles of a process.
fn handles(pid: u32) -> u64 {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64
}

fn set_handles_max(pid: u32, max: u64) {
    let limit = libc::rlimit { rlim_cur: max, rlim_max: max };
    // SAFETY: the limit lives through the call, and nothing is written back.
    let set = unsafe { libc::prlimit(pid as libc::pid_t, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_short_of_file_handles_refuses_newcomers_before_it_has_none_and_bears_having_none() {
    let node = Node::start(&origo().unwrap(), &QUICK).unwrap();
    let (fleet, pid) = (Fleet::start().unwrap(), node.process.pid());
    let performer = performer(&fleet, &node).await;
    let mut viewers = audience(&fleet, &node, 2).await;
    let max = handles(pid) + 60;
    set_handles_max(pid, max);
    let connect = |count: usize| -> Vec<TcpStream> {
        (0..count).map(|_| TcpStream::connect(node.authority()).unwrap()).collect()
    };
    let mut strangers = connect(48);
    until("a full node", async || health(&node)["status"] == "full").await;
    let refusal = knock(&node);
    assert_eq!((refusal.status, refusal.header("retry-after")), (503, Some("10")), "{refusal:?}");
    assert!(refusal.body.contains("short of file handles"), "{refusal:?}");
    let validate = format!("/rtc/validate?access_token={}", node.token(ROOM, "newcomer"));
    assert_eq!(http::get(&node.authority(), &validate, &[]).unwrap().status, 503, "browsers ask here");
    viewers[1] = join(&fleet, &node, "viewer1").await;

    // Now there are none at all.
    strangers.extend(connect(40));
    until("the last handle", async || handles(pid) >= max - 1).await;
    let (begun, cpu) = (Instant::now(), cpu_time(pid).unwrap());
    let before = track(&viewers[0], false).await.total().unique;
    until("sound", async || track(&viewers[0], false).await.total().unique > before + 75).await;
    let (span, cpu) = (begun.elapsed(), cpu_time(pid).unwrap() - cpu);
    assert!(cpu < span / 2, "it spins: {cpu:?} of {span:?}");
    let answer = http::get(&node.authority(), "/health", &[]).expect("an answer without a handle");
    assert!(answer.status == 503 && answer.body.contains("short of file handles"), "{answer:?}");
    assert!(level(&node) != "shedding", "pictures take no handles");

    drop(strangers);
    until("room again", async || health(&node)["status"] == "ok").await;
    let _late = join(&fleet, &node, "late").await;
    assert_sound_is_whole(&viewers[..1]).await;
    assert_eq!(track(&viewers[0], true).await.layers[2].lost, 0);
    drop(performer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_beyond_its_memory_goes_all_the_way_in_the_stated_order_and_says_so() {
    let node = Node::start_full(&origo().unwrap(), &[&QUICK[..], &["--memory-limit", "10MB"]].concat()).unwrap();
    until("the last step", async || level(&node) == "not_relaying").await;
    let log = node.process.stderr();
    let deeds = [
        "newcomers are refused",
        "1 of 3 parts of the upper layers are shed",
        "2 of 3 parts of the upper layers are shed",
        "3 of 3 parts of the upper layers are shed",
        "nothing is relayed for other nodes",
    ];
    let places: Vec<_> = deeds.iter().map(|deed| log.find(deed).unwrap_or_else(|| panic!("{deed}\n{log}"))).collect();
    assert!(places.is_sorted(), "{log}");
    let refusal = knock(&node);
    assert!(refusal.status == 503 && refusal.body.contains("short of memory: try again"), "{refusal:?}");
    let metrics = http::get(&node.metrics(), "/metrics", &[]).unwrap().body;
    for line in ["origo_overload_level 3", "origo_overload_shed_parts 3"] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains(r#"origo_dropped_total{what="join",reason="full: memory"} 1"#), "{metrics}");
}
