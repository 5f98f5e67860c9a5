//! A control connection: HELLO, then frames both ways, and gossip beside them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use origo_auth::NodeId;
use origo_cascade_core::wire::message::{Body, Hello};
use origo_cascade_core::wire::{Frame, FrameReader, Kind as MessageKind, encode_frame};
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::gossip::{GOSSIP_BYTES_MAX, Heard};
use crate::kind::Close;
use crate::news::{Connected, ConnectionNumber, Greeted, News, NewsSender};
use crate::stats::{Drops, Shared};

/// The one version there is.
const VERSION: u32 = 1;
/// Longest wait for the peer's HELLO.
const HELLO_MAX: Duration = Duration::from_secs(3);
/// Longest wait for a gossip message that has begun.
const GOSSIP_MAX: Duration = Duration::from_secs(2);
/// Frames that wait for a peer. A peer that takes so few is cut off; all that matters is said again when it returns.
const FRAMES_MAX: usize = 8192;
/// Bytes read in one go.
const CHUNK: usize = 64 << 10;
/// Frames written in one go.
const FRAMES_PER_WRITE: usize = 64;

/// Why a control connection does not begin.
#[derive(Debug, thiserror::Error)]
enum GreetError {
    #[error("no HELLO in time")]
    Late,
    #[error("the connection ended before HELLO")]
    Ended,
    #[error("not a HELLO but {0}")]
    NotHello(String),
    #[error("it speaks versions {lowest} to {highest}, we speak {VERSION}")]
    Version { lowest: u32, highest: u32 },
}

/// Our HELLO: this life of the node, and where it can be dialled.
pub(crate) fn hello_of(session: u64, address: SocketAddr, dial: Option<u64>) -> Hello {
    Hello {
        lowest: VERSION,
        highest: VERSION,
        capabilities: Vec::new(),
        session,
        dial: dial.unwrap_or(0),
        address: address.to_string(),
    }
}

/// Exchanges HELLOs; the connection is then news, or ended.
pub(crate) async fn greet(connected: Connected, ours: Hello, news: NewsSender, shared: Arc<Shared>) {
    let greeted = timeout(HELLO_MAX, exchange_hello(&connected, ours)).await.unwrap_or(Err(GreetError::Late));
    match greeted {
        Ok((hello, send, recv)) => {
            let greeted = Greeted { connected, hello, send, recv };
            let _ = news.send(News::Greeted(Box::new(greeted))).await;
        }
        Err(GreetError::Ended) if is_of_other_life(&connected.connection) => {
            let _ = news.send(News::OtherLife(connected.peer)).await;
        }
        Err(GreetError::Ended) => debug!(peer = %connected.peer, "a control connection ended before HELLO"),
        Err(error) => {
            Drops::count(&shared.drops.hello);
            warn!(peer = %connected.peer, %error, "a control connection is refused");
            let close = if matches!(error, GreetError::Version { .. }) { Close::Version } else { Close::Malformed };
            close.end(&connected.connection);
        }
    }
}

/// Whether the peer ended the connection because it is linked with a newer life of this node.
fn is_of_other_life(connection: &Connection) -> bool {
    connection.close_reason().is_some_and(|why| Close::OtherLife.is_why(&why))
}

async fn exchange_hello(connected: &Connected, ours: Hello) -> Result<(Hello, SendStream, RecvStream), GreetError> {
    let connection = &connected.connection;
    let streams = if connected.dial.is_some() { connection.open_bi().await } else { connection.accept_bi().await };
    let (mut send, mut recv) = streams.map_err(|_| GreetError::Ended)?;
    let frame = encode_frame(Hello::KIND as u64, &ours.to_body());
    send.write_chunk(frame).await.map_err(|_| GreetError::Ended)?;
    let hello = read_hello(&mut recv).await?;
    if !(hello.lowest..=hello.highest).contains(&VERSION) {
        return Err(GreetError::Version { lowest: hello.lowest, highest: hello.highest });
    }
    Ok((hello, send, recv))
}

