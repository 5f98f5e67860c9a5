//! The driver: one thread that moves the datagrams and timers of many participants.
//!
//! Each connection has a socket of its own, as a browser's has: a server may tell sessions by address. Signaling runs
//! in tasks of the caller's tokio runtime and reaches the thread through its order channel.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use livekit_protocol as proto;
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use tokio::sync::{mpsc as async_mpsc, oneshot};

use crate::event::Event;
use crate::janus::{self, JanusError, JanusSeat};
use crate::join::Join;
use crate::options::Options;
use crate::participant::{Participant, Report};
use crate::session::{Command, Input, Output, Session};
use crate::signal::{SignalError, Socket};
use crate::totals::Totals;

/// Datagrams read with one call.
const BATCH: usize = 16;
/// A batch slot holds what GRO may merge.
const SLOT_BYTES: usize = 65_536;
/// Events that one call of the poll may give.
const READY_MAX: usize = 1024;
/// Asked of the kernel for each socket, so that a burst to a viewer that is not scheduled is kept.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// A participant has at most two connections: its tokens are `2 * id` and the next.
const CONNECTIONS_MAX: usize = 2;
/// The thread wakes up that often at most: what comes in between is handled together. Waking up for each datagram would
/// cost more than reading them.
const PACE: Duration = Duration::from_millis(1);
const WAKE: mio::Token = mio::Token(usize::MAX);

