//! A parent that answers and reports, but does not pass on what the origin sends, or late: found by comparing what the
//! origin says that it has sent with what has come, and left.
//!
//! The origin tells once a second, straight, so that no relay can hide. Only base layers and sound are compared: what
//! improves a picture may be left out on the way, on purpose.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use origo_auth::NodeId;

use super::branch::{Cause, MOVE_WAITS, Target};
use super::machine::Cascade;
use super::subscriptions::TreeKey;
use super::timers::Timer;
use crate::TrackLayer;
use crate::link::Flow;
use crate::links::{Count, Counts};
use crate::wire::Malformed;
use crate::wire::message::{Counted, Sent};
use crate::wire::record::{room_of, track_of};

/// How often an origin tells what it has sent.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// Most layers that are told of one room.
const TOLD_MAX: usize = 4096;
/// What an origin had sent when it told so should have come this much later: no path of a tree is longer by as much.
const LATE: Duration = Duration::from_millis(300);
/// Times that a layer is behind, less those that it is not, before its parent is left. Each hop more gets one more: the node right behind
/// the one that fails is to notice first.
const BEHIND_MAX: u8 = 3;
/// Of so many packets most must have come...
const SENT_LEAST: u32 = 20;
/// ...this many of a hundred: repairs bring back a part of what a relay loses, and what is told and what came is counted
/// up to a quarter of a second apart.
const CAME_LEAST: u32 = 70;
/// Two nodes that complain about a parent within this time are two too many.
const COMPLAINTS_STAY: Duration = Duration::from_secs(30);
/// Whoever has just complained about its own parent is not to blame for what its children miss.
const EXCUSED: Duration = Duration::from_secs(5);
/// Complaints that exclude a parent for all.
const COMPLAINTS_MAX: usize = 2;
/// What the origin hears.
pub(super) const GRAY: &str = "the parent does not pass on in time what the origin sends";

/// One layer as it comes from its parent, against what the origin says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    flow: Option<Flow>,
    came: Option<Count>,
    told: Option<(Count, Instant)>,
    /// Packets sent and received when it was last looked.
    before: Option<(u32, u32)>,
    behind: u8,
}

impl Watch {
    /// Follows the flow that feeds the layer now.
    fn follow(&mut self, flow: Flow) {
        if self.flow != Some(flow) {
            *self = Self { flow: Some(flow), ..Self::default() };
        }
    }

    /// Packets that have come over a flow, if it is the one that feeds the layer now.
    pub(super) fn packets(&self, flow: Flow) -> Option<u32> {
        self.came.filter(|_| self.flow == Some(flow)).map(|came| came.packets)
    }

    /// How often the layer has been behind, less how often not, if there is news of it.
    fn look(&mut self, now: Instant) -> Option<u8> {
        let (told, _) = self.told.take_if(|(_, at)| *at + LATE <= now)?;
        let came = self.came.unwrap_or_default();
        let is_late = self.came.is_none_or(|came| (told.newest.wrapping_sub(came.newest) as i16) > 0);
        let is_sparse = self.before.is_some_and(|(sent, received)| {
            let (sent, received) = (told.packets.wrapping_sub(sent), came.packets.wrapping_sub(received));
            sent >= SENT_LEAST && u64::from(received) * 100 < u64::from(sent) * u64::from(CAME_LEAST)
        });
        self.before = Some((told.packets, came.packets));
        self.behind = if is_late || is_sparse { self.behind.saturating_add(1) } else { self.behind.saturating_sub(1) };
        Some(self.behind)
    }
}

/// What an origin is about to tell, and who has complained to it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pending: BTreeMap<TreeKey, BTreeMap<TrackLayer, Count>>,
    at: Option<Instant>,
    /// By parent and child.
    complaints: BTreeMap<NodeId, BTreeMap<NodeId, Instant>>,
}

impl Told {
    /// A child complains; says by how many a parent is complained about now.
    fn complain(&mut self, now: Instant, child: NodeId, parent: NodeId) -> usize {
        for children in self.complaints.values_mut() {
            children.retain(|_, at| now < *at + COMPLAINTS_STAY);
        }
        self.complaints.retain(|_, children| !children.is_empty());
        let is_excused =
            self.complaints.values().any(|children| children.get(&parent).is_some_and(|at| now < *at + EXCUSED));
        let of_parent = self.complaints.entry(parent).or_default();
        of_parent.insert(child, now);
        if is_excused { 0 } else { of_parent.len() }
    }
}

