//! How much a link may send, told from what its receiver reports of one-way delay and loss.
//!
//! Acknowledgements would mix in the way back and the peer's own delays; reports say what the way there did. The law is
//! that of a delay gradient with two questions asked of the path: whether a queue is ours (it moves when we give way) and
//! whether a loss is ours (it falls when we send less). Clocks of the two ends need not agree.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Less is never allowed: sound of a few people and link messages.
pub(super) const FLOOR_BPS: f64 = 500_000.0;
/// Beginning on a path of which nothing is known.
const START_BPS: f64 = 10_000_000.0;
/// Beginning on a path within a site, where a mistake is noticed at once.
const START_NEAR_BPS: f64 = 50_000_000.0;
/// A shorter round trip stays within a site.
const NEAR: Duration = Duration::from_millis(2);
/// Share of a rate that worked lately at which the next connection begins.
const AGAIN: f64 = 0.75;
/// The shortest delay is remembered for this long; clocks that drift by 50 ppm part by 1 ms in it.
const BASE_SPAN: Duration = Duration::from_secs(20);
/// Reports are judged together over a round trip within these bounds.
const ROUND: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(150));
/// The least of few delays says little where the path jitters.
const DELAYS_MIN: u32 = 5;
/// ...but a quiet link is judged at last.
const ROUND_MAX: Duration = Duration::from_millis(500);
/// No report for longer: the path was out, and what happened meanwhile says nothing of its rate.
const OUTAGE: Duration = Duration::from_millis(160);
/// A queue of ours is drained above this.
const QUEUE_LIMIT: f64 = 0.008;
/// Below this share of what is allowed the path is hardly used...
const IDLE: f64 = 0.5;
/// ...and while this share of what goes comes, its queue is jitter or somebody else's.
const CAME: f64 = 0.9;
/// What goes is told as a mean of this time, and so is what came to be held against it, seconds.
const CAME_SPAN: f64 = 0.5;
/// Rounds that are remembered for that.
const PAST_MAX: usize = 32;
/// The same beside somebody who keeps a queue of his own.
const QUEUE_LIMIT_COMPETING: f64 = 0.1;
/// A loss that is never ours to answer.
const TOLERANCE_MIN: f64 = 0.02;
/// A loss above this is asked about again and again.
const TOLERANCE_MAX: f64 = 0.2;
/// Lossy rounds before the path is asked whether the loss is ours.
const LOSSY_ROUNDS: u32 = 4;
/// More must be lost in them than what is borne by so many deviations: of 40 packets a round of which 1.5 % are lost at
/// random, more than 2 % look lost in four rounds of seven or so every few seconds.
const LOSSY_CERTAIN: f64 = 3.0;
/// Growth per second beside the rate at which a queue began to stand.
const GROWTH_NEAR_CAP: f64 = 0.06;
/// Slowest and fastest growth per second elsewhere.
const GROWTH: (f64, f64) = (0.5, 5.0);
/// The slowest until a queue has shown for the first time: people wait for their pictures meanwhile.
const GROWTH_FIRST: f64 = 0.75;
/// What growth may queue before the first report of it is back: rate grows by g a second, so that after T seconds
/// g T² / 2 seconds of rate stand too much.
const GROWTH_QUEUE: f64 = 0.025;
/// Reports, rounds and the scheduler add this to the round trip until an answer has shown.
const FEEDBACK: f64 = 0.1;

/// What one report says of the time since the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Bytes on the wire that came.
    pub(super) bytes: u64,
    /// Datagrams that came.
    pub(super) packets: u64,
    /// Packets that the path lost; less than 0 when some that were thought lost came late.
    pub(super) missed: i64,
    /// Least one-way delay by two clocks that do not agree, µs, wrapping; and among how many.
    pub(super) delay: u32,
    /// See `delay`.
    pub(super) delays: u32,
}

/// What the node would like to send, in bits per second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// Over half a second.
    pub(super) mean: f64,
    /// What went of it.
    pub(super) sent: f64,
    /// What the link would have to allow for the next layer that it leaves out; 0 when it leaves none out.
    pub(super) next: f64,
}

