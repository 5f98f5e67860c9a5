//! Calls that wait for an answer, by their numbers.

use std::collections::BTreeMap;

use origo_auth::NodeId;
use origo_node_core::room::Answer;
use tokio::sync::oneshot;

/// Calls that wait at a time: one a millisecond, each for as long as it may take.
const CALLS_MAX: usize = 2_048;

/// Who waits for what.
#[derive(Default)]
pub struct Pending {
    calls: BTreeMap<u64, (Option<NodeId>, oneshot::Sender<Answer>)>,
    last: u64,
}

impl Pending {
    /// Notes a call; gives its number. None when too many wait: dropping the sender has told the caller.
    pub fn add(&mut self, node: Option<NodeId>, answer: oneshot::Sender<Answer>) -> Option<u64> {
        if self.calls.len() >= CALLS_MAX {
            // Whoever gave up waiting has dropped its end.
            self.calls.retain(|_, (_, waiting)| !waiting.is_closed());
        }
        if self.calls.len() >= CALLS_MAX {
            return None;
        }
        self.last += 1;
        self.calls.insert(self.last, (node, answer));
        Some(self.last)
    }

    /// Gives an answer to who waits for it. Only the node that was asked can give it.
    pub fn answer(&mut self, node: Option<NodeId>, answer: Answer) {
        if self.calls.get(&answer.id).is_none_or(|(asked, _)| *asked != node) {
            return;
        }
        if let Some((_, waiting)) = self.calls.remove(&answer.id) {
            // Whoever gave up waiting needs no answer.
            let _ = waiting.send(answer);
        }
    }
}
