//! A client's offers and answers, handed to str0m; and what comes of it when str0m does not take one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use str0m::Rtc;
use str0m::change::SdpPendingOffer;

use super::{Peer, Reader};

/// What ends a connection, or makes a description unusable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(in crate::media) enum PeerError {
    /// str0m does not take it.
    #[error("{0}")]
    Refused(String),
    /// str0m asserts what a client can break, such as that a payload type is locked once.
    #[error("str0m panicked")]
    Panicked,
}

impl PeerError {
    pub(super) fn new(error: impl std::fmt::Display) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Our offer that waits for its answer.
pub(in crate::media) struct Pending(pub(super) SdpPendingOffer);

impl Peer {
    /// Takes the client's offer, gives our answer as str0m words it.
    pub fn accept_offer(&mut self, reader: &mut Reader, sdp: &str) -> Result<String, PeerError> {
        let (answer, sections) = self.guarded(|rtc| {
            let offer = reader.offer(sdp)?;
            let sections = offer.media_lines.iter().map(|line| line.mid()).collect();
            Ok((rtc.sdp_api().accept_offer(offer).map_err(PeerError::new)?.to_sdp_string(), sections))
        })?;
        self.sections = sections;
        self.described();
        Ok(answer)
    }

    /// Takes the client's answer to our offer.
    pub fn accept_answer(&mut self, reader: &mut Reader, pending: Pending, sdp: &str) -> Result<(), PeerError> {
        self.guarded(|rtc| {
            let answer = reader.answer(sdp)?;
            rtc.sdp_api().accept_answer(pending.0, answer).map_err(PeerError::new)
        })?;
        self.described();
        Ok(())
    }

    /// A description on which str0m panics ends this connection and no other: everybody on the worker's thread would
    /// go with it. What is left of the connection is not touched again.
    fn guarded<T>(&mut self, take: impl FnOnce(&mut Rtc) -> Result<T, PeerError>) -> Result<T, PeerError> {
        self.show_streams();
        let rtc = &mut self.rtc;
        let taken = catch_unwind(AssertUnwindSafe(|| take(rtc)));
        if matches!(taken, Ok(Err(_))) {
            self.hide_streams();
        }
        taken.unwrap_or_else(|_| {
            self.dead = true;
            Err(PeerError::Panicked)
        })
    }

    /// Both sides agree on a description.
    fn described(&mut self) {
        self.hide_streams();
        self.agree();
        self.described = true;
        for candidate in std::mem::take(&mut self.early) {
            self.rtc.add_remote_candidate(candidate);
        }
    }
}
