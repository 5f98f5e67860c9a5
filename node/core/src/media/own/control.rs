//! What is said and heard in RTCP: of what we send, and of what came.

use std::time::{Duration, Instant};

use super::feedback::{self, Feedback};
use super::report::{self, Asked};
use super::{Again, Incoming, Own, Taken};
use crate::media::demux::Source;
use crate::media::egress::Outbox;
use crate::media::own::Ids;

/// How often what is sent is reported on, and how soon after a stream was agreed on: by then its first packets have left.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
pub(super) const FIRST_REPORT: Duration = Duration::from_millis(300);
/// So much is said in one packet of what came, before what is added last.
const SAID_BYTES: usize = 700;
/// An SSRC to speak under where we send nothing.
const NOBODY: u32 = 1;

/// What a client said in one RTCP packet.
#[derive(Debug, Default)]
pub(in crate::media) struct Heard {
    /// Packets to be sent again.
    pub again: Vec<Again>,
    /// Streams that need a keyframe.
    pub keyframes: Vec<u32>,
    /// NACKs in it.
    pub nacks: u64,
    /// Told of packets that were never sent, or told twice.
    pub idle: u32,
    /// str0m has to see it too.
    pub more: bool,
}

/// The most that one RTCP packet may set off.
const AGAIN_MAX: usize = 512;
const KEYFRAMES_MAX: usize = 32;
const TIMES_MAX: usize = 8;

impl Own {
    /// Takes the client's RTCP from `source`; none when it is forged or came before. It is opened in `space`, which is
    /// reused.
    pub fn hear(&mut self, now: Instant, source: Source, sealed: &[u8], space: &mut Vec<u8>) -> Option<Heard> {
        let plain = self.opener.open(sealed, space)?;
        // Nobody else can have made it, and it has not come before: the client is there now.
        self.destination = Some(source);
        let now_us = self.at_us(now);
        let now_ms = now_us / 1_000;
        let mut heard = Heard::default();
        let Self { streams, history, estimator, pacer, times, rtt, estimates, share, intake, .. } = self;
        feedback::read(plain, |feedback| match feedback {
            Feedback::Nack(ssrc, numbers) => {
                let Some(flow) = streams.iter_mut().find(|flow| flow.terms.ssrc == ssrc) else { return };
                heard.nacks += 1;
                let rtt = history.rtt_us().map(Duration::from_micros);
                let room = AGAIN_MAX - heard.again.len();
                let is_full = share.is_full();
                heard.again.extend(numbers.filter_map(|number| flow.asked(number, now_ms, rtt, is_full)).take(room));
            }
            Feedback::Transport(report) => {
                heard.idle += history.take(now_us, report, |told| {
                    if *estimates {
                        estimator.told(told);
                    }
                });
                if *estimates {
                    estimator.judge(now_us, history.rtt_us());
                    share.set_full(estimator.is_full());
                }
            }
            Feedback::Keyframe(ssrc) => {
                if heard.keyframes.len() < KEYFRAMES_MAX && !heard.keyframes.contains(&ssrc) {
                    heard.keyframes.push(ssrc);
                }
            }
            Feedback::Report(report) => {
                for flow in streams.iter_mut() {
                    let repair = flow.terms.repair.map(|(ssrc, _)| ssrc);
                    flow.bound[0] |= report.ssrc == flow.terms.ssrc;
                    flow.bound[1] |= Some(report.ssrc) == repair;
                    *rtt = flow.reported(now, &report).or(*rtt);
                }
                estimator.report(now_us, report.lost);
            }
            // What the client takes its way to carry: bursts leave at a pace that it bears.
            Feedback::Bound(bps) => {
                estimator.bound(now_us, bps);
                pacer.set_estimate(Some(bps));
            }
            Feedback::Time(ssrc, time) => {
                if times.len() < TIMES_MAX {
                    times.push((ssrc, time, now));
                }
            }
            Feedback::Since(middle, since) => intake.answered(now, middle, since),
            Feedback::Other => heard.more = true,
        });
        Some(heard)
    }

    /// Puts right and seals anew an RTCP packet that str0m sealed; empty when nothing of it is left to be said, none when
    /// that is not what it is. `now` is when str0m made it.
    pub fn say(&mut self, now: Instant, sealed: &[u8]) -> Option<Vec<u8>> {
        let plain = self.control.open(sealed)?;
        let Self { streams, intake, .. } = self;
        let sum = |ssrc, middle| {
            let flow = streams.iter_mut().find(|flow| flow.terms.ssrc == ssrc)?;
            flow.sum(now, middle)
        };
        let mut right = report::put_right(&plain, sum, |ssrc| intake.received(ssrc));
        if right.is_empty() {
            return Some(right);
        }
        feedback::read(&right, |said| {
            if let Feedback::Time(_, middle) = said {
                intake.tell_time(middle, now);
            }
        });
        let since = |at| (now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000) as u32;
        let asked = self.times.drain(..).map(|(ssrc, time, at)| Asked { ssrc, time, since: since(at) });
        report::answer(&mut right, feedback::word(&plain, 4), asked);
        self.control.seal(&mut right).then_some(right)
    }