/// Why a participant could not join.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL names no host and port.
    #[error("{0:?} is no ws:// or http:// URL with a host")]
    Url(String),
    /// The host does not resolve.
    #[error("cannot resolve {host}: {error}")]
    Resolve {
        /// Host and port.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// No UDP socket.
    #[error("cannot open a UDP socket: {0}")]
    Udp(#[from] io::Error),
    /// The local address is none that ICE takes.
    #[error("the local address does not do for ICE: {0}")]
    Address(#[from] str0m::error::IceError),
    /// Signaling failed.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// Janus refused or failed.
    #[error(transparent)]
    Janus(#[from] JanusError),
    /// The server ended the session before it was connected.
    #[error("the session ended before it was connected: {0}")]
    Ended(String),
    /// It took too long.
    #[error("not connected within {0:?}")]
    Timeout(Duration),
}

/// What a handle or a signaling task asks of the thread.
pub(crate) enum Order {
    Add(usize, Box<Member>),
    Signal(usize, Box<proto::SignalResponse>),
    SignalClosed(usize, String),
    SignalBroken(usize, String),
    Command(usize, Command),
    Report(usize, oneshot::Sender<Report>),
    Totals(oneshot::Sender<Totals>),
    Stop,
}

type Events = async_mpsc::UnboundedReceiver<Event>;
/// What a session wants to tell its server.
pub(crate) type Signals = async_mpsc::UnboundedReceiver<Box<proto::SignalRequest>>;

/// A thread with many participants. Cheap to clone; the thread ends with the last clone and participant.
#[derive(Clone)]
pub struct Fleet(Arc<Shared>);

struct Shared {
    orders: mpsc::Sender<Order>,
    waker: mio::Waker,
    next_id: AtomicUsize,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The thread may have ended by itself.
        let _ = self.orders.send(Order::Stop);
        let _ = self.waker.wake();
    }
}

impl Fleet {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        Self::start_paced(PACE)
    }

    /// Starts the thread, to wake up at most once in so much time: the less, the more exact are instants, and the more
    /// each packet costs.
    pub fn start_paced(pace: Duration) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        let (orders, receiver) = mpsc::channel();
        let engine = Engine::new(poll, receiver, pace);
        std::thread::Builder::new().name("origo-fleet".to_owned()).spawn(move || engine.run())?;
        Ok(Self(Arc::new(Shared { orders, waker, next_id: AtomicUsize::new(0) })))
    }

    /// Joins a room and waits until the primary connection is up.
    pub async fn connect(&self, url: &str, token: &str, options: Options) -> Result<Participant, ConnectError> {
        let limit = options.join_timeout;
        let joining = self.join(url, token, options);
        tokio::time::timeout(limit, joining).await.map_err(|_| ConnectError::Timeout(limit))?
    }

    async fn join(&self, url: &str, token: &str, options: Options) -> Result<Participant, ConnectError> {
        let begun = Instant::now();
        let ip = local_ip_toward(url).await?;
        let connections = if options.single_connection { 1 } else { CONNECTIONS_MAX };
        let sockets = (0..connections).map(|_| bind(ip)).collect::<io::Result<Vec<_>>>()?;
        let local = sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
        let mut session = Session::new(&options, &local, Instant::now(), unix_us())?;
        let offer = options.single_connection.then(|| session.first_offer()).flatten();
        let signal_url = Join { url, token, options: &options, offer, resume: None }.signal_url();
        let offered = Instant::now();
        let socket = Socket::connect(&signal_url).await?;

        let (id, events, signals) = self.add(session, sockets)?;
        tokio::spawn(carry_signals(self.clone(), id, socket, signals));
        Participant::connected(self.clone(), id, events, (begun, offered)).await
    }

    /// Joins a room of Janus's VideoRoom and waits until the connection is up. A publisher connects with its first
    /// track, so what it publishes is given here.
    pub async fn connect_janus(
        &self,
        url: &str,
        seat: JanusSeat,
        options: Options,
    ) -> Result<Participant, ConnectError> {
        let limit = options.join_timeout;
        let joining = self.join_janus(url, seat, options);
        tokio::time::timeout(limit, joining).await.map_err(|_| ConnectError::Timeout(limit))?
    }

    async fn join_janus(&self, url: &str, seat: JanusSeat, options: Options) -> Result<Participant, ConnectError> {
        let begun = Instant::now();
        let sockets = vec![bind(local_ip_toward(url).await?)?];
        let local = sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
        let options = Options { single_connection: true, ..options };
        let session = Session::new(&options, &local, Instant::now(), unix_us())?;
        let gateway = janus::Gateway::connect(url, &seat).await?;
        let offered = Instant::now();
        let (id, events, signals) = self.add(session, sockets)?;
        for command in seat.publications() {
            self.order(Order::Command(id, command));
        }
        tokio::spawn(janus::carry(self.clone(), id, gateway, signals));
        Participant::connected(self.clone(), id, events, (begun, offered)).await
    }

    /// Puts a session onto the thread; its number, its events and what it wants to tell the server.
    fn add(&self, session: Session, sockets: Vec<UdpSocket>) -> io::Result<(usize, Events, Signals)> {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        // An owner that does not read its events starves nobody but itself, so these need no bound.
        let (events_in, events) = async_mpsc::unbounded_channel();
        let (signals_in, signals) = async_mpsc::unbounded_channel();
        self.order(Order::Add(id, Box::new(Member::new(session, sockets, signals_in, events_in)?)));
        Ok((id, events, signals))
    }

    /// What all participants of the thread received and sent so far.
    pub async fn totals(&self) -> Totals {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Totals(reply));
        answer.await.unwrap_or_default()
    }

    pub(crate) fn order(&self, order: Order) {
        // A thread that is gone has no participants: there is nothing to ask it.
        if self.0.orders.send(order).is_ok() {
            let _ = self.0.waker.wake();
        }
    }
}

/// Carries signaling between the socket and the thread, until either ends.
async fn carry_signals(fleet: Fleet, id: usize, mut socket: Socket, mut signals: Signals) {
    let broken = loop {
        tokio::select! {
            response = socket.next() => match response {
                Some(Ok(response)) => fleet.order(Order::Signal(id, Box::new(response))),
                Some(Err(error)) => break error.to_string(),
                None => {
                    let reason = "the server closed the signaling socket".to_owned();
                    return fleet.order(Order::SignalClosed(id, reason));
                }
            },
            request = signals.recv() => match request {
                Some(request) => if let Err(error) = socket.send(&request).await { break error.to_string() },
                None => return socket.close().await,
            },
        }
    };
    fleet.order(Order::SignalBroken(id, broken));
}

