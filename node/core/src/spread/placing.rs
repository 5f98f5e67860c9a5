//! Which worker has room for one more session.

/// A worker that is this busy takes no newcomers while another one is less so. What is left is for those who are there,
/// who are watched by more and turn to larger pictures; the node as a whole is full at 0.85 (`cpu_full`).
const BUSY: f64 = 0.6;
/// How much fuller a worker may be than another one to be preferred because the room is on it already: each further
/// worker costs a copy of all that is watched there.
const STAYS_WITHIN: f64 = 0.1;

/// A subscription names a worker by a byte.
const WORKERS_MAX: usize = 1 << 8;

/// How sessions are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Media workers of the node: 1 to 256.
    pub workers: usize,
    /// Tracks sent to clients, each client counted once more, from which on a worker has no room for newcomers.
    pub at: usize,
}

/// The workers, and how full each is.
#[derive(Debug)]
pub(super) struct Workers {
    at: f64,
    /// What its sessions receive, and how busy it was measured to be.
    each: Vec<(usize, f64)>,
}

impl Workers {
    pub fn new(settings: Settings) -> Self {
        Self { at: settings.at.max(1) as f64, each: vec![(0, 0.0); settings.workers.clamp(1, WORKERS_MAX)] }
    }

    pub fn len(&self) -> usize {
        self.each.len()
    }

    pub fn set_loads(&mut self, loads: impl IntoIterator<Item = f64>) {
        for ((_, load), measured) in self.each.iter_mut().zip(loads) {
            *load = if measured.is_finite() { measured.clamp(0.0, 1.0) } else { 0.0 };
        }
    }

    pub fn add(&mut self, worker: usize, weight: usize) {
        self.each[worker].0 += weight;
    }

    pub fn remove(&mut self, worker: usize, weight: usize) {
        self.each[worker].0 -= weight;
    }

    /// Whether nobody sits anywhere.
    #[cfg(test)]
    pub fn are_empty(&self) -> bool {
        self.each.iter().all(|(weight, _)| *weight == 0)
    }

    /// The place of a newcomer: where its room begins, while there is room; then where it is already; then wherever there
    /// is room; and where there is none, on the least full.
    pub fn choose(&self, base: usize, is_on: impl Fn(usize) -> bool) -> usize {
        let has_room = |worker: &usize| self.fullness(*worker) < 1.0;
        let cost = |worker: usize| {
            let stays = if worker == base || is_on(worker) { STAYS_WITHIN } else { 0.0 };
            self.fullness(worker) - stays
        };
        let all = || (0..self.len()).map(|step| (base + step) % self.len());
        let known = all().filter(|&worker| worker == base || is_on(worker)).find(has_room);
        let best = || all().min_by(|one, other| cost(*one).total_cmp(&cost(*other)));
        known.or_else(best).unwrap_or(base)
    }

    /// 1 for one that has no room for newcomers.
    fn fullness(&self, worker: usize) -> f64 {
        let (weight, load) = self.each[worker];
        (weight as f64 / self.at).max(load / BUSY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(each: &[(usize, f64)]) -> Workers {
        Workers { at: 100.0, each: each.to_vec() }
    }

    #[test]
    fn a_newcomer_sits_where_its_room_begins_while_there_is_room() {
        assert_eq!(workers(&[(99, 0.5), (0, 0.0)]).choose(0, |_| false), 0);
        assert_eq!(workers(&[(100, 0.0), (0, 0.0)]).choose(0, |_| false), 1);
        assert_eq!(workers(&[(0, 0.6), (50, 0.0)]).choose(0, |_| false), 1, "it was measured to be busy");
    }

    #[test]
    fn a_room_stays_together_where_it_has_spread_to() {
        assert_eq!(workers(&[(100, 0.0), (0, 0.0), (80, 0.0)]).choose(0, |worker| worker == 2), 2);
    }

    #[test]
    fn where_none_has_room_the_least_full_takes_the_newcomer() {
        let full = workers(&[(230, 0.0), (215, 0.0), (210, 0.0)]);
        assert_eq!(full.choose(0, |worker| worker == 1), 1, "it has most of the tracks already");
        assert_eq!(workers(&[(230, 0.0), (215, 0.0), (190, 0.0)]).choose(0, |worker| worker == 1), 2);
        assert_eq!(workers(&[(400, 0.7)]).choose(0, |_| true), 0, "there is no other");
    }
}
