//! One PeerConnection of a participant on str0m: negotiation as LiveKit wants it, data channels, packets in and out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, MediaKind as RtcKind, Mid, Pt, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Input, Output, Rtc, RtcConfig};

use crate::MediaKind;
use crate::light::{self, Light};
use crate::options::VideoOptions;
use crate::reception::Reception;
use crate::sections;

/// str0m asks for wake-ups a microsecond ahead now and then; a millisecond is soon enough.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// A connection that failed has nothing more to say.
const FAILED_TIMEOUT: Duration = Duration::from_secs(60);
/// Labels of LiveKit's data channels; the index is [`Peer::channels`]'.
const CHANNELS: [&str; 2] = ["_reliable", "_lossy"];

/// Why an SDP of the server cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum NegotiationError {
    /// The text is no SDP.
    #[error("the server's SDP does not parse: {0}")]
    Parse(String),
    /// str0m refuses it.
    #[error("the server's SDP is refused: {0}")]
    Refused(#[from] str0m::RtcError),
}

/// One PeerConnection.
pub(crate) struct Peer {
    rtc: Rtc,
    local: SocketAddr,
    offers: u32,
    pending: Option<SdpPendingOffer>,
    channels: [Option<ChannelId>; 2],
    receiving: Vec<Mid>,
    timeout: Instant,
    /// Receives media in str0m's place.
    pub(crate) light: Option<Light>,
}

/// What a connection brings up as it is drained.
#[expect(clippy::large_enum_variant, reason = "as str0m's own Output: a box would cost an allocation a packet")]
pub(crate) enum PeerOutput {
    Transmit(str0m::net::Transmit),
    Event(str0m::Event),
}

/// What an offer is to add.
#[derive(Default)]
pub(crate) struct Additions<'a> {
    pub(crate) receiving_audios: u32,
    pub(crate) receiving_videos: u32,
    pub(crate) channels: bool,
    /// Tracks to send: name, and layers when it is video.
    pub(crate) sending: Vec<(&'a str, Option<&'a VideoOptions>)>,
}

