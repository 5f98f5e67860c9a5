//! Reliable data between two nodes while the link between them is cut, again and again.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use origo_client::proto::data_packet::Value;
use origo_client::{Event, Fleet, Options, Participant};
use origo_tests::node::{Node, free_block};
use origo_tests::process;
use origo_tests::proxy::Proxy;

const WAIT: Duration = Duration::from_secs(20);
/// Between two messages of the sender.
const STEP: Duration = Duration::from_millis(20);
/// Shorter than QUIC's patience, then longer: the connections survive the first cut and break at the second.
const CUTS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(8)];

/// A node at an address of its own, which other nodes reach by a proxy at another one.
fn node(number: u8, seeds: &str) -> (Node, Proxy, String) {
    let port = free_block().unwrap();
    let [bind, door] = [2 * number, 2 * number + 1].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let [inside, outside] = [bind, door].map(|ip| SocketAddr::from((ip, port + 1)));
    let proxy = Proxy::start(outside, inside).unwrap();
    let (bind, advertise) = (bind.to_string(), format!("{door},{bind}"));
    let flags = ["--advertise", &advertise, "--workers", "1", "--seeds", seeds];
    let flags = if seeds.is_empty() { &flags[..4] } else { &flags[..] };
    let node = Node::start_at(&process::origo().unwrap(), &bind, port, flags).unwrap();
    (node, proxy, outside.to_string())
}

async fn join(fleet: &Fleet, node: &Node, identity: &str) -> Participant {
    let token = node.token("cut", identity);
    fleet.connect(&node.url(), &token, Options::v1()).await.unwrap()
}

fn number_in(event: &Event) -> Option<u32> {
    let Event::Data { reliable: true, packet } = event else { return None };
    let Some(Value::User(user)) = &packet.value else { return None };
    Some(u32::from_be_bytes(user.payload[..4].try_into().ok()?))
}

#[tokio::test]
async fn every_reliable_message_arrives_once_and_in_order_though_the_link_is_cut_while_data_flows() {
    let (first, way_to_first, seed) = node(1, "");
    let (second, way_to_second, _) = node(2, &seed);
    let ways = [way_to_first, way_to_second];
    let fleet = Fleet::start().unwrap();
    let mut ann = join(&fleet, &first, "ann").await;
    let mut ben = join(&fleet, &second, "ben").await;
    let knows_ben = |event: &Event| match event {
        Event::Participants(infos) => infos.iter().any(|info| info.identity == "ben").then_some(()),
        _ => None,
    };
    if !ann.joined().other_participants.iter().any(|info| info.identity == "ben") {
        ann.wait_for(WAIT, knows_ben).await.expect("the nodes find each other");
    }

    let mut sent = 0_u32;
    let mut send_for = async |span: Duration| {
        let end = Instant::now() + span;
        while Instant::now() < end {
            let mut payload = sent.to_be_bytes().to_vec();
            payload.resize(4_000, 7);
            ann.send_data(true, "numbers", &payload);
            sent += 1;
            tokio::time::sleep(STEP).await;
        }
    };
    for cut in CUTS {
        send_for(Duration::from_secs(1)).await;
        ways.iter().for_each(|way| way.cut(true));
        send_for(cut).await;
        ways.iter().for_each(|way| way.cut(false));
    }
    send_for(Duration::from_secs(1)).await;

    for number in 0..sent {
        let got = ben.wait_for(WAIT, number_in).await;
        assert_eq!(got, Some(number), "of {sent}\n{}\n{}", first.process.stderr(), second.process.stderr());
    }
    assert_eq!(ben.wait_for(Duration::from_secs(2), number_in).await, None, "nothing comes twice");
}
