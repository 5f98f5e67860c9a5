//! Who takes which layer from whom. Each (track, layer) has one subscription, straight at the node that owns the track.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use origo_auth::{NodeId, RoomKey, TrackSid};

use super::machine::Cascade;
use super::timers::Timer;
use crate::layer::LAYERS_MAX;
use crate::link::Flow;
use crate::wire::Malformed;
use crate::wire::message::{Subscribe, SubscribeErr, SubscribeOk, Unsubscribe};
use crate::wire::record::{kind_of, number_of, room_of, track_of};
use crate::{Forward, LayerSet, MediaKind, TrackLayer};

/// A flow number rests this long before it may mean another layer: packets on their way carry the old meaning.
const FLOW_RESTS: Duration = Duration::from_secs(10);
/// Largest flow number: four bytes on the wire.
const FLOW_MAX: u32 = (1 << 30) - 1;
/// Layers served to one peer.
const SERVED_PER_PEER_MAX: usize = 16_384;
/// What a refused subscriber is told to wait: a record may overtake the track it tells of by little more.
const REFUSED_RETRIES_AFTER: Duration = Duration::from_millis(250);
/// Bounds on what a peer tells us to wait.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Both ends of subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// What local viewers want of other nodes' tracks.
    wants: BTreeMap<(RoomKey, TrackSid), LayerSet>,
    /// What we take.
    taken: BTreeMap<TrackLayer, Taken>,
    layers_by_flow: BTreeMap<Flow, TrackLayer>,
    flows: FlowNumbers,
    /// What we give.
    served: BTreeMap<(NodeId, Flow), Served>,
}

/// A layer that we take.
#[derive(Clone, Debug)]
struct Taken {
    room: RoomKey,
    origin: NodeId,
    flow: Flow,
    kind: MediaKind,
}

/// A layer that we give.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Served {
    pub(super) room: RoomKey,
    pub(super) layer: TrackLayer,
    kind: MediaKind,
}

/// Gives out flow numbers, the smallest that have rested.
#[derive(Debug, Default)]
struct FlowNumbers {
    last: u32,
    resting: VecDeque<(Instant, Flow)>,
}

impl FlowNumbers {
    fn take(&mut self, now: Instant) -> Flow {
        let rested = self.resting.front().is_some_and(|(until, _)| *until <= now);
        if (rested || self.last == FLOW_MAX)
            && let Some((_, flow)) = self.resting.pop_front()
        {
            return flow;
        }
        self.last += 1;
        Flow(self.last)
    }

    fn give_back(&mut self, now: Instant, flow: Flow) {
        self.resting.push_back((now + FLOW_RESTS, flow));
    }
}

impl Cascade {
    pub(super) fn want(&mut self, room: RoomKey, track: TrackSid, layers: LayerSet) {
        if !self.rooms.contains_key(&room) {
            self.counters.ask_without_room += u64::from(!layers.is_empty());
            return;
        }
        if layers.is_empty() {
            self.subscriptions.wants.remove(&(room.clone(), track));
        } else {
            self.subscriptions.wants.insert((room.clone(), track), layers);
        }
        self.apply_want(&room, track);
    }

    /// Makes the subscriptions of a track what its viewers want and its record allows.
    pub(super) fn apply_want(&mut self, room: &RoomKey, track: TrackSid) {
        let origin = self.rooms.get(room).and_then(|room| room.remote_tracks.get(&track)).copied();
        let wanted = self.subscriptions.wants.get(&(room.clone(), track)).copied().unwrap_or_default();
        for layer in 0..LAYERS_MAX as u8 {
            let layer = TrackLayer { track, layer };
            let origin = origin.filter(|_| wanted.contains(layer.layer));
            let taken_from = self.subscriptions.taken.get(&layer).map(|taken| taken.origin);
            if taken_from == origin.map(|(node, _)| node) {
                continue;
            }
            self.end_subscription(layer);
            if let Some((origin, kind)) = origin {
                self.begin_subscription(room, layer, origin, kind);
            }
        }
    }

    /// The table that receives is there before the origin is asked: media may overtake the answer.
    fn begin_subscription(&mut self, room: &RoomKey, layer: TrackLayer, origin: NodeId, kind: MediaKind) {
        let flow = self.subscriptions.flows.take(self.now);
        self.subscriptions.layers_by_flow.insert(flow, layer);
        self.subscriptions.taken.insert(layer, Taken { room: room.clone(), origin, flow, kind });
        self.forward(Forward::Receive { room: room.clone(), layer, from: origin, flow, kind, local: true });
        self.send_subscribe(layer);
    }

    fn end_subscription(&mut self, layer: TrackLayer) {
        let Some(taken) = self.subscriptions.taken.remove(&layer) else { return };
        self.subscriptions.layers_by_flow.remove(&taken.flow);
        self.subscriptions.flows.give_back(self.now, taken.flow);
        self.send(taken.origin, &Unsubscribe { flow: taken.flow.0 });
        self.forward(Forward::StopReceive { from: taken.origin, flow: taken.flow });
    }

