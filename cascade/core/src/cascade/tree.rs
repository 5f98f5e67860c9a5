//! The tree of this node's own tracks in one room: who takes them, and whom each taker is told to take them from.

mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use origo_auth::{NodeId, RoomKey};

use super::machine::Cascade;
use super::refusal::Refusal;
use super::served::Served;
use super::timers::Timer;
use crate::route::{Plan, Problem};
use crate::wire::Malformed;
use crate::wire::message::Attached;
use crate::wire::record::{node_of, room_of};

/// Joins and leaves within this time make one plan.
const PLAN_WAITS: Duration = Duration::from_millis(200);
/// The next plan waits for the moves of the last: moves of two plans at a time could make a circle of nodes that each
/// wait for the next. A node tells within 5 s whether it has moved; one that says nothing is not waited for longer.
const MOVES_WAIT: Duration = Duration::from_secs(6);
/// A rate that changes by less than this share makes no new plan.
const RATE_HYSTERESIS: f64 = 0.1;
/// What one node is believed to take at most, bits per second.
const MEMBER_RATE_MAX_BPS: u64 = 100_000_000_000;

/// A node that takes layers though its viewers are gone has a place for this long: longer than the layers stay, so that one
/// whose viewers come and go again and again is not where no plan knows of it.
const LINGERS: Duration = Duration::from_secs(3);

/// One room's tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Of the plan in force.
    pub(super) epoch: u64,
    pub(super) plan: Plan,
    /// When a node's parent last changed.
    moved: BTreeMap<NodeId, Instant>,
    /// Who gets layers straight from here.
    straight: BTreeMap<NodeId, Straight>,
    /// What nodes with a place in the tree said last.
    told: BTreeMap<NodeId, Told>,
    /// Who has not said yet that it has moved, and since when it should.
    moving: BTreeMap<NodeId, Instant>,
    /// Who has a new place that it has not been told: somebody on its way is not yet where the plan has it, and might be
    /// below it still.
    untold: BTreeSet<NodeId>,
    /// The epoch under which each node was last told its place. What it says under an older one is no answer to that.
    asked: BTreeMap<NodeId, u64>,
    /// What nodes took for viewers of theirs last, and until when they have a place with that.
    lingering: BTreeMap<NodeId, Lingering>,
    /// Who has said that it takes nothing any more, and with that has forgotten its place.
    left: BTreeSet<NodeId>,
    /// How often a node was told again.
    told_again: BTreeMap<NodeId, u8>,
    /// The members and rates of the plan in force.
    planned_for: BTreeMap<NodeId, u64>,
    plan_at: Option<Instant>,
    /// The plan that is due waits for moves alone.
    waits_for_moves: bool,
    check_at: Option<Instant>,
}

/// What goes straight to a node.
#[derive(Clone, Copy, Debug, Default)]
struct Straight {
    layers: usize,
    /// For its own viewers.
    rate_bps: u64,
}

/// What a node takes for its viewers, or took before they went.
#[derive(Clone, Copy, Debug)]
struct Lingering {
    rate_bps: u64,
    /// Once they are gone.
    until: Option<Instant>,
}

/// A node's word about its place.
#[derive(Clone, Debug)]
struct Told {
    parent: NodeId,
    rate_bps: u64,
}

impl Tree {
    /// Why a node gets nothing, if the plan says so.
    pub(super) fn refusal_of(&self, node: NodeId) -> Option<String> {
        self.plan.refused.get(&node).cloned()
    }

    /// What each node takes for viewers of its own, bits per second; 0 for those that take for others alone.
    fn takers(&self) -> BTreeMap<NodeId, u64> {
        let straight = self.straight.iter().map(|(node, straight)| (*node, straight.rate_bps));
        let mut takers: BTreeMap<NodeId, u64> = straight.collect();
        takers.extend(self.told.iter().map(|(node, told)| (*node, told.rate_bps)));
        takers
    }

    /// Who takes layers for viewers of its own, or did so a moment ago, with bits per second.
    fn members(&self) -> BTreeMap<NodeId, u64> {
        let mut members = self.takers();
        for (node, rate_bps) in &mut members {
            let lingering = self.lingering.get(node).filter(|_| *rate_bps == 0);
            *rate_bps = lingering.map_or(*rate_bps, |lingering| lingering.rate_bps);
        }
        members.retain(|_, rate_bps| *rate_bps > 0);
        members
    }

