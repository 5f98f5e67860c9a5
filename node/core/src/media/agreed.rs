//! What a client's descriptions have settled on a connection for good, and why a description cannot be taken.
//!
//! str0m keeps the first fingerprint and the first meaning of a payload type and answers a later offer as if it had
//! taken what that one says; of two meanings of one payload type it makes a panic. So a description is compared with
//! what was agreed before str0m sees it.

use std::collections::{BTreeMap, BTreeSet};

use origo_cascade_core::MediaKind;

use super::peer::PeerError;
use super::sdp::{Sdp, SdpError, Section};

/// SSRCs that a connection may name in its life: some 600 tracks with three layers and their retransmissions.
const SSRCS_MAX: usize = 4_096;
/// Payload types have seven bits (RFC 3550 5.1).
const PAYLOAD_TYPE_MAX: u16 = 127;

/// Why a description cannot be taken. Its client is to join anew.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is none, or beyond the bounds.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// Its DTLS fingerprint is another than before. A certificate stays for the life of a connection (RFC 8842 5.1).
    #[error("the DTLS fingerprint is another than before")]
    FingerprintChanged,
    /// Bundled sections share one certificate.
    #[error("its sections have different DTLS fingerprints")]
    Fingerprints,
    /// A mid carried sound and is to carry pictures, or the other way round (RFC 8829 5.2.2).
    #[error("section {0:?} is of another kind than before")]
    MidRecycled(String),
    /// A mid that is used twice, or is no token that RTP can carry.
    #[error("{0:?} is no mid of one section")]
    Mid(String),
    /// A payload type that means two things in one bundle (RFC 9143 9.1), or is none.
    #[error("payload type {0} means different things")]
    PayloadType(String),
    /// Beyond [`SSRCS_MAX`].
    #[error("more than {SSRCS_MAX} SSRCs on one connection")]
    Ssrcs,
    /// What str0m says of it.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// It never came.
    #[error("no answer within {0} s")]
    Late(u64),
    /// Its connection is over.
    #[error("its connection is over")]
    Over,
}

impl Unfit {
    /// As counters call it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Sdp(SdpError::TooLong(_)) => "too long",
            Self::Sdp(SdpError::TooMany(_)) => "too many sections",
            Self::Sdp(SdpError::Crowded(_)) => "too many lines in a section",
            Self::Sdp(SdpError::NoMid(_)) | Self::Mid(_) => "bad mid",
            Self::FingerprintChanged => "fingerprint changed",
            Self::Fingerprints => "fingerprints differ",
            Self::MidRecycled(_) => "mid recycled",
            Self::PayloadType(_) => "payload type changed",
            Self::Ssrcs => "too many SSRCs",
            Self::Peer(PeerError::Refused(_)) => "refused",
            Self::Peer(PeerError::Panicked) => "panic",
            Self::Late(_) => "no answer",
            Self::Over => "connection over",
        }
    }
}

/// What was settled on one connection.
#[derive(Debug, Default)]
pub(crate) struct Agreed {
    /// By hash function; empty before the first description.
    fingerprints: BTreeMap<String, String>,
    /// What each section of the last description carries.
    kinds: BTreeMap<String, Option<MediaKind>>,
    /// Codec, clock and what it repairs, by payload type.
    meanings: BTreeMap<u8, String>,
    ssrcs: BTreeSet<u32>,
}

impl Agreed {
    /// Compares a description with what was agreed, and then agrees to it.
    pub fn take(&mut self, sdp: &Sdp<'_>) -> Result<(), Unfit> {
        let fingerprints = fingerprints(sdp)?;
        if !self.fingerprints.is_empty() && !fingerprints.is_empty() && self.fingerprints != fingerprints {
            return Err(Unfit::FingerprintChanged);
        }
        let kinds = self.kinds_of(sdp)?;
        let mut meanings = self.meanings.clone();
        let mut ssrcs = self.ssrcs.clone();
        for section in &sdp.sections {
            add_meanings(section, &mut meanings)?;
            ssrcs.extend(section.ssrcs());
        }
        if ssrcs.len() > SSRCS_MAX {
            return Err(Unfit::Ssrcs);
        }
        if self.fingerprints.is_empty() {
            self.fingerprints = fingerprints;
        }
        (self.kinds, self.meanings, self.ssrcs) = (kinds, meanings, ssrcs);
        Ok(())
    }

    fn kinds_of(&self, sdp: &Sdp<'_>) -> Result<BTreeMap<String, Option<MediaKind>>, Unfit> {
        let mut kinds = BTreeMap::new();
        for section in &sdp.sections {
            let mid = section.mid().unwrap_or_default();
            // RTP carries it in 16 bytes (RFC 8843 15.1), and ours would be written otherwise.
            let is_token = (1..=16).contains(&mid.len()) && mid.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_token || kinds.insert(mid.to_owned(), section.kind()).is_some() {
                return Err(Unfit::Mid(mid.chars().take(32).collect()));
            }
            if self.kinds.get(mid).is_some_and(|before| *before != section.kind()) {
                return Err(Unfit::MidRecycled(mid.to_owned()));
            }
        }
        Ok(kinds)
    }
}