async fn local_ip_toward(url: &str) -> Result<IpAddr, ConnectError> {
    let wrong = || ConnectError::Url(url.to_owned());
    let uri: tokio_tungstenite::tungstenite::http::Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(80);
    let resolved = tokio::net::lookup_host((host.as_str(), port)).await;
    let mut addresses = resolved.map_err(|error| ConnectError::Resolve { host: format!("{host}:{port}"), error })?;
    let address = addresses.next().ok_or_else(wrong)?;
    let any: SocketAddr = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().expect("a literal address");
    let probe = UdpSocket::bind(any)?;
    probe.connect(address)?;
    Ok(probe.local_addr()?.ip())
}

fn bind(ip: IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((ip, 0))?;
    socket.set_nonblocking(true)?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    options.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    Ok(socket)
}

fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// One participant on the thread.
pub(crate) struct Member {
    session: Session,
    sockets: Vec<(mio::net::UdpSocket, UdpSocketState)>,
    signals: async_mpsc::UnboundedSender<Box<proto::SignalRequest>>,
    events: async_mpsc::UnboundedSender<Event>,
    due: Instant,
}

impl Member {
    fn new(
        session: Session,
        sockets: Vec<UdpSocket>,
        signals: async_mpsc::UnboundedSender<Box<proto::SignalRequest>>,
        events: async_mpsc::UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let batched = |socket: UdpSocket| {
            let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
            Ok((mio::net::UdpSocket::from_std(socket), state))
        };
        let sockets = sockets.into_iter().map(batched).collect::<io::Result<_>>()?;
        Ok(Self { session, sockets, signals, events, due: Instant::now() })
    }

    /// Does what the session asks; false when it is over.
    fn flush(&mut self) -> bool {
        loop {
            match self.session.poll_output() {
                // A datagram that the kernel does not take is lost, as on any network; a receiver that is gone does
                // not care.
                Output::Transmit(connection, transmit) => {
                    let _ = self.sockets[connection].0.send_to(&transmit.contents, transmit.destination);
                }
                Output::Signal(request) => {
                    let _ = self.signals.send(request);
                }
                Output::Event(event) => {
                    let _ = self.events.send(event);
                }
                Output::Closed => return false,
                Output::Timeout(at) => {
                    self.due = at;
                    return true;
                }
            }
        }
    }
}

/// The thread's state.
struct Engine {
    poll: mio::Poll,
    orders: mpsc::Receiver<Order>,
    members: BTreeMap<usize, Box<Member>>,
    due: BTreeSet<(Instant, usize)>,
    slots: Vec<Vec<u8>>,
    pace: Duration,
    /// What sessions that are over kept for whoever asks.
    ended: BTreeMap<usize, Report>,
}

impl Engine {
    fn new(poll: mio::Poll, orders: mpsc::Receiver<Order>, pace: Duration) -> Self {
        let slots = vec![vec![0; SLOT_BYTES]; BATCH];
        Self { pace, ended: BTreeMap::new(), poll, orders, members: BTreeMap::new(), due: BTreeSet::new(), slots }
    }

