//! Which layer of each track a subscriber gets, from what its connection is believed to carry.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

/// What one subscriber could get of one video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Bits per second of each layer that the subscriber has use for, lowest first; none for one that does not flow and
    /// will not for now.
    pub bitrates_bps: [Option<u64>; 3],
    /// The layer that was last chosen.
    pub current: Option<u8>,
    /// It was paused for want of room.
    pub paused: bool,
    /// Who is served first.
    pub rank: Rank,
}

/// The order in which tracks are served; the highest first, field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Text on a shared screen is of no use when it is blurred.
    pub screen: bool,
    /// What the client said.
    pub priority: u32,
    /// How large the client shows it, in doublings of the area: the tiles of a grid differ by a few pixels, and those
    /// are to count as equal.
    pub size: u32,
    /// Where its publisher stands among the speakers; see [`super::Command::Speakers`].
    pub speaker: u64,
    /// The pixels that it is shown with.
    pub pixels: u64,
}

impl Rank {
    /// The rank of a picture that is shown with so many pixels.
    pub fn shown(pixels: u64) -> Self {
        Self { size: pixels.checked_ilog2().unwrap_or(0), pixels, ..Self::default() }
    }
}

/// What a track gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// This layer.
    Layer(u8),
    /// Nothing, because the way has no room for it.
    Paused,
    /// Nothing, because no layer flows.
    Silent,
}

/// A step up must fit with this much to spare, in percent of the layer's rate; a layer that is being sent may stay
/// until it no longer fits. The span between the two keeps a noisy estimate from swinging the picture.
const HEADROOM_PERCENT: u64 = 15;
/// What is sent may exceed the estimate by this much, in percent, for [`GRACE`]: an estimator that sees a queue lowers
/// its estimate below what is sent, though that fits, and takes back what it finds too low. When the way has really
/// become narrower, its next words are lower still.
const TOLERANCE_PERCENT: u64 = 50;
/// How long that is borne; time enough to look for room once more.
const GRACE: Duration = Duration::from_millis(2_500);
/// How long nothing climbs after a fall.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same when falls keep following climbs; within what a viewer is to wait for a way that has become wide again.
const PATIENCE_MAX: Duration = Duration::from_secs(4);
/// A fall this soon after a climb shows that the climb was a mistake.
const REGRET: Duration = Duration::from_secs(5);

/// Decides for one subscriber. Rare: on a new estimate, a new track, or a layer that comes or goes.
#[derive(Debug)]
pub(crate) struct Allocator {
    /// Tracks may be paused when not even the lowest layers fit.
    may_pause: bool,
    /// Since when the estimate is below what is sent, if only a little.
    short_since: Option<Instant>,
    climbed: Option<Instant>,
    hold_until: Option<Instant>,
    patience: Duration,
}

impl Allocator {
    /// Nothing was decided yet.
    pub fn new(may_pause: bool) -> Self {
        Self { may_pause, short_since: None, climbed: None, hold_until: None, patience: PATIENCE }
    }

    /// Whether more is sent than the estimate allows, and borne for now.
    pub fn is_short(&self) -> bool {
        self.short_since.is_some()
    }

    /// Whether a climb that had to wait may be made by now. True once for each wait.
    pub fn hold_ended(&mut self, now: Instant) -> bool {
        let ended = self.hold_until.is_some_and(|until| until <= now);
        if ended {
            self.hold_until = None;
        }
        ended
    }

    /// The share of each demand, in order. `budget_bps` is what video may take, audio being served already; none when
    /// nothing is known of the connection.
    pub fn allocate(&mut self, now: Instant, budget_bps: Option<u64>, demands: &[Demand]) -> Vec<Share> {
        let held = self.hold_until.is_some_and(|until| now < until);
        let demands: Vec<Demand> = demands.iter().map(|demand| if held { demand.held() } else { *demand }).collect();
        let layers = match budget_bps {
            None => demands.iter().map(|demand| demand.layers().last()).collect(),
            Some(budget) if self.bears(now, budget, &demands) => demands.iter().map(|demand| demand.stays()).collect(),
            Some(budget) => self.fit(budget, held, &demands),
        };
        self.remember(now, &demands, &layers);
        let share = |(demand, layer): (&Demand, Option<u8>)| match layer {
            Some(layer) => Share::Layer(layer),
            None if demand.layers().next().is_some() => Share::Paused,
            None => Share::Silent,
        };
        demands.iter().zip(layers).map(share).collect()
    }

