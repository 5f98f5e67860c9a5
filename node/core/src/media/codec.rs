//! What the worker reads of a codec's clear header: where a keyframe begins, and the VP8 numbers that must go on.
//!
//! With end-to-end encryption the header stays clear, so nothing here looks into a picture.

use super::vp8::Vp8;
use super::vp9::Vp9;

/// A codec that the worker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Opus,
    Vp8,
    H264,
    Vp9,
    Av1,
    Other,
}

impl Codec {
    /// From a MIME type, without regard to case.
    pub fn from_mime(mime: &str) -> Self {
        match mime.to_ascii_lowercase().as_str() {
            "audio/opus" => Self::Opus,
            "video/vp8" => Self::Vp8,
            "video/h264" => Self::H264,
            "video/vp9" => Self::Vp9,
            "video/av1" => Self::Av1,
            _ => Self::Other,
        }
    }

    /// Its name in SDP.
    pub fn sdp_name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Vp8 => "VP8",
            Self::H264 => "H264",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
            Self::Other => "",
        }
    }

    /// Its MIME type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::Vp8 => "video/VP8",
            Self::H264 => "video/H264",
            Self::Vp9 => "video/VP9",
            Self::Av1 => "video/AV1",
            Self::Other => "",
        }
    }

    /// RTP ticks in a second.
    pub fn clock_rate(self) -> u32 {
        if self == Self::Opus { 48_000 } else { 90_000 }
    }

    /// Whether this packet is the first of a keyframe, so that a decoder can begin with it. `descriptor` is the AV1
    /// dependency descriptor, which tells it for any codec that carries one.
    pub fn begins_keyframe(self, payload: &[u8], descriptor: Option<&[u8]>) -> bool {
        match (self, descriptor) {
            (Self::Opus | Self::Other, _) => false,
            (Self::Av1 | Self::Vp9, Some(descriptor)) => descriptor_begins_keyframe(descriptor),
            (Self::Av1, None) => payload.first().is_some_and(|aggregation| aggregation & 0x08 != 0),
            (Self::Vp8, _) => vp8_begins_keyframe(payload),
            (Self::Vp9, None) => Vp9::parse(payload).is_some_and(|read| read.begins_keyframe()),
            (Self::H264, _) => h264_has_parameters(payload),
        }
    }

    /// Width and height of the keyframe that begins with this payload, where the codec's clear header tells. End-to-end
    /// encryption leaves a VP8 keyframe's first ten bytes as they are.
    pub fn keyframe_size(self, payload: &[u8]) -> Option<(u16, u16)> {
        if self != Self::Vp8 {
            return None;
        }
        // RFC 6386 9.1: three bytes of frame tag, the start code, 14 bits each.
        let [_, _, _, 0x9d, 0x01, 0x2a, size @ ..] = payload.get(Vp8::parse(payload)?.length..)? else { return None };
        let [w0, w1, h0, h1, ..] = size else { return None };
        let side = |low: u8, high: u8| u16::from_le_bytes([low, high]) & 0x3fff;
        Some((side(*w0, *w1), side(*h0, *h1))).filter(|&(width, height)| width > 0 && height > 0)
    }
}

/// AV1 RTP A.8: the first packet of a frame that brings a new template structure, which only a keyframe does.
fn descriptor_begins_keyframe(descriptor: &[u8]) -> bool {
    let [flags, _, _, extended, ..] = descriptor else { return false };
    flags & 0x80 != 0 && extended & 0x80 != 0
}

/// RFC 7741 4.3: start of partition 0, and the P bit of the frame header is clear.
fn vp8_begins_keyframe(payload: &[u8]) -> bool {
    let Some(descriptor) = Vp8::parse(payload) else { return false };
    descriptor.starts && payload.get(descriptor.length).is_some_and(|header| header & 0x01 == 0)
}

