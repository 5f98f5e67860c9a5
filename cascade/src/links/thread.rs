//! The link thread: one OS thread that owns the QUIC endpoint, all connections' packets, and the links.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc as std_mpsc;
use std::thread;

use crossbeam_channel::Receiver;
use origo_auth::NodeId;
use origo_cascade_core::link;
use quinn::Endpoint;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::forwarding::Forwarding;
use super::inboxes::Inboxes;
use super::table::{Table, TableHandle};
use crate::endpoint::{self, Dial, Door};
use crate::news::NewsSender;
use crate::stats::Shared;
use crate::tls::Tls;
use crate::{Inbox, StartError};

/// Batches of media workers taken in one go.
const BATCHES_PER_TURN: usize = 64;

/// What the link thread begins with.
pub(crate) struct Parts {
    pub(crate) me: NodeId,
    pub(crate) socket: UdpSocket,
    pub(crate) rates_bps: BTreeMap<String, u64>,
    pub(crate) tls: Tls,
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) batches: mpsc::Receiver<Vec<link::Send>>,
    pub(crate) changes: Receiver<Forwarding>,
    pub(crate) changed: Arc<Notify>,
    pub(crate) dials: mpsc::UnboundedReceiver<Dial>,
    pub(crate) news: NewsSender,
    pub(crate) shared: Arc<Shared>,
    /// Ends the thread, also by being dropped.
    pub(crate) stop: oneshot::Receiver<()>,
}

/// Starts the thread and gives the endpoint that it has opened.
pub(crate) fn start(parts: Parts) -> Result<Endpoint, StartError> {
    let (opened, is_opened) = std_mpsc::channel();
    let run = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => LocalSet::new().block_on(&runtime, run(parts, opened)),
        Err(error) => {
            let _ = opened.send(Err(StartError::Thread(error)));
        }
    };
    thread::Builder::new().name("origo-links".to_owned()).spawn(run).map_err(StartError::Thread)?;
    let gone = || StartError::Thread(std::io::Error::other("the link thread ended at once"));
    is_opened.recv().map_err(|_| gone())?
}

async fn run(parts: Parts, opened: std_mpsc::Sender<Result<Endpoint, StartError>>) {
    let endpoint = match endpoint::open(parts.socket, &parts.tls) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let inboxes = Inboxes::new(parts.inboxes, parts.shared.clone());
    let (news, shared) = (parts.news.clone(), parts.shared.clone());
    let table = TableHandle::new(Table::new(parts.me, parts.rates_bps, parts.changes, inboxes, news, shared));
    let door = Rc::new(Door {
        me: parts.me,
        endpoint: endpoint.clone(),
        tls: parts.tls,
        table: table.clone(),
        news: parts.news,
        shared: parts.shared,
        numbers: AtomicU64::new(1),
        warned: RefCell::new(BTreeMap::new()),
    });
    let _ = opened.send(Ok(endpoint));
    tokio::task::spawn_local(door.clone().accept());
    tokio::task::spawn_local(door.dial(parts.dials));
    let work = work(table, parts.batches, parts.changed);
    tokio::select! {
        () = work => {}
        _ = parts.stop => {}
    }
}

/// Moves packets until the mesh ends.
async fn work(table: TableHandle, mut batches: mpsc::Receiver<Vec<link::Send>>, changed: Arc<Notify>) {
    let mut taken = Vec::with_capacity(BATCHES_PER_TURN);
    let mut open = true;
    loop {
        let wake_at = Instant::from_std(table.wake_at());
        tokio::select! {
            biased;
            count = batches.recv_many(&mut taken, BATCHES_PER_TURN), if open => {
                open = count > 0;
                table.send(&mut taken);
            }
            () = changed.notified() => table.wake(),
            () = tokio::time::sleep_until(wake_at) => table.wake(),
            () = table.sooner.notified() => {}
        }
    }
}
