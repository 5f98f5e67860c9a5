//! A node without the room passes media on, over real links.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade::MeshEvent;
use origo_cascade_core::link::{Class, Flow, Received, Send};
use origo_cascade_core::route::{Edge, Plan, Problem, RelayPolicy};
use origo_cascade_core::{Event, Forward, Input, LayerSet};

use crate::node::{SECRET, TestNode, packet, participant, room, track};

/// Everybody hangs at the node of a region, whether it has the room or not.
#[derive(Debug)]
struct Through(&'static str);

impl RelayPolicy for Through {
    fn name(&self) -> &'static str {
        "through"
    }

    fn plan(&self, problem: &Problem<'_>) -> Plan {
        let mut plan = Plan::default();
        let Some(relay) = problem.map.nodes().find(|node| node.region == self.0).map(|node| node.id) else {
            return plan;
        };
        let edge = |parent: NodeId, path: Vec<NodeId>| {
            let (delay, why) = (Duration::ZERO, "for the test".to_owned());
            Edge { parent, backup: None, path, delay, why }
        };
        plan.edges.insert(relay, edge(problem.origin, vec![problem.origin]));
        for member in problem.members.keys().filter(|member| **member != relay && **member != problem.origin) {
            plan.edges.insert(*member, edge(relay, vec![problem.origin, relay]));
        }
        plan
    }
}

/// What a worker of the origin does: sends to whom it was told to.
#[derive(Default)]
struct Worker {
    serves: Vec<(NodeId, Flow)>,
    sent: u64,
}

impl Worker {
    /// For that many milliseconds a packet each to everybody.
    async fn run(&mut self, node: &mut TestNode, packets: u64) {
        for _ in 0..packets {
            for event in node.events_at_hand() {
                match event {
                    MeshEvent::Forward(_, Forward::Serve { to, flow, .. }) => self.serves.push((to, flow)),
                    MeshEvent::Forward(_, Forward::StopServe { to, flow, .. }) => {
                        self.serves.retain(|serve| *serve != (to, flow));
                    }
                    _ => {}
                }
            }
            let send = |&(to, flow): &(NodeId, Flow)| {
                let (class, packet) = (Class::Base, packet(self.sent));
                Send::Packet { to, flow, class, packet }
            };
            node.mesh.links().send(self.serves.iter().map(send).collect());
            self.sent += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_without_the_room_carries_one_copy_on_each_link_and_its_worker_gets_nothing() {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let mut nodes: Vec<TestNode> = Vec::new();
    for number in 0..4 {
        let seeds: Vec<SocketAddr> = nodes.first().map(|node| node.mesh.address()).into_iter().collect();
        nodes.push(TestNode::start_with(number, any, &seeds, SECRET, Arc::new(Through("region 1"))).unwrap());
    }
    for node in &nodes {
        node.until_nodes(4).await;
        node.until_links(3).await;
    }
    for number in [0, 2, 3] {
        nodes[number].enter().await;
    }
    nodes[0].mesh.ask(Input::Publish(participant("ada", &[1])));
    for number in [2, 3] {
        let known = |event: &MeshEvent| matches!(event, MeshEvent::Rooms(Event::ParticipantChanged(_))).then_some(());
        nodes[number].until(known).await;
        nodes[number].mesh.ask(Input::Want { room: room(), track: track(1), layers: LayerSet::only(0) });
    }
    let mut worker = Worker::default();
    worker.run(&mut nodes[0], 3000).await;
    let relay = nodes[1].id;
    assert_eq!(worker.serves.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [relay], "one copy leaves the origin");
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (from, to, copies) in [(0, 1, 1), (1, 2, 1), (1, 3, 1), (0, 2, 0), (0, 3, 0), (2, 3, 0)] {
        assert_eq!(nodes[from].copies_to(nodes[to].id), copies, "from {from} to {to}");
    }
    for number in [2, 3] {
        let received = nodes[number].received_at_hand();
        let numbers: Vec<u64> = received.iter().filter_map(sequence).collect();
        let unique: BTreeSet<u64> = numbers.iter().copied().collect();
        assert_eq!(unique.len(), numbers.len(), "node {number}: some came twice");
        let (first, last) = (*unique.first().unwrap(), *unique.last().unwrap());
        let missing: Vec<u64> = (first..=last).filter(|number| !unique.contains(number)).collect();
        assert!(missing.is_empty(), "node {number} misses {missing:?} of {first} to {last}");
        assert_eq!(last as u16, (worker.sent - 1) as u16);
    }
    assert!(nodes[1].received_at_hand().is_empty(), "the relay's worker");
}

fn sequence(received: &Received) -> Option<u64> {
    match received {
        Received::Packet { packet, .. } => Some(packet.sequence),
        _ => None,
    }
}
