//! Session descriptions as text: what we read of a client's, and what we change in our own before it goes out.
//!
//! str0m negotiates; what it cannot be told (which section carries which track under which name, which codec comes
//! first, which section stays idle) is edited into its answer or offer. It never reads its own text back, so this is
//! safe.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use origo_cascade_core::MediaKind;

/// The largest description that is read: room for some hundred sections of a browser.
pub(crate) const SDP_BYTES_MAX: usize = 512 * 1024;
/// The most sections of a description.
pub(crate) const SECTIONS_MAX: usize = 300;
/// The most lines of a section, and before the first one. A browser with all its codecs and header extensions writes
/// some 200; str0m's cost grows with the square of them.
const LINES_MAX: usize = 1_000;
/// Candidates that are taken from one description; a client has a dozen, and each costs a full agent checks.
const CANDIDATES_MAX: usize = 64;

/// A description, line by line; lines that nobody changed are those of the text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sdp<'a> {
    session: Vec<Cow<'a, str>>,
    /// In order.
    pub sections: Vec<Section<'a>>,
    /// Candidates that were left out.
    pub dropped_candidates: u64,
}

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    lines: Vec<Cow<'a, str>>,
}

/// Which way media may flow, as its writer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    SendReceive,
    Send,
    Receive,
    Inactive,
}

impl Flow {
    const NAMES: [(Self, &'static str); 4] = [
        (Self::SendReceive, "sendrecv"),
        (Self::Send, "sendonly"),
        (Self::Receive, "recvonly"),
        (Self::Inactive, "inactive"),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(flow, _)| *flow == self).map_or("inactive", |(_, name)| name)
    }

    /// Whether its writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::Send)
    }
}

/// Why a text is no description.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SdpError {
    /// Beyond [`SDP_BYTES_MAX`].
    #[error("description of {0} bytes")]
    TooLong(usize),
    /// Beyond [`SECTIONS_MAX`].
    #[error("description of {0} sections")]
    TooMany(usize),
    /// Beyond [`LINES_MAX`].
    #[error("section of more than {0} lines")]
    Crowded(usize),
    /// A section without `a=mid`.
    #[error("section {0} has no mid")]
    NoMid(usize),
}

impl<'t> Sdp<'t> {
    /// Splits a text into its sections.
    pub fn parse(text: &'t str) -> Result<Self, SdpError> {
        if text.len() > SDP_BYTES_MAX {
            return Err(SdpError::TooLong(text.len()));
        }
        let sections = text.lines().filter(|line| line.starts_with("m=")).count();
        if sections > SECTIONS_MAX {
            return Err(SdpError::TooMany(sections));
        }
        let mut sdp = Self { session: Vec::new(), sections: Vec::new(), dropped_candidates: 0 };
        let mut candidates = BTreeSet::new();
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if line.starts_with("m=") {
                sdp.sections.push(Section { lines: Vec::new() });
            }
            // Clients repeat their candidates in each section.
            if line.starts_with("a=candidate:") && !candidates.contains(line) {
                if candidates.len() == CANDIDATES_MAX {
                    sdp.dropped_candidates += 1;
                    continue;
                }
                candidates.insert(line);
            }
            let lines = sdp.sections.last_mut().map_or(&mut sdp.session, |section| &mut section.lines);
            if lines.len() == LINES_MAX {
                return Err(SdpError::Crowded(LINES_MAX));
            }
            lines.push(Cow::Borrowed(line));
        }
        match sdp.sections.iter().position(|section| section.mid().is_none()) {
            Some(index) => Err(SdpError::NoMid(index)),
            None => Ok(sdp),
        }
    }

    /// The values of an attribute, of the whole and of each section.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let sections = self.sections.iter().flat_map(move |section| section.all(name));
        values(&self.session, name).chain(sections)
    }

    /// The section with this mid.
    pub fn section_mut(&mut self, mid: &str) -> Option<&mut Section<'t>> {
        self.sections.iter_mut().find(|section| section.mid() == Some(mid))
    }
}

impl fmt::Display for Sdp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections = self.sections.iter().flat_map(|section| &section.lines);
        self.session.iter().chain(sections).try_for_each(|line| {
            f.write_str(line)?;
            f.write_str("\r\n")
        })
    }
}

