//! This node's place in the tree of one (room, origin): whom it takes the origin's layers from, and how that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_auth::NodeId;

use super::gray::GRAY;
use super::machine::Cascade;
use super::refusal::Refusal;
use super::rescues::Why;
use super::subscriptions::TreeKey;
use super::timers::Timer;
use crate::TrackLayer;
use crate::wire::Malformed;
use crate::wire::message::{Attach, Attached, Path};
use crate::wire::record::{bytes_of, countries_of, node_of, nodes_of, room_of};

/// Most nodes that a layer passes before it is here; longer paths are refused on both ends.
pub(super) const PATH_NODES_MAX: usize = 8;
/// A new parent that does not carry all layers by then is given up.
pub(super) const MOVE_WAITS: Duration = Duration::from_secs(5);
/// A parent that failed is not taken again for this long.
const HOLD_DOWN: Duration = Duration::from_secs(5);
/// Changes of what this node takes are told together.
const TELL_WAITS: Duration = Duration::from_millis(200);
/// A branch without layers remembers its place this long.
const IDLE_STAYS: Duration = Duration::from_secs(30);
/// Branches in all, beyond which an ATTACH to a node that takes nothing is refused.
const BRANCHES_MAX: usize = 65_536;

/// Where this node hangs in a tree.
#[derive(Debug)]
pub(super) struct Branch {
    /// Of the newest ATTACH over the link that there is now; 0 before.
    pub(super) epoch: u64,
    /// What that said.
    pub(super) planned: Option<Planned>,
    /// Who feeds this node.
    pub(super) parent: NodeId,
    /// From the origin to the parent.
    pub(super) path: Vec<NodeId>,
    /// Who is about to.
    pub(super) target: Option<Target>,
    /// What is taken over this branch.
    pub(super) layers: BTreeSet<TrackLayer>,
    /// Parents that failed, and until when each is not taken.
    held: BTreeMap<NodeId, Instant>,
    /// Why the parent is not the planned one.
    pub(super) why: String,
    /// What the origin was last told.
    pub(super) told: Option<Attached>,
    /// Without layers: until when this is remembered.
    idle_until: Option<Instant>,
}

/// What the origin wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Planned {
    pub(super) parent: NodeId,
    pub(super) backup: Option<NodeId>,
    pub(super) path: Vec<NodeId>,
    /// Countries that the room's media may touch.
    pub(super) countries: Vec<String>,
}

/// A parent that this node moves to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) to: NodeId,
    /// As planned, until the new parent itself has told.
    pub(super) path: Vec<NodeId>,
    pub(super) confirmed: bool,
    /// Some layer comes from there already.
    pub(super) carries: bool,
    pub(super) until: Instant,
    pub(super) cause: Cause,
}

/// Why a node moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The origin wants it.
    Planned,
    /// The parent is suspect: another takes its place if it sends before that one is heard again.
    Suspect,
    /// The parent does not pass on what the origin sends.
    Gray,
}

impl Target {
    /// One that nobody has planned, asked beside the parent that there is.
    pub(super) fn beside(origin: NodeId, to: NodeId, until: Instant, cause: Cause) -> Self {
        let path = if to == origin { vec![to] } else { vec![origin, to] };
        Self { to, path, confirmed: false, carries: false, until, cause }
    }

    /// Whether the parent is left against the plan.
    pub(super) fn is_unplanned(&self) -> bool {
        self.cause != Cause::Planned
    }
}

impl Branch {
    fn straight(origin: NodeId) -> Self {
        Self {
            epoch: 0,
            planned: None,
            parent: origin,
            path: vec![origin],
            target: None,
            layers: BTreeSet::new(),
            held: BTreeMap::new(),
            why: String::new(),
            told: None,
            idle_until: None,
        }
    }

    /// Where layers are to come from in the end.
    pub(super) fn wanted_parent(&self) -> NodeId {
        self.target.as_ref().map_or(self.parent, |target| target.to)
    }

