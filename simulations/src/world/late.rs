//! Packets of a picture that did not come in time and may still come: a decoder goes on with them, late, and needs no
//! keyframe.

use std::collections::{BTreeSet, VecDeque};

/// How long a decoder waits beyond the time in which a picture is of use, ns: browsers wait longer.
const WAITS: u64 = 1_000_000_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Late {
    /// Numbers that came late, and are not settled yet.
    came: BTreeSet<u64>,
    /// Numbers that are missed, and until when they may come.
    awaited: VecDeque<(u64, u64)>,
}

impl Late {
    /// A packet came when it was no use any more.
    pub(super) fn come(&mut self, number: u64) {
        let before = self.awaited.len();
        self.awaited.retain(|(other, _)| *other != number);
        if self.awaited.len() == before {
            self.came.insert(number);
        }
    }

    /// A packet has not come in time, which was until `due`.
    pub(super) fn miss(&mut self, number: u64, due: u64) {
        if !self.came.remove(&number) {
            self.awaited.push_back((number, due + WAITS));
        }
    }

    /// How many packets will not come any more, and the last of them.
    pub(super) fn give_up(&mut self, now: u64) -> (u64, u64) {
        let mut lost = (0, 0);
        while let Some((number, _)) = self.awaited.front().copied().filter(|(_, until)| *until <= now) {
            self.awaited.pop_front();
            lost = (lost.0 + 1, number);
        }
        // What came after it was given up, or before the beginning.
        if self.awaited.is_empty() {
            self.came.clear();
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_not_lost_and_what_never_comes_is_once_its_time_is_over() {
        let mut late = Late::default();
        late.come(5);
        late.miss(5, 100);
        late.miss(6, 110);
        late.miss(7, 120);
        late.come(6);
        assert_eq!(late.give_up(119 + WAITS), (0, 0));
        assert_eq!(late.give_up(120 + WAITS), (1, 7));
        assert_eq!(late.give_up(200 + WAITS), (0, 0));
    }
}
