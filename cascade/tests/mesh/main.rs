//! Real nodes on loopback: real QUIC, real gossip, real certificates.

mod garbage;
mod node;
mod proxy;
mod relays;
mod secret;

use std::time::{Duration, Instant};

use bytes::Bytes;
use node::{TestNode, packet, participant, room, three, track};
use origo_cascade::MeshEvent;
use origo_cascade_core::cascade::RoomData;
use origo_cascade_core::link::{Class, Received, Send};
use origo_cascade_core::{Event, Forward, Input, LayerSet, TrackLayer};
use proxy::Proxy;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_find_each_other_through_one_seed() {
    let begun = Instant::now();
    let nodes = three().await;
    println!("after {:?}", begun.elapsed());
    for node in &nodes {
        let mut regions: Vec<String> = node.mesh.nodes().into_iter().map(|node| node.region).collect();
        regions.sort();
        assert_eq!(regions, ["region 0", "region 1", "region 2"]);
    }
    assert!(begun.elapsed() < 3 * SECOND, "{:?}", begun.elapsed());
    for node in nodes {
        node.mesh.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_crosses_within_two_hundred_milliseconds() {
    let mut nodes = three().await;
    for node in &mut nodes {
        node.enter().await;
    }
    tokio::time::sleep(SECOND / 5).await;
    let begun = Instant::now();
    nodes[0].mesh.ask(Input::Publish(participant("ada", &[])));
    for node in &mut nodes[1..] {
        node.until(|event| match event {
            MeshEvent::Rooms(Event::ParticipantChanged(record)) => (record.identity.0 == "ada").then_some(()),
            _ => None,
        })
        .await;
    }
    let took = begun.elapsed();
    println!("after {took:?}");
    assert!(took < SECOND / 5, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_and_keyframe_requests_cross_and_each_packet_once() {
    let mut nodes = three().await;
    for node in &mut nodes {
        node.enter().await;
    }
    nodes[0].mesh.ask(Input::Publish(participant("ada", &[1])));
    let known = |event: &MeshEvent| matches!(event, MeshEvent::Rooms(Event::ParticipantChanged(_))).then_some(());
    nodes[1].until(known).await;
    nodes[1].mesh.ask(Input::Want { room: room(), track: track(1), layers: LayerSet::only(0) });
    let served = |event: &MeshEvent| match event {
        MeshEvent::Forward(_, Forward::Serve { to, flow, .. }) => Some((*to, *flow)),
        _ => None,
    };
    let (to, flow) = nodes[0].until(served).await;
    let count = 500;
    for number in 0..count {
        let (class, packet) = (Class::Base, packet(number));
        nodes[0].mesh.links().send(vec![Send::Packet { to, flow, class, packet }]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut numbers = Vec::new();
    while numbers.len() < count as usize {
        if let Received::Packet { layer, packet } = nodes[1].received().await {
            assert_eq!(layer, TrackLayer { track: track(1), layer: 0 });
            numbers.push(packet.sequence);
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count as usize);
    nodes[1].mesh.links().send(vec![Send::Keyframe { layer: TrackLayer { track: track(1), layer: 0 } }]);
    while !matches!(nodes[0].received().await, Received::Keyframe { .. }) {}
    tokio::time::sleep(SECOND / 4).await;
    let stats = nodes[0].mesh.stats();
    let (_, link) = stats.links.iter().find(|(peer, _)| *peer == to).expect("a link to node 1");
    assert_eq!(link.packets[0][Class::Base as usize], count, "one copy of each");
    assert_eq!((link.copies, link.keyframe_requests[1]), (1, 1));
    let others: u64 = stats.links.iter().filter(|(peer, _)| *peer != to).map(|(_, link)| link.packets[0][2]).sum();
    assert_eq!(others, 0, "node 2 does not watch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reliable_data_arrives_in_order_and_a_large_lossy_packet_whole() {
    let mut nodes = three().await;
    for node in &mut nodes {
        node.enter().await;
    }
    nodes[0].mesh.ask(Input::Publish(participant("ada", &[])));
    tokio::time::sleep(SECOND / 4).await;
    let publisher = participant("ada", &[]).sid;
    let data =
        |reliable, packet: Vec<u8>| RoomData { room: room(), publisher, reliable, number: 0, packet: packet.into() };
    for number in 0..200_u8 {
        nodes[0].mesh.ask(Input::Data(data(true, vec![number; 100])));
    }
    nodes[0].mesh.ask(Input::Data(data(false, vec![7; 20_000])));
    for node in &mut nodes[1..] {
        let (mut reliable, mut lossy) = (Vec::new(), None);
        while reliable.len() < 200 || lossy.is_none() {
            let of = |event: &MeshEvent| match event {
                MeshEvent::Rooms(Event::Data(data)) => Some((data.reliable, data.packet.clone())),
                _ => None,
            };
            match node.until(of).await {
                (true, packet) => reliable.push(packet[0]),
                (false, packet) => lossy = Some(packet),
            }
        }
        assert_eq!(reliable, (0..200).collect::<Vec<u8>>());
        assert_eq!(lossy, Some(Bytes::from(vec![7; 20_000])));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_is_gone_at_once() {
    let mut nodes = three().await;
    let leaver = nodes.pop().unwrap();
    let begun = Instant::now();
    leaver.mesh.shutdown().await;
    for node in &nodes {
        node.until_nodes(2).await;
    }
    println!("after {:?}", begun.elapsed());
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_without_a_word_is_noticed_within_seconds() {
    let any = ([127, 0, 0, 1], 0).into();
    let node = TestNode::try_start(0, any, &[], node::SECRET).unwrap();
    let proxy = Proxy::to(node.mesh.address()).await;
    let other = TestNode::try_start(1, any, &[proxy.address], node::SECRET).unwrap();
    node.until_nodes(2).await;
    other.until_nodes(2).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(node.mesh.nodes().len(), 2);
    let begun = Instant::now();
    proxy.cut();
    node.until_nodes(1).await;
    other.until_nodes(1).await;
    println!("after {:?}", begun.elapsed());
    assert!(begun.elapsed() < 6 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = TestNode::try_start(0, address, &[], node::SECRET).err().expect("the port is taken");
    assert!(error.to_string().starts_with(&format!("cannot open the mesh's UDP address {address}")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_all_dial_each_other_at_once_keep_one_connection_of_each_kind() {
    // Each is a seed of each.
    let sockets: Vec<_> = (0..3).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    drop(sockets);
    let mut nodes = Vec::new();
    for (number, address) in addresses.iter().enumerate() {
        nodes.push(TestNode::try_start(number, *address, &addresses, node::SECRET).unwrap());
    }
    for node in &mut nodes {
        node.until_nodes(3).await;
        node.enter().await;
    }
    tokio::time::sleep(SECOND).await;
    nodes[2].mesh.ask(Input::Publish(participant("ada", &[])));
    for node in &mut nodes[..2] {
        let known = |event: &MeshEvent| matches!(event, MeshEvent::Rooms(Event::ParticipantChanged(_))).then_some(());
        node.until(known).await;
    }
}
