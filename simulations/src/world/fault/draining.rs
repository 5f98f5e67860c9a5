//! Nodes that drain: they send their people on to others, and end when nobody is left or the deadline has come.

use std::time::Duration;

use super::super::{Detail, World};
use super::{BOOTS, Happening};

/// From the order until the first one is sent on, so that others have heard of it, ns; as in a node.
const HEARD_BY: u64 = 700_000_000;
/// From one who is sent on to the next, ns: 400 a second, as in a node.
const NEXT: u64 = 2_500_000;
/// How often a node looks whether anybody is left, ns.
const LOOKS_EVERY: u64 = 100_000_000;

/// One order to drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Drain {
    node: usize,
    /// As in [`super::State`], when it was given.
    life: u32,
    drains: u32,
}

impl World<'_> {
    /// A node is to drain until a deadline.
    pub(super) fn drain(&mut self, node: usize, deadline: Duration) {
        if self.faults.nodes[node].dead || self.faults.nodes[node].is_draining() {
            return;
        }
        let name = self.name(node).to_owned();
        self.tell(Detail::Decisions, || format!("{name} drains"));
        self.set_draining(node, true);
        let state = &self.faults.nodes[node];
        let drain = Drain { node, life: state.life, drains: state.drains };
        self.befalls(self.now + HEARD_BY, Happening::SendOn(drain));
        self.befalls(self.now + deadline.as_nanos() as u64, Happening::Deadline(drain));
    }

    /// A node takes people again, or starts anew if it has ended.
    pub(super) fn undrain(&mut self, node: usize) {
        if self.faults.nodes[node].dead {
            self.befalls(self.now + BOOTS, Happening::Start(node as u32));
        } else {
            self.set_draining(node, false);
        }
    }

    fn is_under_way(&self, drain: Drain) -> bool {
        let state = &self.faults.nodes[drain.node];
        !state.dead && state.is_draining() && (state.life, state.drains) == (drain.life, drain.drains)
    }

    /// Everybody who is there and has not been told is; a node with nobody ends.
    pub(super) fn send_on(&mut self, drain: Drain) {
        if !self.is_under_way(drain) {
            return;
        }
        self.befalls(self.now + LOOKS_EVERY, Happening::SendOn(drain));
        if !self.faults.runs(drain.node) {
            return;
        }
        let there: Vec<usize> = (0..self.people.len()).filter(|number| self.is_served(*number, drain.node)).collect();
        if there.is_empty() {
            return self.end_node(drain.node);
        }
        let untold = there.into_iter().filter(|number| !std::mem::replace(&mut self.people[*number].is_told, true));
        let untold: Vec<usize> = untold.collect();
        for (place, number) in untold.into_iter().enumerate() {
            self.befalls(self.now + place as u64 * NEXT, Happening::MoveOn(number as u32));
        }
    }

    fn is_served(&self, number: usize, node: usize) -> bool {
        self.people[number].is_in && self.people[number].node == node
    }

    /// Time is up.
    pub(super) fn deadline(&mut self, drain: Drain) {
        if self.is_under_way(drain) {
            self.end_node(drain.node);
        }
    }

    /// A node ends by itself, and says so on its connections.
    fn end_node(&mut self, node: usize) {
        let count = self.nodes.len();
        for peer in (0..count).filter(|peer| *peer != node) {
            if !self.is_heard(node, peer) {
                continue;
            }
            let at = self.now + self.paths[node * count + peer].delay();
            let number = self.connection(node, peer);
            self.befalls(at, Happening::Closed { node: peer as u32, peer: node as u32, number });
        }
        self.faults.change(self.now, false);
        self.kill(node);
    }

    /// A peer's connection was ended by it.
    pub(super) fn closed(&mut self, node: usize, peer: usize, number: u32) {
        if self.faults.runs(node) && self.has_connection(node, peer, number) {
            self.lose_connection(node, peer);
            self.begin_dial(node, peer);
        }
    }
}
