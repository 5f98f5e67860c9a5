//! What a client's line up carries, told by the queue that stands in it.
//!
//! A browser goes on filling a queue that is full already: a delay that does not grow tells its estimator nothing, and
//! below half a megabit a second loss tells it little (15 % were borne for minutes, measured with Chromium 148 behind
//! 500 kbit/s). The receiver sees the standing queue by the send times that packets carry, and asks for less with a REMB
//! (draft-alvestrand-rmcat-remb-03) until it is gone.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One look at the queue.
const ROUND: Duration = Duration::from_millis(200);
/// A queue that stands this high in every packet of two rounds is too much for a conversation.
const QUEUE_MAX: Duration = Duration::from_millis(45);
/// A queue that shrinks by this much in a round is left to itself.
const SHRINKS: Duration = Duration::from_millis(5);
/// A queue below this is none.
const CALM: Duration = Duration::from_millis(25);
/// What is asked for, of what comes through: so much less that the queue, told in seconds, is gone after one.
const EASE: f64 = 0.98;
/// Bounds of that share.
const EASES: (f64, f64) = (0.8, 0.95);
/// How fast the bound grows while there is no queue, per round; a browser's own growth is slower.
const GROWTH: f64 = 1.06;
/// The same once so much is asked for, of what the line carried when it was full: what comes beyond it, sound above all,
/// takes most of the rest. So slow that the queue is seen here before the browser's own estimator sees it grow, and falls:
/// it would take ten seconds to be back when the line widens.
const NEAR: f64 = 0.73;
const NEAR_GROWTH: f64 = 1.01;
/// Only after this long without a queue is it tried again whether the line carries more: a browser's own estimate
/// climbs only while there is none.
const REST: Duration = Duration::from_secs(4);
/// When so much comes, of what the line carried when it was full, it has widened.
const BEYOND: f64 = 1.08;
/// The share of a round in what is taken to come.
const COME_SHARE: f64 = 0.25;
/// Where more is tried, packets of a round that all wait this much longer than they did at rest, or so much longer on
/// average, tell that the line carries no more. Longer than at rest, since on a line that jitters they always wait.
const TOUCHED: Duration = Duration::from_millis(12);
const TOUCHED_MEAN: Duration = Duration::from_millis(20);
/// What is asked for then, of what was.
const RETREAT: f64 = 0.88;
/// The share of a round in what packets are taken to wait at rest.
const REST_SHARE: f64 = 0.2;
/// Calm for this long lifts the bound, if the client leaves so much of it unused: one that uses all of it would at once
/// send half as much again, which its own estimator has in store.
const LIFT: Duration = Duration::from_secs(6);
const UNUSED: f64 = 2.0;
/// A queue this high in every packet of a glance drops packets, or is about to.
const FULL: Duration = Duration::from_millis(80);
/// How long a glance takes: a full queue costs sound as much as pictures.
const GLANCE: Duration = Duration::from_millis(25);
/// So many glances in a row at a full queue, and the client is asked to let it empty. One may be a stall of the air.
const FULL_GLANCES: u32 = 2;
/// Where nothing comes for so long, the client, the node or the air stood still, and what comes then is late without a queue:
/// packets of 1,200 bytes come this far apart on a line of 160 kbit/s. For as long again nothing tells of a full queue; on
/// two cores that ran three browsers beside a debug build, packets then waited for 80 to 640 ms.
const STALL: Duration = Duration::from_millis(60);
/// Between the last glance without a queue and these there may be so many: a line that narrowed fills its queue within a
/// fifth of a second, a client that sends a little too much takes longer, and is only asked for a little less.
const FILLING_GLANCES: u32 = 6;
/// What is asked for meanwhile, of what comes through. Beyond what it is asked for a browser sends its sound, and where a
/// layer no longer fits it fills up with padding: 600 kbit/s came of one that was asked for 450 (Chromium 148), so that
/// the queue of a line of 500 stood for as long as its pictures were late.
const DRAIN: f64 = 0.5;
/// What is asked for once it is empty. A share that leaves room for the same again.
const DRAINED: f64 = 0.69;
/// What came while the queue was full may have been sent over the line before it narrowed. After so many more glances at a
/// full queue it is known better.
const KNOWN_GLANCES: u32 = 10;
/// Less than this share of what was asked for is worth another word.
const LESS: f64 = 0.9;
/// So long after a client was told that its line is full, keyframes that it is asked for are of the layers alone that it goes
/// on with. Before, one of the largest layer, half a second of a narrow line, might come along.
const TAKEN_IN: Duration = Duration::from_millis(50);
/// A queue that is not empty after this long is somebody else's.
const DRAIN_MAX: Duration = Duration::from_millis(1_500);
/// A line counts as full for this long after it was. Browsers can send again what they sent within about three seconds:
/// later than that, asking for what was lost meanwhile brings nothing into the queue.
const STALE: Duration = Duration::from_secs(3);
/// Before a new bound shows, a round trip must pass and the queue empty.
const HOLD: Duration = Duration::from_millis(900);
/// Sound and the smallest picture.
const LEAST_BPS: u64 = 100_000;
/// A bound that binds nobody.
pub(crate) const UNBOUNDED_BPS: u64 = 100_000_000;
/// The shortest way of this long counts as the way without a queue.
const MEMORY: usize = 100;
/// A step in the clocks beyond which the times must have begun anew; send times wrap after 64 s.
const JUMP: Duration = Duration::from_secs(5);
/// Relative delays are told from here, so that clocks may differ either way.
const MIDDLE: Duration = Duration::from_secs(1 << 20);