/// Reads exactly the first frame: what comes after it stays in the stream.
async fn read_hello(recv: &mut RecvStream) -> Result<Hello, GreetError> {
    let mut reader = FrameReader::default();
    let frame = loop {
        let next = reader.next_frame().map_err(|error| GreetError::NotHello(error.to_string()))?;
        if let Some(frame) = next {
            break frame;
        }
        let mut byte = [0];
        recv.read_exact(&mut byte).await.map_err(|_| GreetError::Ended)?;
        reader.push(&byte);
    };
    if MessageKind::of(frame.kind) != Some(Hello::KIND) {
        return Err(GreetError::NotHello(format!("a message of type {}", frame.kind)));
    }
    Hello::from_body(&frame.body).map_err(|error| GreetError::NotHello(error.to_string()))
}

/// The way to write on a control connection.
#[derive(Clone)]
pub(crate) struct ControlSender {
    frames: mpsc::Sender<Bytes>,
    connection: Connection,
}

impl ControlSender {
    /// Queues a frame. A peer that does not take them is cut off.
    pub(crate) fn send(&self, kind: u64, body: &[u8]) {
        if self.frames.try_send(encode_frame(kind, body)).is_err() {
            Close::Slow.end(&self.connection);
        }
    }
}

/// Runs a control connection until it ends.
pub(crate) fn run(
    greeted: Greeted,
    news: NewsSender,
    heard: mpsc::Sender<Heard>,
    shared: Arc<Shared>,
) -> ControlSender {
    let Greeted { connected, send, recv, .. } = greeted;
    let Connected { number, peer, connection, .. } = connected;
    let (frames, queue) = mpsc::channel(FRAMES_MAX);
    tokio::spawn(write_frames(send, queue));
    tokio::spawn(hear_gossip(connection.clone(), heard, shared.clone()));
    let sender = ControlSender { frames, connection: connection.clone() };
    tokio::spawn(async move {
        read_frames(recv, number, peer, &connection, &news, &shared).await;
        let leaving = connection.close_reason().is_some_and(|why| Close::Leaving.is_why(&why));
        if is_of_other_life(&connection) {
            let _ = news.send(News::OtherLife(peer)).await;
        }
        // Whatever ended the stream ends the connection.
        Close::Done.end(&connection);
        let _ = news.send(News::ControlDown { number, peer, leaving }).await;
    });
    sender
}

async fn write_frames(mut send: SendStream, mut queue: mpsc::Receiver<Bytes>) {
    let mut frames = Vec::with_capacity(FRAMES_PER_WRITE);
    while queue.recv_many(&mut frames, FRAMES_PER_WRITE).await > 0 {
        if send.write_all_chunks(&mut frames).await.is_err() {
            return;
        }
        frames.clear();
    }
}

async fn read_frames(
    mut recv: RecvStream,
    number: ConnectionNumber,
    peer: NodeId,
    connection: &Connection,
    news: &NewsSender,
    shared: &Shared,
) {
    let mut reader = FrameReader::default();
    while let Ok(Some(chunk)) = recv.read_chunk(CHUNK, true).await {
        reader.push(&chunk.bytes);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    if news.send(frame_news(number, peer, frame)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    Drops::count(&shared.drops.frame);
                    warn!(%peer, %error, "a control connection is ended");
                    Close::Malformed.end(connection);
                    return;
                }
            }
        }
    }
}

fn frame_news(number: ConnectionNumber, peer: NodeId, frame: Frame) -> News {
    News::Frame { number, peer, frame }
}

/// Takes in gossip messages, one stream each.
async fn hear_gossip(connection: Connection, heard: mpsc::Sender<Heard>, shared: Arc<Shared>) {
    let from = connection.remote_address();
    while let Ok(mut stream) = connection.accept_uni().await {
        let message = timeout(GOSSIP_MAX, stream.read_to_end(GOSSIP_BYTES_MAX)).await;
        let is_taken = match message {
            Ok(Ok(message)) => heard.try_send(Heard { from, message }).is_ok(),
            _ => false,
        };
        if !is_taken {
            Drops::count(&shared.drops.gossip);
        }
    }
}
