//! Sessions that go on at another node: the same person under the same name, and new tracks beside the old ones until
//! everybody takes those. `docs/decisions/0012-successor-sessions.md` tells how.

use origo_auth::{Identity, ParticipantSid, RoomKey};
use origo_cascade_core::{Input, LayerSet, LeaveReason, MediaKind, TrackRecord};
use rand::Rng;

use super::super::join::{Heritage, Person};
use super::super::{Detail, World, ms};
use super::Happening;
use crate::dice::dice;
use crate::scenario::{Client, Fault, Trouble};

/// From the word to go elsewhere until a client stands at the next node, ns: `@origo/client` opens a session beside the
/// one that it has, other SDKs end theirs first and join anew.
const ORIGO: (u64, u64) = (300_000_000, 800_000_000);
const STOCK: (u64, u64) = (500_000_000, 1_200_000_000);
/// From a session's begin until its tracks flow there, ns.
const PUBLISHES: u64 = 300_000_000;
/// How often a client looks whether everything flows at the next node, ns; how long its old session lasts once it does,
/// and how long it lasts at most after it was taken over.
const LOOKS_EVERY: u64 = 100_000_000;
const LASTS: u64 = 3_000_000_000;
const LASTS_MOST: u64 = 5_000_000_000;
/// How long a node takes a track beside the one that follows it, ns, as viewers' workers do.
const BESIDE_MOST: u64 = 5_000_000_000;

/// A track that a node takes until the one that follows it can be had.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Beside {
    old: u32,
    new: u32,
    until: u64,
    /// When the old one last came, once it comes no more.
    last: Option<u64>,
    /// Packets of it that were missed before.
    missed: u64,
}

