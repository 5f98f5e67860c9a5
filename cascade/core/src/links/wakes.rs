//! When links want to be woken.

use std::time::Instant;

/// By number of the link, apart from the links: all are looked at whenever the first to be woken changes.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    at: Vec<Instant>,
    /// The earliest of them, unless it has to be looked for.
    first: Option<Instant>,
}

impl Wakes {
    /// The next link wants to be woken then.
    pub(super) fn push(&mut self, at: Instant) {
        self.at.push(at);
        self.first = None;
    }

    /// When a link wants to be woken.
    pub(super) fn of(&self, link: usize) -> Instant {
        self.at[link]
    }

    /// Notes when a link wants to be woken. Nearly always another one is due first, and stays so.
    pub(super) fn set(&mut self, link: usize, at: Instant) {
        let before = std::mem::replace(&mut self.at[link], at);
        let Some(first) = self.first else { return };
        if at <= first {
            self.first = Some(at);
        } else if before == first {
            self.first = None;
        }
    }

    /// When the first of them wants to be woken.
    pub(super) fn first(&mut self) -> Option<Instant> {
        self.first = self.first.or_else(|| self.at.iter().copied().min());
        self.first
    }
}
