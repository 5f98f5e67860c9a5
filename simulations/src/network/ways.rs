//! The best way between each two nodes, over others if need be: what delays are measured against.

/// Shortest delays over all paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    count: usize,
    /// By sending and receiving node, ns.
    best: Vec<u64>,
}

impl Ways {
    /// Finds them (Floyd and Warshall) from the delay of each directed link, ns.
    pub fn new(count: usize, delay: impl Fn(usize, usize) -> u64) -> Self {
        let mut best: Vec<u64> = (0..count * count)
            .map(|place| if place / count == place % count { 0 } else { delay(place / count, place % count) })
            .collect();
        for over in 0..count {
            for from in 0..count {
                let first = best[from * count + over];
                for to in 0..count {
                    let both = first.saturating_add(best[over * count + to]);
                    let known = &mut best[from * count + to];
                    *known = both.min(*known);
                }
            }
        }
        Self { count, best }
    }

    /// The best one-way delay, ns.
    pub fn best(&self, from: usize, to: usize) -> u64 {
        self.best[from * self.count + to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detour_counts_when_it_is_shorter_than_the_direct_link() {
        let delays = [[0, 10, 50], [10, 0, 20], [45, 20, 0]];
        let ways = Ways::new(3, |from, to| delays[from][to]);
        assert_eq!((ways.best(0, 2), ways.best(2, 0), ways.best(1, 1)), (30, 30, 0));
    }
}
