//! Tells from what comes of a node whether to doubt that it lives. `pulse.ts` of `@origo/client` does the same.

use std::collections::VecDeque;
use std::time::Duration;

/// Time between two looks.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Looks that are remembered.
const REMEMBERED: usize = 50;
/// A node is doubted only if something came between so many of these.
const LIVELY: usize = 10;
/// It is doubted after so many looks at which nothing had come, at least: pictures come each 40 ms, sound each 20 ms, and
/// reports of what we send each 100 ms.
const PATIENCE_MIN: usize = 3;
/// And after so many at most, if nothing is usual.
const PATIENCE_MAX: usize = 30;

/// See the module.
///
/// What it takes for silence depends on the pauses that were usual before, so that a room where only pauses
/// of speech are heard is no dead one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse {
    /// Of the last looks, the oldest first, whether something had come.
    looks: VecDeque<bool>,
    /// Looks since something came.
    silent: usize,
    /// The next doubt comes after so many.
    doubts_at: usize,
}

impl Pulse {
    /// Each [`TICK`]: whether something came since the last look. Says whether the node is to be doubted now; while the
    /// silence lasts it says so again, more and more rarely.
    pub(crate) fn look(&mut self, came: bool) -> bool {
        if came {
            // Before anything came there was no silence.
            let silent = if self.looks.is_empty() { 0 } else { self.silent.min(REMEMBERED) };
            (0..silent).for_each(|_| self.remember(false));
            self.remember(true);
            (self.silent, self.doubts_at) = (0, self.patience());
            return false;
        }
        self.silent += 1;
        if self.silent < self.doubts_at || !self.is_lively() {
            return false;
        }
        self.doubts_at = self.silent + self.silent.min(PATIENCE_MAX);
        true
    }

    fn remember(&mut self, came: bool) {
        if self.looks.len() == REMEMBERED {
            self.looks.pop_front();
        }
        self.looks.push_back(came);
    }

    fn is_lively(&self) -> bool {
        self.looks.iter().filter(|came| **came).count() >= LIVELY
    }

    /// Since when nothing has come, roughly.
    pub(crate) fn silence(&self) -> Duration {
        TICK * u32::try_from(self.silent).unwrap_or(u32::MAX)
    }

    /// Twice the longest pause that is remembered but for one: what is usual happens more than once.
    fn patience(&self) -> usize {
        let (mut run, mut longest, mut usual) = (0, 0, 0);
        for came in self.looks.iter().chain([&true]) {
            if !came {
                run += 1;
                continue;
            }
            (longest, usual) = (run.max(longest), run.min(longest).max(usual));
            run = 0;
        }
        (2 * usual).clamp(PATIENCE_MIN, PATIENCE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks as a text, `x` where something came; the places at which the node is doubted.
    fn doubts(looks: &str) -> Vec<usize> {
        let mut pulse = Pulse::default();
        looks.char_indices().filter(|(_, look)| pulse.look(*look == 'x')).map(|(at, _)| at).collect()
    }

    #[test]
    fn a_node_that_falls_silent_is_doubted_after_three_looks_and_then_more_and_more_rarely() {
        assert_eq!(doubts("xxxxxxxxxx.............."), [12, 15, 21]);
    }

    #[test]
    fn a_node_of_which_hardly_anything_has_come_is_not_doubted() {
        assert!(doubts("xxxxxxxxx...............").is_empty());
    }

    #[test]
    fn pauses_that_come_again_and_again_are_no_silence() {
        let speech = "x...".repeat(12);
        assert_eq!(doubts(&format!("xxxxxxxxxx..{speech}......")), [15, 62]);
        assert!(doubts(&"x..".repeat(40)).is_empty(), "twice two looks");
    }

    #[test]
    fn two_silences_that_were_none_make_it_more_patient_for_a_while() {
        let calm = "x".repeat(50);
        assert_eq!(doubts(&format!("{calm}....x.......x..............")), [52, 57, 60, 70]);
        assert_eq!(doubts(&format!("{calm}....x....{calm}...")), [52, 57, 111], "and forgets");
    }
}
