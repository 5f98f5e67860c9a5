//! What one viewer gets of a track: one layer of it, or the lower layers of a stream that carries them all, renumbered
//! so that neither a change of layers nor what is left out shows.
//!
//! The outgoing stream has one SSRC. Numbers of a layer are shifted, so that what is missing at the source stays a gap
//! for the viewer; where something is left out, or another layer begins, the stream goes on without a gap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use origo_cascade_core::link::Packet;

use super::codec::Codec;
use super::cut::{Choice, Course};
use super::numbers::{Numbers, Source, Taken};
use super::place::{Queued, TEMPORAL_LAYERS};
use super::vp8::{Vp8, Vp8Run};

/// A step in a layer's numbers beyond which its source must have begun anew (another SSRC, another encoder).
const JUMP: u64 = 3_000;
/// Ticks of a sound's packet until two in a row have told: 20 ms of Opus, as browsers send it.
const USUAL_STEP: u32 = 960;
/// No packet of Opus has more (120 ms, RFC 6716 section 2.1.4).
const STEP_MAX: u32 = 5_760;
/// The first number of an outgoing stream. Below 65536, so that the receiver's rollover counter starts right.
const FIRST_SEQUENCE: u64 = 1;

/// How a packet leaves to one viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    /// RTP number, extended.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Last packet of a picture, as far as this viewer gets it.
    pub marker: bool,
    /// VP8 numbers, where they differ from the packet's own.
    pub vp8: Option<Vp8>,
    /// The dependency descriptor, where it differs from the packet's own.
    pub dependency: Option<Arc<[u8]>>,
    /// Nothing but its number leaves: the viewer has taken for lost what it was never to get, and stops asking.
    pub blank: bool,
}

/// The state of one viewer's stream.
#[derive(Debug)]
pub(crate) struct Forwarder {
    codec: Codec,
    /// Layers are within one stream, and cut there; otherwise each is a stream of its own.
    layered: bool,
    /// The stream that is being sent, and which layers within it.
    current: Option<(u8, Choice)>,
    target: Option<u8>,
    /// The highest temporal layer to be sent.
    temporal: u8,
    numbers: Numbers,
    timestamp_shift: u32,
    course: Course,
    last: Option<Last>,
    /// Ticks from packet to packet of a sound.
    step: u32,
    /// Where the sound that it goes on from ended, in timestamps of what it is fed with.
    seam: Option<u32>,
    /// Another one goes on in its place: only what comes late still leaves.
    closed: bool,
    /// A sound of which something was sent, and of which nothing is sent for now.
    rests: bool,
    vp8: Vp8Run,
    /// The viewer's decoder does not know yet which layers are left.
    unsaid: bool,
}

/// Where the numbers of a stream end.
#[derive(Debug)]
pub(crate) struct End {
    last: Option<Last>,
    step: u32,
    vp8: Vp8Run,
}

/// The newest packet that left.
#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u64,
    timestamp: u32,
    captured: Instant,
}

impl Forwarder {
    /// A stream on which nothing was sent yet, and which nothing feeds yet. `layered` when the track's layers come
    /// within one stream.
    pub fn new(codec: Codec, layered: bool) -> Self {
        Self {
            codec,
            layered,
            current: None,
            target: None,
            temporal: TEMPORAL_LAYERS - 1,
            numbers: Numbers::new(),
            timestamp_shift: 0,
            course: Course::default(),
            last: None,
            step: USUAL_STEP,
            seam: None,
            closed: false,
            rests: false,
            vp8: Vp8Run::default(),
            unsaid: false,
        }
    }

    /// The layer that is being sent.
    pub fn current(&self) -> Option<u8> {
        self.current.map(|(stream, choice)| if self.layered { choice.spatial } else { stream })
    }

    /// The layer that is to be sent.
    pub fn target(&self) -> Option<u8> {
        self.target
    }

    /// Where its numbers end.
    pub fn end(&self) -> End {
        End { last: self.last, step: self.step, vp8: self.vp8.clone() }
    }

    /// Another one goes on from here. What was lost or overtaken until now may still come.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// The numbers go on where those of another forwarder ended, which wrote to the same stream. With `seam`, the
    /// timestamp in what feeds this one at which the newest packet of the other was captured, it begins with the packet
    /// right after that, so that nothing of a sound leaves twice.
    pub fn go_on_from(&mut self, end: End, seam: Option<u32>) {
        (self.last, self.step, self.vp8, self.seam) = (end.last, end.step, end.vp8, seam);
        self.rests = false;
    }