/// The line of one client.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    round: Option<Round>,
    glance: Option<Round>,
    full_until: Option<Instant>,
    full: Full,
    /// When the last packet came, and until when what comes may be what a stall held back.
    last_at: Option<Instant>,
    held_back_until: Option<Instant>,
    /// Since when a queue that was full is being emptied.
    draining: Option<Draining>,
    /// Bytes of this round, and of this glance; padding and repairs too.
    bytes: usize,
    glance_bytes: usize,
    /// The shortest relative delay of past rounds.
    shortest: VecDeque<Duration>,
    /// The least of these: the way without a queue.
    base: Option<Duration>,
    /// Rounds in a row with a queue that stands and does not shrink.
    standing: u32,
    queue: Duration,
    /// What the client was asked to keep to.
    bound_bps: Option<u64>,
    /// What the line carried when it was full, and the bound from which on it was nearly so.
    carried_bps: Option<u64>,
    near_bps: Option<u64>,
    /// What comes, over the last second or so.
    come_bps: f64,
    /// How long the packets of this round waited, added up, and how many there are.
    waited: (Duration, u32),
    /// How long the quickest packet of a round waits, and all of them on average, while nothing is tried.
    at_rest: Option<(Duration, Duration)>,
    hold_until: Option<Instant>,
    calm_since: Option<Instant>,
}

/// A full queue is being emptied: while something waits in it, what comes is what the line carries.
#[derive(Clone, Copy, Debug)]
struct Draining {
    since: Instant,
    bytes: usize,
    /// What came until something last waited in it.
    carried_bps: u64,
    /// Glances at a queue that is still full.
    glances: u32,
    /// The lowest layer's keyframe has been asked for.
    lowest_asked: bool,
}

/// Glances in a row at a full queue.
#[derive(Debug, Default)]
struct Full {
    glances: u32,
    /// Those before it at a queue that was neither full nor gone.
    before: u32,
    bytes: usize,
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    since: Instant,
    shortest: Duration,
}

impl Round {
    /// Takes a packet of that delay. Gives the shortest of all when that much time has passed.
    fn note(&mut self, delay: Duration, now: Instant, lasts: Duration) -> Option<Duration> {
        self.shortest = self.shortest.min(delay);
        (now.saturating_duration_since(self.since) >= lasts).then_some(self.shortest)
    }
}

impl Uplink {
    /// A datagram came, whatever was in it.
    pub fn came(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.glance_bytes += bytes;
        if let Some(draining) = &mut self.draining {
            draining.bytes += bytes;
        }
    }

