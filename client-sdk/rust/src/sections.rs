//! Reads from an SDP what each media section carries: its mid, its direction and its `msid`.

use crate::MediaKind;
use crate::light::Terms;

/// Header extensions by their URIs (RFC 8843; draft-holmer-rmcat-transport-wide-cc-extensions-01).
const URI_MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const URI_TRANSPORT_SEQUENCE: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

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
    /// SSRCs that it announces, those of repairs among them.
    pub ssrcs: Vec<u32>,
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
    Some(Section { kind, mid: String::new(), sends: true, msid: Default::default(), ssrcs: Vec::new() })
}

fn take_attribute(section: &mut Section, attribute: &str) {
    match attribute.split_once(':') {
        Some(("mid", mid)) => section.mid = mid.trim().to_owned(),
        Some(("msid", msid)) => {
            let mut words = msid.split_whitespace().map(str::to_owned);
            section.msid = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        }
        Some(("ssrc", rest)) => {
            let ssrc = rest.split(' ').next().and_then(|ssrc| ssrc.parse().ok());
            section.ssrcs.extend(ssrc.filter(|ssrc| !section.ssrcs.contains(ssrc)));
        }
        None if matches!(attribute, "recvonly" | "inactive") => section.sends = false,
        _ => {}
    }
}

/// What the clear headers of packets mean under an SDP of the server: ids of extensions, payload types of repairs. A
/// bundle has one meaning for each (RFC 8843, section 9).
pub(crate) fn terms(sdp: &str) -> Terms {
    let mut terms = Terms::default();
    for line in sdp.lines() {
        if let Some((id, uri)) = line.strip_prefix("a=extmap:").and_then(|rest| rest.split_once(' ')) {
            let id = id.split('/').next().and_then(|id| id.parse().ok());
            match uri.trim() {
                URI_MID => terms.mid = id,
                URI_TRANSPORT_SEQUENCE => terms.transport_sequence = id,
                _ => {}
            }
        } else if let Some((number, codec)) = line.strip_prefix("a=rtpmap:").and_then(|rest| rest.split_once(' '))
            && codec.to_ascii_lowercase().starts_with("rtx/")
        {
            terms.repairs.extend(number.parse::<u8>());
        }
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_tell_mid_direction_and_msid() {
        let sdp = "v=0\r\na=group:BUNDLE 0 1 2\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\n\
                   a=msid:PA_x|camera TR_y\r\na=ssrc:5 cname:x\r\na=ssrc:5 msid:x\r\na=ssrc:6 cname:x\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n\
                   m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=inactive\r\n";
        let audio = Section {
            kind: MediaKind::Audio,
            mid: "0".into(),
            sends: true,
            msid: ("PA_x|camera".into(), "TR_y".into()),
            ssrcs: vec![5, 6],
        };
        let video = Section {
            kind: MediaKind::Video,
            mid: "2".into(),
            sends: false,
            msid: Default::default(),
            ssrcs: Vec::new(),
        };
        assert_eq!(parse(sdp), [audio, video]);
    }

    #[test]
    fn an_sdp_says_what_clear_headers_mean() {
        let sdp = "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
                   a=extmap:4/sendonly urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:x y\r\n\
                   a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:99 RTX/90000\r\n";
        assert_eq!(terms(sdp), Terms { transport_sequence: Some(3), mid: Some(4), repairs: vec![97, 99] });
    }
}
