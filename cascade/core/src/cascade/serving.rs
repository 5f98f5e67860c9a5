//! What this node gives: layers of its own tracks straight from the room, and layers of others that it relays.

use std::time::Duration;

use origo_auth::{NodeId, RoomKey};

use super::branch::PATH_NODES_MAX;
use super::flows::FLOW_MAX;
use super::intake::Source;
use super::machine::Cascade;
use super::refusal::Refusal;
use super::served::Served;
use super::subscriptions::{FALL_WAITS, TreeKey, is_for_viewers};
use crate::layer::LAYERS_MAX;
use crate::link::Flow;
use crate::route::refusal;
use crate::wire::Malformed;
use crate::wire::message::{Subscribe, SubscribeErr, SubscribeOk, Unsubscribe};
use crate::wire::record::{bytes_of, kind_of, node_of, room_of, track_of};
use crate::{Forward, MediaKind, Node, TrackLayer};

/// Layers served to one peer.
pub(super) const SERVED_PER_PEER_MAX: usize = 16_384;
/// What lies further back is not kept anywhere.
const MISSING_MAX_MS: u32 = 1000;
/// What a peer lacks of a layer is sent to it once in this time: it costs the link up to a second of the layer.
const REFILLS_EVERY: Duration = Duration::from_secs(1);
/// What one layer is believed to take at most, bits per second.
const RATE_MAX_BPS: u64 = 1_000_000_000;

impl Cascade {
    pub(super) fn handle_subscribe(&mut self, from: NodeId, message: Subscribe) -> Result<(), Malformed> {
        let flow = Flow(message.flow);
        let asked = self.asked_of(message)?;
        match self.may_serve(from, flow, asked) {
            Ok(served) => self.serve(from, flow, served),
            Err(refusal) => self.refuse(from, flow, &refusal),
        }
        Ok(())
    }

    fn asked_of(&self, message: Subscribe) -> Result<Served, Malformed> {
        if message.flow == 0 || message.flow > FLOW_MAX || message.layer >= LAYERS_MAX as u32 {
            return Err(Malformed("flow or layer"));
        }
        let lacks = (1..=MISSING_MAX_MS).contains(&message.missing_ms);
        Ok(Served {
            room: room_of(message.room)?,
            origin: if message.origin.is_empty() { self.me } else { node_of(&message.origin)? },
            layer: TrackLayer { track: track_of(&message.track)?, layer: message.layer as u8 },
            kind: kind_of(message.kind)?,
            in_stream: message.in_stream,
            rate_bps: message.rate_bps.min(RATE_MAX_BPS),
            second: message.second,
            granted: false,
            missing_since: self.now.checked_sub(Duration::from_millis(message.missing_ms.into())).filter(|_| lacks),
            refilled_at: None,
        })
    }

    /// What is served to a subscriber, as this node itself knows it.
    fn may_serve(&self, to: NodeId, flow: Flow, asked: Served) -> Result<Served, Refusal> {
        let replaced = self.subscriptions.served.get(to, flow).is_some()
            || self.subscriptions.served.flow_of(asked.layer, to).is_some();
        if !replaced && self.subscriptions.served.count_of(to) >= SERVED_PER_PEER_MAX {
            return Err(Refusal::TooMany);
        }
        if asked.origin == self.me { self.may_give(to, asked) } else { self.may_relay(to, asked) }
    }

    fn may_give(&self, to: NodeId, asked: Served) -> Result<Served, Refusal> {
        let room = self.rooms.get(&asked.room).ok_or(Refusal::NoSuchTrack)?;
        let (kind, in_stream) = room.local_track(asked.layer.track).ok_or(Refusal::NoSuchTrack)?;
        for node in [to, self.me] {
            self.may_touch(&room.record.settings.countries, node)?;
        }
        if let Some(why) = self.subscriptions.trees.get(&asked.room).and_then(|tree| tree.refusal_of(to)) {
            return Err(Refusal::NotAllowed(why));
        }
        Ok(Served { kind, in_stream, ..asked })
    }

    fn may_relay(&self, to: NodeId, asked: Served) -> Result<Served, Refusal> {
        if asked.origin == to {
            return Err(Refusal::Loop);
        }
        if !self.alive.contains(&to) || !self.alive.contains(&asked.origin) {
            return Err(Refusal::Stranger);
        }
        if asked.kind == MediaKind::Video && !self.takes_child(to, &asked) {
            return Err(Refusal::NotRelaying);
        }
        if let Some(room) = self.rooms.get(&asked.room) {
            self.may_touch(&room.record.settings.countries, to)?;
        }
        let Some(branch) = self.subscriptions.branches.get(&(asked.room.clone(), asked.origin)) else {
            return if self.can_feed(&asked.origin) { Ok(asked) } else { Err(Refusal::NoWay) };
        };
        if !branch.parents().any(|parent| self.can_feed(&parent)) {
            return Err(Refusal::NoWay);
        }
        if let Some(planned) = &branch.planned {
            self.may_touch(&planned.countries, to)?;
        }
        if branch.passes(to) {
            return Err(Refusal::Loop);
        }
        // This node and the subscriber come after the path.
        if branch.path.len() >= PATH_NODES_MAX {
            return Err(Refusal::TooLong);
        }
        Ok(asked)
    }

