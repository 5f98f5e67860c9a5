//! All links of this node: their core and a media connection per peer, on the link thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use crossbeam_channel::Receiver;
use origo_auth::NodeId;
use origo_cascade_core::link::{self, Send};
use origo_cascade_core::links::{Input, Links, Output};
use quinn::Connection;
use tokio::sync::Notify;
use tracing::{debug, info};

use super::forwarding::Forwarding;
use super::inboxes::Inboxes;
use super::media::Media;
use crate::kind::Close;
use crate::news::{Connected, ConnectionNumber, News, NewsSender};
use crate::stats::{LinkFigures, Shared};

/// Datagrams handled in one go before what they brought is handed over.
const DATAGRAMS_PER_TURN: usize = 64;
/// Largest packet that comes as a stream of its own; larger ones are no RTP.
const STREAM_PACKET_MAX: usize = 64 << 10;
/// Longest wait until gossip knows a new peer, and how often it is looked.
const KNOWN_WAIT: Duration = Duration::from_secs(2);
const KNOWN_POLL: Duration = Duration::from_millis(20);
/// How often counters are copied to where the node reads them.
const STATS_EVERY: Duration = Duration::from_millis(100);
/// The arena grows by so much.
const ARENA_BYTES: usize = 64 << 10;

/// The links of all peers, and the connections that carry them.
pub(crate) struct Table {
    me: NodeId,
    links: Links,
    /// Where datagrams are joined to one piece for QUIC: one allocation for about fifty.
    arena: BytesMut,
    wake_at: Instant,
    media: BTreeMap<NodeId, Media>,
    rates_bps: BTreeMap<String, u64>,
    changes: Receiver<Forwarding>,
    inboxes: Inboxes,
    news: NewsSender,
    shared: Arc<Shared>,
    stats_at: Instant,
}

/// The table as the tasks of the link thread hold it.
#[derive(Clone)]
pub(crate) struct TableHandle {
    table: Rc<RefCell<Table>>,
    /// A link may want to be woken sooner than was thought.
    pub(crate) sooner: Rc<Notify>,
}

impl Table {
    /// A table without connections. `rates_bps` as in [`crate::MeshConfig`].
    pub(crate) fn new(
        me: NodeId,
        rates_bps: BTreeMap<String, u64>,
        changes: Receiver<Forwarding>,
        inboxes: Inboxes,
        news: NewsSender,
        shared: Arc<Shared>,
    ) -> Self {
        let now = Instant::now();
        let (links, media, arena) = (Links::new(now), BTreeMap::new(), BytesMut::with_capacity(ARENA_BYTES));
        Self { me, links, arena, wake_at: now, media, rates_bps, changes, inboxes, news, shared, stats_at: now }
    }

    /// Gives one input to the links and does what they ask for.
    fn input(&mut self, now: Instant, input: Input) {
        self.links.handle_input(now, input);
        loop {
            match self.links.poll_output() {
                Output::Transmit { to, datagram } => {
                    if let Some(media) = self.media.get(&to) {
                        media.transmit(datagram.join(&mut self.arena), &self.shared);
                    }
                }
                Output::Received { sink, received } => self.inboxes.push(sink, received),
                Output::Flowing { from, flow } => self.tell(News::Flowing { peer: from, flow }),
                Output::Hearing { peer, hearing, quiet } => self.tell(News::Hearing { peer, hearing, quiet }),
                Output::Counts(counts) => self.tell(News::Counts(counts)),
                Output::Allow { peer, bps, silent } => {
                    if let Some(media) = self.media.get(&peer) {
                        media.allowed.set(bps, silent);
                    }
                }
                Output::Timeout(at) => {
                    self.wake_at = at;
                    return;
                }
            }
        }
    }

    fn link(&mut self, peer: NodeId, now: Instant, input: link::Input) {
        self.input(now, Input::Link { peer, input });
    }

    /// Applies all changes that the mesh loop has sent.
    fn apply_changes(&mut self, now: Instant) {
        while let Ok(change) = self.changes.try_recv() {
            match change {
                Forwarding::Change { forward, sink } => self.input(now, Input::Forward { forward, sink }),
                Forwarding::Forget(peer) => {
                    if let Some(media) = self.media.remove(&peer) {
                        Close::Done.end(&media.connection);
                        self.link(peer, now, link::Input::Down);
                        self.tell(News::Media { peer, up: false });
                    }
                }
            }
        }
    }

    /// Tells the links what stands in QUIC's queues, on which hangs how much they send next.
    fn tell_queued(&mut self, now: Instant) {
        let changed = self.media.iter_mut().filter_map(|(peer, media)| Some((*peer, media.take_queued()?)));
        for (peer, queued) in changed.collect::<Vec<_>>() {
            self.link(peer, now, link::Input::Queued(queued));
        }
    }

    /// Whether the rate of the path to a peer can be told, if there are any.
    fn knows(&self, peer: NodeId) -> bool {
        self.rates_bps.is_empty() || self.shared.nodes().iter().any(|node| node.id == peer)
    }

    /// What the operator says of the path to a peer: by its id, or else by its region.
    fn rate_to(&self, peer: NodeId) -> Option<u64> {
        let by_id = self.rates_bps.get(&peer.to_string()).copied();
        by_id.or_else(|| {
            let node = self.shared.nodes().into_iter().find(|node| node.id == peer)?;
            self.rates_bps.get(&node.region).copied()
        })
    }

    /// Tells the mesh loop, which has room for this: it handles news without waiting for the link thread.
    fn tell(&self, news: News) {
        let queue = self.news.clone();
        tokio::task::spawn_local(async move {
            let _ = queue.send(news).await;
        });
    }

