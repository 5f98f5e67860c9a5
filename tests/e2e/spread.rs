//! A room on two workers of a real node, and on a second node behind it: everybody sees and hears everybody, each packet
//! crosses once, and nothing is left when all have gone.

use std::time::{Duration, Instant};

use origo_client::{AudioOptions, Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::metrics::Metrics;
use origo_tests::node::Node;
use origo_tests::process::origo;

/// Longest wait for anything that has no time of its own in the test.
const WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
const ROOM: &str = "hall";

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < WAIT, "{what} is waited for in vain");
        tokio::time::sleep(POLL).await;
    }
}

async fn join(fleet: &Fleet, node: &Node, identity: &str, options: Options) -> Participant {
    let joined = fleet.connect(&node.url(), &node.token(ROOM, identity), options).await;
    joined.unwrap_or_else(|error| panic!("{identity} cannot join: {error}"))
}

async fn publish(participant: &mut Participant) {
    participant.publish_audio("microphone", AudioOptions::default());
    participant.publish_video("camera", VideoOptions::simulcast(30, 1000));
    for _ in 0..2 {
        let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
        participant.wait_for(WAIT, flows).await.expect("the tracks are negotiated");
    }
}

fn sum(node: &Node, name: &str, labels: &[(&str, &str)]) -> f64 {
    Metrics::read(&node.metrics()).expect("the metrics page").sum(name, labels)
}

/// RTP packets that went from one worker of a node to another.
fn crossed(node: &Node, kind: &str) -> f64 {
    sum(node, "origo_rtp_packets_total", &[("direction", "out"), ("via", "sibling"), ("kind", kind)])
}

/// Whether somebody gets so many tracks, all of which have begun.
async fn gets(participant: &Participant, tracks: usize) -> bool {
    let report = participant.report().await;
    report.tracks.iter().filter(|track| track.packets() > 30 && track.idle_us.is_some()).count() == tracks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_on_two_workers_and_a_second_node_is_one_room() {
    let origo = origo().unwrap();
    let flags = ["--workers", "2", "--media-spread-at", "1", "--bwe=false"];
    let node = Node::start(&origo, &[&flags[..], &["--region", "frankfurt"]].concat()).unwrap();
    let seeds = format!("127.0.0.1:{}", node.port + 1);
    let far = Node::start(&origo, &[&flags[..], &["--region", "london", "--seeds", &seeds]].concat()).unwrap();
    let fleet = Fleet::start().unwrap();

    // Four here, two on each worker, and two there; two here and one there publish.
    let mut people = Vec::new();
    for number in 0..6 {
        let at = if number < 4 { &node } else { &far };
        let options = if number % 3 == 0 { Options::v0() } else { Options::v1() };
        people.push(join(&fleet, at, &format!("person{number}"), options).await);
    }
    for publisher in [0, 1, 4] {
        publish(&mut people[publisher]).await;
    }
    for (number, person) in people.iter().enumerate() {
        let tracks = if [0, 1, 4].contains(&number) { 4 } else { 6 };
        until(&format!("everything at person{number}"), async || gets(person, tracks).await).await;
    }
    for here in [&node, &far] {
        assert_eq!(sum(here, "origo_rooms_spread", &[]), 1.0);
        assert!(crossed(here, "video") > 0.0 && crossed(here, "audio") > 0.0);
    }
    for person in &people {
        for track in person.report().await.tracks.iter().filter(|track| !track.video) {
            assert_eq!((track.total().lost, track.total().duplicates), (0, 0), "{track:?}");
        }
    }
    let behind =
        |here| sum(here, "origo_dropped_total", &[("what", "sibling packet"), ("reason", "media worker behind")]);
    assert_eq!((behind(&node), behind(&far)), (0.0, 0.0));

    // One publisher leaves: the others go on.
    people.remove(0).leave().await;
    until("the rest", async || {
        for (number, person) in people.iter().enumerate() {
            let tracks = if [0, 3].contains(&number) { 2 } else { 4 };
            let report = person.report().await;
            let flowing = |idle: Option<u64>| idle.is_some_and(|us| us < 1_000_000);
            if report.tracks.iter().filter(|track| flowing(track.idle_us)).count() != tracks {
                return false;
            }
        }
        true
    })
    .await;

    for person in people {
        person.leave().await;
    }
    for here in [&node, &far] {
        until("empty tables", async || sum(here, "origo_worker_entries", &[]) == 0.0).await;
        assert_eq!(sum(here, "origo_rooms_spread", &[]), 0.0);
        let stderr = here.process.stderr();
        assert!(!stderr.contains("ERROR"), "{stderr}");
    }
}
