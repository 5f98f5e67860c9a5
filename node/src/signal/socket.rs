//! One client's web socket: moves requests to the rooms and responses to the client, and ends when either is gone.

use std::time::Duration;

use axum::Error;
use axum::extract::ws::close_code::{INVALID, NORMAL, POLICY, SIZE};
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket};
use futures_util::{FutureExt, SinkExt};
use livekit_protocol::signal_response::Message as Say;
use livekit_protocol::{JoinResponse, SignalResponse};
use tokio::pin;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::frame::{Format, Read};
use crate::metrics::Dropped;
use crate::rooms::{RoomsHandle, SessionOutput, SessionStream};

/// How often we look whether to ping; LiveKit's interval.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Who was heard within this need not be pinged: SDKs ping by themselves, and a crowd's pongs would wake us as often again.
const PINGED_AFTER: Duration = Duration::from_secs(5);
/// How long a client may be silent on the socket, pongs included: it is asked to ping every second and answers our pings.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// How long a client may take to its first request: every SDK asks for something or pings within 5 s.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(20);
/// Requests that a client may send at once, and then the time between two. A join brings some dozens (candidates,
/// tracks, subscriptions); who sends more is read no faster, and no one else waits behind it.
const BURST_MAX: u32 = 500;
const REQUEST_INTERVAL: Duration = Duration::from_millis(10);
/// Answers that are written together.
const AT_ONCE_MAX: usize = 8;
/// How long one message may wait for a client that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for the client's half of a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a socket that failed is read for what the client sent before: it is in our buffers, or it is not.
const LAST_WORDS_MAX: Duration = Duration::from_millis(50);

/// Why a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The rooms closed the session.
    Rooms,
    /// The client closed or lost its socket.
    Client,
    /// A message of the client is no signal request.
    Malformed,
    /// A message of the client is above the bound.
    Oversized,
    /// The client said nothing in time.
    Silent,
    /// The client does not read what is sent to it.
    Stalled,
}

impl End {
    /// How it is counted, when it is the client's fault.
    fn labels(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Rooms | Self::Client => None,
            Self::Malformed => Some(("frame", "malformed")),
            Self::Oversized => Some(("frame", "oversized")),
            Self::Silent => Some(("socket", "silent")),
            Self::Stalled => Some(("socket", "stalled")),
        }
    }

    /// What the client is told; one that is gone is told nothing.
    fn close_frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Client => return None,
            Self::Rooms => (NORMAL, "the session is over"),
            Self::Malformed => (INVALID, "malformed signal message"),
            Self::Oversized => (SIZE, "signal message too large"),
            Self::Silent => (POLICY, "nothing heard from you in time"),
            Self::Stalled => (POLICY, "you do not read what is sent to you"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}

/// Serves a socket until it ends. Dropping the stream tells the rooms.
pub(super) async fn run(socket: WebSocket, stream: SessionStream, rooms: RoomsHandle, dropped: &Dropped) {
    let now = Instant::now();
    let mut connection = Connection {
        socket,
        stream,
        rooms,
        dropped,
        format: Format::default(),
        heard: now,
        has_asked: false,
        unsent: 0,
        paid_at: now,
    };
    let end = connection.serve().await;
    if let Some((what, reason)) = end.labels() {
        dropped.count(what, reason);
    }
    tracing::info!(?end, "signaling closed");
    connection.close(end).await;
}

struct Connection<'a> {
    socket: WebSocket,
    stream: SessionStream,
    rooms: RoomsHandle,
    dropped: &'a Dropped,
    format: Format,
    /// When the client last sent anything.
    heard: Instant,
    /// The client has sent a request.
    has_asked: bool,
    /// Answers that wait to be written.
    unsent: usize,
    /// When the client will have paid for its requests, at [`REQUEST_INTERVAL`] each.
    paid_at: Instant,
}

