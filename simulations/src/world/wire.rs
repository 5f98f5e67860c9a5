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

/// Looks at a datagram; `None` for link messages.
pub(super) fn look(sent: &Datagram) -> Option<Seen> {
    let datagram = sent.head();
    let mut at = 0;
    if varint(datagram, &mut at)? == 0 {
        return None;
    }
    let flags = *datagram.get(at)?;
    let again = flags & 0x04 != 0;
    // Flags and hop number, and the original number of a retransmission.
    at += if again { 5 } else { 3 };
    if flags & 0x20 != 0 {
        varint(datagram, &mut at)?;
    }
    // RTP number and timestamp.
    at += 6;
    if flags & 0x40 != 0 {
        let present = *datagram.get(at)?;
        at += 1 + usize::from(present & 0x01 != 0) + usize::from(present & 0x02 != 0);
        if present & 0x04 != 0 {
            at += 1 + usize::from(*datagram.get(at)?);
        }
        at += if present & 0x08 != 0 { 8 } else { 0 } + if present & 0x10 != 0 { 3 } else { 0 };
    }
    Some(Seen { is_audio: flags & 0x03 == 1, again, payload: sent.len().checked_sub(at)? })
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(*at + 1..*at + length)?;
    *at += length;
    Some(rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)))
}
