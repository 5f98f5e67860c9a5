//! Nodes that stand still or are slow: what reaches them waits, and is taken in its order.

use std::collections::VecDeque;

use origo_auth::NodeId;
use origo_cascade_core::link::{Class, Datagram, Flow, Packet, Send};
use origo_cascade_core::{Input, link, links};

use super::super::World;
use super::Happening;

/// Datagrams that wait in front of a node: its sockets hold 4 MB.
const DATAGRAMS_MAX: usize = 4096;
/// What an input takes a node at its usual speed, ns: a datagram from the kernel through QUIC and the cores. It counts
/// for slow nodes alone.
const TAKES: f64 = 20_000.0;

/// Inputs of a node that wait.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Work>,
    datagrams: usize,
}

/// An input of a node.
#[derive(Debug)]
pub(in super::super) enum Work {
    /// For its cascade.
    Cascade(Input),
    /// For its links.
    Links(links::Input),
}

impl Work {
    fn is_datagram(&self) -> bool {
        matches!(self, Self::Links(links::Input::Link { input: link::Input::Datagram(_), .. }))
    }
}

impl Backlog {
    fn push(&mut self, work: Work) {
        let is_datagram = work.is_datagram();
        if is_datagram && self.datagrams >= DATAGRAMS_MAX {
            return;
        }
        self.datagrams += usize::from(is_datagram);
        self.waiting.push_back(work);
    }

    fn pop(&mut self) -> Option<Work> {
        let work = self.waiting.pop_front()?;
        self.datagrams -= usize::from(work.is_datagram());
        Some(work)
    }
}

impl World<'_> {
    /// Gives an input to a node's cascade, at once or when its turn comes. A dead node takes nothing.
    pub(in super::super) fn cascade(&mut self, node: usize, input: Input) {
        if self.faults.nodes[node].is_free {
            self.give_cascade(node, input);
        } else {
            self.put_off(node, Work::Cascade(input));
        }
    }

    /// The same for its links.
    pub(in super::super) fn links(&mut self, node: usize, input: links::Input) {
        if self.faults.nodes[node].is_free {
            self.give_links(node, input);
        } else {
            self.put_off(node, Work::Links(input));
        }
    }

    /// The same of a datagram, which is most of what they take.
    pub(in super::super) fn links_datagram(&mut self, node: usize, peer: NodeId, datagram: Datagram) {
        if self.faults.nodes[node].is_free {
            if let Some((sink, received)) = self.nodes[node].links.handle_datagram(self.instant, peer, &datagram) {
                self.received(node, sink, received);
            }
            self.drain_links(node);
        } else {
            self.put_off(node, Work::Links(links::Input::Link { peer, input: link::Input::Datagram(datagram) }));
        }
    }

    /// The same of a packet that people here publish.
    pub(in super::super) fn links_packet(
        &mut self,
        node: usize,
        to: NodeId,
        flow: Flow,
        (class, packet): (Class, &Packet),
    ) {
        if self.faults.nodes[node].is_free {
            let datagram = self.nodes[node].links.handle_packet(self.instant, to, flow, class, packet);
            if let Some(datagram) = datagram {
                self.transmit(node, to, datagram);
            }
            self.drain_links(node);
        } else {
            self.put_off(
                node,
                Work::Links(links::Input::Send(Send::Packet { to, flow, class, packet: packet.clone() })),
            );
        }
    }

    fn put_off(&mut self, node: usize, work: Work) {
        let state = &mut self.faults.nodes[node];
        if state.dead {
            return;
        }
        let was_empty = state.backlog.waiting.is_empty();
        state.backlog.push(work);
        if was_empty && state.held == 0 {
            let at = self.now + self.takes(node);
            self.befalls(at, Happening::Work(node as u32));
        }
    }

    /// What an input takes a node that is slow, ns.
    fn takes(&self, node: usize) -> u64 {
        (TAKES * self.faults.nodes[node].slow.values().product::<f64>()) as u64
    }

    fn give(&mut self, node: usize, work: Work) {
        match work {
            Work::Cascade(input) => self.give_cascade(node, input),
            Work::Links(input) => self.give_links(node, input),
        }
    }

    /// The next input's turn has come.
    pub(super) fn work(&mut self, node: usize) {
        let state = &mut self.faults.nodes[node];
        if state.dead || state.held > 0 {
            return;
        }
        let Some(work) = state.backlog.pop() else { return };
        self.give(node, work);
        if !self.faults.nodes[node].backlog.waiting.is_empty() {
            let at = self.now + self.takes(node);
            self.befalls(at, Happening::Work(node as u32));
        }
    }

    /// A node stands still, or goes on.
    pub(super) fn hold(&mut self, node: usize, is_held: bool) {
        let state = &mut self.faults.nodes[node];
        state.held = state.held.saturating_add_signed(if is_held { 1 } else { -1 });
        if is_held && state.held == 1 && !state.dead {
            state.held_at = self.now;
            self.doubt(node);
        }
        self.catch_up(node);
    }

    /// A node is slow by a fault, or no longer.
    pub(super) fn slow(&mut self, node: usize, fault: u32, factor: Option<f64>) {
        let slow = &mut self.faults.nodes[node].slow;
        match factor {
            Some(factor) => slow.insert(fault, factor),
            None => slow.remove(&fault),
        };
        self.catch_up(node);
    }

    /// What waits is taken at once by a node that is neither held nor slow.
    fn catch_up(&mut self, node: usize) {
        let state = &mut self.faults.nodes[node];
        state.is_free = !state.dead && state.held == 0 && state.slow.is_empty();
        while self.faults.nodes[node].is_free
            && let Some(work) = self.faults.nodes[node].backlog.pop()
        {
            self.give(node, work);
            self.settle();
        }
        let state = &self.faults.nodes[node];
        if state.held == 0 && !state.backlog.waiting.is_empty() {
            self.befalls(self.now, Happening::Work(node as u32));
        }
    }

    /// A node is dead, or lives again: nothing waits for it.
    pub(super) fn clear_backlog(&mut self, node: usize) {
        self.faults.nodes[node].backlog = Backlog::default();
        self.catch_up(node);
    }
}
