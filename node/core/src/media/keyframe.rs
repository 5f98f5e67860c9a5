//! When a keyframe of a track's stream is asked for.

use std::time::Instant;

use origo_cascade_core::MediaKind;

use super::track::Track;
use super::viewer::Viewer;

impl Track {
    /// Whether a keyframe of this stream is to be asked for by now: a wish was kept, a viewer still waits for a layer that
    /// it carries, or a packet that decoders need was not repaired in time.
    pub fn due_keyframe(&mut self, stream: usize, now: Instant) -> bool {
        if self.layers[stream].gaps.give_up(now) && self.taken().contains(stream as u8) {
            self.layers[stream].key_pending = true;
            self.layers[stream].breaks(now);
        }
        let waits = |viewer: &Viewer| {
            let layer = viewer.forwarder.target().filter(|_| viewer.stream.is_some() && viewer.forwarder.waits());
            layer.is_some_and(|layer| {
                let first = viewer.forwarder.current().is_none();
                usize::from(self.stream_of(layer)) == stream && (first || self.may_begin(layer))
            })
        };
        let awaited =
            self.kind == MediaKind::Video && (self.layers[stream].key_pending || self.viewers.iter().any(waits));
        awaited && self.want_keyframe(stream, now)
    }

    /// Someone needs a keyframe of this stream: whether to ask for it right now. One that its publisher holds back while
    /// it sends others begins with a keyframe when it is sent again, and asking would only cost keyframes of the others.
    pub fn want_keyframe(&mut self, stream: usize, now: Instant) -> bool {
        let held_back = self.started && !self.layers[stream].flows && self.layers.iter().any(|layer| layer.flows);
        if self.is_local() && held_back {
            self.layers[stream].key_pending = true;
            return false;
        }
        self.layers[stream].want_keyframe(now)
    }
}
