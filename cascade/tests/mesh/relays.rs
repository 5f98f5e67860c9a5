//! A node without the room passes media on, over real links.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade::MeshEvent;
use origo_cascade_core::link::{Class, Flow, Received, Send};
use origo_cascade_core::route::{Direct, Edge, Plan, Problem, RelayPolicy};
use origo_cascade_core::{Event, Forward, Input, LayerSet, Level, Overload};

use crate::node::{SECRET, TestNode, packet, participant, room, track};

/// Everybody hangs at the node of a region, whether it has the room or not, as long as that relays.
#[derive(Debug)]
struct Through(&'static str);

impl RelayPolicy for Through {
    fn name(&self) -> &'static str {
        "through"
    }

    fn plan(&self, problem: &Problem<'_>) -> Plan {
        let mut plan = Plan::default();
        let Some(relay) = problem.map.nodes().find(|node| node.region == self.0 && node.relays()) else {
            return Direct.plan(problem);
        };
        let relay = relay.id;
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
            self.follow(node);
            let send = |&(to, flow): &(NodeId, Flow)| {
                let (class, packet) = (Class::Base, packet(self.sent));
                Send::Packet { to, flow, class, packet }
            };
            node.mesh.links().send(self.serves.iter().map(send).collect());
            self.sent += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn follow(&mut self, node: &mut TestNode) {
        for event in node.events_at_hand() {
            match event {
                MeshEvent::Forward(_, Forward::Serve { to, flow, .. }) => self.serves.push((to, flow)),
                MeshEvent::Forward(_, Forward::StopServe { to, flow, .. }) => {
                    self.serves.retain(|serve| *serve != (to, flow));
                }
                _ => {}
            }
        }
    }

    /// The same until so long after nobody but these gets it straight.
    async fn run_until(&mut self, node: &mut TestNode, served: &[NodeId]) {
        let begun = std::time::Instant::now();
        while self.served() != served {
            self.run(node, 20).await;
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?} get it", self.served());
        }
        self.run(node, 300).await;
        assert_eq!(self.served(), served);
    }

    /// Who gets it straight, in their order.
    fn served(&self) -> Vec<NodeId> {
        let mut served: Vec<NodeId> = self.serves.iter().map(|(to, _)| *to).collect();
        served.sort();
        served
    }
}

/// Node 0 publishes, nodes 2 and 3 watch, and node 1 does not have the room.
async fn mesh() -> Vec<TestNode> {
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
    nodes
}

/// Each of the numbers that came has come once, and none between them is missing.
fn assert_whole(numbers: &[u64], number: usize) -> u64 {
    let unique: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(unique.len(), numbers.len(), "node {number}: some came twice");
    let (first, last) = (*unique.first().unwrap(), *unique.last().unwrap());
    let missing: Vec<u64> = (first..=last).filter(|number| !unique.contains(number)).collect();
    assert!(missing.is_empty(), "node {number} misses {missing:?} of {first} to {last}");
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_children_of_a_relay_that_is_short_of_something_move_without_a_gap_and_come_back() {
    let mut nodes = mesh().await;
    let mut worker = Worker::default();
    let straight: Vec<NodeId> = {
        let mut straight = [2, 3].map(|number: usize| nodes[number].id).to_vec();
        straight.sort();
        straight
    };
    let relay = nodes[1].id;
    let overload = |level| Overload { level, why: "cpu 96 %".into() };
    let mut came = [Vec::new(), Vec::new()];
    for (level, served) in [(Level::Shedding, vec![relay]), (Level::NotRelaying, straight), (Level::Calm, vec![relay])]
    {
        nodes[1].mesh.set_overload(overload(level));
        worker.run_until(&mut nodes[0], &served).await;
        // What is on its way comes before the next change.
        tokio::time::sleep(Duration::from_millis(500)).await;
        for (came, node) in came.iter_mut().zip(&mut nodes[2..]) {
            came.extend(node.received_at_hand().iter().filter_map(sequence));
        }
    }
    for (number, came) in (2..).zip(&came) {
        assert_eq!(assert_whole(came, number) as u16, (worker.sent - 1) as u16);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_without_the_room_carries_one_copy_on_each_link_and_its_worker_gets_nothing() {
    let mut nodes = mesh().await;
    let mut worker = Worker::default();
    worker.run(&mut nodes[0], 3000).await;
    let relay = nodes[1].id;
    assert_eq!(worker.serves.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [relay], "one copy leaves the origin");
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (from, to, copies) in [(0, 1, 1), (1, 2, 1), (1, 3, 1), (0, 2, 0), (0, 3, 0), (2, 3, 0)] {
        assert_eq!(nodes[from].copies_to(nodes[to].id), copies, "from {from} to {to}");
    }
    for number in [2, 3] {
        let numbers: Vec<u64> = nodes[number].received_at_hand().iter().filter_map(sequence).collect();
        assert_eq!(assert_whole(&numbers, number) as u16, (worker.sent - 1) as u16);
    }
    assert!(nodes[1].received_at_hand().is_empty(), "the relay's worker");
}

fn sequence(received: &Received) -> Option<u64> {
    match received {
        Received::Packet { packet, .. } => Some(packet.sequence),
        _ => None,
    }
}