impl Connection<'_> {
    async fn serve(&mut self) -> End {
        let opened = Instant::now();
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let patience = sleep_until(opened + FIRST_REQUEST_MAX);
        pin!(patience);
        loop {
            let may_ask_at = self.may_ask_at();
            let may_ask = may_ask_at <= Instant::now();
            let went = tokio::select! {
                output = self.stream.next() => self.pass_on(output).await,
                received = self.socket.recv(), if may_ask => self.receive_all(received).await,
                () = sleep_until(may_ask_at), if !may_ask => Ok(()),
                _ = pings.tick() => self.ping().await,
                // Whom something was heard from since gets its time then: to put it off each time would cost more.
                () = &mut patience => match self.has_asked.then(|| self.heard + SILENCE_MAX) {
                    Some(later) if later > Instant::now() => {
                        patience.as_mut().reset(later);
                        Ok(())
                    }
                    _ => Err(End::Silent),
                },
            };
            match went {
                Ok(()) => {}
                Err(End::Client) => {
                    self.hear_last_words().await;
                    return End::Client;
                }
                Err(end) => return end,
            }
        }
    }

    /// A client that leaves closes its end at once, so that sending to it may fail before its goodbye is read.
    async fn hear_last_words(&mut self) {
        for _ in 0..BURST_MAX {
            let Ok(received) = timeout(LAST_WORDS_MAX, self.socket.recv()).await else { return };
            if self.receive(received).await.is_err() {
                return;
            }
        }
    }

    /// Writes what the rooms say, together with what they have said right behind it: who joins is told three things.
    async fn pass_on(&mut self, mut output: Option<SessionOutput>) -> Result<(), End> {
        let mut ended = Ok(());
        for told in 1.. {
            let Some(SessionOutput::Signal(response)) = output else {
                ended = Err(End::Rooms);
                break;
            };
            name_span(&response);
            sent(timeout(WRITE_TIMEOUT, self.socket.feed(self.format.write(&response))).await)?;
            // What is taken has to be written, so that nothing more may be taken at the bound.
            match (told < AT_ONCE_MAX).then(|| self.stream.next().now_or_never()).flatten() {
                Some(next) => output = next,
                None => break,
            }
        }
        sent(timeout(WRITE_TIMEOUT, self.socket.flush()).await)?;
        ended
    }

    async fn ping(&mut self) -> Result<(), End> {
        if self.heard.elapsed() < PINGED_AFTER { Ok(()) } else { self.send(Frame::Ping(Default::default())).await }
    }

    async fn send(&mut self, frame: Frame) -> Result<(), End> {
        sent(timeout(WRITE_TIMEOUT, self.socket.send(frame)).await)
    }

    /// From when on the client may ask for something.
    fn may_ask_at(&self) -> Instant {
        self.paid_at.checked_sub(REQUEST_INTERVAL * BURST_MAX).unwrap_or(self.heard)
    }

    /// Takes what came, and what came right behind a request that is answered at once, before it writes the answers: SDKs
    /// ping in two ways, one after the other. What is for the rooms takes turns with what they say.
    async fn receive_all(&mut self, mut received: Option<Result<Frame, Error>>) -> Result<(), End> {
        loop {
            let before = self.unsent;
            self.receive(received).await?;
            let may_ask = self.may_ask_at() <= Instant::now();
            let goes_on = may_ask && (before + 1..AT_ONCE_MAX).contains(&self.unsent);
            match goes_on.then(|| self.socket.recv().now_or_never()).flatten() {
                Some(next) => received = next,
                None => break,
            }
        }
        if std::mem::take(&mut self.unsent) == 0 {
            return Ok(());
        }
        sent(timeout(WRITE_TIMEOUT, self.socket.flush()).await)
    }

    async fn receive(&mut self, received: Option<Result<Frame, Error>>) -> Result<(), End> {
        self.heard = Instant::now();
        match received {
            Some(Ok(Frame::Binary(bytes))) => self.request(Format::Protobuf, &bytes).await,
            Some(Ok(Frame::Text(text))) => self.request(Format::Json, text.as_bytes()).await,
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Ok(()),
            Some(Ok(Frame::Close(_))) | None => Err(End::Client),
            Some(Err(error)) => Err(end_of(error)),
        }
    }

    async fn request(&mut self, format: Format, bytes: &[u8]) -> Result<(), End> {
        self.has_asked = true;
        self.paid_at = self.paid_at.max(Instant::now()) + REQUEST_INTERVAL;
        self.format = format;
        match format.read(bytes) {
            Read::Request(request) => {
                tracing::trace!(?request, "request");
                if let Some(answer) = self.rooms.at_once(&request) {
                    self.unsent += 1;
                    return sent(timeout(WRITE_TIMEOUT, self.socket.feed(format.write(&answer))).await);
                }
                self.rooms.signal(self.stream.session(), *request).await;
                Ok(())
            }
            Read::Unknown => {
                self.dropped.count("frame", "unknown");
                Ok(())
            }
            Read::Malformed => Err(End::Malformed),
        }
    }

    /// Everything before it is sent already: responses come in order, and the rooms' close is the last.
    async fn close(mut self, end: End) {
        let Some(frame) = end.close_frame() else { return };
        let closing = async {
            if self.socket.send(Frame::Close(Some(frame))).await.is_ok() {
                // Until the client has read it all: what is left unread at our end would reset the connection.
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        // A client that does not answer is left alone.
        let _ = timeout(CLOSE_TIMEOUT, closing).await;
    }
}

/// How a write went.
fn sent(wrote: Result<Result<(), Error>, Elapsed>) -> Result<(), End> {
    match wrote {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Client),
        Err(_) => Err(End::Stalled),
    }
}

/// The participant's id is known from the first response on.
fn name_span(response: &SignalResponse) {
    if let Some(Say::Join(JoinResponse { participant: Some(participant), .. })) = &response.message {
        tracing::Span::current().record("participant", &participant.sid);
    }
}

/// A socket breaks by the network, or by the client's frames.
fn end_of(error: Error) -> End {
    use tungstenite::Error as Broken;
    match error.into_inner().downcast_ref::<Broken>() {
        Some(Broken::Capacity(_)) => End::Oversized,
        Some(Broken::Utf8(_)) => End::Malformed,
        _ => End::Client,
    }
}
