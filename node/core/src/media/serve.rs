//! What other nodes and other workers of this one get of a track: each layer that they take, once.
//!
//! Layers within one stream go under a flow each, with the numbers of the one stream. Each packet says how many numbers
//! right before it were left out, so that the other node can tell them from lost ones.

use origo_auth::NodeId;
use origo_cascade_core::TrackLayer;
use origo_cascade_core::link::{self, Class, Flow, LeftOut, Packet, Received, void};

use super::Kind;
use super::cut::{Choice, Course};
use super::numbers::{Choices, Source};
use super::place::{Queued, TEMPORAL_LAYERS};
use super::sibling::Siblings;
use super::stats::{Direction, Stats, Via};
use super::track::{LAYERS, Track};

/// A step in the numbers beyond which the source must have begun anew.
const JUMP: u64 = 3_000;

/// Who takes layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    Node(NodeId),
    Sibling(usize),
}

/// One that takes layers out of one stream.
#[derive(Debug)]
pub(crate) struct Serving {
    to: Taker,
    flows: [Option<Flow>; LAYERS],
    /// What goes there now; none before the first picture.
    now: Option<Choice>,
    course: Course,
    choices: Choices,
    left_out: LeftOut,
}

impl Serving {
    fn new(to: Taker) -> Self {
        Self {
            to,
            flows: [None; LAYERS],
            now: None,
            course: Course::default(),
            choices: Choices::default(),
            left_out: LeftOut::default(),
        }
    }

    fn goal(&self) -> Choice {
        let spatial = self.flows.iter().take_while(|flow| flow.is_some()).count().max(1) - 1;
        Choice { spatial: spatial as u8, temporal: TEMPORAL_LAYERS - 1 }
    }

    /// What goes of a packet, each under its flow. One that was missing and turns out to be left out goes without its
    /// payload, so that nobody waits for it; and one that was left out right before others are missing, since nothing
    /// after it can tell.
    fn take(&mut self, queued: &Queued) -> [Option<(Flow, Packet)>; 2] {
        let before = self.left_out.before_gap(&queued.packet);
        let before = self.flows[0].filter(|_| self.now.is_some()).zip(before);
        [before, self.take_one(queued)]
    }

    fn take_one(&mut self, queued: &Queued) -> Option<(Flow, Packet)> {
        let Queued { packet, place, .. } = queued;
        let goal = self.goal();
        if packet.sequence.abs_diff(self.left_out.next()) > JUMP {
            (self.now, self.choices, self.left_out) = Default::default();
        }
        // A peer may have had the pictures before from another node, so that it need not wait for a keyframe.
        let begins = packet.key || (place.spatial == 0 && place.starts);
        let now = self.now.or(begins.then_some(goal))?;
        let is_late = packet.sequence < self.left_out.next();
        let now = if is_late {
            self.choices.at(Source::of(packet))?
        } else {
            let now = self.course.next(now, goal, packet, place);
            self.now = Some(now);
            self.choices.note(Source::of(packet), now);
            now
        };
        let flow = self.flows[usize::from(place.spatial)].filter(|_| now.admits(place));
        let skipped = self.left_out.note(packet.sequence, flow.is_none(), packet.skipped);
        let Some(flow) = flow else {
            let lowest = self.flows[0].filter(|_| is_late)?;
            return Some((lowest, void(packet, packet.sequence, skipped)));
        };
        let marker = self.course.ends(now, packet, place, !is_late);
        Some((flow, Packet { marker, skipped, ..packet.clone() }))
    }
}

