//! What a link knows of its flows, by number: found for each packet in one look, and listed in their order.

use super::Flow;

/// Spreads numbers that follow each other over the whole index (Knuth, volume 3, section 6.4).
const SPREAD: u32 = 0x9e37_79b1;
/// The smallest index.
const INDEX_MIN: usize = 16;

/// Things by flow. A tree of a hundred flows takes five looks into memory that the processor's cache has lost since the
/// flow's last packet; the index takes one.
#[derive(Debug)]
pub(super) struct Flows<T> {
    /// Ascending: number, and place among the things.
    order: Vec<(Flow, u32)>,
    things: Vec<Option<T>>,
    free: Vec<u32>,
    /// Number, and place plus one; 0 where there is none. Whatever collides lies behind. A power of two, half of it free.
    index: Vec<(u32, u32)>,
}

impl<T> Default for Flows<T> {
    fn default() -> Self {
        Self { order: Vec::new(), things: Vec::new(), free: Vec::new(), index: Vec::new() }
    }
}

impl<T> Flows<T> {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn get(&self, flow: Flow) -> Option<&T> {
        let (_, place) = self.look_up(flow)?;
        self.things.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, flow: Flow) -> Option<&mut T> {
        let (_, place) = self.look_up(flow)?;
        self.things.get_mut(place)?.as_mut()
    }

    pub(super) fn contains(&self, flow: Flow) -> bool {
        self.look_up(flow).is_some()
    }

    /// Gives back what the number stood for before.
    pub(super) fn insert(&mut self, flow: Flow, thing: T) -> Option<T> {
        if let Some(known) = self.get_mut(flow) {
            return Some(std::mem::replace(known, thing));
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.things.push(None);
            self.things.len() as u32 - 1
        });
        self.things[place as usize] = Some(thing);
        let before = self.order.partition_point(|(other, _)| *other < flow);
        self.order.insert(before, (flow, place));
        if self.index.len() < 2 * self.order.len() {
            self.index = vec![(0, 0); (2 * self.index.len()).max(INDEX_MIN)];
            (0..self.order.len()).for_each(|nth| self.list(self.order[nth]));
        } else {
            self.list((flow, place));
        }
        None
    }

    pub(super) fn remove(&mut self, flow: Flow) -> Option<T> {
        let (at, place) = self.look_up(flow)?;
        self.unlist(at);
        if let Ok(nth) = self.order.binary_search_by_key(&flow, |(other, _)| *other) {
            self.order.remove(nth);
        }
        self.free.push(place as u32);
        self.things[place].take()
    }

    /// In the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Flow, &T)> {
        self.order.iter().filter_map(|(flow, place)| Some((*flow, self.things[*place as usize].as_ref()?)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, thing)| thing)
    }

    /// In any order.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.things.iter_mut().flatten()
    }

    fn home(&self, flow: u32) -> usize {
        // The highest bits are spread best.
        ((u64::from(flow.wrapping_mul(SPREAD)) * self.index.len() as u64) >> u32::BITS) as usize
    }

    /// Where in the index, and where among the things.
    fn look_up(&self, flow: Flow) -> Option<(usize, usize)> {
        let mask = self.index.len().wrapping_sub(1);
        let mut at = self.home(flow.0);
        loop {
            match self.index.get(at)? {
                (_, 0) => return None,
                (number, place) if *number == flow.0 => return Some((at, *place as usize - 1)),
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn list(&mut self, (flow, place): (Flow, u32)) {
        let mask = self.index.len() - 1;
        let mut at = self.home(flow.0);
        while self.index[at].1 != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = (flow.0, place + 1);
    }

    /// Takes one out of the index. Those behind it move up as far as they may, so that each is still found from where it
    /// belongs.
    fn unlist(&mut self, mut gap: usize) {
        let mask = self.index.len() - 1;
        let mut at = (gap + 1) & mask;
        while self.index[at].1 != 0 {
            let home = self.home(self.index[at].0);
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.index[gap] = self.index[at];
                gap = at;
            }
            at = (at + 1) & mask;
        }
        self.index[gap] = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn flows_are_those_of_a_map(changes in prop::collection::vec((any::<bool>(), 0..60_u32, any::<u32>()), 0..300)) {
            let (mut flows, mut map) = (Flows::default(), BTreeMap::new());
            for (adds, low, high) in changes {
                // Some follow each other, some collide, some are far away.
                let flow = Flow(if high % 3 == 0 { low } else { low.wrapping_mul(high % 5 * 0x0100_0000 + 1) });
                if adds {
                    prop_assert_eq!(flows.insert(flow, high), map.insert(flow, high));
                } else {
                    prop_assert_eq!(flows.remove(flow), map.remove(&flow));
                }
                prop_assert_eq!(flows.get(flow), map.get(&flow));
                prop_assert_eq!(flows.contains(flow), map.contains_key(&flow));
            }
            for flow in map.keys() {
                prop_assert_eq!(flows.get_mut(*flow).copied(), map.get(flow).copied());
            }
            prop_assert_eq!(flows.iter().collect::<Vec<_>>(), map.iter().map(|(flow, it)| (*flow, it)).collect::<Vec<_>>());
            prop_assert_eq!((flows.len(), flows.values_mut().count()), (map.len(), map.len()));
        }
    }
}
