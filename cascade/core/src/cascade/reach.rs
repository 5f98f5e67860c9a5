//! Nodes out of reach: nothing comes from them, so that whoever is on them may be gone, or about to come back elsewhere.
//!
//! One that is silent may be taken over from at once; that its people are lost is told a moment later, and not while
//! what they publish comes over other nodes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use origo_auth::NodeId;

use super::Event;
use super::machine::Cascade;
use super::timers::Timer;
use crate::link::Hearing;

/// Silence is noticed after 300 ms; the people of a node that goes on being silent for this long are shown as lost.
/// Shorter than a person takes to wonder, longer than a path takes to be routed around.
pub const LOST_AFTER: Duration = Duration::from_millis(700);
/// A node that cannot be heard is looked at again this often: what it publishes may come over others, or not any more.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether a node, and with it those whom it serves, can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// As far as anybody can tell.
    Well,
    /// Nothing comes from it at the moment.
    Silent,
    /// Nothing has come from it for a while, straight or over others.
    Lost,
}

/// Nodes that have rooms of this node and cannot be heard: since when, and what was told of them.
#[derive(Debug, Default)]
pub(super) struct Reaches(BTreeMap<NodeId, (Instant, Reach)>);

impl Cascade {
    /// A node may be heard otherwise than before.
    pub(super) fn look_at_reach(&mut self, node: NodeId) {
        let now = self.now;
        let is_heard = node == self.me || self.can_feed(&node);
        if is_heard || !self.rooms.values().any(|room| room.peers.contains_key(&node)) {
            if self.reaches.0.remove(&node).is_some() {
                self.tell(Event::Reach { node, reach: Reach::Well });
            }
            return;
        }
        let Some(&(since, told)) = self.reaches.0.get(&node) else {
            self.reaches.0.insert(node, (now, Reach::Silent));
            self.timers.set(now + LOST_AFTER, Timer::Reach(node));
            return self.tell(Event::Reach { node, reach: Reach::Silent });
        };
        if since + LOST_AFTER > now {
            return;
        }
        let reach = if self.comes_over_others(node) { Reach::Silent } else { Reach::Lost };
        if reach != told {
            self.reaches.0.insert(node, (since, reach));
            self.tell(Event::Reach { node, reach });
        }
    }

    /// The same when its time has come.
    pub(super) fn look_at_reach_again(&mut self, node: NodeId) {
        self.look_at_reach(node);
        if self.reaches.0.contains_key(&node) {
            self.timers.set(self.now + LOOK_EVERY, Timer::Reach(node));
        }
    }

    /// Whether something that is published there flows here from a third node.
    fn comes_over_others(&self, node: NodeId) -> bool {
        let of_node = self.subscriptions.intakes.values().filter(|intake| intake.source.origin == node);
        let mut feeds = of_node.flat_map(|intake| intake.feeds());
        feeds.any(|feed| feed.from != node && feed.comes() && self.unheard.of(feed.from) == Hearing::Well)
    }
}