impl Section<'_> {
    /// Sound or picture; none for data.
    pub fn kind(&self) -> Option<MediaKind> {
        match self.lines[0].split([' ', '=']).nth(1)? {
            "audio" => Some(MediaKind::Audio),
            "video" => Some(MediaKind::Video),
            _ => None,
        }
    }

    /// Its `a=mid`.
    pub fn mid(&self) -> Option<&str> {
        self.attribute("mid")
    }

    /// Port 0: rejected or stopped (all of a browser's sections are bundled and carry another).
    pub fn is_stopped(&self) -> bool {
        self.lines[0].split(' ').nth(1) == Some("0") && self.attribute("bundle-only").is_none()
    }

    /// Which way its writer lets media flow.
    pub fn flow(&self) -> Flow {
        if self.is_stopped() {
            return Flow::Inactive;
        }
        let named = |name: &str| Flow::NAMES.iter().find(|(_, flow)| *flow == name).map(|(flow, _)| *flow);
        self.lines.iter().find_map(|line| named(line.strip_prefix("a=")?)).unwrap_or(Flow::SendReceive)
    }

    /// The track id of its `a=msid`, if it has one with a track.
    pub fn track_id(&self) -> Option<&str> {
        self.attribute("msid")?.split(' ').nth(1)
    }

    /// The rids that its writer sends, in order of its `a=rid` lines.
    pub fn send_rids(&self) -> impl Iterator<Item = &str> {
        self.all("rid").filter_map(|value| {
            let (rid, rest) = value.split_once(' ')?;
            rest.starts_with("send").then_some(rid)
        })
    }

    /// The values of an attribute.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        values(&self.lines, name)
    }

    /// The payload types whose retransmissions this one carries (RFC 4588 8.6).
    pub fn repaired_by<'a>(&'a self, payload_type: &'a str) -> impl Iterator<Item = &'a str> {
        let parameters = self.all("fmtp").filter_map(move |value| value.strip_prefix(payload_type)?.strip_prefix(' '));
        parameters.flat_map(|fmtp| fmtp.split(';')).filter_map(|parameter| parameter.trim().strip_prefix("apt="))
    }

    /// Its SSRCs.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> {
        self.all("ssrc").filter_map(|value| value.split(' ').next()?.parse().ok())
    }

    /// Nothing flows here for now.
    pub fn set_inactive(&mut self) {
        self.set_flow(Flow::Inactive);
        self.drop_names();
    }

    /// A track is sent here under these names.
    pub fn set_sending(&mut self, stream: &str, track: &str) {
        self.set_flow(Flow::Send);
        let msid = format!("{stream} {track}");
        for line in &mut self.lines {
            if let Some((head, _)) = line.split_once(" msid:").filter(|(head, _)| head.starts_with("a=ssrc:")) {
                *line = format!("{head} msid:{msid}").into();
            }
        }
        let msid = format!("a=msid:{msid}");
        match self.lines.iter_mut().find(|line| line.starts_with("a=msid:")) {
            Some(line) => *line = msid.into(),
            None => self.lines.push(msid.into()),
        }
    }

    /// We receive here: no name of ours belongs to it.
    pub fn set_receiving(&mut self) {
        self.drop_names();
    }

    /// Puts a codec's payload types, each with its retransmissions, before all others. A client sends what our answer
    /// lists first.
    pub fn prefer_codec(&mut self, codec: &str) {
        let mut head: Vec<String> = self.lines[0].split(' ').map(str::to_owned).collect();
        let Some(types) = head.get(3..).map(<[String]>::to_vec) else { return };
        let mut preferred: Vec<String> = Vec::new();
        for payload_type in types.iter().filter(|payload_type| self.codec_of(payload_type) == Some(codec)) {
            preferred.push(payload_type.clone());
            let repairs = format!("apt={payload_type}");
            let is_repair = |other: &&String| self.parameters_of(other).is_some_and(|fmtp| fmtp == repairs);
            preferred.extend(types.iter().filter(is_repair).cloned());
        }
        let others = types.iter().filter(|payload_type| !preferred.contains(payload_type)).cloned();
        let ordered: Vec<String> = preferred.iter().cloned().chain(others).collect();
        head.truncate(3);
        head.extend(ordered);
        self.lines[0] = head.join(" ").into();
    }

    /// Puts sound with redundancy first, so that the client sends it, where both sides know it.
    pub fn prefer_redundancy(&mut self) {
        self.prefer_codec("red");
    }

    /// Says how we want Opus to be sent here (RFC 7587 6.1).
    pub fn tune_opus(&mut self, stereo: bool, dtx: bool) {
        let mut wishes = Vec::new();
        if stereo {
            wishes.extend(["stereo=1", "maxaveragebitrate=510000"]);
        }
        if dtx {
            wishes.push("usedtx=1");
        }
        let types = self.lines[0].split(' ').skip(3);
        let opus: Vec<String> = types.filter(|t| self.codec_of(t) == Some("opus")).map(str::to_owned).collect();
        for payload_type in opus {
            let prefix = format!("a=fmtp:{payload_type} ");
            let Some(line) = self.lines.iter_mut().find(|line| line.starts_with(&prefix)) else {
                self.lines.push(format!("{prefix}{}", wishes.join(";")).into());
                continue;
            };
            let replaced = |parameter: &&str| {
                let name = parameter.split('=').next().unwrap_or_default().trim();
                !["stereo", "maxaveragebitrate", "usedtx"].contains(&name)
            };
            let kept: Vec<&str> = line[prefix.len()..].split(';').filter(replaced).collect();
            *line = format!("{prefix}{}", [kept, wishes.clone()].concat().join(";")).into();
        }
    }

    fn set_flow(&mut self, flow: Flow) {
        let is_flow = |line: &&mut Cow<str>| Flow::NAMES.iter().any(|(_, name)| line.strip_prefix("a=") == Some(name));
        let named = format!("a={}", flow.name());
        match self.lines.iter_mut().find(is_flow) {
            Some(line) => *line = named.into(),
            None => self.lines.push(named.into()),
        }
    }

    fn drop_names(&mut self) {
        let is_name = |line: &Cow<str>| ["a=msid:", "a=ssrc:", "a=ssrc-group:"].iter().any(|n| line.starts_with(n));
        self.lines.retain(|line| !is_name(line));
    }

    /// Codec name of a payload type.
    fn codec_of(&self, payload_type: &str) -> Option<&str> {
        let value = self.all("rtpmap").find_map(|value| value.strip_prefix(payload_type)?.strip_prefix(' '))?;
        value.split('/').next()
    }

    fn parameters_of(&self, payload_type: &str) -> Option<&str> {
        self.all("fmtp").find_map(|value| value.strip_prefix(payload_type)?.strip_prefix(' '))
    }

    fn attribute<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }
}

