//! What str0m tells of a connection, in words that do not name it.

use std::time::Instant;

use bytes::Bytes;
use origo_cascade_core::link::Packet;
use str0m::bwe::BweKind;
use str0m::rtp::RtpPacket;
use str0m::{Event, IceConnectionState};

use super::{ICE_PATIENCE, Mid, PAYLOAD_BYTES_MAX, Peer, header};
use crate::media::Channel;
use crate::media::codec::Codec;
use crate::media::own::Own;
use crate::media::quality::Measured;

/// What happens on a connection.
pub(in crate::media) enum PeerEvent {
    /// ICE and DTLS are up, media being protected by this SRTP profile.
    Connected(&'static str),
    /// The client closed it, or ICE was down for too long.
    Closed(&'static str),
    /// RTP of a client's track.
    Rtp(Inbound),
    /// A client's sender report.
    SenderReport { mid: Mid, rid: Option<Rid>, ntp: u64, rtp: u32 },
    /// The client cannot decode what this section carries.
    KeyframeRequest(Mid),
    /// What the way to the client carries, in bits per second.
    Estimate(u64),
    /// A message on one of the data channels.
    Data(Channel, Bytes),
    /// Both data channels are open.
    ChannelsOpen,
    /// Something else that is not for us, to be counted.
    Ignored(&'static str, &'static str),
    /// More NACKs were seen: (received, sent).
    Nacks(u64, u64),
}

/// A simulcast layer's name.
pub(in crate::media) type Rid = str0m::media::Rid;

/// An RTP packet from a client.
pub(in crate::media) struct Inbound {
    /// Its stream, retransmissions mapped back.
    pub ssrc: u32,
    pub(super) payload_type: u8,
    /// When the client sent it, by its own clock.
    pub sent: Option<Instant>,
    /// Without what this hop gave it; `key` and `redundant` are not known yet.
    pub packet: Packet,
}

impl Peer {
    pub(super) fn event(&mut self, now: Instant, event: Event) -> Option<PeerEvent> {
        Some(match event {
            Event::Connected => {
                self.connected = true;
                PeerEvent::Connected(self.profile)
            }
            Event::IceConnectionStateChange(state) => {
                // Before it was up for the first time str0m may report it down and up again as candidates come.
                let down = self.connected && state == IceConnectionState::Disconnected;
                self.lost_at = down.then(|| self.lost_at.unwrap_or(now + ICE_PATIENCE));
                return None;
            }
            // We take it ourselves, once we know from str0m which stream it is of.
            Event::RtpPacket(_) if self.own.is_some() => return None,
            Event::RtpPacket(packet) => inbound(packet),
            Event::SenderFeedback(feedback) => PeerEvent::SenderReport {
                mid: feedback.mid,
                rid: feedback.rid,
                ntp: header::ntp(feedback.sender_info.ntp_time),
                rtp: feedback.sender_info.rtp_time.numer() as u32,
            },
            Event::KeyframeRequest(request) => PeerEvent::KeyframeRequest(request.mid),
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) if self.own.is_none() => {
                PeerEvent::Estimate(estimate.as_u64())
            }
            Event::ChannelOpen(id, label) => {
                self.data_at = now;
                if !self.channels.opened(&mut self.rtc, id, &label) {
                    return None;
                }
                self.flush_channels();
                if !self.channels.all_open() {
                    return None;
                }
                PeerEvent::ChannelsOpen
            }
            Event::ChannelData(data) => {
                self.data_at = now;
                match self.channels.channel(data.id) {
                    Some(channel) => PeerEvent::Data(channel, data.data.into()),
                    None => PeerEvent::Ignored("data", "unknown channel"),
                }
            }
            Event::ChannelClose(id) => {
                self.channels.closed(id);
                return None;
            }
            Event::ChannelBufferedAmountLow(_) => match self.flush_channels() {
                0 => return None,
                _ => PeerEvent::Ignored("data", "refused"),
            },
            Event::PeerStats(stats) => {
                let mut own = self.own.as_deref_mut();
                let came = own.as_mut().map(|own| own.came());
                let own = own.as_deref();
                self.meter.jitter_ms(came.map_or(0.0, |came| came.jitter_ms), own.map_or(0.0, Own::jitter_ms));
                self.meter.measured(Measured {
                    at: stats.timestamp,
                    bytes_in: came.map_or(stats.bytes_rx, |came| came.bytes),
                    bytes_out: stats.bytes_tx + own.map_or(0, Own::bytes),
                    loss_in: came.map_or(stats.ingress_loss_fraction, |came| came.loss),
                    loss_out: own.and_then(Own::loss).or(stats.egress_loss_fraction),
                    rtt: own.and_then(Own::rtt).or(stats.rtt),
                });
                return None;
            }
            // We read what the client says and sends by ourselves, and count it there.
            Event::MediaEgressStats(_) | Event::MediaIngressStats(_) if self.own.is_some() => return None,
            Event::MediaEgressStats(stats) => {
                let jitter = stats.remote.as_ref().map_or(0, |remote| remote.jitter);
                self.meter.jitter(false, jitter, self.clock_rate(stats.mid));
                self.new_nacks((stats.mid, stats.rid), stats.nacks, 0)?
            }
            Event::MediaIngressStats(stats) => {
                self.meter.jitter(true, stats.jitter, self.clock_rate(stats.mid));
                self.new_nacks((stats.mid, stats.rid), 0, stats.nacks)?
            }
            Event::Closed => PeerEvent::Closed("closed by the client"),
            _ => return None,
        })
    }

    /// RTP ticks in a second of a section.
    pub(super) fn clock_rate(&self, mid: Mid) -> u32 {
        let is_audio = self.rtc.media(mid).is_some_and(|media| media.kind() == str0m::media::MediaKind::Audio);
        if is_audio { Codec::Opus.clock_rate() } else { Codec::Vp8.clock_rate() }
    }

    fn new_nacks(&mut self, layer: (Mid, Option<Rid>), received: u64, sent: u64) -> Option<PeerEvent> {
        let seen = self.nacks.entry(layer).or_default();
        let new = (received.saturating_sub(seen.0), sent.saturating_sub(seen.1));
        *seen = (seen.0.max(received), seen.1.max(sent));
        (new != (0, 0)).then_some(PeerEvent::Nacks(new.0, new.1))
    }
}

fn inbound(packet: RtpPacket) -> PeerEvent {
    if packet.payload.len() > PAYLOAD_BYTES_MAX {
        return PeerEvent::Ignored("rtp", "oversized");
    }
    PeerEvent::Rtp(Inbound {
        ssrc: *packet.header.ssrc,
        payload_type: *packet.header.payload_type,
        sent: packet.header.ext_vals.abs_send_time,
        packet: Packet {
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            key: false,
            redundant: false,
            skipped: 0,
            extensions: header::read(&packet.header.ext_vals),
            payload: packet.payload,
            arrived: packet.timestamp,
        },
    })
}
