//! Layers that come over a link: under which numbers, and keyframes that are wanted of them.

use super::super::Flow;
use super::super::counters::OUT;
use super::super::keyframe::Upstream;
use super::super::message::Message;
use super::{Link, Receiving};
use crate::TrackLayer;

impl Link {
    pub(super) fn receive(&mut self, flow: Flow, layer: TrackLayer, sink: usize) {
        self.flows_by_layer.insert(layer, flow);
        self.receiving.insert(flow, Receiving { layer, sink, highest: None, keyframes: Upstream::default() });
        self.stats.receiving = self.receiving.len() as u64;
    }

    pub(super) fn stop_receive(&mut self, flow: Flow) {
        let Some(receiving) = self.receiving.remove(flow) else { return };
        self.stats.receiving = self.receiving.len() as u64;
        self.keyframes_wanted.remove(&flow);
        if self.flows_by_layer.get(&receiving.layer) == Some(&flow) {
            self.flows_by_layer.remove(&receiving.layer);
        }
    }

    pub(super) fn want_keyframe(&mut self, layer: TrackLayer) {
        match self.flows_by_layer.get(&layer) {
            Some(flow) => {
                self.keyframes_wanted.insert(*flow);
            }
            None => self.dropped.unknown_flow += 1,
        }
    }

    pub(super) fn ask_for_keyframes(&mut self) {
        let Some(rtt) = self.rtt() else { return };
        let (now, receiving) = (self.now, &mut self.receiving);
        let is_due = |flow: &&Flow| receiving.get_mut(**flow).is_some_and(|it| it.keyframes.take_due(now, rtt));
        let due: Vec<Flow> = self.keyframes_wanted.iter().filter(is_due).copied().collect();
        if !due.is_empty() {
            self.keyframes_wanted.retain(|flow| !due.contains(flow));
            self.stats.keyframe_requests[OUT] += due.len() as u64;
            self.send_message(&Message::KeyRequest(due));
        }
    }
}
