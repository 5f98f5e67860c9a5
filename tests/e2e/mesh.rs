//! Calls across the nodes of a real mesh, in both forms of the protocol.

use std::time::{Duration, Instant};

use origo_auth::Secret;
use origo_client::load::{self, Credentials, Placement, Plan, Server};
use origo_client::proto::{self, data_packet, signal_response};
use origo_client::signal::Socket;
use origo_client::{AudioOptions, Event, Fleet, Join, Options, Participant, VideoOptions};
use origo_tests::mesh::{self, Description};
use origo_tests::metrics::Metrics;
use tokio::sync::{Mutex, MutexGuard};

/// Longest wait for anything that has no time of its own in the test.
const WAIT: Duration = Duration::from_secs(10);
/// How often a counter is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The mesh, for one test at a time: they measure times and count packets between its nodes.
async fn alone() -> (MutexGuard<'static, ()>, &'static Description) {
    static ALONE: Mutex<()> = Mutex::const_new(());
    let guard = ALONE.lock().await;
    (guard, tokio::task::spawn_blocking(mesh::shared).await.expect("a mesh"))
}

fn both_forms() -> [(&'static str, Options); 2] {
    [("v0", Options::v0()), ("v1", Options::v1())]
}

async fn join(
    fleet: &Fleet,
    mesh: &Description,
    node: usize,
    room: &str,
    identity: &str,
    options: &Options,
) -> Participant {
    let joined = fleet.connect(&mesh.nodes[node].url, &mesh.token(room, identity), options.clone()).await;
    joined.unwrap_or_else(|error| panic!("{identity} cannot join {room} on node {node}: {error}"))
}

async fn publishing(
    fleet: &Fleet,
    mesh: &Description,
    room: &str,
    options: &Options,
    video: VideoOptions,
) -> Participant {
    let mut publisher = join(fleet, mesh, 0, room, "publisher", options).await;
    publisher.publish_video("camera", video);
    let flows = publisher.wait_for(WAIT, |event| matches!(event, Event::TrackFlows { .. }).then_some(())).await;
    flows.expect("the published track is negotiated");
    publisher
}

async fn first_packet(viewer: &mut Participant) {
    let first = viewer.wait_for(WAIT, |event| matches!(event, Event::FirstPacket { .. }).then_some(())).await;
    first.unwrap_or_else(|| panic!("no packet within {WAIT:?}"));
}

/// Packets that a node sent to another one, less retransmissions and link messages.
fn crossed(mesh: &Description, from: usize, to: usize) -> f64 {
    let metrics = Metrics::read(&mesh.nodes[from].metrics).expect("the metrics page");
    let peer = mesh.nodes[to].id.as_str();
    let of_class = |class| {
        let labels = [("peer", peer), ("direction", "out"), ("class", class)];
        metrics.sum("origo_link_packets_total", &labels)
    };
    ["audio", "base", "enhancement"].into_iter().map(of_class).sum()
}

/// The counter once it has stood still for a while.
async fn settled(mut read: impl FnMut() -> f64) -> f64 {
    let (mut value, mut since) = (read(), Instant::now());
    let deadline = Instant::now() + WAIT;
    while since.elapsed() < Duration::from_millis(1500) && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
        let now = read();
        if now != value {
            (value, since) = (now, Instant::now());
        }
    }
    value
}

#[tokio::test]
async fn one_copy_crosses_the_link_however_many_watch() {
    let (_alone, mesh) = alone().await;
    for (form, options) in both_forms() {
        let (fleet, room) = (Fleet::start().unwrap(), format!("one-copy-{form}"));
        let publisher = publishing(&fleet, mesh, &room, &options, VideoOptions::single(60, 8, 1100)).await;
        let mut viewers = Vec::new();
        for number in 0..20 {
            viewers.push(join(&fleet, mesh, 1, &room, &format!("viewer-{number}"), &options).await);
        }
        for viewer in &mut viewers {
            first_packet(viewer).await;
        }
        // Between two rests every packet that was made is one that was watched.
        publisher.pause();
        let crossed_before = settled(|| crossed(mesh, 0, 1)).await;
        let (made_before, received_before) = (made(&publisher).await, received(&viewers).await);
        publisher.resume();
        while made(&publisher).await < made_before + 1500.0 {
            tokio::time::sleep(POLL).await;
        }
        publisher.pause();
        let copies = settled(|| crossed(mesh, 0, 1)).await - crossed_before;
        let made = made(&publisher).await - made_before;
        let excess = (copies - made).abs() / made;
        assert!(excess <= 0.01, "{form}: {copies} packets crossed for {made} that were made");
        for (before, after) in received_before.into_iter().zip(received(&viewers).await) {
            assert!((after - before) >= made * 0.99, "{form}: a viewer got {} of {made}", after - before);
        }
        for viewer in &viewers {
            assert_eq!(viewer.report().await.tracks[0].total().duplicates, 0, "{form}");
        }
    }
}