/// A description's fingerprints by hash function.
fn fingerprints(sdp: &Sdp<'_>) -> Result<BTreeMap<String, String>, Unfit> {
    let mut found = BTreeMap::new();
    for value in sdp.all("fingerprint") {
        let (hash, bytes) = value.split_once(' ').unwrap_or((value, ""));
        let (hash, bytes) = (hash.to_ascii_lowercase(), bytes.trim().to_ascii_uppercase());
        if found.get(&hash).is_some_and(|before| *before != bytes) {
            return Err(Unfit::Fingerprints);
        }
        found.insert(hash, bytes);
    }
    Ok(found)
}

/// Adds what a section's payload types mean.
fn add_meanings(section: &Section<'_>, meanings: &mut BTreeMap<u8, String>) -> Result<(), Unfit> {
    for value in section.all("rtpmap") {
        let (number, codec) = value.split_once(' ').unwrap_or((value, ""));
        let mut meaning = codec.trim().to_ascii_lowercase();
        let mut repaired: Vec<&str> = section.repaired_by(number).collect();
        repaired.sort_unstable();
        repaired.dedup();
        if repaired.len() > 1 || repaired.iter().any(|number| payload_type(number).is_none()) {
            return Err(unfit(number));
        }
        for apt in repaired {
            meaning = format!("{meaning} of {apt}");
        }
        let number = payload_type(number).ok_or_else(|| unfit(number))?;
        if meanings.get(&number).is_some_and(|before| *before != meaning) {
            return Err(Unfit::PayloadType(number.to_string()));
        }
        meanings.insert(number, meaning);
    }
    Ok(())
}

fn payload_type(text: &str) -> Option<u8> {
    text.parse::<u16>().ok().filter(|number| *number <= PAYLOAD_TYPE_MAX).map(|number| number as u8)
}

fn unfit(number: &str) -> Unfit {
    Unfit::PayloadType(number.chars().take(16).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\na=fingerprint:sha-256 AA:BB\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=ssrc:7 cname:x\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=rtpmap:111 opus/48000/2\r\n";

    fn taken(texts: &[&str]) -> Result<(), Unfit> {
        let mut agreed = Agreed::default();
        texts.iter().try_for_each(|text| agreed.take(&Sdp::parse(text)?))
    }

    #[test]
    fn the_same_again_and_more_of_it_is_taken() {
        let more = format!("{OFFER}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=rtpmap:96 vp8/90000\r\n");
        let lower = OFFER.replace("sha-256 AA:BB", "SHA-256 aa:bb");
        assert_eq!(taken(&[OFFER, OFFER, &more, &lower]), Ok(()));
        let replaced = OFFER.replace("a=mid:1\r\n", "a=mid:3\r\n");
        assert_eq!(taken(&[OFFER, &replaced]), Ok(()), "a stopped section may give way to one of another name");
    }

    #[test]
    fn what_was_agreed_stays() {
        let with = |from: &str, to: &str| OFFER.replace(from, to);
        for (second, unfit) in [
            (with("AA:BB", "AA:CC"), Unfit::FingerprintChanged),
            (with("m=audio", "m=video"), Unfit::MidRecycled("1".to_owned())),
            (with("VP8/90000", "H264/90000"), Unfit::PayloadType("96".to_owned())),
            (with("apt=96", "apt=111"), Unfit::PayloadType("97".to_owned())),
            (with("111 opus/48000/2", "96 opus/48000/2"), Unfit::PayloadType("96".to_owned())),
        ] {
            assert_eq!(taken(&[OFFER, &second]), Err(unfit), "{second}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_no_description() {
        let with = |from: &str, to: &str| OFFER.replace(from, to);
        for (text, reason) in [
            (with("a=mid:1\r\n", "a=mid:1\r\na=fingerprint:sha-256 CC:DD\r\n"), "fingerprints differ"),
            (with("a=mid:1\r\n", "a=mid:0\r\n"), "bad mid"),
            (with("a=mid:1\r\n", "a=mid:a-b\r\n"), "bad mid"),
            (with("a=mid:1\r\n", "a=mid:12345678901234567\r\n"), "bad mid"),
            (with("a=rtpmap:111 opus", "a=rtpmap:96 opus"), "payload type changed"),
            (with("a=rtpmap:111 opus", "a=rtpmap:128 opus"), "payload type changed"),
            (with("apt=96\r\n", "apt=96\r\na=fmtp:97 apt=111\r\n"), "payload type changed"),
            (with("apt=96\r\n", "apt=200\r\n"), "payload type changed"),
        ] {
            assert_eq!(taken(&[&text]).unwrap_err().reason(), reason, "{text}");
        }
    }

    #[test]
    fn ssrcs_do_not_add_up_without_end() {
        let mut agreed = Agreed::default();
        let mut offer = |first: usize| {
            let lines: String = (first..first + 500).map(|ssrc| format!("a=ssrc:{ssrc} cname:x\r\n")).collect();
            agreed.take(&Sdp::parse(&format!("m=video 9 x 96\r\na=mid:0\r\n{lines}")).unwrap())
        };
        let outcomes: Vec<_> = (0..9).map(|round| offer(round * 500)).collect();
        assert!(outcomes[..8].iter().all(Result::is_ok));
        assert_eq!(outcomes[8], Err(Unfit::Ssrcs));
    }
}