    /// A packet came. `sent` is by the client's clock, which may differ from ours. Gives the bits per second that the
    /// client is to be asked for, when that has changed.
    pub fn note(&mut self, sent: Instant, now: Instant) -> Option<u64> {
        let delay = MIDDLE + now.saturating_duration_since(sent) - sent.saturating_duration_since(now);
        let fresh = Round { since: now, shortest: delay };
        let round = self.round.get_or_insert(fresh);
        if delay.abs_diff(round.shortest) > JUMP {
            *self = Self { bound_bps: self.bound_bps, calm_since: self.calm_since, ..Self::default() };
            return None;
        }
        let (since, ended) = (round.since, round.note(delay, now, ROUND));
        self.waited.0 += self.base.map_or(Duration::ZERO, |base| delay.saturating_sub(base));
        self.waited.1 += 1;
        let is_held_back = self.is_held_back(now);
        let glance = self.glance.get_or_insert(fresh);
        let glanced_since = glance.since;
        if is_held_back {
            let before = self.full.before + self.full.glances;
            (self.glance, self.glance_bytes, self.full) = (None, 0, Full { before, ..Full::default() });
        } else if let Some(shortest) = glance.note(delay, now, GLANCE) {
            self.glance = None;
            let queue = self.base.map_or(Duration::ZERO, |base| shortest.saturating_sub(base));
            let come = self.take_glance(queue, glanced_since, now);
            if come.is_some() {
                return come;
            }
        }
        let shortest = ended?;
        let bps = self.bytes as f64 * 8.0 / now.saturating_duration_since(since).as_secs_f64();
        (self.round, self.bytes) = (None, 0);
        self.shortest.push_back(shortest);
        if self.shortest.len() > MEMORY {
            self.shortest.pop_front();
        }
        let base = self.shortest.iter().min().copied().unwrap_or(shortest);
        self.base = Some(base);
        self.come_bps += (bps - self.come_bps) * COME_SHARE;
        let (waited, packets) = std::mem::take(&mut self.waited);
        self.judge(now, shortest.saturating_sub(base), waited / packets.max(1), bps as u64)
    }

