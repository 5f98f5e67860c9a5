//! One stream that we send to a client: its numbers, its clock, and what of it can be sent again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::feedback::Report;
use super::header::{Ids, Layout};
use super::report::Sum;
use super::sent::{Memory, Sent};
use crate::media::egress::{Kept, Outgoing};
use crate::media::srtp::{Number, Numbers};
use crate::media::vp8::Vp8;

/// As many of the newest fill the way by turns while its width is looked for.
const FILLERS: u64 = 32;
/// Descriptors that differ from the publisher's, and sources, which are remembered apart: few packets have one.
const APART_MAX: usize = 16;
/// A name has one byte for its length (RFC 3550 6.5).
const NAME_BYTES_MAX: usize = 255;
/// A packet is not sent again within this much, or a round trip if that is longer.
const AGAIN_MIN: Duration = Duration::from_millis(10);
const AGAIN_MAX: Duration = Duration::from_millis(500);

/// How a stream is sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::media) struct Terms {
    /// Its SSRC.
    pub ssrc: u32,
    /// SSRC and payload type of its retransmissions.
    pub repair: Option<(u32, u8)>,
    /// RTP ticks in a second.
    pub clock_rate: u32,
    /// Numbers of extensions.
    pub ids: Ids,
}

/// A stream.
pub(super) struct Outflow {
    pub terms: Terms,
    /// Name of its section.
    pub mid: Box<[u8]>,
    /// Whose it is (CNAME).
    pub name: Box<[u8]>,
    pub numbers: Numbers,
    pub repairs: Option<Numbers>,
    /// The client knows whose stream it is, and whose retransmissions those are.
    pub bound: [bool; 2],
    pub layout: Layout,
    newest: u64,
    /// With which the newest keyframe begins.
    keyframe: u64,
    clock: Option<(u32, Instant)>,
    packets: u32,
    bytes: u32,
    /// The last sender report: the middle of its time, and when it left.
    told: Option<(u32, Instant)>,
    /// What the client last reported of it: lost in 256ths, jitter in ticks.
    reported: Option<(u8, u32)>,
    sent: Memory,
    /// Which of the newest packets was last sent again to fill the way.
    filled: u64,
    sources: VecDeque<Source>,
    descriptors: VecDeque<(u64, Arc<[u8]>)>,
}

/// Where packets from a number on came from.
#[derive(Clone, Copy, Debug)]
struct Source {
    from: u64,
    track: u32,
    ring: u32,
    /// Their descriptors went along.
    described: bool,
}

impl Source {
    fn is_like(&self, other: &Self) -> bool {
        (self.track, self.ring, self.described) == (other.track, other.ring, other.described)
    }
}

/// How a packet that is asked for again left before.
#[derive(Clone, Debug)]
pub(in crate::media) struct Again {
    /// The stream.
    pub ssrc: u32,
    /// Where the packet is kept.
    pub kept: Kept,
    pub(super) number: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) numbers: Option<(u16, u8, u8)>,
    /// Its descriptor, where it differed from the publisher's.
    pub(super) dependency: Option<Arc<[u8]>>,
    /// Its descriptor went along. A browser that finds one where it was used to none takes frames for those of another
    /// stream, and shows nothing until the next keyframe (Chromium 148).
    pub(super) described: bool,
}

impl Again {
    /// The VP8 numbers with which it left, if they differ from the payload's.
    pub(super) fn vp8(&self, payload: &[u8]) -> Option<Vp8> {
        let (picture, tl0, key) = self.numbers?;
        let own = Vp8::parse(payload)?;
        Some(Vp8 {
            picture_id: own.picture_id.map(|(_, long)| (picture, long)),
            tl0_index: own.tl0_index.map(|_| tl0),
            key_index: own.key_index.map(|_| key),
            ..own
        })
    }
}

impl Outflow {
    pub fn new(terms: Terms, (mid, name): (&str, &str), numbers: Numbers, repairs: Option<Numbers>) -> Self {
        Self {
            terms,
            mid: mid.as_bytes().into(),
            name: name.as_bytes()[..name.len().min(NAME_BYTES_MAX)].into(),
            numbers,
            repairs,
            bound: [false; 2],
            layout: Layout::default(),
            newest: 0,
            keyframe: 0,
            clock: None,
            packets: 0,
            bytes: 0,
            told: None,
            reported: None,
            sent: Memory::default(),
            filled: 0,
            sources: VecDeque::new(),
            descriptors: VecDeque::new(),
        }
    }

    /// Whether anything was sent.
    pub fn has_begun(&self) -> bool {
        self.clock.is_some()
    }

    /// The clock of the newest packet.
    pub fn timestamp(&self) -> u32 {
        self.clock.map_or(0, |(timestamp, _)| timestamp)
    }

    /// Whether it can fill the way: its client tells of single packets, and takes retransmissions.
    pub fn fills(&self) -> bool {
        self.terms.repair.is_some() && self.repairs.is_some() && self.terms.ids.transport.is_some()
    }

    /// Some packet that may leave again for no other reason than to fill the way: one of the newest, each in its turn.
    pub fn any(&mut self) -> Option<Again> {
        if self.sent.is_empty() {
            return None;
        }
        self.filled = (self.filled + 1) % FILLERS;
        let sequence = self.newest.checked_sub(self.filled)?;
        self.again(sequence)
    }

