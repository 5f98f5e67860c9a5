//! Connections between nodes: they end when nothing is heard, and are tried again until they stand.

use origo_cascade_core::{Input, link, links};

use super::super::{Detail, World, event};
use super::Happening;

/// Both ends of a connection give it up after this long without a packet, ns: QUIC's idle timeout, and half the time
/// between two packets that keep it alive.
const IDLE: u64 = 5_500_000_000;
/// When the first packet of a handshake is sent, ns after its begin: QUIC's probes.
const TRIES: [u64; 5] = [0, 150_000_000, 450_000_000, 1_050_000_000, 2_250_000_000];
/// Bytes of such a packet, which RFC 9000 (14.1) has filled up, with UDP and IPv4.
const TRY_BYTES: u64 = 1228;
/// Connections that each of two nodes tries at once, for control and for media: on real nodes (`origo-sim emulate`) 3.5 kB/s
/// go into a line that carries nothing.
const TRIED: u64 = 2;
/// A handshake takes this long at most, ns.
const HANDSHAKE_MAX: u64 = 3_000_000_000;
/// Pauses between attempts: the first, which doubles, and the longest, ns.
const PAUSES: (u64, u64) = (100_000_000, 5_000_000_000);

/// A node's end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    up: bool,
    /// Which connection of the pair it is.
    number: u32,
    /// Since when nothing has come.
    silent_since: Option<u64>,
}

impl Default for End {
    fn default() -> Self {
        Self { up: true, number: 0, silent_since: None }
    }
}

impl World<'_> {
    fn end(&self, node: usize, peer: usize) -> End {
        self.faults.ends[node * self.nodes.len() + peer]
    }

    fn end_mut(&mut self, node: usize, peer: usize) -> &mut End {
        &mut self.faults.ends[node * self.nodes.len() + peer]
    }

    /// Which connection a message goes over that is sent now.
    pub(in super::super) fn connection(&self, from: usize, to: usize) -> u32 {
        if self.faults.any { self.end(from, to).number } else { 0 }
    }

    /// Whether what goes over that connection is still sent by a node, or taken by it.
    pub(in super::super) fn has_connection(&self, node: usize, peer: usize, number: u32) -> bool {
        !self.faults.any || self.end(node, peer).up && self.end(node, peer).number == number
    }

    /// Whether a node has a connection to another, as far as it knows.
    pub(in super::super) fn is_connected(&self, node: usize, peer: usize) -> bool {
        !self.faults.any || self.end(node, peer).up
    }

    /// Whether what one node says reaches the other.
    pub(super) fn carries(&self, from: usize, to: usize) -> bool {
        self.faults.runs(from) && self.faults.runs(to) && self.paths[from * self.nodes.len() + to].is_open()
    }

    /// The same, over a connection.
    pub(super) fn is_heard(&self, from: usize, to: usize) -> bool {
        let (there, here) = (self.end(from, to), self.end(to, from));
        self.carries(from, to) && there.up && here.up && there.number == here.number
    }

    /// A node gives up connections over which nothing has come for long.
    pub(super) fn look_for_silence(&mut self, node: usize) {
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            if !self.end(node, peer).up {
                continue;
            }
            let (now, is_heard) = (self.now, self.is_heard(peer, node));
            let end = self.end_mut(node, peer);
            let since = if is_heard { None } else { Some(end.silent_since.unwrap_or(now)) };
            end.silent_since = since;
            if since.is_some_and(|since| now >= since + IDLE) {
                self.lose_connection(node, peer);
                self.begin_dial(node, peer);
            }
        }
    }

    pub(super) fn lose_connection(&mut self, node: usize, peer: usize) {
        self.end_mut(node, peer).up = false;
        self.tell(Detail::Decisions, || format!("node {node} has no connection to node {peer} any more"));
        let id = self.nodes[peer].id;
        self.links(node, links::Input::Link { peer: id, input: link::Input::Down });
        self.cascade(node, Input::LinkDown(id));
    }

    /// A dead node's ends are gone without a word.
    pub(super) fn drop_ends(&mut self, node: usize) {
        for peer in 0..self.nodes.len() {
            *self.end_mut(node, peer) = End { up: false, silent_since: None, ..self.end(node, peer) };
        }
    }

    /// A node that has just started tries everybody.
    pub(super) fn dial_all(&mut self, node: usize) {
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            self.faults.dials.remove(&pair_of(node, peer));
            self.begin_dial(node, peer);
        }
    }

    pub(super) fn begin_dial(&mut self, node: usize, peer: usize) {
        let pair = pair_of(node, peer);
        if self.faults.dials.contains_key(&pair) {
            return;
        }
        self.faults.serial += 1;
        let serial = self.faults.serial;
        self.faults.dials.insert(pair, serial);
        self.befalls(self.now, Happening::Dial { pair, serial, attempt: 0 });
    }

    /// A packet of a handshake is sent; `attempt` counts them all.
    pub(super) fn dial(&mut self, pair: (u32, u32), serial: u32, attempt: u32) {
        if self.faults.dials.get(&pair) != Some(&serial) {
            return;
        }
        let (a, b) = (pair.0 as usize, pair.1 as usize);
        if self.faults.nodes[a].dead && self.faults.nodes[b].dead {
            self.faults.dials.remove(&pair);
            return;
        }
        let count = self.nodes.len();
        for (from, to) in [(a, b), (b, a)] {
            if self.faults.runs(from) {
                self.paths[from * count + to].tally.bytes += TRIED * TRY_BYTES;
            }
        }
        if self.carries(a, b) && self.carries(b, a) {
            let round = self.paths[a * count + b].delay() + self.paths[b * count + a].delay();
            // One round trip for the handshake, one for HELLO.
            return self.befalls(self.now + 2 * round, Happening::Greet { pair, serial });
        }
        let (tries, attempts) = (TRIES.len() as u32, attempt + 1);
        let waits = match attempts % tries {
            0 => {
                let pause = PAUSES.1.min(PAUSES.0 << (attempt / tries).min(10));
                HANDSHAKE_MAX - TRIES[TRIES.len() - 1] + pause
            }
            place => TRIES[place as usize] - TRIES[place as usize - 1],
        };
        self.befalls(self.now + waits, Happening::Dial { pair, serial, attempt: attempts });
    }

    /// Both ends have answered each other.
    pub(super) fn greet(&mut self, pair: (u32, u32), serial: u32) {
        if self.faults.dials.get(&pair) != Some(&serial) {
            return;
        }
        self.faults.dials.remove(&pair);
        let (a, b) = (pair.0 as usize, pair.1 as usize);
        if !self.carries(a, b) || !self.carries(b, a) {
            return self.begin_dial(a, b);
        }
        self.tell(Detail::Decisions, || format!("nodes {a} and {b} are connected"));
        let number = self.end(a, b).number.max(self.end(b, a).number) + 1;
        let count = self.nodes.len();
        for (node, peer) in [(a, b), (b, a)] {
            *self.end_mut(node, peer) = End { up: true, number, silent_since: None };
            self.streams[node * count + peer] = event::Stream::default();
        }
        self.connect(a, b);
        self.connect(b, a);
    }
}

fn pair_of(a: usize, b: usize) -> (u32, u32) {
    (a.min(b) as u32, a.max(b) as u32)
}