    /// Whether this node relays, or the subscriber hangs below it already: such a child stays until it has another parent.
    fn takes_child(&self, child: NodeId, asked: &Served) -> bool {
        let relays = self.map.node(self.me).is_none_or(Node::relays);
        relays || self.children_of(&(asked.room.clone(), asked.origin)).contains(&child)
    }

    /// Whether a room's media may touch a node.
    fn may_touch(&self, countries: &[String], node: NodeId) -> Result<(), Refusal> {
        match refusal(countries, self.map.node(node)) {
            None => Ok(()),
            Some(why) => Err(Refusal::NotAllowed(why)),
        }
    }

    fn serve(&mut self, to: NodeId, flow: Flow, served: Served) {
        let layer = served.layer;
        if let Some(stands) = self.subscriptions.served.get_mut(to, flow)
            && (&stands.room, stands.origin, stands.layer, stands.kind)
                == (&served.room, served.origin, layer, served.kind)
        {
            let before = std::mem::replace(&mut stands.rate_bps, served.rate_bps);
            stands.missing_since = served.missing_since;
            let was_second = std::mem::replace(&mut stands.second, served.second);
            if stands.granted {
                self.tell_granted(to, flow);
                self.refill(to, flow);
            }
            return match (was_second, served.second) {
                (false, false) => self.tree_rate_changes(to, &served, before),
                (true, false) => self.tree_gains(to, &served),
                (false, true) => self.tree_loses(to, &Served { rate_bps: before, second: false, ..served }),
                (true, true) => {}
            };
        }
        // One copy of a layer per link, and one meaning per number.
        let same_layer = self.subscriptions.served.flow_of(layer, to);
        for replaced in [Some(flow), same_layer].into_iter().flatten() {
            self.stop_serving_flow(to, replaced, FALL_WAITS);
        }
        self.subscriptions.served.insert(to, flow, served.clone());
        if served.origin == self.me {
            let (room, kind, in_stream) = (served.room.clone(), served.kind, served.in_stream);
            self.forward(Forward::Serve { room, layer, to, flow, kind, in_stream });
            self.tree_gains(to, &served);
        } else {
            self.take_for_child(&served);
        }
        self.grant(to, flow);
    }

    /// Demand of a child is demand of this node.
    fn take_for_child(&mut self, served: &Served) {
        let layer = served.layer;
        let origin = self.subscriptions.intakes.get(&layer).map(|intake| intake.source.origin);
        if origin == Some(served.origin) {
            self.fall_if_unwanted(layer, FALL_WAITS);
            return;
        }
        if origin.is_some() {
            // What this node itself takes is what its records say; a child that has heard of a takeover first waits.
            return;
        }
        let source = Source {
            room: served.room.clone(),
            origin: served.origin,
            kind: served.kind,
            in_stream: served.in_stream,
            rate_bps: 0,
        };
        let wants = &self.subscriptions.wants;
        let wanted = wants.get(&(source.room.clone(), layer.track)).copied().unwrap_or_default();
        let local = is_for_viewers(wanted, layer.layer, source.in_stream);
        self.begin_intake(layer, source, false, local, served.missing_since);
    }

    /// Tells a subscriber that the layer comes, once it does. What is relayed goes on from then: before, it is not known
    /// whether the subscriber lies on the way. What still comes from a parent that was left comes on no way that is known.
    fn grant(&mut self, to: NodeId, flow: Flow) {
        let Some(served) = self.subscriptions.served.get(to, flow).filter(|served| !served.granted) else { return };
        let (layer, kind, in_stream) = (served.layer, served.kind, served.in_stream);
        if served.origin != self.me {
            let key = (served.room.clone(), served.origin);
            let intake = self.subscriptions.intakes.get(&layer);
            let intake = intake.filter(|intake| intake.source.origin == served.origin && intake.current.granted);
            let branch = self.subscriptions.branches.get(&key).filter(|branch| branch.knows_its_way());
            if !intake.zip(branch).is_some_and(|(intake, branch)| branch.is_fed_by(intake.current.from)) {
                return;
            }
            self.forward(Forward::Relay { layer, to, flow, kind, in_stream });
        }
        if let Some(served) = self.subscriptions.served.get_mut(to, flow) {
            served.granted = true;
        }
        self.tell_granted(to, flow);
        self.refill(to, flow);
    }

