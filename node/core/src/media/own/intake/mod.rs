//! What a client sends, read by ourselves: its RTP is opened, its repetitions become what they repeat, and what came is
//! acknowledged (transport-wide reports), asked for again (NACKs) and reported on.
//!
//! str0m goes on to say which stream an SSRC is. It sees the first packet of each, and packets of those that are none of
//! our client's; see docs/decisions/0019-own-intake.md.

mod head;
mod missing;
mod receipts;
mod reception;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use origo_cascade_core::link::Packet;

use super::Ids;
use super::feedback::TRANSPORT_FEEDBACK;
use super::report::Received;
use crate::media::srtp::{Arrivals, Opener};
use head::{Head, Hop};
use missing::Missing;
use receipts::Receipts;
use reception::Reception;

/// Streams of one client. Whoever has more is heard of those that it sent on last.
const FLOWS_MAX: usize = 64;
/// A client's probes that belong to no stream go by this SSRC (libwebrtc).
const PROBES: u32 = 0;
/// What a repetition begins with: the number of what it repeats (RFC 4588 4).
const REPEATED_BYTES: usize = 2;
/// Times that we told, which a client may answer with how long ago they came.
const TOLD_MAX: usize = 16;
/// Send times are told in so many parts of a second, and begin anew after 64 of them.
const SENT_PARTS: u64 = 1 << 18;

/// A stream that a client sends, as was agreed on.
#[derive(Clone, Copy, Debug)]
pub(in crate::media) struct Incoming {
    /// Its SSRC.
    pub ssrc: u32,
    /// The SSRC of its repetitions, when it is known.
    pub repair: Option<u32>,
    /// RTP ticks in a second.
    pub clock_rate: u32,
    /// The client sends again what is asked for.
    pub repairable: bool,
    /// Numbers of extensions.
    pub ids: Ids,
}

/// A packet of a client's stream.
#[derive(Debug)]
pub(in crate::media) struct Arrival {
    /// The stream, also of what came as a repetition.
    pub ssrc: u32,
    /// Of the stream too.
    pub payload_type: u8,
    /// When the client sent it, by its own clock.
    pub sent: Option<Instant>,
    /// `key` and `redundant` are not known yet.
    pub packet: Packet,
}

/// What became of a datagram.
#[derive(Debug)]
pub(in crate::media) enum Taken {
    /// A packet of a stream.
    Packet(Arrival),
    /// It was only padding, or came before.
    Nothing,
    /// The client's own, of a stream that is not known: its SSRC and payload type.
    Unknown(u32, u8),
    /// It is not the client's, or nothing that can be read.
    Refused(&'static str),
}

/// What came of all streams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::media) struct Totals {
    /// Bytes of payload.
    pub bytes: u64,
    /// Share of packets that were lost since this was last asked for; none when the client does not number them.
    pub loss: Option<f32>,
    /// The worst jitter.
    pub jitter_ms: f32,
}

/// One stream of the client's.
struct Inflow {
    terms: Incoming,
    came: Arrivals,
    repairs_came: Arrivals,
    missing: Missing,
    /// What is missing is left unasked.
    spared: bool,
    reception: Reception,
}

/// All that one client sends.
pub(super) struct Intake {
    opener: Opener,
    flows: Vec<Inflow>,
    receipts: Receipts,
    /// Numbers of extensions of packets whose stream is not known yet.
    ids: Ids,
    /// Payload types of repetitions, and of what they repeat.
    repair_types: Vec<(u8, u8)>,
    /// The newest send time as it was told, and when that was.
    sent: Option<(u32, Instant)>,
    /// Times that we told the client, by their middles, and when.
    told: VecDeque<(u32, Instant)>,
    rtt: Option<Duration>,
    bytes: u64,
}

impl Intake {
    /// Nothing came yet.
    pub fn new(opener: Opener) -> Self {
        Self {
            opener,
            flows: Vec::new(),
            receipts: Receipts::default(),
            ids: Ids::default(),
            repair_types: Vec::new(),
            sent: None,
            told: VecDeque::new(),
            rtt: None,
            bytes: 0,
        }
    }

    /// What was agreed on for all streams: numbers of extensions, and payload types of repetitions and of what they repeat.
    pub fn agree(&mut self, ids: Ids, repair_types: Vec<(u8, u8)>) {
        (self.ids, self.repair_types) = (ids, repair_types);
    }