    /// A number that nothing left under, for a packet.
    pub fn number(&mut self, outgoing: &Outgoing<'_>) -> Option<Number> {
        self.numbers.take(outgoing.rewrite.sequence)
    }

    /// A packet left, so many milliseconds after the beginning.
    pub fn note(&mut self, outgoing: &Outgoing<'_>, bytes: usize, now_ms: u64) {
        let rewrite = outgoing.rewrite;
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes as u32);
        if rewrite.sequence > self.newest {
            // Several packets of one picture may say that they begin it.
            if outgoing.packet.key && self.clock.is_none_or(|(timestamp, _)| timestamp != rewrite.timestamp) {
                self.keyframe = rewrite.sequence;
            }
            self.newest = rewrite.sequence;
            self.clock = Some((rewrite.timestamp, outgoing.captured));
        }
        if let Some(kept) = outgoing.kept.filter(|_| self.terms.repair.is_some() && !rewrite.blank) {
            self.keep(outgoing, kept, now_ms);
        }
    }

    fn keep(&mut self, outgoing: &Outgoing<'_>, kept: Kept, now_ms: u64) {
        let rewrite = outgoing.rewrite;
        let numbers = rewrite.vp8.map(|vp8| {
            (vp8.picture_id.map_or(0, |(id, _)| id), vp8.tl0_index.unwrap_or(0), vp8.key_index.unwrap_or(0))
        });
        let sent = Sent::new(kept.slot, rewrite.timestamp, rewrite.marker, numbers);
        self.sent.keep(rewrite.sequence, now_ms, sent);
        let described = outgoing.stream.described;
        let source = Source { from: rewrite.sequence, track: kept.track, ring: kept.ring, described };
        if self.sources.back().is_none_or(|last| !last.is_like(&source)) {
            push(&mut self.sources, source);
        }
        if let Some(dependency) = rewrite.dependency.as_ref().filter(|_| described) {
            push(&mut self.descriptors, (rewrite.sequence, Arc::clone(dependency)));
        }
    }

    /// The client asks for a packet again; none when it is not remembered, or was sent again just now. Where the way is
    /// full, what is older than the newest keyframe has to wait: decoders go on without it, and it is of the larger layer
    /// that was given up because the way is full.
    pub fn asked(&mut self, number: u16, now_ms: u64, rtt: Option<Duration>, is_full: bool) -> Option<Again> {
        let behind = u64::from((self.newest as u16).wrapping_sub(number));
        let sequence = self.newest.checked_sub(behind)?;
        if is_full && sequence < self.keyframe {
            return None;
        }
        let pause_ms = rtt.unwrap_or(AGAIN_MIN).clamp(AGAIN_MIN, AGAIN_MAX).as_millis() as u16;
        if self.sent.ask(sequence, now_ms, pause_ms) { self.again(sequence) } else { None }
    }

    fn again(&self, sequence: u64) -> Option<Again> {
        let sent = self.sent.get(sequence)?;
        let &Source { track, ring, described, .. } =
            self.sources.iter().rev().find(|source| source.from <= sequence)?;
        let dependency = self.descriptors.iter().find(|(of, _)| *of == sequence).map(|(_, bytes)| Arc::clone(bytes));
        Some(Again {
            ssrc: self.terms.ssrc,
            kept: Kept { track, ring, slot: sent.slot },
            number: sequence as u16,
            timestamp: sent.timestamp,
            marker: sent.marker(),
            numbers: sent.numbers(),
            dependency,
            described,
        })
    }

    /// What it sent, for a sender report that leaves now, `middle` being the middle of its time; none before the first
    /// packet.
    pub fn sum(&mut self, now: Instant, middle: u32) -> Option<Sum> {
        let (timestamp, captured) = self.clock?;
        self.told = Some((middle, now));
        let since = now.saturating_duration_since(captured).as_micros() as u64;
        let ticks = since * u64::from(self.terms.clock_rate) / 1_000_000;
        Some(Sum { timestamp: timestamp.wrapping_add(ticks as u32), packets: self.packets, bytes: self.bytes })
    }
}

impl Outflow {
    /// See [`super::Own::read_ahead`].
    pub fn read_ahead(&self) -> u64 {
        self.newest
            ^ u64::from(self.terms.ssrc)
            ^ u64::from(self.bytes)
            ^ self.filled
            ^ self.sent.read_ahead(self.newest + 1)
    }

    /// The client reports how it comes. Gives a round trip, if it answers the last sender report (RFC 3550 6.4.1).
    pub fn reported(&mut self, now: Instant, report: &Report) -> Option<Duration> {
        if report.ssrc != self.terms.ssrc {
            return None;
        }
        self.reported = Some((report.lost, report.jitter));
        let (_, left) = self.told.filter(|(middle, _)| *middle == report.last)?;
        let held = Duration::from_micros(u64::from(report.since) * 1_000_000 / 65_536);
        now.saturating_duration_since(left).checked_sub(held)
    }

    /// Lost in 256ths, and jitter in milliseconds, as the client reported them last.
    pub fn quality(&self) -> Option<(u8, f32)> {
        let (lost, jitter) = self.reported?;
        Some((lost, jitter as f32 * 1_000.0 / self.terms.clock_rate.max(1) as f32))
    }
}

fn push<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == APART_MAX {
        list.pop_front();
    }
    list.push_back(item);
}
