//! A parent falls silent, refuses or is gone: who takes its place, and what was missed meanwhile.
//!
//! A suspect parent stays, while the backup is asked beside it: whichever sends first. One that is gone is left at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use origo_auth::NodeId;

use super::branch::{Branch, Cause, MOVE_WAITS, Target};
use super::intake::REASON_CHARS_MAX;
use super::machine::Cascade;
use super::refusal::Refusal;
use super::rescues::Why;
use super::subscriptions::TreeKey;
use super::timers::Timer;
use crate::link::Hearing;

/// Packets that were lost or late right before a parent fell silent are missing too: a repair takes about as long.
const MISSED_BEFORE: Duration = Duration::from_millis(50);

/// Peers that are not heard well over their media connection.
#[derive(Debug, Default)]
pub(super) struct Unheard(BTreeMap<NodeId, (Hearing, Instant)>);

impl Unheard {
    pub(super) fn of(&self, peer: NodeId) -> Hearing {
        self.0.get(&peer).map_or(Hearing::Well, |(hearing, _)| *hearing)
    }

    /// Since when nothing comes.
    fn since(&self, peer: NodeId) -> Option<Instant> {
        self.0.get(&peer).map(|(_, since)| *since)
    }

    fn set(&mut self, peer: NodeId, hearing: Hearing, since: Instant) {
        if hearing == Hearing::Well {
            self.0.remove(&peer);
        } else {
            let known = self.0.entry(peer).or_insert((hearing, since));
            known.0 = hearing;
        }
    }

    pub(super) fn forget(&mut self, peer: NodeId) {
        self.0.remove(&peer);
    }
}

impl Cascade {
    /// Whether media can come from a peer as things stand.
    pub(super) fn can_feed(&self, peer: &NodeId) -> bool {
        self.linked.contains(peer) && self.unheard.of(*peer) != Hearing::Gone
    }

    /// Whether it is likely to go on so.
    pub(super) fn is_steady(&self, peer: &NodeId) -> bool {
        self.can_feed(peer)
            && self.unheard.of(*peer) == Hearing::Well
            && !self.patience.is_held(self.now, self.me, *peer)
    }

    /// Whether an origin may have its layers come over the link to a peer: it is steady, or has been for a while.
    pub(super) fn may_follow(&self, peer: &NodeId) -> bool {
        self.can_feed(peer)
            && self.unheard.of(*peer) == Hearing::Well
            && self.patience.has_proved(self.now, self.me, *peer)
    }

    /// A peer is heard otherwise than before.
    pub(super) fn handle_hearing(&mut self, peer: NodeId, hearing: Hearing, quiet: Duration) {
        if peer == self.me {
            return;
        }
        let (could_feed, was_gone) = (self.can_feed(&peer), self.unheard.of(peer) == Hearing::Gone);
        self.unheard.set(peer, hearing, self.now.checked_sub(quiet).unwrap_or(self.now));
        match hearing {
            Hearing::Well => self.take_back(peer, was_gone),
            Hearing::Suspect => self.doubt(peer),
            Hearing::Gone => {
                if could_feed {
                    self.patience.fail(self.now, self.me, peer);
                }
                self.branches_lose(peer);
                self.set_ways(self.me, peer);
                self.trees_lose(peer);
            }
        }
        self.look_at_reach(peer);
    }

    /// A link works again.
    fn take_back(&mut self, peer: NodeId, was_gone: bool) {
        if was_gone {
            self.trust_later(peer);
        }
        for key in self.branches_where(|_, branch| !branch.layers.is_empty()) {
            self.drop_hedge(&key, peer);
            self.seek_parent(&key, peer);
        }
    }

    /// Something may have changed for the better for a place in a tree since `peer` can be heard.
    fn seek_parent(&mut self, key: &TreeKey, peer: NodeId) {
        let Some(branch) = self.subscriptions.branches.get(key) else { return };
        let parent = branch.parent;
        let is_planned = branch.planned.as_ref().is_some_and(|planned| planned.parent == peer);
        if !self.can_feed(&parent) {
            self.rescue(key, parent, Why::Down, "the link to the parent is down");
        } else if is_planned && parent != peer {
            self.follow_plan(key);
        }
    }

