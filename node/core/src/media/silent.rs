//! Which layers of a track have stopped, or are of no use though packets of them come.

use std::time::Instant;

use origo_cascade_core::MediaKind;

use super::layer::RETRY;
use super::track::{LAYERS, Track};

impl Track {
    /// Layers that stopped flowing since the last call, or of which nothing can be decoded, count as silent from now on.
    /// Says whether any did.
    pub fn find_silent(&mut self, now: Instant) -> bool {
        // The lowest goes on with whatever comes, and layers within one stream break together.
        let above = if self.is_layered() { LAYERS } else { 1 };
        if (above..LAYERS).filter(|&layer| self.stall(layer, now)).count() > 0 {
            // What is too much for the line in one layer is so in others: the lowest is the likeliest to come.
            let idle = self.layers[above..].iter_mut().filter(|layer| !layer.flows);
            idle.for_each(|layer| layer.barred_until = Some(now + RETRY));
            return true;
        }
        let steady = self.kind == MediaKind::Video && !self.viewers.iter().any(|viewer| viewer.screen);
        // Every layer is looked at, not only those up to the first.
        self.layers.iter_mut().filter_map(|layer| layer.fall_silent(steady, now).then_some(())).count() > 0
    }

    fn stall(&mut self, layer: usize, now: Instant) -> bool {
        if self.layers[layer].barred_until.is_some() {
            return false;
        }
        // Nor would a keyframe come through.
        let hopeless = self.layers[layer].gaps.is_hopeless(now) && self.taken().contains(layer as u8);
        if hopeless {
            self.layers[layer].fail(now);
        }
        hopeless || self.layers[layer].stall(now)
    }

    /// Bars layers behind a link that were wanted for some time without a packet, and frees those that were barred long
    /// enough. Says whether it did either, or one is late, so that viewers think again.
    pub fn bar_silent(&mut self, now: Instant) -> bool {
        self.layers.iter_mut().filter_map(|layer| layer.bar(now).then_some(())).count() > 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use origo_auth::NodeId;
    use origo_cascade_core::link::{Flow, Packet};

    use super::super::track::Origin;
    use super::*;
    use crate::SessionId;

    fn served() -> Track {
        let origin = Origin::Local { session: SessionId(1), peer: 0 };
        let sid = "TR_abcdefghjkmn".parse().unwrap();
        let mut track = Track::new(sid, origin, MediaKind::Video, "video/VP8", &[100_000, 250_000, 1_200_000]);
        for layer in &mut track.layers[1..] {
            layer.serves.push((NodeId([1; 16]), Flow(1)));
        }
        track
    }

    /// One of five packets comes, for so long.
    fn lose_most(track: &mut Track, layer: u8, start: Instant, ms: u64) {
        for number in (0..ms / 10).step_by(5) {
            let arrived = start + Duration::from_millis(10 * number);
            let (marker, key, redundant, skipped) = (true, false, false, 0);
            let (extensions, payload) = (Default::default(), [0x10, 0x01].into());
            let sequence = 1_000 + number;
            let packet =
                Packet { sequence, timestamp: 0, marker, key, redundant, skipped, extensions, payload, arrived };
            track.take(layer, packet, arrived);
        }
    }

    #[test]
    fn an_upper_layer_of_which_most_is_lost_is_of_no_use_at_once() {
        let (start, mut track) = (Instant::now(), served());
        lose_most(&mut track, 2, start, 250);
        assert!(track.layers[2].flows);
        assert!(track.find_silent(start + Duration::from_millis(250)));
        assert!(track.layers[2].stalled && !track.layers[2].flows);
        assert!(track.layers[1].barred_until.is_some(), "nor does the one below begin without a keyframe");
    }

    #[test]
    fn what_is_lost_of_a_barred_layer_does_not_keep_it_from_being_waited_for() {
        let (start, mut track) = (Instant::now(), served());
        lose_most(&mut track, 0, start, 1_000);
        track.layers[1].barred_until = Some(start + RETRY);
        lose_most(&mut track, 1, start, 1_000);
        let now = start + Duration::from_secs(1);
        assert!(!track.due_keyframe(1, now) && !track.find_silent(now));
        assert!(!track.layers[1].stalled, "its keyframe is taken when it comes");
    }

    #[test]
    fn the_lowest_layer_goes_on_with_whatever_comes() {
        let (start, mut track) = (Instant::now(), served());
        lose_most(&mut track, 0, start, 250);
        assert!(!track.find_silent(start + Duration::from_millis(250)) && track.layers[0].flows);
    }
}
