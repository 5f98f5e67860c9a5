//! Reads from an SDP what each media section carries: its mid, its direction and its `msid`.

use crate::MediaKind;

/// A media section of audio or video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Sound or picture.
    pub kind: MediaKind,
    /// Its name in the bundle.
    pub mid: String,
    /// Whether the writer of the SDP sends on it.
    pub sends: bool,
    /// `stream track` of its `a=msid` line, each part empty when there is none.
    pub msid: (String, String),
}

/// The audio and video sections of an SDP, in order.
pub fn parse(sdp: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut current: Option<Section> = None;
    for line in sdp.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            sections.extend(current.take());
            current = begin(media);
        } else if let (Some(section), Some(attribute)) = (current.as_mut(), line.strip_prefix("a=")) {
            take_attribute(section, attribute);
        }
    }
    sections.extend(current);
    sections
}

fn begin(media: &str) -> Option<Section> {
    let mut words = media.split(' ');
    let kind = match words.next()? {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        _ => return None,
    };
    Some(Section { kind, mid: String::new(), sends: true, msid: Default::default() })
}

fn take_attribute(section: &mut Section, attribute: &str) {
    match attribute.split_once(':') {
        Some(("mid", mid)) => section.mid = mid.trim().to_owned(),
        Some(("msid", msid)) => {
            let mut words = msid.split_whitespace().map(str::to_owned);
            section.msid = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        }
        None if matches!(attribute, "recvonly" | "inactive") => section.sends = false,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_tell_mid_direction_and_msid() {
        let sdp = "v=0\r\na=group:BUNDLE 0 1 2\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\n\
                   a=msid:PA_x|camera TR_y\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n\
                   m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=inactive\r\n";
        let audio = Section {
            kind: MediaKind::Audio,
            mid: "0".into(),
            sends: true,
            msid: ("PA_x|camera".into(), "TR_y".into()),
        };
        let video =
            Section { kind: MediaKind::Video, mid: "2".into(), sends: false, msid: (String::new(), String::new()) };
        assert_eq!(parse(sdp), [audio, video]);
    }
}
