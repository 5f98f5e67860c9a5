//! How often this node has left a parent, why, and for how long nothing came meanwhile.

use std::time::Duration;

/// Why a parent was left against the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The link is gone.
    Down,
    /// Its media connection was silent for 300 ms.
    Silent,
    /// It was silent for 150 ms, and the next one was faster.
    Suspect,
    /// It refused a layer.
    Refused,
    /// It did not answer.
    Unanswered,
    /// It lies behind this node.
    Loop,
    /// It did not pass on what the origin sent.
    Gray,
}

/// All reasons with their labels, in the order of the counts.
const WHYS: [(Why, &str); 7] = [
    (Why::Down, "link down"),
    (Why::Silent, "silent"),
    (Why::Suspect, "suspect"),
    (Why::Refused, "refused"),
    (Why::Unanswered, "no answer"),
    (Why::Loop, "loop"),
    (Why::Gray, "gray"),
];
/// Upper ends of the classes of gaps, with their labels; longer ones come last.
const GAPS: [(Duration, &str); 6] = [
    (Duration::from_millis(100), "0.1"),
    (Duration::from_millis(250), "0.25"),
    (Duration::from_millis(450), "0.45"),
    (Duration::from_millis(700), "0.7"),
    (Duration::from_millis(1000), "1"),
    (Duration::MAX, "+Inf"),
];

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rescues {
    left: [u64; WHYS.len()],
    gaps: [u64; GAPS.len()],
    gap_sum: Duration,
}

impl Rescues {
    pub(super) fn leave(&mut self, why: Why) {
        if let Some(place) = WHYS.iter().position(|(other, _)| *other == why) {
            self.left[place] += 1;
        }
    }

    /// A layer comes again, from another parent.
    pub(super) fn come_again(&mut self, gap: Duration) {
        if let Some(place) = GAPS.iter().position(|(most, _)| gap <= *most) {
            self.gaps[place] += 1;
        }
        self.gap_sum += gap;
    }

    /// How often a parent was left, by the label of the reason.
    pub fn left(&self) -> impl Iterator<Item = (&'static str, u64)> {
        WHYS.iter().zip(self.left).map(|((_, label), count)| (*label, count))
    }

    /// How many gaps were no longer than the label says, in seconds, and longer than the one before.
    pub fn gaps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        GAPS.iter().zip(self.gaps).map(|((_, label), count)| (*label, count))
    }

    /// All gaps together.
    pub fn gap_sum(&self) -> Duration {
        self.gap_sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_gaps_are_counted_in_their_classes() {
        let mut rescues = Rescues::default();
        rescues.leave(Why::Gray);
        for ms in [100, 101, 5000] {
            rescues.come_again(Duration::from_millis(ms));
        }
        assert_eq!(rescues.left().filter(|(_, count)| *count > 0).collect::<Vec<_>>(), [("gray", 1)]);
        let gaps: Vec<_> = rescues.gaps().filter(|(_, count)| *count > 0).collect();
        assert_eq!(gaps, [("0.1", 1), ("0.25", 1), ("+Inf", 1)]);
        assert_eq!(rescues.gap_sum(), Duration::from_millis(5201));
    }
}
