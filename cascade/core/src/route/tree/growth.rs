//! Hangs one vertex after the other below those that hang already.

use super::Parameters;
use super::exchange;
use super::ground::{Ground, Hop, ORIGIN, Vertex};

/// An old edge stays on a link that has less room than this share of what passes on it; below it the link is full.
const ROOM_KEPT: f64 = 0.05;

/// Orders in which a tree is grown until each vertex has a place within the bounds. One is enough unless there are hardly
/// more places than vertices.
const ORDERS_MAX: usize = 4;

/// Where a vertex hangs.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub parent: usize,
    /// Links from the origin.
    pub depth: usize,
    /// From the origin, milliseconds.
    pub delay: f64,
    /// Bits per second on the link to it: the most that it or anybody below takes.
    pub carried: f64,
    pub reason: Reason,
}

/// Why a vertex hangs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It costs the least.
    Cheapest,
    /// It hung there before, and a move would gain too little.
    Kept,
    /// Nothing within the allowed delay was free.
    Fastest,
    /// Nothing was free at all.
    Full,
    /// The origin has no place for all that would hang there.
    MakesRoom,
    /// Gossip does not know the node yet.
    Unknown,
}

/// What hanging a vertex below another one would be like.
#[derive(Clone, Copy, Debug)]
struct Choice {
    parent: usize,
    /// Price of all bits that it adds, on the way to the parent too.
    cost: f64,
    delay: f64,
    /// Milliseconds of the last link.
    last: f64,
    /// All links have room for it.
    has_room: bool,
}

/// A tree on its way.
#[derive(Debug)]
pub struct Growth<'a> {
    pub ground: Ground<'a>,
    pub parameters: &'a Parameters,
    places: Vec<Option<Place>>,
    children: Vec<usize>,
    /// Children of the plan in force that do not hang yet: their place is kept for them.
    awaited: Vec<usize>,
    visiting: Vec<bool>,
    /// Vertices for which there was no place when it was their turn.
    late: Vec<usize>,
    /// Only those are left: a place anywhere is better than one beyond the degree.
    all_hang: bool,
}

impl<'a> Growth<'a> {
    /// The whole tree.
    pub fn of(ground: Ground<'a>, parameters: &'a Parameters) -> Self {
        let (count, mut order) = (ground.vertices.len(), order(&ground));
        let mut growth = Self {
            ground,
            parameters,
            places: vec![None; count],
            children: vec![0; count],
            awaited: vec![0; count],
            visiting: vec![false; count],
            late: Vec::new(),
            all_hang: false,
        };
        let mut best = (usize::MAX, order.clone());
        for _ in 0..ORDERS_MAX {
            let full = growth.grow(&order);
            if full.len() < best.0 {
                best = (full.len(), order.clone());
            }
            if full.is_empty() {
                break;
            }
            // Whoever finds no place comes first: others may hang below it, where it cannot below them.
            order.sort_by_key(|vertex| !full.contains(vertex));
        }
        if best.0 > 0 {
            growth.grow(&best.1);
        }
        growth.settle_carried();
        exchange::make_room(&mut growth);
        growth.settle_carried();
        growth
    }

    /// Hangs all in this order; gives those that the origin has to feed beyond its degree.
    fn grow(&mut self, order: &[usize]) -> Vec<usize> {
        self.places.fill(None);
        self.children.fill(0);
        self.awaited.fill(0);
        self.visiting.fill(false);
        self.all_hang = false;
        let root = Place { parent: ORIGIN, depth: 0, delay: 0.0, carried: f64::INFINITY, reason: Reason::Cheapest };
        self.places[ORIGIN] = Some(root);
        for vertex in &self.ground.vertices {
            vertex.old.into_iter().for_each(|old| self.awaited[old] += 1);
        }
        order.iter().for_each(|vertex| self.hang(*vertex));
        // Those that hang by now may have places to give, also across regions.
        self.all_hang = true;
        let mut full = Vec::new();
        for vertex in std::mem::take(&mut self.late) {
            let chosen = self.choose(vertex);
            if chosen.is_none() {
                full.push(vertex);
            }
            let (parent, reason) = chosen.unwrap_or((ORIGIN, Reason::Full));
            self.attach(vertex, parent, reason);
        }
        full
    }

    /// Where a vertex hangs.
    pub fn place(&self, vertex: usize) -> &Place {
        self.places[vertex].as_ref().expect("all vertices hang once the tree is grown")
    }

    pub(super) fn place_mut(&mut self, vertex: usize) -> &mut Place {
        self.places[vertex].as_mut().expect("all vertices hang once the tree is grown")
    }

    /// A vertex and those above it, without the origin.
    pub fn up_from(&self, vertex: usize) -> impl Iterator<Item = usize> {
        let up = |vertex: &usize| self.places[*vertex].as_ref().map(|place| place.parent);
        std::iter::successors(Some(vertex), up).take_while(|vertex| *vertex != ORIGIN)
    }

