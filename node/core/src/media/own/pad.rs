//! What fills the way while its width is looked for: packets that left before, again, or nothing but padding.

use std::time::Instant;

use super::header::{self, Head, Layout};
use super::{Again, Outflow, Own, Refused};
use crate::media::egress::Outbox;
use origo_cascade_core::link::Extensions;

/// Padding in a packet without anything else; one byte tells how much (RFC 3550 5.1).
const BLANK_BYTES: usize = 240;
/// The flag in the first byte that says so.
const PADDED: u8 = 0x20;

/// A packet that is to leave.
#[derive(Clone, Debug)]
pub(in crate::media) enum Padding {
    /// One that left before, if it is still there.
    Again(Again),
    /// Nothing but padding.
    Blank,
}

impl Own {
    /// What is to leave now so that the way's width shows; none when nothing is, for now.
    pub fn padding(&mut self, now: Instant) -> Option<Padding> {
        let now_us = self.at_us(now);
        if !self.estimator.wants_padding(now_us) {
            return None;
        }
        if !self.streams.iter().any(Outflow::fills) {
            self.estimator.cannot_pad(now_us);
            return None;
        }
        let again = self.streams.iter_mut().filter(|flow| flow.fills()).find_map(Outflow::any);
        Some(again.map_or(Padding::Blank, Padding::Again))
    }

    /// Sends padding alone, on the retransmissions of a stream: receivers look for nothing in it there.
    pub fn pad(&mut self, now: Instant, outbox: &mut Outbox) -> Result<usize, Refused> {
        let at_us = self.at_us(now);
        let Self { sealer, streams, history, estimator, destination, .. } = self;
        let destination = destination.ok_or(Refused::NoAddress)?;
        let flow = streams.iter_mut().find(|flow| flow.fills()).ok_or(Refused::NoStream)?;
        let ((ssrc, payload_type), repairs) = flow.terms.repair.zip(flow.repairs.as_mut()).ok_or(Refused::NoStream)?;
        let number = repairs.next().ok_or(Refused::NumberUsed)?;
        let transport = history.note(at_us, BLANK_BYTES);
        estimator.sent(at_us, BLANK_BYTES, Some(transport));
        let (nothing, ids) = (Extensions::default(), flow.terms.ids);
        let head = Head {
            payload_type,
            marker: false,
            number: number.value() as u16,
            timestamp: flow.timestamp(),
            ssrc,
            mid: (!flow.bound[1]).then_some(&flow.mid[..]),
            at_us,
            transport: Some(transport as u16),
            extensions: &nothing,
            dependency: None,
        };
        let left = outbox.fill(destination, |buffer, _| {
            let at = header::write(buffer, &ids, &head, &mut Layout::default())?;
            let end = at + BLANK_BYTES;
            buffer.get_mut(at..end)?.fill(0);
            buffer[0] |= PADDED;
            buffer[end - 1] = BLANK_BYTES as u8;
            sealer.seal(number, buffer, at, end)
        });
        self.bytes += BLANK_BYTES as u64;
        if left { Ok(BLANK_BYTES) } else { Err(Refused::TooLong) }
    }
}
