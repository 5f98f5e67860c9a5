//! People whose node is gone: their clients notice, and join the next nearest node.

use origo_cascade_core::Level;
use rand::Rng;

use super::super::World;
use super::Happening;
use crate::scenario::Client;

/// From the end of a connection to the new join, ns: `@origo/client` goes to the node that it keeps warm, other SDKs
/// try to resume first and then join anew.
const ORIGO: (u64, u64) = (300_000_000, 800_000_000);
const STOCK: (u64, u64) = (2_000_000_000, 5_000_000_000);
/// How long a client believes in a node that is silent and has not ended the connection, ns: media that stop, or pings
/// of the signalling connection that nobody answers.
const ORIGO_DOUBTS: u64 = 1_000_000_000;
const STOCK_DOUBTS: u64 = 10_000_000_000;
/// With no node to be found clients try again after this, ns.
const TRIES_AGAIN: u64 = 1_000_000_000;

impl World<'_> {
    fn client(&self, person: u32) -> Client {
        self.group(person).client
    }

    /// Somebody's node is gone, and the session with it.
    pub(in super::super) fn lose_session(&mut self, number: u32) {
        let (now, client) = (self.now, self.client(number));
        for track in std::mem::take(&mut self.people[number as usize].tracks) {
            self.end_track(track as usize);
        }
        let person = &mut self.people[number as usize];
        (person.heir_of, person.untold) = (None, None);
        person.lost_at.get_or_insert(now);
        (person.is_in, person.sid_at, person.changed_at) = (false, None, now);
        let (least, most) = if client == Client::Origo { ORIGO } else { STOCK };
        let after = person.dice.random_range(least..most);
        self.befalls(now + after, Happening::Rejoin(number));
    }

    /// Somebody joins again, on the nearest node that takes people.
    pub(super) fn rejoin(&mut self, number: u32) {
        let person = &self.people[number as usize];
        if person.joined_at.is_none() || person.is_in {
            return;
        }
        let Some(node) = self.place_for(number) else {
            return self.befalls(self.now + TRIES_AGAIN, Happening::Rejoin(number));
        };
        let person = &mut self.people[number as usize];
        (person.node, person.joined_at) = (node, Some(self.now));
        self.come_in(number);
    }

    /// Whoever is served by a node that stands still begins to doubt.
    pub(super) fn doubt(&mut self, node: usize) {
        for number in 0..self.people.len() as u32 {
            if self.people[number as usize].node != node || self.people[number as usize].joined_at.is_none() {
                continue;
            }
            let (patience, (least, most)) = match self.client(number) {
                Client::Origo => (ORIGO_DOUBTS, ORIGO),
                Client::Stock => (STOCK_DOUBTS, STOCK),
            };
            let after = patience + self.people[number as usize].dice.random_range(least..most);
            self.befalls(self.now + after, Happening::Despair { person: number, since: self.now });
        }
    }

    /// Somebody has waited for too long for a node that stands still, if it still does.
    pub(super) fn despair(&mut self, number: u32, since: u64) {
        let node = self.people[number as usize].node;
        let state = &self.faults.nodes[node];
        let stands = state.held > 0 && state.held_at <= since && !state.dead;
        if !stands || self.people[number as usize].joined_at.is_none() {
            return;
        }
        self.people[number as usize].lost_at = Some(since);
        self.quit(number);
        self.rejoin(number);
    }

    /// The nearest node that runs and does not drain; with a room's countries one within, and one that is not full, if there
    /// is one.
    pub(in super::super) fn place_for(&self, number: u32) -> Option<usize> {
        let (home, room, count) = (self.group(number).node, self.people[number as usize].room, self.nodes.len());
        let takes = |node: &usize| self.faults.runs(*node) && !self.faults.nodes[*node].is_draining();
        let is_full = |node: usize| self.faults.nodes[node].view.own().level != Level::Calm;
        let delay = |node: usize| if node == home { 0 } else { self.paths[home * count + node].delay() };
        (0..count).filter(takes).min_by_key(|node| (!self.may_touch(room, *node), is_full(*node), delay(*node), *node))
    }
}