    /// Whether the line's queue is, or was a moment ago, so full that it drops. What is lost then of a layer that is not
    /// the lowest is not worth asking for: it would take the place of the lowest and of sound (three quarters of all that
    /// came in the first two seconds behind a step to 500 kbit/s, measured with Chromium 148).
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_until.is_some_and(|until| now < until)
    }

    /// Whether a keyframe of the lowest layer is to be asked for now: viewers will fall to it, and later it would wait in
    /// the client's own queue behind what the client sends again of the others. A browser does that by itself with what
    /// transport-wide feedback tells as lost at its end (Chromium 148: 20 to 60 kB, up to a second of a line of 500 kbit/s).
    /// True once each time that a line was full.
    pub fn is_lowest_due(&mut self, now: Instant) -> bool {
        let due = self
            .draining
            .as_mut()
            .filter(|draining| !draining.lowest_asked && now.saturating_duration_since(draining.since) >= TAKEN_IN);
        due.map(|draining| draining.lowest_asked = true).is_some()
    }

    /// A packet came. Gives whether it may have waited for a client, a node or an air that stood still.
    fn is_held_back(&mut self, now: Instant) -> bool {
        let silent = self.last_at.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        if silent >= STALL {
            self.held_back_until = self.held_back_until.max(Some(now + silent));
        }
        self.held_back_until.is_some_and(|until| now < until)
    }

    /// A glance is over. Gives what the client is to be asked for where the queue has to empty at once: all of it was
    /// waited for in that queue, so that what came is what the line carries.
    fn take_glance(&mut self, queue: Duration, since: Instant, now: Instant) -> Option<u64> {
        let bytes = std::mem::take(&mut self.glance_bytes);
        if let Some(draining) = &mut self.draining
            && queue >= CALM
        {
            draining.carried_bps = rate(draining.bytes, draining.since, now);
        }
        if queue <= FULL {
            let before = if queue < CALM { 0 } else { self.full.before + self.full.glances + 1 };
            self.full = Full { before, ..Full::default() };
            return None;
        }
        self.full.glances += 1;
        if self.full.glances >= FULL_GLANCES {
            self.full_until = Some(now + STALE);
        }
        if let Some(draining) = &mut self.draining {
            draining.glances += 1;
            let known = (draining.glances == KNOWN_GLANCES).then_some(draining.carried_bps);
            let asked = share(self.bound_bps.unwrap_or(UNBOUNDED_BPS), LESS);
            let less = known.map(|bps| share(bps, DRAIN).max(LEAST_BPS)).filter(|less| *less < asked);
            self.bound_bps = less.or(self.bound_bps);
            return less;
        }
        self.full.bytes += bytes;
        let since = *self.full.since.get_or_insert(since);
        let is_held = self.hold_until.is_some_and(|until| now < until);
        if self.full.glances != FULL_GLANCES || self.full.before > FILLING_GLANCES || is_held {
            return None;
        }
        let bps = rate(self.full.bytes, since, now);
        self.draining = Some(Draining { since: now, bytes: 0, carried_bps: bps, glances: 0, lowest_asked: false });
        // What came before the queue was full says nothing of whether it is empty.
        (self.round, self.bytes, self.waited) = Default::default();
        let least = self.bound_bps.unwrap_or(UNBOUNDED_BPS);
        self.bound_bps = Some(share(bps, DRAIN).max(LEAST_BPS).min(least));
        self.bound_bps
    }

    /// The queue was full. Gives what the client is asked for when it is empty.
    fn drained(&mut self, now: Instant, queue: Duration) -> Option<u64> {
        let Draining { since, carried_bps: carried, .. } = self.draining?;
        if queue >= CALM && now.saturating_duration_since(since) <= DRAIN_MAX {
            return None;
        }
        (self.draining, self.standing) = (None, 0);
        self.hold_until = Some(now + HOLD);
        (self.carried_bps, self.near_bps) = (Some(carried), Some(share(carried, NEAR)));
        self.come_bps = carried as f64;
        self.bound_bps = Some(share(carried, DRAINED).max(LEAST_BPS));
        self.bound_bps
    }

    /// A round is over: its quickest packet waited for `queue`, all of them for `waited` on average.
    fn judge(&mut self, now: Instant, queue: Duration, waited: Duration, bps: u64) -> Option<u64> {
        let shrinks = queue + SHRINKS < std::mem::replace(&mut self.queue, queue);
        self.standing = if queue > QUEUE_MAX && !shrinks { self.standing + 1 } else { 0 };
        let is_tried = self.calm_since.is_some_and(|since| since + REST <= now);
        let (queue_at_rest, waited_at_rest) = self.at_rest.unwrap_or((queue, waited));
        let is_touched =
            is_tried && self.is_near() && (queue >= queue_at_rest + TOUCHED || waited >= waited_at_rest + TOUCHED_MEAN);
        self.calm_since = (queue < CALM && !is_touched).then(|| self.calm_since.unwrap_or(now));
        if !is_tried {
            let mixed = |old: Duration, new| old.mul_f64(1.0 - REST_SHARE) + Duration::mul_f64(new, REST_SHARE);
            self.at_rest = Some((mixed(queue_at_rest, queue), mixed(waited_at_rest, waited)));
        }
        if self.draining.is_some() {
            return self.drained(now, queue);
        }
        if self.hold_until.is_some_and(|until| now < until) {
            return None;
        }
        let bound = self.bound_bps;
        if self.standing >= 2 {
            let come = bound.map_or(bps, |bound| bound.min(bps));
            let ease = (EASE - queue.as_secs_f64()).clamp(EASES.0, EASES.1);
            self.bound_bps = Some(come.saturating_sub(share(bps, 1.0 - ease)).max(LEAST_BPS));
            self.carried_bps = self.carried_bps.max(Some(self.come_bps as u64));
            self.near_bps = self.bound_bps;
            self.hold_until = Some(now + HOLD);
        } else if is_touched {
            self.carried_bps = self.carried_bps.max(Some(self.come_bps as u64));
            self.bound_bps = bound.map(|bound| share(bound, RETREAT).max(LEAST_BPS));
            self.near_bps = self.bound_bps;
            self.hold_until = Some(now + HOLD);
        } else if self.is_unused(bps) && self.calm_since.is_some_and(|since| since + LIFT <= now) {
            (self.bound_bps, self.carried_bps, self.near_bps) = (None, None, None);
        } else if let Some(since) = self.calm_since {
            self.bound_bps = bound.map(|bound| self.grown(bound, now.saturating_duration_since(since)));
        }
        (self.bound_bps != bound).then(|| self.bound_bps.unwrap_or(UNBOUNDED_BPS))
    }

    fn is_unused(&self, bps: u64) -> bool {
        self.bound_bps.is_some_and(|bound| bound as f64 >= bps as f64 * UNUSED)
    }

    fn is_near(&self) -> bool {
        self.near_bps.is_some_and(|near| self.bound_bps.is_some_and(|bound| bound >= near))
    }

    fn grown(&mut self, bound_bps: u64, calm: Duration) -> u64 {
        let most = self.come_bps.max(bound_bps as f64);
        if self.carried_bps.is_some_and(|carried| most > carried as f64 * BEYOND) {
            (self.carried_bps, self.near_bps) = (None, None);
        }
        let growth = match self.is_near() {
            false => GROWTH,
            true if calm < REST => 1.0,
            true => NEAR_GROWTH,
        };
        (bound_bps as f64 * growth) as u64
    }
}

fn rate(bytes: usize, since: Instant, now: Instant) -> u64 {
    (bytes as f64 * 8.0 / now.saturating_duration_since(since).as_secs_f64()) as u64
}

fn share(bps: u64, share: f64) -> u64 {
    (bps as f64 * share) as u64
}
