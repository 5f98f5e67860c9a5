//! Reading of clients' descriptions.
//!
//! str0m's parser takes some 2 µs for each line (measured), and a viewer's offer of eight sections has 700. Clients say in
//! each of their sections what is true of the whole connection: that is read once. What is left is mostly codecs and header
//! extensions, and all clients that are made alike say the same of these: they are parsed once and remembered.

use std::collections::HashSet;
use std::sync::Arc;

use str0m::change::{SdpAnswer, SdpOffer};

use super::PeerError;

/// Most lines of a section begin so, and all clients of a kind say the same in them.
const USUAL: [&str; 4] = ["a=rtcp-fb:", "a=rtpmap:", "a=fmtp:", "a=extmap:"];
/// What belongs to the connection. str0m takes the first that it finds, and of candidates one of each.
const OF_CONNECTION: [&str; 5] = ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:", "a=candidate:"];
/// What str0m parses and does not look at in a description of the other side. Without its names str0m makes names of its
/// own up for our answer, which are replaced or left out there.
const UNREAD: [&str; 9] = [
    "a=ice-options:",
    "a=msid:",
    "a=rtcp-mux",
    "a=rtcp-rsize",
    "a=rtcp:",
    "a=extmap-allow-mixed",
    "a=msid-semantic:",
    "a=end-of-candidates",
    "c=",
];
/// Begins a section of which only lines of its own are to be parsed: of all kinds this one needs the fewest.
const BARE: &str = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
/// Begins a description whose sections alone matter.
const HEAD: &str = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
/// How many sections' usual lines are remembered: a few for each kind of client that comes.
const REMEMBERED_MAX: usize = 64;
/// Longer ones are parsed each time.
const REMEMBERED_BYTES_MAX: usize = 16 * 1024;

/// Reads descriptions, and remembers what clients usually say.
#[derive(Default)]
pub(in crate::media) struct Reader {
    /// The usual lines of a section, and the description of it alone.
    usual: Vec<(String, Arc<SdpOffer>)>,
}

impl Reader {
    /// A client's offer.
    pub(super) fn offer(&mut self, text: &str) -> Result<SdpOffer, PeerError> {
        match self.joined(text) {
            Some(offer) => Ok(offer),
            None => SdpOffer::from_sdp_string(text).map_err(|error| refusal(text, &error.to_string())),
        }
    }

    /// A client's answer.
    pub(super) fn answer(&mut self, text: &str) -> Result<SdpAnswer, PeerError> {
        Ok(SdpAnswer::from((*self.offer(text)?).clone()))
    }

    /// The description, its sections' usual lines being remembered; none where str0m would not take each line of it.
    fn joined(&mut self, text: &str) -> Option<SdpOffer> {
        let parts = Parts::of(text);
        let own = SdpOffer::from_sdp_string(&parts.own()).ok()?;
        if own.media_lines.len() != parts.sections.len() {
            return None;
        }
        let mut sdp = (*own).clone();
        for (line, section) in sdp.media_lines.iter_mut().zip(&parts.sections) {
            let usual = self.remembered(&section.usual.text)?;
            let [usual] = &usual.media_lines[..] else { return None };
            // The first one is a mid that means nothing.
            let attributes = usual.attrs.get(1..)?;
            if line.attrs.len() != section.own.count || attributes.len() != section.usual.count {
                return None;
            }
            line.typ = usual.typ.clone();
            line.disabled = usual.disabled;
            line.proto = usual.proto;
            line.pts = usual.pts.clone();
            line.attrs.extend_from_slice(attributes);
        }
        Some(sdp.into())
    }

    fn remembered(&mut self, usual: &str) -> Option<Arc<SdpOffer>> {
        if let Some((_, known)) = self.usual.iter().find(|(text, _)| text == usual) {
            return Some(Arc::clone(known));
        }
        let parsed = Arc::new(SdpOffer::from_sdp_string(&format!("{HEAD}{usual}")).ok()?);
        if usual.len() <= REMEMBERED_BYTES_MAX {
            if self.usual.len() == REMEMBERED_MAX {
                self.usual.clear();
            }
            self.usual.push((usual.to_owned(), Arc::clone(&parsed)));
        }
        Some(parsed)
    }
}

