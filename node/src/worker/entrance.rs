//! Where the door for clients brings TCP connections that speak ICE: the worker that knows their ufrag takes them.

use std::sync::Arc;

use mio::Waker;
use tokio::sync::oneshot;

use super::streams::Arrival;

/// Connections that may wait for one worker.
pub(super) const ARRIVALS_MAX: usize = 256;

/// A connection, and the way back for the worker that does not know its ufrag.
pub(super) struct Offered {
    pub arrival: Arrival,
    pub back: oneshot::Sender<Option<Arrival>>,
}

/// Why nobody takes a connection, as counters call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// No worker knows its ufrag.
    UnknownUfrag,
    /// The worker that was asked does not keep up, or ends.
    Busy,
}

impl Unwanted {
    /// As counters call it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownUfrag => "unknown ufrag",
            Self::Busy => "queue full",
        }
    }
}

/// The way to all workers. Cheap to clone; the default one leads nowhere.
#[derive(Clone, Default)]
pub struct Entrance(pub(super) Arc<Vec<(crossbeam_channel::Sender<Offered>, Arc<Waker>)>>);

impl Entrance {
    /// The way to these workers.
    pub fn to(workers: &[super::WorkerHandle]) -> Self {
        Self(Arc::new(workers.iter().map(super::WorkerHandle::door).collect()))
    }

    /// Whether there is anybody to bring connections to.
    pub fn is_open(&self) -> bool {
        !self.0.is_empty()
    }

    /// Asks one worker after the other.
    pub async fn bring(&self, mut arrival: Arrival) -> Result<(), Unwanted> {
        for (door, waker) in self.0.iter() {
            let (back, came_back) = oneshot::channel();
            door.try_send(Offered { arrival, back }).map_err(|_| Unwanted::Busy)?;
            // A failed wake-up is made up for by the next: the thread sleeps 250 ms at most.
            let _ = waker.wake();
            match came_back.await {
                Ok(Some(unknown)) => arrival = unknown,
                Ok(None) => return Ok(()),
                Err(_) => return Err(Unwanted::Busy),
            }
        }
        Err(Unwanted::UnknownUfrag)
    }
}
