//! How a demo mesh begins and ends.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use origo_tests::http;
use origo_tests::mesh::Mesh;
use origo_tests::process::{exists, until};

#[test]
fn demo_ends_within_five_seconds_and_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::start(3, scratch.path()).unwrap();
    let nodes = mesh.description.nodes.clone();
    assert_eq!(nodes.len(), 3);
    for node in &nodes {
        assert!(exists(node.pid), "{node:?}");
        let health = http::get(http::authority(&node.url), "/health", &[]).unwrap();
        assert_eq!(health.status, 200, "{node:?}: {health:?}");
    }
    let page = http::get(http::authority(&mesh.description.web), "/", &[]).unwrap();
    assert_eq!(page.status, 200, "{page:?}");

    let asked = Instant::now();
    mesh.process.terminate();
    let status = mesh.process.wait(Duration::from_secs(5));
    assert!(status.is_some(), "the demo still runs after {:?}", asked.elapsed());
    for node in &nodes {
        assert!(
            until(Duration::from_millis(500), || (!exists(node.pid)).then_some(())).is_some(),
            "{node:?} still runs"
        );
        let listener = TcpListener::bind(http::authority(&node.url));
        assert!(listener.is_ok(), "the port of {node:?} is still taken");
    }
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn two_meshes_on_one_machine_take_different_ports() {
    let scratch = tempfile::tempdir().unwrap();
    let first = Mesh::start(2, scratch.path()).unwrap();
    let second = Mesh::start(2, scratch.path()).unwrap();
    for node in &second.description.nodes {
        assert!(first.description.nodes.iter().all(|other| other.url != node.url), "{node:?} is there twice");
    }
}
