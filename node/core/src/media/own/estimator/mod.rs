//! What the way to a client carries, told from its feedback: how long packets take, how many come, and how fast.
//!
//! The ideas are those of draft-ietf-rmcat-gcc-02 and of the browsers' estimators; the law is in
//! docs/decisions/0016-estimator.md. All times are microseconds: ours since the connection began, the client's since
//! whenever. Nothing here allocates.

mod fallback;
mod loss;
mod meter;
mod policer;
mod probe;
mod queue;
mod rate;
mod rates;
mod seek;
#[cfg(test)]
mod tests;
mod trend;

use fallback::Fallback;
use loss::{Loss, Verdict};
use policer::Policer;
use probe::{Finding, Probe};
use queue::Queue;
use rate::{LEAST_BPS, Rate};
use rates::{LONG_US, Rates, SHORT_US};
use seek::Seek;
use trend::{Signal, Trend};

use super::history::Told;

/// What is kept of what comes while queues grow, in percent: less than the way carries, so that they empty.
const KEPT_PERCENT: u64 = 85;
/// What is kept of what comes while too much is lost: no queue has to empty.
const KEPT_OF_LOSSY_PERCENT: u64 = 97;
/// A queue below this is none, whatever its slope.
const QUEUE_MIN_US: u64 = 6_000;
/// It does not grow beyond so much of what comes, in percent: what was never sent shows nothing.
const BEYOND_PERCENT: u64 = 150;
/// A fall shows in reports after a round trip, which counts at least and at most this.
const RESPONSE_US: (u64, u64) = (50_000, 250_000);
/// A client that told of packets is worried about after so long without a word, and again each time.
const SILENCE_US: u64 = 1_500_000;
const SILENCE_AGAIN_US: u64 = 500_000;
const KEPT_IN_SILENCE_PERCENT: u64 = 70;
/// A change of the one-way delay beyond this is a clock that was set, or wrapped.
const LEAP_US: u64 = 10_000_000;
/// Two looks in a row that find less than this of the estimate, in percent, lower it.
const DOUBTED_PERCENT: u64 = 80;
/// A step of the estimate that is told, in percent; and how often it is told anyway while something is missing.
const TOLD_PERCENT: u64 = 3;
const TOLD_EVERY_US: u64 = 200_000;

/// One client's way.
#[derive(Clone, Debug)]
pub(in crate::media) struct Estimator {
    rate: Rate,
    /// What was last told, and when.
    told: Option<(u64, u64)>,
    wish_bps: u64,
    missing: bool,
    trend: Trend,
    queue: Queue,
    loss: Loss,
    policer: Policer,
    rates: Rates,
    probe: Option<Probe>,
    seek: Seek,
    /// The last look found the way full at this, which is less than was believed.
    doubted_bps: Option<u64>,
    response_us: u64,
    /// The client tells of single packets: last when.
    heard_us: Option<u64>,
    /// Packets since then, and when that was last held against the way.
    unheard: u32,
    worried_us: u64,
    /// One-way delay of the newest packet that was told of, and its number.
    delay_us: Option<i64>,
    newest: u64,
    /// Number of the next packet.
    next: u64,
    fallback: Fallback,
}

impl Estimator {
    /// Nothing is known.
    pub fn new() -> Self {
        Self {
            rate: Rate::new(),
            told: None,
            wish_bps: 0,
            missing: false,
            trend: Trend::new(),
            queue: Queue::default(),
            loss: Loss::default(),
            policer: Policer::default(),
            rates: Rates::default(),
            probe: None,
            seek: Seek::default(),
            doubted_bps: None,
            response_us: RESPONSE_US.1,
            heard_us: None,
            unheard: 0,
            worried_us: 0,
            delay_us: None,
            newest: 0,
            next: 0,
            fallback: Fallback::default(),
        }
    }

    /// What we would like to send, and whether the client gets less than it has use for.
    pub fn wish(&mut self, wish_bps: u64, missing: bool) {
        (self.wish_bps, self.missing) = (wish_bps, missing);
    }

