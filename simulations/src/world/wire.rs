//! Looks into datagrams that nodes send, as far as measures need it (`docs/wire.md`, 2.1).

use origo_cascade_core::link::Datagram;

/// What RTP's own header takes, bytes.
pub(super) const RTP_HEAD_BYTES: usize = 12;

/// A datagram that carries a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) is_audio: bool,
    /// A retransmission.
    pub(super) again: bool,
    /// Bytes of RTP payload.
    pub(super) payload: usize,
}

/// Looks at a datagram; `None` for link messages, which go as flow 0.
pub(super) fn look(sent: &Datagram) -> Option<Seen> {
    let head = sent.head();
    let flow_bytes = match head.first()? {
        0 => return None,
        first => 1_usize << (first >> 6),
    };
    let flags = *head.get(flow_bytes)?;
    Some(Seen { is_audio: flags & 0x03 == 1, again: flags & 0x04 != 0, payload: sent.payload().len() })
}