/// The rate of one media connection.
#[derive(Debug)]
pub(super) struct Estimator {
    allowed: f64,
    delays: Delays,
    reported: Option<Instant>,
    round: Option<Round>,
    past: VecDeque<Past>,
    held_until: Instant,
    /// Where a queue began to stand.
    cap: Option<f64>,
    tolerance: f64,
    lossy: Lossy,
    test: Option<Test>,
    /// What was delivered when the queue that stands now began.
    before_queue: Option<f64>,
    calm_since: Instant,
    competes: bool,
    queue: f64,
    /// No queue of ours has been seen yet.
    is_first: bool,
}

/// Rounds in which more was lost than is borne, less those in which it was not; and what came and was lost since the
/// first.
#[derive(Debug, Default)]
struct Lossy {
    rounds: u32,
    packets: u64,
    missed: i64,
}

/// Reports that are judged together.
#[derive(Debug)]
struct Round {
    since: Instant,
    bytes: u64,
    packets: u64,
    missed: i64,
    delay: f64,
    delays: u32,
}

/// A round that is over: what came in it, and what went then over half a second, in bits per second.
#[derive(Clone, Copy, Debug)]
struct Past {
    at: Instant,
    span: f64,
    delivered: f64,
    sent: f64,
}

/// Sends less for a while, to see whether less is lost.
#[derive(Debug)]
struct Test {
    loss: f64,
    old: f64,
    until: Instant,
    packets: u64,
    missed: i64,
}

/// One round, judged.
struct Verdict {
    span: f64,
    delivered: f64,
    loss: f64,
    packets: u64,
    missed: i64,
    queue: f64,
}

/// Where a connection begins: as configured, else below what worked lately, else low.
pub(super) fn start_bps(rtt: Duration, configured: Option<u64>, worked: Option<f64>) -> f64 {
    let unknown = if rtt < NEAR { START_NEAR_BPS } else { START_BPS };
    let start = configured.map(|bps| bps as f64).or(worked.map(|bps| bps * AGAIN));
    start.unwrap_or(unknown).max(FLOOR_BPS)
}

impl Estimator {
    /// An estimator that begins at a rate.
    pub(super) fn new(now: Instant, start: f64) -> Self {
        Self {
            allowed: start,
            delays: Delays::default(),
            reported: None,
            round: None,
            past: VecDeque::new(),
            held_until: now,
            cap: None,
            tolerance: TOLERANCE_MIN,
            lossy: Lossy::default(),
            test: None,
            before_queue: None,
            calm_since: now,
            competes: false,
            queue: 0.0,
            is_first: true,
        }
    }

    /// Bits per second that may be sent, everything included.
    pub(super) fn allowed_bps(&self) -> f64 {
        self.allowed
    }

    /// Whether the path has shown a bound that has not been passed since.
    pub(super) fn is_bounded(&self) -> bool {
        self.cap.is_some()
    }

    /// What stands in queues on the path.
    pub(super) fn queue(&self) -> Duration {
        Duration::from_secs_f64(self.queue.clamp(0.0, 10.0))
    }

    /// Takes a report. What the node would like to send is asked for with the last of a round alone.
    pub(super) fn take(&mut self, now: Instant, sample: &Sample, rtt: Duration, demand: impl FnOnce() -> Demand) {
        if self.reported.replace(now).is_some_and(|at| now > at + OUTAGE) {
            self.hold(now, rtt + Duration::from_millis(100));
            (self.round, self.test) = (Some(Round::new(now)), None);
            self.past.clear();
            return;
        }
        let delay = (sample.delays > 0).then(|| self.delays.take(now, sample.delay));
        let round = self.round.get_or_insert_with(|| Round::new(now));
        round.add(sample, delay);
        if !round.is_full(now, rtt) {
            return;
        }
        let (verdict, demand) = (round.judge(now, self.delays.base(), self.allowed), demand());
        self.round = Some(Round::new(now));
        self.queue = verdict.queue;
        if self.past.len() >= PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(Past { at: now, span: verdict.span, delivered: verdict.delivered, sent: demand.sent });
        if now >= self.held_until {
            self.act(now, &verdict, rtt, demand);
            self.allowed = self.allowed.max(FLOOR_BPS);
        }
    }

    fn hold(&mut self, now: Instant, span: Duration) {
        self.held_until = self.held_until.max(now + span);
    }

