//! A worker's TCP connections: clients whose network lets no UDP through (RFC 6544, passive).
//!
//! The door for clients accepts a connection and reads the first check; whoever knows its ufrag takes the stream over.

use std::any::Any;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use origo_node_core::media;

use super::framing::{Deframer, Outflow};

/// Connections of one worker; each takes some 2 KB, and [`super::framing`]'s queue while its client reads slowly.
const STREAMS_MAX: usize = 4_096;
/// Tokens below are the thread's own.
const FIRST_TOKEN: usize = 16;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Reads before the rest waits for the next turn, so that no client starves another.
const READS_PER_TURN: usize = 64;
/// How long a connection may go without a check that proves the password; until then nothing is sent on it.
const PROOF_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may say nothing: its checks come every few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A connection that was accepted elsewhere and whose first bytes were read.
pub struct Arrival {
    /// Not blocking.
    pub stream: std::net::TcpStream,
    /// The client.
    pub source: SocketAddr,
    /// What was read: it begins with a frame that names `ufrag`.
    pub first: Vec<u8>,
    /// Which WebRTC connection is meant.
    pub ufrag: String,
    /// Counts the connection; dropped with it.
    pub counted: Box<dyn Any + Send>,
}

struct Stream {
    stream: TcpStream,
    source: SocketAddr,
    deframer: Deframer,
    outflow: Outflow,
    opened: Instant,
    heard: Instant,
    /// Something was sent on it, so its client proved the password.
    proved: bool,
    /// In the list of streams to be read.
    ready: bool,
    _counted: Box<dyn Any + Send>,
}

/// All connections of a worker.
pub(super) struct Streams {
    registry: Registry,
    by_source: HashMap<SocketAddr, usize>,
    open: Vec<Option<Stream>>,
    free: Vec<usize>,
    ready: std::collections::VecDeque<usize>,
    buffer: Box<[u8]>,
}