/// Packets that a publisher of one layer has made.
async fn made(publisher: &Participant) -> f64 {
    f64::from(publisher.report().await.sent["camera"][0])
}

/// Packets that each viewer has received.
async fn received(viewers: &[Participant]) -> Vec<f64> {
    let mut received = Vec::new();
    for viewer in viewers {
        received.push(viewer.report().await.tracks.iter().map(|track| track.packets() as f64).sum());
    }
    received
}

#[tokio::test]
async fn a_new_participant_is_known_on_the_other_nodes_within_200_ms() {
    let (_alone, mesh) = alone().await;
    for (form, options) in both_forms() {
        let (fleet, room) = (Fleet::start().unwrap(), format!("known-{form}"));
        let mut waiting = Vec::new();
        for node in [1, 2] {
            let mut watcher = join(&fleet, mesh, node, &room, &format!("watcher-{node}"), &options).await;
            waiting.push(tokio::spawn(async move {
                let is_new = |event: &Event| match event {
                    Event::Participants(infos) => infos.iter().any(|info| info.identity == "new").then(Instant::now),
                    _ => None,
                };
                (watcher.wait_for(WAIT, is_new).await, watcher)
            }));
        }
        let new = join(&fleet, mesh, 0, &room, "new", &options).await;
        for watcher in waiting {
            let (known, _watcher) = watcher.await.unwrap();
            let after = known.expect("the new participant is told").saturating_duration_since(new.joined_at());
            assert!(after <= Duration::from_millis(200), "{form}: known only after {after:?}");
        }
    }
}

#[tokio::test]
async fn first_remote_packet_within_one_second() {
    let (_alone, mesh) = alone().await;
    for (form, options) in both_forms() {
        let (fleet, room) = (Fleet::start().unwrap(), format!("first-{form}"));
        let _publisher = publishing(&fleet, mesh, &room, &options, VideoOptions::simulcast(30, 1000)).await;
        for node in [1, 2] {
            let mut viewer = join(&fleet, mesh, node, &room, &format!("viewer-{node}"), &options).await;
            let subscribing = Instant::now();
            first_packet(&mut viewer).await;
            let after = subscribing.elapsed();
            assert!(after <= Duration::from_secs(1), "{form}: the first packet came {after:?} after the join");
            let keyframe = async {
                while viewer.report().await.tracks[0].keyframes == 0 {
                    tokio::time::sleep(POLL).await;
                }
            };
            tokio::time::timeout(WAIT, keyframe).await.unwrap_or_else(|_| panic!("{form}: no keyframe"));
        }
    }
}

#[tokio::test]
async fn reliable_data_crosses_in_order() {
    const MESSAGES: u32 = 200;
    let (_alone, mesh) = alone().await;
    for (form, options) in both_forms() {
        let (fleet, room) = (Fleet::start().unwrap(), format!("data-{form}"));
        let mut sender = join(&fleet, mesh, 0, &room, "sender", &options).await;
        let mut receivers = Vec::new();
        for node in [0, 1, 2] {
            receivers.push(join(&fleet, mesh, node, &room, &format!("receiver-{node}"), &options).await);
        }
        for number in 0..MESSAGES {
            sender.send_data(true, "order", &number.to_be_bytes());
        }
        for receiver in &mut receivers {
            for number in 0..MESSAGES {
                let packet = receiver.wait_for(WAIT, reliable_packet).await;
                let packet = packet.unwrap_or_else(|| panic!("{form}: message {number} did not come"));
                assert_eq!(packet.participant_sid, sender.sid(), "{form}");
                assert_eq!(packet.participant_identity, "sender", "{form}");
                assert_eq!(packet.sequence, number + 1, "{form}");
                let Some(data_packet::Value::User(user)) = packet.value else { panic!("{form}: no user packet") };
                assert_eq!(user.payload, number.to_be_bytes(), "{form}");
            }
        }
        let echo = sender.wait_for(Duration::ZERO, reliable_packet).await;
        assert!(echo.is_none(), "{form}: the sender got its own message");
    }
}

fn reliable_packet(event: &Event) -> Option<proto::DataPacket> {
    match event {
        Event::Data { reliable: true, packet } => Some((**packet).clone()),
        _ => None,
    }
}

