//! A room on nodes of the previous version and of this one: what either sends reaches the other, and either can be drained.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use origo_auth::Secret;
use origo_client::proto::leave_request::Action;
use origo_client::proto::signal_request::Message as Request;
use origo_client::proto::{self, data_packet, participant_info};
use origo_client::{AudioOptions, Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::http;
use origo_tests::node::Node;
use origo_tests::previous::{self, Previous};
use origo_tests::process::{origo, until};
use origo_tests::token;
use serde_json::Value;

/// Longest wait for anything that has no time of its own in the test.
const WAIT: Duration = Duration::from_secs(15);
const ROOM: &str = "standup";

/// The previous program. Without one the test is skipped, which stands on the console whatever is captured.
fn previous_or_skip(test: &str) -> Option<PathBuf> {
    match previous::origo().unwrap_or_else(|error| panic!("{error:#}")) {
        Previous::Built(path) => Some(path),
        Previous::Missing(why) => {
            // A console that is gone reads nothing.
            let _ = writeln!(std::io::stderr(), "SKIPPED versions::{test}: {why}");
            None
        }
    }
}

/// Nodes of these programs that see each other; each next one is farther from the first.
fn mesh(programs: &[&Path]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for (program, region) in programs.iter().zip(["frankfurt", "london", "tokyo"]) {
        let seeds = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port + 1)).collect::<Vec<_>>().join(",");
        nodes.push(Node::start(program, &["--region", region, "--workers", "1", "--seeds", &seeds]).unwrap());
    }
    let seen = |node: &Node| {
        let answer = http::get(&node.authority(), "/health", &[]).ok()?;
        serde_json::from_str::<Value>(&answer.body).ok()?["nodes"].as_u64()
    };
    let all = Some(nodes.len() as u64);
    until(WAIT, || nodes.iter().all(|node| seen(node) == all).then_some(())).expect("the nodes see each other");
    nodes
}

async fn join(fleet: &Fleet, node: &Node, identity: &str) -> Participant {
    let mut claims = token::claims("devkey", ROOM, identity);
    claims.video.can_update_own_metadata = Some(true);
    let token = origo_auth::mint(&claims, &Secret::new("secret"));
    let joined = fleet.connect(&node.url(), &token, Options::v1()).await;
    joined.unwrap_or_else(|error| panic!("{identity} cannot join: {error}"))
}

async fn publish(participant: &mut Participant) -> Vec<String> {
    participant.publish_video("camera", VideoOptions::simulcast(20, 1000));
    participant.publish_audio("microphone", AudioOptions::default());
    let mut sids = Vec::new();
    while sids.len() < 2 {
        let published = participant.wait_for(WAIT, |event| match event {
            Event::TrackPublished { track, .. } => Some(track.sid.clone()),
            _ => None,
        });
        sids.push(published.await.expect("the track is announced"));
    }
    sids
}

