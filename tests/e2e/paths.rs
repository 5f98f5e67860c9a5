//! Why a call is bad, and where a room may be, asked of real nodes.

use std::time::Duration;

use origo_client::{Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::mesh::{self, Description};
use origo_tests::node::Node;
use origo_tests::process::{origo, until};
use origo_tests::{http, paths};

/// Longest wait for anything that has no time of its own in the test.
const WAIT: Duration = Duration::from_secs(10);
const ROOM: &str = "paths";
/// Headers of a WebSocket upgrade.
const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn join(fleet: &Fleet, mesh: &Description, node: usize, identity: &str) -> Participant {
    let joined = fleet.connect(&mesh.nodes[node].url, &mesh.token(ROOM, identity), Options::v1()).await;
    joined.unwrap_or_else(|error| panic!("{identity} cannot join: {error}"))
}

/// What a node tells of the room.
fn told(mesh: &Description, node: usize) -> serde_json::Value {
    let authority = mesh.nodes[node].url.trim_start_matches("ws://");
    paths::of_room(authority, &mesh.api_key, &mesh.api_secret, ROOM).unwrap()
}

#[tokio::test]
async fn any_node_tells_the_way_to_each_participant_with_what_its_links_do() {
    let mesh = tokio::task::spawn_blocking(mesh::shared).await.expect("a mesh");
    let fleet = Fleet::start().unwrap();
    let publisher = join(&fleet, mesh, 0, "publisher").await;
    publisher.publish_video("camera", VideoOptions::single(30, 4, 1100));
    let mut viewer = join(&fleet, mesh, 1, "viewer").await;
    let first = viewer.wait_for(WAIT, |event| matches!(event, Event::FirstPacket { .. }).then_some(())).await;
    first.expect("the track arrives");
    // Nobody of the room is on the third node, which asks the others.
    let told = tokio::task::spawn_blocking(move || {
        until(WAIT, || {
            let told = told(mesh, 2);
            let viewer = told["subscribers"].as_array()?.iter().find(|one| one["identity"] == "viewer")?.clone();
            viewer["origins"][0]["hops"][0]["loss_percent"].is_number().then_some((told, viewer))
        })
    });
    let (told, viewer) = told.await.unwrap().expect("the links are measured soon");
    let [from, to] = [0, 1].map(|node| mesh.nodes[node].region.as_str());
    assert_eq!((&told["room"], told["subscribers"].as_array().map(Vec::len)), (&ROOM.into(), Some(2)));
    assert_eq!((&viewer["region"], &viewer["node"]), (&to.into(), &mesh.nodes[1].id.as_str().into()));
    let origin = &viewer["origins"][0];
    let hops = origin["hops"].as_array().unwrap();
    assert_eq!(origin["region"], from);
    assert_eq!((&hops[0]["from_region"], &hops[hops.len() - 1]["to_region"]), (&from.into(), &to.into()));
    for hop in hops {
        assert!(hop["rtt_ms"].as_f64().is_some_and(|ms| (0.0..1000.0).contains(&ms)), "{hop}");
        assert!(hop["loss_percent"].as_f64() >= hop["lost_percent"].as_f64(), "{hop}");
    }
    assert!(origin["delay_ms"].is_number());
}

#[tokio::test]
async fn a_room_that_stays_in_germany_is_refused_elsewhere_and_the_way_out_leads_there() {
    let scratch = tempfile::tempdir().unwrap();
    let config = scratch.path().join("origo.toml");
    std::fs::write(&config, "[[residency]]\nrooms = \"clinic-*\"\ncountries = [\"DE\"]\n").unwrap();
    let config = config.to_str().unwrap();
    let flags = ["--config", config, "--workers", "1", "--region"];
    let german = Node::start(&origo().unwrap(), &[&flags[..], &["frankfurt"]].concat()).unwrap();
    let seed = format!("127.0.0.1:{}", german.port + 1);
    let other = Node::start(&origo().unwrap(), &[&flags[..], &["virginia", "--seeds", &seed]].concat()).unwrap();
    let path = format!("/rtc?access_token={}", other.token("clinic-7", "ana"));
    let refused = http::get(&other.authority(), &path, &UPGRADE).expect("an answer");
    assert_eq!(refused.status, 403, "{refused:?}");
    let sentence = "this room stays in DE, and this node stands in US: GET /v1/route?room=clinic-7 names nodes";
    assert!(refused.body.contains(sentence), "{refused:?}");
    let fleet = Fleet::start().unwrap();
    for (node, room) in [(&other, "lobby"), (&german, "clinic-7")] {
        let joined = fleet.connect(&node.url(), &node.token(room, "ana"), Options::v1()).await;
        assert!(joined.is_ok(), "{room}: {:?}", joined.err());
    }
    let way_out = until(WAIT, || {
        let route = http::get(&other.authority(), "/v1/route?room=clinic-7", &[]).ok()?;
        let route: serde_json::Value = serde_json::from_str(&route.body).ok()?;
        (route["nodes"].as_array()?.len() == 1).then(|| route["nodes"][0].clone())
    });
    let way_out = way_out.expect("gossip tells of the German node");
    assert_eq!((&way_out["region"], &way_out["url"]), (&"frankfurt".into(), &german.url().into()));
    assert!(way_out["why"].as_str().is_some_and(|why| why.ends_with(", in DE, where this room may be")), "{way_out}");
}