    /// Who feeds this node, or could as things stand.
    pub(super) fn parents(&self) -> impl Iterator<Item = NodeId> {
        let target = self.target.as_ref().map(|target| target.to);
        let planned = self.planned.as_ref().filter(|_| self.layers.is_empty()).map(|planned| planned.parent);
        [Some(self.parent), target, planned].into_iter().flatten()
    }

    /// Whether a node is the parent, or the one to be.
    pub(super) fn is_fed_by(&self, node: NodeId) -> bool {
        self.parent == node || self.wanted_parent() == node
    }

    /// Whether the nodes are known that media passes before it is here, now and soon.
    pub(super) fn knows_its_way(&self) -> bool {
        self.target.as_ref().is_none_or(|target| target.confirmed)
    }

    /// From the origin to the parent, as children have to reckon with it: from the first layer that moves on to the end of
    /// the move the new way counts, since whoever hears of it late may take from below itself meanwhile.
    fn way(&self) -> &[NodeId] {
        self.target.as_ref().filter(|target| target.carries).map_or(&self.path, |target| &target.path)
    }

    /// Whether media passes a node before it is here, now or soon.
    pub(super) fn passes(&self, node: NodeId) -> bool {
        self.path.contains(&node) || self.target.as_ref().is_some_and(|target| target.path.contains(&node))
    }

    pub(super) fn is_held(&self, node: NodeId, now: Instant) -> bool {
        self.held.get(&node).is_some_and(|until| now < *until)
    }

    /// Does not take a node as parent for a while.
    pub(super) fn hold(&mut self, node: NodeId, now: Instant) {
        self.held.retain(|_, until| now < *until);
        self.held.insert(node, now + HOLD_DOWN);
    }

    pub(super) fn stand_at(&mut self, parent: NodeId, origin: NodeId) {
        let known =
            self.planned.as_ref().filter(|planned| planned.parent == parent).map(|planned| planned.path.clone());
        let target = self.target.take().filter(|target| target.to == parent).map(|target| target.path);
        let unknown = || if parent == origin { vec![origin] } else { vec![origin, parent] };
        self.parent = parent;
        self.path = target.or(known).unwrap_or_else(unknown);
    }
}

impl Cascade {
    /// A layer is to be taken over this branch; gives its parent.
    pub(super) fn join_branch(&mut self, key: &TreeKey, layer: TrackLayer) -> NodeId {
        let origin = key.1;
        let planned = self.subscriptions.branches.get(key).and_then(|branch| branch.planned.as_ref());
        let planned = planned.map(|planned| planned.parent).filter(|planned| self.can_feed(planned));
        let branch = self.subscriptions.branches.entry(key.clone()).or_insert_with(|| Branch::straight(origin));
        if branch.layers.is_empty() {
            // Direct first; a relay that was told its place beforehand goes there.
            let at_hand = planned.filter(|planned| !branch.is_held(*planned, self.now));
            branch.stand_at(at_hand.unwrap_or(origin), origin);
        }
        branch.idle_until = None;
        branch.layers.insert(layer);
        branch.parent
    }

    /// A layer is not taken any more. Without any, the place in the tree is given up.
    pub(super) fn leave_branch(&mut self, key: &TreeKey, layer: TrackLayer) {
        let Some(branch) = self.subscriptions.branches.get_mut(key) else { return };
        branch.layers.remove(&layer);
        if !branch.layers.is_empty() {
            self.settle(key);
            return self.tell_origin_soon(key);
        }
        if branch.epoch == 0 {
            self.subscriptions.branches.remove(key);
            return;
        }
        (branch.planned, branch.target) = (None, None);
        branch.stand_at(key.1, key.1);
        self.rest(key);
        self.tell_origin(key);
    }

    fn rest(&mut self, key: &TreeKey) {
        let until = self.now + IDLE_STAYS;
        let Some(branch) = self.subscriptions.branches.get_mut(key) else { return };
        if branch.idle_until.replace(until).is_none() {
            self.timers.set(until, Timer::Idle(key.clone()));
        }
    }

