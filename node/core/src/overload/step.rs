//! The order in which a node does without things.

use origo_cascade_core::Level;

/// How far a node has gone: newcomers, then the upper layers of pictures in three steps, then relaying for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step(u8);

/// In how many steps layers are shed; see [`crate::media::Command::Shed`].
pub const SHEDS: u8 = 3;

impl Step {
    /// Nothing is done without.
    pub const CALM: Self = Self(0);
    /// Newcomers are refused.
    pub const FULL: Self = Self(1);
    /// The last: nothing is relayed.
    pub const LAST: Self = Self(2 + SHEDS);
    /// How many there are, the calm one included.
    pub(super) const COUNT: usize = Self::LAST.0 as usize + 1;

    /// What other nodes are told.
    pub fn level(self) -> Level {
        match self {
            Self::CALM => Level::Calm,
            Self::FULL => Level::Full,
            Self::LAST => Level::NotRelaying,
            _ => Level::Shedding,
        }
    }

    /// How much of the layers above the lowest is shed: 0 for nothing, [`SHEDS`] for all.
    pub fn shed(self) -> u8 {
        self.0.saturating_sub(1).min(SHEDS)
    }

    /// The one after it; itself when it is the last.
    pub fn up(self) -> Self {
        Self((self.0 + 1).min(Self::LAST.0))
    }

    /// The one before it; itself when it is the first.
    pub fn down(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Its place in the order, 0 for the calm one.
    pub fn index(self) -> usize {
        self.0.into()
    }
}