/// RFC 6184: carries a sequence parameter set, alone or in an aggregate. Encoders for RTP send one right before each
/// IDR picture, and a decoder cannot begin without it.
fn h264_has_parameters(payload: &[u8]) -> bool {
    const PARAMETERS: u8 = 7;
    const AGGREGATE: u8 = 24;
    let unit = |byte: u8| byte & 0x1f;
    match payload {
        [first, rest @ ..] if unit(*first) == AGGREGATE => {
            let mut rest = rest;
            while let [high, low, units @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if units.first().is_some_and(|&byte| unit(byte) == PARAMETERS) {
                    return true;
                }
                rest = units.get(length..).unwrap_or(&[]);
            }
            false
        }
        [first, ..] => unit(*first) == PARAMETERS,
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_vp8_keyframe_is_seen_behind_every_form_of_the_descriptor() {
        for (descriptor, key_index) in [
            (&[0x10][..], None),
            (&[0x90, 0x80, 0x42], None),
            (&[0x90, 0x80, 0x92, 0x34], None),
            (&[0x90, 0xf0, 0x92, 0x34, 0x55, 0xa7], Some(7)),
        ] {
            for (header, key) in [(0x50, true), (0x51, false)] {
                let payload = [descriptor, &[header, 1, 2]].concat();
                assert_eq!(Codec::Vp8.begins_keyframe(&payload, None), key, "{payload:x?}");
            }
            assert_eq!(Vp8::parse(descriptor).unwrap().key_index, key_index);
        }
        assert!(!Codec::Vp8.begins_keyframe(&[0x00, 0x50], None), "a continued partition starts nothing");
    }

    #[test]
    fn a_vp8_keyframe_tells_its_size() {
        let payload = [0x90, 0x80, 0x42, 0x50, 1, 2, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x41, 7];
        assert_eq!(Codec::Vp8.keyframe_size(&payload), Some((640, 360)), "without the bits of scaling");
        assert_eq!(Codec::Vp8.keyframe_size(&payload[..12]), None);
        assert_eq!(Codec::H264.keyframe_size(&payload), None);
    }

    #[test]
    fn a_vp9_keyframe_begins_at_the_lowest_spatial_layer_alone() {
        assert!(Codec::Vp9.begins_keyframe(&[0x88, 0x01, 0x82], None));
        assert!(Codec::Vp9.begins_keyframe(&[0xa8, 0x81, 0x01, 0x00, 0x00], None));
        assert!(!Codec::Vp9.begins_keyframe(&[0xa8, 0x81, 0x01, 0x02, 0x00], None), "spatial layer 1");
        assert!(!Codec::Vp9.begins_keyframe(&[0xc8, 0x01], None), "predicted");
        assert!(!Codec::Vp9.begins_keyframe(&[0x80, 0x01], None), "not its first packet");
    }

    #[test]
    fn an_h264_keyframe_begins_with_its_parameters() {
        assert!(Codec::H264.begins_keyframe(&[0x67, 0x42], None));
        assert!(Codec::H264.begins_keyframe(&[0x78, 0, 1, 0x68, 0, 1, 0x67], None));
        assert!(!Codec::H264.begins_keyframe(&[0x78, 0, 9, 0x68], None), "a length beyond the end");
        assert!(!Codec::H264.begins_keyframe(&[0x41], None));
    }

    #[test]
    fn an_av1_keyframe_is_told_by_the_descriptor_or_else_by_the_aggregation_header() {
        assert!(Codec::Av1.begins_keyframe(&[0x10], Some(&[0x80, 0, 1, 0x80])));
        assert!(!Codec::Av1.begins_keyframe(&[0x18], Some(&[0x80, 0, 1])));
        assert!(Codec::Av1.begins_keyframe(&[0x18], None));
    }

    proptest! {
        #[test]
        fn no_payload_makes_a_parser_panic(
            payload in proptest::collection::vec(any::<u8>(), 0..64),
            descriptor in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..8)),
        ) {
            for codec in [Codec::Opus, Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1] {
                codec.begins_keyframe(&payload, descriptor.as_deref());
                codec.keyframe_size(&payload);
            }
            Vp8::parse(&payload);
        }
    }
}