    fn send_subscribe(&mut self, layer: TrackLayer) {
        let Some(taken) = self.subscriptions.taken.get(&layer) else { return };
        let message = Subscribe {
            room: Some((&taken.room).into()),
            track: layer.track.to_string(),
            layer: layer.layer.into(),
            flow: taken.flow.0,
            kind: number_of(taken.kind),
            ..Subscribe::default()
        };
        self.send(taken.origin, &message);
    }

    /// A link is up: asks its node for all that is wanted of it.
    pub(super) fn subscribe_again(&mut self, peer: NodeId) {
        let of_peer = self.subscriptions.taken.iter().filter(|(_, taken)| taken.origin == peer);
        let layers: Vec<TrackLayer> = of_peer.map(|(layer, _)| *layer).collect();
        for layer in layers {
            self.send_subscribe(layer);
        }
    }

    pub(super) fn end_wants_of(&mut self, room: &RoomKey) {
        self.subscriptions.wants.retain(|(other, _), _| other != room);
        let of_room = self.subscriptions.taken.iter().filter(|(_, taken)| taken.room == *room);
        let layers: Vec<TrackLayer> = of_room.map(|(layer, _)| *layer).collect();
        for layer in layers {
            self.end_subscription(layer);
        }
    }

    pub(super) fn handle_subscribe_ok(&mut self, from: NodeId, message: SubscribeOk) {
        if self.taken_from(from, message.flow).is_none() {
            self.counters.unexpected_message += 1;
        }
    }

    pub(super) fn handle_subscribe_err(&mut self, from: NodeId, message: SubscribeErr) {
        let Some(layer) = self.taken_from(from, message.flow) else {
            self.counters.unexpected_message += 1;
            return;
        };
        let after = Duration::from_millis(message.retry_ms.into()).clamp(RETRY_MIN, RETRY_MAX);
        self.timers.set(self.now + after, Timer::Retry(layer));
    }

    fn taken_from(&self, origin: NodeId, flow: u32) -> Option<TrackLayer> {
        let layer = *self.subscriptions.layers_by_flow.get(&Flow(flow))?;
        (self.subscriptions.taken.get(&layer)?.origin == origin).then_some(layer)
    }

    pub(super) fn retry_subscription(&mut self, layer: TrackLayer) {
        self.send_subscribe(layer);
    }

    pub(super) fn handle_subscribe(&mut self, from: NodeId, message: Subscribe) -> Result<(), Malformed> {
        let (room, track) = (room_of(message.room)?, track_of(&message.track)?);
        kind_of(message.kind)?;
        if message.flow == 0 || message.flow > FLOW_MAX || message.layer >= LAYERS_MAX as u32 {
            return Err(Malformed("flow or layer"));
        }
        let (flow, layer) = (Flow(message.flow), TrackLayer { track, layer: message.layer as u8 });
        let kind = self.rooms.get(&room).and_then(|room| room.local_track(track));
        let of_peer = self.subscriptions.served.range((from, Flow(0))..=(from, Flow(u32::MAX))).count();
        match kind {
            Some(kind) if of_peer < SERVED_PER_PEER_MAX => {
                self.serve(from, flow, Served { room, layer, kind });
                self.send(from, &SubscribeOk { flow: flow.0, path: Vec::new() });
            }
            _ => self.refuse(from, flow),
        }
        Ok(())
    }

    fn refuse(&mut self, from: NodeId, flow: Flow) {
        self.counters.refused_subscription += 1;
        self.stop_serving_where(|key, _| *key == (from, flow));
        let retry_ms = REFUSED_RETRIES_AFTER.as_millis() as u32;
        self.send(from, &SubscribeErr { flow: flow.0, retry_ms, why: "no such track here".to_owned() });
    }

    fn serve(&mut self, to: NodeId, flow: Flow, served: Served) {
        if self.subscriptions.served.get(&(to, flow)) == Some(&served) {
            return;
        }
        // One copy of a layer per link, and one meaning per number.
        let layer = served.layer;
        self.stop_serving_where(|(peer, other_flow), other| {
            *peer == to && (*other_flow == flow || other.layer == layer)
        });
        let (room, kind) = (served.room.clone(), served.kind);
        self.subscriptions.served.insert((to, flow), served);
        self.forward(Forward::Serve { room, layer, to, flow, kind });
    }

    pub(super) fn handle_unsubscribe(&mut self, from: NodeId, message: Unsubscribe) {
        self.stop_serving_where(|key, _| *key == (from, Flow(message.flow)));
    }

    /// Ends what is served where `is_over` says so.
    pub(super) fn stop_serving(&mut self, is_over: impl Fn(&NodeId, &Served) -> bool) {
        self.stop_serving_where(|(to, _), served| is_over(to, served));
    }

    fn stop_serving_where(&mut self, is_over: impl Fn(&(NodeId, Flow), &Served) -> bool) {
        let over = self.subscriptions.served.iter().filter(|(key, served)| is_over(key, served));
        let over: Vec<(NodeId, Flow)> = over.map(|(key, _)| *key).collect();
        for (to, flow) in over {
            let Some(served) = self.subscriptions.served.remove(&(to, flow)) else { continue };
            self.forward(Forward::StopServe { room: served.room, layer: served.layer, to, flow });
        }
    }
}
