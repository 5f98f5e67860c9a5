//! Reads RTP headers with the extensions that a client's section sends (RFC 3550 5.1, RFC 8285).

use origo_cascade_core::link::Extensions;

use crate::media::own::Ids;

const FIXED_BYTES: usize = 12;
/// The one-byte form of extensions, and the two-byte form but for its four bits of the application.
const ONE_BYTE_FORM: u16 = 0xbede;
const TWO_BYTE_FORM: u16 = 0x1000;
/// In the one-byte form, it and all behind it are no extensions.
const STOP_ID: u8 = 15;
/// Descriptors beyond this are none: the two-byte form carries no more.
const DEPENDENCY_BYTES_MAX: usize = 255;

/// What stands in front of a packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub payload_type: u8,
    pub marker: bool,
    /// The payload ends with padding.
    pub padded: bool,
    pub number: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Its own bytes.
    pub bytes: usize,
    form: u16,
    extensions: &'a [u8],
}

/// What a header says to this hop alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// When it left, in seconds of any clock: 6 bits of them, and 18 of their fraction.
    pub sent: Option<u32>,
    /// Its number among all packets of the connection.
    pub transport: Option<u16>,
}

impl<'a> Head<'a> {
    /// None when it is not whole.
    pub fn read(packet: &'a [u8]) -> Option<Self> {
        let fixed = packet.get(..FIXED_BYTES)?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let half = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
        let word = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let mut bytes = FIXED_BYTES + 4 * usize::from(fixed[0] & 0x0f);
        let (mut form, mut extensions) = (0, &[][..]);
        if fixed[0] & 0x10 != 0 {
            form = half(bytes)?;
            let from = bytes + 4;
            bytes = from + 4 * usize::from(half(bytes + 2)?);
            extensions = packet.get(from..bytes)?;
        }
        let head = Self {
            payload_type: fixed[1] & 0x7f,
            marker: fixed[1] & 0x80 != 0,
            padded: fixed[0] & 0x20 != 0,
            number: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: word(4),
            ssrc: word(8),
            bytes,
            form,
            extensions,
        };
        (bytes <= packet.len()).then_some(head)
    }