impl Track {
    /// Makes what goes to peers and siblings what they asked for.
    pub fn follow_serves(&mut self) {
        let mut servings = std::mem::take(&mut self.servings);
        servings.iter_mut().for_each(|serving| serving.flows = [None; LAYERS]);
        if self.is_layered() {
            let peers = (0u8..).zip(&self.layers).flat_map(|(number, layer)| {
                layer.serves.iter().map(move |&(to, flow)| (Taker::Node(to), number, flow))
            });
            let siblings = self.sibling_flows().map(|(worker, number, flow)| (Taker::Sibling(worker), number, flow));
            for (to, number, flow) in peers.chain(siblings) {
                let known = servings.iter().position(|serving| serving.to == to);
                let index = known.unwrap_or_else(|| {
                    servings.push(Serving::new(to));
                    servings.len() - 1
                });
                servings[index].flows[usize::from(number)] = Some(flow);
            }
        }
        servings.retain(|serving| serving.flows.iter().any(Option::is_some));
        self.servings = servings;
    }
}

/// Hands a track's burst to the links of those peers that subscribed to it, and to other workers of this node.
pub(crate) fn serve_links(track: &mut Track, sends: &mut Vec<link::Send>, siblings: &mut Siblings, stats: &mut Stats) {
    let (kind, sid) = (track.kind, track.sid);
    let mut send = |to: Taker, flow: Flow, layer: usize, packet: Packet| {
        let to = match to {
            Taker::Node(to) => to,
            Taker::Sibling(to) => {
                stats.count_rtp(Direction::Out, kind, Via::Sibling, packet.payload.len());
                // Its flows are the layers themselves.
                let layer = TrackLayer { track: sid, layer: flow.0 as u8 };
                return siblings.hand(to, Received::Packet { layer, packet });
            }
        };
        let class = match kind {
            Kind::Audio => Class::Audio,
            Kind::Video if layer == 0 || packet.key => Class::Base,
            Kind::Video => Class::Enhancement,
        };
        stats.count_rtp(Direction::Out, kind, Via::Link, packet.payload.len());
        sends.push(link::Send::Packet { to, flow, class, packet });
    };
    if track.is_layered() {
        for serving in &mut track.servings {
            for queued in &track.layers[0].burst {
                for (flow, packet) in serving.take(queued).into_iter().flatten() {
                    let layer = if packet.payload.is_empty() { 0 } else { queued.place.spatial };
                    send(serving.to, flow, layer.into(), packet);
                }
            }
        }
        return;
    }
    for (number, layer) in track.layers.iter().enumerate() {
        for queued in &layer.burst {
            for &(to, flow) in &layer.serves {
                send(Taker::Node(to), flow, number, queued.packet.clone());
            }
        }
    }
    for (worker, number, flow) in track.sibling_flows() {
        for queued in &track.layers[usize::from(number)].burst {
            send(Taker::Sibling(worker), flow, number.into(), queued.packet.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use origo_auth::{RoomKey, TrackSid};
    use origo_cascade_core::links::{self, Links};
    use origo_cascade_core::{Forward, MediaKind};

    use super::super::track::Origin;
    use super::*;
    use crate::SessionId;

    const PEER: NodeId = NodeId([9; 16]);

    /// A picture of three spatial layers of VP9, a packet each.
    fn picture(track: &mut Track, number: u64, key: bool) {
        let now = Instant::now();
        for spatial in 0..3 {
            let flags = if key { 0x2c } else { 0x6c };
            let packet = Packet {
                sequence: 100 + number * 3 + u64::from(spatial),
                timestamp: number as u32 * 3_000,
                marker: spatial == 2,
                key: false,
                redundant: false,
                skipped: 0,
                extensions: Default::default(),
                payload: [flags, spatial << 1, 0, 7].as_slice().into(),
                arrived: now,
            };
            track.take(0, packet, now);
        }
    }

    /// What goes to the peer: flow, number, numbers left out before it, marker.
    fn served(track: &mut Track) -> Vec<(u32, u64, u16, bool)> {
        let mut sends = Vec::new();
        serve_links(track, &mut sends, &mut Siblings::default(), &mut Stats::default());
        track.layers[0].burst.clear();
        let sent = |send| match send {
            link::Send::Packet { flow, packet, .. } => Some((flow.0, packet.sequence, packet.skipped, packet.marker)),
            _ => None,
        };
        sends.into_iter().filter_map(sent).collect()
    }

    fn take(track: &mut Track, layers: &[u8]) {
        for layer in 0..3 {
            let taken = layers.contains(&layer);
            track.layers[usize::from(layer)].serves =
                if taken { vec![(PEER, Flow(10 + u32::from(layer)))] } else { Vec::new() };
        }
        track.follow_serves();
    }

    fn track() -> Track {
        let sid: TrackSid = "TR_abcdefghjkmn".parse().unwrap();
        let origin = Origin::Local { session: SessionId(1), peer: 0 };
        Track::new(sid, origin, Kind::Video, "video/VP9", &[100, 300, 900])
    }

    #[test]
    fn a_peer_gets_the_layers_that_it_takes_and_hears_how_many_numbers_were_left_out() {
        let mut track = track();
        take(&mut track, &[0, 1]);
        picture(&mut track, 0, false);
        track.layers[0].burst.remove(0);
        assert!(served(&mut track).is_empty(), "it begins with a whole picture");
        picture(&mut track, 1, false);
        picture(&mut track, 2, true);
        assert_eq!(
            served(&mut track),
            [(10, 103, 0, false), (11, 104, 0, true), (10, 106, 1, false), (11, 107, 0, true)]
        );
    }

    /// A node's links with what they want to send and what its worker got.
    struct Node {
        links: Links,
        received: Vec<link::Received>,
    }

    /// Gives inputs to nodes, and their datagrams to each other, until nobody has anything to say.
    fn exchange(nodes: &mut [Node], now: Instant, at: usize, input: links::Input) {
        let mut inputs = std::collections::VecDeque::from([(at, input)]);
        while let Some((at, input)) = inputs.pop_front() {
            nodes[at].links.handle_input(now, input);
            loop {
                match nodes[at].links.poll_output() {
                    links::Output::Transmit { to, datagram } => {
                        let (peer, input) = (NodeId([at as u8; 16]), link::Input::Datagram(datagram.to_bytes().into()));
                        inputs.push_back((usize::from(to.0[0]), links::Input::Link { peer, input }));
                    }
                    links::Output::Received { received, .. } => nodes[at].received.push(received),
                    links::Output::Timeout(_) => break,
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_relay_leaves_out_for_its_child_what_the_origin_would() {
        use links::Input;
        // The origin 0, the relay 1 that takes all layers, and 2, which takes two: from 0 under 20 and 21, from 1 under
        // 30 and 31, as if it were two tracks.
        let (mut now, kind, room) = (Instant::now(), MediaKind::Video, RoomKey::new("default", "standup"));
        let mut nodes: Vec<Node> = (0..3).map(|_| Node { links: Links::new(now), received: Vec::new() }).collect();
        let node = |number: u8| NodeId([number; 16]);
        for (one, other) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
            let input = link::Input::Up { rtt: std::time::Duration::ZERO, rate_bps: None };
            exchange(&mut nodes, now, one, Input::Link { peer: node(other), input });
        }
        let sid = track().sid;
        let other: TrackSid = "TR_zzzzzzzzzzzz".parse().unwrap();
        let layer = |layer| TrackLayer { track: sid, layer };
        let mut forwards = Vec::new();
        for of in 0..3_u8 {
            let (room, flow, layer) = (room.clone(), Flow(10 + u32::from(of)), layer(of));
            forwards.push((0, Forward::Serve { room: room.clone(), layer, to: node(1), flow, kind, in_stream: true }));
            forwards.push((1, Forward::Receive { room, layer, from: node(0), flow, kind, local: false }));
        }
        for of in 0..2_u8 {
            let (direct, relayed) = (Flow(20 + u32::from(of)), Flow(30 + u32::from(of)));
            let (room, at) = (room.clone(), layer(of));
            forwards.push((
                0,
                Forward::Serve { room: room.clone(), layer: at, to: node(2), flow: direct, kind, in_stream: true },
            ));
            forwards.push((1, Forward::Relay { layer: at, to: node(2), flow: relayed, kind, in_stream: true }));
            let again = TrackLayer { track: other, layer: of };
            for (layer, from, flow) in [(at, node(0), direct), (again, node(1), relayed)] {
                forwards.push((2, Forward::Receive { room: room.clone(), layer, from, flow, kind, local: true }));
            }
        }
        for (at, forward) in forwards {
            exchange(&mut nodes, now, at, Input::Forward { forward, sink: 0 });
        }
        let mut track = track();
        for of in 0..3_u8 {
            let mut serves = vec![(node(1), Flow(10 + u32::from(of)))];
            serves.extend((of < 2).then_some((node(2), Flow(20 + u32::from(of)))));
            track.layers[usize::from(of)].serves = serves;
        }
        track.follow_serves();
        for number in 0..40 {
            picture(&mut track, number, number % 10 == 5);
            // Some come late, and some never.
            if number % 4 == 3 {
                let late = track.layers[0].burst.remove(number as usize % 3);
                track.layers[0].burst.extend((number % 8 == 3).then_some(late));
            }
            let mut sends = Vec::new();
            serve_links(&mut track, &mut sends, &mut Siblings::default(), &mut Stats::default());
            track.layers[0].burst.clear();
            for mut send in sends {
                if let link::Send::Packet { packet, .. } = &mut send {
                    packet.arrived = now;
                }
                exchange(&mut nodes, now, 0, Input::Send(send));
            }
            // What had to wait for its turn goes before the next picture.
            for _ in 0..33 {
                now += std::time::Duration::from_millis(1);
                (0..3).for_each(|at| exchange(&mut nodes, now, at, Input::Timeout));
            }
        }
        let (mut direct, mut relayed) = (Vec::new(), Vec::new());
        for received in &nodes[2].received {
            let link::Received::Packet { layer, packet } = received else { continue };
            let list = if layer.track == sid { &mut direct } else { &mut relayed };
            list.push((layer.layer, packet.sequence as u16, packet.skipped, packet.marker, packet.payload.clone()));
        }
        assert!(direct.len() > 75, "{}", direct.len());
        assert_eq!(relayed, direct);
        assert!(nodes[1].received.is_empty());
    }

    #[test]
    fn what_was_missing_and_is_to_be_left_out_goes_as_its_number_alone() {
        let mut track = track();
        take(&mut track, &[0]);
        picture(&mut track, 0, true);
        picture(&mut track, 1, false);
        let mut burst = std::mem::take(&mut track.layers[0].burst);
        // 104 comes after 106, which hears of 105 alone.
        let late = burst.remove(4);
        picture(&mut track, 2, false);
        burst.append(&mut track.layers[0].burst);
        burst.insert(6, late);
        track.layers[0].burst = burst;
        assert_eq!(
            served(&mut track),
            [(10, 100, 0, true), (10, 103, 2, true), (10, 106, 1, true), (10, 104, 0, false)]
        );
    }

    #[test]
    fn a_layer_more_begins_with_a_keyframe_and_one_less_ends_with_the_next_picture() {
        let mut track = track();
        take(&mut track, &[0]);
        picture(&mut track, 0, true);
        assert_eq!(served(&mut track), [(10, 100, 0, true)]);
        take(&mut track, &[0, 1, 2]);
        picture(&mut track, 1, false);
        assert_eq!(served(&mut track), [(10, 103, 2, true)]);
        picture(&mut track, 2, true);
        assert_eq!(served(&mut track), [(10, 106, 2, false), (11, 107, 0, false), (12, 108, 0, true)]);
        take(&mut track, &[0]);
        picture(&mut track, 3, false);
        assert_eq!(served(&mut track), [(10, 109, 0, true)]);
        take(&mut track, &[]);
        assert!(track.servings.is_empty());
    }
}
