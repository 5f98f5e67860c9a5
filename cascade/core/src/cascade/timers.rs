//! What is to happen later: an ordered set of instants.

use std::collections::BTreeSet;
use std::time::Instant;

use origo_auth::{Identity, NodeId, RoomKey};

use super::subscriptions::TreeKey;
use crate::TrackLayer;
use crate::link::Flow;

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
    /// A node has not been heard for so long that its people count as lost.
    Reach(NodeId),
    /// See to the people of nodes that do not tell of them.
    Seek(RoomKey),
    /// Ask again for a layer that was refused.
    Retry(Flow),
    /// A parent has not answered.
    Answer(Flow),
    /// A layer from a new parent was granted and may be silent.
    Silent(Flow),
    /// Let a layer go that nobody takes any more.
    Fall(TrackLayer),
    /// A move to another parent must be over.
    Move(TreeKey),
    /// Tell an origin what is taken of it.
    Tell(TreeKey),
    /// Forget a place in a tree where nothing is taken.
    Idle(TreeKey),
    /// Draw the tree of a room's own tracks.
    Plan(RoomKey),
    /// Nodes that moved in that tree may move again.
    Rested(RoomKey),
    /// See whether all in that tree are where they were told to be.
    Places(RoomKey),
    /// See whether all trees can be better.
    Optimise,
    /// A pair of nodes may be parent and child again.
    Trust(NodeId, NodeId),
    /// Tracks whose participant goes on elsewhere have lingered for long enough.
    Handover(RoomKey),
    /// A session had time enough to end that another one may have followed.
    Rival(RoomKey, Identity),
    /// Nodes had time enough to name people of whom others told.
    Hearsay(RoomKey),
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
