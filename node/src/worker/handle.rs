//! How the rest of the node reaches a running worker.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use mio::Waker;
use origo_cascade::Inbox;
use origo_cascade_core::link;
use origo_node_core::media::{Channel, Command, Event, Stats};

use super::Links;
use super::busy::Load;
use super::entrance::Offered;
use super::reports::Reports;
use super::siblings::Sibling;

/// What the thread and its handles share.
pub(super) struct Shared {
    pub stats: Mutex<Stats>,
    pub load: Load,
    pub links: OnceLock<Links>,
    /// All workers of the node, this one among them.
    pub siblings: OnceLock<Vec<Sibling>>,
    pub stop: AtomicBool,
    pub commands_lost: AtomicU64,
    /// Bytes to and from clients, then datagrams; stored after each turn.
    pub traffic: [[AtomicU64; 2]; 2],
}

/// A running worker. Dropping it does not end the thread; [`WorkerHandle::stop`] does.
pub struct WorkerHandle {
    pub(super) address: SocketAddr,
    pub(super) shared: Arc<Shared>,
    pub(super) commands: crossbeam_channel::Sender<Command>,
    pub(super) batches: crossbeam_channel::Sender<Vec<link::Received>>,
    pub(super) from_siblings: crossbeam_channel::Sender<Vec<link::Received>>,
    pub(super) arrivals: crossbeam_channel::Sender<Offered>,
    pub(super) waker: Arc<Waker>,
    pub(super) thread: JoinHandle<()>,
    pub(super) reports: Reports,
}

impl WorkerHandle {
    /// Asks something of the worker; never waits. A command that finds the queue full is lost, logged and counted as
    /// (`command`, `queue full`): the worker is then far beyond what it can serve. Whoever loses reliable data by it
    /// is reported as behind.
    pub fn command(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            self.shared.commands_lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!(address = %self.address, "media worker does not keep up: command lost");
            if let Command::SendData { session, channel: Channel::Reliable, .. } = error.into_inner() {
                self.reports.send(Event::FellBehind(session));
            }
        }
        self.wake();
    }

    /// Where the mesh puts what it received for this worker's rooms.
    pub fn inbox(&self) -> Inbox {
        let waker = Arc::clone(&self.waker);
        Inbox {
            batches: self.batches.clone(),
            wake: Arc::new(move || {
                // A failed wake-up is made up for by the next: the thread sleeps 250 ms at most.
                let _ = waker.wake();
            }),
        }
    }

    /// Where TCP connections for its clients are brought.
    pub(super) fn door(&self) -> (crossbeam_channel::Sender<Offered>, Arc<Waker>) {
        (self.arrivals.clone(), Arc::clone(&self.waker))
    }

    /// Where the worker puts packets for other nodes, from now on. Counts once: inboxes exist before the mesh does,
    /// and the mesh before its sender.
    pub fn set_links(&self, links: Links) {
        if self.shared.links.set(links).is_err() {
            tracing::error!("a media worker's links were set twice");
        }
    }

    /// The worker as the others of its node see it.
    pub(super) fn as_sibling(&self) -> Sibling {
        let (batches, commands) = (self.from_siblings.clone(), self.commands.clone());
        Sibling { batches, commands, waker: Arc::clone(&self.waker) }
    }

    /// Where it finds the others. Counts once: all of them run before they know each other.
    pub(super) fn set_siblings(&self, siblings: Vec<Sibling>) {
        if self.shared.siblings.set(siblings).is_err() {
            tracing::error!("a media worker's siblings were set twice");
        }
    }

    /// Its counters, at most 250 ms old.
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        for _ in 0..self.shared.commands_lost.load(Ordering::Relaxed) {
            stats.count_dropped("command", "queue full");
        }
        stats
    }

    /// Busy share of its thread over the last second or so, 0 to 1.
    pub fn load(&self) -> f64 {
        self.shared.load.get()
    }

    /// Bytes to and from clients since the start, and datagrams: `[[out, in], [out, in]]`. As of the last turn.
    pub fn traffic(&self) -> [[u64; 2]; 2] {
        self.shared.traffic.each_ref().map(|pair| pair.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Ends the thread and waits for it; clients hear a DTLS close.
    pub fn stop(self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake();
        if self.thread.join().is_err() {
            tracing::error!(address = %self.address, "media worker panicked");
        }
    }

    fn wake(&self) {
        // A failed wake-up is made up for by the next: the thread sleeps 250 ms at most.
        let _ = self.waker.wake();
    }
}