    /// A stream is known, or known better.
    pub fn expect(&mut self, terms: Incoming) {
        if let Some(known) = self.flows.iter_mut().find(|flow| flow.terms.ssrc == terms.ssrc) {
            if known.terms.repair != terms.repair {
                known.repairs_came = Arrivals::default();
            }
            known.terms = terms;
            return;
        }
        if self.flows.len() == FLOWS_MAX {
            self.flows.remove(0);
        }
        self.flows.push(Inflow {
            terms,
            came: Arrivals::default(),
            repairs_came: Arrivals::default(),
            missing: Missing::default(),
            spared: false,
            reception: Reception::new(terms.clock_rate),
        });
    }

    /// The SSRC under which a stream's repetitions come is known.
    pub fn expect_repair(&mut self, ssrc: u32, repair: u32) {
        let flow = self.flows.iter().find(|flow| flow.terms.ssrc == ssrc);
        if let Some(terms) = flow.map(|flow| flow.terms) {
            self.expect(Incoming { repair: Some(repair), ..terms });
        }
    }

    /// The streams that are known.
    pub fn known(&self) -> impl Iterator<Item = u32> {
        self.flows.iter().map(|flow| flow.terms.ssrc)
    }

    /// Whether to leave unasked what is missing of a stream.
    pub fn spare(&mut self, ssrc: u32, spare: bool) {
        let flow = self.flows.iter_mut().find(|flow| flow.terms.ssrc == ssrc);
        flow.into_iter().for_each(|flow| flow.spared = spare);
    }

    /// Takes a datagram, which came `at_us`; it is opened in `space`, which is reused.
    pub fn take(&mut self, now: Instant, at_us: u64, datagram: &[u8], space: &mut Vec<u8>) -> Taken {
        let Some(head) = Head::read(datagram) else { return Taken::Refused("malformed") };
        let Self { flows, receipts, opener, .. } = self;
        let belongs = |flow: &Inflow| flow.terms.ssrc == head.ssrc || flow.terms.repair == Some(head.ssrc);
        let mut flow = flows.iter_mut().find(|flow| belongs(flow));
        let is_repair = flow.as_ref().is_some_and(|flow| flow.terms.ssrc != head.ssrc);
        let mut strangers = Arrivals::default();
        let came = match &mut flow {
            Some(flow) if is_repair => &mut flow.repairs_came,
            Some(flow) => &mut flow.came,
            None => &mut strangers,
        };
        let (number, newest) = (came.extend(head.number), came.newest());
        if !came.is_new(number) {
            return Taken::Refused("came before");
        }
        if !opener.open(datagram, head.bytes, (head.ssrc, number), space) {
            return Taken::Refused("forged");
        }
        came.note(number);
        let (hop, extensions) = head.said(flow.as_ref().map_or(&self.ids, |flow| &flow.terms.ids));
        if let Some(number) = hop.transport {
            receipts.note(number, at_us);
        }
        let whole = if head.padded { head::unpad(space) } else { Some(&space[..]) };
        let Some(payload) = whole else { return Taken::Refused("malformed") };
        let Some(flow) = flow else {
            return if head.ssrc == PROBES { Taken::Nothing } else { Taken::Unknown(head.ssrc, head.payload_type) };
        };
        self.bytes += payload.len() as u64;
        let (number, payload_type, payload) = match is_repair {
            false => {
                flow.missing.note(number, newest, now);
                (number, head.payload_type, payload)
            }
            true if payload.is_empty() => return Taken::Nothing,
            true => {
                let Some((&[high, low], rest)) = payload.split_first_chunk::<REPEATED_BYTES>() else {
                    return Taken::Refused("malformed");
                };
                let types = self.repair_types.iter().find(|(repair, _)| *repair == head.payload_type);
                let Some(&(_, payload_type)) = types else { return Taken::Refused("unknown payload type") };
                let (number, newest) = (flow.came.extend(u16::from_be_bytes([high, low])), flow.came.newest());
                if !flow.came.is_new(number) {
                    return Taken::Nothing;
                }
                flow.came.note(number);
                flow.missing.note(number, newest, now);
                (number, payload_type, rest)
            }
        };
        flow.reception.note(number, head.timestamp, now);
        let packet = Packet {
            sequence: number,
            timestamp: head.timestamp,
            marker: head.marker,
            key: false,
            redundant: false,
            skipped: 0,
            extensions,
            payload: payload.into(),
            arrived: now,
        };
        let ssrc = flow.terms.ssrc;
        Taken::Packet(Arrival { ssrc, payload_type, sent: self.sent(hop, now), packet })
    }