    /// Whether everything stays as it is, though the estimate is a little too low for it.
    fn bears(&mut self, now: Instant, budget: u64, demands: &[Demand]) -> bool {
        let sent: u64 = demands.iter().map(|demand| demand.cost(demand.stays())).sum();
        if sent <= budget {
            self.short_since = None;
            return false;
        }
        let since = *self.short_since.get_or_insert(now);
        // What has just come has no layer yet, and has to find one.
        let is_settled = demands.iter().all(|demand| demand.stays().is_some() || demand.paused);
        let is_small = sent * 100 <= budget * (100 + TOLERANCE_PERCENT);
        is_settled && is_small && now.saturating_duration_since(since) < GRACE
    }

    /// Gives every track its lowest layer, then raises shared screens as far as they go, then all others by turns.
    fn fit(&self, budget: u64, held: bool, demands: &[Demand]) -> Vec<Option<u8>> {
        let mut order: Vec<usize> = (0..demands.len()).collect();
        order.sort_by_key(|&index| Reverse(demands[index].rank));
        let mut layers = vec![None; demands.len()];
        let mut spent = 0;
        for &index in &order {
            let lowest = demands[index].layers().next();
            let cost = demands[index].cost(lowest);
            let fits = spent + cost <= budget && !(held && demands[index].paused);
            if !self.may_pause || fits {
                spent += cost;
                layers[index] = lowest;
            }
        }
        let screens = |screen: bool| order.iter().copied().filter(move |&index| demands[index].rank.screen == screen);
        for index in screens(true) {
            while raise(&demands[index], &mut layers[index], &mut spent, budget) {}
        }
        let mut raised = true;
        while raised {
            raised = false;
            for index in screens(false) {
                raised |= raise(&demands[index], &mut layers[index], &mut spent, budget);
            }
        }
        layers
    }

    /// Learns from what was decided: a fall makes the next climb wait, the longer the sooner it followed a climb.
    fn remember(&mut self, now: Instant, demands: &[Demand], layers: &[Option<u8>]) {
        let fell = |(demand, layer): (&Demand, &Option<u8>)| {
            demand.current.is_some_and(|current| demand.flows(current)) && *layer < demand.current
        };
        let rose = |(demand, layer): (&Demand, &Option<u8>)| {
            (demand.current.is_some() || demand.paused) && *layer > demand.current
        };
        if demands.iter().zip(layers).any(fell) {
            let regret = self.climbed.is_some_and(|at| now.saturating_duration_since(at) < REGRET);
            self.patience = if regret { (self.patience * 2).min(PATIENCE_MAX) } else { PATIENCE };
            self.hold_until = Some(now + self.patience);
        } else if demands.iter().zip(layers).any(rose) {
            self.climbed = Some(now);
        }
    }
}

impl Demand {
    /// Whether a share is less than the best that the subscriber could have.
    pub fn exceeds(&self, share: Share) -> bool {
        let given = if let Share::Layer(layer) = share { Some(layer) } else { None };
        given < self.layers().last()
    }

    /// Bits per second of the best that the subscriber could have.
    pub fn best_bps(&self) -> u64 {
        self.bitrates_bps.iter().flatten().copied().last().unwrap_or(0)
    }

    fn layers(&self) -> impl DoubleEndedIterator<Item = u8> {
        (0..3u8).filter(|&layer| self.flows(layer))
    }

    /// The layer that it has, if that still flows.
    fn stays(&self) -> Option<u8> {
        self.current.filter(|&current| self.flows(current))
    }

    fn flows(&self, layer: u8) -> bool {
        self.bitrates_bps[usize::from(layer)].is_some()
    }

    fn cost(&self, layer: Option<u8>) -> u64 {
        let Some(layer) = layer else { return 0 };
        let rate = self.bitrates_bps[usize::from(layer)].unwrap_or(0);
        if Some(layer) > self.current { rate + rate * HEADROOM_PERCENT / 100 } else { rate }
    }

    /// The same without the layers above the one that is sent.
    fn held(&self) -> Self {
        let mut held = *self;
        if let Some(current) = self.stays() {
            held.bitrates_bps[usize::from(current) + 1..].fill(None);
        }
        held
    }
}

