//! Rounds of gossip: who lives, and who drains, as each node knows it.

use origo_auth::NodeId;
use origo_cascade_core::{Input, Level, Overload};
use rand::Rng;

use super::super::{Detail, World, ms};
use super::{Happening, Told};
use crate::membership::{ROUND, Standing};

impl World<'_> {
    /// A node's rounds begin somewhere within the first one.
    pub(super) fn begin_rounds(&mut self, node: usize) {
        let (at, life) = (self.now + self.faults.dice.random_range(0..ROUND), self.faults.nodes[node].life);
        self.befalls(at, Happening::Round { node: node as u32, life });
    }

    pub(super) fn round(&mut self, node: usize, life: u32) {
        let state = &mut self.faults.nodes[node];
        if state.dead || state.life != life {
            return;
        }
        self.befalls(self.now + ROUND, Happening::Round { node: node as u32, life });
        if !self.faults.runs(node) {
            return;
        }
        let state = &mut self.faults.nodes[node];
        state.view.beat();
        for to in state.view.partners(&mut self.faults.dice) {
            self.gossip_to(node, to, true);
        }
        self.look_for_silence(node);
        self.review_members(node);
    }

    fn gossip_to(&mut self, from: usize, to: usize, asks: bool) {
        let passes = 1.0 - self.faults.gossip_losses.values().map(|lost| 1.0 - lost).product::<f64>();
        if !self.is_heard(from, to) || passes > 0.0 && self.faults.dice.random::<f64>() < passes {
            return;
        }
        let at = self.now + self.paths[from * self.nodes.len() + to].delay();
        let beats = self.faults.nodes[from].view.told();
        self.befalls(at, Happening::Told(Box::new(Told { from, to, asks, beats })));
    }

    pub(super) fn hear_gossip(&mut self, told: Told) {
        let Told { from, to, asks, beats } = told;
        if !self.is_heard(from, to) {
            return;
        }
        self.faults.nodes[to].view.hear(self.now, &beats);
        if asks {
            self.gossip_to(to, from, false);
        }
    }

    /// A node looks who lives, and tells its cascade if that has changed.
    pub(super) fn review_members(&mut self, node: usize) {
        let (died, _) = self.faults.nodes[node].view.review(self.now);
        for gone in died {
            let other = &self.faults.nodes[gone];
            if other.dead {
                let late = self.now - other.died_at;
                self.measure("death_known_ms", ms(late));
            }
        }
        self.tell_members(node);
    }

    /// Whether a node counts another as living: news of others are not believed.
    pub(in super::super) fn knows(&self, node: usize, other: &NodeId) -> bool {
        !self.faults.any || self.places.get(other).is_some_and(|other| self.faults.nodes[node].view.knows(other))
    }

    pub(super) fn tell_members(&mut self, node: usize) {
        let living: Vec<(usize, Standing)> = self.faults.nodes[node].view.living().collect();
        if living == self.faults.nodes[node].told {
            return;
        }
        let members = living.iter().map(|(node, standing)| {
            let told = self.nodes[*node].told.clone();
            let Standing { draining, level } = *standing;
            origo_cascade_core::Node { draining, overload: Overload { level, why: String::new() }, ..told }
        });
        let members = members.collect();
        let shown = |(node, Standing { draining, level }): &(usize, Standing)| match (draining, level) {
            (true, _) => format!("{node} that drains"),
            (false, Level::Calm) => node.to_string(),
            (false, level) => format!("{node} that is {}", level.name()),
        };
        self.tell(Detail::Decisions, || {
            format!("node {node} knows of {}", living.iter().map(shown).collect::<Vec<_>>().join(", "))
        });
        self.faults.nodes[node].told = living;
        self.cascade(node, Input::Members(members));
    }

    /// A node is short of something and does without so much; the others hear of it in the next rounds.
    pub(super) fn set_level(&mut self, node: usize, level: Level) {
        let state = &mut self.faults.nodes[node];
        if !state.dead {
            let since = state.short_since.unwrap_or(self.now);
            state.short_since = (level != Level::Calm).then_some(since);
            state.shortage_looked_at = false;
            state.view.set_level(level);
            self.tell_members(node);
        }
    }

    /// A node drains, or does so no more; the others hear of it in the next rounds.
    pub(super) fn set_draining(&mut self, node: usize, is_draining: bool) {
        let state = &mut self.faults.nodes[node];
        if state.is_draining() != is_draining {
            state.drains += 1;
            state.view.set_drains(state.drains);
            self.tell_members(node);
        }
    }
}
