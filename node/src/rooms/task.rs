//! The task that owns the rooms: feeds the core with what front-ends, workers and the mesh bring, and carries out what
//! it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use livekit_protocol as proto;
use origo_auth::token::{TOKEN_BYTES_MAX, mint};
use origo_auth::{Claims, NodeId, RoomKey};
use origo_cascade::MeshEvent;
use origo_cascade_core as cascade;
use origo_node_core::SessionId;
use origo_node_core::media::{self, Command};
use origo_node_core::room::{Answer, Ask, Input, Output, Rooms};
use origo_node_core::spread::Spread;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::pending::Pending;
use super::{Refusal, Request, RoomsStats, SessionOutput, Watching};
use crate::config::LiveKeys;
use crate::metrics::Dropped;
use crate::{paths, webhooks};

/// Asks something of a media worker, by its number; never waits.
pub type ToWorker = Box<dyn Fn(usize, Command) + Send>;
/// How busy each media worker is.
pub type Loads = Box<dyn Fn() -> Vec<f64> + Send>;
/// Asks something of the cascade; never waits.
pub type ToMesh = Arc<dyn Fn(cascade::Input) + Send + Sync>;

/// What the task works with.
pub struct Parts {
    /// The core.
    pub rooms: Rooms,
    /// What media workers tell.
    pub media: mpsc::UnboundedReceiver<media::Event>,
    /// What the mesh tells.
    pub news: mpsc::Receiver<MeshEvent>,
    /// To the media workers.
    pub command: ToWorker,
    /// Which of them each session sits on.
    pub spread: Spread,
    /// What decides that, besides what they were given.
    pub loads: Loads,
    /// To the mesh.
    pub ask: ToMesh,
    /// Sign the tokens that clients are given.
    pub keys: LiveKeys,
    /// Counts the sockets that are closed because their queue is full.
    pub dropped: Dropped,
    /// Where applications hear of what happens, if they are to.
    pub webhooks: Option<webhooks::Inlet>,
    /// What other nodes may ask of this one's part of paths.
    pub paths: paths::Answering,
}

/// What front-ends send.
pub(super) struct FrontEnds {
    pub requests: mpsc::Receiver<Request>,
    pub closed: mpsc::UnboundedReceiver<SessionId>,
}

/// One client's way out.
struct Outlet {
    outgoing: mpsc::Sender<SessionOutput>,
    /// Waits for the first response, which decides between a socket and an HTTP status.
    join: Option<oneshot::Sender<Result<(), Refusal>>>,
}

/// The running task.
pub(super) struct Task {
    rooms: Rooms,
    command: ToWorker,
    spread: Spread,
    loads: Loads,
    ask: ToMesh,
    keys: LiveKeys,
    dropped: Dropped,
    outlets: BTreeMap<SessionId, Outlet>,
    /// Sessions whose client reads too slowly: their sockets are closed with the next turn.
    stalled: Vec<SessionId>,
    wake_at: Instant,
    pending: Pending,
    webhooks: Option<webhooks::Inlet>,
    paths: paths::Answering,
}

/// Runs until `stop` comes; then every client is told and everything is withdrawn.
pub(super) async fn run(parts: Parts, mut front_ends: FrontEnds, mut stop: oneshot::Receiver<()>) {
    let Parts { rooms, mut media, mut news, command, spread, loads, ask, keys, dropped, webhooks, paths } = parts;
    let now = Instant::now();
    let mut task = Task {
        rooms,
        command,
        spread,
        loads,
        ask,
        keys,
        dropped,
        outlets: BTreeMap::new(),
        stalled: Vec::new(),
        wake_at: now,
        pending: Pending::default(),
        webhooks,
        paths,
    };
    loop {
        tokio::select! {
            Some(request) = front_ends.requests.recv() => task.request(request),
            Some(session) = front_ends.closed.recv() => {
                // What the client asked before it went is older, its goodbye above all.
                for _ in 0..front_ends.requests.len() {
                    front_ends.requests.try_recv().into_iter().for_each(|request| task.request(request));
                }
                task.closed(session);
            }
            Some(event) = media.recv() => {
                task.spread.heard(&event);
                task.turn(Input::Media(event));
            }
            Some(event) = news.recv() => task.news(event),
            () = tokio::time::sleep_until(task.wake_at.into()) => task.turn(Input::Timeout),
            _ = &mut stop => return task.shut_down(),
        }
    }
}

