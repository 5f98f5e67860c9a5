//! From the router to the wire: what a viewer's connection is asked to send, and datagrams laid out for offload.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use origo_cascade_core::link::Packet;

use super::Transmit;
use super::demux::Source;
use super::forward::Rewrite;
pub(crate) use super::ring::Kept;

/// Which way packets leave to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// str0m's, for every client.
    Str0m,
    /// Our own where an AES-GCM profile was agreed on; str0m's everywhere else.
    #[default]
    Own,
}

/// An outgoing stream of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Its SSRC.
    pub ssrc: u32,
    /// The viewer's payload type of the codec.
    pub payload_type: u8,
    /// The viewer's payload type of sound with redundancy; none when it does not take that.
    pub redundant_type: Option<u8>,
    /// Lost packets are sent again when asked for.
    pub resendable: bool,
    /// Dependency descriptors go along. Not with codecs whose layers are streams of their own: a publisher numbers
    /// frames over all of its streams, so that after a change of layers a descriptor names frames that the viewer never
    /// saw, and its decoder waits for them. Those codecs' own headers say all that a viewer needs.
    pub described: bool,
}

/// A packet for one viewer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    /// Where it goes.
    pub stream: Stream,
    /// What it is.
    pub packet: &'a Packet,
    /// How it leaves.
    pub rewrite: &'a Rewrite,
    /// When it was captured, for the viewer's lip sync.
    pub captured: Instant,
    /// Where it is kept for who loses it, if it is.
    pub kept: Option<Kept>,
    /// How long its payload is to be made, so that it leaves with the others of its picture; none to leave it as it is.
    pub even: Option<u16>,
}

/// Packets that are shorter than others by no more than this are made alike, so that they leave in one send.
pub(crate) const PADDING_MAX: usize = 16;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is in the outbox.
    Out,
    /// It leaves when the connection is next polled, a whole burst at once.
    Queued,
    /// It leaves with the chunk that is due then.
    Paced(Instant),
    /// It does not leave, for this reason.
    Refused(&'static str),
}

/// Takes packets for one viewer. There are two ways out: str0m's, and our own.
pub(crate) trait Sender {
    /// Takes one packet.
    fn write(&mut self, now: Instant, outbox: &mut Outbox, outgoing: &Outgoing<'_>) -> Written;
}

/// The most segments that one send carries (Linux `UDP_MAX_SEGMENTS`).
const SEGMENTS_MAX: usize = 64;
/// The most bytes of one send: a UDP datagram's length field, less headers.
const RUN_BYTES_MAX: usize = 65_000;

/// Room for one datagram while it is made: the largest payload, and a header with all extensions.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// What is made before it is sent: a few sends. More would leave the processor's cache before the kernel reads it.
const FULL_BYTES: usize = 64 * 1024;

/// Datagrams end to end in one reused buffer, grouped into runs of equal size to one destination.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// As long as it ever was.
    buffer: Vec<u8>,
    end: usize,
    runs: VecDeque<Run>,
}

#[derive(Debug)]
struct Run {
    destination: Source,
    bytes: Range<usize>,
    segment: usize,
    segments: usize,
    /// A shorter datagram ended it.
    complete: bool,
}

impl Outbox {
    /// Adds a datagram.
    pub fn push(&mut self, destination: Source, datagram: &[u8]) {
        let space = self.space(datagram.len());
        space.copy_from_slice(datagram);
        self.add(destination, datagram.len());
    }

    /// Adds a datagram that `make` makes where it is to lie; gives its length. It is told how long a datagram must be to
    /// leave together with those before it; 0 when there are none. False when it gives nothing.
    pub fn fill(&mut self, destination: Source, make: impl FnOnce(&mut [u8], usize) -> Option<usize>) -> bool {
        let segment = self.runs.back().filter(|run| run.takes(destination, run.segment)).map_or(0, |run| run.segment);
        let Some(length) = make(self.space(DATAGRAM_BYTES_MAX), segment) else { return false };
        self.add(destination, length);
        true
    }

