//! The node's rooms as front-ends see them: a handle onto the one task that owns the core's `Rooms`.
//!
//! Every queue here is bounded: a front-end that asks too fast waits, and a client that reads too slowly is closed.

mod pending;
#[cfg(test)]
pub mod scripted;
mod stream;
mod task;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use livekit_protocol::{SignalRequest, SignalResponse};
use origo_auth::{Identity, NodeId, RoomKey, TrackSid};
use origo_node_core::SessionId;
pub use origo_node_core::room::Elsewhere;
pub use origo_node_core::room::Stats as RoomsStats;
use origo_node_core::room::{Answer, Ask, Full, Join, Refuge, pong};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use stream::{SessionOutput, SessionStream};
pub use task::{Loads, Parts, ToMesh, ToWorker};

/// Requests of all front-ends that wait for the rooms task: a burst of 200 joining clients with some requests each.
const REQUESTS_MAX: usize = 2048;
/// How long a join may take, from the request to the first response: a client waits 5 s at most.
const JOIN_TIMEOUT: Duration = Duration::from_secs(4);

/// How long another node may take to answer a call: the farthest is 300 ms away.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a client does not get in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// A sentence.
    pub reason: String,
    /// Who has what was asked for.
    pub elsewhere: Option<Elsewhere>,
}

impl Refusal {
    fn unavailable(reason: &str) -> Self {
        Self { status: 503, reason: reason.into(), elsewhere: None }
    }
}

/// Who takes whose tracks of a room on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watching {
    /// Each participant here, with the nodes whose publishers' tracks it takes.
    pub watchers: Vec<(Identity, BTreeSet<NodeId>)>,
    /// Countries that the room stays in; empty for all.
    pub countries: Vec<String>,
}

/// What front-ends ask of the rooms task.
enum Request {
    Join(Box<Join>, mpsc::Sender<SessionOutput>, oneshot::Sender<Result<(), Refusal>>),
    Signal(SessionId, Box<SignalRequest>),
    Path(RoomKey, TrackSid, oneshot::Sender<Option<Vec<NodeId>>>),
    Watching(RoomKey, oneshot::Sender<Watching>),
    Stats(oneshot::Sender<RoomsStats>),
    /// The node drains, or does not any more; answered when everybody whom it concerns has been told.
    Drain(Option<(Vec<Refuge>, usize)>, oneshot::Sender<()>),
    /// The node lets no newcomers in, or does again.
    Full(Option<Full>),
    /// A call of the server API, for this node or for another.
    Admin(Option<NodeId>, Ask, oneshot::Sender<Answer>),
}

/// Talks to the rooms task. Cheap to clone.
#[derive(Clone)]
pub struct RoomsHandle {
    requests: mpsc::Sender<Request>,
    closed: mpsc::UnboundedSender<SessionId>,
    sessions: Arc<AtomicU64>,
    /// See [`RoomsHandle::at_once`].
    at_once: fn(&SignalRequest) -> Option<SignalResponse>,
}

/// The rooms task, to be ended.
pub struct RoomsTask {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RoomsTask {
    /// Tells every client that the node goes, withdraws everything, and ends the task.
    pub async fn stop(self) {
        // Fails only when the task is gone already.
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the rooms task broke");
        }
    }
}

/// Starts the rooms task. Must be called within a tokio runtime.
pub fn start(parts: Parts) -> (RoomsHandle, RoomsTask) {
    let (requests, request_queue) = mpsc::channel(REQUESTS_MAX);
    let (closed, closed_queue) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    let front_ends = task::FrontEnds { requests: request_queue, closed: closed_queue };
    let task = tokio::spawn(task::run(parts, front_ends, stopped));
    let sessions = Arc::new(AtomicU64::new(1));
    (RoomsHandle { requests, closed, sessions, at_once: answer_ping }, RoomsTask { stop, task })
}

