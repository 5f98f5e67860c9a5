//! What a node does without when it runs short of something, and when it takes that back.
//!
//! Figures come in a few times a second, and a [`Step`] comes out. It rises within a second or two, one step at a time,
//! and falls slowly: what was given up comes back only when it would fit, as far as what giving it up has brought tells.
//! Sound and what nodes say to each other are in no step.

mod resource;
mod step;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use resource::{Resource, Usage};
pub use step::{SHEDS, Step};

/// From which share of a resource on newcomers are refused. The rest is for those who are here: who publish more, come
/// back after their network has changed, and are watched by more.
pub const FULL: f64 = 0.85;
/// Layers are shed from here on: by so much more than makes a node full, at most half way from there to all.
const SHORT_OF_FULL: f64 = 1.1;
/// Below this share of what makes a node full things come back.
const CALM_OF_FULL: f64 = 0.82;
/// Below this share of what is calm, with the step taken back, another load is there than the one that the node was
/// mistaken about: mistakes are no reason to wait longer.
const IDLE_OF_CALM: f64 = 0.5;
/// Layers are shed within about a second: a viewer's next keyframe, and the average. So long the next step waits.
const SETTLES: Duration = Duration::from_secs(2);
/// A step back that would be too much by what giving it up has brought is tried all the same after so many times the
/// usual wait: those who watch now may be others.
const TRIES_AFTER: u32 = 6;
/// When steps back turn out to be mistakes again and again, the wait grows to so many times the usual one.
const PATIENCE_MAX: u32 = 32;
/// What giving something up brings at most, as a factor: figures near nothing say nothing.
const RELIEF_MAX: f64 = 20.0;

/// What a node takes for too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The share of processors from which on the node is full, 0 to 1.
    pub cpu_full: f64,
    /// How long nothing is short before one step is taken back.
    pub falls_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cpu_full: FULL, falls_after: Duration::from_secs(10) }
    }
}

/// One resource as it stands.
#[derive(Clone, Copy, Debug, Default)]
struct Gauge {
    /// The share in use, averaged.
    share: Option<f64>,
    /// Since when there is too little left for newcomers.
    full_since: Option<Instant>,
    /// Since when there is too little left for those who are here.
    short_since: Option<Instant>,
    /// Since when there is plenty.
    calm_since: Option<Instant>,
}

/// What taking a step has brought: shares before, and once it had its effect.
#[derive(Clone, Copy, Debug, Default)]
struct Relief {
    before: Usage,
    after: Option<Usage>,
}

/// Watches one node's resources.
#[derive(Debug)]
pub struct Overload {
    settings: Settings,
    step: Step,
    gauges: [Gauge; Resource::ALL.len()],
    /// What the last change was about.
    cause: Option<(Resource, f64)>,
    reliefs: [Relief; Step::COUNT],
    sampled_at: Option<Instant>,
    changed_at: Option<Instant>,
    /// When a step was last taken back.
    fell_at: Option<Instant>,
    /// How long nothing is short before the next one is.
    patience: Duration,
}

