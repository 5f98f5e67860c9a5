//! Between a link packet's header extensions and str0m's.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use origo_cascade_core::link::Extensions;
use str0m::media::MediaTime;
use str0m::rtp::{AbsCaptureTime, ExtensionSerializer, ExtensionValues};

/// AV1 RTP specification, appendix A; VP9 uses it too.
pub(super) const DEPENDENCY_DESCRIPTOR_URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
/// The longest value that the one-byte form of RFC 8285 carries.
const ONE_BYTE_FORM_MAX: usize = 16;
/// Seconds from NTP's epoch (1900) to Unix's.
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;

/// A dependency descriptor as it is on the wire.
#[derive(Debug)]
struct Descriptor(Arc<[u8]>);

/// Carries dependency descriptors through str0m unread.
#[derive(Debug)]
pub(super) struct DescriptorSerializer;

impl ExtensionSerializer for DescriptorSerializer {
    fn write_to(&self, buf: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(Descriptor(bytes)) = values.user_values.get() else { return 0 };
        let Some(space) = buf.get_mut(..bytes.len()) else { return 0 };
        space.copy_from_slice(bytes);
        bytes.len()
    }

    fn parse_value(&self, buf: &[u8], values: &mut ExtensionValues) -> bool {
        if buf.is_empty() {
            return false;
        }
        values.user_values.set(Descriptor(buf.into()));
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        values.user_values.get().is_some_and(|Descriptor(bytes)| bytes.len() > ONE_BYTE_FORM_MAX)
    }
}

/// What of a received header goes on.
pub(super) fn read(values: &ExtensionValues) -> Extensions {
    let level = values.audio_level.map(|level| level.unsigned_abs().min(127));
    let hundredths = |time: MediaTime| u16::try_from(time.numer()).unwrap_or(u16::MAX).min(0xfff);
    Extensions {
        audio_level: level.map(|level| (level, values.voice_activity.unwrap_or(false))),
        orientation: values.video_orientation.map(|orientation| orientation as u8),
        dependency: values.user_values.get().map(|Descriptor(bytes)| Arc::clone(bytes)),
        capture_time: values.abs_capture_time.map(|capture| ntp(capture.capture_time)),
        playout_delay: values
            .play_delay_min
            .zip(values.play_delay_max)
            .map(|(min, max)| (hundredths(min), hundredths(max))),
    }
}

/// The same for a header to be sent, with this dependency descriptor.
pub(super) fn write(extensions: &Extensions, dependency: Option<&Arc<[u8]>>) -> ExtensionValues {
    let mut values = ExtensionValues::default();
    if let Some((level, voice)) = extensions.audio_level {
        values.audio_level = Some(-(level.min(127) as i8));
        values.voice_activity = Some(voice);
    }
    values.video_orientation = extensions.orientation.map(|orientation| (orientation & 3).into());
    if let Some(bytes) = dependency.filter(|bytes| (1..=255).contains(&bytes.len())) {
        values.user_values.set(Descriptor(Arc::clone(bytes)));
    }
    values.abs_capture_time =
        extensions.capture_time.map(|ntp| AbsCaptureTime { capture_time: system_time(ntp), clock_offset: None });
    if let Some((min, max)) = extensions.playout_delay {
        values.play_delay_min = Some(MediaTime::from_hundredths(min.into()));
        values.play_delay_max = Some(MediaTime::from_hundredths(max.into()));
    }
    values
}

/// UQ32.32 seconds since 1900.
pub(super) fn ntp(time: SystemTime) -> u64 {
    let since_unix = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let fraction = (u64::from(since_unix.subsec_nanos()) << 32) / 1_000_000_000;
    (since_unix.as_secs().wrapping_add(NTP_TO_UNIX_SECONDS) << 32) | fraction
}

fn system_time(ntp: u64) -> SystemTime {
    let seconds = (ntp >> 32).saturating_sub(NTP_TO_UNIX_SECONDS);
    let nanoseconds = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
    UNIX_EPOCH + Duration::new(seconds, nanoseconds as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_come_out_as_they_went_in() {
        let extensions = Extensions {
            audio_level: Some((37, true)),
            orientation: Some(3),
            dependency: Some([0x80, 1, 2, 3].as_slice().into()),
            capture_time: Some(0xe000_0000_8000_0000),
            playout_delay: Some((0, 40)),
        };
        assert_eq!(read(&write(&extensions, extensions.dependency.as_ref())), extensions);
        assert_eq!(read(&write(&extensions, None)), Extensions { dependency: None, ..extensions });
        assert_eq!(read(&write(&Extensions::default(), None)), Extensions::default());
    }
}