/// A description in parts, without what str0m reads in vain.
#[derive(Default)]
struct Parts {
    /// Before the first section.
    head: Lines,
    sections: Vec<Section>,
}

/// One section of it.
#[derive(Default)]
struct Section {
    /// What differs from client to client.
    own: Lines,
    /// The rest, under a mid that means nothing.
    usual: Lines,
}

/// Attributes, one in each line.
#[derive(Default)]
struct Lines {
    text: String,
    count: usize,
}

impl Lines {
    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str("\r\n");
        self.count += 1;
    }
}

impl Parts {
    fn of(text: &str) -> Self {
        let mut parts = Self::default();
        let mut said = HashSet::new();
        let (mut streams, mut sends) = (Lines::default(), true);
        for line in text.lines() {
            if line.starts_with("m=") {
                parts.end_section(&mut streams, std::mem::replace(&mut sends, true));
                let usual = Lines { text: format!("{line}\r\na=mid:0\r\n"), count: 0 };
                parts.sections.push(Section { own: Lines::default(), usual });
                continue;
            }
            let begins = |prefix: &&str| line.starts_with(*prefix);
            let Some(section) = parts.sections.last_mut() else {
                if !UNREAD.iter().any(begins) {
                    parts.head.push(line);
                }
                continue;
            };
            if USUAL.iter().any(begins) {
                section.usual.push(line);
            } else if line.starts_with("a=ssrc") {
                streams.push(line);
            } else if OF_CONNECTION.iter().any(begins) {
                if said.insert(line) {
                    section.own.push(line);
                }
            } else if line.starts_with("a=mid:") {
                section.own.push(line);
            } else if !UNREAD.iter().any(begins) {
                sends &= !matches!(line, "a=recvonly" | "a=inactive");
                section.usual.push(line);
            }
        }
        parts.end_section(&mut streams, sends);
        parts
    }

    /// Streams are looked at where the client sends.
    fn end_section(&mut self, streams: &mut Lines, sends: bool) {
        let Lines { text, count } = std::mem::take(streams);
        if let Some(section) = self.sections.last_mut().filter(|_| sends) {
            section.own.text.push_str(&text);
            section.own.count += count;
        }
    }

    /// What differs from client to client, as a description.
    fn own(&self) -> String {
        let sections = self.sections.iter().flat_map(|section| [BARE, &section.own.text]);
        [&self.head.text[..]].into_iter().chain(sections).collect()
    }
}

