//! A viewer of the stage: a connection of str0m's that offers to receive.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// What waits to be sent, and from where.
pub type Wire = VecDeque<(SocketAddr, Vec<u8>)>;

/// A viewer.
pub struct Viewer {
    rtc: Rtc,
    address: SocketAddr,
    pending: Option<SdpPendingOffer>,
    /// ICE and DTLS are up.
    pub connected: bool,
    /// RTP packets that came.
    pub packets: u64,
}

impl Viewer {
    /// A viewer that has not said anything.
    pub fn new(address: SocketAddr, now: Instant) -> Result<Self> {
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        Ok(Self { rtc, address, pending: None, connected: false, packets: 0 })
    }

    /// Its offer: one sound, one picture, both to be received, and the data channels of LiveKit's.
    pub fn offer(&mut self) -> Result<String> {
        let mut api = self.rtc.sdp_api();
        for label in ["_reliable", "_lossy"] {
            api.add_channel(label.to_owned());
        }
        for kind in [MediaKind::Audio, MediaKind::Video] {
            api.add_media(kind, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().context("something to offer")?;
        self.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    /// Takes the answer.
    pub fn answer(&mut self, sdp: &str, wire: &mut Wire) -> Result<()> {
        let pending = self.pending.take().context("nothing was offered")?;
        self.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(sdp)?)?;
        self.poll(wire)
    }

    /// Tells the time.
    pub fn tick(&mut self, now: Instant, wire: &mut Wire) -> Result<()> {
        self.rtc.handle_input(Input::Timeout(now))?;
        self.poll(wire)
    }

    /// Takes a datagram of the worker's.
    pub fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], wire: &mut Wire) -> Result<()> {
        let receive = Receive::new(Protocol::Udp, from, self.address, datagram)?;
        self.rtc.handle_input(Input::Receive(now, receive))?;
        self.poll(wire)
    }

    fn poll(&mut self, wire: &mut Wire) -> Result<()> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(_) => return Ok(()),
                Output::Transmit(transmit) => wire.push_back((self.address, transmit.contents.to_vec())),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RtpPacket(_)) => self.packets += 1,
                Output::Event(_) => {}
            }
        }
    }
}
