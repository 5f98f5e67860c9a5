//! What each generated packet carries: a codec's header that an SFU understands, then a clock and a counter by which
//! the receiver measures delivery, order and delay.

use crate::MediaKind;

/// Marks a payload as ours.
const MAGIC: [u8; 4] = *b"orig";
/// Magic, layer, counter and clock.
const STAMP_BYTES: usize = 4 + 1 + 4 + 8;
/// VP8 payload descriptor with 15-bit picture id, TL0PICIDX and TID (RFC 7741, section 4.2).
const DESCRIPTOR_BYTES: usize = 6;
/// VP8 frame tag, start code and size (RFC 6386, section 9.1); padding in packets that begin no keyframe.
const FRAME_HEADER_BYTES: usize = 10;
/// Opus TOC byte: CELT, 20 ms, one frame (RFC 6716, section 3.1).
const OPUS_TOC: u8 = 0xf8;

/// The smallest payload that carries a stamp.
pub const PAYLOAD_BYTES_MIN: usize = DESCRIPTOR_BYTES + FRAME_HEADER_BYTES + STAMP_BYTES;

/// Clock and counter of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Simulcast layer, 0 the lowest.
    pub layer: u8,
    /// Runs by one with each packet of the layer.
    pub counter: u32,
    /// When it was made, unix microseconds.
    pub sent_us: u64,
}

/// A packet's place in its VP8 stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Place {
    /// It begins a frame.
    pub first: bool,
    /// Its frame can be decoded alone.
    pub keyframe: bool,
    /// Number of the frame.
    pub picture: u16,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// A payload of `bytes` that looks like Opus.
pub fn encode_opus(stamp: Stamp, bytes: usize) -> Vec<u8> {
    let mut payload = vec![0; bytes.max(1 + STAMP_BYTES)];
    payload[0] = OPUS_TOC;
    write_stamp(&mut payload[1..], stamp);
    payload
}

/// A payload of `bytes` that looks like a part of a VP8 frame.
pub fn encode_vp8(stamp: Stamp, place: Vp8Place, bytes: usize) -> Vec<u8> {
    let mut payload = vec![0; bytes.max(PAYLOAD_BYTES_MIN)];
    payload[0] = 0x80 | if place.first { 0x10 } else { 0 };
    payload[1] = 0xe0;
    payload[2..4].copy_from_slice(&(0x8000 | place.picture & 0x7fff).to_be_bytes());
    payload[4] = place.picture as u8;
    if place.first {
        write_frame_header(&mut payload[DESCRIPTOR_BYTES..], place, bytes);
    }
    write_stamp(&mut payload[DESCRIPTOR_BYTES + FRAME_HEADER_BYTES..], stamp);
    payload
}

/// Reads a stamp back, and whether the packet begins a keyframe. `None` when the payload is not one of ours.
pub fn decode(kind: MediaKind, payload: &[u8]) -> Option<(Stamp, bool)> {
    if kind == MediaKind::Audio {
        return Some((read_stamp(payload.get(1..)?)?, false));
    }
    let start = descriptor_len(payload)?;
    let keyframe = payload[0] & 0x10 != 0 && payload.get(start)? & 1 == 0;
    Some((read_stamp(payload.get(start + FRAME_HEADER_BYTES..)?)?, keyframe))
}

fn write_frame_header(header: &mut [u8], place: Vp8Place, bytes: usize) {
    let size = (bytes as u32) << 5 | 1 << 4 | u32::from(!place.keyframe);
    header[..3].copy_from_slice(&size.to_le_bytes()[..3]);
    if place.keyframe {
        header[3..6].copy_from_slice(&[0x9d, 0x01, 0x2a]);
        header[6..8].copy_from_slice(&place.width.to_le_bytes());
        header[8..10].copy_from_slice(&place.height.to_le_bytes());
    }
}

/// A forwarder may shorten or lengthen the descriptor, so its flags are followed.
fn descriptor_len(payload: &[u8]) -> Option<usize> {
    let first = *payload.first()?;
    if first & 0x80 == 0 {
        return Some(1);
    }
    let flags = *payload.get(1)?;
    let mut len = 2;
    if flags & 0x80 != 0 {
        len += if payload.get(len)? & 0x80 != 0 { 2 } else { 1 };
    }
    len += usize::from(flags & 0x40 != 0) + usize::from(flags & 0x30 != 0);
    Some(len)
}

fn write_stamp(out: &mut [u8], stamp: Stamp) {
    out[..4].copy_from_slice(&MAGIC);
    out[4] = stamp.layer;
    out[5..9].copy_from_slice(&stamp.counter.to_be_bytes());
    out[9..17].copy_from_slice(&stamp.sent_us.to_be_bytes());
}

fn read_stamp(bytes: &[u8]) -> Option<Stamp> {
    let bytes = bytes.get(..STAMP_BYTES)?;
    if bytes[..4] != MAGIC {
        return None;
    }
    Some(Stamp {
        layer: bytes[4],
        counter: u32::from_be_bytes(bytes[5..9].try_into().ok()?),
        sent_us: u64::from_be_bytes(bytes[9..17].try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { layer: 2, counter: 77, sent_us: 1_800_000_000_000_000 };

    #[test]
    fn a_stamp_reads_back_from_both_codecs() {
        let place = Vp8Place { first: true, keyframe: true, picture: 9, width: 640, height: 360 };
        assert_eq!(decode(MediaKind::Video, &encode_vp8(STAMP, place, 1150)), Some((STAMP, true)));
        let delta = Vp8Place { keyframe: false, ..place };
        assert_eq!(decode(MediaKind::Video, &encode_vp8(STAMP, delta, 1150)), Some((STAMP, false)));
        assert_eq!(decode(MediaKind::Audio, &encode_opus(STAMP, 100)), Some((STAMP, false)));
    }

    #[test]
    fn str0m_reads_the_vp8_descriptor() {
        let place = Vp8Place { first: true, keyframe: true, picture: 300, width: 640, height: 360 };
        let payload = encode_vp8(STAMP, place, 1150);
        let descriptor = str0m::rtp::Vp8Descriptor::parse(&payload).expect("a descriptor");
        assert_eq!(format!("{descriptor:?}").matches("300").count(), 1);
    }

    #[test]
    fn cut_or_foreign_payloads_are_refused() {
        let place = Vp8Place { first: true, keyframe: true, picture: 9, width: 640, height: 360 };
        let payload = encode_vp8(STAMP, place, 0);
        for len in 0..payload.len() {
            assert_eq!(decode(MediaKind::Video, &payload[..len]), None, "{len} bytes");
        }
        assert_eq!(decode(MediaKind::Audio, &[0; 100]), None);
    }
}
