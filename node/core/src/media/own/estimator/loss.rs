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
    /// The rate was lowered for the first time, or again after that had helped.
    asked: Option<Asked>,
    /// When it was last lowered.
    lowered_us: u64,
}

/// What was asked by sending less.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at_us: u64,
    /// What was lost then, in thousandths, and what was sent.
    share: u32,
    sent_bps: u64,
    /// Less was lost. What is lost later, such as by a look for more, is no answer to this any more.
    helped: bool,
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
            if self.asked.is_none_or(|asked| asked.helped) {
                self.asked = Some(Asked { at_us: now_us, share: self.share(), sent_bps, helped: false });
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
        let asked = self.asked.as_mut()?;
        let is_less = sent_bps * 100 < asked.sent_bps * LESS_PERCENT;
        let is_early = now_us.saturating_sub(asked.at_us) < ANSWER_US;
        if asked.helped || !is_less || is_early || self.told < ROUND_PACKETS * 2 {
            // After so long the way is another one.
            if now_us.saturating_sub(asked.at_us) > OWN_US {
                self.asked = None;
            }
            return None;
        }
        let (now, before_bps) = ((self.lost * 1_000) / self.told, asked.sent_bps);
        if now * 10 < asked.share * 6 {
            asked.helped = true;
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
    fn what_a_look_loses_long_after_less_has_helped_is_not_the_ways_own() {
        let mut loss = Loss::default();
        let mut verdicts = Vec::new();
        // Too much, then 20 s of what passes, then a look: what leaves on average is less than at first, and much is lost.
        for (rounds, lost, sent_bps) in [(5, 8, 1_300_000), (100, 0, 400_000), (15, 8, 1_000_000)] {
            let from = verdicts.len() as u64;
            for round in from + 1..=from + rounds {
                (0..20).for_each(|number| loss.note(round * ROUND_US, number < lost));
                verdicts.push(loss.judge(round * ROUND_US, sent_bps).unwrap_or(Verdict::Borne));
            }
        }
        assert!(!verdicts.iter().any(|verdict| matches!(verdict, Verdict::NotOurs(_))), "{verdicts:?}");
        assert!(verdicts[105..].contains(&Verdict::TooMuch), "{:?}", &verdicts[105..]);
    }

    #[test]
    fn a_policer_is_obeyed() {
        let policed = |sent: u64| (1_000.0 - 600_000.0 * 1_000.0 / sent as f64).max(0.0);
        let (sent_bps, verdicts) = run(10, 1_000_000, policed);
        assert!((480_000..=640_000).contains(&sent_bps), "{sent_bps}: {verdicts:?}");
        assert!(!verdicts.iter().any(|verdict| matches!(verdict, Verdict::NotOurs(_))));
    }
}