    /// A packet left. `number` is its transport-wide number, if it has one.
    pub fn sent(&mut self, now_us: u64, bytes: usize, number: Option<u64>) {
        self.rates.sent(now_us, bytes);
        let Some(number) = number else { return };
        self.next = number + 1;
        self.unheard = self.unheard.saturating_add(1);
        if let Some(probe) = &mut self.probe {
            probe.sent(bytes as u64);
        }
    }

    /// The client tells what became of a packet, in the order in which they were sent. Then comes [`Estimator::judge`].
    pub fn told(&mut self, told: &Told) {
        self.newest = self.newest.max(told.number);
        if told.found {
            self.loss.found();
        } else {
            self.loss.note(told.sent_us, told.came_us.is_none());
        }
        let Some(came_us) = told.came_us else { return };
        let delay_us = came_us.saturating_sub(told.sent_us as i64);
        if self.delay_us.is_some_and(|before| before.abs_diff(delay_us) > LEAP_US) {
            self.trend.clear();
            self.queue.clear();
            self.rates.forget_came();
        }
        self.delay_us = Some(delay_us);
        self.rates.came(came_us, told.bytes);
        self.queue.came(told.sent_us, came_us);
        match self.probe.as_mut().filter(|probe| probe.holds(told.number)) {
            // The queue that it makes says nothing of what was sent before.
            Some(probe) => {
                probe.came(told.sent_us, came_us, told.bytes.into());
                self.trend.cut();
            }
            None if !told.found => self.trend.came(told.sent_us, came_us),
            None => {}
        }
    }

    /// All that a report tells of was told. `rtt_us` is how long ago its newest packet left.
    pub fn judge(&mut self, now_us: u64, rtt_us: Option<u64>) {
        self.heard_us = Some(now_us);
        self.unheard = 0;
        self.response_us = rtt_us.unwrap_or(self.response_us).clamp(RESPONSE_US.0, RESPONSE_US.1);
        self.rates.advance(now_us);
        let verdict = self.loss.judge(now_us, self.rates.sent_bps());
        match verdict {
            Some(Verdict::TooMuch) => {
                if let Some(came_bps) = self.rates.came_bps(LONG_US).filter(|_| !self.queue.stands()) {
                    self.policer.met(now_us, came_bps);
                }
                self.fall(now_us, LONG_US, KEPT_OF_LOSSY_PERCENT);
            }
            Some(Verdict::NotOurs(bps)) => {
                self.policer = Policer::default();
                self.rate.raise(bps);
            }
            Some(Verdict::Calm | Verdict::Borne) | None => {}
        }
        self.queue.judge(now_us, !self.loss.is_calm());
        match self.trend.signal() {
            Signal::Over if self.queue.us() >= QUEUE_MIN_US && !self.queue.is_foreign() => {
                self.queue.answered(now_us);
                self.fall(now_us, SHORT_US, KEPT_PERCENT);
            }
            Signal::Normal if verdict != Some(Verdict::TooMuch) => self.grow(now_us),
            _ => self.rate.hold(now_us),
        }
        self.take_finding(now_us);
    }

    /// The client would have us send no more than so many bits per second.
    pub fn bound(&mut self, now_us: u64, bps: u64) {
        self.fallback.bound(now_us, bps);
    }

    /// A receiver's report tells which share of a stream is lost, in 256ths. It counts where nothing else is told.
    pub fn report(&mut self, now_us: u64, lost: u8) {
        if self.heard_us.is_none() {
            self.rates.advance(now_us);
            let bps = self.fallback.report(now_us, lost, self.rates.sent_bps(), self.rate.bps());
            self.rate.set(bps);
        }
    }

