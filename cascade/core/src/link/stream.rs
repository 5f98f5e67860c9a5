//! A stream with several layers, one flow each: what a link sheds of the upper ones leaves gaps in the numbers of all,
//! so the peer is told which numbers it does not get.
//!
//! Most of them the next packet of the stream tells. Where none can, a packet without payload does, under the lowest
//! layer's flow, which is never shed.

use super::left_out::{LeftOut, void};
use super::{Flow, Packet, extend};
use crate::layer::LAYERS_MAX;

/// A step in the numbers beyond which the source must have begun anew.
const JUMP: u64 = 3_000;

/// What the peer gets of one stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    flows: [Option<Flow>; LAYERS_MAX],
    left_out: LeftOut,
}

impl Stream {
    /// The peer takes a layer under its number.
    pub(super) fn add(&mut self, layer: u8, flow: Flow) {
        if let Some(place) = self.flows.get_mut(usize::from(layer)) {
            *place = Some(flow);
        }
    }

    /// The number means nothing any more.
    pub(super) fn remove(&mut self, flow: Flow) {
        self.flows.iter_mut().filter(|place| **place == Some(flow)).for_each(|place| *place = None);
    }

    /// The peer takes none of its layers.
    pub(super) fn is_empty(&self) -> bool {
        self.flows.iter().all(Option::is_none)
    }

    /// The numbers that the peer takes its layers under.
    pub(super) fn flows(&self) -> impl Iterator<Item = Flow> {
        self.flows.into_iter().flatten()
    }

    /// What goes to the peer of a packet that is shed or is not, each under its flow.
    pub(super) fn take(&mut self, flow: Flow, mut packet: Packet, goes: bool) -> [Option<(Flow, Packet)>; 2] {
        if packet.sequence.abs_diff(self.left_out.next()) > JUMP {
            self.left_out = LeftOut::default();
        }
        let before = self.flows[0].zip(self.left_out.before_gap(&packet));
        let (is_late, is_void) = (packet.sequence < self.left_out.next(), packet.payload.is_empty());
        // Of what is sent again from long ago only the packet itself knows.
        let told = self.left_out.note(packet.sequence, !goes || is_void, packet.skipped);
        packet.skipped = packet.skipped.max(told);
        let this = if goes {
            Some((flow, packet))
        } else {
            self.flows[0].filter(|_| is_late).map(|lowest| (lowest, void(&packet, packet.sequence, packet.skipped)))
        };
        [before, this]
    }

    /// Tells of packets that were to go and do not: one packet for as many as follow each other.
    pub(super) fn tell(&mut self, mut shed: Vec<Packet>) -> Vec<(Flow, Packet)> {
        let Some(lowest) = self.flows[0] else { return Vec::new() };
        for packet in &mut shed {
            packet.sequence = extend(self.left_out.next(), packet.sequence as u16).unwrap_or(packet.sequence);
        }
        shed.sort_unstable_by_key(|packet| packet.sequence);
        let mut told: Vec<(Flow, Packet)> = Vec::new();
        for packet in shed {
            self.left_out.note(packet.sequence, true, packet.skipped);
            let follows = |last: &(Flow, Packet)| last.1.sequence + u64::from(packet.skipped) + 1 == packet.sequence;
            let below = told.pop_if(|last| follows(last)).map_or(0, |(_, last)| last.skipped.saturating_add(1));
            told.push((lowest, void(&packet, packet.sequence, packet.skipped.saturating_add(below))));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn packet(sequence: u64, skipped: u16) -> Packet {
        let (timestamp, marker, key, redundant, extensions) = (0, false, false, false, Default::default());
        let (payload, arrived) = ([1].as_slice().into(), Instant::now());
        Packet { sequence, timestamp, marker, key, redundant, skipped, extensions, payload, arrived }
    }

    /// What goes: flow, number, numbers left out before it, whether it is empty.
    fn told(parts: impl IntoIterator<Item = (Flow, Packet)>) -> Vec<(u32, u64, u16, bool)> {
        let told =
            |(flow, packet): (Flow, Packet)| (flow.0, packet.sequence, packet.skipped, packet.payload.is_empty());
        parts.into_iter().map(told).collect()
    }

    fn stream() -> Stream {
        let mut stream = Stream::default();
        (0..3).for_each(|layer| stream.add(layer, Flow(10 + u32::from(layer))));
        stream
    }

    #[test]
    fn the_next_packet_tells_what_was_shed_before_it() {
        let mut stream = stream();
        for (flow, number, skipped, goes) in [(10, 70_000, 0, true), (11, 70_001, 0, false), (12, 70_003, 1, false)] {
            let parts = stream.take(Flow(flow), packet(number, skipped), goes);
            assert_eq!(told(parts.into_iter().flatten()).len(), usize::from(goes));
        }
        let parts = stream.take(Flow(10), packet(70_004, 0), true);
        assert_eq!(told(parts.into_iter().flatten()), [(10, 70_004, 3, false)]);
    }

    #[test]
    fn what_no_later_packet_tells_goes_as_its_number_alone() {
        let mut stream = stream();
        stream.take(Flow(10), packet(1, 0), true);
        stream.take(Flow(11), packet(2, 0), false);
        let gap = stream.take(Flow(10), packet(5, 0), true);
        assert_eq!(told(gap.into_iter().flatten()), [(10, 2, 0, true), (10, 5, 0, false)]);
        let late = stream.take(Flow(11), packet(4, 1), false);
        assert_eq!(told(late.into_iter().flatten()), [(10, 4, 2, true)], "3 an earlier hop left out, 2 we did");
    }

    #[test]
    fn packets_that_waited_and_do_not_go_are_told_in_as_few_packets_as_follow_each_other() {
        let mut stream = stream();
        (100..120).for_each(|number| drop(stream.take(Flow(11), packet(number, 0), true)));
        let shed = [packet(110, 0), packet(104, 0), packet(103, 0), packet(107, 2)];
        assert_eq!(told(stream.tell(shed.to_vec())), [(10, 107, 4, true), (10, 110, 0, true)]);
        stream.remove(Flow(10));
        assert!(stream.tell(shed.to_vec()).is_empty(), "nobody to tell");
    }
}
