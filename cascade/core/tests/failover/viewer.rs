//! What people on a node get of a layer: when packets came, and which are missing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Default)]
pub struct Viewer {
    arrivals: Vec<(Instant, u64)>,
    numbers: BTreeSet<u64>,
    /// Numbers of first packets of keyframes.
    pub keys: BTreeSet<u64>,
}

impl Viewer {
    /// A packet came.
    pub fn take(&mut self, now: Instant, number: u64, key: bool) {
        assert!(self.numbers.insert(number), "{number} came twice");
        self.arrivals.push((now, number));
        if key {
            self.keys.insert(number);
        }
    }

    /// The longest time without a packet that lies in the span, at least in part.
    pub fn gap(&self, from: Instant, until: Instant) -> Duration {
        let times = self.arrivals.iter().map(|(at, _)| *at).chain([until]);
        let (mut last, mut longest) = (None, Duration::ZERO);
        for at in times {
            if let Some(last) = last
                && at > from
                && last < until
            {
                longest = longest.max(at - last);
            }
            last = Some(at);
        }
        longest
    }

    /// Numbers that never came, of those between the first and the last that came until then.
    pub fn missing(&self, until: Instant) -> Vec<u64> {
        let last = self.arrivals.iter().filter(|(at, _)| *at <= until).map(|(_, number)| *number).max();
        let (Some(first), Some(last)) = (self.numbers.first(), last) else { return Vec::new() };
        (*first..=last).filter(|number| !self.numbers.contains(number)).collect()
    }

    /// When the last came.
    pub fn last_at(&self) -> Option<Instant> {
        self.arrivals.last().map(|(at, _)| *at)
    }
}