    /// Looks after what no packet sets off. To be called some times in a second.
    pub fn tick(&mut self, now_us: u64) {
        if let Some(probe) = &mut self.probe {
            probe.end_when_due(now_us, self.next);
        }
        self.take_finding(now_us);
        self.bear_silence(now_us);
        let is_calm = self.trend.signal() != Signal::Over && !self.queue.stands() || self.queue.is_foreign();
        if self.probe.is_none()
            && (self.missing || self.seek.is_first())
            && is_calm
            && self.heard_us.is_some()
            && let Some(target_bps) =
                self.seek.target_bps(now_us, self.rate.bps(), self.policer.bounded(now_us, self.wish_bps))
        {
            self.probe = Some(Probe::new(now_us, target_bps, self.next));
        }
    }

    /// Whether what leaves waits in a queue of our own.
    pub fn is_full(&self) -> bool {
        self.queue.stands() && !self.queue.is_foreign()
    }

    /// Whether padding is to leave now.
    pub fn wants_padding(&self, now_us: u64) -> bool {
        self.probe.is_some_and(|probe| probe.wants(now_us))
    }

    /// Whether [`Estimator::tick`] is to be called each millisecond for now.
    pub fn is_probing(&self) -> bool {
        self.probe.is_some_and(|probe| probe.runs())
    }

    /// There is nothing to send as padding.
    pub fn cannot_pad(&mut self, now_us: u64) {
        self.probe = None;
        self.seek.found(now_us, Finding::Nothing, self.rate.bps());
    }

    /// The estimate, in bits per second, when there is something new to say of it.
    pub fn poll(&mut self, now_us: u64) -> Option<u64> {
        // Until the client has said something nothing is known.
        let known = self.heard_us.is_some() || self.fallback.has_heard();
        let bps = self.fallback.bounded(now_us, self.rate.bps()).max(LEAST_BPS);
        if !known {
            return None;
        }
        if let Some((told_bps, at_us)) = self.told {
            let is_other = bps.abs_diff(told_bps) * 100 > told_bps * TOLD_PERCENT;
            let is_due = self.missing && now_us.saturating_sub(at_us) >= TOLD_EVERY_US;
            if !is_other && !is_due {
                return None;
            }
        }
        self.told = Some((bps, now_us));
        Some(bps)
    }

    /// Less comes through than is sent, or later and later: falls to a part of what comes.
    fn fall(&mut self, now_us: u64, window_us: i64, kept_percent: u64) {
        let Some(came_bps) = self.rates.came_bps(window_us) else { return };
        self.seek.rest(now_us);
        self.rate.fall(now_us, came_bps, kept_percent, self.response_us);
    }

    fn grow(&mut self, now_us: u64) {
        let Some(came_bps) = self.rates.came_bps(LONG_US) else { return self.rate.hold(now_us) };
        self.rate.grow(now_us, self.policer.bounded(now_us, came_bps * BEYOND_PERCENT / 100));
    }

    fn take_finding(&mut self, now_us: u64) {
        let Some(finding) = self.probe.and_then(|probe| probe.finding(now_us, self.newest)) else { return };
        self.probe = None;
        self.seek.found(now_us, finding, self.rate.bps());
        let doubted_bps = self.doubted_bps.take();
        match finding {
            Finding::Carries(bps) => self.rate.raise(bps),
            Finding::Full(bps) => {
                self.rate.was_full(now_us, bps);
                let is_less = bps * 100 < self.rate.bps() * DOUBTED_PERCENT;
                self.doubted_bps = is_less.then_some(bps);
                self.rate.set(doubted_bps.filter(|_| is_less).unwrap_or(self.rate.bps()).max(bps));
            }
            Finding::Nothing => {}
        }
    }

    /// A client that told of packets and does not any more gets less, until it does.
    fn bear_silence(&mut self, now_us: u64) {
        let Some(heard_us) = self.heard_us.filter(|_| self.unheard > 0) else { return };
        if now_us.saturating_sub(heard_us) < SILENCE_US || now_us.saturating_sub(self.worried_us) < SILENCE_AGAIN_US {
            return;
        }
        self.worried_us = now_us;
        self.seek.rest(now_us);
        self.rate.set(self.rate.bps() * KEPT_IN_SILENCE_PERCENT / 100);
    }
}
