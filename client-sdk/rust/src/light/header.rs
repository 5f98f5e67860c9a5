//! RTP's fixed header and its extensions (RFC 3550, section 5.1; RFC 8285), which SRTP leaves in the clear.

/// Fixed part of the header.
const FIXED_BYTES: usize = 12;
/// RFC 8285, one-byte and two-byte forms.
const ONE_BYTE: u16 = 0xbede;
const TWO_BYTE: u16 = 0x1000;

/// RFC 7983 and RFC 5761: a first byte of 128 to 191 is RTP or RTCP, which the second tells apart.
pub(super) fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !(192..=223).contains(second))
}

/// See [`is_rtp`].
pub(super) fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, 192..=223, ..])
}

/// What the clear part of a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    /// The payload ends with padding.
    pub(super) padded: bool,
    /// Where the payload begins.
    pub(super) payload_at: usize,
    /// Where the extensions begin, how long they are, and their form.
    extensions: (usize, usize, u16),
}

impl Header {
    pub(super) fn parse(datagram: &[u8]) -> Option<Self> {
        let fixed: &[u8; FIXED_BYTES] = datagram.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut at = FIXED_BYTES + usize::from(fixed[0] & 15) * 4;
        let mut extensions = (at, 0, 0);
        if fixed[0] & 0x10 != 0 {
            let form = u16_at(datagram, at)?;
            let len = usize::from(u16_at(datagram, at + 2)?) * 4;
            extensions = (at + 4, len, form);
            at += 4 + len;
        }
        (at <= datagram.len()).then_some(Self {
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            padded: fixed[0] & 0x20 != 0,
            payload_at: at,
            extensions,
        })
    }

    /// The value of the extension with that id.
    pub(super) fn extension<'a>(&self, datagram: &'a [u8], wanted: u8) -> Option<&'a [u8]> {
        let (at, len, form) = self.extensions;
        let mut rest = datagram.get(at..at + len)?;
        loop {
            let (id, len, value) = match (form, rest) {
                (_, [0, after @ ..]) => {
                    rest = after;
                    continue;
                }
                (ONE_BYTE, [head, value @ ..]) => (head >> 4, usize::from(head & 15) + 1, value),
                (_, [id, len, value @ ..]) if form & 0xfff0 == TWO_BYTE => (*id, usize::from(*len), value),
                _ => return None,
            };
            let (value, after) = value.split_at_checked(len)?;
            if id == wanted {
                return Some(value);
            }
            rest = after;
        }
    }

    /// As [`Self::extension`], for one of two bytes.
    pub(super) fn extension_u16(&self, datagram: &[u8], wanted: u8) -> Option<u16> {
        u16_at(self.extension(datagram, wanted)?, 0)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    fn packet(form: u16, extensions: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x90, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 0, 0, 0, 7];
        packet.extend(form.to_be_bytes());
        packet.extend(((extensions.len() / 4) as u16).to_be_bytes());
        packet.extend_from_slice(extensions);
        packet.extend_from_slice(b"payload");
        packet
    }

    #[test]
    fn extensions_are_found_in_both_forms() {
        for (form, extensions) in
            [(ONE_BYTE, [0x31, 1, 2, 0, 0x10, b'5', 0, 0]), (TWO_BYTE, [3, 2, 1, 2, 1, 1, b'5', 0])]
        {
            let packet = packet(form, &extensions);
            let header = Header::parse(&packet).unwrap();
            assert_eq!((header.payload_type, header.sequence, header.ssrc), (0x60, 0x1234, 7));
            assert_eq!(header.extension_u16(&packet, 3), Some(0x0102));
            assert_eq!(header.extension(&packet, 1), Some(&b"5"[..]));
            assert_eq!(header.extension(&packet, 9), None);
            assert_eq!(&packet[header.payload_at..], b"payload");
        }
    }

    #[test]
    fn rtp_rtcp_and_everything_else_are_told_apart() {
        assert!(is_rtp(&[0x80, 96]) && is_rtp(&[0x90, 0xe0]) && !is_rtp(&[0x80, 200]));
        assert!(is_rtcp(&[0x81, 201]) && !is_rtcp(&[22, 254]) && !is_rtp(&[0, 1]) && !is_rtp(&[]));
    }

    #[test]
    fn rubbish_is_refused_or_read_without_harm() {
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        for _ in 0..20_000 {
            let mut bytes = vec![0; random.random_range(0..64)];
            random.fill(&mut bytes[..]);
            if let Some(header) = Header::parse(&bytes) {
                let _ = header.extension(&bytes, random.random());
                assert!(header.payload_at <= bytes.len());
            }
        }
    }
}
