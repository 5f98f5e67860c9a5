//! What we seal and send by ourselves, without str0m: a client's RTP, and every RTCP packet of its connection.
//!
//! str0m goes on with ICE, DTLS, data, what the client sends, and the making of RTCP; what it says in RTCP is opened, put
//! right and sealed anew, so that nothing that str0m sealed reaches the wire once we have the keys. See
//! docs/decisions/0015-own-egress.md.

mod ahead;
mod control;
mod estimator;
mod feedback;
mod header;
mod history;
mod intake;
mod pacer;
mod pad;
mod report;
mod sent;
mod share;
mod stream;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use origo_cascade_core::link::{Extensions, Packet};

use super::demux::Source;
use super::egress::{Outbox, Outgoing, PADDING_MAX};
use super::red;
use super::srtp::{ControlOpener, ControlSealer, Keying, Sealer, TAG_BYTES};
use super::vp8::Vp8;
use estimator::Estimator;
use header::{Head, Layout};
use history::History;
use intake::Intake;
use pacer::Pacer;
use share::Share;
use stream::Outflow;

pub(in crate::media) use control::Heard;
pub(in crate::media) use header::Ids;
pub(in crate::media) use intake::{Arrival, Incoming, Taken};
pub(in crate::media) use pad::Padding;
pub(in crate::media) use stream::{Again, Terms};

/// A retransmission begins with the number of what it repeats (RFC 4588 4).
const REPEATED_BYTES: usize = 2;

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Refused {
    /// Nothing was heard of where the client is.
    NoAddress,
    /// The stream was never agreed on, or is over.
    NoStream,
    /// Something left under this number before, or may have.
    NumberUsed,
    /// It does not fit a datagram.
    TooLong,
    /// The client asks for more than its share again.
    TooMuch,
}

impl Refused {
    /// As counters call it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoAddress => "no address",
            Self::NoStream => "no stream",
            Self::NumberUsed => "number used",
            Self::TooLong => "too long",
            Self::TooMuch => "asked for too much",
        }
    }
}

/// One connection's.
pub(in crate::media) struct Own {
    sealer: Sealer,
    control: ControlSealer,
    opener: ControlOpener,
    /// Apart, so that what is looked up for each packet that leaves lies close together.
    intake: Box<Intake>,
    destination: Option<Source>,
    streams: Vec<Outflow>,
    history: History,
    estimator: Estimator,
    pacer: Pacer,
    /// SSRCs under which the client told its time since it was last answered, the middle of it, and when.
    times: Vec<(u32, u32, Instant)>,
    /// By sender and receiver reports, for clients that do not tell of every packet.
    rtt: Option<Duration>,
    start: Instant,
    /// When to report on what is sent.
    report_at: Option<Instant>,
    /// What the way carries is wanted to be known.
    estimates: bool,
    bytes: u64,
    share: Share,
}

impl Own {
    /// Takes over what a handshake has agreed on.
    pub fn new(keying: Keying, now: Instant, estimates: bool) -> Option<Self> {
        let (sealer, control, media, opener) = keying.split()?;
        Some(Self {
            sealer,
            control,
            opener,
            intake: Box::new(Intake::new(media)),
            destination: None,
            streams: Vec::new(),
            history: History::default(),
            estimator: Estimator::new(),
            pacer: Pacer::new(now),
            times: Vec::new(),
            rtt: None,
            start: now,
            report_at: None,
            estimates,
            bytes: 0,
            share: Share::new(),
        })
    }

    /// The client is there.
    pub fn set_destination(&mut self, destination: Source) {
        self.destination = Some(destination);
    }

    /// A stream is agreed on, or agreed on anew. False when it was over already. `name` is whose it is (CNAME).
    pub fn declare(&mut self, terms: Terms, mid: &str, name: &str) -> bool {
        if let Some(known) = self.streams.iter_mut().find(|stream| stream.terms.ssrc == terms.ssrc) {
            known.terms = terms;
            return true;
        }
        let Some(numbers) = self.sealer.numbers(terms.ssrc) else { return false };
        let repairs = terms.repair.and_then(|(ssrc, _)| self.sealer.numbers(ssrc));
        self.streams.push(Outflow::new(terms, (mid, name), numbers, repairs));
        // Its player waits for the first report to play sound and picture together.
        self.report_at = None;
        true
    }

    /// A stream is over.
    pub fn forget(&mut self, ssrc: u32) {
        self.streams.retain(|stream| stream.terms.ssrc != ssrc);
        self.pacer.forget(ssrc);
    }

