//! Layers within one stream on their way from node to node: a peer that takes fewer of them than we get hears which
//! numbers it does not get, and where the pictures end that it gets.

use std::collections::VecDeque;
use std::time::Instant;

use crate::layer::LAYERS_MAX;
use crate::link::{Flow, LeftOut, Packet, extend, void};

/// A step in the numbers beyond which the source must have begun anew.
const JUMP: u64 = 3_000;
/// Changes of what a peer gets that are remembered, for packets that come late; they are rare.
const CHANGES_MAX: usize = 8;
/// In the first byte of a dependency descriptor: the packet begins, or ends, the frame of its layer.
const DESCRIPTOR_STARTS: u8 = 0x80;
const DESCRIPTOR_ENDS: u8 = 0x40;
/// The same in the first byte of VP9's payload descriptor (RFC 9628, section 4.2), for clients that send none.
const VP9_STARTS: u8 = 0x08;
const VP9_ENDS: u8 = 0x04;

/// The peers that take a stream from us.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) children: Vec<Pruning>,
}

/// What of a stream one peer gets.
#[derive(Debug)]
pub(super) struct Pruning {
    /// The peer, by number among the links.
    pub(super) link: usize,
    /// Its numbers for the layers that it takes.
    flows: [Option<Flow>; LAYERS_MAX],
    /// The highest layer that goes there now; none before the first picture.
    taken: Option<u8>,
    /// Timestamp of the newest picture.
    picture: Option<u32>,
    changes: VecDeque<Change>,
    left_out: LeftOut,
    /// Nothing goes there before: it is refilled first.
    pub(super) waits_until: Option<Instant>,
}

/// What was taken from a picture on.
#[derive(Clone, Copy, Debug)]
struct Change {
    first: u64,
    /// Timestamp of the picture: packets of it may come before `first`.
    time: u32,
    taken: u8,
}

impl Pruning {
    pub(super) fn new(link: usize) -> Self {
        let (changes, left_out) = (VecDeque::with_capacity(CHANGES_MAX), LeftOut::default());
        Self { link, flows: [None; LAYERS_MAX], taken: None, picture: None, changes, left_out, waits_until: None }
    }

    /// Something of the stream has gone there.
    pub(super) fn has_begun(&self) -> bool {
        self.taken.is_some()
    }

    /// The peer takes a layer under its number; false when there is no such layer.
    pub(super) fn add(&mut self, layer: u8, flow: Flow) -> bool {
        let place = self.flows.get_mut(usize::from(layer));
        place.map(|place| *place = Some(flow)).is_some()
    }

    pub(super) fn remove(&mut self, flow: Flow) {
        self.flows.iter_mut().filter(|place| **place == Some(flow)).for_each(|place| *place = None);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows.iter().all(Option::is_none)
    }

    /// The highest layer that it asked for with all below.
    fn goal(&self) -> Option<u8> {
        let count = self.flows.iter().take_while(|flow| flow.is_some()).count();
        count.checked_sub(1).map(|highest| highest as u8)
    }

    /// What goes to the peer of a packet of a layer, each under its flow. What is left out and can be told by no later
    /// packet goes without its payload.
    pub(super) fn take(&mut self, layer: u8, packet: &Packet) -> [Option<(Flow, Packet)>; 2] {
        let mut packet = packet.clone();
        if self.taken.is_some() {
            packet.sequence = extend(self.left_out.next(), packet.sequence as u16).unwrap_or(packet.sequence);
            if packet.sequence.abs_diff(self.left_out.next()) > JUMP {
                (self.taken, self.left_out) = Default::default();
                self.changes.clear();
            }
        }
        let before = self.flows[0].filter(|_| self.taken.is_some()).zip(self.left_out.before_gap(&packet));
        [before, self.take_one(layer, packet)]
    }

    fn take_one(&mut self, layer: u8, mut packet: Packet) -> Option<(Flow, Packet)> {
        let is_late = self.taken.is_some() && packet.sequence < self.left_out.next();
        let taken = if is_late { self.taken_at(&packet)? } else { self.follow(layer, &packet)? };
        let is_void = packet.payload.is_empty();
        let flow = self.flows.get(usize::from(layer)).copied().flatten().filter(|_| layer <= taken && !is_void);
        let skipped = self.left_out.note(packet.sequence, flow.is_none(), packet.skipped);
        let Some(flow) = flow else {
            let lowest = self.flows[0].filter(|_| is_late)?;
            return Some((lowest, void(&packet, packet.sequence, skipped)));
        };
        packet.marker |= layer == taken && ends(&packet);
        packet.skipped = skipped;
        Some((flow, packet))
    }

    /// What is taken from the stream's newest packet on. A peer begins with any picture, since it may have had those
    /// before it from another parent; it goes up with a keyframe, and down with the next picture.
    fn follow(&mut self, layer: u8, packet: &Packet) -> Option<u8> {
        let new_picture = self.picture.replace(packet.timestamp) != Some(packet.timestamp);
        let goal = self.goal()?;
        let next = match self.taken {
            None if packet.key || (layer == 0 && starts(packet)) => goal,
            None => return None,
            Some(_) if packet.key => goal,
            Some(taken) if new_picture => taken.min(goal),
            Some(taken) => taken,
        };
        if self.taken.replace(next) != Some(next) {
            self.changes.truncate(CHANGES_MAX - 1);
            self.changes.push_front(Change { first: packet.sequence, time: packet.timestamp, taken: next });
        }
        Some(next)
    }

    /// What was taken of the picture of a packet that comes late.
    fn taken_at(&self, packet: &Packet) -> Option<u8> {
        let of_it = |change: &&Change| change.time == packet.timestamp || change.first <= packet.sequence;
        self.changes.iter().find(of_it).map(|change| change.taken)
    }
}

fn starts(packet: &Packet) -> bool {
    has(packet, DESCRIPTOR_STARTS, VP9_STARTS)
}

fn ends(packet: &Packet) -> bool {
    has(packet, DESCRIPTOR_ENDS, VP9_ENDS)
}

fn has(packet: &Packet, descriptor: u8, vp9: u8) -> bool {
    match packet.extensions.dependency.as_deref() {
        Some(bytes) => bytes.first().is_some_and(|first| first & descriptor != 0),
        None => packet.payload.first().is_some_and(|first| first & vp9 != 0),
    }
}
