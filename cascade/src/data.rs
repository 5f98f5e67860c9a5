//! Data connections: one ordered stream per (room, publisher) for reliable packets, datagrams for lossy ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::cascade::RoomData;
use origo_cascade_core::wire::data::{
    DataReader, Head, PACKET_BYTES_MAX, decode_datagram, encode_datagram, encode_one_off, encode_packet_head,
    encode_stream_head,
};
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::debug;

use crate::news::{ConnectionNumber, News, NewsSender};
use crate::stats::{Drops, Shared};

/// Bytes of packets that wait for one peer. What is over it is lost here, and reliable packets are asked for again.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// What a packet in the queue costs besides its bytes.
const PACKET_OVERHEAD: usize = 256;
/// Longest wait for a connection before a packet is given up.
const CONNECTION_WAIT: Duration = Duration::from_secs(3);
/// Streams kept open to one peer, below what it lets us open.
const STREAMS_MAX: usize = 512;
/// Bytes read in one go.
const CHUNK: usize = 64 << 10;

/// The data packets to one peer.
pub(crate) struct DataSender {
    packets: mpsc::UnboundedSender<RoomData>,
    /// Bytes in the queue; it is bounded by these.
    waiting: Arc<AtomicUsize>,
    connection: watch::Sender<Option<Connection>>,
    shared: Arc<Shared>,
}

impl DataSender {
    /// A sender that waits for its connection.
    pub(crate) fn start(shared: Arc<Shared>) -> Self {
        let (packets, queue) = mpsc::unbounded_channel();
        let (connection, connections) = watch::channel(None);
        let waiting = Arc::new(AtomicUsize::new(0));
        tokio::spawn(send_all(queue, waiting.clone(), connections, shared.clone()));
        Self { packets, waiting, connection, shared }
    }

    /// Queues a packet; a peer that is too slow loses it.
    pub(crate) fn send(&self, data: RoomData) {
        let cost = cost(&data);
        let is_full = self.waiting.load(Ordering::Relaxed) + cost > WAITING_BYTES_MAX;
        if is_full || data.packet.len() > PACKET_BYTES_MAX {
            return Drops::count(&self.shared.drops.data_unsent);
        }
        self.waiting.fetch_add(cost, Ordering::Relaxed);
        // The queue is read for as long as this sender lives.
        let _ = self.packets.send(data);
    }

    /// The connection to use from now on.
    pub(crate) fn set_connection(&self, connection: Option<Connection>) {
        self.connection.send_replace(connection);
    }
}

fn cost(data: &RoomData) -> usize {
    data.packet.len() + PACKET_OVERHEAD
}

async fn send_all(
    mut queue: mpsc::UnboundedReceiver<RoomData>,
    waiting: Arc<AtomicUsize>,
    mut connections: watch::Receiver<Option<Connection>>,
    shared: Arc<Shared>,
) {
    let mut streams = Streams::default();
    while let Some(data) = queue.recv().await {
        waiting.fetch_sub(cost(&data), Ordering::Relaxed);
        let ready = timeout(CONNECTION_WAIT, connections.wait_for(Option::is_some)).await;
        let connection = ready.ok().and_then(|connection| connection.ok()?.clone());
        let Some(connection) = connection else {
            Drops::count(&shared.drops.data_unsent);
            continue;
        };
        if !streams.send(&connection, data).await {
            Drops::count(&shared.drops.data_unsent);
        }
    }
}

/// The open streams to one peer.
#[derive(Default)]
struct Streams {
    /// Which connection they belong to.
    connection: Option<usize>,
    open: BTreeMap<Head, SendStream>,
}

impl Streams {
    /// Sends one packet; false if it could not be.
    async fn send(&mut self, connection: &Connection, data: RoomData) -> bool {
        let head = Head { room: data.room, publisher: data.publisher };
        if data.reliable {
            return self.send_reliable(connection, head, data.number, &data.packet).await.is_ok();
        }
        let datagram = encode_datagram(&head, &data.packet);
        if connection.max_datagram_size().is_some_and(|size| datagram.len() <= size) {
            return connection.send_datagram(datagram).is_ok();
        }
        let Ok(mut stream) = connection.open_uni().await else { return false };
        stream.write_chunk(encode_one_off(&head, &data.packet)).await.is_ok()
    }

    async fn send_reliable(
        &mut self,
        connection: &Connection,
        head: Head,
        number: u64,
        packet: &bytes::Bytes,
    ) -> Result<(), quinn::WriteError> {
        if self.connection != Some(connection.stable_id()) {
            self.open.clear();
            self.connection = Some(connection.stable_id());
        }
        if !self.open.contains_key(&head) {
            if self.open.len() >= STREAMS_MAX {
                // Dropping a stream finishes it; its publisher gets a new one with its next packet.
                self.open.pop_first();
            }
            let mut stream = connection.open_uni().await?;
            stream.write_chunk(encode_stream_head(&head)).await?;
            self.open.insert(head.clone(), stream);
        }
        let Some(stream) = self.open.get_mut(&head) else { return Ok(()) };
        let mut chunks = [encode_packet_head(number, packet), packet.clone()];
        let written = stream.write_all_chunks(&mut chunks).await;
        if written.is_err() {
            self.open.remove(&head);
        }
        written
    }
}

/// Reads a data connection until it ends.
pub(crate) async fn read(
    connection: Connection,
    number: ConnectionNumber,
    peer: NodeId,
    news: NewsSender,
    shared: Arc<Shared>,
) {
    tokio::join!(read_streams(&connection, peer, &news, &shared), read_datagrams(&connection, peer, &news, &shared),);
    let _ = news.send(News::DataDown { number, peer }).await;
}

async fn read_streams(connection: &Connection, peer: NodeId, news: &NewsSender, shared: &Arc<Shared>) {
    // QUIC bounds how many streams the peer may have open.
    while let Ok(stream) = connection.accept_uni().await {
        let (news, shared) = (news.clone(), shared.clone());
        tokio::spawn(async move {
            if read_stream(stream, peer, &news).await.is_err() {
                Drops::count(&shared.drops.data_malformed);
                debug!(%peer, "a data stream cannot be read");
            }
        });
    }
}

async fn read_stream(
    mut stream: RecvStream,
    peer: NodeId,
    news: &NewsSender,
) -> Result<(), origo_cascade_core::wire::Malformed> {
    let mut reader = DataReader::default();
    while let Ok(chunk) = stream.read_chunk(CHUNK, true).await {
        let Some(chunk) = chunk else {
            if let Some(data) = reader.finish()? {
                let _ = news.send(News::Data { peer, data }).await;
            }
            return Ok(());
        };
        reader.push(&chunk.bytes);
        while let Some(data) = reader.next_packet()? {
            if news.send(News::Data { peer, data }).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn read_datagrams(connection: &Connection, peer: NodeId, news: &NewsSender, shared: &Shared) {
    while let Ok(datagram) = connection.read_datagram().await {
        match decode_datagram(&datagram) {
            Ok(data) => {
                let _ = news.send(News::Data { peer, data }).await;
            }
            Err(_) => Drops::count(&shared.drops.data_malformed),
        }
    }
}
