//! How our side of a WebRTC connection is set up: addresses, codecs, header extensions, bounds.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::config::DtlsVersion;
use str0m::net::{Protocol, TcpType};
use str0m::rtp::Extension;
use str0m::{Candidate, Rtc, RtcConfig};

use super::header::{DEPENDENCY_DESCRIPTOR_URI, DescriptorSerializer};
use super::profile;
use crate::media::{Egress, OpenSession, Sections, Transport};

/// Bytes that SCTP buffers for all channels of a connection; what does not fit waits in our own queue.
pub(super) const SCTP_BUFFER_BYTES: usize = 512 * 1024;
/// The largest data message taken, told as `max-message-size`. LiveKit's SDKs send 64 000 bytes at most; a stream
/// chunk with its envelope is a little more.
pub(super) const MESSAGE_BYTES_MAX: u32 = 256 * 1024;
/// Where the bandwidth estimate begins: enough for a first picture at once, little enough for a mobile network.
pub(super) const FIRST_ESTIMATE: Bitrate = Bitrate::kbps(1_500);
/// How often a connection tells how many NACKs it saw.
const STATS_INTERVAL: Duration = Duration::from_secs(5);
/// Packets kept for retransmission: three seconds of a 2.5 Mbit/s layer.
const RESEND_PACKETS: usize = 1_000;

/// What all connections of a worker share.
#[derive(Clone, Debug)]
pub(in crate::media) struct Setup {
    /// Addresses that clients are told.
    pub addresses: Vec<SocketAddr>,
    /// Addresses that clients without UDP are told.
    pub tcp_addresses: Vec<SocketAddr>,
    /// Estimate bandwidth and pace on connections that send.
    pub bwe: bool,
    /// Which way packets leave.
    pub egress: Egress,
    /// Sounds that a client gets at once; 0 for all.
    pub loudest: usize,
    /// For how many sounds and pictures a client has sections.
    pub sections: Sections,
}

impl Setup {
    /// Whether a connection's media go by our own way, if its profile allows.
    pub fn goes_own_way(&self) -> bool {
        self.egress == Egress::Own
    }
}

/// A fresh connection that says nothing yet.
pub(super) fn build(setup: &Setup, open: &OpenSession, sends: bool, now: Instant) -> Rtc {
    let mut config = RtcConfig::new()
        .set_crypto_provider(profile::provider())
        .set_rtp_mode(true)
        .set_ice_lite(open.ice_lite)
        .set_dtls_version(DtlsVersion::Dtls12)
        .clear_codecs()
        .enable_opus(true, true)
        .enable_vp8(true)
        .enable_h264(true)
        .enable_vp9(true)
        .enable_av1(true)
        .set_send_buffer_video(RESEND_PACKETS)
        .set_stats_interval(Some(STATS_INTERVAL))
        .set_sctp_max_buffered_amount(SCTP_BUFFER_BYTES)
        .set_sctp_max_message_size(MESSAGE_BYTES_MAX)
        .set_extension(5, Extension::PlayoutDelay)
        .set_extension(6, Extension::AbsoluteCaptureTime)
        .set_extension(12, Extension::with_serializer(DEPENDENCY_DESCRIPTOR_URI, DescriptorSerializer));
    if setup.bwe && sends {
        config = config.enable_bwe(Some(FIRST_ESTIMATE));
    }
    let mut rtc = config.build(now);
    let tcp_only = open.tcp_only && !setup.tcp_addresses.is_empty();
    let udp = setup.addresses.iter().filter(|_| !tcp_only);
    let udp = udp.map(|&address| (address, Candidate::host(address, "udp")));
    let tcp = setup
        .tcp_addresses
        .iter()
        .map(|&address| (address, Candidate::builder().tcp().host(address).tcptype(TcpType::Passive).build()));
    for (address, candidate) in udp.chain(tcp) {
        match candidate {
            Ok(candidate) => drop(rtc.add_local_candidate(candidate).is_some()),
            Err(error) => tracing::warn!(%address, %error, "address cannot be advertised"),
        }
    }
    rtc
}

/// str0m's word for it.
pub(super) fn protocol(transport: Transport) -> Protocol {
    match transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
    }
}

/// We have no other candidates than these two.
pub(super) fn carrier(protocol: Protocol) -> Transport {
    if protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp }
}
