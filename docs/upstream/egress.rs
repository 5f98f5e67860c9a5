//! What str0m takes to send: packets are written in bursts to many connected viewers and polled; nothing goes to a socket.
//!
//! `cargo run --release --example egress -- <viewers> <sections>` prints nanoseconds of this thread's processor time a
//! packet for each section, and bytes resident for each viewer at the end. To compare two builds, run them in turn.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

const SERVER: ([u8; 4], u16) = ([127, 0, 0, 1], 5_000);
const BURST: u64 = 8;
const BURSTS_PER_SECTION: u64 = 60;
const FRAME: Duration = Duration::from_millis(33);

struct Pair {
    server: Rtc,
    client: Rtc,
    address: SocketAddr,
    mid: Option<Mid>,
    up: u32,
}

impl Pair {
    fn new(number: u16, now: Instant) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 6_000 + number));
        let mut server = Rtc::builder().set_rtp_mode(true).set_ice_lite(true).build(now);
        let mut client = Rtc::builder().set_rtp_mode(true).build(now);
        server.add_local_candidate(Candidate::host(SERVER.into(), "udp").unwrap());
        client.add_local_candidate(Candidate::host(address, "udp").unwrap());
        let mut api = client.sdp_api();
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = api.apply().unwrap();
        let answer = server.sdp_api().accept_offer(offer).unwrap();
        let answer = SdpAnswer::from_sdp_string(&answer.to_sdp_string()).unwrap();
        client.sdp_api().accept_answer(pending, answer).unwrap();
        Self { server, client, address, mid: None, up: 0 }
    }

    /// Time passes for both, and what they say is exchanged.
    fn talk(&mut self, now: Instant) {
        let mut wire: VecDeque<(bool, Vec<u8>)> = VecDeque::new();
        self.server.handle_input(Input::Timeout(now)).unwrap();
        self.client.handle_input(Input::Timeout(now)).unwrap();
        loop {
            for (from_server, rtc) in [(true, &mut self.server), (false, &mut self.client)] {
                loop {
                    match rtc.poll_output().unwrap() {
                        Output::Transmit(transmit) => wire.push_back((from_server, transmit.contents.to_vec())),
                        Output::Event(Event::MediaAdded(media)) if from_server => self.mid = Some(media.mid),
                        Output::Event(Event::Connected) => self.up += 1,
                        Output::Event(_) => {}
                        Output::Timeout(_) => break,
                    }
                }
            }
            let Some((from_server, datagram)) = wire.pop_front() else { return };
            let (rtc, source, destination) = match from_server {
                true => (&mut self.client, SERVER.into(), self.address),
                false => (&mut self.server, self.address, SERVER.into()),
            };
            let receive = Receive::new(Protocol::Udp, source, destination, &datagram).unwrap();
            rtc.handle_input(Input::Receive(now, receive)).unwrap();
        }
    }

    /// A burst is written and polled; what comes out is thrown away.
    fn send(&mut self, now: Instant, first: u64, payload: &Arc<[u8]>) -> u64 {
        let mid = self.mid.expect("negotiated");
        let pt = self.server.media(mid).unwrap().remote_pts()[0];
        let mut api = self.server.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).expect("sends");
        for at in 0..BURST {
            let write = RtpWrite::new(pt, (first + at).into(), (first / BURST) as u32 * 3_000, now, payload.clone());
            stream.write_rtp(write.marker(at + 1 == BURST).nackable(true));
        }
        self.server.handle_input(Input::Timeout(now)).unwrap();
        let mut sent = 0;
        loop {
            match self.server.poll_output().unwrap() {
                Output::Transmit(transmit) => sent += u64::from(transmit.contents.len() > 1_000),
                Output::Event(_) => {}
                Output::Timeout(_) => return sent,
            }
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u16>().expect("a number"));
    let (viewers, sections) = (arguments.next().unwrap_or(50), arguments.next().unwrap_or(5));
    let mut now = Instant::now();
    let mut pairs: Vec<Pair> = (0..viewers).map(|number| Pair::new(number, now)).collect();
    while pairs.iter().any(|pair| pair.up < 2 || pair.mid.is_none()) {
        now += Duration::from_millis(5);
        pairs.iter_mut().for_each(|pair| pair.talk(now));
    }
    let payload: Arc<[u8]> = vec![7; 1_150].into();
    let (before, mut sequence) = (resident(), 1);
    for section in 0..sections {
        let (mut sent, mut cpu) = (0, Duration::ZERO);
        for burst in 0..BURSTS_PER_SECTION {
            now += FRAME;
            let begin = thread_time();
            for pair in &mut pairs {
                sent += pair.send(now, sequence, &payload);
            }
            cpu += thread_time() - begin;
            sequence += BURST;
            if burst % 15 == 0 {
                pairs.iter_mut().for_each(|pair| pair.talk(now));
            }
        }
        println!("section {section}: {:.0} ns a packet, {sent} packets", cpu.as_nanos() as f64 / sent as f64);
    }
    println!("{} bytes resident more for each viewer", (resident() - before) / u64::from(viewers));
}

/// Processor time of this thread (Linux).
fn thread_time() -> Duration {
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanos: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    }
    const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
    let mut time = Timespec { seconds: 0, nanos: 0 };
    // SAFETY: the pointer is to a live value of the kernel's layout on 64-bit Linux.
    unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.seconds as u64, time.nanos as u32)
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}