impl Task {
    fn request(&mut self, request: Request) {
        match request {
            Request::Join(join, outgoing, answer) => {
                self.outlets.insert(join.session, Outlet { outgoing, join: Some(answer) });
                self.turn(Input::Join(join));
            }
            Request::Signal(session, request) => self.turn(Input::Signal { session, request }),
            // Whoever asked may have gone meanwhile; then nobody misses the answer.
            Request::Path(room, track, answer) => drop(answer.send(self.rooms.path(&room, track))),
            Request::Watching(room, answer) => drop(answer.send(self.watching(&room))),
            Request::Stats(answer) => {
                let rooms_spread = self.spread.rooms_spread() as u64;
                drop(answer.send(RoomsStats { rooms_spread, ..self.rooms.stats() }));
            }
            Request::Admin(node, ask, answer) => self.admin(node, ask, answer),
            Request::Full(full) => self.turn(Input::Full(full)),
            Request::Drain(drain, told) => {
                self.turn(drain.map_or(Input::Undrain, |(refuges, people)| Input::Drain { refuges, people }));
                let _ = told.send(());
            }
        }
    }

    /// A call of the server API, for this node or for another.
    fn admin(&mut self, node: Option<NodeId>, mut ask: Ask, answer: oneshot::Sender<Answer>) {
        let Some(id) = self.pending.add(node, answer) else {
            return self.dropped.count("api call", "too many wait");
        };
        ask.id = id;
        match node {
            None => self.turn(Input::Admin(ask)),
            Some(to) => (self.ask)(cascade::Input::Ask { to, ask }),
        }
    }

    fn watching(&self, room: &RoomKey) -> Watching {
        Watching { watchers: self.rooms.watchers(room), countries: self.rooms.countries(room) }
    }

    /// Another node asks for this one's part of a room's paths.
    fn tell_paths(&mut self, from: NodeId, ask: Ask) {
        if !self.paths.answer(from, ask, |room| self.watching(room), self.ask.clone()) {
            self.dropped.count("api call", "too many wait");
        }
    }

    fn closed(&mut self, session: SessionId) {
        // A session that the rooms closed themselves has no outlet any more.
        if self.outlets.remove(&session).is_some() {
            self.turn(Input::SocketClosed(session));
        }
    }

    fn news(&mut self, event: MeshEvent) {
        match event {
            MeshEvent::Rooms(cascade::Event::Asked { from, ask }) if self.is_for_webhooks(&ask) => {
                if let Some(webhooks) = &self.webhooks {
                    webhooks.put(webhooks::Message::Asked(from, ask));
                }
            }
            MeshEvent::Rooms(cascade::Event::Asked { from, ask }) if ask.method == paths::METHOD => {
                self.tell_paths(from, ask);
            }
            MeshEvent::Rooms(cascade::Event::Answered { from, answer }) => self.pending.answer(Some(from), answer),
            MeshEvent::Rooms(event) => self.turn(Input::Mesh(event)),
            MeshEvent::Forward(room, forward) => self.command(&room, Command::Forward(forward)),
        }
    }

    fn is_for_webhooks(&self, ask: &Ask) -> bool {
        self.webhooks.is_some() && [webhooks::HAND_EVENT, webhooks::HAND_ROOM].contains(&ask.method.as_str())
    }