    /// Says what is due of what came: when, and what is missing. What is said is made in `space`, which is reused. Gives how
    /// many NACKs that were.
    pub fn acknowledge(&mut self, now: Instant, outbox: &mut Outbox, space: &mut Vec<u8>) -> u64 {
        let Some(destination) = self.destination.filter(|_| self.said_at(now).is_some_and(|at| at <= now)) else {
            return 0;
        };
        let sender = self.streams.first().map_or(NOBODY, |flow| flow.terms.ssrc);
        let mut nacks = 0;
        loop {
            space.clear();
            while space.len() < SAID_BYTES
                && let Some(said) = self.intake.say(now, sender, space)
            {
                nacks += said;
            }
            if space.is_empty() || !self.control.seal(space) {
                return nacks;
            }
            outbox.push(destination, space);
        }
    }

    /// When to [`Self::acknowledge`]; none while nothing came of which there is something to say.
    pub fn said_at(&self, now: Instant) -> Option<Instant> {
        self.intake.due(now)
    }

    /// Takes RTP; it is opened in `space`, which is reused.
    pub fn take(&mut self, now: Instant, datagram: &[u8], space: &mut Vec<u8>) -> Taken {
        let at_us = self.at_us(now);
        self.intake.take(now, at_us, datagram, space)
    }

    /// A stream of the client's is known, or known better.
    pub fn expect(&mut self, incoming: Incoming) {
        self.intake.expect(incoming);
    }

    /// The SSRC under which the repetitions of one come is known.
    pub fn expect_repair(&mut self, ssrc: u32, repair: u32) {
        self.intake.expect_repair(ssrc, repair);
    }

    /// Totals of what came.
    pub fn came(&mut self) -> super::intake::Totals {
        self.intake.totals()
    }

    /// What was agreed on for all of the client's streams: see [`Intake::agree`](super::intake::Intake::agree).
    pub fn agree(&mut self, ids: Ids, repair_types: Vec<(u8, u8)>) {
        self.intake.agree(ids, repair_types);
    }

    /// SSRCs of the client's streams that are known.
    pub fn incoming(&self) -> Vec<u32> {
        self.intake.known().collect()
    }

    /// Whether to leave unasked what is missing of one of the client's streams.
    pub fn spare(&mut self, ssrc: u32, spare: bool) {
        self.intake.spare(ssrc, spare);
    }

    /// When to [`Self::report`]; none while there is nothing to report on.
    pub fn report_at(&mut self, now: Instant) -> Option<Instant> {
        if self.streams.is_empty() {
            self.report_at = None;
            return None;
        }
        Some(*self.report_at.get_or_insert(now + FIRST_REPORT))
    }

    /// Reports on all streams on which something was sent, if it is time to, `ntp` being the time of day. Reports are made in
    /// `space`, which is reused.
    pub fn report(&mut self, now: Instant, ntp: u64, outbox: &mut Outbox, space: &mut Vec<u8>) {
        if self.report_at.is_none_or(|at| at > now) {
            return;
        }
        self.report_at = Some(now + REPORT_INTERVAL);
        let Some(destination) = self.destination else { return };
        let since = |at| (now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000) as u32;
        let mut left = &mut self.streams[..];
        while !left.is_empty() {
            let fit = report::fit(left.iter().map(|flow| flow.name.len()));
            let (flows, others) = std::mem::take(&mut left).split_at_mut(fit);
            left = others;
            space.clear();
            for flow in &mut *flows {
                if let Some(sum) = flow.sum(now, (ntp >> 16) as u32) {
                    report::tell(space, flow.terms.ssrc, ntp, &sum);
                }
            }
            if space.is_empty() {
                continue;
            }
            let told = flows.iter().filter(|flow| flow.has_begun());
            report::name(space, told.map(|flow| (flow.terms.ssrc, &flow.name[..])));
            let sender = feedback::word(space, 4);
            let asked = self.times.drain(..).map(|(ssrc, time, at)| Asked { ssrc, time, since: since(at) });
            report::answer(space, sender, asked);
            if self.control.seal(space) {
                outbox.push(destination, space);
            }
        }
    }
}
