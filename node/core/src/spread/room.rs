//! A room as its places are chosen: how many of its sessions sit on which worker.

use std::collections::BTreeMap;

/// A room with sessions on this node.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The most tracks that one of its sessions has received: what the next one will.
    pub widest: usize,
    sessions_by_worker: BTreeMap<usize, usize>,
}

impl Room {
    /// A session sits down.
    pub fn sit(&mut self, worker: usize) {
        *self.sessions_by_worker.entry(worker).or_default() += 1;
    }

    /// A session leaves.
    pub fn leave(&mut self, worker: usize) {
        let Some(sessions) = self.sessions_by_worker.get_mut(&worker) else { return };
        *sessions -= 1;
        if *sessions == 0 {
            self.sessions_by_worker.remove(&worker);
        }
    }

    /// Whether sessions of it sit there.
    pub fn is_on(&self, worker: usize) -> bool {
        self.sessions_by_worker.contains_key(&worker)
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.sessions_by_worker.is_empty()
    }

    /// The workers on which sessions of it sit.
    pub fn workers(&self) -> impl Iterator<Item = usize> {
        self.sessions_by_worker.keys().copied()
    }
}
