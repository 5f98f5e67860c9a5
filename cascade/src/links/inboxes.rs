//! What was received, gathered per media worker and handed over in batches.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use origo_cascade_core::link::Received;

use crate::Inbox;
use crate::stats::Shared;

/// A batch is handed over when it has this many entries, even if more is at hand: a worker should not wait.
const BATCH_MAX: usize = 128;

/// The workers' inboxes and what is gathered for each.
pub(crate) struct Inboxes {
    inboxes: Vec<(Inbox, Vec<Received>)>,
    shared: Arc<Shared>,
}

impl Inboxes {
    pub(crate) fn new(inboxes: Vec<Inbox>, shared: Arc<Shared>) -> Self {
        Self { inboxes: inboxes.into_iter().map(|inbox| (inbox, Vec::new())).collect(), shared }
    }

    /// Gathers one entry for the worker `sink`.
    pub(crate) fn push(&mut self, sink: usize, received: Received) {
        let Some((_, batch)) = self.inboxes.get_mut(sink) else { return };
        batch.push(received);
        if batch.len() >= BATCH_MAX {
            self.flush_one(sink);
        }
    }

    /// Hands over all that is gathered.
    pub(crate) fn flush(&mut self) {
        for sink in 0..self.inboxes.len() {
            self.flush_one(sink);
        }
    }

    fn flush_one(&mut self, sink: usize) {
        let (inbox, batch) = &mut self.inboxes[sink];
        if batch.is_empty() {
            return;
        }
        match inbox.batches.try_send(std::mem::take(batch)) {
            Ok(()) => (inbox.wake)(),
            Err(refused) => {
                let packets = refused.into_inner().len() as u64;
                self.shared.drops.inbox.fetch_add(packets, Ordering::Relaxed);
            }
        }
    }
}