    /// A relay that nobody hangs below.
    pub fn is_unused(&self, vertex: usize) -> bool {
        self.ground.vertices[vertex].idle && self.place(vertex).carried == 0.0
    }

    /// Price of all that is carried.
    pub fn cost(&self) -> f64 {
        let hanging = (1..self.places.len()).filter(|vertex| !self.is_unused(*vertex));
        hanging.map(|vertex| self.edge_price(vertex) * self.place(vertex).carried).sum()
    }

    /// Price of a bit on the link to a vertex.
    pub fn edge_price(&self, vertex: usize) -> f64 {
        self.ground.hop(self.place(vertex).parent, vertex).map_or(0.0, |hop| hop.price)
    }

    /// Whom it should hang below is hung first: its region's ingress, then its parent in the plan in force.
    fn hang(&mut self, vertex: usize) {
        if self.places[vertex].is_some() || std::mem::replace(&mut self.visiting[vertex], true) {
            return;
        }
        let Vertex { ingress, old, .. } = self.ground.vertices[vertex];
        if ingress != vertex {
            self.hang(ingress);
        }
        if let Some(old) = old.filter(|old| self.is_allowed_side(*old, vertex)) {
            self.hang(old);
        }
        match self.choose(vertex) {
            Some((parent, reason)) => self.attach(vertex, parent, reason),
            None => self.late.push(vertex),
        }
    }

    fn attach(&mut self, vertex: usize, parent: usize, reason: Reason) {
        let Vertex { rate, old, .. } = self.ground.vertices[vertex];
        let above = *self.place(parent);
        let delay = above.delay + self.ground.hop(parent, vertex).map_or(0.0, |hop| hop.delay);
        self.places[vertex] = Some(Place { parent, depth: above.depth + 1, delay, carried: rate, reason });
        self.children[parent] += 1;
        old.into_iter().for_each(|old| self.awaited[old] -= 1);
        let up: Vec<usize> = self.up_from(parent).collect();
        for above in up {
            let place = self.places[above].as_mut().expect("what is above hangs");
            place.carried = place.carried.max(rate);
        }
    }

    /// The parent for a vertex; `None` while nobody who hangs has a place for it.
    fn choose(&self, vertex: usize) -> Option<(usize, Reason)> {
        if self.ground.hop(ORIGIN, vertex).is_none() {
            return Some((ORIGIN, Reason::Unknown));
        }
        let possible = (0..self.places.len()).filter(|parent| self.is_possible(*parent, vertex));
        let choices: Vec<Choice> = possible.filter_map(|parent| self.choice(parent, vertex)).collect();
        let bound = self.parameters.bound_ms(self.ground.vertices[vertex].best);
        // A move has to reach the allowed delay with something to spare, or noise would move it back.
        let moves = choices.iter().any(|choice| self.ground.vertices[vertex].old == Some(choice.parent));
        let spare = if moves { self.parameters.gain_ms(bound) / 2.0 } else { 0.0 };
        let best = self.cheapest(vertex, choices.iter().filter(|choice| choice.delay <= bound - spare));
        if let Some(old) = self.kept(vertex, &choices, best, bound) {
            let is_best = best.is_some_and(|best| best.parent == old);
            return Some((old, if is_best { Reason::Cheapest } else { Reason::Kept }));
        }
        let fastest = |has_room: bool| {
            let choices = choices.iter().filter(|choice| choice.has_room || !has_room);
            choices.min_by(|a, b| a.delay.total_cmp(&b.delay)).map(|choice| (choice.parent, Reason::Fastest))
        };
        let best = best.map(|choice| (choice.parent, Reason::Cheapest));
        best.or_else(|| fastest(true)).or_else(|| fastest(false))
    }