    /// The timestamp that the newest packet that left had when it came, and the ticks of one packet.
    pub fn newest_taken(&self) -> Option<(u32, u32)> {
        self.last.map(|last| (last.timestamp.wrapping_sub(self.timestamp_shift), self.step))
    }

    /// Whether something was sent.
    pub fn has_sent(&self) -> bool {
        self.last.is_some()
    }

    /// Whether packets of a stream may be of use.
    pub fn takes(&self, stream: u8) -> bool {
        let wanted = if self.layered { self.target.map(|_| 0) } else { self.target };
        wanted == Some(stream) || self.current.is_some_and(|(current, _)| current == stream)
    }

    /// Whether a keyframe must come before the target layer can be sent.
    pub fn waits(&self) -> bool {
        let (target, current) = (self.target, self.current());
        if self.layered { target > current } else { target.is_some() && target != current }
    }

    /// Sets the layer to be sent. The one that is sent now goes on until the new one can begin; none stops at once.
    pub fn set_target(&mut self, target: Option<u8>) {
        self.target = target;
        if target.is_none() {
            self.current = None;
        }
    }

    /// Nothing of a sound is sent for now. It goes on with the next number, and by the clock of its publisher, so that
    /// its client sees a silence and nothing that is missing.
    pub fn rest(&mut self) {
        self.current = None;
        self.rests = self.last.is_some();
    }

    /// Sets the highest temporal layer to be sent.
    pub fn set_temporal(&mut self, temporal: u8) {
        self.temporal = temporal.min(TEMPORAL_LAYERS - 1);
    }

    /// How this packet of this stream leaves, if it does.
    pub fn forward(&mut self, stream: u8, queued: &Queued) -> Option<Rewrite> {
        let source = queued.packet.sequence;
        let current = self.current.filter(|(current, _)| *current == stream).map(|(_, choice)| choice);
        match current {
            None if !self.takes(stream) || !self.may_begin_with(queued) => return None,
            None => self.begin(stream, self.goal(), queued),
            Some(choice) if self.numbers.distance(source) > JUMP => self.begin(stream, choice, queued),
            Some(_) => {}
        }
        if !self.numbers.is_newest(source) {
            return self.late(queued);
        }
        if self.closed { None } else { self.newest(queued) }
    }

    /// An earlier hop has only told that the number was left out.
    fn is_void(&self, packet: &Packet) -> bool {
        packet.payload.is_empty() && self.codec != Codec::Opus
    }

    /// Whether a viewer that has nothing can begin with a packet.
    pub fn may_begin_with(&self, queued: &Queued) -> bool {
        let follows = self.seam.is_none_or(|seam| self.ticks_after(seam, queued) >= i64::from(self.step.div_ceil(2)));
        let is_old = self.ticks_on(queued).is_some_and(|ticks| ticks <= 0);
        follows && !is_old && (queued.packet.key || matches!(self.codec, Codec::Opus | Codec::Other))
    }

    /// How much later than another timestamp a packet was captured.
    fn ticks_after(&self, timestamp: u32, queued: &Queued) -> i64 {
        i64::from(queued.packet.timestamp.wrapping_sub(timestamp) as i32)
    }

    /// Ticks from the end of a sound to the first packet that goes on from it. Two encoders cut the same sound into packets
    /// at different moments; less than half a packet is not to be heard, and would leave a hole or be thrown away.
    fn ticks_over(&self, seam: u32, queued: &Queued) -> u32 {
        let (ticks, step) = (self.ticks_after(seam, queued).max(1) as u32, self.step);
        if ticks < step + step / 2 { step } else { ticks.min(10 * self.codec.clock_rate()) }
    }

    /// Ticks from the newest packet of a sound that rests to another one by its publisher's clock, where that has gone on;
    /// none where its source has begun anew.
    fn ticks_on(&self, queued: &Queued) -> Option<i64> {
        let last = self.last.filter(|_| self.rests)?;
        let timestamp = queued.packet.timestamp.wrapping_add(self.timestamp_shift);
        let elapsed = queued.captured.saturating_duration_since(last.captured);
        let expected = elapsed.as_micros() as u64 * u64::from(self.codec.clock_rate()) / 1_000_000;
        let apart = timestamp.wrapping_sub(last.timestamp).wrapping_sub(expected as u32) as i32;
        (apart.unsigned_abs() <= self.codec.clock_rate()).then(|| expected as i64 + i64::from(apart))
    }

    /// The layers to be taken within the stream.
    fn goal(&self) -> Choice {
        let spatial = if self.layered { self.target.unwrap_or(0) } else { 0 };
        Choice { spatial, temporal: self.temporal }
    }