fn values<'a>(lines: &'a [Cow<'a, str>], name: &'a str) -> impl Iterator<Item = &'a str> {
    lines.iter().filter_map(move |line| {
        let rest = line.strip_prefix("a=")?.strip_prefix(name)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(':') }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Chromium 147, v1, with a camera published in three layers: the publishing section and one placeholder.
    const CHROMIUM: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1 2\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS 5f3e\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 109 114 45 46\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
        a=ice-ufrag:x9Vj\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\na=setup:actpass\r\na=mid:0\r\na=sendonly\r\n\
        a=msid:5f3e c0ffee-cam\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtpmap:97 rtx/90000\r\n\
        a=fmtp:97 apt=96\r\na=rtpmap:103 H264/90000\r\na=fmtp:103 packetization-mode=1\r\na=rtpmap:104 rtx/90000\r\n\
        a=fmtp:104 apt=103\r\na=rtpmap:109 H264/90000\r\na=rtpmap:114 rtx/90000\r\na=fmtp:114 apt=109\r\n\
        a=rtpmap:45 AV1/90000\r\na=rtpmap:46 rtx/90000\r\na=fmtp:46 apt=45\r\n\
        a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n";

    #[test]
    fn a_browsers_offer_is_read() {
        let sdp = Sdp::parse(CHROMIUM).unwrap();
        let [video, audio, data] = &sdp.sections[..] else { panic!("{} sections", sdp.sections.len()) };
        assert_eq!((video.kind(), video.mid(), video.flow()), (Some(MediaKind::Video), Some("0"), Flow::Send));
        assert_eq!(video.track_id(), Some("c0ffee-cam"));
        assert_eq!(video.send_rids().collect::<Vec<_>>(), ["q", "h", "f"]);
        assert_eq!((audio.kind(), audio.flow(), audio.track_id()), (Some(MediaKind::Audio), Flow::Receive, None));
        assert_eq!((data.kind(), data.mid()), (None, Some("2")));
        assert_eq!(sdp.to_string(), CHROMIUM, "nothing is lost");
    }

    #[test]
    fn a_codec_comes_first_together_with_its_retransmissions() {
        let mut sdp = Sdp::parse(CHROMIUM).unwrap();
        sdp.sections[0].prefer_codec("H264");
        assert_eq!(sdp.sections[0].lines[0], "m=video 9 UDP/TLS/RTP/SAVPF 103 104 109 114 96 97 45 46");
        sdp.sections[0].prefer_codec("AV1");
        assert_eq!(sdp.sections[0].lines[0], "m=video 9 UDP/TLS/RTP/SAVPF 45 46 103 104 109 114 96 97");
        sdp.sections[0].prefer_codec("H265");
        assert_eq!(sdp.sections[0].lines[0], "m=video 9 UDP/TLS/RTP/SAVPF 45 46 103 104 109 114 96 97");
    }

    #[test]
    fn an_idle_section_is_inactive_and_a_used_one_names_its_track() {
        let answer = CHROMIUM.replace(
            "a=recvonly\r\n",
            "a=sendonly\r\na=msid:random other\r\na=ssrc:7 cname:x\r\na=ssrc:7 msid:random other\r\n\
             a=ssrc-group:FID 7 8\r\n",
        );
        let mut idle = Sdp::parse(&answer).unwrap();
        idle.section_mut("1").unwrap().set_inactive();
        assert_eq!(idle.sections[1].flow(), Flow::Inactive);
        assert!(!idle.sections[1].lines.iter().any(|line| line.contains("ssrc") || line.contains("msid")));

        let mut used = Sdp::parse(&answer).unwrap();
        used.section_mut("1").unwrap().set_sending("PA_a|camera", "TR_b");
        assert_eq!((used.sections[1].flow(), used.sections[1].track_id()), (Flow::Send, Some("TR_b")));
        assert!(used.to_string().contains("a=ssrc:7 msid:PA_a|camera TR_b\r\n"));
        assert!(used.to_string().contains("a=ssrc:7 cname:x\r\n"));
    }

    #[test]
    fn opus_is_tuned_in_place() {
        let mut sdp = Sdp::parse(CHROMIUM).unwrap();
        sdp.sections[1].tune_opus(true, true);
        let wanted = "a=fmtp:111 minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=510000;usedtx=1";
        assert!(sdp.sections[1].lines.iter().any(|line| line == wanted));
        sdp.sections[1].tune_opus(false, false);
        assert!(sdp.sections[1].lines.iter().any(|line| line == "a=fmtp:111 minptime=10;useinbandfec=1"));
    }

    #[test]
    fn a_description_beyond_the_bounds_is_refused() {
        assert_eq!(Sdp::parse(&"x".repeat(SDP_BYTES_MAX + 1)), Err(SdpError::TooLong(SDP_BYTES_MAX + 1)));
        assert_eq!(Sdp::parse(&"m=audio 9 x 0\r\na=mid:1\r\n".repeat(301)), Err(SdpError::TooMany(301)));
        assert_eq!(Sdp::parse("m=audio 9 x 0\r\n"), Err(SdpError::NoMid(0)));
        let crowded = format!("m=audio 9 x 0\r\na=mid:1\r\n{}", "a=x\r\n".repeat(LINES_MAX));
        assert_eq!(Sdp::parse(&crowded), Err(SdpError::Crowded(LINES_MAX)));
    }

    #[test]
    fn a_client_has_so_many_candidates_and_may_repeat_them() {
        let candidates =
            |count: usize| -> String { (0..count).map(|n| format!("a=candidate:{n} 1 udp 1\r\n")).collect() };
        let (few, many) = (candidates(CANDIDATES_MAX), candidates(CANDIDATES_MAX + 5));
        let section = |mid: u8, lines: &str| format!("m=audio 9 x 0\r\na=mid:{mid}\r\n{lines}");
        let (twice, many) = (section(0, &few) + &section(1, &few), section(0, &many));
        let repeated = Sdp::parse(&twice).unwrap();
        assert_eq!((repeated.dropped_candidates, repeated.all("candidate").count()), (0, 2 * CANDIDATES_MAX));
        let crowd = Sdp::parse(&many).unwrap();
        assert_eq!((crowd.dropped_candidates, crowd.all("candidate").count()), (5, CANDIDATES_MAX));
    }

    fn edit(sdp: &mut Sdp) {
        for section in &mut sdp.sections {
            section.prefer_codec("VP8");
            section.tune_opus(true, false);
            section.set_sending("PA_a|b", "TR_c");
            section.set_inactive();
            let _ = (section.kind(), section.track_id().is_some(), section.send_rids().count(), section.is_stopped());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_or_editing_panic(text in "(m=|a=|v=|[ -~\r\n]){0,200}") {
            if let Ok(mut sdp) = Sdp::parse(&text) {
                edit(&mut sdp);
            }
        }

        #[test]
        fn no_damage_to_a_real_offer_makes_editing_panic(at in 0usize..1500, byte in 0x20u8..0x7f, cut in 0usize..1600) {
            let mut text = CHROMIUM.as_bytes().to_vec();
            let length = text.len();
            text[at % length] = byte;
            text.truncate(cut.min(length));
            if let Ok(mut sdp) = Sdp::parse(&String::from_utf8(text).unwrap()) {
                edit(&mut sdp);
                let text = sdp.to_string();
                prop_assert_eq!(Sdp::parse(&text).map(|sdp| sdp.to_string()), Ok(text));
            }
        }
    }
}