    /// Sends a packet, or has it wait for its turn. Gives when it is the turn of what waits.
    pub fn write(
        &mut self,
        now: Instant,
        outbox: &mut Outbox,
        outgoing: &Outgoing<'_>,
    ) -> Result<Option<Instant>, Refused> {
        if self.pacer.lets_pass(now, outgoing) {
            return self.send(now, outbox, outgoing).map(|_| None);
        }
        if self.pacer.is_overrun()
            && let Some(oldest) = self.pacer.pop(now)
        {
            self.send(now, outbox, &oldest.outgoing())?;
        }
        Ok(self.pacer.next())
    }

    /// Sends what waited and may leave now, and tells what is `refused`. Gives when it is the turn of the rest.
    pub fn flush(&mut self, now: Instant, outbox: &mut Outbox, mut refused: impl FnMut(Refused)) -> Option<Instant> {
        while let Some(waiting) = self.pacer.pop(now) {
            if let Err(reason) = self.send(now, outbox, &waiting.outgoing()) {
                refused(reason);
            }
        }
        self.pacer.next()
    }

    /// Sends a packet. Gives the bytes of its payload.
    fn send(&mut self, now: Instant, outbox: &mut Outbox, outgoing: &Outgoing<'_>) -> Result<usize, Refused> {
        let at_us = self.at_us(now);
        let Self { sealer, streams, history, estimator, estimates, destination, .. } = self;
        let estimator = estimates.then_some(estimator);
        let Outgoing { stream, packet, rewrite, even, .. } = *outgoing;
        let destination = destination.ok_or(Refused::NoAddress)?;
        let flow = streams.iter_mut().find(|flow| flow.terms.ssrc == stream.ssrc).ok_or(Refused::NoStream)?;
        let number = flow.number(outgoing).ok_or(Refused::NumberUsed)?;
        let payload: &[u8] = if rewrite.blank { &[] } else { &packet.payload };
        let redundant = stream.redundant_type.filter(|_| packet.redundant && !rewrite.blank);
        let (nothing, ids) = (Extensions::default(), flow.terms.ids);
        let head = Head {
            payload_type: redundant.unwrap_or(stream.payload_type),
            marker: rewrite.marker && !rewrite.blank,
            number: number.value() as u16,
            timestamp: rewrite.timestamp,
            ssrc: stream.ssrc,
            mid: (!flow.bound[0]).then_some(&flow.mid[..]),
            at_us,
            transport: number_of(history, estimator, &ids, at_us, payload.len()),
            extensions: if rewrite.blank { &nothing } else { &packet.extensions },
            dependency: outgoing.dependency(),
        };
        let layout = &mut flow.layout;
        let left = outbox.fill(destination, |buffer, segment| {
            let header = header::write(buffer, &ids, &head, layout)?;
            let end = put(buffer, header, payload, rewrite.vp8.as_ref())?;
            if redundant.is_some() {
                red::retype_in_place(&mut buffer[header..end], red::BLOCK_TYPE, stream.payload_type);
            }
            let end = even.filter(|_| !rewrite.blank).map_or(end, |even| {
                let alike = [header + usize::from(even), segment.saturating_sub(TAG_BYTES)];
                let near = alike.into_iter().filter(|to| *to <= end + PADDING_MAX);
                header::pad(buffer, end, near.max().unwrap_or(end))
            });
            sealer.seal(number, buffer, header, end)
        });
        if !left {
            return Err(Refused::TooLong);
        }
        flow.note(outgoing, payload.len(), at_us / 1_000);
        self.bytes += payload.len() as u64;
        self.share.earn(payload.len());
        Ok(payload.len())
    }

    /// Sends a packet again, as a retransmission (RFC 4588).
    pub fn repeat(
        &mut self,
        now: Instant,
        outbox: &mut Outbox,
        again: &Again,
        packet: &Packet,
    ) -> Result<usize, Refused> {
        if !self.share.take(packet.payload.len()) {
            return Err(Refused::TooMuch);
        }
        self.fill(now, outbox, again, packet)
    }