    fn act(&mut self, now: Instant, verdict: &Verdict, rtt: Duration, demand: Demand) {
        if self.is_somebody_elses(now, verdict, rtt) {
            return;
        }
        let limit = if self.competes { QUEUE_LIMIT_COMPETING } else { QUEUE_LIMIT };
        if verdict.queue > limit {
            // Little was sent and all of it came: jitter or somebody else, and no word on the rate.
            if demand.sent >= IDLE * self.allowed || !self.has_all_come(now, rtt) {
                self.drain(now, verdict, rtt);
            }
        } else if let Some(test) = &mut self.test {
            test.packets += verdict.packets;
            test.missed += verdict.missed;
            if now >= test.until {
                self.end_test();
            }
        } else {
            self.watch_loss(now, verdict, rtt, demand);
        }
    }

    /// Whether what went lately has come. A keyframe raises what goes for half a second and comes within one round, so both
    /// are held against each other over half a second; and what is known to have come went a round trip and two rounds ago
    /// at most.
    fn has_all_come(&self, now: Instant, rtt: Duration) -> bool {
        let since = rtt + 2 * ROUND.1;
        let lately = self.past.iter().filter(|past| now - past.at <= since);
        let sent = lately.map(|past| past.sent).fold(f64::MAX, f64::min);
        let (mut span, mut bits) = (0.0, 0.0);
        for past in self.past.iter().rev() {
            (span, bits) = (span + past.span, bits + past.delivered * past.span);
            if span >= CAME_SPAN {
                break;
            }
        }
        bits > CAME * sent * span
    }

    /// Takes note of calm and of queues that do not move though we gave way: those are somebody else's, and giving way
    /// for ever would starve us.
    fn is_somebody_elses(&mut self, now: Instant, verdict: &Verdict, rtt: Duration) -> bool {
        if verdict.queue <= QUEUE_LIMIT {
            let calm = now - self.calm_since;
            if calm > 3 * rtt.max(ROUND.0) {
                self.before_queue = None;
            }
            if calm > Duration::from_secs(3) {
                self.competes = false;
            }
            return false;
        }
        self.calm_since = now;
        let Some(before) = self.before_queue.filter(|before| !self.competes && self.allowed < 0.6 * before) else {
            return false;
        };
        self.competes = true;
        self.allowed = before;
        (self.before_queue, self.test, self.lossy) = (None, None, Lossy::default());
        self.hold(now, 2 * rtt);
        true
    }

    /// Our queue: below what comes out at the other end, so that it is gone within two round trips.
    fn drain(&mut self, now: Instant, verdict: &Verdict, rtt: Duration) {
        let delivered = verdict.delivered.min(self.allowed);
        self.before_queue.get_or_insert(delivered);
        self.is_first = false;
        self.cap = Some(self.cap.map_or(verdict.delivered, |cap| 0.7 * cap + 0.3 * verdict.delivered));
        let excess = (verdict.queue / (2.0 * rtt.as_secs_f64() + 0.05)).min(0.25);
        self.allowed = delivered * (1.0 - excess) * 0.97;
        (self.test, self.lossy) = (None, Lossy::default());
        self.hold(now, rtt.mul_f64(1.1) + Duration::from_millis(50));
    }

    /// If less was lost at the lower rate, the loss was ours; else it is the path's, and is borne.
    fn end_test(&mut self) {
        let Some(test) = self.test.take() else { return };
        self.lossy = Lossy::default();
        let loss = share(test.missed, test.packets);
        if test.loss - loss > 0.04 || loss < 0.5 * test.loss {
            self.cap = Some(self.allowed);
        } else {
            self.allowed = test.old;
            self.tolerance = (1.5 * test.loss).clamp(TOLERANCE_MIN, TOLERANCE_MAX);
        }
    }

    fn watch_loss(&mut self, now: Instant, verdict: &Verdict, rtt: Duration, demand: Demand) {
        self.lossy.take(verdict, self.tolerance);
        if verdict.loss < TOLERANCE_MIN {
            self.tolerance = (self.tolerance * 0.999).max(TOLERANCE_MIN);
        }
        if verdict.loss > self.tolerance && self.lossy.is_certain(self.tolerance) {
            let until = now + 2 * rtt + Duration::from_millis(300);
            self.test = Some(Test { loss: verdict.loss, old: self.allowed, until, packets: 0, missed: 0 });
            // Below what really goes: a lower bound that does not bind would answer nothing.
            let goes = demand.sent.min(verdict.delivered / (1.0 - verdict.loss.min(0.9)));
            self.allowed = 0.9 * self.allowed.min(goes);
            self.hold(now, rtt.mul_f64(1.1) + Duration::from_millis(50));
        } else if verdict.loss <= self.tolerance {
            let is_used = verdict.delivered > 0.7 * self.allowed.min(demand.mean);
            let most = if is_used { 1.5 * demand.mean } else { 0.0 };
            self.grow(verdict.span, rtt, most.max(demand.next));
        }
    }

