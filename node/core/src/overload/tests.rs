//! The order of steps, how fast they come and how slowly they go, in virtual time.

use origo_cascade_core::Level;
use proptest::prelude::*;

use super::*;

/// How often figures come in.
const TICK: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);

struct Node {
    overload: Overload,
    usage: Usage,
    now: Instant,
    begun: Instant,
    /// Each change: when, and which step.
    changes: Vec<(Duration, Step)>,
}

impl Node {
    fn new() -> Self {
        let now = Instant::now();
        let overload = Overload::new(Settings::default());
        Self { overload, usage: Usage::default(), now, begun: now, changes: Vec::new() }
    }

    fn tick(&mut self) {
        self.now += TICK;
        if self.overload.take(self.now, &self.usage) {
            self.changes.push((self.now - self.begun, self.overload.step()));
        }
    }

    /// Lets time pass with this share of a resource in use.
    fn run(&mut self, resource: Resource, share: f64, span: Duration) -> Step {
        self.run_with(span, |_| (resource, share))
    }

    /// The same where the share hangs on the step.
    fn run_with(&mut self, span: Duration, share: impl Fn(Step) -> (Resource, f64)) -> Step {
        let until = self.now + span;
        while self.now < until {
            let (resource, share) = share(self.overload.step());
            self.usage.set(resource, Some(share));
            self.tick();
        }
        self.overload.step()
    }

    fn steps(&self) -> Vec<usize> {
        self.changes.iter().map(|(_, step)| step.index()).collect()
    }
}

#[test]
fn newcomers_go_first_then_layers_in_steps_then_relaying_and_all_within_ten_seconds() {
    let mut node = Node::new();
    assert_eq!(node.run(Resource::Cpu, 1.0, 12 * SECOND), Step::LAST);
    assert_eq!(node.steps(), [1, 2, 3, 4, 5]);
    let levels: Vec<Level> = node.changes.iter().map(|(_, step)| step.level()).collect();
    let shedding = Level::Shedding;
    assert_eq!(levels, [Level::Full, shedding, shedding, shedding, Level::NotRelaying]);
    let sheds: Vec<u8> = node.changes.iter().map(|(_, step)| step.shed()).collect();
    assert_eq!(sheds, [0, 1, 2, 3, 3]);
    assert!(node.changes[0].0 <= 2 * SECOND && node.changes[4].0 <= 10 * SECOND, "{:?}", node.changes);
    assert_eq!(node.overload.why(), "cpu 100 %");
}

#[test]
fn a_node_that_is_merely_full_sheds_nothing_and_one_that_is_busy_lets_people_in() {
    let mut node = Node::new();
    assert_eq!(node.run(Resource::Egress, 0.84, 60 * SECOND), Step::CALM);
    assert_eq!(node.run(Resource::Egress, 0.9, 60 * SECOND), Step::FULL);
    assert_eq!((node.overload.why(), node.overload.cause()), ("egress 90 %".to_owned(), Some(Resource::Egress)));
    assert_eq!(node.run(Resource::Egress, 0.75, 60 * SECOND), Step::FULL, "it has no room to speak of");
    assert_eq!(node.run(Resource::Egress, 0.6, 12 * SECOND), Step::CALM);
    assert_eq!((node.overload.why(), node.overload.cause()), (String::new(), None));
}

#[test]
fn a_peak_of_less_than_a_second_is_borne_and_the_end_of_handles_or_memory_is_not() {
    let mut node = Node::new();
    for _ in 0..20 {
        node.run(Resource::Cpu, 1.0, SECOND / 2);
        node.run(Resource::Cpu, 0.2, SECOND);
    }
    assert_eq!(node.overload.step(), Step::CALM);
    for resource in [Resource::Files, Resource::Memory] {
        let mut node = Node::new();
        assert_eq!(node.run(resource, 0.86, TICK), Step::FULL);
    }
}

#[test]
fn for_want_of_file_handles_no_picture_gets_worse() {
    let mut node = Node::new();
    assert_eq!(node.run(Resource::Files, 1.0, 60 * SECOND), Step::FULL);
    // And they do not keep layers from coming back that were shed for something else.
    node.run(Resource::Cpu, 1.0, 5 * SECOND);
    assert!(node.overload.step() > Step::FULL);
    assert_eq!(node.run(Resource::Cpu, 0.1, 120 * SECOND), Step::FULL);
    assert_eq!(node.overload.why(), "file handles 100 %");
    assert_eq!(node.run(Resource::Files, 0.2, 11 * SECOND), Step::CALM);
}

#[test]
fn what_was_given_up_comes_back_one_step_at_a_time_ten_seconds_apart() {
    let mut node = Node::new();
    node.run(Resource::Memory, 1.0, 12 * SECOND);
    let rises = node.changes.len();
    assert_eq!(node.run(Resource::Memory, 0.3, 70 * SECOND), Step::CALM);
    assert_eq!(node.steps()[rises..], [4, 3, 2, 1, 0]);
    for pair in node.changes[rises..].windows(2) {
        assert!(pair[1].0 - pair[0].0 >= 10 * SECOND, "{:?}", node.changes);
    }
}