    /// A branch without layers may have rested long enough.
    pub(super) fn forget_branch(&mut self, key: &TreeKey) {
        match self.subscriptions.branches.get(key).and_then(|branch| branch.idle_until) {
            Some(until) if until > self.now => self.timers.set(until, Timer::Idle(key.clone())),
            Some(_) => drop(self.subscriptions.branches.remove(key)),
            None => {}
        }
    }

    /// The origin of a tree gives this node its place.
    pub(super) fn handle_attach(&mut self, from: NodeId, message: Attach) -> Result<(), Malformed> {
        let key = (room_of(message.room)?, from);
        let parent = node_of(&message.parent)?;
        let backup = if message.backup.is_empty() { None } else { Some(node_of(&message.backup)?) };
        let path = nodes_of(&message.path)?;
        let countries = countries_of(message.countries)?;
        let is_sound = is_path(&path, from, parent) && !path.contains(&self.me) && message.epoch > 0;
        if !is_sound || !self.alive.contains(&parent) || backup == Some(self.me) {
            self.counters.refused_attach += 1;
            return Ok(());
        }
        let known = self.subscriptions.branches.get(&key).map(|branch| branch.epoch);
        if known.is_some_and(|epoch| message.epoch < epoch) {
            self.counters.old_epoch += 1;
            return Ok(());
        }
        if known.is_none() && self.subscriptions.branches.len() >= BRANCHES_MAX {
            self.counters.over_limit += 1;
            return Ok(());
        }
        let backup = backup.filter(|backup| self.alive.contains(backup) && *backup != parent);
        let branch = self.subscriptions.branches.entry(key.clone()).or_insert_with(|| Branch::straight(from));
        if branch.epoch == message.epoch {
            // Whoever is told again was not heard, or stays elsewhere for a reason that the origin reckons with no more.
            branch.told = None;
        }
        branch.epoch = message.epoch;
        branch.planned = Some(Planned { parent, backup, path, countries });
        self.refuse_outsiders(&key);
        self.follow_plan(&key);
        Ok(())
    }

    /// Moves to the planned parent, or says why not.
    pub(super) fn follow_plan(&mut self, key: &TreeKey) {
        let now = self.now;
        let planned = self.subscriptions.branches.get(key).and_then(|branch| branch.planned.clone());
        let Some(planned) = planned else { return };
        let (feeds, steady) = (self.can_feed(&planned.parent), self.may_follow(&planned.parent));
        let stands = self.subscriptions.branches.get(key).is_some_and(|branch| self.can_feed(&branch.parent));
        let Some(branch) = self.subscriptions.branches.get_mut(key) else { return };
        if branch.layers.is_empty() {
            branch.stand_at(planned.parent, key.1);
            self.rest(key);
        } else if branch.parent == planned.parent && branch.target.as_ref().is_some_and(Target::is_unplanned) {
            // It is being left, and stays only if a suspicion proves wrong in time.
        } else if branch.parent == planned.parent {
            let carried = branch.target.take().is_some_and(|target| target.carries);
            branch.why.clear();
            self.steer_all(key);
            self.grant_to_all_children(key);
            if carried {
                self.tell_children_the_path(key);
            }
        } else if branch.is_held(planned.parent, now) {
            // The reason why it is held was told, and stands.
        } else if !feeds {
            branch.why = "no link to the planned parent".to_owned();
        } else if !steady && stands {
            branch.why = "the link to the planned parent is not steady".to_owned();
        } else if branch.wanted_parent() != planned.parent {
            let until = now + MOVE_WAITS;
            let (to, path, cause) = (planned.parent, planned.path, Cause::Planned);
            let left = branch.target.replace(Target { to, path, confirmed: false, carries: false, until, cause });
            branch.why.clear();
            self.timers.set(until, Timer::Move(key.clone()));
            self.steer_all(key);
            if left.is_some_and(|left| left.carries) {
                self.tell_children_the_path(key);
            }
            // The origin hears when it is done.
            return;
        } else {
            return;
        }
        self.tell_origin(key);
    }

