//! What must hold again once faults are over: everybody agrees on who is where, and gets what they want.

use std::collections::BTreeSet;

use origo_auth::{Identity, ParticipantSid, RoomKey};

use super::super::copies::key;
use super::super::{World, ms};

/// Who came or went within this is not held against anybody, ns.
const NEWS: u64 = 3_000_000_000;
/// Who was lost with a node and does not come back is shown for this long, ns: records of dead nodes stay 20 s, and a
/// dead connection is noticed after 6 s.
const LOST_SHOWN: u64 = 27_000_000_000;
/// Whoever wants a layer that is sent gets a packet within this, ns.
const HUNGER: u64 = 5_000_000_000;

impl World<'_> {
    /// Ten times a second: what faults leave behind.
    pub(in super::super) fn look_at_faults(&mut self) {
        if !self.faults.any {
            return;
        }
        self.look_at_grays();
        self.look_at_healing();
        self.look_at_successions();
        self.look_at_overloads();
        if !self.faults.is_calm(self.now) {
            self.faults.was_calm = false;
            return;
        }
        if !std::mem::replace(&mut self.faults.was_calm, true) {
            self.end_pauses();
            self.check_views();
            self.check_shortages();
        }
        self.check_hunger();
    }

    /// Whether nodes agree again after a partition.
    fn look_at_healing(&mut self) {
        let Some(since) = self.faults.healed_at else { return };
        let rooms: Vec<usize> = self.faults.healing.iter().copied().collect();
        for room in rooms {
            if self.strangers_in(room).is_empty() {
                self.faults.healing.remove(&room);
                self.measure("heal_ms", ms(self.now - since));
            }
        }
        if self.faults.healing.is_empty() {
            self.faults.healed_at = None;
        }
    }

    /// A partition is over: each room is to become one.
    pub(super) fn begin_healing(&mut self) {
        self.faults.healed_at = Some(self.now);
        self.faults.healing = (0..self.rooms.len()).collect();
    }

    /// All nodes of a room show exactly those who are there.
    fn check_views(&mut self) {
        for room in 0..self.rooms.len() {
            let strangers = self.strangers_in(room);
            self.measure("ghosts", strangers.len() as f64);
            for what in strangers {
                self.violate(what);
            }
        }
    }

    /// Who is shown in a room and is not there, and who is there and not shown, in words.
    fn strangers_in(&self, room: usize) -> Vec<String> {
        let mut wrong = Vec::new();
        let is_old = |at: u64| self.now >= at + NEWS;
        let (mut there, mut moving) = (BTreeSet::new(), BTreeSet::new());
        for person in self.people.iter().filter(|person| person.room == room) {
            let stays = person.is_in && person.sid_at.is_some_and(is_old);
            let settled = stays || !person.is_in && is_old(person.changed_at);
            let is_lost = person.lost_at.is_some_and(|at| self.now < at + LOST_SHOWN);
            if !settled || is_lost {
                moving.insert(&person.identity);
            } else if stays {
                there.insert((&person.identity, person.sid));
            }
        }
        for local in self.locals.iter().filter(|local| local.room == room && local.entered) {
            let is_settled = |person: &u32| !moving.contains(&self.people[*person as usize].identity);
            if self.faults.nodes[local.node].dead || !local.people.iter().any(is_settled) {
                continue;
            }
            let own = local.people.iter().map(|person| &self.people[*person as usize]);
            let own: BTreeSet<(&Identity, ParticipantSid)> = own.map(|person| (&person.identity, person.sid)).collect();
            let shown = local.shown.iter().map(|(identity, sid)| (identity, *sid));
            let shown: BTreeSet<(&Identity, ParticipantSid)> = shown.chain(own).collect();
            let (name, room) = (self.name(local.node), &self.rooms[room].key.name);
            let counts = |(identity, _): &&(&Identity, ParticipantSid)| !moving.contains(*identity);
            let ghosts = shown.difference(&there).filter(counts);
            wrong.extend(
                ghosts.map(|(identity, sid)| format!("{name} shows {identity} ({sid}) in {room}, who is not there")),
            );
            let missing = there.difference(&shown).filter(counts);
            wrong.extend(missing.map(|(identity, sid)| format!("{name} does not show {identity} ({sid}) in {room}")));
        }
        wrong
    }

    /// Whoever wants a layer that is sent gets packets, unless lines are too narrow for everything.
    fn check_hunger(&mut self) {
        let since = self.faults.calm_since();
        if self.paths.iter().any(|path| path.line().rate_bps.is_some() || !path.is_open()) {
            return;
        }
        let mut hungry = Vec::new();
        for (number, track) in self.tracks.iter_mut().enumerate().filter(|(_, track)| track.alive) {
            // Upper layers may be held back for long where a link loses much.
            for (place, layer) in track.layers.iter_mut().enumerate().take(1).filter(|(_, layer)| layer.active) {
                for (node, watch) in layer.watches.iter_mut() {
                    let fed_at = watch.arrived_at.unwrap_or(watch.since).max(since);
                    if self.now > fed_at + HUNGER && !watch.reported {
                        watch.reported = true;
                        hungry.push((node, key(number as u32, place as u8)));
                    }
                }
            }
        }
        for (node, key) in hungry {
            let (room, origin) = (self.tracks[key as usize >> 2].room, self.tracks[key as usize >> 2].node);
            if !self.may_touch(room, node) || !self.may_touch(room, origin) {
                continue;
            }
            let what = format!(
                "{} has got nothing of {} for {:.0} s",
                self.name(node),
                self.layer_name(key),
                HUNGER as f64 / 1e9
            );
            self.violate(what);
        }
    }

    /// A node ends a session because the same person has another: only sessions that are over may end so.
    pub(in super::super) fn superseded(&mut self, node: usize, room: &RoomKey, sid: ParticipantSid) {
        let is_meant = |person: &super::super::join::Person| person.is_in && person.node == node && person.sid == sid;
        let Some(number) = self.people.iter().position(is_meant) else { return };
        let person = &mut self.people[number];
        if person.moved_to.is_some() {
            // It went on elsewhere, lost that too, and began anew.
            person.is_handed_over = true;
            return self.quit(number as u32);
        }
        let person = &self.people[number];
        let what = format!("{} throws {} out of {}", self.name(node), person.identity, room.name);
        self.violate(what);
    }

    /// Whether all must be well.
    pub(in super::super) fn is_calm(&self) -> bool {
        self.faults.is_calm(self.now)
    }
}
