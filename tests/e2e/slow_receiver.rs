//! A receiver whose path is too narrow for the reliable data of its room.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use origo_client::proto::data_packet::Value;
use origo_client::proto::{DisconnectReason, leave_request::Action};
use origo_client::{Event, Fleet, Options, Participant};
use origo_tests::node::{Node, free_block};
use origo_tests::process;
use origo_tests::proxy::Proxy;

const WAIT: Duration = Duration::from_secs(30);
/// In all 12 MB: more than a node holds for one client.
const MESSAGES: u32 = 200;
const MESSAGE_BYTES: usize = 60_000;
/// Between two messages: 3 MB/s are little for a busy machine too.
const STEP: Duration = Duration::from_millis(20);
const SLOW_BYTES_PER_SECOND: u64 = 100_000;

/// A node on loopback, and another whose clients and peers reach it by ways that can be narrowed.
fn nodes() -> (Node, Node, Proxy, Proxy) {
    let origo = process::origo().unwrap();
    let first = Node::start(&origo, &["--workers", "1"]).unwrap();
    let port = free_block().unwrap();
    let [inside, outside] = [6, 7].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let way = |offset| {
        Proxy::start(SocketAddr::from((outside, port + offset)), SocketAddr::from((inside, port + offset))).unwrap()
    };
    let (for_nodes, for_clients) = (way(1), way(3));
    let seeds = format!("127.0.0.1:{}", first.port + 1);
    let flags = ["--advertise", &outside.to_string(), "--workers", "1", "--seeds", &seeds];
    let second = Node::start_at(&origo, &inside.to_string(), port, &flags).unwrap();
    (first, second, for_nodes, for_clients)
}

async fn join(fleet: &Fleet, node: &Node, identity: &str) -> Participant {
    fleet.connect(&node.url(), &node.token("narrow", identity), Options::v1()).await.unwrap()
}

fn number_in(event: &Event) -> Option<u32> {
    let Event::Data { reliable: true, packet } = event else { return None };
    let Some(Value::User(user)) = &packet.value else { return None };
    Some(u32::from_be_bytes(user.payload[..4].try_into().ok()?))
}

#[tokio::test]
async fn a_receiver_on_a_narrow_path_is_told_to_join_anew_and_the_others_get_everything_in_order() {
    let (first, second, _for_nodes, for_clients) = nodes();
    let fleet = Fleet::start().unwrap();
    let mut quick = join(&fleet, &first, "quick").await;
    let mut slow = join(&fleet, &second, "slow").await;
    let sender = join(&fleet, &first, "sender").await;
    let knows_sender = |event: &Event| match event {
        Event::Participants(infos) => infos.iter().any(|info| info.identity == "sender").then_some(()),
        _ => None,
    };
    slow.wait_for(WAIT, knows_sender).await.expect("the nodes find each other");

    for_clients.narrow(SLOW_BYTES_PER_SECOND);
    for number in 0..MESSAGES {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(MESSAGE_BYTES, 7);
        sender.send_data(true, "numbers", &payload);
        tokio::time::sleep(STEP).await;
    }
    for number in 0..MESSAGES {
        assert_eq!(quick.wait_for(WAIT, number_in).await, Some(number));
    }

    let mut next = 0;
    let leave = loop {
        let event = slow.wait_for(WAIT, |event| Some(event.clone())).await.expect("it is told");
        if let Event::Leave(leave) = event {
            break leave;
        }
        if let Some(number) = number_in(&event) {
            assert_eq!(number, next, "what came before is whole");
            next += 1;
        }
    };
    assert_eq!((leave.action(), leave.reason()), (Action::Reconnect, DisconnectReason::StateMismatch));
    assert!(next < MESSAGES, "it had {next} of {MESSAGES} by then");
}
