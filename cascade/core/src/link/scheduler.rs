//! What goes to the peer next, and when: classes, their queues and their shares of the rate.
//!
//! A packet goes at once while there are tokens and nothing of its class or a more urgent one waits; else it waits, and
//! a tick every millisecond drains what waits. Nothing is numbered before it goes, so what is shed leaves no gap.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::estimator::Demand;
use super::meter::Meter;
use super::{Datagram, Flow, Packet};

/// Bytes of IP, UDP and QUIC around a datagram.
pub(super) const WRAP_BYTES: usize = 58;
/// Backlog is drained this often.
const TICK: Duration = Duration::from_millis(1);
/// After ticks that did not come, so much of the rate goes at once and no more.
const CATCH_UP: f64 = 0.005;
/// Without backlog: a tick of the rate, and three packets however slow the link, for the last may overdraw.
const DEPTH: f64 = 0.001;
const DEPTH_MIN: f64 = 3000.0;
/// Share of the rate at which sound goes before everything else; beyond it takes turns with pictures.
const URGENT_SHARE: f64 = 0.2;
/// Share of the rate that sound has while the peer is not heard.
const SILENT_SHARE: f64 = 0.05;
/// Share of the rate that repairs may take, and how long a pause they may make up for.
const AGAIN_SHARE: f64 = 0.15;
const AGAIN_DEPTH: f64 = 0.1;
/// A burst of lost packets is repaired however slow the link.
const AGAIN_DEPTH_MIN: f64 = 12_000.0;
/// Repairs that wait.
const AGAIN_MAX: usize = 1024;
/// Base layers and repairs have this many times the bytes of enhancement while both wait.
const BASE_WEIGHT: f64 = 9.0;
/// How far enhancement may save up its turns.
const CREDIT_MAX: f64 = 3000.0;
/// QUIC's queue is long above so much of the rate, and above so many bytes.
const QUIC_SPAN: f64 = 0.003;
const QUIC_BYTES_MIN: f64 = 4000.0;
/// What waits longer in its queue is of no use: audio, base, enhancement.
const EXPIRES: [Duration; 3] = [Duration::from_millis(60), Duration::from_millis(250), Duration::from_millis(100)];
/// After a silence pictures that waited longer are dropped...
const RESUMES: Duration = Duration::from_millis(30);
/// ...base layers only if it was longer than what repairs may bridge.
const SILENCE_BRIDGED: Duration = Duration::from_millis(150);
/// What waits this long is under pressure.
const PRESSED: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(50), Duration::from_millis(30)];
/// Packets of one class that wait: 250 ms of 350 Mb/s.
const WAITING_MAX: usize = 8192;

const AUDIO: usize = 0;
const BASE: usize = 1;
const ENHANCEMENT: usize = 2;

/// What waits to be sent.
#[derive(Debug)]
pub(super) struct Scheduler {
    waiting: [VecDeque<Waiting>; 3],
    waiting_bytes: usize,
    again: VecDeque<Again>,
    rate: f64,
    silent_since: Option<Instant>,
    /// When the buckets were filled last.
    filled_at: Instant,
    bucket: Bucket,
    urgent: Bucket,
    repairs: Bucket,
    credit: f64,
    quic_bytes: usize,
    tick_at: Option<Instant>,
    offered: Meter,
    sent: Meter,
    /// Packets that waited too long, by class, since they were last asked for.
    expired: [u64; 3],
    /// Those among them that others may be told of.
    expired_packets: Vec<(Flow, Packet)>,
}

/// A packet on its turn.
#[derive(Debug)]
pub(super) enum Turn {
    /// For the first time: place of its class, flow, packet.
    First(usize, Flow, Packet),
    /// A repair: place of its class, the datagram as it was first sent.
    Again(usize, Datagram),
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    bytes: usize,
    flow: Flow,
    packet: Packet,
}

#[derive(Debug)]
struct Again {
    until: Instant,
    place: usize,
    datagram: Datagram,
}

impl Scheduler {
    /// Nothing waits.
    pub(super) fn new(now: Instant, rate: f64) -> Self {
        Self {
            waiting: Default::default(),
            waiting_bytes: 0,
            again: VecDeque::new(),
            rate,
            silent_since: None,
            filled_at: now,
            bucket: Bucket::new(DEPTH_MIN),
            urgent: Bucket::new(DEPTH_MIN),
            repairs: Bucket::new(AGAIN_DEPTH_MIN),
            credit: 0.0,
            quic_bytes: 0,
            tick_at: None,
            offered: Meter::new(now),
            sent: Meter::new(now),
            expired: [0; 3],
            expired_packets: Vec::new(),
        }
    }

    /// The estimator's word, and whether the peer is heard.
    pub(super) fn set_rate(&mut self, now: Instant, bps: f64, silent: bool) {
        self.rate = bps;
        match (silent, self.silent_since) {
            (true, None) => self.silent_since = Some(now),
            (false, Some(since)) => self.resume(now, since),
            _ => {}
        }
    }

