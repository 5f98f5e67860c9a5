//! What belongs to one media connection: numbers, rings, clocks, rate and queues begin anew with it.

use std::time::{Duration, Instant};

use super::counters::Dropped;
use super::estimator::{Demand, Estimator, start_bps};
use super::fec::{Decoder, Encoder};
use super::message::{ClassReport, Message, Report};
use super::meter::Losses;
use super::path::Path;
use super::receiver::{Receiver, nacks_of};
use super::report::{EVERY, EVERY_SILENT, Reports, Taken};
use super::ring::Ring;
use super::scheduler::Scheduler;
use super::{Class, Datagram, Flow, Packet, datagram};
use crate::metric::LinkMetric;

/// The classes that carry packets, in the order of rings and receivers.
pub(super) const CLASSES: [Class; 3] = [Class::Audio, Class::Base, Class::Enhancement];
/// A repaired packet of sound is of no use when it is older.
const AUDIO_DEADLINE: Duration = Duration::from_millis(120);
/// The same for a picture.
const VIDEO_DEADLINE: Duration = Duration::from_millis(300);
/// A packet tells when it was sent if none did for this long: 200 delays a second cost 800 bytes.
const TIMED_EVERY: Duration = Duration::from_millis(5);
/// Loss is told of the last seconds.
const LOSS_SPAN: Duration = Duration::from_secs(5);
/// Whether FEC is worth it is decided by more of them: 0.1 % of a narrow link is few packets.
const FEC_LOSS_SPAN: Duration = Duration::from_secs(10);
/// One loss alone is no rate of loss.
const FEC_LOSSES_MIN: u32 = 2;
/// A change of the rate by less than this is not told to QUIC.
const TOLD_STEP: f64 = 0.02;
/// A rate that worked is remembered for this long.
const REMEMBERED: Duration = Duration::from_secs(600);

/// One media connection.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) rings: [Ring; 3],
    pub(super) retransmissions: u16,
    pub(super) receivers: [Receiver; 3],
    pub(super) received_again: Receiver,
    pub(super) reports: Reports,
    pub(super) report_at: Instant,
    pub(super) estimator: Estimator,
    pub(super) scheduler: Scheduler,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    pub(super) path: Path,
    /// Of what comes: before and after repair.
    missed: Losses,
    lost: Losses,
    /// Of what goes, as the peer reports it.
    losses_out: Losses,
    /// The next packet from then on is timed.
    times_at: Instant,
    told: Option<(f64, bool)>,
    sent_bps: f64,
    /// What the next layer that is left out asks for.
    pub(super) next_bps: f64,
}

/// The rate of an earlier connection to the same peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worked {
    bps: f64,
    was_bounded: bool,
    at: Instant,
}

impl Hop {
    pub(super) fn new(now: Instant, rtt: Duration, rate_bps: Option<u64>, worked: Option<Worked>) -> Self {
        let unknown = start_bps(rtt, None, None);
        let worked = worked.filter(|worked| now - worked.at < REMEMBERED);
        let start = start_bps(rtt, rate_bps, worked.map(|worked| worked.bps));
        // A path that never showed a bound is no worse than an unknown one.
        let is_known_bound = rate_bps.is_some() || worked.is_some_and(|worked| worked.was_bounded);
        let start = if is_known_bound { start } else { start.max(unknown) };
        Self {
            rings: std::array::from_fn(|_| Ring::new(now)),
            retransmissions: 0,
            receivers: Default::default(),
            received_again: Receiver::default(),
            reports: Reports::new(now, rtt),
            report_at: now,
            estimator: Estimator::new(now, start),
            scheduler: Scheduler::new(now, start),
            encoder: Encoder::default(),
            decoder: Decoder::default(),
            path: Path::new(now),
            missed: Losses::new(LOSS_SPAN),
            lost: Losses::new(LOSS_SPAN),
            losses_out: Losses::new(FEC_LOSS_SPAN),
            times_at: now,
            told: None,
            sent_bps: 0.0,
            next_bps: 0.0,
        }
    }

    /// What is remembered of this connection for the next one.
    pub(super) fn worked(&self, now: Instant) -> Worked {
        Worked { bps: self.estimator.allowed_bps(), was_bounded: self.estimator.is_bounded(), at: now }
    }

    /// Numbers a packet and keeps it for repairs; the next is timed again if the last timed one is long ago.
    pub(super) fn encode(&mut self, now: Instant, place: usize, flow: Flow, packet: &Packet) -> Datagram {
        let is_timed = self.times_at <= now;
        if is_timed {
            self.times_at = now + TIMED_EVERY;
        }
        let ring = &mut self.rings[place];
        let head = datagram::Head {
            flow,
            class: CLASSES[place],
            hop_seq: ring.next() as u16,
            original: None,
            sent: is_timed.then(|| self.reports.clock(now)),
        };
        let sent = datagram::encode(&head, packet);
        ring.push(now, sent.clone(), deadline_of(head.class));
        self.encoder.add(now, place, head.hop_seq, &sent);
        self.scheduler.count_sent(now, Some(place), sent.len());
        sent
    }

