//! Streams of ours that str0m does not see. Where media leave by our own way it has no use for them, but would look through
//! all of them at every turn, and report on each that nothing was sent. It is shown them while descriptions are made, which
//! name them. So it is from a client's first offer on, though the handshake tells only later whether our own way is open.
//! Where we offer, it still sees them (docs/decisions/0015-own-egress.md, Saying).

use str0m::rtp::Ssrc;

use super::{Mid, Peer};

/// Such a stream.
pub(super) struct Unseen {
    mid: Mid,
    ssrc: Ssrc,
    repair: Option<Ssrc>,
}

impl Peer {
    /// Takes our streams in sections that the client has offered from str0m, where media leave by our own way or may come to.
    pub(super) fn hide_streams(&mut self) {
        if !self.wants_own {
            return;
        }
        let mut api = self.rtc.direct_api();
        for &mid in &self.sections {
            let stream = api.stream_tx_by_mid(mid, None);
            let Some((ssrc, repair)) = stream.map(|stream| (stream.ssrc(), stream.rtx())) else { continue };
            api.remove_stream_tx(ssrc);
            self.unseen.push(Unseen { mid, ssrc, repair });
        }
    }

    /// Gives them back, as they were. Those whose section is gone are gone with it.
    pub(super) fn show_streams(&mut self) {
        for Unseen { mid, ssrc, repair } in std::mem::take(&mut self.unseen) {
            if self.rtc.media(mid).is_some() {
                self.rtc.direct_api().declare_stream_tx(ssrc, repair, mid, None);
            }
        }
    }

    /// SSRCs of the stream in a section of ours, and of its retransmissions.
    pub(super) fn ssrcs_of(&mut self, mid: Mid) -> Option<(u32, Option<u32>)> {
        let unseen = self.unseen.iter().find(|unseen| unseen.mid == mid);
        let seen = || {
            let mut api = self.rtc.direct_api();
            let stream = api.stream_tx_by_mid(mid, None)?;
            Some((stream.ssrc(), stream.rtx()))
        };
        let (ssrc, repair) = unseen.map(|unseen| (unseen.ssrc, unseen.repair)).or_else(seen)?;
        Some((*ssrc, repair.map(|repair| *repair)))
    }

    /// The section of a stream that we send.
    pub fn section_of_ours(&mut self, ssrc: u32) -> Option<Mid> {
        let unseen = self.unseen.iter().find(|unseen| *unseen.ssrc == ssrc);
        unseen.map(|unseen| unseen.mid).or_else(|| Some(self.rtc.direct_api().stream_tx(&ssrc.into())?.mid()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use str0m::Rtc;
    use str0m::media::{Direction, MediaKind};

    use super::*;
    use crate::SessionId;
    use crate::media::peer::profile::{self, Chosen};
    use crate::media::peer::{Reader, Setup};
    use crate::media::{Egress, OpenSession, Sections, Target};

    /// A connection whose client has offered to receive a picture, its answer, and that section.
    fn answered(egress: Egress) -> (Peer, String, Mid) {
        let now = Instant::now();
        let mut client = Rtc::new(now);
        let mut changes = client.sdp_api();
        let mid = changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let offer = changes.apply().unwrap().0.to_sdp_string();
        let addresses = vec!["127.0.0.1:7000".parse().unwrap()];
        let sections = Sections::default();
        let setup = Setup { addresses, tcp_addresses: Vec::new(), bwe: true, egress, loudest: 0, sections };
        let open = OpenSession {
            session: SessionId(1),
            single_connection: true,
            ice_lite: true,
            fixed_sections: false,
            tcp_only: false,
            may_pause: false,
        };
        let mut peer = Peer::new(&setup, &open, Target::Publisher, true, now);
        let answer = peer.accept_offer(&mut Reader::default(), &offer).unwrap();
        (peer, answer, mid)
    }

    fn is_seen(peer: &mut Peer, mid: Mid) -> bool {
        peer.rtc.direct_api().stream_tx_by_mid(mid, None).is_some()
    }

    #[test]
    fn str0m_sees_no_stream_of_ours_from_the_first_offer_on() {
        let (mut peer, answer, mid) = answered(Egress::Own);
        assert!(!is_seen(&mut peer, mid), "it would report on it while the handshake goes on");
        let (ssrc, repair) = peer.ssrcs_of(mid).unwrap();
        for ssrc in [Some(ssrc), repair] {
            assert!(answer.contains(&format!("a=ssrc:{} ", ssrc.unwrap())), "{answer}");
        }
        assert_eq!(peer.section_of_ours(ssrc), Some(mid));
    }

    #[test]
    fn it_sees_them_again_if_the_handshake_does_not_choose_our_way() {
        let (mut peer, _, mid) = answered(Egress::Own);
        let ssrcs = peer.ssrcs_of(mid);
        profile::choose(Chosen { name: "AES128_CM_SHA1_80", keying: None });
        peer.take_keys(Instant::now());
        assert!(is_seen(&mut peer, mid));
        assert_eq!(peer.ssrcs_of(mid), ssrcs, "what the answer has named");
        peer.hide_streams();
        assert!(is_seen(&mut peer, mid), "for good");
    }

    #[test]
    fn where_media_leave_by_str0ms_way_it_sees_all() {
        let (mut peer, _, mid) = answered(Egress::Str0m);
        assert!(is_seen(&mut peer, mid));
    }
}
