//! The numbers that this node gives to the layers it takes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::link::Flow;

/// A flow number rests this long before it may mean another layer: packets on their way carry the old meaning.
const FLOW_RESTS: Duration = Duration::from_secs(10);
/// Largest flow number: four bytes on the wire.
pub(super) const FLOW_MAX: u32 = (1 << 30) - 1;

/// Gives out flow numbers, the smallest that have rested.
#[derive(Debug, Default)]
pub(super) struct FlowNumbers {
    last: u32,
    resting: VecDeque<(Instant, Flow)>,
}

impl FlowNumbers {
    pub(super) fn take(&mut self, now: Instant) -> Flow {
        let rested = self.resting.front().is_some_and(|(until, _)| *until <= now);
        if (rested || self.last == FLOW_MAX)
            && let Some((_, flow)) = self.resting.pop_front()
        {
            return flow;
        }
        self.last += 1;
        Flow(self.last)
    }

    pub(super) fn give_back(&mut self, now: Instant, flow: Flow) {
        self.resting.push_back((now + FLOW_RESTS, flow));
    }
}