    fn cheapest<'c>(&self, vertex: usize, choices: impl Iterator<Item = &'c Choice>) -> Option<Choice> {
        let vertices = &self.ground.vertices;
        let takes = |choice: &&Choice| {
            let parent = &vertices[choice.parent];
            choice.has_room && (!parent.busy || choice.parent == ORIGIN || vertices[vertex].old == Some(choice.parent))
        };
        let whole = |ms: f64| ms.round() as u64;
        let key = |choice: &Choice| (whole(choice.last), whole(choice.delay), vertices[choice.parent].rank);
        let by_cost = |a: &&Choice, b: &&Choice| a.cost.total_cmp(&b.cost).then(key(a).cmp(&key(b)));
        choices.filter(takes).min_by(by_cost).copied()
    }

    /// The parent of the plan in force, where a move gains too little.
    fn kept(&self, vertex: usize, choices: &[Choice], best: Option<Choice>, bound: f64) -> Option<usize> {
        let this = &self.ground.vertices[vertex];
        let old = choices.iter().find(|choice| this.old == Some(choice.parent))?;
        if !this.rested {
            return Some(old.parent);
        }
        if !old.has_room && choices.iter().any(|choice| choice.has_room) {
            return None;
        }
        let gain = self.parameters.gain_ms(bound);
        let fastest = || choices.iter().map(|choice| choice.delay).fold(f64::INFINITY, f64::min);
        let Some(best) = best else { return (old.delay <= fastest() + gain).then_some(old.parent) };
        let is_worth_it = best.cost < self.parameters.keep_cost * old.cost
            || old.delay > bound + gain
            || (best.cost <= old.cost && old.delay - best.delay > gain);
        (!is_worth_it).then_some(old.parent)
    }

    fn choice(&self, parent: usize, vertex: usize) -> Option<Choice> {
        let hop = self.ground.hop(parent, vertex)?;
        let this = &self.ground.vertices[vertex];
        let place = self.places[parent].as_ref()?;
        let mut cost = hop.price * this.rate;
        let is_old = this.old == Some(parent);
        let mut has_room =
            if is_old { hop.free >= ROOM_KEPT * this.rate } else { self.ground.has_room(hop, vertex, self.parameters) };
        for above in self.up_from(parent) {
            let added = this.rate - self.places[above]?.carried;
            let up = self.ground.hop(self.places[above]?.parent, above).filter(|_| added > 0.0);
            if let Some(Hop { free, price, .. }) = up {
                cost += price * added;
                has_room &= is_old || free * self.parameters.utilisation_max >= added;
            }
        }
        Some(Choice { parent, cost, delay: place.delay + hop.delay, last: hop.delay, has_room })
    }

    /// What no price may buy: a parent that hangs, relays, has a link, is near enough to the origin and has a place left.
    fn is_possible(&self, parent: usize, vertex: usize) -> bool {
        let Some(place) = self.places[parent].as_ref() else { return false };
        let this = &self.ground.vertices[vertex];
        let is_old = this.old == Some(parent);
        // Of more old children than there are places those get one that come first.
        let others = self.children[parent] + if is_old { 0 } else { self.awaited[parent] };
        // Who just moved stays, though the origin feed more than its share or the region have another ingress now.
        let rests = is_old && !this.rested;
        let is_cut = self.ground.hop(parent, vertex).is_some_and(|hop| hop.is_cut);
        self.ground.vertices[parent].relays
            && (parent == ORIGIN || !is_cut)
            && place.depth < self.depth_max(vertex)
            && ((rests && parent == ORIGIN) || others < self.degree(parent, vertex))
            && (rests || self.all_hang || self.is_allowed_side(parent, vertex))
    }

    /// Only its region's ingress takes from outside; the others take within the region.
    fn is_allowed_side(&self, parent: usize, vertex: usize) -> bool {
        let (ingress, of_parent) = (self.ground.vertices[vertex].ingress, self.ground.vertices[parent].ingress);
        (ingress == vertex) != (ingress == of_parent)
    }

    fn degree(&self, parent: usize, vertex: usize) -> usize {
        let Parameters { degree, .. } = *self.parameters;
        let paid_for = self.ground.vertices[parent].egress / self.ground.vertices[vertex].rate;
        let has = self.children[parent] + self.awaited[parent];
        if paid_for >= degree as f64 { degree } else { degree.min(has + paid_for as usize) }
    }

    /// Whoever feeds others of its region, or only relays, leaves them links enough.
    fn depth_max(&self, vertex: usize) -> usize {
        let this = &self.ground.vertices[vertex];
        let levels = match this.siblings {
            _ if self.all_hang => 0,
            0 => usize::from(this.idle),
            siblings if siblings <= self.parameters.degree => 1,
            _ => 2,
        };
        self.parameters.hops.saturating_sub(levels).max(1)
    }

    /// What is carried in the end: while a tree grows, relays without viewers count as if they were full.
    fn settle_carried(&mut self) {
        let mut carried = vec![0.0_f64; self.places.len()];
        for vertex in (1..self.places.len()).filter(|vertex| !self.ground.vertices[*vertex].idle) {
            let rate = self.ground.vertices[vertex].rate;
            self.up_from(vertex).for_each(|above| carried[above] = carried[above].max(rate));
        }
        for (place, carried) in self.places.iter_mut().zip(carried).skip(1) {
            place.iter_mut().for_each(|place| place.carried = carried);
        }
    }
}

/// The nearest first; equally near ones differently in each room.
fn order(ground: &Ground<'_>) -> Vec<usize> {
    let mut order: Vec<usize> = (1..ground.vertices.len()).collect();
    let of = |vertex: usize| &ground.vertices[vertex];
    order.sort_by(|a, b| of(*a).best.total_cmp(&of(*b).best).then(of(*a).rank.cmp(&of(*b).rank)));
    order
}