    fn run(mut self) {
        let mut ready = mio::Events::with_capacity(READY_MAX);
        let mut woke_at = Instant::now();
        loop {
            if let Some(rest) = self.pace.checked_sub(woke_at.elapsed()) {
                std::thread::sleep(rest);
            }
            let wait = self.due.first().map(|(at, _)| at.saturating_duration_since(Instant::now()));
            let polled = self.poll.poll(&mut ready, wait);
            woke_at = Instant::now();
            match polled {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    tracing::error!(%error, "polling failed; the fleet ends");
                    return;
                }
                _ => {}
            }
            for event in ready.iter().filter(|event| event.token() != WAKE) {
                self.receive(event.token().0 / CONNECTIONS_MAX, event.token().0 % CONNECTIONS_MAX);
            }
            while let Ok(order) = self.orders.try_recv() {
                if matches!(order, Order::Stop) {
                    return;
                }
                self.obey(order);
            }
            self.expire();
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Add(id, member) => self.add(id, member),
            Order::Signal(id, response) => self.input(id, Input::Signal(response)),
            Order::SignalClosed(id, reason) => self.input(id, Input::SignalClosed(reason)),
            Order::SignalBroken(id, reason) => self.input(id, Input::SignalBroken(reason)),
            Order::Command(id, command) => self.input(id, Input::Command(command)),
            Order::Report(id, reply) => {
                let report = self.members.get(&id).map(|member| report(&member.session));
                if let Some(report) = report.or_else(|| self.ended.remove(&id)) {
                    // The asker may have given up.
                    let _ = reply.send(report);
                }
            }
            Order::Totals(reply) => {
                let members = self.members.values();
                let _ = reply.send(members.fold(Totals::default(), |sum, member| sum + member.session.totals()));
            }
            Order::Stop => {}
        }
    }

    fn add(&mut self, id: usize, mut member: Box<Member>) {
        for (connection, (socket, _)) in member.sockets.iter_mut().enumerate() {
            let token = mio::Token(id * CONNECTIONS_MAX + connection);
            if let Err(error) = self.poll.registry().register(socket, token, mio::Interest::READABLE) {
                tracing::error!(%error, "a socket cannot be watched; the participant is dropped");
                return;
            }
        }
        self.due.insert((member.due, id));
        self.members.insert(id, member);
        self.flush(id);
    }

    fn input(&mut self, id: usize, input: Input<'_>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.session.handle_input(Instant::now(), input);
            self.flush(id);
        }
    }

    /// Reads a socket until it is empty: readiness is told once.
    fn receive(&mut self, id: usize, connection: usize) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let mut metas = [RecvMeta::default(); BATCH];
        while let Some((socket, state)) = member.sockets.get(connection) {
            let mut slots = self.slots.iter_mut().map(|slot| IoSliceMut::new(slot));
            let mut slots: [IoSliceMut<'_>; BATCH] = std::array::from_fn(|_| slots.next().expect("BATCH slots"));
            let Ok(count) = state.recv(UdpSockRef::from(socket), &mut slots, &mut metas) else { break };
            let now = Instant::now();
            for (meta, slot) in metas.iter().zip(&self.slots).take(count) {
                for datagram in slot[..meta.len].chunks(meta.stride.max(1)) {
                    member.session.handle_input(now, Input::Datagram { connection, from: meta.addr, datagram });
                }
            }
            // Fewer than were asked for: the socket is empty, and what comes from now on is told again.
            if count < BATCH {
                break;
            }
        }
        self.flush(id);
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some(&(at, id)) = self.due.first() {
            if at > now {
                return;
            }
            let Some(member) = self.members.get_mut(&id) else {
                self.due.pop_first();
                continue;
            };
            member.session.handle_input(now, Input::Timeout);
            self.flush(id);
        }
    }

    /// Does what a session asks, and keeps its place among the timers.
    fn flush(&mut self, id: usize) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let before = member.due;
        if member.flush() {
            if member.due != before {
                self.due.remove(&(before, id));
                self.due.insert((member.due, id));
            }
            return;
        }
        self.due.remove(&(before, id));
        if let Some(member) = self.members.remove(&id).filter(|member| member.session.record) {
            self.ended.insert(id, report(&member.session));
        }
    }
}

fn report(session: &Session) -> Report {
    let (tracks, descriptions) = (session.report(Instant::now()), session.descriptions);
    Report { tracks, sent: session.sent(), descriptions, made: session.made() }
}