    /// The peer is heard again. Pictures that waited would hold up those of now for long, and after a longer silence
    /// nobody can show them: what came before them is lost.
    fn resume(&mut self, now: Instant, silent_since: Instant) {
        self.silent_since = None;
        let is_long = now - silent_since > SILENCE_BRIDGED;
        for place in if is_long { BASE..=ENHANCEMENT } else { ENHANCEMENT..=ENHANCEMENT } {
            while self.waiting[place].front().is_some_and(|waiting| now - waiting.since > RESUMES) {
                self.drop_first(place);
            }
        }
    }

    fn is_silent(&self) -> bool {
        self.silent_since.is_some()
    }

    /// So many bytes have not left QUIC's queue.
    pub(super) fn set_queued(&mut self, bytes: usize) {
        self.quic_bytes = bytes;
    }

    /// What was wanted lately.
    pub(super) fn demand(&mut self, now: Instant) -> Demand {
        Demand { mean: self.offered.mean_bps(now), sent: self.sent.mean_bps(now), next: 0.0 }
    }

    /// Bits per second that were sent lately.
    pub(super) fn sent_bps(&mut self, now: Instant) -> f64 {
        self.sent.mean_bps(now)
    }

    /// How long what waits here and in QUIC's queue takes to go.
    pub(super) fn queue(&self) -> Duration {
        let bytes = (self.waiting_bytes + self.quic_bytes) as f64;
        Duration::from_secs_f64((bytes * 8.0 / self.rate).min(10.0))
    }

    /// Whether something has waited so long that somebody must give way.
    pub(super) fn is_pressed(&self, now: Instant) -> bool {
        let waits = self.waiting.iter().zip(PRESSED);
        waits.into_iter().any(|(queue, limit)| queue.front().is_some_and(|waiting| now > waiting.since + limit))
    }

    /// Takes the count of packets that waited too long: audio, base, enhancement.
    pub(super) fn take_expired(&mut self) -> [u64; 3] {
        std::mem::take(&mut self.expired)
    }

    /// Takes the packets of enhancement layers that waited too long.
    pub(super) fn take_expired_packets(&mut self) -> Vec<(Flow, Packet)> {
        std::mem::take(&mut self.expired_packets)
    }

    /// Counts bytes that somebody wants to be sent, whatever becomes of them.
    pub(super) fn want(&mut self, now: Instant, bytes: usize) {
        self.offered.add(now, bytes);
    }

    /// Whether a packet may go at once; else it is kept until its turn.
    pub(super) fn offer(&mut self, now: Instant, place: usize, flow: Flow, packet: &Packet) -> bool {
        let bytes = packet.payload.len() + WRAP_BYTES + 12;
        self.want(now, bytes);
        self.fill(now);
        let passes = if self.is_silent() || self.is_held() {
            place == AUDIO && self.may_urgent()
        } else {
            self.bucket.has_tokens()
        };
        // Whatever waits does so for a tick.
        if passes && (self.tick_at.is_none() || self.is_first(place)) {
            return true;
        }
        if self.waiting[place].len() >= WAITING_MAX {
            self.drop_first(place);
        }
        self.waiting_bytes += bytes;
        self.waiting[place].push_back(Waiting { since: now, bytes, flow, packet: packet.clone() });
        self.tick_at.get_or_insert(now + TICK);
        false
    }

    /// Sound takes from its own share first, and goes on the common tokens beyond it.
    fn may_urgent(&self) -> bool {
        self.urgent.has_tokens() || !self.is_silent() && self.bucket.has_tokens()
    }

    /// Nothing that is as urgent waits.
    fn is_first(&self, place: usize) -> bool {
        self.waiting[..=place].iter().all(VecDeque::is_empty) && (place == AUDIO || self.again.is_empty())
    }

    /// QUIC has enough for now.
    fn is_held(&self) -> bool {
        self.quic_bytes as f64 > (self.rate / 8.0 * QUIC_SPAN).max(QUIC_BYTES_MIN)
    }

    /// Takes a repair that is of use until then. False when there are too many.
    pub(super) fn offer_again(&mut self, now: Instant, place: usize, datagram: Datagram, until: Instant) -> bool {
        self.fill(now);
        let spent = !self.repairs.has_tokens();
        if spent || self.again.len() >= AGAIN_MAX {
            return false;
        }
        let bytes = datagram.len() + WRAP_BYTES + 2;
        self.want(now, bytes);
        self.repairs.take(bytes, f64::MAX);
        self.waiting_bytes += bytes;
        self.again.push_back(Again { until, place, datagram });
        // At once, if there are tokens.
        self.tick_at = Some(now);
        true
    }

    /// Something of so many bytes (of a datagram) was sent.
    pub(super) fn count_sent(&mut self, now: Instant, place: Option<usize>, bytes: usize) {
        let bytes = bytes + WRAP_BYTES;
        self.sent.add(now, bytes);
        // Link messages go whatever the bucket says; what they owe holds back pictures for a moment only.
        self.bucket.take(bytes, self.rate / 8.0 * CATCH_UP + DEPTH_MIN);
        if place == Some(AUDIO) {
            self.urgent.take(bytes, DEPTH_MIN);
        }
    }