/// Why a text is no description. str0m's parser tells an address in our memory: what is told is how far into the text that
/// is, and never the address.
fn refusal(text: &str, error: &str) -> PeerError {
    let Some((before, rest)) = error.split_once("PointerOffset(") else { return PeerError::new(error) };
    let (address, after) = rest.split_once(')').unwrap_or_default();
    let address = usize::from_str_radix(address.trim_start_matches("0x"), 16).ok();
    let at = address.and_then(|address| address.checked_sub(text.as_ptr() as usize));
    PeerError::new(match at {
        Some(at) => format!("{before}byte {at}{after}"),
        None => format!("{before}some byte{after}"),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;
    use str0m::media::{Direction, MediaKind};
    use str0m::{Candidate, Rtc};

    use super::*;

    /// As browsers write: each section says all that is true of the connection, candidates too.
    fn offer() -> String {
        let mut rtc = Rtc::new(Instant::now());
        rtc.add_local_candidate(Candidate::host("127.0.0.1:4000".parse().unwrap(), "udp").unwrap());
        let mut changes = rtc.sdp_api();
        changes.add_channel("data".into());
        changes.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        changes.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        for _ in 0..3 {
            changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        }
        let offer = changes.apply().unwrap().0.to_sdp_string();
        let candidate = "a=candidate:1 1 udp 2130706175 127.0.0.1 4000 typ host\r\na=end-of-candidates\r\n";
        offer.replace("a=rtcp-mux\r\n", &format!("a=rtcp:9 IN IP4 0.0.0.0\r\na=rtcp-mux\r\n{candidate}"))
    }

    /// What is agreed on; what an answerer makes up for itself is left out.
    fn agreed(offer: SdpOffer) -> Vec<String> {
        let mut rtc = Rtc::new(Instant::now());
        let answer = rtc.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
        let own = ["o=", "a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=ssrc", "a=msid"];
        answer.lines().filter(|line| !own.iter().any(|own| line.starts_with(own))).map(str::to_owned).collect()
    }

    /// All that it says. In which order the attributes of a section stand says nothing, but those of one name; what str0m
    /// does not know it does not look at.
    fn said(offer: &SdpOffer) -> Vec<String> {
        let name = |attribute: &String| attribute.split(['(', ' ']).next().unwrap_or_default().to_owned();
        let mut said = vec![format!("{:?}", offer.session)];
        for line in &offer.media_lines {
            let mut attributes: Vec<String> = line.attrs.iter().map(|attribute| format!("{attribute:?}")).collect();
            attributes.retain(|attribute| name(attribute) != "Unused");
            attributes.sort_by_key(name);
            said.push(format!("{:?} {} {:?} {:?} {:?}", line.typ, line.disabled, line.proto, line.pts, line.bw));
            said.extend(attributes);
        }
        said
    }

    /// What is left when lines are left out as they are said to be.
    fn brief(text: &str) -> String {
        let (mut said, mut kept) = (HashSet::new(), String::new());
        for (number, section) in text.split("m=").enumerate() {
            let sends = !["a=recvonly", "a=inactive"].iter().any(|flow| section.lines().any(|line| line == *flow));
            for (at, line) in section.split_inclusive('\n').enumerate() {
                let begins = |prefix: &&str| line.starts_with(*prefix);
                let repeats = number > 0 && OF_CONNECTION.iter().any(begins) && !said.insert(line);
                let is_unread = UNREAD.iter().any(begins) || line.starts_with("a=ssrc") && !sends && number > 0;
                if number > 0 && at == 0 {
                    kept.push_str("m=");
                }
                if !repeats && !is_unread {
                    kept.push_str(line);
                }
            }
        }
        kept
    }

    fn parsed(text: &str) -> Result<SdpOffer, PeerError> {
        SdpOffer::from_sdp_string(text).map_err(|error| refusal(text, &error.to_string()))
    }

    #[test]
    fn the_same_is_agreed_on_with_fewer_lines() {
        let offer = offer();
        let parts = Parts::of(&offer);
        let from_parts = agreed(Reader::default().offer(&offer).unwrap());
        assert_eq!(from_parts, agreed(parsed(&offer).unwrap()));
        assert!(from_parts.iter().any(|line| line.starts_with("a=rtpmap:")), "something was agreed on");
        let own = parts.own();
        assert_eq!(own.matches("a=fingerprint:").count(), 1);
        assert_eq!(own.matches("a=candidate:1 ").count(), 1);
        let streams: Vec<bool> = parts.sections.iter().map(|section| section.own.text.contains("a=ssrc:")).collect();
        assert_eq!(streams, [false, true, true, false, false, false], "only where the client sends");
        let (before, after) = (offer.lines().count(), own.lines().count());
        assert!(after < 40 && before > 500, "{after} of {before} lines");
    }

    #[test]
    fn what_differs_from_section_to_section_stays() {
        let text = "v=0\r\nm=audio 9 x 0\r\na=setup:active\r\nm=video 9 x 0\r\na=setup:passive\r\na=setup:active\r\n";
        let own = format!("v=0\r\n{BARE}a=setup:active\r\n{BARE}a=setup:passive\r\n");
        assert_eq!(Parts::of(text).own(), own);
    }

    #[test]
    fn what_is_remembered_says_what_would_be_parsed() {
        let (mut reader, offer) = (Reader::default(), offer());
        let whole = said(&parsed(&brief(&offer)).unwrap());
        assert_eq!(said(&reader.joined(&offer).unwrap()), whole);
        // Data, sound, and pictures that come and go; three idle sections are one.
        assert_eq!(reader.usual.len(), 4);

        let next = said(&reader.joined(&self::offer()).unwrap());
        assert_eq!(reader.usual.len(), 4, "the next client says nothing new");
        assert!(next != whole && next.len() == whole.len(), "but has keys and streams of its own");
        let answer = reader.answer(&offer).unwrap();
        assert_eq!(answer.media_lines.len(), 6);
    }

    #[test]
    fn what_str0m_would_not_take_whole_is_left_to_it() {
        let (mut reader, offer) = (Reader::default(), offer());
        for (what, damaged) in [
            ("a bandwidth among attributes", offer.replacen("a=recvonly\r\n", "a=recvonly\r\nb=AS:9\r\n", 1)),
            ("no payload types", offer.replacen("a=rtpmap:", "a=rtpnap:", 1)),
            ("no mid", offer.replacen("a=mid:", "a=mit:", 1)),
            ("an origin that is none", offer.replacen("o=", "o:", 1)),
        ] {
            assert!(reader.joined(&damaged).is_none(), "{what}");
            let (read, whole) = (reader.offer(&damaged), parsed(&damaged));
            assert_eq!(read.map(|offer| said(&offer)), whole.map(|offer| said(&offer)), "{what}");
        }
    }

    #[test]
    fn a_refusal_tells_where_in_the_text_and_nothing_of_our_memory() {
        let PeerError::Refused(reason) = Reader::default().offer("v=0\r\nno description").unwrap_err() else {
            panic!()
        };
        assert!(reason.starts_with("SDP parse: Parse error at byte 5\n"), "{reason}");
        for odd in ["at PointerOffset(0x10)", "at PointerOffset(?)", "at PointerOffset(0x10"] {
            let PeerError::Refused(reason) = refusal("text", odd) else { panic!() };
            assert_eq!(reason, "at some byte");
        }
    }

    #[test]
    fn no_more_is_remembered_than_has_room() {
        let (mut reader, offer) = (Reader::default(), offer());
        for number in 0..2 * REMEMBERED_MAX {
            reader.offer(&offer.replace("a=recvonly\r\n", &format!("a=recvonly\r\na=x-{number}\r\n"))).unwrap();
            assert!(reader.usual.len() <= REMEMBERED_MAX);
        }
        let long =
            offer.replace("a=recvonly\r\n", &format!("a=recvonly\r\na=x-{}\r\n", "y".repeat(REMEMBERED_BYTES_MAX)));
        assert_eq!(said(&reader.offer(&long).unwrap()), said(&parsed(&brief(&long)).unwrap()));
        assert!(reader.usual.iter().all(|(usual, _)| usual.len() <= REMEMBERED_BYTES_MAX));
    }

    proptest! {
        #[test]
        fn damage_is_read_as_str0m_reads_it(cuts in prop::collection::vec((0usize..9_000, 0usize..40, "[ -~\r\n]{0,8}"), 1..4)) {
            let mut text = offer();
            for (at, length, put) in cuts {
                let at = at % text.len();
                text.replace_range(at..(at + length).min(text.len()), &put);
                if text.is_empty() { break }
            }
            let mut reader = Reader::default();
            let (left, whole) = (parsed(&brief(&text)), parsed(&text));
            let [left, whole] = [left, whole].map(|offer| offer.map(|offer| said(&offer)));
            // As a first one and once all is remembered.
            for _ in 0..2 {
                let read = reader.offer(&text).map(|offer| said(&offer));
                prop_assert!(read == left && read.is_ok() || read == whole, "{text}");
            }
        }
    }
}
