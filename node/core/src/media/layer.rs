//! One layer of a track: what comes of it, who it goes to, and whether it is worth waiting for.

use std::time::{Duration, Instant};

use origo_auth::NodeId;
use origo_cascade_core::link::{Flow, Packet};

use super::clock::LayerClock;
use super::gaps::Gaps;
use super::place::{Queued, Reader};
use super::rate::{FrameRate, Rate};

/// The least time between two keyframe requests for one layer. A keyframe costs as much as a second of video.
const KEYFRAME_SPACING: Duration = Duration::from_millis(500);
/// The spacing doubles so often while no packet follows a request: 4 s. Browsers answer with a keyframe of every layer
/// that they send, so that a line too narrow for one layer would be filled with keyframes of the others.
const UNANSWERED_MAX: u32 = 3;
/// A layer from which nothing came for this long does not flow.
pub(super) const SILENCE: Duration = Duration::from_millis(1_500);
/// So many frames in a row that do not come tell the same of a camera sooner, but not before the second: its publisher
/// had to leave the layer out, and somebody's picture stands still meanwhile.
const FRAMES_MISSING: (u32, Duration) = (15, Duration::from_millis(600));
/// A viewer that waits this long for a silent layer behind a link gets the lowest one meanwhile. The first packet of a
/// layer that is sent takes a round trip between regions.
const LATE: Duration = Duration::from_millis(500);
/// A keyframe that was asked for after a loss is waited for this long; then the publisher's line is taken for too narrow.
/// A keyframe over a line of 200 ms there and back takes about that.
const STANDSTILL: Duration = Duration::from_millis(250);
/// A layer behind a link that stayed silent though it was wanted is not tried again for this long. Shorter than a
/// publisher goes on with a layer that it was asked for, so that one that needs its time to begin is found flowing.
pub(super) const RETRY: Duration = Duration::from_secs(3);
/// A step back in a stream's numbers beyond which its source must have begun anew.
const JUMP: u64 = 3_000;

/// One layer. Of layers within one stream, the lowest has what belongs to the stream.
#[derive(Default)]
pub(crate) struct Layer {
    /// Packets of the current burst, to be routed.
    pub burst: Vec<Queued>,
    /// Reads where packets stand.
    pub reader: Reader,
    /// SSRC of a local layer, 0 until seen.
    pub ssrc: u32,
    /// Captured times.
    pub clock: LayerClock,
    /// Newest sender report: NTP and RTP time.
    pub report: Option<(u64, u32)>,
    /// Peers that get each packet.
    pub serves: Vec<(NodeId, Flow)>,
    /// Width and height, as the last keyframe said.
    pub size: Option<(u16, u16)>,
    /// Highest RTP number of the stream.
    pub highest: Option<u64>,
    /// Width and height, as its publisher declared them.
    pub declared_size: Option<(u16, u16)>,
    /// Bits per second, as its publisher declared them; 0 when it did not.
    pub declared_bps: u64,
    newest: Option<Instant>,
    /// Bits per second that come.
    pub rate: Rate,
    /// Packets that are missing.
    pub gaps: Gaps,
    /// Frames per second by temporal layer.
    pub frames: FrameRate,
    key_requested: Option<Instant>,
    /// Keyframe requests in a row after which no packet of it came.
    key_unanswered: u32,
    /// A keyframe is wanted and was not asked for, because one was a moment ago.
    pub key_pending: bool,
    /// Behind a link: since when it is wanted without a packet of it.
    wanted_since: Option<Instant>,
    /// See [`Layer::bar`].
    pub barred_until: Option<Instant>,
    /// Since when a keyframe was asked for because a packet is lost for good: decoders stand still.
    broken: Option<Instant>,
    /// No keyframe came in time after a loss: what comes of it is of no use until one does.
    pub stalled: bool,
    /// It is awaited for so long that viewers get another one meanwhile.
    pub late: bool,
    /// Packets of it come.
    pub flows: bool,
    /// It is silent and nobody took it: its publisher may have ceased to encode it for that reason.
    pub dozes: bool,
}

impl Layer {
    /// Whether a number is above all before, or its source has begun anew.
    pub fn goes_on(&mut self, number: u64) -> bool {
        let goes_on = self.highest.is_none_or(|highest| number > highest || highest - number > JUMP);
        if goes_on {
            self.highest = Some(number);
        }
        goes_on
    }

