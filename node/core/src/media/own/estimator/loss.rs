//! Which loss is ours: what a way loses however little is sent is borne, what comes of too much is not.
//!
//! A policer drops without a queue, and radio loses at random. They differ in what happens when less is sent: so the
//! loss at which the rate was lowered is remembered, and when as much is lost long after, it is the way's own.

/// Loss below this is nobody's fault, in thousandths.
const CALM: u32 = 20;
/// Loss above this, over what the way loses by itself, is too much (draft-ietf-rmcat-gcc-02 6).
const HIGH: u32 = 100;
/// The same where loss was too much before: a policer is met from below.
const HIGH_AGAIN: u32 = 30;
/// A round is judged when it has so many packets and is that old.
const ROUND_PACKETS: u32 = 20;
const ROUND_US: u64 = 200_000;
/// Packets of the rounds that count together, beyond which older ones fade.
const FADES: u32 = 100;
/// What was asked by sending less is answered after this long.
const ANSWER_US: u64 = 1_000_000;
/// Before that the rate is not lowered again for this long: a round trip, and some rounds to count anew.
const AGAIN_US: u64 = 600_000;
/// So long after that packets may still leave as before.
const SHOWS_US: u64 = 100_000;
/// The rate has to be lower by this much, in percent, for an answer.
const LESS_PERCENT: u64 = 85;
/// For how long loss is taken for the way's own before it is asked about again.
const OWN_US: u64 = 30_000_000;

/// What a round says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Next to nothing is lost.
    Calm,
    /// Something is lost; nothing follows from it.
    Borne,
    /// Too much is sent.
    TooMuch,
    /// What was taken for ours was not: so many bits per second were fine.
    NotOurs(u64),
}

/// The loss of one way.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss {
    /// Of late: all, and lost.
    told: u32,
    lost: u32,
    /// The same in this round.
    round: (u32, u32),
    round_at_us: u64,
    /// What the way loses by itself, in thousandths, and until when that is believed.
    own: Option<(u32, u64)>,
    /// The rate was lowered: when, at which loss, and what was sent.
    asked: Option<(u64, u32, u64)>,
    /// When it was last lowered.
    lowered_us: u64,
}

impl Loss {
    /// A packet was told of. One that left before the rate was lowered says nothing more.
    pub fn note(&mut self, sent_us: u64, lost: bool) {
        if self.asked.is_some() && sent_us < self.lowered_us + SHOWS_US {
            return;
        }
        self.round.0 += 1;
        self.round.1 += u32::from(lost);
    }

    /// A packet that was told to be lost came.
    pub fn found(&mut self) {
        self.round.0 = self.round.0.saturating_sub(1);
        self.round.1 = self.round.1.saturating_sub(1);
    }

    /// Lost of late, in thousandths.
    pub fn share(&self) -> u32 {
        (self.lost * 1_000).checked_div(self.told).unwrap_or(0)
    }

    /// Whether next to nothing is lost, but for what the way loses by itself.
    pub fn is_calm(&self) -> bool {
        self.share() <= CALM + self.own.map_or(0, |(own, _)| own)
    }