    /// Sends a subscriber what it lacks once more.
    fn refill(&mut self, to: NodeId, flow: Flow) {
        let now = self.now;
        let Some(served) = self.subscriptions.served.get_mut(to, flow) else { return };
        let Some(since) = served.missing_since.take() else { return };
        if served.refilled_at.is_some_and(|at| now < at + REFILLS_EVERY) {
            self.counters.refill_over_limit += 1;
            return;
        }
        served.refilled_at = Some(now);
        self.forward(Forward::Refill { to, flow, span: now.saturating_duration_since(since) });
    }

    fn tell_granted(&mut self, to: NodeId, flow: Flow) {
        let Some(served) = self.subscriptions.served.get(to, flow) else { return };
        let path = if served.origin == self.me {
            vec![bytes_of(self.me)]
        } else {
            self.path_through_me(&(served.room.clone(), served.origin))
        };
        self.send(to, &SubscribeOk { flow: flow.0, path });
    }

    /// It may be known now over which nodes a tree's layers come: tells the children that wait.
    pub(super) fn grant_to_all_children(&mut self, key: &TreeKey) {
        for layer in self.layers_of(key) {
            self.grant_to_children(layer);
        }
    }

    /// A layer comes now: tells the children that wait for it.
    pub(super) fn grant_to_children(&mut self, layer: TrackLayer) {
        let takers: Vec<(NodeId, Flow)> = self.subscriptions.served.takers(layer).collect();
        for (to, flow) in takers {
            self.grant(to, flow);
        }
    }

    pub(super) fn refuse(&mut self, to: NodeId, flow: Flow, refusal: &Refusal) {
        refusal.count(&mut self.counters);
        self.stop_serving_flow(to, flow, FALL_WAITS);
        let retry_ms = refusal.retry().as_millis() as u32;
        self.send(to, &SubscribeErr { flow: flow.0, retry_ms, why: refusal.sentence() });
    }

    /// Ends all that is relayed of a tree.
    pub(super) fn refuse_children(&mut self, key: &TreeKey, refusal: &Refusal) {
        self.refuse_children_where(key, refusal, |_, _| true);
    }

    pub(super) fn refuse_children_where(
        &mut self,
        key: &TreeKey,
        refusal: &Refusal,
        is_meant: impl Fn(&super::branch::Branch, NodeId) -> bool,
    ) {
        let Some(branch) = self.subscriptions.branches.get(key) else { return };
        let takers = branch.layers.iter().flat_map(|layer| self.subscriptions.served.takers(*layer));
        let meant: Vec<(NodeId, Flow)> = takers.filter(|(to, _)| is_meant(branch, *to)).collect();
        for (to, flow) in meant {
            self.refuse(to, flow, refusal);
        }
    }

    /// The countries of a tree are known now: children outside are not served any more.
    pub(super) fn refuse_outsiders(&mut self, key: &TreeKey) {
        let Some(planned) = self.subscriptions.branches.get(key).and_then(|branch| branch.planned.as_ref()) else {
            return;
        };
        let children = self.children_of(key).into_iter();
        let outside: Vec<(NodeId, Refusal)> = children
            .filter_map(|child| self.may_touch(&planned.countries, child).err().map(|refusal| (child, refusal)))
            .collect();
        for (outsider, refusal) in outside {
            self.refuse_children_where(key, &refusal, |_, child| child == outsider);
        }
    }

    pub(super) fn handle_unsubscribe(&mut self, from: NodeId, message: Unsubscribe) {
        // The subscriber has waited already to see whether it wants the layer again.
        self.stop_serving_flow(from, Flow(message.flow), Duration::ZERO);
    }

    /// Ends what is served where `is_over` says so.
    pub(super) fn stop_serving(&mut self, is_over: impl Fn(&NodeId, &Served) -> bool) {
        for (to, flow) in self.subscriptions.served.find(is_over) {
            self.stop_serving_flow(to, flow, FALL_WAITS);
        }
    }

    /// Ends all that a peer gets.
    pub(super) fn stop_serving_peer(&mut self, peer: NodeId) {
        let flows: Vec<Flow> = self.subscriptions.served.of_peer(peer).map(|(flow, _)| flow).collect();
        for flow in flows {
            self.stop_serving_flow(peer, flow, FALL_WAITS);
        }
    }

    /// Ends all that is served of a room's own tracks.
    pub(super) fn stop_serving_room(&mut self, room: &RoomKey) {
        let me = self.me;
        self.stop_serving(|_, served| served.room == *room && served.origin == me);
        self.subscriptions.trees.remove(room);
    }

    /// What is only relayed falls with its last child, after `falls_after`.
    fn stop_serving_flow(&mut self, to: NodeId, flow: Flow, falls_after: Duration) {
        let Some(served) = self.subscriptions.served.remove(to, flow) else { return };
        let layer = served.layer;
        if served.origin == self.me {
            self.forward(Forward::StopServe { room: served.room.clone(), layer, to, flow });
            self.tree_loses(to, &served);
        } else {
            if served.granted {
                self.forward(Forward::StopRelay { layer, to, flow });
            }
            self.fall_if_unwanted(layer, falls_after);
        }
    }
}
