//! One connection of a client: str0m, and what it heard.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use str0m::change::SdpPendingOffer;
use str0m::channel::ChannelId;
use str0m::net::TcpType;
use str0m::rtp::RtpPacket;
use str0m::rtp::rtcp::SenderInfo;
use str0m::{Candidate, Event as RtcEvent, Output as RtcOutput, Rtc};

use crate::media::Transport;

/// One connection of a client.
pub struct Connection {
    pub rtc: Rtc,
    pub address: SocketAddr,
    /// As which address others see it.
    pub public: SocketAddr,
    pub packets: Vec<RtpPacket>,
    pub channels: BTreeMap<String, ChannelId>,
    pub messages: Vec<(String, Vec<u8>)>,
    pub keyframes_asked: Vec<Option<String>>,
    pub sender_reports: Vec<SenderInfo>,
    pub pending: Option<SdpPendingOffer>,
    pub connected: bool,
}

impl Connection {
    pub fn new(now: Instant, port: u16, transport: Transport, (redundancy, vp9): (bool, bool)) -> Self {
        let builder = Rtc::builder().set_rtp_mode(true).enable_opus(true, redundancy).enable_vp9(vp9);
        let mut rtc = builder.build(now);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let candidate = match transport {
            Transport::Udp => Candidate::host(address, "udp"),
            Transport::Tcp => Candidate::builder().tcp().host(address).tcptype(TcpType::Active).build(),
        };
        rtc.add_local_candidate(candidate.unwrap());
        Self {
            rtc,
            address,
            public: address,
            packets: Vec::new(),
            channels: BTreeMap::new(),
            messages: Vec::new(),
            keyframes_asked: Vec::new(),
            sender_reports: Vec::new(),
            pending: None,
            connected: false,
        }
    }

    /// Its payload type of sound with redundancy, if that is agreed on.
    pub fn redundant_type(&self) -> Option<u8> {
        self.rtc.codec_config().params().iter().find_map(|params| params.red()).map(|red| *red)
    }

    /// Hands out what is to be sent, and notes what came.
    pub fn poll(&mut self, out: &mut VecDeque<(SocketAddr, Vec<u8>)>) {
        loop {
            match self.rtc.poll_output().unwrap() {
                RtcOutput::Timeout(_) => return,
                RtcOutput::Transmit(transmit) => out.push_back((self.public, transmit.contents.to_vec())),
                RtcOutput::Event(event) => self.event(event),
            }
        }
    }

    fn event(&mut self, event: RtcEvent) {
        match event {
            RtcEvent::Connected => self.connected = true,
            RtcEvent::RtpPacket(packet) => self.packets.push(packet),
            RtcEvent::ChannelOpen(id, label) => drop(self.channels.insert(label, id)),
            RtcEvent::ChannelData(data) => {
                let label = self.channels.iter().find(|(_, id)| **id == data.id).unwrap().0.clone();
                self.messages.push((label, data.data));
            }
            RtcEvent::KeyframeRequest(request) => {
                self.keyframes_asked.push(request.rid.map(|rid| rid.to_string()));
            }
            RtcEvent::SenderFeedback(feedback) => self.sender_reports.push(feedback.sender_info),
            _ => {}
        }
    }
}
