//! What a media worker allocates in a steady second: nothing for a packet that it sends, at most once for one from a link.
//!
//! The worker runs as in a node, in virtual time, with viewers that answer: a counting allocator tells what it asked for
//! by what it had to do. Feedback and timers are told too, and bounded by how often they come.

use std::net::SocketAddr;
use std::time::Duration;

use origo_node_core::media::{Direction, Egress, Kind, Via};
use origo_tests::allocator::{Counting, Counts, counted};
use origo_tests::stage::{Phase, Stage, memory};

#[global_allocator]
static COUNTING: Counting = Counting;

const VIEWERS: u16 = 20;
/// Frames each second.
const FRAMES: u32 = 100;
/// Two sizes, as packetizers make them.
const FRAME: [usize; 8] = [1_149, 1_149, 1_149, 1_149, 1_150, 1_150, 1_150, 1_150];

fn stage(egress: Egress) -> Stage {
    let addresses: Vec<SocketAddr> =
        (0..VIEWERS).map(|number| SocketAddr::from(([127, 0, 0, 1], 20_000 + number))).collect();
    Stage::start(&addresses, egress, false).expect("everybody connects")
}

/// Lets the track flow for that long.
fn flow(stage: &mut Stage, seconds: u32) {
    for _ in 0..seconds * FRAMES {
        stage.frame_to_viewers(&FRAME).expect("viewers take it");
        stage.pass(Duration::from_secs(1) / FRAMES).expect("time passes");
    }
}

#[test]
fn a_steady_second_allocates_nothing_for_a_packet_sent_and_at_most_once_for_one_from_a_link() {
    let mut stage = stage(Egress::Own);
    // Rings, histories and queues reach the size that they keep: each holds 1,024 packets.
    flow(&mut stage, 3);
    let before = sent(&stage);
    let received = stage.received();
    stage.clear_counts();
    flow(&mut stage, 1);

    let packets = FRAMES as u64 * FRAME.len() as u64;
    let out = sent(&stage) - before;
    assert_eq!(out, packets * u64::from(VIEWERS));
    assert_eq!(stage.received() - received, out, "viewers decrypt every one");
    let [link, egress, feedback, time] =
        [Phase::Link, Phase::Egress, Phase::Feedback, Phase::Time].map(|phase| stage.counts(phase).allocations);
    println!(
        "{packets} packets from a link, {out} sent: allocations link {link}, egress {egress}, feedback {feedback}, time {time}"
    );
    assert_eq!(egress, 0, "for {out} packets sent");
    assert!(link <= packets, "{link} for {packets} packets from a link");
    // What comes now and then: reports, checks, timers.
    assert!(feedback + time < out / 10, "{feedback} and {time} beside {out} packets sent");
}

fn sent(stage: &Stage) -> u64 {
    stage.stats().rtp(Direction::Out, Kind::Video, Via::Client).packets
}

/// What is asked of a viewer's memory beyond that of a connection that carries nothing.
const VIEWER_BYTES_MAX: i64 = 30_000;

#[test]
fn a_viewer_of_a_camera_takes_no_more_than_thirty_kilobytes_beyond_a_bare_connection() {
    let memory = memory::measure().expect("everybody connects");
    println!("a viewer takes {} bytes beyond the {} of a bare connection", memory.above(), memory.bare);
    assert!(memory.bare > 10_000 && memory.above() <= VIEWER_BYTES_MAX, "{memory:?}");
}

#[test]
fn the_allocator_counts_each_request_of_its_thread_and_what_is_left() {
    let (kept, counts) = counted(|| {
        std::thread::spawn(|| drop(vec![0_u8; 77])).join().expect("it ends");
        let kept = vec![0_u8; 100];
        drop(std::hint::black_box(vec![0_u8; 10]));
        kept
    });
    let Counts { allocations, bytes } = counts;
    // Starting a thread takes some of its own.
    assert!(allocations >= 2 && bytes >= kept.len() as i64, "{counts:?}");
    let ((), counts) = counted(|| {
        let mut grows = Vec::with_capacity(4);
        grows.extend([1_u64; 5]);
        std::hint::black_box(&grows);
    });
    assert_eq!(counts, Counts { allocations: 2, bytes: 0 });
}
