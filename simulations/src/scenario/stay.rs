//! When people come and go.

use std::time::Duration;

use super::reader::Section;

/// When each person of a group is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Stay {
    /// The first comes then.
    pub join: Duration,
    /// The others at random within this.
    pub join_within: Duration,
    /// All are gone then.
    pub leave: Option<Duration>,
    /// Each leaves after a time of this mean, exponentially distributed.
    pub mean: Option<Duration>,
    /// And comes again after a time of this mean.
    pub again: Option<Duration>,
}

impl Default for Stay {
    fn default() -> Self {
        Self { join: Duration::ZERO, join_within: Duration::ZERO, leave: None, mean: None, again: None }
    }
}

pub(super) fn read(section: &Section<'_>) -> Stay {
    let stay = Stay {
        join: section.duration("join").unwrap_or_default(),
        join_within: section.duration("join_within").unwrap_or_default(),
        leave: section.duration("leave"),
        mean: section.duration("stay"),
        again: section.duration("again"),
    };
    if stay.leave.is_some_and(|leave| leave <= stay.join) {
        section.refuse("leave", "not after join", "an instant after join");
    }
    if stay.mean.is_some_and(|mean| mean.is_zero()) {
        section.refuse("stay", "no time at all", "a mean of at least 1ms");
    }
    if stay.again.is_some() && stay.mean.is_none() {
        section.refuse("again", "nobody leaves", "again together with stay");
    }
    stay
}
