//! Between our codecs and str0m's, and which of its payload types to send.

use str0m::format::{Codec as Format, PayloadParams};

use crate::media::codec::Codec;

/// Of one codec's payload types the one that most decoders take: H264 in packetization mode 1, constrained baseline.
pub(super) fn preference(params: &PayloadParams) -> (bool, bool) {
    let format = params.spec().format;
    (format.packetization_mode == Some(1), format.profile_level_id.is_some_and(|id| id >> 8 == 0x42e0))
}

/// str0m's name of a codec.
pub(super) fn of(codec: Codec) -> Option<Format> {
    Some(match codec {
        Codec::Opus => Format::Opus,
        Codec::Vp8 => Format::Vp8,
        Codec::H264 => Format::H264,
        Codec::Vp9 => Format::Vp9,
        Codec::Av1 => Format::Av1,
        Codec::Other => return None,
    })
}

/// Our name of a codec.
pub(super) fn codec(format: Format) -> Codec {
    match format {
        Format::Opus => Codec::Opus,
        Format::Vp8 => Codec::Vp8,
        Format::H264 => Codec::H264,
        Format::Vp9 => Codec::Vp9,
        Format::Av1 => Codec::Av1,
        _ => Codec::Other,
    }
}
