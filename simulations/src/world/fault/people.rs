//! People whose node is gone: their clients notice, and join the next nearest node.

use origo_cascade_core::Level;
use rand::Rng;

use super::super::World;
use super::Happening;
use crate::scenario::Client;

/// From the end of a node, or its last word, until a client looks for the next one, ns. A machine that dies says nothing:
/// `@origo/client` misses media at three looks, a tenth of a second apart; other SDKs miss the answer to a ping of each
/// second for three, close their socket, and try again after half a second at most.
const ORIGO: &[(u64, u64)] = &[(300_000_000, 400_000_000)];
const STOCK: &[(u64, u64)] = &[(2_000_000_000, 3_000_000_000), (250_000_000, 750_000_000), (150_000_000, 450_000_000)];
/// Round trips to the next node until media flow: TCP, the web socket, ICE, DTLS (two), and what is asked for. SDKs ask for
/// their session in three before that, and wait once more: the last of [`STOCK`].
const ORIGO_TRIPS: u64 = 6;
const STOCK_TRIPS: u64 = 9;
/// With no node to be found clients try again after this, ns.
const TRIES_AGAIN: u64 = 1_000_000_000;

impl World<'_> {
    fn client(&self, person: u32) -> Client {
        self.group(person).client
    }

    /// Somebody's node is gone, and the session with it.
    pub(in super::super) fn lose_session(&mut self, number: u32) {
        let now = self.now;
        for track in std::mem::take(&mut self.people[number as usize].tracks) {
            self.end_track(track as usize);
        }
        let person = &mut self.people[number as usize];
        (person.heir_of, person.untold) = (None, None);
        person.lost_at.get_or_insert(now);
        (person.is_in, person.sid_at, person.changed_at) = (false, None, now);
        let after = self.way_back(number);
        self.befalls(now + after, Happening::Rejoin(number));
    }

    /// From the end of somebody's node until media may flow at the next one, ns.
    fn way_back(&mut self, number: u32) -> u64 {
        let (home, count) = (self.group(number).node, self.nodes.len());
        let (waits, trips) = match self.client(number) {
            Client::Origo => (ORIGO, ORIGO_TRIPS),
            Client::Stock => (STOCK, STOCK_TRIPS),
        };
        let next = self.place_for(number).filter(|next| *next != home);
        let trip =
            next.map_or(0, |next| self.paths[home * count + next].delay() + self.paths[next * count + home].delay());
        let dice = &mut self.people[number as usize].dice;
        waits.iter().map(|(least, most)| dice.random_range(*least..*most)).sum::<u64>() + trips * trip
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
            let after = self.way_back(number);
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