    /// What it says to this hop, and to all.
    pub fn said(&self, ids: &Ids) -> (Hop, Extensions) {
        let (mut hop, mut all) = (Hop::default(), Extensions::default());
        for (id, value) in self.elements() {
            let id = Some(id);
            match *value {
                [high, middle, low, ..] if id == ids.send_time => {
                    hop.sent = Some(u32::from_be_bytes([0, high, middle, low]));
                }
                [high, low, ..] if id == ids.transport => hop.transport = Some(u16::from_be_bytes([high, low])),
                [level, ..] if id == ids.level => all.audio_level = Some((level & 0x7f, level & 0x80 != 0)),
                [orientation, ..] if id == ids.orientation => all.orientation = Some(orientation & 3),
                [a, b, c, d, e, f, g, h, ..] if id == ids.capture => {
                    all.capture_time = Some(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
                }
                [high, middle, low, ..] if id == ids.delay => {
                    let (high, middle, low) = (u16::from(high), u16::from(middle), u16::from(low));
                    all.playout_delay = Some((high << 4 | middle >> 4, (middle & 0x0f) << 8 | low));
                }
                [_, ..] if id == ids.descriptor && value.len() <= DEPENDENCY_BYTES_MAX => {
                    all.dependency = Some(value.into());
                }
                _ => {}
            }
        }
        (hop, all)
    }

    /// Extensions by their numbers, as far as they are whole.
    fn elements(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let (form, mut rest) = (self.form, self.extensions);
        std::iter::from_fn(move || {
            loop {
                let &first = rest.first()?;
                if first == 0 {
                    rest = &rest[1..];
                    continue;
                }
                let (id, length, from) = match form {
                    ONE_BYTE_FORM if first >> 4 == STOP_ID => return None,
                    ONE_BYTE_FORM => (first >> 4, usize::from(first & 0x0f) + 1, 1),
                    form if form & 0xfff0 == TWO_BYTE_FORM => (first, usize::from(*rest.get(1)?), 2),
                    _ => return None,
                };
                let value = rest.get(from..from + length)?;
                rest = &rest[from + length..];
                return Some((id, value));
            }
        })
    }
}

/// The payload without its padding, whose last byte tells how long it is; none when it is longer than all.
pub(super) fn unpad(payload: &[u8]) -> Option<&[u8]> {
    let &padding = payload.last()?;
    (padding > 0).then_some(())?;
    payload.get(..payload.len().checked_sub(padding.into())?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: Ids = Ids {
        mid: Some(1),
        send_time: Some(2),
        transport: Some(3),
        level: Some(4),
        orientation: Some(5),
        descriptor: Some(6),
        capture: Some(7),
        delay: Some(8),
    };

    fn packet(form: [u8; 2], extensions: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x91, 0x80 | 96, 0x12, 0x34, 0, 0, 0, 9, 0, 0, 0, 7, 1, 1, 1, 1];
        packet.extend(form);
        packet.extend([0, (extensions.len().div_ceil(4)) as u8]);
        packet.extend(extensions);
        packet.resize(packet.len().next_multiple_of(4), 0);
        packet
    }

    fn expected() -> (Hop, Extensions) {
        let hop = Hop { sent: Some(0x01_0203), transport: Some(0x0405) };
        let all = Extensions {
            audio_level: Some((37, true)),
            orientation: Some(3),
            dependency: Some([0x80, 1, 2].as_slice().into()),
            capture_time: Some(0x0102_0304_0506_0708),
            playout_delay: Some((0x123, 0x456)),
        };
        (hop, all)
    }

    #[test]
    fn extensions_are_read_in_both_forms() {
        let values: [(u8, &[u8]); 8] = [
            (1, b"0"),
            (2, &[1, 2, 3]),
            (3, &[4, 5]),
            (4, &[0x80 | 37]),
            (5, &[0b0000_1011]),
            (6, &[0x80, 1, 2]),
            (7, &[1, 2, 3, 4, 5, 6, 7, 8]),
            (8, &[0x12, 0x34, 0x56]),
        ];
        let (mut short, mut long) = (Vec::new(), Vec::new());
        for (id, value) in values {
            short.push(id << 4 | (value.len() as u8 - 1));
            short.extend(value);
            long.extend([id, value.len() as u8]);
            long.extend(value);
            long.push(0);
        }
        for packet in [packet([0xbe, 0xde], &short), packet([0x10, 0x05], &long)] {
            let head = Head::read(&packet).unwrap();
            let read = (head.payload_type, head.marker, head.padded, head.number, head.timestamp, head.ssrc);
            assert_eq!(read, (96, true, false, 0x1234, 9, 7));
            assert_eq!(head.bytes, packet.len());
            assert_eq!(head.said(&IDS), expected());
            assert_eq!(head.said(&Ids::default()), Default::default(), "none of them was agreed on");
        }
    }

    #[test]
    fn what_is_cut_off_or_stops_is_left_out() {
        let stopped = packet([0xbe, 0xde], &[3 << 4 | 1, 4, 5, 15 << 4, 4 << 4, 1]);
        let hop = Hop { sent: None, transport: Some(0x0405) };
        assert_eq!(Head::read(&stopped).unwrap().said(&IDS), (hop, Extensions::default()));
        let longer = packet([0xbe, 0xde], &[3 << 4 | 1, 4, 5, 7 << 4 | 7]);
        assert_eq!(Head::read(&longer).unwrap().said(&IDS), (hop, Extensions::default()));
        let other = packet([0x12, 0x34], &[3, 2, 4, 5]);
        assert_eq!(Head::read(&other).unwrap().said(&IDS), Default::default(), "a form of something else");
        let whole = packet([0xbe, 0xde], &[3 << 4 | 1, 4, 5]);
        assert!((0..whole.len()).all(|end| Head::read(&whole[..end]).is_none()));
    }

    #[test]
    fn padding_ends_with_its_length() {
        assert_eq!(unpad(&[1, 2, 0, 2]), Some(&[1, 2][..]));
        assert_eq!(unpad(&[0, 0, 3]), Some(&[][..]));
        assert_eq!((unpad(&[1, 4]), unpad(&[1, 0]), unpad(&[])), (None, None, None));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_to_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..120), form in 0..3) {
            let mut bytes = bytes;
            if bytes.len() > 16 {
                bytes[0] = 0x90;
                bytes[12..14].copy_from_slice(&[[0xbe, 0xde], [0x10, 0], [1, 2]][form as usize]);
                (bytes[14], bytes[15]) = (0, bytes[15] % 16);
            }
            if let Some(head) = Head::read(&bytes) {
                prop_assert!(head.bytes <= bytes.len());
                head.said(&IDS);
            }
        }
    }
}