    /// A link that was gone works again: plans reckon with it once their patience is over.
    pub(super) fn trust_later(&mut self, peer: NodeId) {
        if let Some(until) = self.patience.come_back(self.now, self.me, peer) {
            self.timers.set(until, Timer::Trust(self.me, peer));
        }
        self.set_ways(self.me, peer);
    }

    /// The time of a pair without its link is over, if it has not failed again.
    pub(super) fn trust_pair(&mut self, one: NodeId, other: NodeId) {
        self.set_ways(one, other);
        if self.patience.is_held(self.now, one, other) {
            return;
        }
        if one == self.me && self.is_steady(&other) {
            for key in self.branches_where(|_, _| true) {
                self.seek_parent(&key, other);
            }
        }
        self.optimise_soon();
    }

    /// Tells plans whether there is a way between two nodes.
    pub(super) fn set_ways(&mut self, one: NodeId, other: NodeId) {
        let is_gone = one == self.me && !self.can_feed(&other);
        let is_held = self.patience.is_held(self.now, one, other);
        if one == other {
            return self.map.set_held_off(one, is_held);
        }
        self.map.set_down(one, other, is_gone || is_held);
    }

    /// A parent is suspect: asks the next best one beside it.
    fn doubt(&mut self, peer: NodeId) {
        for key in self.branches_where(|_, branch| branch.parent == peer && !branch.layers.is_empty()) {
            self.hedge(&key, peer);
        }
    }

    fn hedge(&mut self, key: &TreeKey, suspect: NodeId) {
        let chosen = self.other_parent(key, suspect).filter(|chosen| self.unheard.of(*chosen) == Hearing::Well);
        let until = self.now + MOVE_WAITS;
        let Some(branch) = self.subscriptions.branches.get_mut(key).filter(|branch| branch.parent == suspect) else {
            return;
        };
        if branch.target.is_none() {
            let Some(to) = chosen else { return };
            branch.target = Some(Target::beside(key.1, to, until, Cause::Suspect));
            self.timers.set(until, Timer::Move(key.clone()));
        }
        self.steer_all(key);
        for layer in self.layers_of(key) {
            self.ask_for_missed(layer);
        }
    }

    /// The suspect parent is heard again: it stays, unless the other one has been faster.
    fn drop_hedge(&mut self, key: &TreeKey, peer: NodeId) {
        let Some(branch) = self.subscriptions.branches.get(key).filter(|branch| branch.parent == peer) else { return };
        let Some(target) = branch.target.as_ref().filter(|target| target.cause == Cause::Suspect) else { return };
        let mut intakes = branch.layers.iter().filter_map(|layer| self.subscriptions.intakes.get(layer));
        if intakes.any(|intake| intake.has_moved_to(target.to)) {
            return;
        }
        if let Some(branch) = self.subscriptions.branches.get_mut(key) {
            branch.target = None;
        }
        self.steer_all(key);
        self.grant_to_all_children(key);
    }

    /// The one that was asked beside a suspect parent refuses: somebody else may not.
    pub(super) fn hedge_elsewhere(&mut self, key: &TreeKey, refusing: NodeId, why: &str) {
        let Some(branch) = self.subscriptions.branches.get(key) else { return };
        let suspect = branch.parent;
        if !branch.target.as_ref().is_some_and(|target| target.is_unplanned() && target.to == refusing) {
            return;
        }
        self.abandon_move(key, why);
        if self.unheard.of(suspect) == Hearing::Suspect {
            self.hedge(key, suspect);
        }
    }

    /// A move may have taken too long.
    pub(super) fn look_at_move(&mut self, key: &TreeKey) {
        let target = self.subscriptions.branches.get(key).and_then(|branch| branch.target.as_ref());
        if target.is_some_and(|target| target.until <= self.now) {
            self.abandon_move(key, "the planned parent did not send all layers in time");
        }
    }

    /// Stays with the parent that there is; layers that have moved come back.
    pub(super) fn abandon_move(&mut self, key: &TreeKey, why: &str) {
        let now = self.now;
        let Some(branch) = self.subscriptions.branches.get_mut(key) else { return };
        let Some(target) = branch.target.take() else { return };
        branch.hold(target.to, now);
        branch.why = why.to_owned();
        self.steer_all(key);
        self.grant_to_all_children(key);
        if target.carries {
            self.tell_children_the_path(key);
        }
        self.tell_origin(key);
    }