impl RoomsHandle {
    /// A number for a new session: never the same twice in a process.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets a client in. The answer comes with the session's first response, so that a refusal is still an HTTP status;
    /// that response is the stream's first. When the stream is dropped, the rooms hear that the socket is gone.
    pub async fn join(&self, join: Join) -> Result<SessionStream, Refusal> {
        let (outgoing, responses) = mpsc::channel(stream::RESPONSES_MAX);
        let (answer, answered) = oneshot::channel();
        let stream = SessionStream::new(join.session, responses, self.closed.clone());
        let asked = self.requests.send(Request::Join(Box::new(join), outgoing, answer)).await;
        if asked.is_err() {
            return Err(Refusal::unavailable("the node is shutting down"));
        }
        match tokio::time::timeout(JOIN_TIMEOUT, answered).await {
            Ok(Ok(Ok(()))) => Ok(stream),
            Ok(Ok(Err(refusal))) => Err(refusal),
            Ok(Err(_)) => Err(Refusal::unavailable("the node is shutting down")),
            Err(_) => Err(Refusal::unavailable("the room did not answer in time")),
        }
    }

    /// The answer to a request that needs nothing of the rooms: clients ping each second, and of a thousand of them the
    /// rooms task would do little else than answer. None to what is to go on to [`Self::signal`].
    pub fn at_once(&self, request: &SignalRequest) -> Option<SignalResponse> {
        (self.at_once)(request)
    }

    /// A client's request. Waits while the rooms task is behind.
    pub async fn signal(&self, session: SessionId, request: SignalRequest) {
        // Fails only when the node shuts down; the stream ends then.
        let _ = self.requests.send(Request::Signal(session, Box::new(request))).await;
    }

    /// The nodes that a track's media passes, from the one where it is published to this one. None when the room has no
    /// such track.
    pub async fn path(&self, room: RoomKey, track: TrackSid) -> Option<Vec<NodeId>> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::Path(room, track, answer)).await.ok()?;
        answered.await.ok().flatten()
    }

    /// Who takes whose tracks of a room on this node; nobody when the room is not here.
    pub async fn watching(&self, room: RoomKey) -> Watching {
        let (answer, answered) = oneshot::channel();
        if self.requests.send(Request::Watching(room, answer)).await.is_err() {
            return Watching::default();
        }
        answered.await.unwrap_or_default()
    }

    /// Has this node, or another, do its part of a call of the server API. The call's number is chosen here.
    pub async fn admin(&self, node: Option<NodeId>, ask: Ask) -> Answer {
        let (answer, answered) = oneshot::channel();
        let unavailable =
            |sentence: &str| Answer { code: "unavailable".into(), sentence: sentence.into(), ..Answer::default() };
        if self.requests.send(Request::Admin(node, ask, answer)).await.is_err() {
            return unavailable("the node is shutting down");
        }
        match tokio::time::timeout(ASK_TIMEOUT, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => unavailable("the node is shutting down"),
            Err(_) => unavailable("a node did not answer in time"),
        }
    }

    /// The node drains: lets nobody in any more, and sends up to `people` on to other nodes, the best first.
    pub async fn drain(&self, refuges: Vec<Refuge>, people: usize) {
        self.tell_drain(Some((refuges, people))).await;
    }

    /// The node does not drain any more.
    pub async fn undrain(&self) {
        self.tell_drain(None).await;
    }

    /// The node lets no newcomers in, or does again. Never waits; says whether the rooms will hear of it.
    pub fn set_full(&self, full: Option<Full>) -> bool {
        self.requests.try_send(Request::Full(full)).is_ok()
    }

    async fn tell_drain(&self, drain: Option<(Vec<Refuge>, usize)>) {
        let (answer, answered) = oneshot::channel();
        if self.requests.send(Request::Drain(drain, answer)).await.is_ok() {
            // Fails only when the node shuts down.
            let _ = answered.await;
        }
    }

    /// How much there is on this node right now.
    pub async fn stats(&self) -> RoomsStats {
        let (answer, answered) = oneshot::channel();
        if self.requests.send(Request::Stats(answer)).await.is_err() {
            return RoomsStats::default();
        }
        answered.await.unwrap_or_default()
    }
}

fn answer_ping(request: &SignalRequest) -> Option<SignalResponse> {
    let message = pong(request.message.as_ref()?, task::unix_ms())?;
    Some(SignalResponse { message: Some(message) })
}

#[cfg(test)]
mod tests;
