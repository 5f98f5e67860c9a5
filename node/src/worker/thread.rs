//! The worker's thread: receive all that is there, let the worker route it, send what comes out, wait.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Receiver;
use mio::{Events, Interest, Poll, Token, Waker};
use origo_cascade_core::link;
use origo_node_core::media::{Command, Event, Input, Output, Stats, Transport, Worker, WorkerConfig};
use tokio::sync::mpsc;

use super::busy::{Busy, Load};
use super::entrance::{ARRIVALS_MAX, Offered};
use super::handle::{Shared, WorkerHandle};
use super::inlet::Inlet;
use super::reports::Reports;
use super::socket::Socket;
use super::streams::Streams;
use super::{Config, StartError, siblings};

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

/// Commands that may wait: a few for each of thousands of sessions.
const COMMANDS_MAX: usize = 65_536;
/// Link batches that may wait before the link thread drops.
const BATCHES_MAX: usize = 1024;
/// Kernel batches, commands and link batches taken before the burst is routed, so that no source starves another.
const RECEIVES_PER_TURN: usize = 16;
const COMMANDS_PER_TURN: usize = 1024;
const BATCHES_PER_TURN: usize = 64;
const STREAMS_PER_TURN: usize = 16;
/// The longest sleep; also how old the published counters may be.
const PUBLISH: Duration = Duration::from_millis(250);

/// Starts the thread.
pub(super) fn spawn(
    config: Config,
    mut socket: Socket,
    events: mpsc::UnboundedSender<Event>,
) -> Result<WorkerHandle, StartError> {
    let index = config.index;
    let failed = |source| StartError::Thread { index, source };
    let poll = Poll::new().map_err(failed)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(failed)?);
    poll.registry().register(socket.source(), SOCKET, Interest::READABLE).map_err(failed)?;

    let streams = Streams::new(poll.registry().try_clone().map_err(failed)?);
    let address = socket.address();
    let addresses: Vec<_> = config.advertise.iter().map(|&ip| SocketAddr::new(ip, address.port())).collect();
    let shared = Arc::new(Shared {
        stats: Mutex::new(Stats::default()),
        load: Load::default(),
        links: OnceLock::new(),
        siblings: OnceLock::new(),
        stop: false.into(),
        commands_lost: 0.into(),
        traffic: Default::default(),
    });
    let reports = Reports::new(events);
    let (commands, command_queue) = crossbeam_channel::bounded(COMMANDS_MAX);
    let (batches, batch_queue) = crossbeam_channel::bounded(BATCHES_MAX);
    let (from_siblings, sibling_queue) = crossbeam_channel::bounded(siblings::WAITING_MAX);
    let (arrivals, arrival_queue) = crossbeam_channel::bounded(ARRIVALS_MAX);
    let now = Instant::now();
    let core = WorkerConfig {
        addresses: addresses.clone(),
        tcp_addresses: config.tcp.clone(),
        bwe: config.bwe,
        egress: config.egress,
        loudest: config.loudest,
        sections: config.sections,
        place: (index, config.count.max(index + 1)),
    };
    let driver = Driver {
        worker: Worker::new(core, now).seeded(rand::random()).at_time(ntp_now()),
        socket,
        inlet: Inlet::new(),
        streams,
        addresses,
        tcp_addresses: config.tcp,
        arrivals: arrival_queue,
        commands: command_queue,
        batches: batch_queue,
        from_siblings: sibling_queue,
        reports: reports.clone(),
        shared: Arc::clone(&shared),
        busy: Busy::new(now),
        published: now,
    };
    let thread =
        std::thread::Builder::new().name(format!("media-{index}")).spawn(move || driver.run(poll)).map_err(failed)?;
    tracing::info!(worker = index, %address, "media worker listens");
    Ok(WorkerHandle { address, shared, commands, batches, from_siblings, arrivals, waker, thread, reports })
}

