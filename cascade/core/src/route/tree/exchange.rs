//! Keeps the origin within its degree: where a vertex can hang nowhere but at the origin, others go elsewhere.
//!
//! A tree of some degree and depth has places enough, and still one vertex may fit in none that is free, since its links
//! there are down. So somebody makes room: a child of the origin takes a place elsewhere, maybe that of another vertex,
//! which takes the next one's, and so on. Shorter chains first, and of those the ones whose vertices have rested.

use super::ground::ORIGIN;
use super::growth::{Growth, Reason};

/// Most vertices that move for one that needs room.
const CHAIN_MAX: usize = 5;
/// Attempts for one tree: a bound on time where there is no way, far above what trees with places to spare take.
const ATTEMPTS_MAX: usize = 20_000;

/// Moves children of the origin elsewhere until it has no more than its degree, as far as that can be.
pub fn make_room(growth: &mut Growth<'_>) {
    if overflow(growth) == 0 {
        return;
    }
    let parents = (0..growth.ground.vertices.len()).map(|vertex| growth.place(vertex).parent).collect();
    let mut exchange = Exchange { growth, parents, attempts: ATTEMPTS_MAX, moved: Vec::new() };
    while exchange.children(ORIGIN).count() > exchange.growth.parameters.degree && exchange.relieve() {}
    let parents = exchange.parents;
    growth.rehang(&parents);
}

/// How many children the origin has beyond its degree.
pub fn overflow(growth: &Growth<'_>) -> usize {
    let children = (1..growth.ground.vertices.len())
        .filter(|vertex| growth.place(*vertex).parent == ORIGIN && !growth.is_unused(*vertex));
    children.count().saturating_sub(growth.parameters.degree)
}

struct Exchange<'g, 'a> {
    growth: &'g Growth<'a>,
    /// As they are to be; the origin is its own.
    parents: Vec<usize>,
    attempts: usize,
    /// Vertices of the chain that is tried.
    moved: Vec<usize>,
}

impl Exchange<'_, '_> {
    fn children(&self, parent: usize) -> impl Iterator<Item = usize> + '_ {
        (1..self.parents.len()).filter(move |vertex| self.parents[*vertex] == parent && !self.growth.is_unused(*vertex))
    }

    /// One child of the origin goes elsewhere. Says whether one could.
    fn relieve(&mut self) -> bool {
        let mut children: Vec<usize> = self.children(ORIGIN).collect();
        let of = |vertex: usize| &self.growth.ground.vertices[vertex];
        children.sort_by_key(|child| (!of(*child).rested, self.height(*child), of(*child).rank));
        (1..=CHAIN_MAX).any(|chain| {
            children.iter().any(|child| {
                self.moved.clear();
                self.hang_elsewhere(*child, chain)
            })
        })
    }

    /// Hangs a vertex below another parent, `chain` vertices moving at most, itself included.
    fn hang_elsewhere(&mut self, vertex: usize, chain: usize) -> bool {
        let Some(attempts) = self.attempts.checked_sub(1) else { return false };
        self.attempts = attempts;
        let (old, parents) = (self.parents[vertex], self.parents_for(vertex));
        let has_place = |parent: &&usize| self.children(**parent).count() < self.growth.parameters.degree;
        if let Some(free) = parents.iter().find(has_place) {
            self.parents[vertex] = *free;
            return true;
        }
        if chain == 1 {
            return false;
        }
        self.moved.push(vertex);
        for parent in parents {
            self.parents[vertex] = parent;
            let others: Vec<usize> = self.children(parent).filter(|other| !self.moved.contains(other)).collect();
            if others.into_iter().any(|other| self.hang_elsewhere(other, chain - 1)) {
                return true;
            }
            self.parents[vertex] = old;
        }
        self.moved.pop();
        false
    }

    /// Who could feed a vertex with all below it, if they had a place; the best first.
    fn parents_for(&self, vertex: usize) -> Vec<usize> {
        let (ground, parameters) = (&self.growth.ground, self.growth.parameters);
        let height = self.height(vertex);
        let fits = |parent: &usize| {
            let vertices = &ground.vertices;
            let is_known = ground.hop(*parent, vertex).is_some_and(|hop| !hop.is_cut);
            let way = || self.up_from(*parent);
            *parent != self.parents[vertex]
                && vertices[*parent].relays
                && is_known
                && (*parent == ORIGIN || !self.growth.is_unused(*parent))
                && way().all(|above| above != vertex)
                && way().count() + 1 + height <= parameters.hops
        };
        let mut parents: Vec<usize> = (0..self.parents.len()).filter(fits).collect();
        let key = |parent: usize| {
            let hop = ground.hop(parent, vertex);
            let has_room = hop.is_some_and(|hop| ground.has_room(hop, vertex, parameters));
            let delay = self.delay(parent) + hop.map_or(0.0, |hop| hop.delay);
            (!has_room, delay, ground.vertices[parent].rank)
        };
        parents.sort_by(|a, b| {
            let (a, b) = (key(*a), key(*b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
        });
        parents
    }

    /// A vertex and those above it, without the origin.
    fn up_from(&self, vertex: usize) -> impl Iterator<Item = usize> + '_ {
        let up = |vertex: &usize| Some(self.parents[*vertex]);
        std::iter::successors(Some(vertex), up).take_while(|vertex| *vertex != ORIGIN)
    }

    fn delay(&self, vertex: usize) -> f64 {
        let hop = |vertex: usize| self.growth.ground.hop(self.parents[vertex], vertex).map_or(0.0, |hop| hop.delay);
        self.up_from(vertex).map(hop).sum()
    }

    /// Links below a vertex on the longest way.
    fn height(&self, vertex: usize) -> usize {
        let ways = (1..self.parents.len()).filter(|below| !self.growth.is_unused(*below));
        ways.filter_map(|below| self.up_from(below).position(|above| above == vertex)).max().unwrap_or(0)
    }
}

impl Growth<'_> {
    /// Hangs all anew below these parents.
    fn rehang(&mut self, parents: &[usize]) {
        let mut waiting: Vec<usize> = vec![ORIGIN];
        while let Some(parent) = waiting.pop() {
            let above = *self.place(parent);
            for vertex in (1..parents.len()).filter(|vertex| parents[*vertex] == parent) {
                let hop = self.ground.hop(parent, vertex).map_or(0.0, |hop| hop.delay);
                let place = self.place_mut(vertex);
                if place.parent != parent {
                    (place.parent, place.reason) = (parent, Reason::MakesRoom);
                }
                (place.depth, place.delay) = (above.depth + 1, above.delay + hop);
                waiting.push(vertex);
            }
        }
    }
}