    /// Whether it is time to send.
    pub fn is_full(&self) -> bool {
        self.end >= FULL_BYTES && !self.runs.is_empty()
    }

    fn space(&mut self, length: usize) -> &mut [u8] {
        if self.runs.is_empty() {
            self.end = 0;
        }
        if self.buffer.len() < self.end + length {
            self.buffer.resize(self.end + length, 0);
        }
        &mut self.buffer[self.end..self.end + length]
    }

    fn add(&mut self, destination: Source, length: usize) {
        let start = self.end;
        self.end += length;
        if let Some(run) = self.runs.back_mut()
            && run.takes(destination, length)
        {
            run.bytes.end += length;
            run.segments += 1;
            run.complete = length < run.segment;
            return;
        }
        let bytes = start..self.end;
        self.runs.push_back(Run { destination, bytes, segment: length, segments: 1, complete: false });
    }

    /// The next send, with how many datagrams it carries.
    pub fn pop(&mut self) -> Option<(Transmit<'_>, usize)> {
        let run = self.runs.pop_front()?;
        let segment_size = (run.segments > 1).then_some(run.segment);
        let contents = &self.buffer[run.bytes];
        let (transport, destination) = run.destination;
        Some((Transmit { transport, destination, contents, segment_size }, run.segments))
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

impl Run {
    fn takes(&self, destination: Source, length: usize) -> bool {
        self.destination == destination
            && !self.complete
            && length <= self.segment
            && self.segments < SEGMENTS_MAX
            && self.bytes.len() + length <= RUN_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::super::Transport;
    use super::*;

    fn to(port: u16) -> Source {
        (Transport::Udp, std::net::SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn runs(outbox: &mut Outbox) -> Vec<(u16, usize, Option<usize>)> {
        let mut runs = Vec::new();
        while let Some((transmit, _)) = outbox.pop() {
            runs.push((transmit.destination.port(), transmit.contents.len(), transmit.segment_size));
        }
        runs
    }

    #[test]
    fn datagrams_of_one_size_leave_together_and_a_shorter_one_ends_the_run() {
        let mut outbox = Outbox::default();
        for (port, length) in [(1, 100), (1, 100), (1, 40), (1, 40), (2, 40), (2, 41)] {
            outbox.push(to(port), &vec![0; length]);
        }
        assert_eq!(runs(&mut outbox), [(1, 240, Some(100)), (1, 40, None), (2, 40, None), (2, 41, None)]);
        outbox.push(to(3), &[7; 5]);
        assert_eq!(outbox.pop().unwrap().0.contents, [7; 5]);
    }

    #[test]
    fn an_outbox_that_was_full_has_room_once_it_was_sent() {
        let mut outbox = Outbox::default();
        let fill = |outbox: &mut Outbox| outbox.fill(to(1), |buffer, _| Some(buffer.len()));
        while !outbox.is_full() {
            assert!(fill(&mut outbox));
        }
        assert_eq!(runs(&mut outbox).iter().map(|run| run.1).sum::<usize>(), FULL_BYTES);
        assert!(!outbox.is_full());
        assert!(!outbox.fill(to(1), |_, _| None) && outbox.is_empty());
    }

    #[test]
    fn a_run_stays_within_what_the_kernel_takes() {
        let mut outbox = Outbox::default();
        for _ in 0..65 {
            outbox.push(to(1), &[0; 10]);
        }
        assert_eq!(runs(&mut outbox), [(1, 640, Some(10)), (1, 10, None)]);
        for _ in 0..60 {
            outbox.push(to(1), &[0; 1200]);
        }
        assert_eq!(runs(&mut outbox), [(1, 54 * 1200, Some(1200)), (1, 6 * 1200, Some(1200))]);
    }
}
