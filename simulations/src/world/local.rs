//! A room on one node: who is in it there, whom they know elsewhere, and what they want.

use std::collections::BTreeMap;

use origo_auth::{Identity, ParticipantSid};
use origo_cascade_core::{Event, Input, LayerSet, MediaKind, ParticipantRecord};

use super::fault::Beside;
use super::watch::Watch;
use super::{Detail, World};
use crate::scenario::Takes;

/// See the module.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) node: usize,
    pub(super) room: usize,
    /// The cascade was asked in.
    pub(super) inside: bool,
    /// And has answered.
    pub(super) entered: bool,
    pub(super) people: Vec<u32>,
    pub(super) waiting: Vec<u32>,
    /// Tracks on other nodes, by who publishes them.
    pub(super) known: BTreeMap<Identity, Vec<u32>>,
    /// People who take each layer of pictures, and those who take sound.
    pub(super) takers: [u32; 3],
    pub(super) hearers: u32,
    pub(super) wanted: BTreeMap<u32, LayerSet>,
    /// Other nodes of which something is wanted.
    origins: BTreeMap<usize, Origin>,
    /// When people came for whom no packet from elsewhere has come yet.
    pub(super) fresh: Vec<u64>,
    /// The same for whom one has just come.
    pub(super) greeted: Vec<u64>,
    /// When people lost another node who have not had a packet here yet.
    pub(super) returned: Vec<u64>,
    /// The session of each person elsewhere that this node shows.
    pub(super) shown: BTreeMap<Identity, ParticipantSid>,
    /// Tracks that are taken until those that follow them can be had.
    pub(super) beside: Vec<Beside>,
}

/// A node of which something is wanted.
#[derive(Debug)]
struct Origin {
    since: u64,
    arrived: bool,
    layers: u32,
}

impl Local {
    pub(super) fn new(node: usize, room: usize) -> Self {
        Self {
            node,
            room,
            inside: false,
            entered: false,
            people: Vec::new(),
            waiting: Vec::new(),
            known: BTreeMap::new(),
            takers: [0; 3],
            hearers: 0,
            wanted: BTreeMap::new(),
            origins: BTreeMap::new(),
            fresh: Vec::new(),
            greeted: Vec::new(),
            returned: Vec::new(),
            shown: BTreeMap::new(),
            beside: Vec::new(),
        }
    }

    /// A packet from elsewhere has come: everybody here has had one.
    pub(super) fn greet(&mut self) {
        self.greeted.append(&mut self.fresh);
    }

    /// Since when something of a node was wanted, if this is its first packet.
    pub(super) fn first_of(&mut self, origin: usize) -> Option<u64> {
        let origin = self.origins.get_mut(&origin)?;
        (!std::mem::replace(&mut origin.arrived, true)).then_some(origin.since)
    }

    pub(super) fn count(&mut self, takes: Option<Takes>, by: i32) {
        let Some(takes) = takes else { return };
        let change = |count: &mut u32| *count = count.saturating_add_signed(by);
        if let Some(layer) = takes.layer {
            change(&mut self.takers[usize::from(layer.min(2))]);
        }
        if takes.audio {
            change(&mut self.hearers);
        }
    }

    /// What people here want of a track with so many layers.
    fn wants(&self, kind: MediaKind, layers: usize, in_stream: bool) -> LayerSet {
        if kind == MediaKind::Audio {
            return if self.hearers > 0 { LayerSet::only(0) } else { LayerSet::NONE };
        }
        let taken = (0..3).filter(|layer| self.takers[*layer] > 0).map(|layer| layer.min(layers - 1) as u8);
        taken.fold(LayerSet::NONE, |wanted, layer| {
            if in_stream { LayerSet(wanted.0 | LayerSet::up_to(layer).0) } else { wanted.with(layer) }
        })
    }
}