    /// Takes the peer's report; says what it changes.
    pub(super) fn take_report(&mut self, now: Instant, report: &Report, dropped: &mut Dropped) {
        let (taken, sample) = self.reports.take(now, report);
        if report.echo != 0 && taken != Taken::Stale {
            self.path.learn_how_it_hears_us(Duration::from_micros(report.since.into()));
        }
        match taken {
            Taken::Stale => dropped.report_stale += 1,
            Taken::Absurd => dropped.report_absurd += 1,
            Taken::First => self.path.time(self.reports.clock(now), report.sent),
            Taken::Next => {
                self.path.time(self.reports.clock(now), report.sent);
                let (scheduler, next) = (&mut self.scheduler, self.next_bps);
                let demand = || Demand { next, ..scheduler.demand(now) };
                self.estimator.take(now, &sample, self.reports.rtt(), demand);
                let (datagrams, missed) = (report.path.datagrams, report.path.missed);
                self.losses_out.take(now, datagrams, missed);
                let (_, lost) = self.losses_out.since(datagrams, missed);
                let share = if lost >= FEC_LOSSES_MIN { self.losses_out.share(datagrams, missed) } else { 0.0 };
                self.encoder.decide(self.reports.rtt(), share);
            }
        }
    }

    /// The report that goes out now.
    pub(super) fn report(&mut self, now: Instant) -> Message {
        // From now, not from when it was due: after a stall one report says all.
        self.report_at = now + if self.path.is_silent(now, self.reports.rtt()) { EVERY_SILENT } else { EVERY };
        let (missed, lost) = (self.missed_total(), self.lost_total());
        self.missed.take(now, self.path.datagrams(), missed);
        self.lost.take(now, self.path.datagrams(), lost);
        self.sent_bps = self.scheduler.sent_bps(now);
        let [audio, base, enhancement] = &self.receivers;
        let classes = [audio.report(), base.report(), enhancement.report(), self.received_again.report()];
        let path = self.path.report(missed);
        Message::Report(self.reports.make(now, classes, path))
    }

    /// Packets of the peer that the path lost, repaired or not; wraps.
    pub(super) fn missed_total(&self) -> u32 {
        let receivers = self.receivers.iter().chain([&self.received_again]);
        receivers.fold(0, |sum, receiver| sum.wrapping_add(receiver.missed()))
    }

    fn lost_total(&self) -> u32 {
        self.receivers.iter().map(Receiver::report).fold(0, |sum, ClassReport { lost, .. }| sum.wrapping_add(lost))
    }

    /// Whether a repair request is due, or something to be given up.
    pub(super) fn has_nacks(&self, now: Instant) -> bool {
        self.receivers.iter().any(|receiver| receiver.next_timeout().is_some_and(|at| at <= now))
    }

    /// Repair requests that are due, and how many packets are given up.
    pub(super) fn take_nacks(&mut self, now: Instant) -> (Vec<Message>, u64) {
        let (mut nacks, mut given_up) = (Vec::new(), 0);
        let rtt = self.reports.rtt();
        for (receiver, class) in self.receivers.iter_mut().zip(CLASSES) {
            let (due, lost) = receiver.take_due(now, rtt, deadline_of(class));
            given_up += lost;
            nacks.extend(nacks_of(class as u8, &due));
        }
        (nacks, given_up)
    }

    /// What QUIC is to be told, if it changed.
    pub(super) fn take_allowed(&mut self, now: Instant) -> Option<(u64, bool)> {
        let silent = self.path.is_silent(now, self.reports.rtt());
        let bps = self.estimator.allowed_bps();
        self.scheduler.set_rate(now, bps, silent);
        let is_news = |(told, was_silent): (f64, bool)| was_silent != silent || (told - bps).abs() > told * TOLD_STEP;
        if self.told.is_some_and(|told| !is_news(told)) {
            return None;
        }
        self.told = Some((bps, silent));
        Some((bps as u64, silent))
    }

    /// When something is due, but for the peer's silence.
    pub(super) fn due_at(&self) -> Instant {
        let receivers = self.receivers.iter().filter_map(Receiver::next_timeout);
        let others = [self.scheduler.next_timeout(), self.encoder.next_timeout()];
        receivers.chain(others.into_iter().flatten()).fold(self.report_at, Instant::min)
    }

    pub(super) fn metric(&self) -> LinkMetric {
        let datagrams = self.path.datagrams();
        let free = self.estimator.allowed_bps() - self.sent_bps;
        LinkMetric {
            rtt: self.reports.rtt(),
            jitter: self.path.jitter(),
            loss: self.missed.share(datagrams, self.missed_total()) as f32,
            lost: self.lost.share(datagrams, self.lost_total()) as f32,
            queue: self.scheduler.queue() + self.estimator.queue(),
            free_bps: if self.estimator.is_bounded() { free.max(0.0) as u64 } else { u64::MAX },
        }
    }
}

/// The place of a class among rings and receivers; link messages have none.
pub(super) fn place_of(class: Class) -> Option<usize> {
    (class as usize).checked_sub(1)
}

/// How old a packet may be when its repair comes.
pub(super) fn deadline_of(class: Class) -> Duration {
    if class == Class::Audio { AUDIO_DEADLINE } else { VIDEO_DEADLINE }
}
