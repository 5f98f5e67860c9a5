//! What nodes have told their rooms and workers, and what follows from it.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::cascade::Reach;
use origo_cascade_core::{Event, Forward, LeaveReason, RoomRecord};

use crate::world::{World, id};

/// What a node has told its rooms.
#[derive(Default)]
pub struct Heard {
    pub events: Vec<(Duration, Event)>,
    pub forwards: Vec<(Duration, Forward)>,
}

impl World {
    /// The identities on other nodes that `node` has told its rooms of and not taken back.
    pub fn seen(&self, node: usize) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        for (_, event) in &self.heard[node].events {
            match event {
                Event::Entered { participants, .. } => {
                    seen.extend(participants.iter().map(|record| record.identity.0.clone()));
                }
                Event::ParticipantChanged(record) => {
                    seen.insert(record.identity.0.clone());
                }
                Event::ParticipantLeft { identity, .. } => {
                    seen.remove(&identity.0);
                }
                _ => {}
            }
        }
        seen
    }

    /// The room's record as `node` last told it.
    pub fn room_record(&self, node: usize) -> RoomRecord {
        let of = |event: &Event| match event {
            Event::Entered { record, .. } | Event::RoomChanged(record) => Some(record.clone()),
            _ => None,
        };
        self.heard[node].events.iter().rev().find_map(|(_, event)| of(event)).expect("entered")
    }

    pub fn entered_at(&self, node: usize) -> Option<Duration> {
        let entered = |event: &Event| matches!(event, Event::Entered { .. });
        self.heard[node].events.iter().find(|(_, event)| entered(event)).map(|(at, _)| *at)
    }

    /// What `node` was told of whether `of` can be reached, with the times.
    pub fn reach(&self, node: usize, of: usize) -> Vec<(Duration, Reach)> {
        let told = |(at, event): &(Duration, Event)| match event {
            Event::Reach { node, reach } if *node == id(of) => Some((*at, *reach)),
            _ => None,
        };
        self.heard[node].events.iter().filter_map(told).collect()
    }

    /// When `node` knew whom any node tells of.
    pub fn acquainted_at(&self, node: usize) -> Option<Duration> {
        let is = |event: &Event| matches!(event, Event::Acquainted { .. });
        self.heard[node].events.iter().find(|(_, event)| is(event)).map(|(at, _)| *at)
    }

    /// Nodes of whose people nobody had told `node` then.
    pub fn untold(&self, node: usize) -> BTreeSet<NodeId> {
        let of = |(_, event): &(Duration, Event)| match event {
            Event::Acquainted { untold, .. } => Some(untold.clone()),
            _ => None,
        };
        self.heard[node].events.iter().find_map(of).expect("acquainted")
    }

    pub fn left(&self, node: usize) -> Vec<(Duration, String, LeaveReason)> {
        let of = |(at, event): &(Duration, Event)| match event {
            Event::ParticipantLeft { identity, reason, .. } => Some((*at, identity.0.clone(), *reason)),
            _ => None,
        };
        self.heard[node].events.iter().filter_map(of).collect()
    }

    /// What `node` serves now, as (peer, track layer).
    pub fn served(&self, node: usize) -> Vec<(NodeId, u8)> {
        let mut served = Vec::new();
        for (_, forward) in &self.heard[node].forwards {
            match forward {
                Forward::Serve { to, layer, .. } => served.push((*to, layer.layer)),
                Forward::StopServe { to, layer, .. } => served.retain(|other| *other != (*to, layer.layer)),
                _ => {}
            }
        }
        served
    }
}