#[test]
fn layers_that_would_not_fit_stay_away_and_come_back_when_half_the_viewers_have_left() {
    let mut node = Node::new();
    // Each step of shedding takes half of what is left.
    let sent = |viewers: f64| move |step: Step| (Resource::Egress, viewers * 0.5_f64.powi(step.shed().into()));
    assert_eq!(node.run_with(50 * SECOND, sent(1.2)).shed(), 1);
    assert_eq!(node.steps(), [1, 2], "it would be 1.2 again");
    assert_eq!(node.run_with(30 * SECOND, sent(0.4)), Step::CALM);
    assert_eq!(node.steps(), [1, 2, 1, 0]);
}

#[test]
fn a_step_back_that_turns_out_a_mistake_makes_the_next_one_wait_longer() {
    let mut node = Node::new();
    // What was measured tells nothing: the load is a peak that is always there when all layers are.
    let trap = |step: Step| (Resource::Cpu, if step < Step::FULL.up() { 1.0 } else { 0.5 });
    node.run_with(3600 * SECOND, trap);
    let returns: Vec<Duration> =
        node.changes.iter().filter(|(_, step)| *step == Step::FULL.up()).map(|(at, _)| *at).collect();
    let gaps: Vec<u64> = returns.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert!(returns.len() <= 8, "{gaps:?}");
    assert!(gaps.windows(2).all(|pair| pair[1] > pair[0]) && gaps[0] >= 60, "{gaps:?}");
}

#[test]
fn a_node_that_everybody_has_left_does_not_wait_for_the_mistakes_of_busier_times() {
    let mut node = Node::new();
    let trap = |step: Step| (Resource::Cpu, if step < Step::FULL.up() { 1.0 } else { 0.5 });
    node.run_with(1800 * SECOND, trap);
    assert!(node.overload.patience >= 80 * SECOND, "{:?}", node.overload.patience);
    assert!(node.overload.step() > Step::CALM);
    assert_eq!(node.run(Resource::Cpu, 0.05, 35 * SECOND), Step::CALM, "{:?}", node.changes);
}

#[test]
fn figures_that_are_none_count_as_unknown() {
    let mut node = Node::new();
    for share in [f64::NAN, f64::INFINITY, -1.0] {
        assert_eq!(node.run(Resource::Cpu, share, 10 * SECOND), Step::CALM);
    }
    node.run(Resource::Cpu, 2.0, 5 * SECOND);
    assert!(node.overload.step() > Step::FULL, "more than there is, is no nonsense");
    assert_eq!(node.run(Resource::Cpu, f64::NAN, 120 * SECOND), Step::CALM, "what nobody knows holds nothing back");
}

#[test]
fn a_threshold_of_ones_own_moves_the_others_with_it() {
    let mut node = Node::new();
    node.overload = Overload::new(Settings { cpu_full: 0.2, falls_after: SECOND });
    assert_eq!(node.run(Resource::Cpu, 0.19, 10 * SECOND), Step::CALM);
    assert_eq!(node.run(Resource::Cpu, 0.21, 10 * SECOND), Step::FULL);
    assert!(node.run(Resource::Cpu, 0.7, 3 * SECOND) > Step::FULL);
    assert_eq!(node.run(Resource::Cpu, 0.1, 10 * SECOND), Step::CALM);
}

/// Any figures, each for some time.
fn figures() -> impl Strategy<Value = Vec<(usize, f64, u64)>> {
    let share = prop_oneof![0.0..1.3_f64, Just(f64::NAN), Just(0.86), Just(0.95), 0.0..0.6_f64];
    prop::collection::vec((0..Resource::ALL.len(), share, 1..60_u64), 1..60)
}

proptest! {
    #[test]
    fn whatever_the_figures_steps_come_in_their_order_and_all_is_well_in_the_end(figures in figures()) {
        let mut node = Node::new();
        for (resource, share, ticks) in figures {
            node.run(Resource::ALL[resource], share, TICK * ticks as u32);
        }
        let mut last = (Duration::ZERO, Step::CALM);
        for &(at, step) in &node.changes {
            prop_assert_eq!(step.index().abs_diff(last.1.index()), 1, "{:?}", &node.changes);
            let waits = if step < last.1 { 10 * SECOND } else if step > Step::FULL.up() { SETTLES } else { Duration::ZERO };
            prop_assert!(last.1 == Step::CALM || at - last.0 >= waits, "{:?}", &node.changes);
            last = (at, step);
        }
        // An hour without want.
        for resource in Resource::ALL {
            node.usage.set(resource, Some(0.1));
        }
        let until = node.now + 3600 * SECOND;
        while node.now < until {
            node.tick();
        }
        prop_assert_eq!(node.overload.step(), Step::CALM, "{:?}", &node.changes);
    }

    #[test]
    fn nobody_is_refused_while_there_is_room(shares in prop::collection::vec((0..Resource::ALL.len(), 0.0..FULL), 1..200)) {
        let mut node = Node::new();
        for (resource, share) in shares {
            prop_assert_eq!(node.run(Resource::ALL[resource], share, SECOND), Step::CALM);
        }
    }
}
