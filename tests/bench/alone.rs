//! Egress alone: a worker routes, seals and sends frames of mixed sizes to as many sockets as the ceiling has.
//!
//! The packets come over a link and the viewers answer apart, in memory, so that neither ingest nor feedback is in the
//! processor time; what the worker sends of the track goes to another process's sockets, as a node's thread sends it.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use origo_node_core::media::{Egress, Transmit};
use origo_tests::stage::Stage;
use quinn_udp::{UdpSockRef, UdpSocketState};

use crate::ceiling::{BURST_PACKETS, Sink, thread_cpu_time};
use crate::report::Section;

/// The worker's clock moves by so much with each frame.
const FRAME_TIME: Duration = Duration::from_micros(4_167);
/// Viewers speak with the worker after so many bursts.
const BURSTS_BETWEEN_TALKS: u32 = 8;

/// The worker on its stage, and the process that drains what it sends.
pub struct Alone {
    stage: Stage,
    socket: UdpSocket,
    state: UdpSocketState,
    sizes: Vec<usize>,
    sink: Sink,
    sent: u64,
    bursts: u32,
}

impl Alone {
    /// Starts both. Half of a frame's packets are a byte shorter, as libwebrtc's packetizers make them of a frame that
    /// does not divide.
    pub fn start(viewers: usize, packets_per_frame: usize, packet_bytes: usize) -> Result<Self> {
        let (sink, addresses) = Sink::start(viewers)?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // As the ceiling's: who finds the buffer full waits, which takes no processor time.
        socket.set_nonblocking(false)?;
        let short = packets_per_frame / 2;
        let sizes = (0..packets_per_frame).map(|at| packet_bytes - usize::from(at < short)).collect();
        let stage = Stage::start(&addresses, Egress::Own, false).context("the stage")?;
        Ok(Self { stage, socket, state, sizes, sink, sent: 0, bursts: 0 })
    }

    /// Sends for that long; the time of waiting for the sink and of the viewers does not count.
    pub fn section(&mut self, length: Duration) -> Result<Section> {
        let began = Instant::now();
        let (sent_before, received_before) = (self.sent, self.sink.received()?);
        let mut cpu = Duration::ZERO;
        while began.elapsed() < length {
            let before = thread_cpu_time();
            for _ in 0..BURST_PACKETS.div_ceil(self.sizes.len()) {
                let Self { stage, socket, state, sizes, sent, .. } = self;
                stage.advance(FRAME_TIME);
                stage.frame(sizes, |transmit| *sent += send(socket, state, transmit));
            }
            cpu += thread_cpu_time() - before;
            self.sink.wait_for(received_before + self.sent - sent_before)?;
            self.bursts += 1;
            if self.bursts.is_multiple_of(BURSTS_BETWEEN_TALKS) {
                self.stage.pass(FRAME_TIME)?;
            }
        }
        let packets = self.sink.received()? - received_before;
        let lost = (self.sent - sent_before).saturating_sub(packets);
        Ok(Section { packets, lost, cpu, wall: began.elapsed() })
    }
}

/// As a node's thread sends. Gives how many datagrams went out, or were to.
fn send(socket: &UdpSocket, state: &UdpSocketState, transmit: &Transmit<'_>) -> u64 {
    let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
    let chunk = segment * state.max_gso_segments().max(1);
    for contents in transmit.contents.chunks(chunk) {
        let transmit = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: None,
            contents,
            segment_size: (contents.len() > segment).then_some(segment),
            src_ip: None,
        };
        // What the kernel does not take is missing at the sink.
        let _ = state.try_send(UdpSockRef::from(socket), &transmit);
    }
    transmit.contents.len().div_ceil(segment) as u64
}
