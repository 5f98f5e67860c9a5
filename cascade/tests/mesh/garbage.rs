//! What strangers send does no harm.

use std::net::UdpSocket;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::node::{SECRET, TestNode};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_cut_datagrams_do_not_disturb_a_mesh() {
    let any = ([127, 0, 0, 1], 0).into();
    let node = TestNode::try_start(0, any, &[], SECRET).unwrap();
    let (target, socket) = (node.mesh.address(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut rng = StdRng::seed_from_u64(1);
    for round in 0..5000_usize {
        let mut bytes = vec![0; rng.random_range(0..1400)];
        rng.fill_bytes(&mut bytes);
        if let (true, Some(first)) = (round.is_multiple_of(2), bytes.first_mut()) {
            // Looks like a QUIC Initial of version 1, for as long as one looks.
            *first |= 0xc0;
            let end = bytes.len().min(5);
            bytes[1..end].copy_from_slice(&[0, 0, 0, 1][..end.saturating_sub(1)]);
        }
        // A full buffer is not what is tested.
        let _ = socket.send_to(&bytes, target);
        if round % 200 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let friend = TestNode::try_start(1, any, &[target], SECRET).unwrap();
    friend.until_nodes(2).await;
    node.until_nodes(2).await;
}
