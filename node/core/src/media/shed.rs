//! What a node that runs short of something takes of pictures: layers above the lowest, step by step, and nothing else.
//!
//! Sound has one layer, and so has many a shared screen: neither is ever touched.

use std::cmp::Reverse;

use origo_cascade_core::TrackLayer;

use super::allocate::Demand;
use super::track::LAYERS;
use super::worker::Worker;
use crate::overload::SHEDS;

/// Takes upper layers out of what one subscriber could have, `shed` of [`SHEDS`] parts of them: in the reverse of the
/// order in which they are given, so that the top layers of what is shown smallest go first. Shared screens lose theirs
/// with the last part alone.
pub(super) fn trim(demands: &mut [Demand], shed: u8) {
    if shed == 0 {
        return;
    }
    let is_last = shed >= SHEDS;
    let mut upper = Vec::new();
    for (index, demand) in demands.iter().enumerate().filter(|(_, demand)| is_last || !demand.rank.screen) {
        let flowing = (0..LAYERS).filter(|layer| demand.bitrates_bps[*layer].is_some());
        upper.extend(flowing.skip(1).enumerate().map(|(round, layer)| (round, Reverse(demand.rank), index, layer)));
    }
    upper.sort();
    let kept = upper.len() * usize::from(SHEDS.saturating_sub(shed)) / usize::from(SHEDS);
    for (.., index, layer) in upper.drain(kept..) {
        demands[index].bitrates_bps[layer] = None;
    }
}

impl Worker {
    /// Sheds so much from now on. Viewers get a lower layer as soon as its keyframe is there, or the next higher one.
    pub(super) fn set_shed(&mut self, shed: u8) {
        let (shed, before) = (shed.min(SHEDS), self.shed);
        self.shed = shed;
        self.touched.extend(self.sessions.keys().copied());
        if (shed == SHEDS) == (before == SHEDS) {
            return;
        }
        let served: Vec<TrackLayer> = self.serves.keys().copied().filter(|layer| layer.layer > 0).collect();
        for layer in served {
            self.apply_serves(layer);
            self.want_keyframe_for_peer(layer);
        }
    }

    /// Whether other nodes get a layer that they take: with everything shed, the lowest alone.
    pub(super) fn gives(&self, layer: TrackLayer) -> bool {
        layer.layer == 0 || self.shed < SHEDS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::allocate::Rank;
    use super::*;

    fn camera(pixels: u64) -> Demand {
        let bitrates_bps = [Some(150_000), Some(500_000), Some(1_700_000)];
        Demand { bitrates_bps, current: Some(2), paused: false, rank: Rank::shown(pixels) }
    }

    fn screen() -> Demand {
        let rank = Rank { screen: true, ..Rank::shown(1_000_000) };
        Demand { bitrates_bps: [Some(400_000), Some(2_000_000), None], rank, ..camera(0) }
    }

    /// How many layers of each are left.
    fn left(demands: &[Demand], shed: u8) -> Vec<usize> {
        let mut demands = demands.to_vec();
        trim(&mut demands, shed);
        demands.iter().map(|demand| demand.bitrates_bps.iter().flatten().count()).collect()
    }

    #[test]
    fn the_top_layers_of_what_is_shown_smallest_go_first_and_those_of_screens_last() {
        let demands = [camera(100), camera(1_000_000), camera(10_000), screen()];
        assert_eq!(left(&demands, 0), [3, 3, 3, 2]);
        assert_eq!(left(&demands, 1), [2, 3, 2, 2], "two of six");
        assert_eq!(left(&demands, 2), [1, 2, 2, 2], "two more");
        assert_eq!(left(&demands, 3), [1, 1, 1, 1]);
    }

    #[test]
    fn one_picture_alone_loses_a_layer_with_each_of_the_first_steps() {
        assert_eq!([0, 1, 2, 3].map(|shed| left(&[camera(9)], shed)[0]), [3, 2, 1, 1]);
        let mut two = camera(9);
        two.bitrates_bps[2] = None;
        assert_eq!([0, 1, 2, 3].map(|shed| left(&[two], shed)[0]), [2, 1, 1, 1]);
    }

    #[test]
    fn where_only_an_upper_layer_flows_it_is_the_lowest() {
        let mut demand = camera(9);
        demand.bitrates_bps[..2].fill(None);
        assert_eq!(left(&[demand], SHEDS), [1]);
    }

    proptest! {
        #[test]
        fn no_picture_ever_loses_its_lowest_layer_and_a_step_more_leaves_no_layer_more(
            demands in prop::collection::vec(
                (prop::array::uniform3(prop::option::of(0..9_000_000_u64)), any::<bool>(), 0..5_u64),
                0..12,
            ),
            shed in 0..6_u8,
        ) {
            let demand = |&(bitrates_bps, screen, pixels): &([Option<u64>; 3], bool, u64)| {
                Demand { bitrates_bps, rank: Rank { screen, ..Rank::shown(pixels) }, ..camera(0) }
            };
            let before: Vec<Demand> = demands.iter().map(demand).collect();
            let mut after = before.clone();
            trim(&mut after, shed);
            let mut further = before.clone();
            trim(&mut further, shed + 1);
            for ((before, after), further) in before.iter().zip(&after).zip(&further) {
                let lowest = before.bitrates_bps.iter().position(Option::is_some);
                prop_assert_eq!(lowest, after.bitrates_bps.iter().position(Option::is_some));
                for layer in 0..LAYERS {
                    prop_assert!(after.bitrates_bps[layer].is_some() || further.bitrates_bps[layer].is_none());
                    prop_assert!(before.bitrates_bps[layer] == after.bitrates_bps[layer] || after.bitrates_bps[layer].is_none());
                }
            }
        }
    }
}
