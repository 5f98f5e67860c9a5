//! What a front-end reads of a session description: which sections there are, and what each is to carry.
//!
//! Negotiation is the media worker's; here an offer is only looked at, to announce what it carries.

use livekit_protocol as proto;
use proto::{SimulcastCodec, TrackSource, TrackType, VideoLayer, VideoQuality};

/// The largest offer over HTTP, bytes: a browser with every codec takes 15 KB for two sections.
pub(super) const OFFER_BYTES_MAX: usize = 128 * 1024;
/// The most sections that are looked at.
const SECTIONS_MAX: usize = 32;
/// The longest client id of a track that is announced, bytes.
const TRACK_ID_BYTES_MAX: usize = 256;
/// Bits per second of simulcast layers, lowest first, and of a single stream. An offer does not tell; these are what
/// livekit-client declares for 720p.
const LAYERS_BPS: [u32; 3] = [150_000, 500_000, 1_700_000];
const SINGLE_BPS: u32 = 1_700_000;

/// An offer as far as front-ends look at it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Offer {
    /// The client's ICE name.
    pub ufrag: String,
    /// Sound and picture, in order.
    pub sections: Vec<Section>,
}

/// A section of sound or picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Section {
    pub is_video: bool,
    pub sends: bool,
    pub receives: bool,
    /// The client's id of the track.
    track_id: Option<String>,
    /// How many simulcast layers are offered.
    rids: usize,
    /// Name of the codec that stands first.
    codec: Option<String>,
    first_type: String,
    stereo: bool,
}

/// Reads an offer; none when it is no session description with ICE.
pub(super) fn read(text: &str) -> Option<Offer> {
    let mut offer = Offer::default();
    let mut open: Option<Section> = None;
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some("v=0") {
        return None;
    }
    for line in lines {
        if let Some(media) = line.strip_prefix("m=") {
            offer.sections.extend(open.take());
            if offer.sections.len() >= SECTIONS_MAX {
                return None;
            }
            open = Section::begin(media);
        } else if let Some(ufrag) = line.strip_prefix("a=ice-ufrag:") {
            ufrag.clone_into(&mut offer.ufrag);
        } else if let (Some(section), Some(attribute)) = (open.as_mut(), line.strip_prefix("a=")) {
            section.take(attribute);
        }
    }
    offer.sections.extend(open);
    (!offer.ufrag.is_empty()).then_some(offer)
}

impl Offer {
    /// How many sections fit.
    pub fn count(&self, fits: impl Fn(&Section) -> bool) -> usize {
        self.sections.iter().filter(|section| fits(section)).count()
    }

    /// The announcements of what it sends.
    pub fn add_tracks(&self) -> Vec<proto::AddTrackRequest> {
        self.sections.iter().filter(|section| section.sends).map(Section::announcement).collect()
    }
}

impl Section {
    /// None for what is neither sound nor picture.
    fn begin(media: &str) -> Option<Self> {
        let mut words = media.split(' ');
        let is_video = match words.next()? {
            "audio" => false,
            "video" => true,
            _ => return None,
        };
        let first_type = words.nth(2).unwrap_or_default().to_owned();
        Some(Self { is_video, sends: true, receives: true, first_type, ..Self::default() })
    }

    fn take(&mut self, attribute: &str) {
        match attribute.split_once(':').unwrap_or((attribute, "")) {
            ("sendonly", _) => self.receives = false,
            ("recvonly", _) => self.sends = false,
            ("inactive", _) => (self.sends, self.receives) = (false, false),
            ("msid", value) => {
                let id = value.split(' ').nth(1).filter(|id| !id.is_empty() && id.len() <= TRACK_ID_BYTES_MAX);
                self.track_id = id.map(str::to_owned);
            }
            ("rid", value) => self.rids += usize::from(value.contains(" send")),
            ("rtpmap", value) => {
                if let Some((_, codec)) = value.split_once(' ').filter(|(kind, _)| *kind == self.first_type) {
                    self.codec = codec.split('/').next().map(str::to_owned);
                }
            }
            ("fmtp", value) => self.stereo |= value.contains("stereo=1"),
            _ => {}
        }
    }

    fn announcement(&self) -> proto::AddTrackRequest {
        let cid = self.track_id.clone().unwrap_or_else(|| if self.is_video { "video" } else { "audio" }.to_owned());
        if !self.is_video {
            let stereo = self.stereo.then_some(proto::AudioTrackFeature::TfStereo as i32);
            return proto::AddTrackRequest {
                cid,
                r#type: TrackType::Audio as i32,
                source: TrackSource::Microphone as i32,
                audio_features: stereo.into_iter().collect(),
                ..Default::default()
            };
        }
        let codec = self.codec.clone().unwrap_or_default();
        let layers = self.layers();
        proto::AddTrackRequest {
            cid: cid.clone(),
            r#type: TrackType::Video as i32,
            source: TrackSource::Camera as i32,
            simulcast_codecs: vec![SimulcastCodec { codec, cid, layers: layers.clone(), ..Default::default() }],
            layers,
            ..Default::default()
        }
    }

    fn layers(&self) -> Vec<VideoLayer> {
        if self.rids < 2 {
            let quality = VideoQuality::High as i32;
            return vec![VideoLayer { quality, bitrate: SINGLE_BPS, ..Default::default() }];
        }
        let qualities = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
        let layers = qualities.into_iter().zip(LAYERS_BPS).take(self.rids);
        layers.map(|(quality, bitrate)| VideoLayer { quality: quality as i32, bitrate, ..Default::default() }).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Chromium publishes over WHIP, shortened.
    pub(in crate::signal) const PUBLISHING: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n\
        a=mid:0\r\na=sendonly\r\na=msid:stream mic\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;stereo=1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 103 96\r\na=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\na=mid:1\r\n\
        a=sendonly\r\na=msid:stream cam\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:103 H264/90000\r\n\
        a=rid:lo send\r\na=rid:hi send\r\na=simulcast:send lo;hi\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";

    #[test]
    fn what_an_offer_sends_is_announced_under_the_clients_names() {
        let offer = read(PUBLISHING).unwrap();
        assert_eq!((offer.ufrag.as_str(), offer.sections.len()), ("abcd", 2));
        let [audio, video] = &offer.add_tracks()[..] else { panic!("two tracks") };
        assert_eq!((audio.cid.as_str(), audio.source()), ("mic", TrackSource::Microphone));
        assert_eq!(audio.audio_features, [proto::AudioTrackFeature::TfStereo as i32]);
        assert_eq!((video.cid.as_str(), video.source()), ("cam", TrackSource::Camera));
        assert_eq!(video.simulcast_codecs[0].codec, "H264", "the client's first choice");
        assert_eq!(video.layers.len(), 2);
    }

    #[test]
    fn a_receiving_offer_announces_nothing() {
        let offer = read(&PUBLISHING.replace("sendonly", "recvonly")).unwrap();
        assert!(offer.add_tracks().is_empty());
        assert_eq!(offer.count(|section| section.receives && section.is_video), 1);
    }

    #[test]
    fn what_is_no_offer_is_refused() {
        for text in ["", "hello", "v=0\r\n", "v=1\r\na=ice-ufrag:abcd\r\n"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(&format!("v=0\r\na=ice-ufrag:a\r\n{}", "m=audio 9 x 0\r\n".repeat(40))), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "v=0\r\n(m=|a=|[ -~\r\n]){0,200}") {
            let _ = read(&text).map(|offer| offer.add_tracks());
        }
    }
}