    /// The parent fails: goes to the backup at once, else straight to the origin.
    pub(super) fn rescue(&mut self, key: &TreeKey, lost: NodeId, why: Why, words: &str) {
        let (now, chosen) = (self.now, self.other_parent(key, lost));
        let Some(branch) = self.subscriptions.branches.get_mut(key).filter(|branch| branch.parent == lost) else {
            return;
        };
        if branch.layers.is_empty() {
            return;
        }
        if lost != key.1 {
            branch.hold(lost, now);
        }
        branch.why = words.chars().take(REASON_CHARS_MAX).collect();
        let Some(chosen) = chosen else {
            // What is taken is asked for again when a link comes up.
            return self.refuse_children(key, &Refusal::NoWay);
        };
        branch.stand_at(chosen, key.1);
        self.counters.rescues.leave(why);
        for layer in self.layers_of(key) {
            let is_lost = self.subscriptions.intakes.get(&layer).is_some_and(|intake| intake.current.from == lost);
            if is_lost {
                self.feed_anew(layer, chosen);
            } else {
                self.steer(key, layer);
            }
        }
        self.tell_origin(key);
        self.tell_children_the_path(key);
    }

    /// Whom to turn to when a parent is lost: where this node was moving to, the backup, the planned parent, the origin;
    /// those first whose links have not failed lately.
    pub(super) fn other_parent(&self, key: &TreeKey, lost: NodeId) -> Option<NodeId> {
        let branch = self.subscriptions.branches.get(key)?;
        let target = branch.target.as_ref().map(|target| target.to);
        let planned = branch.planned.as_ref();
        let planned = [planned.and_then(|planned| planned.backup), planned.map(|planned| planned.parent)];
        let children = self.children_of(key);
        let fits = |node: &NodeId| {
            *node != lost && self.can_feed(node) && !children.contains(node) && !branch.is_held(*node, self.now)
        };
        let candidates = || [target, planned[0], planned[1], Some(key.1)].into_iter().flatten().filter(fits);
        candidates().find(|node| self.is_steady(node)).or_else(|| candidates().next())
    }

    /// A link is gone, and with it what came over it.
    pub(super) fn branches_lose(&mut self, peer: NodeId) {
        self.close_seconds(peer, None);
        let is_concerned = |branch: &Branch| branch.parent == peer || branch.wanted_parent() == peer;
        let keys = self.branches_where(|_, branch| is_concerned(branch));
        for key in keys {
            let target = self.subscriptions.branches.get(&key).and_then(|branch| branch.target.as_ref());
            if target.is_some_and(|target| target.to == peer) {
                self.abandon_move(&key, "the link to the planned parent is down");
            } else {
                let why = if self.linked.contains(&peer) { Why::Silent } else { Why::Down };
                self.rescue(&key, peer, why, "the link to the parent is down");
            }
        }
    }

    /// A link is up. What this node could not do without it, it does now; the peer as an origin may have begun anew.
    pub(super) fn branches_gain(&mut self, peer: NodeId) {
        for key in self.branches_where(|_, _| true) {
            if let Some(branch) = self.subscriptions.branches.get_mut(&key).filter(|_| key.1 == peer) {
                branch.epoch = branch.epoch.min(1);
                branch.told = None;
            }
            self.seek_parent(&key, peer);
            self.tell_origin(&key);
        }
    }

    /// How long nothing has come of a layer that comes again now.
    pub(super) fn note_gap(&mut self, missing_since: Instant) {
        let gap = self.now.saturating_duration_since(missing_since).saturating_sub(MISSED_BEFORE);
        self.counters.rescues.come_again(gap);
    }

    /// From when on packets are missing that a parent did not send, seen from now: it fell silent, or is gone without that.
    pub(super) fn missing_since(&self, parent: NodeId) -> Option<Instant> {
        self.unheard.since(parent).unwrap_or(self.now).checked_sub(MISSED_BEFORE)
    }
}
