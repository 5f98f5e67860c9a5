//! All links of this node: a core and a media connection per peer, on the link thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::Receiver;
use origo_auth::NodeId;
use origo_cascade_core::link::{Flow, Input, Link, Output, Send};
use origo_cascade_core::{Forward, TrackLayer};
use quinn::{Connection, SendDatagramError};
use tokio::sync::Notify;
use tracing::{debug, info};

use super::forwarding::Forwarding;
use super::inboxes::Inboxes;
use crate::congestion::carry_media;
use crate::kind::Close;
use crate::news::{Connected, ConnectionNumber, News, NewsSender};
use crate::stats::{Drops, Shared};
use crate::transport::MEDIA_STREAM_WINDOW;

/// Datagrams handled in one go before what they brought is handed over.
const DATAGRAMS_PER_TURN: usize = 64;
/// Largest packet that comes as a stream of its own; larger ones are no RTP.
const STREAM_PACKET_MAX: usize = 64 << 10;
/// How often counters are copied to where the node reads them.
const STATS_EVERY: Duration = Duration::from_millis(100);

/// The links of all peers.
pub(crate) struct Table {
    me: NodeId,
    links: BTreeMap<NodeId, Peer>,
    /// Who sends us a layer, and under which of our numbers.
    origins: BTreeMap<TrackLayer, (NodeId, Flow)>,
    changes: Receiver<Forwarding>,
    inboxes: Inboxes,
    news: NewsSender,
    shared: Arc<Shared>,
    stats_at: Instant,
}

struct Peer {
    link: Link,
    media: Option<Media>,
    wake_at: Instant,
}

struct Media {
    number: ConnectionNumber,
    connection: Connection,
    dialled_here: bool,
}

/// The table as the tasks of the link thread hold it.
#[derive(Clone)]
pub(crate) struct TableHandle {
    table: Rc<RefCell<Table>>,
    /// A link may want to be woken sooner than was thought.
    pub(crate) sooner: Rc<Notify>,
}

impl Table {
    pub(crate) fn new(
        me: NodeId,
        changes: Receiver<Forwarding>,
        inboxes: Inboxes,
        news: NewsSender,
        shared: Arc<Shared>,
    ) -> Self {
        let (links, origins) = (BTreeMap::new(), BTreeMap::new());
        Self { me, links, origins, changes, inboxes, news, shared, stats_at: Instant::now() }
    }

    fn peer(&mut self, node: NodeId, now: Instant) -> &mut Peer {
        self.links.entry(node).or_insert_with(|| Peer { link: Link::new(now), media: None, wake_at: now })
    }

    /// Gives one input to a link and does what it asks for.
    fn input(&mut self, node: NodeId, now: Instant, input: Input) {
        let peer = self.peer(node, now);
        peer.link.handle_input(now, input);
        loop {
            let Some(peer) = self.links.get_mut(&node) else { return };
            match peer.link.poll_output() {
                Output::Transmit(datagram) => transmit(peer.media.as_ref(), datagram, &self.shared),
                Output::Allow { .. } => {}
                Output::Received { sink, received, .. } => self.inboxes.push(sink, received),
                Output::Timeout(at) => {
                    peer.wake_at = at;
                    return;
                }
            }
        }
    }

    /// Applies all changes that the mesh loop has sent.
    fn apply_changes(&mut self, now: Instant) {
        while let Ok(change) = self.changes.try_recv() {
            match change {
                Forwarding::Change { forward, sink } => self.apply(now, forward, sink),
                Forwarding::Forget(node) => {
                    if let Some(media) = self.links.get_mut(&node).and_then(|peer| peer.media.take()) {
                        Close::Done.end(&media.connection);
                        self.input(node, now, Input::Down);
                        self.tell_media(node, false);
                    }
                }
            }
        }
    }

    fn apply(&mut self, now: Instant, forward: Forward, sink: usize) {
        match forward {
            Forward::Receive { layer, from, flow, .. } => {
                self.origins.insert(layer, (from, flow));
                self.input(from, now, Input::Receive { flow, layer, sink });
            }
            Forward::StopReceive { from, flow } => {
                self.origins.retain(|_, origin| *origin != (from, flow));
                self.input(from, now, Input::StopReceive(flow));
            }
            Forward::Serve { layer, to, flow, kind, .. } => {
                self.input(to, now, Input::Serve { flow, layer, kind, sink });
            }
            Forward::StopServe { to, flow, .. } => self.input(to, now, Input::StopServe(flow)),
            Forward::Relay { .. } | Forward::StopRelay { .. } => {}
        }
    }