    pub(super) fn steer_all(&mut self, key: &TreeKey) {
        for layer in self.layers_of(key) {
            self.steer(key, layer);
        }
    }

    pub(super) fn layers_of(&self, key: &TreeKey) -> Vec<TrackLayer> {
        self.subscriptions.branches.get(key).map(|branch| branch.layers.iter().copied().collect()).unwrap_or_default()
    }

    /// Ends a move once every layer comes from the new parent.
    pub(super) fn settle(&mut self, key: &TreeKey) {
        let Some(branch) = self.subscriptions.branches.get(key) else { return };
        let Some(to) = branch.target.as_ref().map(|target| target.to) else { return };
        let intakes = branch.layers.iter().filter_map(|layer| self.subscriptions.intakes.get(layer));
        if intakes.into_iter().any(|intake| intake.current.from != to) {
            return self.carry(key);
        }
        if let Some(branch) = self.subscriptions.branches.get_mut(key) {
            let cause = branch.target.as_ref().map_or(Cause::Planned, |target| target.cause);
            let left = branch.parent;
            branch.stand_at(to, key.1);
            if cause != Cause::Planned && branch.planned.as_ref().is_some_and(|planned| planned.parent == left) {
                branch.hold(left, self.now);
                self.counters.rescues.leave(if cause == Cause::Gray { Why::Gray } else { Why::Suspect });
                branch.why = if cause == Cause::Gray { GRAY } else { "the parent was not heard" }.to_owned();
            } else {
                branch.why.clear();
            }
        }
        self.tell_origin(key);
        self.tell_children_the_path(key);
    }

    /// A part of the layers comes from the new parent.
    fn carry(&mut self, key: &TreeKey) {
        let Some(branch) = self.subscriptions.branches.get_mut(key) else { return };
        let Some(target) = branch.target.as_mut().filter(|target| target.confirmed && !target.carries) else { return };
        let mut intakes = branch.layers.iter().filter_map(|layer| self.subscriptions.intakes.get(layer));
        target.carries = intakes.any(|intake| intake.current.from == target.to);
        if target.carries {
            self.tell_children_the_path(key);
        }
    }

    pub(super) fn branches_where(&self, is_meant: impl Fn(&TreeKey, &Branch) -> bool) -> Vec<TreeKey> {
        let meant = self.subscriptions.branches.iter().filter(|(key, branch)| is_meant(key, branch));
        meant.map(|(key, _)| key.clone()).collect()
    }

    /// A parent says over which nodes the origin's layers come to it.
    pub(super) fn handle_path(&mut self, from: NodeId, message: Path) -> Result<(), Malformed> {
        let key = (room_of(message.room)?, node_of(&message.origin)?);
        let path = self.path_of(&message.path, key.1, from)?;
        let branch = self.subscriptions.branches.get(&key);
        let is_parent = branch.is_some_and(|branch| branch.parent == from || branch.wanted_parent() == from);
        if !is_parent && !self.has_second(&key, from) {
            self.counters.path_of_stranger += 1;
            return Ok(());
        }
        self.learn_path(&key, from, path);
        Ok(())
    }

    /// A path from the origin to the peer that told it.
    pub(super) fn path_of(&self, path: &[Bytes], origin: NodeId, from: NodeId) -> Result<Vec<NodeId>, Malformed> {
        let path = if path.is_empty() && origin == from { vec![origin] } else { nodes_of(path)? };
        if is_path(&path, origin, from) { Ok(path) } else { Err(Malformed("path")) }
    }

