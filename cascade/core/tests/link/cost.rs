//! What a packet costs in the cores of both ends. Prints a figure and fails on nothing:
//! `cargo test --release -p origo-cascade-core --test link cost -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use origo_cascade_core::link::{Class, Flow, Input, Link, Output};
use origo_cascade_core::{MediaKind, TrackLayer};

use super::pair::packet;

const PACKETS: u64 = 500_000;
const FLOWS: u32 = 100;
/// 10,000 packets a second.
const INTERVAL: Duration = Duration::from_micros(100);

/// Does what both links ask for; datagrams arrive at once.
fn settle(now: Instant, links: &mut [Link; 2], wake: &mut [Instant; 2]) {
    let mut done = false;
    while !std::mem::replace(&mut done, true) {
        for side in 0..2 {
            loop {
                match links[side].poll_output() {
                    Output::Transmit(datagram) => {
                        done = false;
                        links[1 - side].handle_input(now, Input::Datagram(datagram.to_bytes().into()));
                    }
                    Output::Timeout(at) => {
                        wake[side] = at;
                        break;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// What this thread has used of a core (Linux): others on the machine do not count.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).expect("a number")
}

#[test]
#[ignore = "measures"]
fn the_cost_of_a_packet_in_both_cores() {
    let start = Instant::now();
    let mut links = [Link::new(start), Link::new(start)];
    let mut wake = [start; 2];
    let up = Input::Up { rtt: Duration::from_millis(1), rate_bps: Some(200_000_000) };
    links.iter_mut().for_each(|link| link.handle_input(start, up.clone()));
    for number in 1..=FLOWS {
        let track = format!("TR_23456789A{:03}", number + 200).replace(['0', '1'], "Z").parse();
        let layer = TrackLayer { track: track.expect("a track's id"), layer: 0 };
        let flow = Flow(number);
        links[0].handle_input(start, Input::Serve { flow, layer, kind: MediaKind::Video, in_stream: false, sink: 0 });
        links[1].handle_input(start, Input::Receive { flow, layer, sink: 0 });
    }
    let (mut now, template) = (start, packet(start, 0, 1150));
    let began = cpu_nanos();
    for number in 0..PACKETS {
        now += INTERVAL;
        let mut packet = template.clone();
        (packet.sequence, packet.arrived) = (number, now);
        let flow = Flow(number as u32 % FLOWS + 1);
        links[0].handle_input(now, Input::Packet { flow, class: Class::Base, packet });
        settle(now, &mut links, &mut wake);
        for side in 0..2 {
            if wake[side] <= now {
                links[side].handle_input(now, Input::Timeout);
            }
        }
    }
    let nanos = (cpu_nanos() - began) / PACKETS;
    println!("{nanos} ns of CPU for one packet of 1150 bytes, sent and received, copied once each");
    assert_eq!(links[1].stats().packets[1][Class::Base as usize], PACKETS);
}