    /// The same though nobody asked for it, so that the way's width shows.
    pub fn fill(
        &mut self,
        now: Instant,
        outbox: &mut Outbox,
        again: &Again,
        packet: &Packet,
    ) -> Result<usize, Refused> {
        let at_us = self.at_us(now);
        let length = packet.payload.len();
        let Self { sealer, streams, history, estimator, estimates, destination, .. } = self;
        let estimator = estimates.then_some(estimator);
        let destination = destination.ok_or(Refused::NoAddress)?;
        let flow = streams.iter_mut().find(|flow| flow.terms.ssrc == again.ssrc).ok_or(Refused::NoStream)?;
        let ((ssrc, payload_type), repairs) = flow.terms.repair.zip(flow.repairs.as_mut()).ok_or(Refused::NoStream)?;
        let number = repairs.next().ok_or(Refused::NumberUsed)?;
        let ids = flow.terms.ids;
        let own = packet.extensions.dependency.as_deref();
        let head = Head {
            payload_type,
            marker: again.marker,
            number: number.value() as u16,
            timestamp: again.timestamp,
            ssrc,
            mid: (!flow.bound[1]).then_some(&flow.mid[..]),
            at_us,
            transport: number_of(history, estimator, &ids, at_us, length),
            extensions: &packet.extensions,
            dependency: again.dependency.as_deref().or(own).filter(|_| again.described && ids.descriptor.is_some()),
        };
        let vp8 = again.vp8(&packet.payload);
        let left = outbox.fill(destination, |buffer, _| {
            let at = header::write(buffer, &ids, &head, &mut Layout::default())?;
            let body = at + REPEATED_BYTES;
            buffer.get_mut(at..body)?.copy_from_slice(&again.number.to_be_bytes());
            let end = put(buffer, body, &packet.payload, vp8.as_ref())?;
            sealer.seal(number, buffer, at, end)
        });
        self.bytes += length as u64;
        if left { Ok(length) } else { Err(Refused::TooLong) }
    }

    /// Bytes of payload that left.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Share of packets that were lost lately; none when the client does not tell. Where it does not tell of every packet
    /// it is what it reports of its worst stream.
    pub fn loss(&self) -> Option<f32> {
        let reported = || self.streams.iter().filter_map(|flow| Some(f32::from(flow.quality()?.0) / 256.0));
        self.history.loss().or_else(|| reported().reduce(f32::max))
    }

    /// A round trip; none when the client does not tell.
    pub fn rtt(&self) -> Option<Duration> {
        self.history.rtt_us().map(Duration::from_micros).or(self.rtt).or(self.intake.rtt())
    }

    /// What we would like to send, in bits per second, and whether the client gets less than it has use for.
    pub fn wish(&mut self, bps: u64, missing: bool) {
        self.estimator.wish(bps, missing);
    }

    /// Looks after what no packet sets off. True when it is to be called each millisecond for now.
    pub fn tick(&mut self, now: Instant) -> bool {
        let now_us = self.at_us(now);
        self.estimator.tick(now_us);
        self.estimator.is_probing()
    }

    /// What the way to the client carries, in bits per second, when there is something new to say of it.
    pub fn estimate(&mut self, now: Instant) -> Option<u64> {
        let now_us = self.at_us(now);
        let bps = self.estimator.poll(now_us)?;
        self.pacer.set_estimate(Some(bps));
        Some(bps)
    }

    /// The worst jitter of what we send, in milliseconds; 0 when the client does not tell.
    pub fn jitter_ms(&self) -> f32 {
        self.streams.iter().filter_map(|flow| Some(flow.quality()?.1)).fold(0.0, f32::max)
    }

    fn at_us(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_micros() as u64
    }
}

/// The transport-wide number of a packet that leaves, if its client takes one.
fn number_of(
    history: &mut History,
    estimator: Option<&mut Estimator>,
    ids: &Ids,
    at_us: u64,
    bytes: usize,
) -> Option<u16> {
    let number = ids.transport.map(|_| history.note(at_us, bytes));
    if let Some(estimator) = estimator {
        estimator.sent(at_us, bytes, number);
    }
    number.map(|number| number as u16)
}

/// Puts a payload behind the header, its VP8 numbers as told. Gives where it ends; none when it does not fit.
fn put(buffer: &mut [u8], at: usize, payload: &[u8], vp8: Option<&Vp8>) -> Option<usize> {
    let body = buffer.get_mut(at..at + payload.len())?;
    body.copy_from_slice(payload);
    if let Some(numbers) = vp8 {
        numbers.write(body);
    }
    Some(at + payload.len())
}

impl Outgoing<'_> {
    /// The descriptor that goes along.
    fn dependency(&self) -> Option<&[u8]> {
        let bytes = self.rewrite.dependency.as_ref().or(self.packet.extensions.dependency.as_ref());
        bytes.filter(|_| self.stream.described && !self.rewrite.blank).map(|bytes| &bytes[..])
    }
}