    /// What was really used may grow. A quiet link learns nothing and stays where it is, unless it leaves out a layer:
    /// then it grows until that layer can try.
    fn grow(&mut self, span: f64, rtt: Duration, most: f64) {
        let answer = rtt.as_secs_f64() + FEEDBACK;
        let slowest = if self.is_first { GROWTH_FIRST } else { GROWTH.0 };
        let mut growth = (2.0 * GROWTH_QUEUE / (answer * answer)).clamp(slowest, GROWTH.1);
        if let Some(cap) = self.cap {
            if self.allowed > 1.15 * cap {
                self.cap = None;
            } else if self.allowed > 0.9 * cap {
                growth = GROWTH_NEAR_CAP;
            }
        }
        self.allowed = (self.allowed * (1.0 + span * growth)).min(most).max(self.allowed);
    }
}

impl Lossy {
    fn take(&mut self, verdict: &Verdict, tolerance: f64) {
        self.packets += verdict.packets;
        self.missed += verdict.missed;
        self.rounds = if verdict.loss > tolerance { self.rounds + 1 } else { self.rounds.saturating_sub(1) };
        if self.rounds == 0 {
            *self = Self::default();
        }
    }

    /// Whether chance alone would hardly lose as much.
    fn is_certain(&self, tolerance: f64) -> bool {
        let borne = tolerance * (self.packets as f64 + self.missed.max(0) as f64);
        self.rounds >= LOSSY_ROUNDS && self.missed as f64 > borne + LOSSY_CERTAIN * (borne + 1.0).sqrt()
    }
}

impl Round {
    fn new(since: Instant) -> Self {
        Self { since, bytes: 0, packets: 0, missed: 0, delay: f64::MAX, delays: 0 }
    }

    fn add(&mut self, sample: &Sample, delay: Option<f64>) {
        self.bytes += sample.bytes;
        self.packets += sample.packets;
        self.missed += sample.missed;
        self.delays += sample.delays;
        self.delay = self.delay.min(delay.unwrap_or(f64::MAX));
    }

    fn is_full(&self, now: Instant, rtt: Duration) -> bool {
        let lasts = |span| now >= self.since + span;
        self.packets > 0 && lasts(rtt.clamp(ROUND.0, ROUND.1)) && (self.delays >= DELAYS_MIN || lasts(ROUND_MAX))
    }

    /// `allowed` bounds what a peer may claim to have got.
    fn judge(&self, now: Instant, base: f64, allowed: f64) -> Verdict {
        let span = (now - self.since).as_secs_f64();
        Verdict {
            span,
            delivered: (self.bytes as f64 * 8.0 / span).min(2.0 * allowed),
            loss: share(self.missed, self.packets),
            packets: self.packets,
            missed: self.missed,
            queue: if self.delays > 0 { self.delay - base } else { 0.0 },
        }
    }
}

fn share(missed: i64, packets: u64) -> f64 {
    let missed = missed.max(0) as f64;
    missed / (packets as f64 + missed).max(1.0)
}

/// One-way delays, and the least of the last 20 s.
#[derive(Debug, Default)]
struct Delays {
    reference: Option<u32>,
    /// Ascending in both; the front is the least.
    least: VecDeque<(Instant, f64)>,
}

impl Delays {
    /// A delay against that of the first report, in seconds.
    fn take(&mut self, now: Instant, micros: u32) -> f64 {
        let reference = *self.reference.get_or_insert(micros);
        let delay = f64::from(micros.wrapping_sub(reference) as i32) / 1e6;
        while self.least.back().is_some_and(|(_, other)| *other >= delay) {
            self.least.pop_back();
        }
        self.least.push_back((now, delay));
        while self.least.front().is_some_and(|(at, _)| now > *at + BASE_SPAN) {
            self.least.pop_front();
        }
        delay
    }

    fn base(&self) -> f64 {
        self.least.front().map_or(0.0, |(_, delay)| *delay)
    }
}

#[cfg(test)]
mod tests;
