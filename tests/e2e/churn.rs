//! Participants who come and go over three nodes: a soak of seconds. The long one is `make soak`.

use std::time::Duration;

use origo_auth::Secret;
use origo_client::load::{self, Assertion, Churn, Credentials, Placement, Plan, Server};
use origo_client::{AudioOptions, Options, VideoOptions};
use origo_tests::mesh::{self, Description};
use origo_tests::metrics::Metrics;
use origo_tests::process::until;

/// How long everything of the participants may take to go.
const CLEAN_WAIT: Duration = Duration::from_secs(20);
/// What is zero when nobody is there.
const TRACES: [&str; 7] = [
    "origo_rooms",
    "origo_participants",
    "origo_tracks",
    "origo_connections",
    "origo_link_copies",
    "origo_link_receiving",
    "origo_worker_entries",
];

fn plan(mesh: &Description) -> Plan {
    Plan {
        server: Server::LiveKit,
        urls: mesh.nodes.iter().map(|node| node.url.clone()).collect(),
        placement: Placement::RoundRobin,
        credentials: Credentials::Key { key: mesh.api_key.clone(), secret: Secret::new(mesh.api_secret.clone()) },
        room: "churn".to_owned(),
        rooms: 4,
        publishers: 2,
        subscribers: 3,
        publishers_watch: true,
        options: Options { light: true, ..Options::v1() },
        video: Some(VideoOptions::lifelike(3, 200_000, 10, 1100)),
        audio: Some(AudioOptions::default()),
        duration: Duration::from_secs(8),
        ramp_per_second: 20.0,
        churn: Some(Churn { stay: Duration::from_secs(2), away: Duration::from_millis(500), seed: 7 }),
        server_pids: mesh.nodes.iter().map(|node| node.pid).collect(),
    }
}

/// What is left of participants, over all nodes.
fn traces(mesh: &Description) -> Vec<(&'static str, f64)> {
    let pages: Vec<Metrics> = mesh.nodes.iter().map(|node| Metrics::read(&node.metrics).expect("metrics")).collect();
    let sum = |name| pages.iter().map(|page| page.sum(name, &[])).sum::<f64>();
    TRACES.into_iter().map(|name| (name, sum(name))).filter(|(_, value)| *value != 0.0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn participants_who_come_and_go_over_three_nodes_leave_nothing_behind() {
    let mesh = tokio::task::spawn_blocking(mesh::shared).await.expect("a mesh");
    let mut told = Vec::new();
    let summary = load::run(&plan(mesh), |progress| told.push(progress)).await.expect("a run");
    for wanted in ["joins>=40", "failed_joins==0", "dropped==0", "delivered>=99", "server_us_per_packet>0"] {
        let verdict = Assertion::parse(wanted).expect("an assertion").judge(&summary);
        assert!(verdict.held, "{verdict}\n{summary}");
    }
    // It is told about once a second.
    assert!(told.len() >= 5 && told.iter().any(|progress| progress.received_per_second > 100), "{told:?}");
    let left = tokio::task::spawn_blocking(|| until(CLEAN_WAIT, || traces(mesh).is_empty().then_some(())));
    assert_eq!(left.await.expect("metrics"), Some(()), "{:?}", traces(mesh));
}
