//! Layers that go over a link: under which numbers, and what waits of them.

use super::super::hop::CLASSES;
use super::super::keyframe::Downstream;
use super::super::shedding::Load;
use super::super::{Flow, Packet};
use super::{Link, Serving};
use crate::TrackLayer;

impl Link {
    pub(super) fn serve(&mut self, flow: Flow, layer: TrackLayer, in_stream: bool, sink: usize) {
        let serving = Serving { layer, sink, in_stream, keyframes: Downstream::default(), load: Load::default() };
        if let Some(before) = self.serving.insert(flow, serving) {
            self.leave_stream(before.layer.track, flow);
        }
        if in_stream {
            self.streams.entry(layer.track).or_default().add(layer.layer, flow);
        }
        self.stats.copies = self.serving.len() as u64;
    }

    pub(super) fn stop_serve(&mut self, flow: Flow) {
        let stopped = self.serving.remove(flow);
        self.stats.copies = self.serving.len() as u64;
        let removed = self.remove_waiting(flow);
        if let Some(Serving { layer, .. }) = stopped {
            self.leave_stream(layer.track, flow);
            self.tell_left_out(layer.track, removed.into_iter().flatten().collect());
        }
    }

    /// Takes away what waits of a flow, by class.
    pub(super) fn remove_waiting(&mut self, flow: Flow) -> [Vec<Packet>; CLASSES.len()] {
        let up = &mut self.up;
        std::array::from_fn(|place| up.as_mut().map_or(Vec::new(), |hop| hop.scheduler.remove(place, flow)))
    }
}