impl World<'_> {
    pub(super) fn local_at(&mut self, node: usize, room: usize) -> usize {
        let (locals, awaits) = (&mut self.locals, &mut self.awaits);
        *self.locals_by_place.entry((node, room)).or_insert_with(|| {
            locals.push(Local::new(node, room));
            awaits.push(false);
            locals.len() - 1
        })
    }

    /// A node's cascade has news of its rooms.
    pub(super) fn hear(&mut self, node: usize, event: Event) {
        match event {
            Event::Entered { record, participants } => {
                let Some(local) = self.local_of(node, &record.room) else { return };
                self.locals[local].entered = true;
                participants.iter().for_each(|record| self.learn(local, record));
                for person in std::mem::take(&mut self.locals[local].waiting) {
                    self.admit(local, person);
                }
            }
            Event::ParticipantChanged(record) => {
                let Some(local) = self.local_of(node, &record.room) else { return };
                self.learn(local, &record);
            }
            Event::ParticipantLeft { room, identity, sid, reason } => {
                let Some(local) = self.local_of(node, &room) else { return };
                self.check_leave(node, &identity, sid, reason);
                self.unlearn(local, &identity, sid);
            }
            Event::Superseded { room, sid, .. } => self.superseded(node, &room, sid),
            Event::TakenOver { room, sid, .. } => self.taken_over(node, &room, sid),
            _ => {}
        }
    }

    fn local_of(&self, node: usize, room: &origo_auth::RoomKey) -> Option<usize> {
        let room = self.rooms_by_key.get(room)?;
        self.locals_by_place.get(&(node, *room)).copied().filter(|local| self.locals[*local].inside)
    }

    fn learn(&mut self, local: usize, record: &ParticipantRecord) {
        let tracks = record.tracks.iter().filter_map(|track| self.tracks_by_sid.get(&track.sid).copied());
        let tracks: Vec<u32> = tracks.collect();
        self.locals[local].shown.insert(record.identity.clone(), record.sid);
        let before = self.locals[local].known.insert(record.identity.clone(), tracks.clone()).unwrap_or_default();
        self.take_beside(local, &before, &tracks);
        for track in tracks {
            self.follow_takers(local, track);
        }
    }

    /// Somebody is gone, unless another session of the same person is shown by now.
    fn unlearn(&mut self, local: usize, identity: &Identity, sid: ParticipantSid) {
        if self.locals[local].shown.get(identity) != Some(&sid) {
            return;
        }
        self.locals[local].shown.remove(identity);
        for track in self.locals[local].known.remove(identity).unwrap_or_default() {
            self.want(local, track, LayerSet::NONE);
        }
    }

    /// Wants what people here take of a track elsewhere.
    fn follow_takers(&mut self, local: usize, track: u32) {
        let at = &self.tracks[track as usize];
        let wanted = self.locals[local].wants(at.kind, at.layers.len(), at.in_stream());
        self.want(local, track, wanted);
    }

    /// People here take something else: wants follow, and so do the layers of those who publish here.
    pub(super) fn takers_changed(&mut self, local: usize) {
        let known: Vec<u32> = self.locals[local].known.values().flatten().copied().collect();
        for track in known {
            self.follow_takers(local, track);
        }
        self.follow_local_takers(local);
    }

    /// Layers of tracks that are published here, as far as people here take them.
    fn follow_local_takers(&mut self, local: usize) {
        let people = self.locals[local].people.clone();
        for person in people {
            let (own, tracks) = (self.people[person as usize].takes, self.people[person as usize].tracks.clone());
            for track in tracks.into_iter().map(|track| track as usize) {
                let layers = self.tracks[track].layers.len();
                let mut others = Local { takers: self.locals[local].takers, ..Local::new(0, 0) };
                others.count(own, -1);
                let taken = others.wants(MediaKind::Video, layers, self.tracks[track].in_stream());
                for layer in 0..layers {
                    let local = u32::from(taken.contains(layer as u8));
                    let before = std::mem::replace(&mut self.tracks[track].layers[layer].local, local);
                    self.follow_demand(track, layer);
                    if local > before {
                        self.request_key(track, layer);
                    }
                }
            }
        }
    }

    /// A node wants exactly these layers of a track elsewhere.
    pub(super) fn want(&mut self, local: usize, track: u32, layers: LayerSet) {
        let before = self.locals[local].wanted.get(&track).copied().unwrap_or_default();
        if before == layers {
            return;
        }
        if layers.is_empty() {
            self.locals[local].wanted.remove(&track);
        } else {
            self.locals[local].wanted.insert(track, layers);
        }
        for layer in before.iter().filter(|layer| !layers.contains(*layer)) {
            self.end_watch(track as usize, layer, self.locals[local].node);
        }
        let begun: Vec<u8> = layers.iter().filter(|layer| !before.contains(*layer)).collect();
        for layer in &begun {
            self.begin_watch(local, track as usize, *layer);
        }
        let (node, room) = (self.locals[local].node, self.rooms[self.locals[local].room].key.clone());
        let sid = self.tracks[track as usize].sid;
        if self.following.detail >= Detail::Decisions {
            let taken: Vec<String> = layers.iter().map(|layer| layer.to_string()).collect();
            let taken = if taken.is_empty() { "nothing".to_owned() } else { format!("layers {}", taken.join(", ")) };
            let what = format!("{} wants {taken} of {sid}", self.name(node));
            self.tell(Detail::Decisions, || what);
        }
        self.cascade(node, Input::Want { room, track: sid, layers });
        let is_picture = self.tracks[track as usize].kind == MediaKind::Video;
        let in_stream = self.tracks[track as usize].in_stream();
        for layer in begun.into_iter().filter(|layer| is_picture && (*layer == 0 || !in_stream)) {
            self.ask_key(node, track, layer);
        }
    }

    fn begin_watch(&mut self, local: usize, track: usize, layer: u8) {
        let (node, now) = (self.locals[local].node, self.now);
        let origin = self.tracks[track].node;
        if !self.tracks[track].alive {
            return;
        }
        let best = self.ways.best(origin, node);
        let straight = self.paths[node * self.nodes.len() + origin].delay();
        let (kind, in_stream) = (self.tracks[track].kind, self.tracks[track].in_stream());
        let mut watch = Watch::new(local, now, best, kind == MediaKind::Audio);
        watch.synced |= in_stream && layer > 0;
        watch.late = (self.faults.any && kind == MediaKind::Video).then(Default::default);
        let at = &mut self.tracks[track].layers[usize::from(layer)];
        if at.watches.is_empty() && !at.is_wanted() && !at.active {
            at.asked_at = Some((now, straight));
        }
        at.unwatched_at = None;
        at.watches.insert(node, watch);
        let origin =
            self.locals[local].origins.entry(origin).or_insert(Origin { since: now, arrived: false, layers: 0 });
        origin.layers += 1;
    }

    pub(super) fn end_watch(&mut self, track: usize, layer: u8, node: usize) {
        self.settle_track(track);
        let (now, kind) = (self.now, self.tracks[track].kind);
        let origin = self.tracks[track].node;
        let at = &mut self.tracks[track].layers[usize::from(layer)];
        let Some(watch) = at.watches.remove(node) else { return };
        let (local, arrived_at) = (watch.local, watch.arrived_at);
        if at.watches.is_empty() {
            at.unwatched_at = Some(now);
            at.asked_at = None;
        }
        let origins = &mut self.locals[watch.local].origins;
        if let Some(state) = origins.get_mut(&origin) {
            state.layers -= 1;
            if state.layers == 0 {
                origins.remove(&origin);
            }
        }
        self.measure_watch(&watch, kind);
        self.note_last(local, track as u32, arrived_at);
    }
}