    /// Remembers what nodes take for viewers; says when the first of those that linger does so no more.
    fn linger(&mut self, now: Instant) -> Option<Instant> {
        let takers = self.takers();
        self.lingering.retain(|node, _| takers.contains_key(node));
        for (node, rate_bps) in takers {
            if rate_bps > 0 {
                self.lingering.insert(node, Lingering { rate_bps, until: None });
            } else if let Some(lingering) = self.lingering.get_mut(&node) {
                lingering.until.get_or_insert(now + LINGERS);
            }
        }
        self.lingering.retain(|_, lingering| lingering.until.is_none_or(|until| now < until));
        self.lingering.values().filter_map(|lingering| lingering.until).min()
    }

    /// Whether members or rates differ from those of the plan by what is worth another.
    fn has_changed(&self, members: &BTreeMap<NodeId, u64>) -> bool {
        let differs = |(node, rate): (&NodeId, &u64)| {
            self.planned_for
                .get(node)
                .is_none_or(|planned| rate.abs_diff(*planned) as f64 > RATE_HYSTERESIS * *planned as f64)
        };
        members.len() != self.planned_for.len() || members.iter().any(differs)
    }

    fn knows(&self, node: NodeId) -> bool {
        self.plan.edges.contains_key(&node) || self.straight.contains_key(&node) || self.told.contains_key(&node)
    }
}

impl Cascade {
    /// A node gets a layer straight from here.
    pub(super) fn tree_gains(&mut self, node: NodeId, served: &Served) {
        if served.origin != self.me || served.second {
            return;
        }
        let tree = self.subscriptions.trees.entry(served.room.clone()).or_default();
        let straight = tree.straight.entry(node).or_default();
        straight.layers += 1;
        straight.rate_bps += served.rate_bps;
        self.plan_if_changed(&served.room);
    }

    pub(super) fn tree_loses(&mut self, node: NodeId, served: &Served) {
        if served.origin != self.me || served.second {
            return;
        }
        let Some(tree) = self.subscriptions.trees.get_mut(&served.room) else { return };
        let Some(straight) = tree.straight.get_mut(&node) else { return };
        straight.layers -= 1;
        straight.rate_bps -= served.rate_bps;
        if straight.layers == 0 {
            tree.straight.remove(&node);
        }
        self.plan_if_changed(&served.room);
    }

    /// A layer that is served already is for more or fewer viewers; `before` is what it was.
    pub(super) fn tree_rate_changes(&mut self, node: NodeId, served: &Served, before: u64) {
        if served.origin != self.me {
            return;
        }
        let tree = self.subscriptions.trees.get_mut(&served.room);
        if let Some(straight) = tree.and_then(|tree| tree.straight.get_mut(&node)) {
            straight.rate_bps = straight.rate_bps - before + served.rate_bps;
        }
        self.plan_if_changed(&served.room);
    }

    fn plan_if_changed(&mut self, room: &RoomKey) {
        let Some(tree) = self.subscriptions.trees.get_mut(room) else { return };
        if let Some(until) = tree.linger(self.now) {
            self.timers.set(until, Timer::Rested(room.clone()));
        }
        if tree.has_changed(&tree.members()) || tree.straight.is_empty() && tree.told.is_empty() {
            self.plan_soon(room);
        }
    }

    /// Draws the tree anew, together with what else changes until then.
    pub(super) fn plan_soon(&mut self, room: &RoomKey) {
        let at = self.now + PLAN_WAITS;
        let Some(tree) = self.subscriptions.trees.get_mut(room) else { return };
        if tree.plan_at.is_none() {
            tree.plan_at = Some(at);
            self.timers.set(at, Timer::Plan(room.clone()));
        }
    }

    /// Draws trees anew where `is_concerned` says so.
    pub(super) fn plan_trees(&mut self, is_concerned: impl Fn(&BTreeSet<NodeId>) -> bool) {
        let mut concerned = Vec::new();
        for (room, tree) in &self.subscriptions.trees {
            let edges = tree.plan.edges.iter().flat_map(|(node, edge)| [Some(*node), Some(edge.parent), edge.backup]);
            let nodes = edges.flatten().chain(tree.straight.keys().copied()).collect();
            if is_concerned(&nodes) {
                concerned.push(room.clone());
            }
        }
        for room in concerned {
            self.plan_soon(&room);
        }
    }