    /// Takes the path of the parent, or of the one to be. A parent behind this node is left at once.
    pub(super) fn learn_path(&mut self, key: &TreeKey, from: NodeId, path: Vec<NodeId>) {
        let is_loop = path.contains(&self.me);
        let Some(branch) = self.subscriptions.branches.get_mut(key) else { return };
        self.counters.path_in_loop += u64::from(is_loop);
        if branch.parent == from {
            if is_loop {
                return self.rescue(key, from, Why::Loop, "the parent lies behind this node");
            }
            if branch.path != path {
                branch.path = path;
                self.tell_children_the_path(key);
            }
        } else if let Some(target) = branch.target.as_mut().filter(|target| target.to == from) {
            if is_loop {
                return self.abandon_move(key, "the planned parent lies behind this node");
            }
            let is_news = target.carries && target.path != path;
            (target.path, target.confirmed) = (path, true);
            if is_news {
                self.tell_children_the_path(key);
            }
            self.refuse_children_where(key, &Refusal::Loop, Branch::passes);
            self.grant_to_all_children(key);
        } else if is_loop {
            self.close_seconds(from, Some(key));
        }
    }

    /// The path that this node gives to children.
    pub(super) fn path_through_me(&self, key: &TreeKey) -> Vec<Bytes> {
        let path = self.subscriptions.branches.get(key).map(Branch::way).unwrap_or_default();
        path.iter().chain([&self.me]).map(|node| bytes_of(*node)).collect()
    }

    /// The nodes that take layers of a tree from this node.
    pub(super) fn children_of(&self, key: &TreeKey) -> BTreeSet<NodeId> {
        let layers = self.subscriptions.branches.get(key).into_iter().flat_map(|branch| &branch.layers);
        layers.flat_map(|layer| self.subscriptions.served.takers(*layer)).map(|(to, _)| to).collect()
    }

    /// The path has changed: children hear of it, and those that are part of it are not served any more.
    pub(super) fn tell_children_the_path(&mut self, key: &TreeKey) {
        self.refuse_children_where(key, &Refusal::Loop, Branch::passes);
        if self.subscriptions.branches.get(key).is_some_and(|branch| branch.way().len() >= PATH_NODES_MAX) {
            return self.refuse_children(key, &Refusal::TooLong);
        }
        let message = Path { room: Some((&key.0).into()), origin: bytes_of(key.1), path: self.path_through_me(key) };
        for child in self.children_of(key) {
            self.send(child, &message);
        }
    }

    /// Tells the origin soon what this node takes.
    pub(super) fn tell_origin_soon(&mut self, key: &TreeKey) {
        if self.subscriptions.branches.get(key).is_some_and(|branch| branch.epoch > 0) {
            self.timers.set(self.now + TELL_WAITS, Timer::Tell(key.clone()));
        }
    }

    /// Tells the origin who feeds this node and what it takes, if that has changed. Before the first ATTACH the origin
    /// knows by itself, since all comes straight from it.
    pub(super) fn tell_origin(&mut self, key: &TreeKey) {
        let Some(branch) = self.subscriptions.branches.get(key).filter(|branch| branch.epoch > 0) else { return };
        let intakes = branch.layers.iter().filter_map(|layer| self.subscriptions.intakes.get(layer));
        let rate_bps = intakes.map(|intake| intake.own_rate_bps()).sum();
        let has_place = !branch.layers.is_empty() || branch.planned.is_some();
        let message = Attached {
            room: Some((&key.0).into()),
            epoch: branch.epoch,
            parent: if has_place { bytes_of(branch.parent) } else { Bytes::new() },
            rate_bps,
            gray: branch.why == GRAY,
            why: branch.why.clone(),
        };
        if branch.told.as_ref() == Some(&message) || !self.linked.contains(&key.1) {
            return;
        }
        self.send(key.1, &message);
        if let Some(branch) = self.subscriptions.branches.get_mut(key) {
            branch.told = Some(message);
        }
    }
}

/// Whether a path goes from one node to another, passes none twice and is short enough.
pub(super) fn is_path(path: &[NodeId], from: NodeId, to: NodeId) -> bool {
    let distinct: BTreeSet<&NodeId> = path.iter().collect();
    path.first() == Some(&from)
        && path.last() == Some(&to)
        && distinct.len() == path.len()
        && path.len() <= PATH_NODES_MAX
}