    /// When a packet left by the client's clock, which is set by the first one.
    fn sent(&mut self, hop: Hop, now: Instant) -> Option<Instant> {
        let told = hop.sent?;
        let (last, at) = self.sent.unwrap_or((told, now));
        // What is left of 32 bits without the first eight is the sign of 24.
        let step = i64::from((told.wrapping_sub(last) << 8) as i32 >> 8);
        let passed = Duration::from_nanos(step.unsigned_abs() * 1_000_000_000 / SENT_PARTS);
        let sent = if step < 0 { at.checked_sub(passed) } else { at.checked_add(passed) }.unwrap_or(now);
        // Told from the newest, so that what is rounded does not add up over packets that overtake each other.
        self.sent = Some(if step < 0 { (last, at) } else { (told, sent) });
        Some(sent)
    }

    /// When to [`Self::say`].
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let missing = self.flows.iter().filter(|flow| flow.asks()).filter_map(|flow| flow.missing.due());
        missing.chain(self.receipts.due(now)).min()
    }

    /// Adds what is to be said now of what came: the next packet of it, as long as there is one. `sender` is any SSRC of ours.
    /// Gives how many NACKs are in it; none when there is nothing to say.
    pub fn say(&mut self, now: Instant, sender: u32, compound: &mut Vec<u8>) -> Option<u64> {
        let media = self.flows.first().map_or(PROBES, |flow| flow.terms.ssrc);
        if self.receipts.report(now, (sender, media), compound) {
            return Some(0);
        }
        let rtt = self.rtt;
        self.flows.iter_mut().filter(|flow| flow.asks()).find_map(|flow| {
            let entries = flow.missing.ask(now, rtt);
            if entries.is_empty() {
                return None;
            }
            nack(compound, (sender, flow.terms.ssrc), &entries);
            Some(1)
        })
    }

    /// What a receiver report is to tell of a stream; none when it is not ours to tell.
    pub fn received(&mut self, ssrc: u32) -> Option<Received> {
        let flow = self.flows.iter_mut().find(|flow| flow.terms.ssrc == ssrc)?;
        flow.reception.report(flow.came.newest())
    }

    /// The client is told a time, by its middle.
    pub fn tell_time(&mut self, middle: u32, now: Instant) {
        if self.told.len() == TOLD_MAX {
            self.told.pop_front();
        }
        self.told.push_back((middle, now));
    }

    /// It answers how long ago such a time came, in 65536ths of a second.
    pub fn answered(&mut self, now: Instant, middle: u32, since: u32) {
        let told = self.told.iter().find(|(told, _)| *told == middle);
        let passed = told.map(|(_, at)| now.saturating_duration_since(*at));
        let held = Duration::from_micros(u64::from(since) * 1_000_000 / 65_536);
        self.rtt = passed.and_then(|passed| passed.checked_sub(held)).or(self.rtt);
    }

    /// A round trip; none while the client does not answer.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Totals of what came.
    pub fn totals(&mut self) -> Totals {
        let jitter_ms = self.flows.iter().map(|flow| flow.reception.jitter_ms()).fold(0.0, f32::max);
        Totals { bytes: self.bytes, loss: self.receipts.loss(), jitter_ms }
    }
}

impl Inflow {
    fn asks(&self) -> bool {
        self.terms.repairable && !self.spared
    }
}

/// Adds a NACK.
fn nack(compound: &mut Vec<u8>, (sender, media): (u32, u32), entries: &[(u16, u16)]) {
    compound.extend([0x81, TRANSPORT_FEEDBACK]);
    compound.extend((2 + entries.len() as u16).to_be_bytes());
    [sender, media].into_iter().for_each(|word| compound.extend(word.to_be_bytes()));
    entries.iter().for_each(|(first, mask)| {
        compound.extend(first.to_be_bytes());
        compound.extend(mask.to_be_bytes());
    });
}

#[cfg(test)]
mod tests;