    /// A packet of it came that is above all before; with its temporal layer when it begins a frame.
    pub fn came(&mut self, packet: &Packet, frame: Option<u8>, now: Instant) {
        if packet.key {
            (self.broken, self.stalled) = (None, false);
        }
        // What comes of a barred one may have waited in its publisher's own queue, with nothing behind it: nobody is to
        // wait for its keyframe until one is there.
        self.flows = !self.stalled && (self.barred_until.is_none() || packet.key);
        if self.flows {
            self.barred_until = None;
        }
        self.dozes = false;
        (self.wanted_since, self.late) = (None, false);
        self.newest = Some(now);
        self.rate.add(packet.payload.len(), now);
        if let Some(temporal) = frame {
            self.frames.add(temporal, now);
        }
    }

    /// How long nothing new has come of it; `None` when nothing ever has.
    pub fn idle(&self, now: Instant) -> Option<Duration> {
        self.newest.map(|newest| now.saturating_duration_since(newest))
    }

    /// Whether it has stopped flowing by now, from when on it counts as silent. A camera (`steady`) has frames all the
    /// time; a shared screen that nobody touches has none.
    pub fn fall_silent(&mut self, steady: bool, now: Instant) -> bool {
        let fps = self.frames.fps().filter(|fps| steady && *fps > 0);
        let missing = fps.map_or(SILENCE, |fps| FRAMES_MISSING.0 * Duration::from_secs(1) / fps);
        let limit = missing.clamp(FRAMES_MISSING.1, SILENCE);
        let silent = self.newest.is_none_or(|newest| now.saturating_duration_since(newest) > limit);
        let falls = self.flows && silent;
        if falls {
            self.flows = false;
            (self.rate, self.frames) = Default::default();
        }
        falls
    }

    /// A packet is lost for good, and a keyframe is asked for.
    pub fn breaks(&mut self, now: Instant) {
        self.broken.get_or_insert(now);
    }

    /// Whether it is of no use from now on: no keyframe came in time after a loss.
    pub fn stall(&mut self, now: Instant) -> bool {
        let stalls = self.broken.is_some_and(|since| now.saturating_duration_since(since) >= STANDSTILL);
        if stalls {
            self.fail(now);
        }
        stalls
    }

    /// What comes of it is of no use until a keyframe does.
    pub fn fail(&mut self, now: Instant) {
        (self.broken, self.stalled, self.flows) = (None, true, false);
        self.barred_until = Some(now + RETRY);
    }

    /// Bars it when it was wanted for some time without a packet, and frees it when it was barred long enough. Says
    /// whether it did either, or it is late from now on.
    pub fn bar(&mut self, now: Instant) -> bool {
        let waited = self.wanted_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if waited >= SILENCE {
            (self.wanted_since, self.late) = (None, false);
            self.barred_until = Some(now + RETRY);
        } else if waited >= LATE && !self.late {
            self.late = true;
        } else if self.barred_until.is_some_and(|until| until <= now) {
            (self.barred_until, self.stalled, self.broken) = (None, false, None);
        } else {
            return false;
        }
        true
    }

    /// Remembers since when it is wanted, and whether it is silent and nobody wants it though its track has begun.
    pub fn note_wanted(&mut self, is_wanted: bool, begun: bool, now: Instant) {
        let awaited = is_wanted && !self.flows && self.barred_until.is_none();
        self.wanted_since = awaited.then(|| self.wanted_since.unwrap_or(now));
        self.late &= awaited;
        self.dozes |= begun && !is_wanted && !self.flows;
    }

    /// Someone needs a keyframe of it: whether to ask for it right now. When one was asked for a moment ago, the wish
    /// is kept for [`super::track::Track::due_keyframe`].
    pub fn want_keyframe(&mut self, now: Instant) -> bool {
        let unanswered = self.key_requested.is_some() && self.newest < self.key_requested;
        let in_a_row = if unanswered { self.key_unanswered } else { 0 };
        let spacing = KEYFRAME_SPACING * 2_u32.pow(in_a_row.min(UNANSWERED_MAX));
        if self.key_requested.is_some_and(|at| now.saturating_duration_since(at) < spacing) {
            self.key_pending = true;
            return false;
        }
        self.key_unanswered = if unanswered { in_a_row + 1 } else { 0 };
        self.key_requested = Some(now);
        self.key_pending = false;
        true
    }
}
