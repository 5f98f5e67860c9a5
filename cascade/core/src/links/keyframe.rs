//! Whom a keyframe of a layer is asked for.

use super::machine::Links;
use crate::TrackLayer;
use crate::link;

impl Links {
    /// Asks the peer that feeds a layer: the newest that does, or else the newest that was asked to.
    pub(super) fn want_keyframe(&mut self, layer: TrackLayer) {
        let sources = self.layers_by_id.get(&layer).and_then(|place| self.layers.get(*place));
        let sources = sources.map_or(&[][..], |layer| &layer.sources[..]);
        let incoming = |place: &usize| self.incoming.get(*place).filter(|incoming| incoming.ended.is_none());
        let flowing = sources.iter().rev().filter_map(incoming).find(|incoming| incoming.flows);
        match flowing.or_else(|| sources.iter().rev().find_map(incoming)).map(|incoming| incoming.link) {
            Some(link) => self.give(link, link::Input::Keyframe(layer)),
            None => self.counters.stray_keyframe += 1,
        }
    }
}
