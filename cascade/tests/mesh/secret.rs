//! A node of another mesh is kept out, and both sides say why.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::node::{SECRET, TestNode};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refused(node: &TestNode) -> u64 {
    let dropped = node.mesh.stats().dropped;
    dropped.iter().find(|(_, why, _)| *why == "not of this mesh").map_or(0, |(_, _, count)| *count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_secret_cannot_connect_and_both_sides_log_why() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let any = ([127, 0, 0, 1], 0).into();
    let node = TestNode::try_start(0, any, &[], SECRET).unwrap();
    let seeds = [node.mesh.address()];
    let stranger = TestNode::try_start(1, any, &seeds, b"a secret of another mesh").unwrap();
    for _ in 0..500 {
        if refused(&node) > 0 && refused(&stranger) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(refused(&node) > 0 && refused(&stranger) > 0);
    assert_eq!((node.mesh.nodes().len(), stranger.mesh.nodes().len()), (1, 1));
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    println!("{log}");
    let lines = |wanted: &str| log.lines().filter(|line| line.contains("WARN") && line.contains(wanted)).count();
    assert!(lines("doing=\"dialling\"") > 0 && lines("doing=\"accepting\"") > 0, "{log}");
    assert!(log.contains("same mesh secret"), "{log}");
}
