//! The link thread, and how media workers reach it.

mod forwarding;
mod inboxes;
mod media;
pub(crate) mod table;
pub(crate) mod thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use forwarding::{Forwarding, ForwardingSender};
use origo_cascade_core::link;
use tokio::sync::mpsc;

/// Batches that wait for the link thread: at one batch per worker and millisecond this is a quarter of a second, after
/// which media is too old to be worth sending.
const BATCHES_MAX: usize = 256;

/// Gives packets to the link thread, from any thread, without ever waiting.
#[derive(Clone)]
pub struct LinkSender {
    batches: mpsc::Sender<Vec<link::Send>>,
    dropped: Arc<AtomicU64>,
}

impl LinkSender {
    /// A sender and the end that the link thread reads.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Vec<link::Send>>) {
        let (batches, receiver) = mpsc::channel(BATCHES_MAX);
        (Self { batches, dropped: Arc::default() }, receiver)
    }

    /// Sends a batch. When the link thread is behind the batch is dropped and its packets are counted.
    pub fn send(&self, batch: Vec<link::Send>) {
        if batch.is_empty() {
            return;
        }
        if let Err(refused) = self.batches.try_send(batch) {
            let packets = refused.into_inner().len() as u64;
            self.dropped.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// Packets dropped because the link thread was behind.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