impl World<'_> {
    /// A node that drains tells somebody to go on elsewhere.
    pub(super) fn move_on(&mut self, number: u32) {
        let person = &self.people[number as usize];
        if !person.is_in || person.sid_at.is_none() || !self.faults.nodes[person.node].is_draining() {
            // Still on the way in, or gone: who comes in is told the next time.
            self.people[number as usize].is_told = false;
            return;
        }
        let is_stock = self.group(number).client == Client::Stock;
        let (now, next) = (self.now, self.people.len() as u32);
        let (least, most) = if is_stock { STOCK } else { ORIGO };
        let (seed, missed) = (self.scenario.seed, self.unheard_by(number));
        let tracks = self.people[number as usize].tracks.iter().map(|track| &self.tracks[*track as usize]);
        let former_tracks = tracks.map(|track| (track.kind, track.name)).collect();
        let person = &mut self.people[number as usize];
        person.missed = missed;
        let after = person.dice.random_range(least..most);
        let heir = Person {
            dice: dice(seed, &format!("{} {}", person.identity, next)),
            identity: person.identity.clone(),
            joined_at: person.joined_at.take(),
            is_in: false,
            sid_at: None,
            changed_at: now,
            lost_at: is_stock.then_some(now),
            heir_of: Some(number),
            moved_to: None,
            is_told: false,
            is_handed_over: false,
            former_tracks,
            untold: None,
            tracks: Vec::new(),
            ..*person
        };
        person.moved_to = Some(next);
        self.people.push(heir);
        if is_stock {
            self.let_all_go(number);
        }
        self.befalls(now + after, Happening::Rejoin(next));
    }

    /// A client ends its media, and its node keeps its place.
    fn let_all_go(&mut self, number: u32) {
        let (node, room) = (self.people[number as usize].node, self.people[number as usize].room);
        let local = self.local_at(node, room);
        let takes = self.people[number as usize].takes.take();
        self.locals[local].count(takes, -1);
        for track in self.people[number as usize].tracks.clone() {
            self.end_track(track as usize);
        }
        self.takers_changed(local);
    }

    /// The newest session of a person.
    pub(in super::super) fn newest(&self, mut number: u32) -> u32 {
        while let Some(next) = self.people[number as usize].moved_to {
            number = next;
        }
        number
    }

    /// What somebody who has come in goes on with, and when.
    pub(in super::super) fn inherit(&mut self, number: u32, records: &mut [TrackRecord]) -> Option<Heritage> {
        self.people[number as usize].heir_of?;
        let names = std::mem::take(&mut self.people[number as usize].former_tracks);
        let heritage = self.people[number as usize].heritage;
        for record in records {
            let Some((_, name)) = names.iter().find(|(kind, _)| *kind == record.kind) else { continue };
            record.shown_as = Some(*name);
            if let Some(track) = self.tracks_by_sid.get(&record.sid) {
                self.tracks[*track as usize].name = *name;
            }
        }
        self.befalls(self.now + PUBLISHES, Happening::TakeOver(number));
        Some(Heritage { owner_epoch: heritage.owner_epoch + 1, ..heritage })
    }

    /// The next session is what others see from now on.
    pub(super) fn take_over(&mut self, number: u32) {
        let person = &mut self.people[number as usize];
        let (Some(former), Some(record)) = (person.heir_of, person.untold.take()) else { return };
        let (node, room) = (person.node, person.room);
        if !person.is_in {
            return;
        }
        let what = format!("{} goes on at {}", record.identity, self.name(node));
        self.tell(Detail::Decisions, || what);
        let (local, identity) = (self.local_at(node, room), record.identity.clone());
        self.locals[local].shown.remove(&identity);
        let known = self.locals[local].known.remove(&identity).unwrap_or_default();
        let tracks = self.people[number as usize].tracks.clone();
        self.cascade(node, Input::Publish(record));
        self.take_beside(local, &known, &tracks);
        self.befalls(self.now, Happening::LetGo { person: former, since: self.now, whole_at: None });
    }

    /// A node's people took tracks that others follow: of those that nothing follows nothing is taken any more.
    pub(in super::super) fn take_beside(&mut self, local: usize, before: &[u32], after: &[u32]) {
        for old in before.iter().filter(|track| !after.contains(track)) {
            let name = self.tracks[*old as usize].name;
            let new = after.iter().find(|new| self.tracks[**new as usize].name == name);
            match new.filter(|_| self.locals[local].wanted.contains_key(old)) {
                Some(new) => {
                    let missed = self.missed_of(*old, self.locals[local].node);
                    let beside = Beside { old: *old, new: *new, until: self.now + BESIDE_MOST, last: None, missed };
                    self.locals[local].beside.push(beside);
                }
                None => self.want(local, *old, LayerSet::NONE),
            }
        }
    }

    fn missed_of(&self, track: u32, node: usize) -> u64 {
        let layers = self.tracks[track as usize].layers.iter();
        layers.filter_map(|layer| layer.watches.get(node)).map(|watch| watch.tally.missed).sum()
    }

    /// A watch ends that another one may follow.
    pub(in super::super) fn note_last(&mut self, local: usize, track: u32, arrived_at: Option<u64>) {
        for beside in self.locals[local].beside.iter_mut().filter(|beside| beside.old == track) {
            beside.last = beside.last.max(arrived_at);
        }
    }

    /// Ten times a second: tracks are let go once those that follow them can be had.
    pub(super) fn look_at_successions(&mut self) {
        for local in 0..self.locals.len() {
            if self.locals[local].beside.is_empty() {
                continue;
            }
            let node = self.locals[local].node;
            for beside in std::mem::take(&mut self.locals[local].beside) {
                match self.usable_at(beside.new, node) {
                    None if self.now < beside.until && self.tracks[beside.new as usize].alive => {
                        self.locals[local].beside.push(beside);
                    }
                    usable => self.end_beside(local, beside, usable),
                }
            }
        }
    }

    /// When a node could first use every layer that it takes of a track.
    fn usable_at(&self, track: u32, node: usize) -> Option<u64> {
        let track = &self.tracks[track as usize];
        if track.node == node {
            return Some(self.now);
        }
        let watches: Vec<_> = track.layers.iter().filter_map(|layer| layer.watches.get(node)).collect();
        watches.iter().map(|watch| watch.usable_at).collect::<Option<Vec<u64>>>()?.into_iter().max()
    }

    fn end_beside(&mut self, local: usize, beside: Beside, usable: Option<u64>) {
        let node = self.locals[local].node;
        let missed = self.missed_of(beside.old, node).saturating_sub(beside.missed);
        let layers = &self.tracks[beside.old as usize].layers;
        let last = layers.iter().filter_map(|layer| layer.watches.get(node)?.arrived_at).max().or(beside.last);
        if let Some(last) = last {
            self.measure("move_gap_ms", ms(usable.unwrap_or(self.now).saturating_sub(last)));
        }
        if self.tracks[beside.old as usize].kind == MediaKind::Audio {
            self.measure("drain_lost_packets", missed as f64);
        }
        self.want(local, beside.old, LayerSet::NONE);
    }

    /// A client ends its old session when everything has flowed at the next node for a while.
    pub(super) fn let_go(&mut self, number: u32, since: u64, whole_at: Option<u64>) {
        let person = &self.people[number as usize];
        if !person.is_in {
            return;
        }
        let next = self.newest(number);
        let is_whole = self.is_whole(next);
        let whole_at = whole_at.or(is_whole.then_some(self.now));
        let is_over = whole_at.is_some_and(|at| self.now >= at + LASTS) || self.now >= since + LASTS_MOST;
        if is_over && person.is_handed_over {
            if person.takes.is_some() {
                let missed = self.unheard_by(number).saturating_sub(person.missed);
                let gap = if is_whole { 0.0 } else { ms(self.now - since) };
                self.measure("drain_lost_packets", missed as f64);
                self.measure("move_gap_ms", gap);
            }
            return self.quit(number);
        }
        self.befalls(self.now + LOOKS_EVERY, Happening::LetGo { person: number, since, whole_at });
    }

    /// Packets of sound that somebody's node missed so far of what it takes in its room.
    fn unheard_by(&self, number: u32) -> u64 {
        let person = &self.people[number as usize];
        let Some(local) = self.locals_by_place.get(&(person.node, person.room)) else { return 0 };
        let wanted = self.locals[*local].wanted.keys().copied();
        let sounds = wanted.filter(|track| self.tracks[*track as usize].kind == MediaKind::Audio);
        sounds.map(|track| self.missed_of(track, person.node)).sum()
    }

    /// Whether all that somebody's node takes in its room has come at least once.
    fn is_whole(&self, number: u32) -> bool {
        let person = &self.people[number as usize];
        let Some(local) = self.locals_by_place.get(&(person.node, person.room)) else { return true };
        let wanted = self.locals[*local].wanted.keys().map(|track| &self.tracks[*track as usize]);
        let mut layers = wanted.flat_map(|track| &track.layers).filter(|layer| layer.active);
        layers.all(|layer| layer.watches.get(person.node).is_none_or(|watch| watch.arrived_at.is_some()))
    }

    /// A node hears that somebody goes on elsewhere.
    pub(in super::super) fn taken_over(&mut self, node: usize, room: &RoomKey, sid: ParticipantSid) {
        let is_meant = |person: &Person| person.is_in && person.node == node && person.sid == sid;
        let Some(number) = self.people.iter().position(is_meant) else { return };
        if self.people[number].moved_to.is_none() {
            let what =
                format!("{node} hands {} over, who has not moved in {}", self.people[number].identity, room.name);
            return self.violate(what);
        }
        self.people[number].is_handed_over = true;
    }

    /// Others see nobody leave who is there. (Those who are cut off for long may be taken for lost.)
    pub(in super::super) fn check_leave(
        &mut self,
        node: usize,
        identity: &Identity,
        sid: ParticipantSid,
        reason: LeaveReason,
    ) {
        let drains = |fault: &Fault| matches!(fault.what, Trouble::Drain { .. } | Trouble::Undrain(_));
        let has_it = |person: &Person| person.sid == sid && person.sid_at.is_some() && person.identity == *identity;
        let is_quiet = self.scenario.faults.iter().all(drains);
        // A session that goes on elsewhere may be lost there with the node.
        let is_newest = |person: &Person| is_quiet || person.moved_to.is_none();
        let is_there = |person: &Person| person.is_in && has_it(person) && is_newest(person);
        let is_held = reason != LeaveReason::NodeLost || is_quiet;
        if is_held && self.people.iter().any(is_there) {
            let what = format!("{} sees {identity} leave, who is there", self.name(node));
            self.violate(what);
        }
    }
}
