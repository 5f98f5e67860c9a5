//! Two processes with the key of one node, as after a disk was copied: the newer one stays, the older one says why it ends.

use std::time::Duration;

use origo_client::proto::leave_request::Action;
use origo_client::{Event, Fleet, Options};
use origo_tests::http;
use origo_tests::node::Node;
use origo_tests::process::{origo, until};

/// A node is certain after ten seconds; the machine may be busy.
const WAIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_with_one_key_the_older_sends_its_people_on_and_ends_saying_why() {
    let origo = origo().unwrap();
    let first = Node::start(&origo, &["--region", "frankfurt", "--workers", "1"]).unwrap();
    let seeds = format!("127.0.0.1:{}", first.port + 1);
    let london = ["--region", "london", "--workers", "1", "--seeds", &seeds];
    let mut older = Node::start(&origo, &london).unwrap();
    let nodes = |node: &Node| {
        let health = http::get(&node.authority(), "/health", &[]).ok()?;
        serde_json::from_str::<serde_json::Value>(&health.body).ok()?["nodes"].as_u64()
    };
    until(WAIT, || (nodes(&first) == Some(2)).then_some(())).expect("they see each other");
    let fleet = Fleet::start().unwrap();
    let mut person = fleet.connect(&older.url(), &older.token("lobby", "person"), Options::v1()).await.unwrap();

    let mut newer = older.twin(&origo, &london).unwrap();
    let status = older.process.wait(WAIT).expect("the older one ends");
    assert_eq!(status.code(), Some(64), "starting it again would not help");
    let said = older.process.stderr();
    assert!(said.contains("another process runs as this node (ND_"), "{said}");
    assert!(said.contains("give one of the two another data_dir, or remove its /"), "{said}");
    let told = person.wait_for(WAIT, |event| match event {
        Event::Leave(leave) => Some(leave.action()),
        _ => None,
    });
    assert_eq!(told.await, Some(Action::Reconnect), "its people go on elsewhere");
    assert!(newer.process.is_running());
    until(WAIT, || (nodes(&newer) == Some(2) && nodes(&first) == Some(2)).then_some(()))
        .expect("the newer one is linked");
    let other = fleet.connect(&newer.url(), &newer.token("lobby", "other"), Options::v1()).await;
    assert!(other.is_ok(), "and serves: {:?}", other.err());
}