    fn copy_stats(&mut self, now: Instant) {
        if now < self.stats_at {
            return;
        }
        self.stats_at = now + STATS_EVERY;
        for peer in self.links.peers() {
            let (Some(stats), Some(dropped)) = (self.links.stats(peer), self.links.dropped(peer)) else { continue };
            let allowed_bps = self.media.get(&peer).and_then(|media| media.allowed.bps());
            let metric = self.links.metric(peer);
            self.shared.set_link(peer, LinkFigures { stats: stats.clone(), dropped: *dropped, metric, allowed_bps });
        }
        self.shared.set_links(self.links.counters());
    }
}

impl TableHandle {
    pub(crate) fn new(table: Table) -> Self {
        Self { table: Rc::new(RefCell::new(table)), sooner: Rc::default() }
    }

    /// When the first link wants to be woken.
    pub(crate) fn wake_at(&self) -> Instant {
        let table = self.table.borrow();
        table.wake_at.min(table.stats_at)
    }

    /// Applies changes and wakes the links whose time has come.
    pub(crate) fn wake(&self) {
        let now = Instant::now();
        let mut table = self.table.borrow_mut();
        table.apply_changes(now);
        if table.wake_at <= now {
            table.tell_queued(now);
            table.input(now, Input::Timeout);
        }
        table.inboxes.flush();
        table.copy_stats(now);
    }

    /// Sends what media workers have given.
    pub(crate) fn send(&self, batches: &mut Vec<Vec<Send>>) {
        let now = Instant::now();
        let mut table = self.table.borrow_mut();
        table.apply_changes(now);
        for send in batches.drain(..).flatten() {
            table.input(now, Input::Send(send));
        }
        table.inboxes.flush();
    }

    /// A media connection is there. If paths have rates that the operator tells, the link begins once gossip has told
    /// whose path this is; what comes before waits in QUIC's buffer.
    pub(crate) async fn connected(&self, connected: Connected) {
        let deadline = Instant::now() + KNOWN_WAIT;
        while !self.table.borrow().knows(connected.peer) && Instant::now() < deadline {
            tokio::time::sleep(KNOWN_POLL).await;
        }
        self.take_connection(connected);
    }

    /// Of two the one that the smaller node id dialled stays; of two dialled by the same
    /// node the newer, since a node dials again only when its older one is gone.
    fn take_connection(&self, connected: Connected) {
        let (now, peer, dialled_here) = (Instant::now(), connected.peer, connected.dial.is_some());
        let mut table = self.table.borrow_mut();
        let here_is_smaller = table.me < peer;
        let is_preferred = |dialled_here: bool| dialled_here == here_is_smaller;
        let current = table.media.get(&peer);
        if current.is_some_and(|current| is_preferred(current.dialled_here) && !is_preferred(dialled_here)) {
            Close::Duplicate.end(&connected.connection);
            return;
        }
        let connection = connected.connection.clone();
        if let Some(old) = table.media.insert(peer, Media::new(&connected)) {
            Close::Duplicate.end(&old.connection);
        }
        info!(%peer, "media connection is up");
        let rate_bps = table.rate_to(peer);
        table.link(peer, now, link::Input::Up { rtt: connection.rtt(), rate_bps });
        table.tell(News::Media { peer, up: true });
        drop(table);
        self.sooner.notify_one();
        tokio::task::spawn_local(self.clone().read_datagrams(peer, connected.number, connection.clone()));
        tokio::task::spawn_local(self.clone().read_streams(peer, connected.number, connection));
    }

    async fn read_datagrams(self, peer: NodeId, number: ConnectionNumber, connection: Connection) {
        let mut batch = Vec::with_capacity(DATAGRAMS_PER_TURN);
        let why = loop {
            match connection.read_datagram().await {
                Ok(datagram) => batch.push(datagram),
                Err(error) => break error,
            }
            while batch.len() < DATAGRAMS_PER_TURN
                && let Some(datagram) = read_at_hand(&connection)
            {
                batch.push(datagram);
            }
            self.take(peer, number, &mut batch);
            // Other connections and the workers' batches have their turn.
            tokio::task::yield_now().await;
        };
        self.disconnected(peer, number, &why);
    }

    async fn read_streams(self, peer: NodeId, number: ConnectionNumber, connection: Connection) {
        while let Ok(mut stream) = connection.accept_uni().await {
            if let Ok(packet) = stream.read_to_end(STREAM_PACKET_MAX).await {
                self.take(peer, number, &mut vec![packet.into()]);
            }
        }
    }

    fn take(&self, peer: NodeId, number: ConnectionNumber, datagrams: &mut Vec<Bytes>) {
        let now = Instant::now();
        let mut table = self.table.borrow_mut();
        table.apply_changes(now);
        let is_current = table.media.get(&peer).is_some_and(|media| media.number == number);
        for datagram in datagrams.drain(..).filter(|_| is_current) {
            table.link(peer, now, link::Input::Datagram(datagram.into()));
        }
        table.inboxes.flush();
        drop(table);
        self.sooner.notify_one();
    }

    fn disconnected(&self, peer: NodeId, number: ConnectionNumber, why: &quinn::ConnectionError) {
        let mut table = self.table.borrow_mut();
        if table.media.get(&peer).is_none_or(|media| media.number != number) {
            debug!(%peer, %why, "a media connection that was replaced is gone");
            return;
        }
        info!(%peer, %why, "media connection is gone");
        table.media.remove(&peer);
        table.link(peer, Instant::now(), link::Input::Down);
        table.tell(News::Media { peer, up: false });
    }
}

/// A datagram that is at hand already.
fn read_at_hand(connection: &Connection) -> Option<Bytes> {
    let mut read = pin!(connection.read_datagram());
    match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(datagram) => datagram.ok(),
        Poll::Pending => None,
    }
}