impl Streams {
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            by_source: HashMap::new(),
            open: Vec::new(),
            free: Vec::new(),
            ready: std::collections::VecDeque::new(),
            buffer: vec![0; READ_BYTES].into(),
        }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.by_source.len()
    }

    /// Takes a connection over and gives its first datagrams to `each`. Says why not, as counters call it.
    pub fn insert(&mut self, now: Instant, arrival: Arrival, each: impl FnMut(&[u8])) -> Result<(), &'static str> {
        if self.len() >= STREAMS_MAX {
            return Err("too many");
        }
        let Arrival { stream, source, first, counted, .. } = arrival;
        let mut stream = TcpStream::from_std(stream);
        let index = self.free.last().copied().unwrap_or(self.open.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, Token(FIRST_TOKEN + index), interest).map_err(|_| "cannot be watched")?;
        let mut deframer = Deframer::default();
        if deframer.take(&first, each).is_err() {
            // It was just registered; dropping it closes it either way.
            let _ = self.registry.deregister(&mut stream);
            return Err("oversized frame");
        }
        let (opened, heard) = (now, now);
        let outflow = Outflow::default();
        let stream =
            Stream { stream, source, deframer, outflow, opened, heard, proved: false, ready: false, _counted: counted };
        if self.free.pop().is_none() {
            self.open.push(None);
        }
        self.open[index] = Some(stream);
        if let Some(old) = self.by_source.insert(source, index) {
            self.remove(old);
        }
        // What came meanwhile may have been told of before it was watched.
        self.mark(index);
        Ok(())
    }

    /// The system tells of a connection; others' tokens are ignored.
    pub fn told(&mut self, token: Token, writable: bool) {
        let Some(index) = token.0.checked_sub(FIRST_TOKEN) else { return };
        self.mark(index);
        if writable {
            self.flush(index);
        }
    }

    /// Whether some may have more to read.
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Reads what is there, within a turn's bound, and gives each datagram with its source to `each`. Says how many
    /// connections were closed for what they sent.
    pub fn receive(&mut self, now: Instant, mut each: impl FnMut(SocketAddr, &[u8])) -> u64 {
        let mut oversized = 0;
        for _ in 0..READS_PER_TURN {
            let Some(index) = self.ready.pop_front() else { break };
            let Some(stream) = self.open.get_mut(index).and_then(Option::as_mut) else { continue };
            match stream.stream.read(&mut self.buffer) {
                Ok(count @ 1..) => {
                    stream.heard = now;
                    self.ready.push_back(index);
                    let source = stream.source;
                    if stream.deframer.take(&self.buffer[..count], |datagram| each(source, datagram)).is_err() {
                        oversized += 1;
                        self.remove(index);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.ready = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.ready.push_back(index),
                Ok(_) | Err(_) => self.remove(index),
            }
        }
        oversized
    }

    /// Sends datagrams of one size to one client; says how many were dropped.
    pub fn send(&mut self, transmit: &media::Transmit<'_>) -> u64 {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let datagrams = transmit.contents.chunks(segment);
        let Some(&index) = self.by_source.get(&transmit.destination) else { return datagrams.len() as u64 };
        let Some(stream) = self.open[index].as_mut() else { return 0 };
        stream.proved = true;
        let dropped = datagrams.filter(|datagram| !stream.outflow.push(datagram)).count();
        self.flush(index);
        dropped as u64
    }

    /// Closes who proved nothing and who is silent; gives how many of each.
    pub fn sweep(&mut self, now: Instant) -> (u64, u64) {
        let (mut unproved, mut silent) = (0, 0);
        for index in 0..self.open.len() {
            let Some(stream) = &self.open[index] else { continue };
            if !stream.proved && now.saturating_duration_since(stream.opened) >= PROOF_TIMEOUT {
                unproved += 1;
            } else if now.saturating_duration_since(stream.heard) >= SILENCE_MAX {
                silent += 1;
            } else {
                continue;
            }
            self.remove(index);
        }
        (unproved, silent)
    }

    fn mark(&mut self, index: usize) {
        if let Some(stream) = self.open.get_mut(index).and_then(Option::as_mut)
            && !std::mem::replace(&mut stream.ready, true)
        {
            self.ready.push_back(index);
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(stream) = self.open.get_mut(index).and_then(Option::as_mut) else { return };
        while !stream.outflow.waiting().is_empty() {
            match stream.stream.write(stream.outflow.waiting()) {
                Ok(count @ 1..) => stream.outflow.wrote(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return self.remove(index),
            }
        }
    }

    fn remove(&mut self, index: usize) {
        let Some(mut stream) = self.open[index].take() else { return };
        // A failure means that it is not watched any more, which is what is wanted.
        let _ = self.registry.deregister(&mut stream.stream);
        if self.by_source.get(&stream.source) == Some(&index) {
            self.by_source.remove(&stream.source);
        }
        self.ready.retain(|&ready| ready != index);
        self.free.push(index);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as Client};

    use mio::Poll;
    use origo_node_core::media::{Transmit, Transport};

    use super::*;

    struct World {
        _poll: Poll,
        streams: Streams,
        listener: TcpListener,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let streams = Streams::new(poll.registry().try_clone().unwrap());
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            Self { _poll: poll, streams, listener, now: Instant::now() }
        }

        /// A client that has sent these bytes; its end, its address, and how many datagrams they were.
        fn connect(&mut self, first: &[u8]) -> (Client, SocketAddr, usize) {
            let client = Client::connect(self.listener.local_addr().unwrap()).unwrap();
            let (stream, source) = self.listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let (first, counted) = (first.to_vec(), Box::new(()));
            let arrival = Arrival { stream, source, first, ufrag: String::new(), counted };
            let mut datagrams = 0;
            self.streams.insert(self.now, arrival, |_| datagrams += 1).unwrap();
            (client, source, datagrams)
        }

        fn send(&mut self, destination: SocketAddr, contents: &[u8], segment_size: Option<usize>) -> u64 {
            self.streams.send(&Transmit { transport: Transport::Tcp, destination, contents, segment_size })
        }
    }

    #[test]
    fn datagrams_of_one_send_arrive_as_frames_of_their_own() {
        let mut world = World::new();
        let (mut client, source, datagrams) = world.connect(&[0, 1, 7, 0, 0, 0, 2, 8, 8]);
        assert_eq!(datagrams, 2, "an empty frame says nothing");
        assert_eq!(world.send(source, b"aaabbbc", Some(3)), 0);
        let mut received = [0; 13];
        client.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"\0\x03aaa\0\x03bbb\0\x01c");
        assert_eq!(world.send(([127, 0, 0, 1], 1).into(), b"aaabbbc", Some(3)), 3, "there is no such stream");
    }

    #[test]
    fn a_client_that_does_not_read_loses_datagrams_and_nothing_waits_for_it() {
        let mut world = World::new();
        let (_client, source, _) = world.connect(&[]);
        // Kernel buffers take some megabytes at most.
        let dropped: u64 = (0..20_000).map(|_| world.send(source, &[7; 1_200], None)).sum();
        assert!(dropped > 0);
    }

    #[test]
    fn who_proves_nothing_and_who_falls_silent_is_closed() {
        let mut world = World::new();
        let (_slow, ..) = world.connect(&[0, 9]);
        let (_client, source, _) = world.connect(&[]);
        world.send(source, b"proved", None);
        let later = |seconds| world.now + Duration::from_secs(seconds);
        let (before, proof, silence) = (later(9), later(10), later(30));
        assert_eq!(world.streams.sweep(before), (0, 0));
        assert_eq!(world.streams.sweep(proof), (1, 0));
        assert_eq!(world.streams.len(), 1);
        assert_eq!(world.streams.sweep(silence), (0, 1));
        assert_eq!(world.streams.len(), 0);
    }
}
