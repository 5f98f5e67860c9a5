//! RTP numbers of an outgoing stream: what is left out leaves no gap, what is missing stays one, and what comes late
//! gets the number that was kept for it.

use origo_cascade_core::link::Packet;

use super::cut::Choice;

/// Changes that are remembered: two seconds of a stream in which every picture loses a layer.
const RUNS: usize = 64;
/// Choices that are remembered; they change rarely.
const CHOICES: usize = 8;

/// What is taken of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Its layers.
    pub choice: Choice,
    /// Added to VP8 picture ids, wrapping.
    pub picture: u16,
}

/// Numbers of a source that are shifted alike, from `first` to the next run.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    first: u64,
    /// Added to the source's numbers, wrapping.
    shift: u64,
    /// Added to VP8 picture ids, wrapping.
    picture: u16,
}

/// What was taken from a picture on.
#[derive(Clone, Copy, Debug, Default)]
struct Since {
    first: u64,
    /// Timestamp of the picture: packets of it may come before `first`.
    time: u32,
    choice: Choice,
}

/// A packet's numbers at the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// RTP number, extended.
    pub number: u64,
    /// RTP timestamp.
    pub time: u32,
    /// Numbers before it that an earlier hop left out.
    pub skipped: u16,
}

impl Source {
    /// The numbers of a packet.
    pub fn of(packet: &Packet) -> Self {
        Self { number: packet.sequence, time: packet.timestamp, skipped: packet.skipped }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// Above all numbers of the source so far.
    next: u64,
    runs: Recent<Run, RUNS>,
    choices: Choices,
}

/// What was taken of a source lately.
#[derive(Debug)]
pub(crate) struct Choices(Recent<Since, CHOICES>);

impl Default for Choices {
    fn default() -> Self {
        Self(Recent::new())
    }
}

impl Choices {
    /// What is taken from the newest packet on.
    pub fn note(&mut self, source: Source, choice: Choice) {
        if self.0.held == 0 || self.0.newest().choice != choice {
            self.0.push(Since { first: source.number, time: source.time, choice });
        }
    }

    /// What was taken of the picture of a packet that comes late. The choice may have changed with its picture, at a
    /// packet behind it.
    pub fn at(&self, source: Source) -> Option<Choice> {
        let of_it = |since: &Since| since.time == source.time || since.first <= source.number;
        self.0.iter().find(of_it).map(|since| since.choice)
    }
}

/// The last few of something.
#[derive(Debug)]
struct Recent<T, const N: usize> {
    places: [T; N],
    newest: usize,
    held: usize,
}

impl<T: Copy + Default, const N: usize> Recent<T, N> {
    fn new() -> Self {
        Self { places: [T::default(); N], newest: 0, held: 0 }
    }

    fn push(&mut self, value: T) {
        self.newest = (self.newest + 1) % N;
        self.places[self.newest] = value;
        self.held = (self.held + 1).min(N);
    }

    fn newest(&mut self) -> &mut T {
        &mut self.places[self.newest]
    }

    /// The newest first.
    fn iter(&self) -> impl Iterator<Item = T> {
        (0..self.held).map(|back| self.places[(self.newest + N - back) % N])
    }
}

impl Numbers {
    /// Nothing was sent.
    pub fn new() -> Self {
        Self { next: 0, runs: Recent::new(), choices: Choices::default() }
    }

    /// The source's packet will leave as number `sent`; what is older belongs to another source.
    pub fn begin(&mut self, source: Source, sent: u64, taken: Taken) {
        *self = Self { next: source.number, ..Self::new() };
        self.runs.push(Run { first: source.number, shift: sent.wrapping_sub(source.number), picture: taken.picture });
        self.choices.note(source, taken.choice);
    }

    /// Whether a number is above all before.
    pub fn is_newest(&self, number: u64) -> bool {
        number >= self.next
    }

    /// How far a number is from the newest.
    pub fn distance(&self, number: u64) -> u64 {
        number.abs_diff(self.next)
    }

    /// The number with which the newest packet leaves.
    pub fn send(&mut self, source: Source, taken: Taken) -> u64 {
        let shift = self.pass(source);
        self.open(Run { first: source.number, shift, picture: taken.picture });
        self.choices.note(source, taken.choice);
        source.number.wrapping_add(shift)
    }

    /// The newest packet is left out.
    pub fn leave_out(&mut self, source: Source, taken: Taken) {
        let shift = self.pass(source).wrapping_sub(1);
        let first = source.number + 1;
        // Numbers that were missing until now keep theirs; this one has none.
        let newest = self.runs.newest();
        if newest.first == source.number {
            newest.first = first;
        }
        self.open(Run { first, shift, picture: taken.picture });
        self.choices.note(source, taken.choice);
    }

