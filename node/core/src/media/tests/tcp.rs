//! Clients whose network lets no UDP through.

use super::world::World;
use crate::media::sdp::Sdp;
use crate::media::{Direction, Kind, Target, Via};

#[test]
fn who_is_to_use_tcp_is_told_no_other_address() {
    let mut world = World::new();
    world.tcp_only = true;
    let client = world.join(true);
    world.run_ms(500);
    let answer = &world.clients[client].last_answer;
    assert!(answer.contains(" tcp ") && !answer.contains(" udp "), "{answer}");
}

#[test]
fn media_flows_between_clients_that_have_tcp_alone() {
    let mut world = World::over_tcp();
    let (publisher, viewer) = (world.join(true), world.join(false));
    world.run_ms(500);
    assert!(world.is_connected(publisher, Target::Publisher));
    assert!(world.is_connected(viewer, Target::Subscriber));
    let answer = Sdp::parse(&world.clients[publisher].last_answer).unwrap().to_string();
    assert!(answer.contains(" tcp ") && answer.contains("tcptype passive"), "{answer}");

    let audio = world.publish(publisher, 'a', "audio/opus", &[]);
    world.run_ms(100);
    world.subscribe(viewer, 'a', "audio/opus", 1);
    world.run_ms(500);
    for sequence in 0..10 {
        world.send(publisher, audio, None, sequence, sequence as u32 * 960, &[7; 80]);
        world.run_ms(20);
    }
    assert_eq!(world.received(viewer, 'a').len(), 10);
    let stats = world.worker.stats();
    assert_eq!(stats.rtp(Direction::In, Kind::Audio, Via::Client).packets, 10);
    assert_eq!(stats.dropped_count("datagram", "unknown source"), 0);
}