    fn send(&mut self, now: Instant, send: Send) {
        match send {
            Send::Packet { to, flow, class, packet } => self.input(to, now, Input::Packet { flow, class, packet }),
            Send::Keyframe { layer } => {
                if let Some((origin, _)) = self.origins.get(&layer).copied() {
                    self.input(origin, now, Input::Keyframe(layer));
                }
            }
            Send::SenderReport { to, flow, ntp, rtp } => self.input(to, now, Input::SenderReport { flow, ntp, rtp }),
        }
    }

    /// Tells the mesh loop, which has room for this: it handles news without waiting for the link thread.
    fn tell_media(&self, peer: NodeId, up: bool) {
        let news = self.news.clone();
        tokio::task::spawn_local(async move {
            let _ = news.send(News::Media { peer, up }).await;
        });
    }

    fn copy_stats(&mut self, now: Instant) {
        if now < self.stats_at {
            return;
        }
        self.stats_at = now + STATS_EVERY;
        for (node, peer) in &self.links {
            self.shared.set_link(*node, peer.link.stats(), peer.link.dropped());
        }
    }
}

/// Sends a datagram; what is too large for one goes as a stream of its own.
fn transmit(media: Option<&Media>, datagram: Bytes, shared: &Shared) {
    let Some(media) = media else { return };
    if media.connection.datagram_send_buffer_space() < datagram.len() {
        // QUIC would silently discard the oldest instead.
        Drops::count(&shared.drops.send_buffer);
        return;
    }
    if let Err(SendDatagramError::TooLarge) = media.connection.send_datagram(datagram.clone()) {
        let connection = media.connection.clone();
        tokio::task::spawn_local(async move {
            if let Ok(mut stream) = connection.open_uni().await {
                // A connection that ends is noticed by its reader.
                let _ = stream.write_chunk(datagram).await;
            }
        });
    }
}

impl TableHandle {
    pub(crate) fn new(table: Table) -> Self {
        Self { table: Rc::new(RefCell::new(table)), sooner: Rc::default() }
    }

    /// When the first link wants to be woken.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let table = self.table.borrow();
        let links = table.links.values().map(|peer| peer.wake_at);
        links.chain([table.stats_at]).min()
    }

    /// Applies changes and wakes the links whose time has come.
    pub(crate) fn wake(&self) {
        let now = Instant::now();
        let mut table = self.table.borrow_mut();
        table.apply_changes(now);
        let due = table.links.iter().filter(|(_, peer)| peer.wake_at <= now);
        let due: Vec<NodeId> = due.map(|(node, _)| *node).collect();
        for node in due {
            table.input(node, now, Input::Timeout);
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
            table.send(now, send);
        }
        table.inboxes.flush();
    }

    /// A media connection is there. Of two the one that the smaller node id dialled stays; of two dialled by the same
    /// node the newer, since a node dials again only when its older one is gone.
    pub(crate) fn connected(&self, connected: Connected) {
        let (now, peer, dialled_here) = (Instant::now(), connected.peer, connected.dial.is_some());
        let mut table = self.table.borrow_mut();
        let here_is_smaller = table.me < peer;
        let is_preferred = |dialled_here: bool| dialled_here == here_is_smaller;
        let current = table.peer(peer, now).media.as_ref();
        if current.is_some_and(|current| is_preferred(current.dialled_here) && !is_preferred(dialled_here)) {
            Close::Duplicate.end(&connected.connection);
            return;
        }
        let connection = connected.connection.clone();
        carry_media(&connection);
        connection.set_send_window(MEDIA_STREAM_WINDOW);
        let media = Media { number: connected.number, connection: connection.clone(), dialled_here };
        if let Some(old) = table.peer(peer, now).media.replace(media) {
            Close::Duplicate.end(&old.connection);
        }
        info!(%peer, "media connection is up");
        table.input(peer, now, Input::Up { rtt: connection.rtt(), rate_bps: None });
        table.tell_media(peer, true);
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
        let current = table.links.get(&peer).and_then(|peer| peer.media.as_ref());
        let is_current = current.is_some_and(|media| media.number == number);
        for datagram in datagrams.drain(..).filter(|_| is_current) {
            table.input(peer, now, Input::Datagram(datagram));
        }
        table.inboxes.flush();
        drop(table);
        self.sooner.notify_one();
    }

    fn disconnected(&self, peer: NodeId, number: ConnectionNumber, why: &quinn::ConnectionError) {
        let mut table = self.table.borrow_mut();
        let Some(link) = table.links.get_mut(&peer) else { return };
        if link.media.as_ref().is_none_or(|media| media.number != number) {
            debug!(%peer, %why, "a media connection that was replaced is gone");
            return;
        }
        info!(%peer, %why, "media connection is gone");
        link.media = None;
        table.input(peer, Instant::now(), Input::Down);
        table.tell_media(peer, false);
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