/// Raises a track by one layer if that fits.
fn raise(demand: &Demand, layer: &mut Option<u8>, spent: &mut u64, budget: u64) -> bool {
    let Some(next) = demand.layers().find(|next| layer.is_some_and(|layer| layer < *next)) else { return false };
    let after = *spent - demand.cost(*layer) + demand.cost(Some(next));
    if after > budget {
        return false;
    }
    (*spent, *layer) = (after, Some(next));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: [Option<u64>; 3] = [Some(150_000), Some(500_000), Some(1_700_000)];

    fn camera(current: Option<u8>) -> Demand {
        Demand { bitrates_bps: CAMERA, current, paused: false, rank: Rank::default() }
    }

    fn screen(bps: u64) -> Demand {
        let rank = Rank { screen: true, ..Rank::default() };
        Demand { bitrates_bps: [Some(bps / 4), Some(bps), None], current: None, paused: false, rank }
    }

    fn shares(budget_bps: Option<u64>, demands: &[Demand]) -> Vec<Share> {
        Allocator::new(false).allocate(Instant::now(), budget_bps, demands)
    }

    /// What a subscriber of some tracks is sent while its estimate changes.
    struct Viewer {
        allocator: Allocator,
        demands: Vec<Demand>,
        now: Instant,
        changes: usize,
    }

    impl Viewer {
        fn new(may_pause: bool, demands: &[Demand]) -> Self {
            Self { allocator: Allocator::new(may_pause), demands: demands.to_vec(), now: Instant::now(), changes: 0 }
        }

        /// Tells an estimate each 200 ms for some time.
        fn run(&mut self, seconds: u64, budget_bps: impl Fn(u64) -> u64) -> Vec<Share> {
            let mut shares = Vec::new();
            for step in 0..seconds * 5 {
                self.now += Duration::from_millis(200);
                shares = self.allocator.allocate(self.now, Some(budget_bps(step)), &self.demands);
                for (demand, share) in self.demands.iter_mut().zip(&shares) {
                    let layer = if let Share::Layer(layer) = share { Some(*layer) } else { None };
                    self.changes += usize::from(layer != demand.current);
                    (demand.current, demand.paused) = (layer, *share == Share::Paused);
                }
            }
            shares
        }
    }

    #[test]
    fn without_an_estimate_everyone_gets_the_best() {
        let screen = Demand { bitrates_bps: [Some(2_000_000), None, None], ..camera(None) };
        assert_eq!(shares(None, &[camera(None), screen]), [Share::Layer(2), Share::Layer(0)]);
    }

    #[test]
    fn the_lowest_layers_are_sent_even_when_they_do_not_fit() {
        assert_eq!(shares(Some(0), &[camera(None), camera(Some(2))]), [Share::Layer(0), Share::Layer(0)]);
    }

    #[test]
    fn no_track_is_raised_twice_before_the_others_are_raised_once() {
        assert_eq!(shares(Some(1_300_000), &[camera(None); 2]), [Share::Layer(1), Share::Layer(1)]);
        assert_eq!(shares(Some(900_000), &[camera(None); 2]), [Share::Layer(1), Share::Layer(0)]);
    }

    #[test]
    fn a_shared_screen_comes_first_then_what_matters_more_then_what_is_shown_larger() {
        let large = Demand { rank: Rank::shown(900), ..camera(None) };
        let urgent = Demand { rank: Rank { priority: 1, ..Rank::shown(4) }, ..camera(None) };
        let demands = [camera(None), large, urgent, screen(1_000_000)];
        let given = |budget| shares(Some(budget), &demands);
        let layers = |layers: [u8; 4]| layers.map(Share::Layer);
        assert_eq!(given(1_000_000), layers([0, 0, 0, 0]));
        assert_eq!(given(1_700_000), layers([0, 0, 0, 1]));
        assert_eq!(given(2_100_000), layers([0, 0, 1, 1]));
        assert_eq!(given(2_500_000), layers([0, 1, 1, 1]));
    }

    #[test]
    fn of_pictures_of_about_one_size_those_of_speakers_come_first() {
        let spoken = |speaker, pixels| Demand { rank: Rank { speaker, ..Rank::shown(pixels) }, ..camera(None) };
        let demands = [spoken(0, 1_100), spoken(7, 1_050), spoken(9, 500)];
        let layers = |layers: [u8; 3]| layers.map(Share::Layer);
        assert_eq!(shares(Some(950_000), &demands), layers([0, 1, 0]), "a few pixels less do not matter");
        assert_eq!(shares(Some(1_350_000), &demands), layers([1, 1, 0]), "half the size does");
        assert_eq!(shares(Some(1_750_000), &demands), layers([1, 1, 1]));
    }

    #[test]
    fn only_who_allows_it_is_paused_and_the_least_important_first() {
        let large = Demand { rank: Rank::shown(900), ..camera(None) };
        let mut allocator = Allocator::new(true);
        let given = allocator.allocate(Instant::now(), Some(200_000), &[camera(None), large]);
        assert_eq!(given, [Share::Paused, Share::Layer(0)]);
    }

    #[test]
    fn an_estimate_that_swings_around_a_layers_rate_does_not_swing_the_layer() {
        let mut viewer = Viewer::new(false, &[camera(Some(1))]);
        viewer.run(10, |step| [1_800_000, 1_710_000, 1_900_000, 1_720_000][step as usize % 4]);
        assert_eq!(viewer.changes, 0);
        assert_eq!(viewer.run(1, |_| 2_000_000), [Share::Layer(2)]);
        viewer.run(10, |step| [1_800_000, 1_710_000, 1_900_000, 1_720_000][step as usize % 4]);
        assert_eq!(viewer.changes, 1);
    }

    #[test]
    fn an_estimate_a_little_too_low_is_borne_for_a_while_and_one_much_too_low_is_not() {
        let mut viewer = Viewer::new(false, &[camera(Some(2))]);
        assert_eq!(viewer.run(2, |_| 1_400_000), [Share::Layer(2)]);
        assert_eq!(viewer.run(1, |_| 1_750_000), [Share::Layer(2)]);
        assert_eq!(viewer.run(2, |_| 1_400_000), [Share::Layer(2)], "counted anew");
        assert_eq!(viewer.run(1, |_| 1_400_000), [Share::Layer(1)]);
        let mut viewer = Viewer::new(false, &[camera(Some(2))]);
        let given = viewer.allocator.allocate(viewer.now, Some(1_100_000), &viewer.demands);
        assert_eq!(given, [Share::Layer(1)]);
    }

    #[test]
    fn a_fall_is_followed_at_once_and_a_climb_within_ten_seconds() {
        let mut viewer = Viewer::new(true, &[camera(Some(2)), camera(Some(1))]);
        assert_eq!(viewer.run(10, |_| 3_000_000), [Share::Layer(2), Share::Layer(1)]);
        let falling = viewer.changes;
        let given = viewer.allocator.allocate(viewer.now, Some(500_000), &viewer.demands);
        assert_eq!(given, [Share::Layer(0), Share::Layer(0)], "with the first word of it");
        viewer.run(20, |_| 500_000);
        assert_eq!(viewer.changes, falling + 2);
        assert_eq!(viewer.run(5, |_| 3_000_000), [Share::Layer(2), Share::Layer(1)]);
        assert_eq!(viewer.changes, falling + 4, "each track changes once on the way up");
    }

    #[test]
    fn an_estimate_that_falls_whenever_a_layer_climbs_makes_climbs_rare() {
        let mut viewer = Viewer::new(false, &[camera(Some(1))]);
        viewer.run(60, |step| if step % 5 == 4 { 600_000 } else { 2_100_000 });
        assert!(viewer.changes <= 32, "{} changes in a minute", viewer.changes);
    }

    #[test]
    fn a_paused_track_comes_back_when_there_is_room_and_not_before() {
        let mut viewer = Viewer::new(true, &[camera(Some(0)), camera(Some(0))]);
        assert_eq!(viewer.run(5, |_| 200_000), [Share::Layer(0), Share::Paused]);
        let changes = viewer.changes;
        viewer.run(10, |step| 290_000 + step % 2 * 20_000);
        assert_eq!(viewer.changes, changes, "no room to spare");
        assert_eq!(viewer.run(5, |_| 400_000), [Share::Layer(0), Share::Layer(0)]);
    }

    #[test]
    fn a_layer_that_does_not_flow_is_never_chosen() {
        let demand = Demand { bitrates_bps: [Some(100_000), None, Some(900_000)], ..camera(None) };
        assert_eq!(shares(Some(500_000), &[demand]), [Share::Layer(0)]);
        let none = Demand { bitrates_bps: [None; 3], ..camera(Some(1)) };
        assert_eq!(shares(Some(500_000), &[none]), [Share::Silent]);
    }
}