    /// For a packet that comes late: the number that was kept for it, and what was taken of its picture. None when it
    /// is from before this source, or forgotten.
    pub fn late(&self, source: Source) -> Option<(u64, Taken)> {
        let run = self.runs.iter().find(|run| run.first <= source.number)?;
        let choice = self.choices.at(source)?;
        Some((source.number.wrapping_add(run.shift), Taken { choice, picture: run.picture }))
    }

    /// Goes on to a number; gives how far it is shifted.
    fn pass(&mut self, source: Source) -> u64 {
        let gap = source.number.saturating_sub(self.next);
        self.next = source.number + 1;
        self.runs.newest().shift.wrapping_sub(gap.min(source.skipped.into()))
    }

    fn open(&mut self, run: Run) {
        let newest = self.runs.newest();
        if newest.first == run.first {
            *newest = run;
        } else if (newest.shift, newest.picture) != (run.shift, run.picture) {
            self.runs.push(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: Taken = Taken { choice: Choice { spatial: 2, temporal: 7 }, picture: 0 };

    fn source(number: u64) -> Source {
        Source { number, time: number as u32 / 2, skipped: 0 }
    }

    fn begun(number: u64) -> Numbers {
        let mut numbers = Numbers::new();
        numbers.begin(source(number), 1, ALL);
        numbers
    }

    #[test]
    fn what_is_left_out_leaves_no_gap_and_what_is_missing_does() {
        let mut numbers = begun(100);
        assert_eq!(numbers.send(source(100), ALL), 1);
        numbers.leave_out(source(101), ALL);
        numbers.leave_out(source(102), ALL);
        assert_eq!(numbers.send(source(103), ALL), 2);
        assert_eq!(numbers.send(source(105), ALL), 4, "104 is missing");
        assert_eq!(numbers.send(Source { skipped: 3, ..source(109) }, ALL), 5, "an earlier hop left three out");
        assert_eq!(numbers.late(source(104)).unwrap().0, 3);
    }

    #[test]
    fn a_late_packet_between_two_that_were_left_out_gets_its_own_number() {
        let mut numbers = begun(1);
        numbers.send(source(1), ALL);
        numbers.leave_out(source(2), ALL);
        // 3 is late.
        numbers.leave_out(source(4), ALL);
        assert_eq!(numbers.send(source(5), ALL), 3);
        assert_eq!(numbers.late(source(3)).unwrap().0, 2);
        assert!(numbers.late(source(0)).is_none());
    }

    #[test]
    fn a_late_packet_of_the_picture_with_which_the_choice_changed_is_judged_by_the_new_choice() {
        let low = Taken { choice: Choice::default(), picture: 0 };
        let mut numbers = begun(1);
        numbers.send(source(1), ALL);
        // 2 is late; it belongs to the same picture as 3, with which upper layers are no longer taken.
        numbers.leave_out(source(3), low);
        assert_eq!(numbers.late(source(2)), Some((2, low)));
        // The next picture takes the place of what is remembered of numbers, not of choices.
        numbers.send(source(4), low);
        assert_eq!(numbers.late(source(2)), Some((2, low)));
        let of_the_old_picture = Source { time: 0, ..source(2) };
        assert_eq!(numbers.late(of_the_old_picture), Some((2, ALL)));
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let mut numbers = begun(0);
        for number in 0..200 {
            if number % 2 == 0 {
                numbers.send(source(number), ALL);
            } else {
                numbers.leave_out(source(number), ALL);
            }
        }
        assert!(numbers.late(source(2)).is_none());
        assert!(numbers.late(source(198)).is_some());
    }

    proptest! {
        /// Packets come in any order within a window; some are left out. Whatever comes, no number is used twice and
        /// numbers keep the order of the source.
        #[test]
        fn no_number_is_used_twice(kinds in proptest::collection::vec((any::<bool>(), 0..6_u64), 1..200)) {
            let mut order: Vec<(u64, u64)> = (0..).zip(&kinds).map(|(at, (_, delay))| (at + delay, at)).collect();
            order.sort_unstable();
            let mut numbers = begun(order[0].1);
            let mut sent = std::collections::BTreeMap::new();
            for (_, at) in order {
                let number = match (numbers.is_newest(at), kinds[at as usize].0) {
                    (true, true) => numbers.send(source(at), ALL),
                    (true, false) => {
                        numbers.leave_out(source(at), ALL);
                        continue;
                    }
                    (false, _) => match numbers.late(source(at)) {
                        Some((number, _)) => number,
                        None => continue,
                    },
                };
                prop_assert!(sent.insert(at, number).is_none());
            }
            let numbers: Vec<u64> = sent.into_values().collect();
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        }
    }
}
