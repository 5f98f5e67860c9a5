//! Which layers of a stream are taken right now, and how that follows what is to be taken: up where a decoder can go
//! up, down with the next picture.

use origo_cascade_core::link::Packet;

use super::place::{Begins, Place};

/// The highest layers that are taken; all below them are taken too, so that one may go down at any picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Spatial layer within the stream.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
}

impl Choice {
    /// Whether a frame is among what is taken.
    pub fn admits(self, place: &Place) -> bool {
        place.spatial <= self.spatial && place.temporal <= self.temporal
    }

    /// What is taken from this packet on. `key` when it begins a keyframe, `new_picture` when it begins a picture.
    #[must_use]
    pub fn follow(self, target: Self, place: &Place, key: bool, new_picture: bool) -> Self {
        if key {
            return target;
        }
        let mut now = self;
        if new_picture {
            now.spatial = now.spatial.min(target.spatial);
            now.temporal = now.temporal.min(target.temporal);
        }
        if now == target || !place.starts {
            return now;
        }
        now.begin(target, place);
        if now.admits(place) {
            now.climb(target, place);
        }
        now
    }

    /// Takes a frame that refers to nothing of its own layer.
    fn begin(&mut self, target: Self, place: &Place) {
        match place.begins {
            Begins::SpatialLayer
                if place.spatial == self.spatial + 1
                    && place.spatial <= target.spatial
                    && place.temporal <= self.temporal =>
            {
                self.spatial = place.spatial;
            }
            Begins::TemporalLayer if place.temporal > self.temporal && place.temporal <= target.temporal => {
                self.temporal = place.temporal;
            }
            _ => {}
        }
    }

    /// Goes up as far as a frame that is taken lets one; a fall waits for the next picture.
    fn climb(&mut self, target: Self, place: &Place) {
        let open = |spatial: u8| place.switches.get(usize::from(spatial)).copied().unwrap_or(0);
        let temporal = target.temporal.max(self.temporal);
        if let Some(spatial) = (self.spatial + 1..=target.spatial).rev().find(|&spatial| open(spatial) > 0) {
            *self = Self { spatial, temporal: temporal.min(open(spatial) - 1) };
        } else if open(self.spatial) > self.temporal + 1 {
            self.temporal = temporal.min(open(self.spatial) - 1);
        }
    }
}

/// Follows a stream picture by picture.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// Timestamp of the newest picture.
    picture: Option<u32>,
    /// What is taken of it has had its end.
    ended: bool,
}

impl Course {
    /// What is taken from the stream's newest packet on. A picture whose end was marked gets no more layers.
    pub fn next(&mut self, before: Choice, goal: Choice, packet: &Packet, place: &Place) -> Choice {
        let new_picture = self.picture.replace(packet.timestamp) != Some(packet.timestamp);
        self.ended &= !new_picture;
        let spatial = if self.ended { goal.spatial.min(before.spatial) } else { goal.spatial };
        before.follow(Choice { spatial, ..goal }, place, packet.key, new_picture)
    }

    /// Whether a packet is the last of its picture, as far as `taken` of it is taken. `is_newest` for the stream's newest.
    pub fn ends(&mut self, taken: Choice, packet: &Packet, place: &Place, is_newest: bool) -> bool {
        let ends = packet.marker || (place.ends && place.spatial == taken.spatial);
        self.ended |= ends && is_newest;
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::TEMPORAL_LAYERS;
    use super::*;

    const LOW: Choice = Choice { spatial: 0, temporal: 0 };
    const HIGH: Choice = Choice { spatial: 2, temporal: 2 };

    fn frame(spatial: u8, temporal: u8) -> Place {
        Place { spatial, temporal, starts: true, ends: true, switches: [0; 3], begins: Begins::Nothing }
    }

    #[test]
    fn a_keyframe_leads_to_everything_and_another_frame_to_what_it_opens() {
        assert_eq!(LOW.follow(HIGH, &frame(0, 0), true, true), HIGH);
        assert_eq!(LOW.follow(HIGH, &frame(0, 0), false, true), LOW);
        let opens = |switches| Place { switches, ..frame(0, 0) };
        assert_eq!(LOW.follow(HIGH, &opens([3, 0, 0]), false, true), Choice { spatial: 0, temporal: 2 });
        assert_eq!(LOW.follow(HIGH, &opens([3, 1, 0]), false, true), Choice { spatial: 1, temporal: 0 });
        let continued = Place { starts: false, ..opens([3, 3, 3]) };
        assert_eq!(LOW.follow(HIGH, &continued, false, false), LOW, "its first packet was not taken so");
        let above = Place { switches: [3, 3, 3], ..frame(1, 0) };
        assert_eq!(LOW.follow(HIGH, &above, false, false), LOW, "it is not taken itself");
    }

    #[test]
    fn a_fall_waits_for_the_next_picture_alone() {
        assert_eq!(HIGH.follow(LOW, &frame(2, 0), false, false), HIGH);
        assert_eq!(HIGH.follow(LOW, &frame(0, 2), false, true), LOW);
        let opens = Place { switches: [8; 3], ..frame(2, 2) };
        assert_eq!(HIGH.follow(LOW, &opens, false, false), HIGH, "a way up is no way down");
    }

    #[test]
    fn a_frame_that_refers_to_nothing_of_its_layer_may_be_the_first_of_it() {
        let inter_layer = Place { begins: Begins::SpatialLayer, ..frame(1, 0) };
        assert_eq!(LOW.follow(HIGH, &inter_layer, false, false).spatial, 1);
        assert_eq!(LOW.follow(HIGH, &Place { spatial: 2, ..inter_layer }, false, false), LOW, "one is missing between");
        let sync = Place { begins: Begins::TemporalLayer, ..frame(0, 2) };
        assert_eq!(LOW.follow(HIGH, &sync, false, true).temporal, 2);
        assert_eq!(LOW.follow(Choice { temporal: 1, ..LOW }, &sync, false, true), LOW, "more than is wanted");
    }

    #[test]
    fn no_temporal_layer_is_beyond_all() {
        let all = Choice { spatial: 0, temporal: TEMPORAL_LAYERS - 1 };
        assert_eq!(LOW.follow(all, &Place { starts: true, ..Place::ONLY }, false, true), all);
    }
}