impl Peer {
    pub(crate) fn new(local: SocketAddr, light: bool, now: Instant) -> Result<Self, str0m::error::IceError> {
        let config = RtcConfig::new()
            .set_rtp_mode(true)
            .set_stats_interval(None)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true);
        let (mut rtc, tap) = light::build(config, now);
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
        let (offers, pending, channels, receiving) = (0, None, [None; 2], Vec::new());
        let light = light.then(|| Light::new(tap, now));
        Ok(Self { rtc, local, offers, pending, channels, receiving, timeout: now, light })
    }

    /// Whether an offer of ours waits for its answer.
    pub(crate) fn is_offering(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether we ever made an offer.
    pub(crate) fn has_offered(&self) -> bool {
        self.offers > 0
    }

    /// Makes an offer; its number and text, and the mids of the tracks to send in their order.
    pub(crate) fn offer(&mut self, add: &Additions<'_>) -> Option<(u32, String, Vec<Mid>)> {
        let mut api = self.rtc.sdp_api();
        // An answer "inactive" turns str0m's own direction; a browser's transceiver keeps wanting to receive.
        for &mid in &self.receiving {
            api.set_direction(mid, Direction::RecvOnly);
        }
        let audios = (0..add.receiving_audios).map(|_| RtcKind::Audio);
        let videos = (0..add.receiving_videos).map(|_| RtcKind::Video);
        for kind in audios.chain(videos) {
            self.receiving.push(api.add_media(kind, Direction::RecvOnly, None, None, None));
        }
        if add.channels {
            api.add_channel_with_config(channel_config(0));
            api.add_channel_with_config(channel_config(1));
        }
        let mut mids = Vec::new();
        for (cid, video) in &add.sending {
            let kind = if video.is_some() { RtcKind::Video } else { RtcKind::Audio };
            let simulcast = video.and_then(simulcast_of);
            let (stream, track) = (Some("origo".to_owned()), Some((*cid).to_owned()));
            mids.push(api.add_media(kind, Direction::SendOnly, stream, track, simulcast));
        }
        if !api.has_changes() {
            // str0m makes no offer without a change; one more section to receive on is harmless.
            self.receiving.push(api.add_media(RtcKind::Audio, Direction::RecvOnly, None, None, None));
        }
        let (offer, pending) = api.apply()?;
        self.pending = Some(pending);
        self.offers += 1;
        Some((self.offers, offer.to_sdp_string(), mids))
    }

    /// Takes the answer to our newest offer; one to an older offer is dropped.
    pub(crate) fn accept_answer(&mut self, now: Instant, id: u32, sdp: &str) -> Result<bool, NegotiationError> {
        if id != 0 && id != self.offers {
            return Ok(false);
        }
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(|error| NegotiationError::Parse(error.to_string()))?;
        let Some(pending) = self.pending.take() else { return Ok(false) };
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        self.send_nothing_where_we_receive();
        self.settle_terms(sdp);
        self.handle_timeout(now);
        Ok(true)
    }

    /// Takes the server's offer; gives our answer.
    pub(crate) fn accept_offer(&mut self, now: Instant, sdp: &str) -> Result<String, NegotiationError> {
        let offer = SdpOffer::from_sdp_string(sdp).map_err(|error| NegotiationError::Parse(error.to_string()))?;
        let answer = self.rtc.sdp_api().accept_offer(offer)?;
        self.settle_terms(sdp);
        // str0m's ICE asks for no wake-up of its own until it has been told the time once.
        self.handle_timeout(now);
        Ok(answer.to_sdp_string())
    }

    /// str0m has a stream to send for each section that we offered, and reports on it every second though it sends nothing.
    /// A browser does not where it only receives.
    fn send_nothing_where_we_receive(&mut self) {
        let mut api = self.rtc.direct_api();
        for &mid in &self.receiving {
            let unused = api.stream_tx_by_mid(mid, None).map(|stream| stream.ssrc());
            unused.map(|ssrc| api.remove_stream_tx(ssrc));
        }
    }

    /// Tells the light receiver what clear headers mean from now on.
    fn settle_terms(&mut self, sdp: &str) {
        if let Some(light) = &mut self.light {
            light.set_terms(sections::terms(sdp));
        }
    }

    /// When something is due: of str0m or of the light receiver.
    pub(crate) fn timeout(&self) -> Instant {
        let light = self.light.as_ref().and_then(Light::timeout);
        light.map_or(self.timeout, |at| at.min(self.timeout))
    }

    /// The light receiver's feedback, when it is due.
    pub(crate) fn feedback(&mut self, now: Instant, receptions: &[Reception]) -> Option<Transmit> {
        let (destination, sealed) = self.light.as_mut()?.poll(now, receptions)?;
        Some(Transmit { proto: Protocol::Udp, source: self.local, destination, contents: sealed.into() })
    }

    /// Adds a candidate of the server; one that does not parse is no harm.
    pub(crate) fn add_candidate(&mut self, candidate: &str) {
        if let Ok(candidate) = Candidate::from_sdp_string(candidate) {
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// Takes a datagram; false when it is not for this connection.
    pub(crate) fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> bool {
        let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, datagram) else { return false };
        self.rtc.handle_input(Input::Receive(now, receive)).is_ok()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        // An error means that the connection is over: poll_output tells.
        let _ = self.rtc.handle_input(Input::Timeout(now));
    }

    /// Everything that the connection has to say; an error ends it.
    pub(crate) fn drain(&mut self, now: Instant, out: &mut VecDeque<PeerOutput>) -> Result<(), str0m::RtcError> {
        self.timeout = now + FAILED_TIMEOUT;
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.timeout = at.max(now + TIMEOUT_MIN);
                    return Ok(());
                }
                Output::Transmit(transmit) => out.push_back(PeerOutput::Transmit(transmit)),
                Output::Event(event) => out.push_back(PeerOutput::Event(event)),
            }
        }
    }

    /// When str0m wants to be told the time.
    pub(crate) fn rtc_timeout(&self) -> Instant {
        self.timeout
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// Notes an open channel; whether both are open now.
    pub(crate) fn channel_opened(&mut self, id: ChannelId, label: &str) -> bool {
        if let Some(index) = CHANNELS.iter().position(|known| *known == label) {
            self.channels[index] = Some(id);
        }
        self.channels.iter().all(Option::is_some)
    }

    /// Whether a message on this channel came on the reliable one.
    pub(crate) fn is_reliable(&self, id: ChannelId) -> bool {
        self.channels[0] == Some(id)
    }

    /// Sends a message; false when the channel is not open or full.
    pub(crate) fn send_data(&mut self, reliable: bool, message: &[u8]) -> bool {
        let Some(id) = self.channels[usize::from(!reliable)] else { return false };
        let Some(mut channel) = self.rtc.channel(id) else { return false };
        channel.write(true, message).unwrap_or(false)
    }

    /// The payload type that a negotiated section sends with.
    pub(crate) fn payload_type(&self, mid: Mid, kind: MediaKind) -> Option<Pt> {
        let media = self.rtc.media(mid)?;
        let is_ours = |params: &&str0m::format::PayloadParams| {
            media.remote_pts().contains(&params.pt()) && params.spec().codec.is_video() == (kind == MediaKind::Video)
        };
        self.rtc.codec_config().iter().find(is_ours).map(|params| params.pt())
    }

    /// Writes one packet of a track that we send.
    pub(crate) fn write(&mut self, mid: Mid, rid: Option<str0m::media::Rid>, rtp: str0m::rtp::RtpWrite) {
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, rid) {
            stream.write_rtp(rtp);
        }
    }

    /// The section that an incoming stream belongs to.
    pub(crate) fn mid_of(&mut self, ssrc: str0m::rtp::Ssrc) -> Option<Mid> {
        self.rtc.direct_api().stream_rx(&ssrc).map(|stream| stream.mid())
    }
}

fn channel_config(index: usize) -> ChannelConfig {
    let lossy = index == 1;
    let reliability = if lossy { Reliability::MaxRetransmits { retransmits: 0 } } else { Reliability::Reliable };
    ChannelConfig { label: CHANNELS[index].to_owned(), ordered: !lossy, reliability, ..Default::default() }
}

fn simulcast_of(options: &VideoOptions) -> Option<Simulcast> {
    let mut simulcast = Simulcast::new();
    for rid in options.layers.iter().filter_map(|layer| layer.rid) {
        simulcast.add_send_layer(SimulcastLayer::new(rid));
    }
    options.layers.iter().any(|layer| layer.rid.is_some()).then_some(simulcast)
}