impl Cascade {
    /// What passes the links of this node.
    pub(super) fn handle_counts(&mut self, counts: Counts) {
        // Of base layers and sound alone.
        for (layer, count) in counts.sent.into_iter().filter(|(layer, _)| layer.layer == 0) {
            let taker = self.subscriptions.served.takers(layer).next();
            let served = taker.and_then(|(to, flow)| self.subscriptions.served.get(to, flow));
            if let Some(served) = served.filter(|served| served.origin == self.me) {
                self.told.pending.entry((served.room.clone(), self.me)).or_default().insert(layer, count);
            }
        }
        for (from, flow, count) in counts.received {
            let Some(layer) = self.subscriptions.layers_by_flow.get(&flow).copied() else { continue };
            let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { continue };
            intake.hear(self.now, flow, &count);
            if (intake.current.from, intake.current.flow) == (from, flow) {
                intake.watch.follow(flow);
                intake.watch.came = Some(count);
            }
        }
        self.judge_parents();
        self.choose_seconds();
        if self.told.at.is_none_or(|at| at + TOLD_EVERY <= self.now) {
            self.told.at = Some(self.now);
            self.tell_what_is_sent();
        }
    }

    /// Tells nodes that do not hang at this one what they should get.
    fn tell_what_is_sent(&mut self) {
        for ((room, _), layers) in std::mem::take(&mut self.told.pending) {
            let edges = self.subscriptions.trees.get(&room).map(|tree| &tree.plan.edges);
            let far = edges.into_iter().flatten().filter(|(_, edge)| edge.parent != self.me);
            let far: Vec<NodeId> = far.map(|(node, _)| *node).collect();
            if far.is_empty() {
                continue;
            }
            let counted = |(layer, count): (&TrackLayer, &Count)| Counted {
                track: layer.track.to_string(),
                layer: layer.layer.into(),
                packets: count.packets,
                newest: count.newest.into(),
            };
            let layers = layers.iter().take(TOLD_MAX).map(counted).collect();
            let message = Sent { room: Some((&room).into()), layers };
            far.into_iter().for_each(|node| self.send(node, &message));
        }
    }

    /// An origin says what it has sent so far.
    pub(super) fn handle_sent(&mut self, from: NodeId, message: Sent) -> Result<(), Malformed> {
        let room = room_of(message.room)?;
        for Counted { track, layer, packets, newest } in message.layers.into_iter().take(TOLD_MAX) {
            let (Ok(layer), Ok(newest)) = (u8::try_from(layer), u16::try_from(newest)) else {
                return Err(Malformed("counts"));
            };
            let layer = TrackLayer { track: track_of(&track)?, layer };
            let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { continue };
            if (&intake.source.room, intake.source.origin) == (&room, from) && layer.layer == 0 {
                intake.watch.follow(intake.current.flow);
                let count = Count { packets, newest, loudest: None };
                intake.watch.told.get_or_insert((count, self.now));
            }
        }
        Ok(())
    }

    /// Leaves parents that are behind.
    fn judge_parents(&mut self) {
        let now = self.now;
        let mut gray = Vec::new();
        for intake in self.subscriptions.intakes.values_mut() {
            if intake.watch.flow != Some(intake.current.flow) {
                continue;
            }
            let Some(behind) = intake.watch.look(now).filter(|behind| *behind >= BEHIND_MAX) else { continue };
            let key = intake.source.tree();
            let Some(branch) = self.subscriptions.branches.get(&key) else { continue };
            let hops = branch.path.len().saturating_sub(2) as u8;
            if branch.parent != key.1 && branch.parent == intake.current.from && behind >= BEHIND_MAX + hops {
                intake.watch.behind = 0;
                gray.push(key);
            }
        }
        gray.dedup();
        gray.into_iter().for_each(|key| self.leave_gray(&key));
    }

    /// Asks the next best parent beside one that is behind, and goes there once that one sends.
    fn leave_gray(&mut self, key: &TreeKey) {
        let Some(branch) = self.subscriptions.branches.get(key).filter(|branch| branch.target.is_none()) else {
            return;
        };
        let parent = branch.parent;
        self.counters.gray_parents += 1;
        let Some(to) = self.other_parent(key, parent) else { return };
        let until = self.patience.fail_hard(self.now, self.me, parent);
        self.timers.set(until, Timer::Trust(self.me, parent));
        self.set_ways(self.me, parent);
        let until = self.now + MOVE_WAITS;
        if let Some(branch) = self.subscriptions.branches.get_mut(key) {
            branch.target = Some(Target::beside(key.1, to, until, Cause::Gray));
        }
        self.timers.set(until, Timer::Move(key.clone()));
        self.steer_all(key);
    }

    /// A child says that its planned parent is gray. For the pair that is enough; for all it takes two.
    pub(super) fn hear_complaint(&mut self, child: NodeId, parent: NodeId) {
        if child == self.me || parent == self.me || self.map.is_down(child, parent) {
            return;
        }
        self.counters.complaints += 1;
        let until = self.patience.fail_hard(self.now, child, parent);
        self.set_ways(child, parent);
        self.timers.set(until, Timer::Trust(child, parent));
        if self.told.complain(self.now, child, parent) >= COMPLAINTS_MAX && !self.map.is_held_off(parent) {
            self.counters.held_off += 1;
            let until = self.patience.fail_hard(self.now, parent, parent);
            self.map.set_held_off(parent, true);
            self.timers.set(until, Timer::Trust(parent, parent));
            self.plan_trees(|nodes| nodes.contains(&parent));
        }
    }
}
