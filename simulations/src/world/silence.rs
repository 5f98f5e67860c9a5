//! When links held back what they had to send, since their peers could not be heard.

use std::collections::BTreeMap;

/// By path: from when until when, the newest last; without an end while it lasts.
#[derive(Debug, Default)]
pub(super) struct Silences(BTreeMap<usize, Vec<(u64, Option<u64>)>>);

impl Silences {
    /// A link says whether it is silent.
    pub(super) fn note(&mut self, path: usize, silent: bool, now: u64) {
        let lasting = self.0.get_mut(&path).and_then(|silences| silences.last_mut()).filter(|(_, end)| end.is_none());
        match (lasting, silent) {
            (Some((_, end)), false) => *end = Some(now),
            (None, true) => self.0.entry(path).or_default().push((now, None)),
            _ => {}
        }
    }

    /// How much of the time between two instants a link was silent, ns.
    pub(super) fn within(&self, path: usize, since: u64, until: u64) -> u64 {
        let silences = self.0.get(&path).map_or(&[][..], Vec::as_slice);
        let part =
            |(begin, end): &(u64, Option<u64>)| end.unwrap_or(until).min(until).saturating_sub((*begin).max(since));
        silences.iter().rev().map(part).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_what_lies_between_the_two_instants() {
        let mut silences = Silences::default();
        for (silent, now) in [(false, 5), (true, 10), (true, 12), (false, 20), (false, 21), (true, 30)] {
            silences.note(7, silent, now);
        }
        assert_eq!(silences.within(7, 0, 40), 20);
        assert_eq!(silences.within(7, 15, 35), 10);
        assert_eq!((silences.within(7, 20, 30), silences.within(8, 0, 40)), (0, 0));
    }
}
