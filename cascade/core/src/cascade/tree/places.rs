//! Telling nodes their places in a tree: those below others once these are where they are to be, and again those that
//! hang elsewhere.

use std::time::Duration;

use bytes::Bytes;
use origo_auth::{NodeId, RoomKey};

use super::super::machine::Cascade;
use super::super::timers::Timer;
use super::Tree;
use crate::route::Edge;
use crate::wire::message::Attach;
use crate::wire::record::bytes_of;

/// A taker that does not hang where it was told to is told again after this.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How often it is told again; then it stays where it is until the plan changes for it.
const TOLD_AGAIN_MAX: u8 = 3;

impl Tree {
    /// Whether a node takes from its planned parent, as far as it has said; of one that takes nothing nobody knows better.
    fn stands(&self, me: NodeId, node: NodeId) -> bool {
        let Some(edge) = self.plan.edges.get(&node) else { return false };
        let is_straight = self.straight.contains_key(&node);
        let told = self.told.get(&node).map(|told| told.parent).or(is_straight.then_some(me));
        told.is_none_or(|parent| parent == edge.parent) && (edge.parent == me || !is_straight)
    }

    /// Who of the untold may go to its place: all on its way stand where they are to. Those nearer to the origin first.
    fn due(&self, me: NodeId) -> Vec<NodeId> {
        let edges = self.untold.iter().filter_map(|node| Some((self.plan.edges.get(node)?, *node)));
        let due = edges.filter(|(edge, _)| edge.path.iter().skip(1).all(|above| self.stands(me, *above)));
        let mut due: Vec<(usize, NodeId)> = due.map(|(edge, node)| (edge.path.len(), node)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, node)| node).collect()
    }

    /// Nodes that do not take from the planned parent.
    fn astray(&self, me: NodeId) -> Vec<NodeId> {
        let is_astray = |(node, edge): &(&NodeId, &Edge)| {
            let elsewhere = self.told.get(node).is_some_and(|told| told.parent != edge.parent);
            elsewhere || edge.parent != me && self.straight.contains_key(node)
        };
        self.plan.edges.iter().filter(is_astray).map(|(node, _)| *node).collect()
    }
}

impl Cascade {
    /// Tells nodes their places whose way is as it is to be.
    pub(super) fn send_due(&mut self, room: &RoomKey) {
        let (me, now) = (self.me, self.now);
        let Some(tree) = self.subscriptions.trees.get(room).filter(|tree| !tree.untold.is_empty()) else { return };
        for node in tree.due(me) {
            let is_linked = self.linked.contains(&node);
            let Some(tree) = self.subscriptions.trees.get_mut(room) else { return };
            if !tree.stands(me, node) && is_linked {
                tree.moving.insert(node, now);
            }
            self.send_attach(room, node);
        }
    }

    fn send_attach(&mut self, room: &RoomKey, node: NodeId) {
        let Some(tree) = self.subscriptions.trees.get_mut(room) else { return };
        let Some(edge) = tree.plan.edges.get(&node) else { return };
        tree.asked.insert(node, tree.epoch);
        tree.untold.remove(&node);
        let record = self.rooms.get(room).map(|room| &room.record);
        let message = Attach {
            room: Some(room.into()),
            epoch: tree.epoch,
            parent: bytes_of(edge.parent),
            backup: edge.backup.map(bytes_of).unwrap_or_default(),
            path: edge.path.iter().map(|node| bytes_of(*node)).collect::<Vec<Bytes>>(),
            countries: record.map(|record| record.settings.countries.clone()).unwrap_or_default(),
        };
        self.send(node, &message);
    }

    /// A link is up: its node hears of its places again.
    pub(in super::super) fn attach_again(&mut self, node: NodeId) {
        let trees = self.subscriptions.trees.iter();
        let trees = trees.filter(|(_, tree)| tree.plan.edges.contains_key(&node) && !tree.untold.contains(&node));
        for room in trees.map(|(room, _)| room.clone()).collect::<Vec<_>>() {
            self.send_attach(&room, node);
        }
    }

    pub(super) fn check_places_later(&mut self, room: &RoomKey) {
        let (me, at) = (self.me, self.now + TOLD_AGAIN_AFTER);
        let Some(tree) = self.subscriptions.trees.get_mut(room) else { return };
        if tree.check_at.is_none() && !tree.astray(me).is_empty() {
            tree.check_at = Some(at);
            self.timers.set(at, Timer::Places(room.clone()));
        }
    }

    /// Tells nodes again that do not hang where they were told to.
    pub(in super::super) fn check_places(&mut self, room: &RoomKey) {
        let (me, now) = (self.me, self.now);
        let Some(tree) = self.subscriptions.trees.get_mut(room) else { return };
        if tree.check_at.is_none_or(|at| at > now) {
            return;
        }
        tree.check_at = None;
        let mut again = Vec::new();
        for node in tree.astray(me) {
            let count = tree.told_again.entry(node).or_default();
            if *count < TOLD_AGAIN_MAX {
                *count += 1;
                again.push(node);
            }
        }
        for node in &again {
            self.send_attach(room, *node);
        }
        if !again.is_empty() {
            self.check_places_later(room);
        }
    }
}
