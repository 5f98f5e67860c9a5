//! Which layer of each track a subscriber gets, from what its connection is believed to carry.

/// What one subscriber could get of one video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Bits per second of each layer, lowest first; none for one that does not flow and will not for now.
    pub bitrates_bps: [Option<u64>; 3],
    /// The layer that the subscriber gets now.
    pub current: Option<u8>,
}

/// Decides for one subscriber. Rare: on a new estimate, a new track, or a layer that comes or goes.
pub(crate) trait Allocate {
    /// The layer for each demand, in order; none where a track has no layer that flows. `budget_bps` is what video may
    /// take, audio being served already; none when nothing is known of the connection.
    fn allocate(&self, budget_bps: Option<u64>, demands: &[Demand]) -> Vec<Option<u8>>;
}

/// Gives every track its lowest layer, whatever the budget says, and then raises all of them by turns while the
/// budget lasts.
#[derive(Debug)]
pub(crate) struct HighestThatFits;

/// A step up must fit with this much to spare, in percent of the layer's rate; a layer that is being sent may stay
/// until it no longer fits. The span between the two keeps a noisy estimate from swinging the picture.
const HEADROOM_PERCENT: u64 = 15;

impl Allocate for HighestThatFits {
    fn allocate(&self, budget_bps: Option<u64>, demands: &[Demand]) -> Vec<Option<u8>> {
        let mut layers: Vec<Option<u8>> = demands.iter().map(|demand| demand.layers().next()).collect();
        let Some(budget) = budget_bps else {
            return demands.iter().map(|demand| demand.layers().last()).collect();
        };
        let mut spent: u64 = demands.iter().zip(&layers).map(|(demand, layer)| demand.cost(*layer)).sum();
        loop {
            let mut raised = false;
            for (demand, layer) in demands.iter().zip(&mut layers) {
                let Some(next) = demand.layers().find(|next| Some(*next) > *layer) else { continue };
                let after = spent - demand.cost(*layer) + demand.cost(Some(next));
                if after <= budget {
                    spent = after;
                    *layer = Some(next);
                    raised = true;
                }
            }
            if !raised {
                return layers;
            }
        }
    }
}

impl Demand {
    fn layers(&self) -> impl DoubleEndedIterator<Item = u8> {
        (0..3u8).filter(|&layer| self.bitrates_bps[usize::from(layer)].is_some())
    }

    fn cost(&self, layer: Option<u8>) -> u64 {
        let Some(layer) = layer else { return 0 };
        let rate = self.bitrates_bps[usize::from(layer)].unwrap_or(0);
        if Some(layer) > self.current { rate + rate * HEADROOM_PERCENT / 100 } else { rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: [Option<u64>; 3] = [Some(150_000), Some(500_000), Some(1_700_000)];

    fn camera(current: Option<u8>) -> Demand {
        Demand { bitrates_bps: CAMERA, current }
    }

    #[test]
    fn without_an_estimate_everyone_gets_the_best() {
        let screen = Demand { bitrates_bps: [Some(2_000_000), None, None], current: None };
        assert_eq!(HighestThatFits.allocate(None, &[camera(None), screen]), [Some(2), Some(0)]);
    }

    #[test]
    fn the_lowest_layers_are_sent_even_when_they_do_not_fit() {
        assert_eq!(HighestThatFits.allocate(Some(0), &[camera(None), camera(Some(2))]), [Some(0), Some(0)]);
    }

    #[test]
    fn no_track_is_raised_twice_before_the_others_are_raised_once() {
        assert_eq!(HighestThatFits.allocate(Some(1_300_000), &[camera(None); 2]), [Some(1), Some(1)]);
        assert_eq!(HighestThatFits.allocate(Some(900_000), &[camera(None); 2]), [Some(1), Some(0)]);
    }

    #[test]
    fn an_estimate_that_swings_around_a_layers_rate_does_not_swing_the_layer() {
        let mut current = Some(1);
        for budget in [1_800_000, 1_710_000, 1_900_000, 1_720_000] {
            current = HighestThatFits.allocate(Some(budget), &[camera(current)])[0];
            assert_eq!(current, Some(1));
        }
        for budget in [2_000_000, 1_710_000, 1_800_000, 1_720_000] {
            current = HighestThatFits.allocate(Some(budget), &[camera(current)])[0];
            assert_eq!(current, Some(2));
        }
    }

    #[test]
    fn a_layer_that_does_not_flow_is_never_chosen() {
        let demand = Demand { bitrates_bps: [Some(100_000), None, Some(900_000)], current: None };
        assert_eq!(HighestThatFits.allocate(Some(500_000), &[demand]), [Some(0)]);
        let none = Demand { bitrates_bps: [None; 3], current: Some(1) };
        assert_eq!(HighestThatFits.allocate(Some(500_000), &[none]), [None]);
    }
}