    /// One input, and everything that it leads to.
    fn turn(&mut self, input: Input) {
        self.rooms.handle_input(Instant::now(), unix_ms(), input);
        self.drain();
        while let Some(session) = self.stalled.pop() {
            tracing::info!(session = session.0, "a client does not read its signaling socket: closed");
            self.dropped.count("socket", "queue full");
            self.rooms.handle_input(Instant::now(), unix_ms(), Input::SocketClosed(session));
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            match self.rooms.poll_output() {
                Output::Signal { session, response } => self.signal(session, response),
                Output::Refuse { session, status, reason, elsewhere } => {
                    self.refuse(session, Refusal { status, reason, elsewhere });
                }
                Output::RefreshToken { session, claims } => self.refresh_token(session, &claims),
                Output::Close(session) => self.close(session),
                Output::Media { room, command } => self.command(&room, command),
                Output::Mesh(input) => (self.ask)(input),
                Output::Notice(notice) => {
                    if let Some(webhooks) = &self.webhooks {
                        webhooks.put(webhooks::Message::Notice(notice));
                    }
                }
                Output::Admin(answer) => self.pending.answer(None, answer),
                Output::Timeout(at) => {
                    self.wake_at = at;
                    return;
                }
            }
        }
    }

    /// Asks something of the workers that a room sits on.
    fn command(&mut self, room: &RoomKey, command: Command) {
        if matches!(command, Command::Open(_)) {
            self.spread.set_loads((self.loads)());
        }
        self.spread.take(room, command, &self.command);
    }

    fn signal(&mut self, session: SessionId, response: Box<proto::SignalResponse>) {
        let Some(outlet) = self.outlets.get_mut(&session) else { return };
        if let Some(join) = outlet.join.take() {
            // A front-end that gave up waiting drops its stream, which closes the session.
            let _ = join.send(Ok(()));
        }
        match outlet.outgoing.try_send(SessionOutput::Signal(response)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                // Dropping the sender ends the stream, and with it the socket.
                self.outlets.remove(&session);
                self.stalled.push(session);
            }
            // The socket is gone, and the news of it is on its way.
            Err(TrySendError::Closed(_)) => {}
        }
    }

    fn refresh_token(&mut self, session: SessionId, claims: &Claims) {
        let keys = self.keys.current();
        // A key that is no longer ours signs nothing: the client keeps the token that it has.
        let Some(key) = keys.0.get(&claims.iss) else { return };
        let mut token = mint(claims, &key.secret);
        // Large metadata may make it too long to be taken back.
        if token.len() > TOKEN_BYTES_MAX {
            token = mint(&Claims { origo_session: None, ..claims.clone() }, &key.secret);
        }
        if token.len() <= TOKEN_BYTES_MAX {
            let message = Some(proto::signal_response::Message::RefreshToken(token));
            self.signal(session, Box::new(proto::SignalResponse { message }));
        }
    }

    fn refuse(&mut self, session: SessionId, refusal: Refusal) {
        if let Some(Outlet { join: Some(join), .. }) = self.outlets.remove(&session) {
            // A front-end that gave up waiting needs no answer.
            let _ = join.send(Err(refusal));
        }
    }

    fn close(&mut self, session: SessionId) {
        if let Some(outlet) = self.outlets.remove(&session) {
            // When the queue is full the dropped sender closes the socket as well, after what is queued.
            let _ = outlet.outgoing.try_send(SessionOutput::Close);
        }
    }

    /// Every client hears that the node goes, and leaves its room as if by itself, so that others see it at once.
    fn shut_down(mut self) {
        let sessions: Vec<SessionId> = self.outlets.keys().copied().collect();
        for session in sessions {
            self.signal(session, Box::new(server_shutdown()));
            self.turn(Input::Signal { session, request: Box::new(leave()) });
            self.close(session);
        }
    }
}

fn server_shutdown() -> proto::SignalResponse {
    let leave = proto::LeaveRequest {
        reason: proto::DisconnectReason::ServerShutdown.into(),
        // The node may be back soon, and the SDK knows how long to try.
        action: proto::leave_request::Action::Reconnect.into(),
        ..proto::LeaveRequest::default()
    };
    proto::SignalResponse { message: Some(proto::signal_response::Message::Leave(leave)) }
}

fn leave() -> proto::SignalRequest {
    let leave = proto::LeaveRequest {
        reason: proto::DisconnectReason::ServerShutdown.into(),
        action: proto::leave_request::Action::Disconnect.into(),
        ..proto::LeaveRequest::default()
    };
    proto::SignalRequest { message: Some(proto::signal_request::Message::Leave(leave)) }
}

/// The wall clock, for what clients are shown.
pub(super) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