impl Overload {
    /// Nothing is short yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            patience: settings.falls_after,
            settings,
            step: Step::CALM,
            gauges: Default::default(),
            cause: None,
            reliefs: Default::default(),
            sampled_at: None,
            changed_at: None,
            fell_at: None,
        }
    }

    /// Takes the figures as they are now. Says whether the step is another one than before.
    pub fn take(&mut self, now: Instant, usage: &Usage) -> bool {
        let passed = self.sampled_at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        self.sampled_at = Some(now);
        for resource in Resource::ALL {
            let limits = self.limits(resource);
            self.gauges[resource as usize].take(now, resource, usage.get(resource), passed, limits);
        }
        if self.has_settled(now) {
            let usage = self.usage();
            self.reliefs[self.step.index()].after.get_or_insert(usage);
        }
        if let Some(resource) = Resource::ALL.into_iter().find(|resource| self.is_pressed(now, *resource)) {
            self.rise(now, resource);
            return true;
        }
        let falls = self.may_fall(now);
        if falls {
            self.fall(now);
        }
        falls
    }

    /// How far the node has gone.
    pub fn step(&self) -> Step {
        self.step
    }

    /// For want of what, for people: `cpu 96 %`. Empty when nothing is short.
    pub fn why(&self) -> String {
        let of_cause = |(resource, share): (Resource, f64)| format!("{} {:.0} %", resource.words(), share * 100.0);
        self.cause.filter(|_| self.step > Step::CALM).map(of_cause).unwrap_or_default()
    }

    /// For want of what.
    pub fn cause(&self) -> Option<Resource> {
        self.cause.filter(|_| self.step > Step::CALM).map(|(resource, _)| resource)
    }

    /// The shares in use, averaged as they are judged.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for resource in Resource::ALL {
            usage.set(resource, self.gauges[resource as usize].share);
        }
        usage
    }

    fn limits(&self, resource: Resource) -> Limits {
        let full = if resource == Resource::Cpu { self.settings.cpu_full } else { FULL };
        Limits { calm: full * CALM_OF_FULL, full, short: (full * SHORT_OF_FULL).min(full.midpoint(1.0)) }
    }

    /// Whether the last step has had its effect.
    fn has_settled(&self, now: Instant) -> bool {
        self.changed_at.is_none_or(|at| now.saturating_duration_since(at) >= SETTLES)
    }

    /// Whether the next step is to be taken for want of a resource.
    fn is_pressed(&self, now: Instant, resource: Resource) -> bool {
        let next = self.step.up();
        if next == self.step || next > resource.last_step() {
            return false;
        }
        let gauge = &self.gauges[resource as usize];
        // Refusing newcomers frees nothing, so that the step after it need not wait for its effect.
        let (since, waits) = match next {
            Step::FULL => (gauge.full_since, Duration::ZERO),
            next if next.down() == Step::FULL => (gauge.short_since, resource.rises_after()),
            _ => (gauge.short_since, SETTLES),
        };
        let is_long = |since: Instant| now.saturating_duration_since(since) >= resource.rises_after();
        let rested = self.changed_at.is_none_or(|at| now.saturating_duration_since(at) >= waits);
        rested && since.is_some_and(is_long)
    }

    fn rise(&mut self, now: Instant, resource: Resource) {
        let is_regret = self.fell_at.is_some_and(|at| now.saturating_duration_since(at) < self.patience * 2);
        let most = self.settings.falls_after * PATIENCE_MAX;
        self.patience = if is_regret { (self.patience * 2).min(most) } else { self.settings.falls_after };
        self.step = self.step.up();
        self.reliefs[self.step.index()] = Relief { before: self.usage(), after: None };
        self.cause = self.gauges[resource as usize].share.map(|share| (resource, share));
        self.changed_at = Some(now);
    }

    /// Whether a step may be taken back: nothing that it spares is short, and it would fit.
    fn may_fall(&self, now: Instant) -> bool {
        if self.step == Step::CALM {
            return false;
        }
        let passed = |at: Instant| now.saturating_duration_since(at);
        let spared = Resource::ALL.into_iter().filter(|resource| resource.last_step() >= self.step);
        let known = spared.filter(|resource| self.gauges[*resource as usize].share.is_some());
        let fits = |resource: Resource| {
            let Some(calm_since) = self.gauges[resource as usize].calm_since else { return false };
            let calm_for = passed(self.changed_at.map_or(calm_since, |at| at.max(calm_since)));
            let would_be = self.would_be(resource);
            let is_idle = would_be < self.limits(resource).calm * IDLE_OF_CALM;
            let patience = if is_idle { self.settings.falls_after } else { self.patience };
            calm_for >= patience && (would_be < self.limits(resource).full || calm_for >= self.patience * TRIES_AFTER)
        };
        let waited = self.changed_at.is_none_or(|at| passed(at) >= self.settings.falls_after);
        waited && known.into_iter().all(fits)
    }

    /// The share of a resource that would be in use with the last step taken back.
    fn would_be(&self, resource: Resource) -> f64 {
        let share = self.gauges[resource as usize].share.unwrap_or(0.0);
        let Relief { before, after } = self.reliefs[self.step.index()];
        let (Some(before), Some(after)) = (before.get(resource), after.and_then(|after| after.get(resource))) else {
            return share;
        };
        let relief = if self.step == Step::FULL { 1.0 } else { (before / after).clamp(1.0, RELIEF_MAX) };
        share * if relief.is_finite() { relief } else { 1.0 }
    }

    fn fall(&mut self, now: Instant) {
        self.step = self.step.down();
        self.changed_at = Some(now);
        self.fell_at = Some(now);
        let pressure = |resource: &Resource| {
            let share = self.gauges[*resource as usize].share?;
            Some((*resource, share, share / self.limits(*resource).full))
        };
        let most = Resource::ALL.iter().filter_map(pressure).max_by(|a, b| a.2.total_cmp(&b.2));
        self.cause = most.map(|(resource, share, _)| (resource, share)).or(self.cause);
    }
}

/// From which shares on what holds of a resource.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Below it there is plenty.
    calm: f64,
    /// From it on there is too little for newcomers.
    full: f64,
    /// From it on there is too little for those who are here.
    short: f64,
}

impl Gauge {
    fn take(&mut self, now: Instant, resource: Resource, share: Option<f64>, passed: Duration, limits: Limits) {
        let over = resource.averaged_over();
        self.share = match (self.share, share) {
            (Some(old), Some(new)) if !over.is_zero() && passed < Duration::MAX => {
                let kept = (-passed.as_secs_f64() / over.as_secs_f64()).exp();
                Some(old * kept + new * (1.0 - kept))
            }
            (_, new) => new,
        };
        let since = |since: Option<Instant>, holds: bool| holds.then(|| since.unwrap_or(now));
        let is = |holds: fn(f64, f64) -> bool, limit: f64| self.share.is_some_and(|share| holds(share, limit));
        let (at_least, below) = (|share, limit| share >= limit, |share, limit| share < limit);
        (self.full_since, self.short_since, self.calm_since) = (
            since(self.full_since, is(at_least, limits.full)),
            since(self.short_since, is(at_least, limits.short)),
            since(self.calm_since, is(below, limits.calm)),
        );
    }
}