    /// When what waits is looked at again.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.tick_at
    }

    fn fill(&mut self, now: Instant) {
        if now == self.filled_at {
            return;
        }
        let passed = (now - std::mem::replace(&mut self.filled_at, now)).as_secs_f64();
        let per_second = self.rate / 8.0;
        let depth = if self.tick_at.is_some() { CATCH_UP } else { DEPTH };
        self.bucket.fill(passed, self.rate, (per_second * depth).max(DEPTH_MIN));
        let share = if self.is_silent() { SILENT_SHARE } else { URGENT_SHARE };
        self.urgent.fill(passed, self.rate * share, DEPTH_MIN);
        self.repairs.fill(
            passed,
            self.rate * AGAIN_SHARE,
            (per_second * AGAIN_SHARE * AGAIN_DEPTH).max(AGAIN_DEPTH_MIN),
        );
    }

    /// Opens a tick if one is due; then [`Self::next`] gives what goes in it.
    pub(super) fn begin_tick(&mut self, now: Instant) -> bool {
        if self.tick_at.is_none_or(|at| at > now) {
            return false;
        }
        self.fill(now);
        self.expire(now);
        true
    }

    /// Closes a tick: the next is a millisecond from now, however late this one came.
    pub(super) fn end_tick(&mut self, now: Instant) {
        let waits = self.again.len() + self.waiting.iter().map(VecDeque::len).sum::<usize>();
        self.tick_at = (waits > 0).then_some(now + TICK);
    }

    /// The next packet of this tick.
    pub(super) fn next(&mut self, now: Instant) -> Option<Turn> {
        if !self.waiting[AUDIO].is_empty() && self.urgent.has_tokens() {
            return self.first_of(AUDIO);
        }
        if self.is_silent() || !self.bucket.has_tokens() {
            return None;
        }
        if !self.waiting[AUDIO].is_empty() && (self.is_held() || self.waiting[BASE].is_empty()) {
            return self.first_of(AUDIO);
        }
        if self.is_held() {
            return None;
        }
        self.next_weighted(now)
    }

    fn next_weighted(&mut self, now: Instant) -> Option<Turn> {
        let base_waits = !self.again.is_empty() || !self.waiting[BASE].is_empty() || !self.waiting[AUDIO].is_empty();
        let enhancement = self.waiting[ENHANCEMENT].front().map(|waiting| waiting.bytes as f64);
        if let Some(bytes) = enhancement.filter(|bytes| !base_waits || *bytes <= self.credit) {
            self.credit = if base_waits { self.credit - bytes } else { 0.0 };
            return self.first_of(ENHANCEMENT);
        }
        if !base_waits {
            return None;
        }
        let turn = self.next_base(now);
        let bytes = match &turn {
            Some(Turn::First(_, _, packet)) => packet.payload.len(),
            Some(Turn::Again(_, datagram)) => datagram.len(),
            None => 0,
        };
        self.credit = (self.credit + bytes as f64 / BASE_WEIGHT).min(CREDIT_MAX);
        turn
    }

    /// Repairs first: they are the oldest. Sound beyond its share takes turns with base layers by age.
    fn next_base(&mut self, now: Instant) -> Option<Turn> {
        while let Some(again) = self.again.pop_front() {
            self.waiting_bytes -= again.datagram.len() + WRAP_BYTES + 2;
            if again.until >= now {
                return Some(Turn::Again(again.place, again.datagram));
            }
        }
        let since = |place: usize| self.waiting[place].front().map(|waiting| waiting.since);
        match (since(AUDIO), since(BASE)) {
            (Some(audio), Some(base)) => self.first_of(if audio <= base { AUDIO } else { BASE }),
            (Some(_), None) => self.first_of(AUDIO),
            (None, Some(_)) => self.first_of(BASE),
            (None, None) => None,
        }
    }

    fn first_of(&mut self, place: usize) -> Option<Turn> {
        let waiting = self.waiting[place].pop_front()?;
        self.waiting_bytes -= waiting.bytes;
        Some(Turn::First(place, waiting.flow, waiting.packet))
    }

    fn drop_first(&mut self, place: usize) {
        if let Some(dropped) = self.waiting[place].pop_front() {
            self.waiting_bytes -= dropped.bytes;
            self.expired[place] += 1;
            if place == ENHANCEMENT {
                self.expired_packets.push((dropped.flow, dropped.packet));
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        for (place, limit) in EXPIRES.into_iter().enumerate() {
            while self.waiting[place].front().is_some_and(|waiting| now > waiting.since + limit) {
                self.drop_first(place);
            }
        }
    }

    /// Takes away what waits of a flow that gives way.
    pub(super) fn remove(&mut self, place: usize, flow: Flow) -> Vec<Packet> {
        let bytes = &mut self.waiting_bytes;
        let mut removed = Vec::new();
        self.waiting[place].retain(|waiting| {
            let stays = waiting.flow != flow;
            if !stays {
                *bytes -= waiting.bytes;
                removed.push(waiting.packet.clone());
            }
            stays
        });
        removed
    }
}

#[cfg(test)]
mod tests;
