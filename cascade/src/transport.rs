//! QUIC's settings for the connections between nodes.

use std::sync::Arc;
use std::time::Duration;

use quinn::{AckFrequencyConfig, TransportConfig};

use crate::congestion::Trunk;

/// Packet size from the start, never probed: reordering on a trunk looks like a black hole to the prober, and 1200
/// bytes of RTP must fit.
const MTU: u16 = 1350;
/// For a path on which the first attempt did not get through.
const SMALL_MTU: u16 = 1250;
/// Before anything is measured. A first packet that is lost (the peer's socket is not open yet) is repeated after three
/// times this.
const INITIAL_RTT: Duration = Duration::from_millis(50);
/// Only tidies up: a peer that is silent is noticed by gossip and by its reports.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// A stall's worth: what the link holds back waits in the link, where it can still be dropped by its class.
pub(crate) const DATAGRAM_SEND_BUFFER: usize = 256 << 10;
const DATAGRAM_RECEIVE_BUFFER: usize = 4 << 20;
/// Streams that a peer may have open: its publishers of reliable data, and gossip.
const UNI_STREAMS: u32 = 1024;
/// Unsent stream bytes on a media connection: an unpaced stream there would starve the datagrams.
pub(crate) const MEDIA_STREAM_WINDOW: u64 = 64 << 10;

/// Settings for a connection; `small` packets for a path that may not carry the usual ones.
///
/// Who accepts a connection cannot know its kind before the handshake, so that all kinds share these; what differs is
/// set on the connection afterwards.
pub(crate) fn transport(small: bool) -> Arc<TransportConfig> {
    let mtu = if small { SMALL_MTU } else { MTU };
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(10_u32.into()).max_ack_delay(Some(Duration::from_millis(5)));
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(Trunk))
        .initial_mtu(mtu)
        .min_mtu(mtu)
        .mtu_discovery_config(None)
        .initial_rtt(INITIAL_RTT)
        .packet_threshold(64)
        .time_threshold(1.25)
        .ack_frequency_config(Some(acks))
        .datagram_send_buffer_size(DATAGRAM_SEND_BUFFER)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BUFFER))
        .max_concurrent_uni_streams(UNI_STREAMS.into())
        .max_concurrent_bidi_streams(1_u32.into())
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into().expect("5 s fit a QUIC idle timeout")))
        .keep_alive_interval(Some(KEEP_ALIVE));
    Arc::new(config)
}
