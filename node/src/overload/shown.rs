//! How the node stands, for everybody who shows it or asks before a room does.

use std::sync::{Arc, Mutex, PoisonError};

use origo_cascade_core::Level;
use origo_node_core::overload::{Resource, Step, Usage};
use serde::Serialize;

/// How the node stands at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// How far it has gone.
    pub step: Step,
    /// For want of what; empty when nothing is short.
    pub why: String,
    /// What is in use.
    pub usage: Usage,
}

/// Shared by who measures and who shows. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<State>>);

/// As JSON.
#[derive(Serialize)]
pub struct Told {
    level: Level,
    why: String,
    /// Shares in use by resource, 0 to 1 and beyond; those without a limit are missing.
    usage: std::collections::BTreeMap<&'static str, f64>,
}

impl Shown {
    /// Says how it stands from now on.
    pub fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// How it stands.
    pub fn get(&self) -> State {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether newcomers are refused.
    pub fn is_full(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).step > Step::CALM
    }
}

impl State {
    /// As pages show it.
    pub fn told(&self) -> Told {
        let rounded = |share: f64| (share * 1e3).round() / 1e3;
        let known = Resource::ALL.into_iter();
        let known = known.filter_map(|resource| Some((resource.name(), rounded(self.usage.get(resource)?))));
        Told { level: self.step.level(), why: self.why.clone(), usage: known.collect() }
    }
}
