//! Streams of ours that str0m does not see. Where media leave by our own way it has no use for them, but would look through
//! all of them at every turn, and report on each that nothing was sent. It is shown them while descriptions are made, which
//! name them.

use str0m::rtp::Ssrc;

use super::{Mid, Peer};

/// Such a stream.
pub(super) struct Unseen {
    mid: Mid,
    ssrc: Ssrc,
    repair: Option<Ssrc>,
}

impl Peer {
    /// Takes all of our streams from str0m, where media leave by our own way.
    pub(super) fn hide_streams(&mut self) {
        if self.own.is_none() {
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