    /// Judges what was told since the last time, if that is enough. `sent_bps` is what goes.
    pub fn judge(&mut self, now_us: u64, sent_bps: u64) -> Option<Verdict> {
        if self.round.0 < ROUND_PACKETS || now_us.saturating_sub(self.round_at_us) < ROUND_US {
            return None;
        }
        let (told, lost) = std::mem::take(&mut self.round);
        self.round_at_us = now_us;
        self.told += told;
        self.lost += lost;
        if self.told > FADES {
            let keep = |count: u32| (u64::from(count) * u64::from(FADES) / u64::from(self.told.max(1))) as u32;
            (self.told, self.lost) = (FADES, keep(self.lost));
        }
        self.own = self.own.filter(|(_, until_us)| now_us < *until_us);
        if let Some(verdict) = self.answer(now_us, sent_bps) {
            return Some(verdict);
        }
        let own = self.own.map_or(0, |(own, _)| own);
        let high = if self.asked.is_some() { HIGH_AGAIN } else { HIGH };
        // What chance explains is not held against anyone: one deviation less than was counted.
        let certain = (f64::from(self.lost) - f64::from(self.lost).sqrt()) * 1_000.0 / f64::from(self.told.max(1));
        let may_lower = self.asked.is_none() || now_us.saturating_sub(self.lowered_us) >= AGAIN_US;
        Some(if may_lower && self.lost > 3 && certain > f64::from(high + own) {
            if self.asked.is_none() {
                self.asked = Some((now_us, self.share(), sent_bps));
            }
            (self.told, self.lost, self.lowered_us) = (0, 0, now_us);
            Verdict::TooMuch
        } else if self.is_calm() {
            Verdict::Calm
        } else {
            Verdict::Borne
        })
    }

    fn answer(&mut self, now_us: u64, sent_bps: u64) -> Option<Verdict> {
        let (at_us, share, before_bps) = self.asked?;
        let is_less = sent_bps * 100 < before_bps * LESS_PERCENT;
        if !is_less || now_us.saturating_sub(at_us) < ANSWER_US || self.told < ROUND_PACKETS * 2 {
            // After so long the way is another one.
            if now_us.saturating_sub(at_us) > OWN_US {
                self.asked = None;
            }
            return None;
        }
        let now = self.share();
        if now * 10 < share * 6 {
            return None;
        }
        self.own = Some((now, now_us + OWN_US));
        self.asked = None;
        Some(Verdict::NotOurs(before_bps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells of 20 packets each 200 ms of which `lost(sent)` thousandths are lost, while the rate follows the verdicts.
    fn run(seconds: u64, mut sent_bps: u64, lost: impl Fn(u64) -> f64) -> (u64, Vec<Verdict>) {
        let (mut loss, mut verdicts, mut owed) = (Loss::default(), Vec::new(), 0.0);
        for round in 1..=seconds * 5 {
            for _ in 0..20 {
                owed += lost(sent_bps) / 1_000.0;
                let is_lost = owed >= 1.0;
                owed -= f64::from(u8::from(is_lost));
                loss.note(round * ROUND_US, is_lost);
            }
            let Some(verdict) = loss.judge(round * ROUND_US, sent_bps) else { continue };
            match verdict {
                Verdict::TooMuch => sent_bps = sent_bps * 8 / 10,
                Verdict::NotOurs(bps) => sent_bps = bps,
                Verdict::Calm | Verdict::Borne => {}
            }
            verdicts.push(verdict);
        }
        (sent_bps, verdicts)
    }

    #[test]
    fn loss_at_random_is_borne() {
        for thousandths in [10.0, 50.0, 80.0] {
            let (sent_bps, verdicts) = run(30, 1_000_000, |_| thousandths);
            assert_eq!(sent_bps, 1_000_000, "{thousandths}: {verdicts:?}");
        }
    }

    #[test]
    fn what_is_lost_however_little_is_sent_is_the_ways_own() {
        let (sent_bps, verdicts) = run(20, 1_000_000, |_| 200.0);
        assert!(verdicts.contains(&Verdict::TooMuch) && verdicts.contains(&Verdict::NotOurs(1_000_000)));
        assert_eq!(sent_bps, 1_000_000);
    }

    #[test]
    fn a_policer_is_obeyed() {
        let policed = |sent: u64| (1_000.0 - 600_000.0 * 1_000.0 / sent as f64).max(0.0);
        let (sent_bps, verdicts) = run(10, 1_000_000, policed);
        assert!((480_000..=640_000).contains(&sent_bps), "{sent_bps}: {verdicts:?}");
        assert!(!verdicts.iter().any(|verdict| matches!(verdict, Verdict::NotOurs(_))));
    }
}
