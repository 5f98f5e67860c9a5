//! What front-ends drop: a counter for each (what, reason), shared by all handlers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what was dropped, closed or refused. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<Mutex<BTreeMap<(&'static str, &'static str), u64>>>);

impl Dropped {
    /// One `what` was dropped for `reason`, such as (`request`, `rate limit`).
    pub fn count(&self, what: &'static str, reason: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((what, reason)).or_default() += 1;
    }

    /// All counters.
    pub fn counts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(&(what, reason), &count)| (what, reason, count)).collect()
    }
}