struct Driver {
    worker: Worker,
    socket: Socket,
    inlet: Inlet,
    streams: Streams,
    addresses: Vec<SocketAddr>,
    tcp_addresses: Vec<SocketAddr>,
    arrivals: Receiver<Offered>,
    commands: Receiver<Command>,
    batches: Receiver<Vec<link::Received>>,
    from_siblings: Receiver<Vec<link::Received>>,
    reports: Reports,
    shared: Arc<Shared>,
    busy: Busy,
    published: Instant,
}

impl Driver {
    fn run(mut self, mut poll: Poll) {
        let mut events = Events::with_capacity(256);
        let mut readable = true;
        let mut next = Instant::now();
        while !self.shared.stop.load(Ordering::Acquire) {
            let brought = !self.batches.is_empty() || !self.from_siblings.is_empty();
            let queued = !self.commands.is_empty() || brought || !self.arrivals.is_empty();
            let more = readable || queued || self.streams.has_more();
            let before = Instant::now();
            let wait = if more { Duration::ZERO } else { next.saturating_duration_since(before).min(PUBLISH) };
            if let Err(error) = poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "media worker cannot wait for its socket");
                return;
            }
            let now = Instant::now();
            self.busy.waited(before, now, &self.shared.load);
            readable |= events.iter().any(|event| event.token() == SOCKET);
            // Now and then whether it was told or not: a batch that an error cut short looks like the last one.
            readable |= now.saturating_duration_since(self.published) >= PUBLISH;
            if readable {
                readable = self.receive(now);
            }
            for event in &events {
                self.streams.told(event.token(), event.is_writable());
            }
            self.receive_streams(now);
            self.take(now);
            if next <= now {
                self.worker.handle_input(now, Input::Timeout);
            }
            self.worker.handle_input(now, Input::BurstEnd);
            next = self.drain();
            self.count_traffic();
            self.publish(now);
        }
        self.worker.handle_input(Instant::now(), Input::Shutdown);
        self.drain();
    }

    /// Feeds what the socket has; true when there may be more.
    fn receive(&mut self, now: Instant) -> bool {
        for _ in 0..RECEIVES_PER_TURN {
            let Self { inlet, socket, worker, addresses, .. } = self;
            let each = |source: SocketAddr, to: Option<IpAddr>, contents: &[u8]| {
                let destination = destination(addresses, source, to);
                worker.handle_input(now, Input::Datagram { source, transport: Transport::Udp, destination, contents });
            };
            match inlet.receive(socket, each) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    // Linux reports a client's closed port (ICMP) on the next receive; the socket itself is fine.
                    tracing::debug!(%error, "receive failed");
                }
            }
        }
        true
    }

    /// Feeds what TCP connections have, and takes over the new ones that are for us.
    fn receive_streams(&mut self, now: Instant) {
        let Self { streams, worker, tcp_addresses, arrivals, .. } = self;
        let Some(&any) = tcp_addresses.first() else {
            // No client is told to come over TCP.
            return arrivals.try_iter().for_each(|offered| drop(offered.back.send(Some(offered.arrival))));
        };
        let feed = |worker: &mut Worker, source: SocketAddr, contents: &[u8]| {
            // Through NAT the address that the client used is not ours; any of its family stands for it.
            let destination =
                if any.is_ipv4() == source.is_ipv4() { any } else { destination(tcp_addresses, source, None) };
            worker.handle_input(now, Input::Datagram { source, transport: Transport::Tcp, destination, contents });
        };
        for Offered { arrival, back } in arrivals.try_iter().take(STREAMS_PER_TURN) {
            if !worker.knows(&arrival.ufrag) {
                // Nobody waits for it any more only while the node shuts down.
                drop(back.send(Some(arrival)));
                continue;
            }
            drop(back.send(None));
            let source = arrival.source;
            if let Err(reason) = streams.insert(now, arrival, |contents| feed(worker, source, contents)) {
                worker.count_dropped("ice tcp", reason);
            }
        }
        let oversized = streams.receive(now, |source, contents| feed(worker, source, contents));
        (0..oversized).for_each(|_| worker.count_dropped("ice tcp", "oversized frame"));
    }

    /// Feeds what the rooms, the links and other workers brought.
    fn take(&mut self, now: Instant) {
        for command in self.commands.try_iter().take(COMMANDS_PER_TURN) {
            self.worker.handle_input(now, Input::Command(command));
        }
        for batch in self.batches.try_iter().take(BATCHES_PER_TURN) {
            self.worker.handle_input(now, Input::Link(batch));
        }
        for batch in self.from_siblings.try_iter().take(BATCHES_PER_TURN) {
            self.worker.handle_input(now, Input::Sibling(batch));
        }
    }

    /// Sends and tells everything that came out; says when to come back.
    fn drain(&mut self) -> Instant {
        let (mut unsent, mut unqueued, mut untold, mut behind, mut unasked) = (0, 0, 0, 0, 0);
        let sibling = |to: usize| self.shared.siblings.get().and_then(|siblings| siblings.get(to));
        let next = loop {
            match self.worker.poll_output() {
                Output::Transmit(transmit) if transmit.transport == Transport::Tcp => {
                    unqueued += self.streams.send(&transmit);
                }
                Output::Transmit(transmit) => unsent += u64::from(self.socket.send(&transmit).is_err()),
                Output::Event(event) => untold += u64::from(!self.reports.send(event)),
                Output::Link(sends) => {
                    if let Some(links) = self.shared.links.get() {
                        links(sends);
                    }
                }
                Output::Sibling { to, batch } => behind += sibling(to).map_or(0, |sibling| sibling.hand(batch)),
                Output::Ask { to, ask } => unasked += u64::from(!sibling(to).is_some_and(|sibling| sibling.ask(ask))),
                Output::Timeout(at) => break at,
            }
        };
        for _ in 0..untold {
            self.worker.count_dropped("data", "rooms too slow");
        }
        for _ in 0..unsent {
            self.worker.count_dropped("datagram", "socket full");
        }
        for _ in 0..behind {
            self.worker.count_dropped("sibling packet", "media worker behind");
        }
        for _ in 0..unasked {
            tracing::error!("a media worker does not keep up: another one's wish is lost");
            self.worker.count_dropped("command", "queue full");
        }
        for _ in 0..unqueued {
            self.worker.count_dropped("datagram", "tcp queue full");
        }
        next
    }

    fn count_traffic(&self) {
        let stats = self.worker.stats();
        let [bytes, datagrams] = &self.shared.traffic;
        for (count, value) in bytes.iter().chain(datagrams).zip([
            stats.bytes_out,
            stats.bytes_in,
            stats.datagrams_out,
            stats.datagrams_in,
        ]) {
            count.store(value, Ordering::Relaxed);
        }
    }

    fn publish(&mut self, now: Instant) {
        if now.saturating_duration_since(self.published) < PUBLISH {
            return;
        }
        self.published = now;
        let (unproved, silent) = self.streams.sweep(now);
        (0..unproved).for_each(|_| self.worker.count_dropped("ice tcp", "unproved"));
        (0..silent).for_each(|_| self.worker.count_dropped("ice tcp", "silent"));
        if let Ok(mut stats) = self.shared.stats.lock() {
            stats.clone_from(self.worker.stats());
            stats.tcp_streams = self.streams.len() as u64;
        }
    }
}

/// The time of day as RTCP tells it: seconds since 1900, UQ32.32.
fn ntp_now() -> u64 {
    /// From there to 1970.
    const SECONDS_BEFORE_UNIX: u64 = 2_208_988_800;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    ((since.as_secs() + SECONDS_BEFORE_UNIX) << 32) | fraction
}

/// Which of our advertised addresses a datagram was sent to: the very one, else one of the client's family (NAT hides
/// the one that the client used).
fn destination(addresses: &[SocketAddr], source: SocketAddr, to: Option<IpAddr>) -> SocketAddr {
    let exact = addresses.iter().find(|address| Some(address.ip()) == to);
    let family = || addresses.iter().find(|address| address.is_ipv4() == source.is_ipv4());
    *exact.or_else(family).unwrap_or(&addresses[0])
}