    /// From this packet on the viewer is fed by `stream`.
    fn begin(&mut self, stream: u8, choice: Choice, queued: &Queued) {
        let packet = &queued.packet;
        let (sequence, timestamp) = match self.last {
            None => (FIRST_SEQUENCE, packet.timestamp),
            Some(last) => {
                let seam = self.seam.take().map(|seam| self.ticks_over(seam, queued));
                let on = self.ticks_on(queued).and_then(|ticks| u32::try_from(ticks).ok()).filter(|_| seam.is_none());
                let ticks = seam.or(on).unwrap_or_else(|| self.ticks(last.captured, queued.captured));
                (last.sequence + 1, last.timestamp.wrapping_add(ticks))
            }
        };
        self.current = Some((stream, choice));
        self.rests = false;
        self.numbers.begin(Source::of(&queued.packet), sequence, Taken { choice, picture: 0 });
        self.timestamp_shift = timestamp.wrapping_sub(packet.timestamp);
        self.course = Course::default();
        self.unsaid = true;
        if self.codec == Codec::Vp8 && self.last.is_some() {
            self.vp8.join(&packet.payload);
        }
    }

    fn newest(&mut self, queued: &Queued) -> Option<Rewrite> {
        let Queued { packet, captured, place, .. } = queued;
        let (stream, before) = self.current?;
        let choice = self.course.next(before, self.goal(), packet, place);
        self.current = Some((stream, choice));
        self.unsaid |= choice != before;
        if !choice.admits(place) || self.is_void(packet) {
            if self.codec == Codec::Vp8 {
                self.vp8.leave_out(&packet.payload);
            }
            self.numbers.leave_out(Source::of(&queued.packet), Taken { choice, picture: self.vp8.picture });
            return None;
        }
        let taken = Taken { choice, picture: self.vp8.picture };
        let sequence = self.numbers.send(Source::of(&queued.packet), taken);
        let dependency = self.describe(queued, choice);
        let rewrite = Rewrite { dependency, ..self.rewrite(queued, sequence, taken, true) };
        let in_a_row = self.last.filter(|last| last.sequence + 1 == sequence);
        if let Some(step) = in_a_row.map(|last| rewrite.timestamp.wrapping_sub(last.timestamp))
            && (1..=STEP_MAX).contains(&step)
        {
            self.step = step;
        }
        self.last = Some(Last { sequence, timestamp: rewrite.timestamp, captured: *captured });
        Some(rewrite)
    }

    /// A packet that was lost once, or was overtaken.
    fn late(&mut self, queued: &Queued) -> Option<Rewrite> {
        let (sequence, taken) = self.numbers.late(Source::of(&queued.packet))?;
        let blank = !taken.choice.admits(&queued.place) || self.is_void(&queued.packet);
        if let Some(last) = &mut self.last {
            // What came after it may all have been left out.
            last.sequence = last.sequence.max(sequence);
        }
        Some(Rewrite { blank, ..self.rewrite(queued, sequence, taken, false) })
    }

    fn rewrite(&mut self, queued: &Queued, sequence: u64, taken: Taken, newest: bool) -> Rewrite {
        let Queued { packet, place, .. } = queued;
        Rewrite {
            sequence,
            timestamp: packet.timestamp.wrapping_add(self.timestamp_shift),
            marker: if self.layered { self.course.ends(taken.choice, packet, place, newest) } else { packet.marker },
            vp8: if self.codec == Codec::Vp8 { self.vp8.go_on(&packet.payload, taken.picture, newest) } else { None },
            dependency: None,
            blank: false,
        }
    }

    /// The descriptor, where it must say that layers were cut: with a keyframe, and with the first frame after a change.
    fn describe(&mut self, queued: &Queued, choice: Choice) -> Option<Arc<[u8]>> {
        let read = queued.descriptor.as_ref()?;
        let bytes = queued.packet.extensions.dependency.as_deref()?;
        let force = self.unsaid && queued.place.starts;
        self.unsaid &= !force;
        let spatial = if self.layered { choice.spatial } else { u8::MAX };
        read.cut(bytes, spatial, choice.temporal, force)
    }

    /// Clock ticks between two captures: at least one, at most ten seconds' worth.
    fn ticks(&self, from: Instant, to: Instant) -> u32 {
        let elapsed = to.saturating_duration_since(from).min(Duration::from_secs(10));
        ((elapsed.as_micros() as u64 * u64::from(self.codec.clock_rate()) / 1_000_000) as u32).max(1)
    }
}

#[cfg(test)]
mod tests;
