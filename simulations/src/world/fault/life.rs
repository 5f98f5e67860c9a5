//! Nodes that die with all that they hold, and start anew.

use origo_cascade_core::Input;

use super::super::local::Local;
use super::super::node::Node;
use super::super::{Detail, World};
use crate::membership::View;

impl World<'_> {
    /// A node dies at once. Who was served there is gone, and comes back elsewhere.
    pub(super) fn kill(&mut self, node: usize) {
        if self.faults.nodes[node].dead {
            return;
        }
        let name = self.name(node).to_owned();
        self.tell(Detail::Decisions, || format!("{name} dies"));
        let state = &mut self.faults.nodes[node];
        (state.dead, state.died_at, state.short_since) = (true, self.now, None);
        self.clear_backlog(node);
        self.drop_ends(node);
        self.lose_people(node);
        self.forget_tables(node);
    }

    fn lose_people(&mut self, node: usize) {
        for local in 0..self.locals.len() {
            if self.locals[local].node != node || !self.locals[local].inside {
                continue;
            }
            self.end_watches_at(local);
            let fresh = Local::new(node, self.locals[local].room);
            let lost = std::mem::replace(&mut self.locals[local], fresh);
            for person in lost.people.into_iter().chain(lost.waiting) {
                self.lose_session(person);
            }
        }
    }

    /// All that its cores knew is gone, and with it the copies that it sent.
    fn forget_tables(&mut self, node: usize) {
        let serving: Vec<_> = self.nodes[node].serving.keys().copied().collect();
        for (to, flow) in serving {
            self.end_copy(node, to, flow);
        }
        self.nodes[node].receiving.clear();
        self.retire(node);
        let scenario = self.scenario;
        let fresh = Node::new(self.instant, &scenario.topology.nodes[node], &scenario.policy);
        let old = std::mem::replace(&mut self.nodes[node], fresh);
        self.nodes[node].sent = old.sent;
    }

    /// A dead node starts, under the identity that it had.
    pub(super) fn start_node(&mut self, node: usize) {
        let (count, now) = (self.nodes.len(), self.instant);
        if !self.faults.nodes[node].dead {
            return;
        }
        let name = self.name(node).to_owned();
        self.tell(Detail::Decisions, || format!("{name} starts"));
        let scenario = self.scenario;
        let sent = std::mem::take(&mut self.nodes[node].sent);
        self.nodes[node] = Node::new(now, &scenario.topology.nodes[node], &scenario.policy);
        self.nodes[node].sent = sent;
        let state = &mut self.faults.nodes[node];
        (state.dead, state.life, state.drains) = (false, state.life + 1, 0);
        state.view = View::new(node, count, state.life);
        state.told = vec![(node, state.view.own())];
        self.clear_backlog(node);
        let me = self.nodes[node].told.clone();
        self.cascade(node, Input::Members(vec![me]));
        self.dial_all(node);
        self.begin_rounds(node);
    }
}