    /// A link is gone: its node is not waited for, and its trees are drawn anew.
    pub(super) fn trees_lose(&mut self, peer: NodeId) {
        self.trees_lose_the_dead();
        for tree in self.subscriptions.trees.values_mut() {
            tree.moving.remove(&peer);
        }
        let rooms: Vec<RoomKey> = self.subscriptions.trees.keys().cloned().collect();
        for room in rooms {
            self.plan_after_moves(&room);
            self.send_due(&room);
        }
        self.plan_trees(|nodes| nodes.contains(&peer));
    }

    /// Nodes that are gone take nothing any more.
    pub(super) fn trees_lose_the_dead(&mut self) {
        let (alive, linked) = (self.alive.clone(), self.linked.clone());
        let mut changed = Vec::new();
        for (room, tree) in &mut self.subscriptions.trees {
            let before = tree.told.len();
            tree.told.retain(|node, _| alive.contains(node) || linked.contains(node));
            if tree.told.len() != before {
                changed.push(room.clone());
            }
        }
        for room in changed {
            self.plan_soon(&room);
        }
    }

    /// The time for a plan may have come.
    pub(super) fn plan_now(&mut self, room: &RoomKey) {
        let now = self.now;
        let Some(tree) = self.subscriptions.trees.get_mut(room) else { return };
        if tree.plan_at.is_none_or(|at| at > now) {
            return;
        }
        tree.moving.retain(|_, since| *since + MOVES_WAIT > now);
        if let Some(since) = tree.moving.values().min() {
            let at = *since + MOVES_WAIT;
            (tree.plan_at, tree.waits_for_moves) = (Some(at), true);
            self.timers.set(at, Timer::Plan(room.clone()));
            return;
        }
        (tree.plan_at, tree.waits_for_moves) = (None, false);
        tree.linger(now);
        let members = tree.members();
        if members.is_empty() && tree.straight.is_empty() {
            self.subscriptions.trees.remove(room);
            return;
        }
        let plan = self.draw(room, &members);
        self.apply_plan(room, plan, members);
    }

    fn draw(&self, key: &RoomKey, members: &BTreeMap<NodeId, u64>) -> Plan {
        let (Some(room), Some(tree)) = (self.rooms.get(key), self.subscriptions.trees.get(key)) else {
            return Plan::default();
        };
        if members.is_empty() {
            return Plan::default();
        }
        self.policy.plan(&Problem {
            room: key,
            origin: self.me,
            members,
            room_nodes: &room.peers.keys().copied().chain([self.me]).collect(),
            map: &self.map,
            countries: &room.record.settings.countries,
            before: &tree.plan,
            moved: &tree.moved,
            now: self.now,
        })
    }

    /// Puts a plan in force: tells those for whom something changes, and those below them once they are there. (Of two that
    /// move at a time one may stay where it is, since its link has just failed, and the other be above it.)
    fn apply_plan(&mut self, room: &RoomKey, plan: Plan, members: BTreeMap<NodeId, u64>) {
        let now = self.now;
        let Some(tree) = self.subscriptions.trees.get_mut(room) else { return };
        let before = std::mem::replace(&mut tree.plan, plan);
        tree.planned_for = members;
        let mut changed: Vec<NodeId> = Vec::new();
        for (node, edge) in &tree.plan.edges {
            let old = before.edges.get(node).filter(|_| !tree.left.contains(node));
            if old.is_some_and(|old| (old.parent, old.backup, &old.path) == (edge.parent, edge.backup, &edge.path)) {
                continue;
            }
            changed.push(*node);
            tree.told_again.remove(node);
            if old.is_some_and(|old| old.parent != edge.parent) {
                tree.moved.insert(*node, now);
            }
        }
        tree.left.clear();
        tree.untold.extend(&changed);
        let edges = &tree.plan.edges;
        tree.moved.retain(|node, _| edges.contains_key(node));
        tree.told_again.retain(|node, _| edges.contains_key(node));
        tree.asked.retain(|node, _| edges.contains_key(node));
        tree.untold.retain(|node| edges.contains_key(node));
        tree.moving.retain(|node, _| edges.contains_key(node));
        let straight = &tree.straight;
        tree.told.retain(|node, _| edges.contains_key(node) || straight.contains_key(node));
        let refused = tree.plan.refused.clone();
        if !changed.is_empty() {
            self.subscriptions.epoch += 1;
            tree.epoch = self.subscriptions.epoch;
        }
        let rests = self.policy.rests();
        if rests > Duration::ZERO && changed.iter().any(|node| tree.moved.get(node) == Some(&now)) {
            // Until then who moved stays, though others had to take what was left around it.
            self.timers.set(now + rests, Timer::Rested(room.clone()));
        }
        self.send_due(room);
        self.refuse_members(room, &refused);
        self.check_places_later(room);
    }