/// Waits until something of each of `count` tracks has come since the first look.
async fn watches(viewer: &Participant, count: usize, who: &str) {
    let end = Instant::now() + WAIT;
    let before = viewer.report().await;
    loop {
        let now = viewer.report().await;
        let flowing = now.tracks.iter().filter(|track| {
            let earlier =
                before.tracks.iter().find(|known| known.track == track.track).map_or(0, |known| known.packets());
            track.idle_us.is_some() && track.packets() > earlier + 10
        });
        if flowing.count() >= count {
            return;
        }
        assert!(Instant::now() < end, "{who} does not get {count} tracks: {:?}", now.tracks);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn reads(reader: &mut Participant, text: &str) {
    let read = reader.wait_for(WAIT, |event| match event {
        Event::Data { packet, .. } => match &packet.value {
            Some(data_packet::Value::User(user)) if user.payload == text.as_bytes() => Some(()),
            _ => None,
        },
        _ => None,
    });
    read.await.unwrap_or_else(|| panic!("{text} does not come"));
}

/// Waits until somebody is shown so.
async fn shows(viewer: &mut Participant, identity: &str, is: impl Fn(&proto::ParticipantInfo) -> bool, what: &str) {
    let shown = viewer.wait_for(WAIT, |event| match event {
        Event::Participants(infos) => infos.iter().find(|info| info.identity == identity && is(info)).map(|_| ()),
        _ => None,
    });
    shown.await.unwrap_or_else(|| panic!("{identity} is not shown as {what}"));
}

fn has_left(info: &proto::ParticipantInfo) -> bool {
    info.state() == participant_info::State::Disconnected
}

/// What one of two says and shows reaches the other.
async fn one_reaches(from: &mut Participant, name: &str, tracks: &[String], to: &mut Participant) {
    for reliable in [true, false] {
        from.send_data(reliable, "chat", format!("{name} {reliable}").as_bytes());
        reads(to, &format!("{name} {reliable}")).await;
    }
    for muted in [true, false] {
        from.request(Request::Mute(proto::MuteTrackRequest { sid: tracks[0].clone(), muted }));
        let is = |info: &proto::ParticipantInfo| {
            info.tracks.iter().any(|track| track.sid == tracks[0] && track.muted == muted)
        };
        shows(to, name, is, if muted { "muted" } else { "not muted" }).await;
    }
    let metadata = format!("{name} is here");
    let update = proto::UpdateParticipantMetadata { metadata: metadata.clone(), ..Default::default() };
    from.request(Request::UpdateMetadata(update));
    shows(to, name, |info| info.metadata == metadata, "described").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_on_a_node_of_one_version_reaches_the_other_both_ways() {
    let Some(previous) = previous_or_skip("what_is_sent_…") else { return };
    let (fleet, nodes) = (Fleet::start().unwrap(), mesh(&[&previous, &origo().unwrap()]));
    let (mut old, mut new) = (join(&fleet, &nodes[0], "old").await, join(&fleet, &nodes[1], "new").await);
    let (of_old, of_new) = (publish(&mut old).await, publish(&mut new).await);
    watches(&old, 2, "who is on the previous version").await;
    watches(&new, 2, "who is on this version").await;
    one_reaches(&mut old, "old", &of_old, &mut new).await;
    one_reaches(&mut new, "new", &of_new, &mut old).await;
    new.leave().await;
    shows(&mut old, "new", has_left, "gone").await;
    let mut again = join(&fleet, &nodes[1], "new").await;
    old.leave().await;
    shows(&mut again, "old", has_left, "gone").await;
}

/// `origo node drain` of the node's own version.
fn drain(program: &Path, node: &Node) {
    let line = format!("node drain --deadline 60s --metrics {}", node.metrics());
    let output = Command::new(program).args(line.split(' ')).env_remove("ORIGO_BIN").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until somebody is told to go on elsewhere; gives the server URL.
async fn sent_on(participant: &mut Participant) -> String {
    let told = participant.wait_for(WAIT, |event| match event {
        Event::Leave(leave) if leave.action() == Action::Reconnect => leave.regions.clone(),
        _ => None,
    });
    told.await.expect("it is told where to go on").regions[0].url.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_is_upgraded_node_by_node_during_a_call() {
    let Some(previous) = previous_or_skip("a_mesh_is_upgraded_…") else { return };
    let this = origo().unwrap();
    let (fleet, mut nodes) = (Fleet::start().unwrap(), mesh(&[&previous, &previous, &this]));
    let (mut ann, mut bob) = (join(&fleet, &nodes[0], "ann").await, join(&fleet, &nodes[2], "bob").await);
    publish(&mut ann).await;
    publish(&mut bob).await;
    let cid = join(&fleet, &nodes[1], "cid").await;
    watches(&bob, 2, "bob").await;
    watches(&cid, 4, "cid").await;

    // A node of the previous version drains: its people go on, wherever it sends them.
    drain(&previous, &nodes[0]);
    let url = sent_on(&mut ann).await;
    let node = nodes.iter().find(|node| node.url() == url).expect("a node of the mesh");
    let mut ann = join(&fleet, node, "ann").await;
    publish(&mut ann).await;
    watches(&bob, 2, "bob, after the previous version's drain").await;
    watches(&ann, 2, "ann, after the previous version's drain").await;
    let status = nodes[0].process.wait(WAIT).expect("it ends");
    assert!(status.success(), "{status}");

    // Its place is taken by this version, and so is the other's, while people of this version see and are seen.
    let seed = format!("127.0.0.1:{}", nodes[2].port + 1);
    nodes[0] = Node::start(&this, &["--region", "frankfurt", "--workers", "1", "--seeds", &seed]).unwrap();
    let mut dan = join(&fleet, &nodes[0], "dan").await;
    publish(&mut dan).await;
    watches(&cid, 4, "cid, who is on the previous version").await;
    watches(&dan, 4, "dan").await;
    cid.send_data(true, "chat", b"all are here");
    for other in [&mut bob, &mut dan] {
        reads(other, "all are here").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_at_another_node_of_this_version_is_seen_on_from_the_previous_one() {
    let Some(previous) = previous_or_skip("who_goes_on_…") else { return };
    let this = origo().unwrap();
    let (fleet, mut nodes) = (Fleet::start().unwrap(), mesh(&[&this, &this, &previous]));
    let mut ann = join(&fleet, &nodes[0], "ann").await;
    publish(&mut ann).await;
    let mut bob = join(&fleet, &nodes[2], "bob").await;
    watches(&bob, 2, "bob").await;
    let sid = ann.sid().to_owned();
    drain(&this, &nodes[0]);
    assert_eq!(sent_on(&mut ann).await, nodes[1].url(), "the nearest");
    let mut back = join(&fleet, &nodes[1], "ann").await;
    assert_eq!(back.sid(), sid);
    publish(&mut back).await;
    let status = nodes[0].process.wait(WAIT).expect("it ends");
    assert!(status.success(), "{status}");
    watches(&bob, 2, "bob, who is on the previous version").await;
    let left = bob.wait_for(Duration::from_millis(300), |event| match event {
        Event::Participants(infos) => infos.iter().any(has_left).then_some(()),
        _ => None,
    });
    assert_eq!(left.await, None, "nobody was seen to leave");
}
