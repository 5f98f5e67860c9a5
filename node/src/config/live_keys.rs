//! The API keys that count right now: those of the configuration, until its file changes.

use std::sync::{Arc, RwLock};

use origo_auth::Keys;

/// The current API keys; cheap to clone, and all clones see a reload.
#[derive(Clone, Debug, Default)]
pub struct LiveKeys(Arc<RwLock<Arc<Keys>>>);

impl LiveKeys {
    /// Begins with these.
    pub fn new(keys: Keys) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    /// The keys as of now.
    pub fn current(&self) -> Arc<Keys> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Replaces all keys.
    pub fn replace(&self, keys: Keys) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(keys);
    }
}