#[tokio::test]
async fn lossy_data_crosses() {
    let (_alone, mesh) = alone().await;
    for (form, options) in both_forms() {
        let (fleet, room) = (Fleet::start().unwrap(), format!("lossy-{form}"));
        let sender = join(&fleet, mesh, 0, &room, "sender", &options).await;
        let mut receiver = join(&fleet, mesh, 2, &room, "receiver", &options).await;
        let deadline = Instant::now() + WAIT;
        // Lossy packets before the receiver's channel is open may be lost: that is what lossy means.
        loop {
            sender.send_data(false, "lossy", b"hello");
            let lossy = |event: &Event| matches!(event, Event::Data { reliable: false, .. }).then_some(());
            if receiver.wait_for(Duration::from_millis(50), lossy).await.is_some() {
                break;
            }
            assert!(Instant::now() < deadline, "{form}: no lossy packet came");
        }
    }
}

#[tokio::test]
async fn a_resume_is_told_to_reconnect() {
    let (_alone, mesh) = alone().await;
    for (form, options) in both_forms() {
        let token = mesh.token(&format!("resume-{form}"), "back");
        let join = Join {
            url: &mesh.nodes[0].url,
            token: &token,
            options: &options,
            offer: None,
            resume: Some("PA_gone12345678"),
        };
        let mut socket = Socket::connect(&join.signal_url()).await.expect("the upgrade is accepted");
        let first = tokio::time::timeout(WAIT, socket.next()).await.expect("an answer").expect("a message").unwrap();
        let Some(signal_response::Message::Leave(leave)) = first.message else { panic!("{form}: got {first:?}") };
        assert_eq!(leave.reason(), proto::DisconnectReason::StateMismatch, "{form}");
        assert_eq!(leave.action(), proto::leave_request::Action::Reconnect, "{form}");
        let end = tokio::time::timeout(WAIT, socket.next()).await.expect("the socket is closed");
        assert!(end.is_none(), "{form}: {end:?}");
    }
}

#[tokio::test]
async fn a_duplicate_identity_on_another_node_ends_the_first() {
    let (_alone, mesh) = alone().await;
    for (form, options) in both_forms() {
        let (fleet, room) = (Fleet::start().unwrap(), format!("twice-{form}"));
        let mut first = join(&fleet, mesh, 0, &room, "same", &options).await;
        let mut second = join(&fleet, mesh, 1, &room, "same", &options).await;
        let leave = |event: &Event| match event {
            Event::Leave(leave) => Some(leave.reason()),
            _ => None,
        };
        let reason = first.wait_for(WAIT, leave).await;
        assert_eq!(reason, Some(proto::DisconnectReason::DuplicateIdentity), "{form}");
        let ended = second.wait_for(Duration::from_millis(300), leave).await;
        assert_eq!(ended, None, "{form}: the second was ended too");
    }
}

#[tokio::test]
async fn a_leaver_is_gone_on_the_other_nodes_within_two_seconds() {
    let (_alone, mesh) = alone().await;
    for (form, options) in both_forms() {
        let (fleet, room) = (Fleet::start().unwrap(), format!("leaver-{form}"));
        let publisher = publishing(&fleet, mesh, &room, &options, VideoOptions::single(30, 2, 800)).await;
        let mut viewer = join(&fleet, mesh, 1, &room, "viewer", &options).await;
        first_packet(&mut viewer).await;
        publisher.leave().await;
        let gone = |event: &Event| match event {
            Event::Participants(infos) => infos
                .iter()
                .any(|info| {
                    info.identity == "publisher" && info.state() == proto::participant_info::State::Disconnected
                })
                .then_some(()),
            _ => None,
        };
        let told = viewer.wait_for(Duration::from_secs(2), gone).await;
        assert!(told.is_some(), "{form}: the viewer was not told in time");
    }
}

#[tokio::test]
async fn a_load_of_two_publishers_and_ten_subscribers_arrives_whole() {
    let (_alone, mesh) = alone().await;
    for (form, options) in both_forms() {
        let plan = Plan {
            server: Server::LiveKit,
            urls: vec![mesh.nodes[0].url.clone(), mesh.nodes[2].url.clone()],
            placement: Placement::Split,
            credentials: Credentials::Key { key: mesh.api_key.clone(), secret: Secret::new(mesh.api_secret.clone()) },
            room: format!("load-{form}"),
            rooms: 1,
            publishers: 2,
            subscribers: 10,
            publishers_watch: false,
            options: Options { light: true, ..options },
            ramp_per_second: 50.0,
            churn: None,
            server_pids: Vec::new(),
            video: Some(VideoOptions::at_bitrate(30, 1_000_000, 1100)),
            audio: Some(AudioOptions::default()),
            duration: Duration::from_secs(2),
        };
        let summary = load::run(&plan, |_| {}).await.unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!((summary.subscribers, summary.failed.len(), summary.silent), (10, 0, 0), "{form}: {summary}");
        assert!(summary.delivered_percent >= 99.9, "{form}: {summary}");
        assert_eq!(summary.received.duplicates, 0, "{form}: {summary}");
        assert!(summary.received.unique > 20 * 150, "{form}: {summary}");
    }
}
