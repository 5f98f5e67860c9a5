//! What is to happen later: an ordered set of instants.

use std::collections::BTreeSet;
use std::time::Instant;

use origo_auth::{NodeId, RoomKey};

use crate::TrackLayer;

/// What an instant is for. Whether it still matters is decided when it comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The answer to Enter may wait no longer.
    Enter(RoomKey),
    /// Tell the homes again that the room lives here.
    Announce(RoomKey),
    /// A home forgets nodes that have not told again.
    Expire(RoomKey),
    /// A node has been dead for long enough.
    Lost(NodeId),
    /// Ask an origin again for a layer.
    Retry(TrackLayer),
    /// See to the reliable data of a room.
    Data(RoomKey),
}

/// Timers in the order of their instants.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    /// Sets one more.
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// Takes the first that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        if self.0.first()?.0 > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }
}