    fn refuse_members(&mut self, room: &RoomKey, refused: &BTreeMap<NodeId, String>) {
        for (node, why) in refused {
            let of_peer = self.subscriptions.served.of_peer(*node);
            let flows = of_peer.filter(|(_, served)| served.room == *room && served.origin == self.me);
            for flow in flows.map(|(flow, _)| flow).collect::<Vec<_>>() {
                self.refuse(*node, flow, &Refusal::NotAllowed(why.clone()));
            }
        }
    }

    /// A plan that waits for moves alone is drawn once they are done.
    fn plan_after_moves(&mut self, room: &RoomKey) {
        let now = self.now;
        let Some(tree) = self.subscriptions.trees.get_mut(room) else { return };
        if tree.moving.is_empty() && tree.waits_for_moves {
            tree.plan_at = Some(now);
            self.timers.set(now, Timer::Plan(room.clone()));
        }
    }

    /// A node says where it hangs in the tree.
    pub(super) fn handle_attached(&mut self, from: NodeId, message: Attached) -> Result<(), Malformed> {
        let room = room_of(message.room)?;
        let parent = if message.parent.is_empty() { None } else { Some(node_of(&message.parent)?) };
        if parent == Some(from) {
            return Err(Malformed("parent"));
        }
        // Who was lost with a partition and hangs at another node since has never asked here again. Who hangs here has.
        let is_member = message.rate_bps > 0 && parent.is_some_and(|it| it != self.me);
        if is_member && self.rooms.contains_key(&room) {
            // All may hang where an earlier life of this node told them to.
            self.subscriptions.trees.entry(room.clone()).or_default();
        }
        let Some(tree) = self.subscriptions.trees.get_mut(&room).filter(|tree| is_member || tree.knows(from)) else {
            // Who leaves may leave twice: its last word may cross the plan without it.
            self.counters.attached_of_stranger += u64::from(parent.is_some());
            return Ok(());
        };
        // A node that hangs where an earlier life of this one told it to says so under the least epoch.
        if message.epoch == 0 || message.epoch > self.subscriptions.epoch.max(1) {
            self.counters.old_epoch += 1;
            return Ok(());
        }
        match parent {
            Some(parent) => {
                let rate_bps = message.rate_bps.min(MEMBER_RATE_MAX_BPS);
                tree.told.insert(from, Told { parent, rate_bps });
                let is_there = tree.plan.edges.get(&from).is_none_or(|edge| edge.parent == parent);
                let is_answer = tree.asked.get(&from).is_none_or(|epoch| message.epoch >= *epoch);
                let failed = (is_answer && !is_there && !message.why.is_empty())
                    .then(|| tree.plan.edges.get(&from).map(|edge| edge.parent))
                    .flatten();
                if is_answer && is_there || failed.is_some() {
                    tree.moving.remove(&from);
                }
                if let Some(failed) = failed {
                    if message.gray {
                        self.hear_complaint(from, failed);
                    } else {
                        self.distrust_pair(from, failed);
                    }
                    self.plan_soon(&room);
                }
            }
            None => {
                tree.told.remove(&from);
                tree.moving.remove(&from);
                tree.left.insert(from);
            }
        }
        self.plan_after_moves(&room);
        self.send_due(&room);
        self.plan_if_changed(&room);
        self.check_places_later(&room);
        Ok(())
    }
}
