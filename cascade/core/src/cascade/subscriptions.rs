//! What this node's own viewers want, and whether anybody still takes a layer through this node.

use std::collections::BTreeMap;
use std::time::Duration;

use origo_auth::{NodeId, RoomKey, TrackSid};

use super::branch::Branch;
use super::flows::FlowNumbers;
use super::intake::{Intake, Source};
use super::machine::Cascade;
use super::room::RemoteTrack;
use super::served::ServedTable;
use super::timers::Timer;
use super::tree::Tree;
use crate::layer::LAYERS_MAX;
use crate::link::Flow;
use crate::{LayerSet, TrackLayer};

/// A layer that nobody takes any more is let go after this long, so that one that flickers does not flap.
pub(super) const FALL_WAITS: Duration = Duration::from_secs(2);

/// A tree: the room and the origin.
pub(super) type TreeKey = (RoomKey, NodeId);

/// Both ends of subscriptions, and this node's place in each tree.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// What local viewers want of other nodes' tracks.
    pub(super) wants: BTreeMap<(RoomKey, TrackSid), LayerSet>,
    /// What we take.
    pub(super) intakes: BTreeMap<TrackLayer, Intake>,
    pub(super) layers_by_flow: BTreeMap<Flow, TrackLayer>,
    pub(super) flows: FlowNumbers,
    /// What we give.
    pub(super) served: ServedTable,
    /// Our place in other nodes' trees.
    pub(super) branches: BTreeMap<TreeKey, Branch>,
    /// Our own trees, by room.
    pub(super) trees: BTreeMap<RoomKey, Tree>,
    /// Of the newest plan that we made, over all rooms.
    pub(super) epoch: u64,
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

    /// Makes what is taken of a track what its viewers want and its record allows.
    pub(super) fn apply_want(&mut self, room: &RoomKey, track: TrackSid) {
        let known = self.rooms.get(room).and_then(|room| room.remote_tracks.get(&track)).cloned();
        let wanted = self.subscriptions.wants.get(&(room.clone(), track)).copied().unwrap_or_default();
        for layer in 0..LAYERS_MAX as u8 {
            let key = TrackLayer { track, layer };
            match &known {
                Some(known) => {
                    let local = is_for_viewers(wanted, layer, known.in_stream);
                    let unwatched = self.policy.carries_unwatched() && layer < known.layers();
                    let own = wanted.contains(layer) || unwatched;
                    self.demand(key, (room, known), own, local);
                }
                None => self.end_own_demand(key, room),
            }
        }
    }

    /// This node itself takes a layer, or does not; `local` when it is for viewers here.
    fn demand(&mut self, layer: TrackLayer, (room, track): (&RoomKey, &RemoteTrack), own: bool, local: bool) {
        let stands = self.subscriptions.intakes.get_mut(&layer);
        let is_taken = stands.is_some();
        let Some(intake) = stands.filter(|intake| intake.source.origin == track.owner) else {
            if is_taken {
                // Another node has taken the publisher over.
                self.end_intake(layer);
            }
            if own {
                self.begin_intake(layer, source_of(room, track, layer.layer), own, local, None);
            }
            return;
        };
        // What was begun for a child knows of no rate.
        let rate_bps = track.rate_bps(layer.layer);
        let rate_changes = std::mem::replace(&mut intake.source.rate_bps, rate_bps) != rate_bps;
        if (intake.own, intake.local) != (own, local) {
            self.change_own_demand(layer, own, local);
        } else if rate_changes && own {
            self.tell_rate(layer, &(room.clone(), track.owner));
        }
    }

    fn change_own_demand(&mut self, layer: TrackLayer, own: bool, local: bool) {
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return };
        let (own_changes, local_changes) = (intake.own != own, intake.local != local);
        (intake.own, intake.local) = (own, local);
        let key = intake.source.tree();
        if local_changes {
            self.receive_again(layer);
        }
        if own_changes {
            self.tell_rate(layer, &key);
        }
        self.fall_if_unwanted(layer, FALL_WAITS);
    }

    /// The track is not there any more for viewers here.
    fn end_own_demand(&mut self, layer: TrackLayer, room: &RoomKey) {
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return };
        if intake.source.room != *room {
            return;
        }
        let was_local = intake.local;
        (intake.own, intake.local) = (false, false);
        if self.fall_if_unwanted(layer, Duration::ZERO) || !was_local {
            return;
        }
        self.receive_again(layer);
    }

    pub(super) fn end_wants_of(&mut self, room: &RoomKey) {
        self.subscriptions.wants.retain(|(other, _), _| other != room);
        let of_room = self.subscriptions.intakes.iter().filter(|(_, intake)| intake.source.room == *room);
        let layers: Vec<TrackLayer> = of_room.map(|(layer, _)| *layer).collect();
        for layer in layers {
            self.end_own_demand(layer, room);
        }
    }

    /// Lets a layer go that neither this node nor a child takes: at once, or after `waits`. Says whether it is gone.
    pub(super) fn fall_if_unwanted(&mut self, layer: TrackLayer, waits: Duration) -> bool {
        let has_children = self.subscriptions.served.takers(layer).next().is_some();
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return true };
        if intake.own || has_children {
            intake.falls_at = None;
            return false;
        }
        if waits.is_zero() {
            self.end_intake(layer);
            return true;
        }
        let at = self.now + waits;
        intake.falls_at = Some(at);
        self.timers.set(at, Timer::Fall(layer));
        false
    }

    /// A layer's time without anybody may be up.
    pub(super) fn fall(&mut self, layer: TrackLayer) {
        let due = self.subscriptions.intakes.get(&layer).and_then(|intake| intake.falls_at);
        if due.is_some_and(|at| at <= self.now) {
            self.fall_if_unwanted(layer, Duration::ZERO);
        }
    }
}

/// Whether viewers here get a layer that comes. Numbers within one stream count over all of its layers, so that who takes
/// one of them must see what comes of the others, also of one that only a child takes or that is about to end.
pub(super) fn is_for_viewers(wanted: LayerSet, layer: u8, in_stream: bool) -> bool {
    wanted.contains(layer) || in_stream && !wanted.is_empty()
}

fn source_of(room: &RoomKey, track: &RemoteTrack, layer: u8) -> Source {
    Source {
        room: room.clone(),
        origin: track.owner,
        kind: track.kind,
        in_stream: track.in_stream,
        rate_bps: track.rate_bps(layer),
    }
}
