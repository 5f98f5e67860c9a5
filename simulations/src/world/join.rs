//! People: when they come and go, what they publish, and what they take.

use std::sync::Arc;

use origo_auth::{Identity, NodeId, ParticipantSid, TrackSid};
use origo_cascade_core::{Input, LeaveReason, MediaKind, ParticipantRecord, RoomRecord, RoomSettings, TrackRecord};
use rand::Rng;
use rand::rngs::SmallRng;

use super::event::Event;
use super::track::{Layer, PAYLOAD_MAX, Stream, Track};
use super::{Detail, SETTLES, World};
use crate::chance::{self, SOUNDS_PER_S, TrackChance};
use crate::scenario::{Group, Media, Takes};

/// LiveKit's `CLIENT_INITIATED`.
const LEFT: i32 = 1;
/// A clock that people's sessions are numbered by, seconds.
const EPOCH: u64 = 1_700_000_000;

/// A person.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) room: usize,
    pub(super) node: usize,
    pub(super) group: usize,
    pub(super) identity: Identity,
    pub(super) sid: ParticipantSid,
    pub(super) dice: SmallRng,
    pub(super) joined_at: Option<u64>,
    /// It is at a node, or on the way in.
    pub(super) is_in: bool,
    /// When the session began.
    pub(super) sid_at: Option<u64>,
    /// When it last came or went.
    pub(super) changed_at: u64,
    /// When its node went, until another has let it in.
    pub(super) lost_at: Option<u64>,
    pub(super) takes: Option<Takes>,
    pub(super) tracks: Vec<u32>,
    pub(super) heritage: Heritage,
    /// The session that this one goes on with, at another node.
    pub(super) heir_of: Option<u32>,
    /// Names of what that one publishes.
    pub(super) former_tracks: Vec<(MediaKind, TrackSid)>,
    /// What others will be told once everything flows here.
    pub(super) untold: Option<ParticipantRecord>,
    /// The session that goes on with this one.
    pub(super) moved_to: Option<u32>,
    /// Its node, which drains, has told it to go on elsewhere.
    pub(super) is_told: bool,
    /// And knows that it does.
    pub(super) is_handed_over: bool,
    /// Packets of sound that its node had missed by then.
    pub(super) missed: u64,
}

/// What stays the same when a session goes on at another node, and what grows with each move.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heritage {
    pub(super) incarnation: u64,
    pub(super) owner_epoch: u32,
}

impl World<'_> {
    /// Everybody gets a time to come.
    pub(super) fn invite(&mut self) {
        let scenario = self.scenario;
        for (room, it) in scenario.rooms.iter().enumerate() {
            for (number, group) in it.groups.iter().enumerate() {
                for one in 0..group.count {
                    let name = format!("{}/{}/{number}/{one}", it.name, self.name(group.node));
                    self.invite_one(room, number, group, name, one == 0);
                }
            }
        }
    }

    fn invite_one(&mut self, room: usize, number: usize, group: &Group, name: String, is_first: bool) {
        let chance = chance::person(self.scenario.seed, &name, is_first, group.stay.join_within);
        let at = (SETTLES + group.stay.join).as_nanos() as u64 + chance.late;
        self.push(at, Event::Join(self.people.len() as u32));
        self.people.push(Person {
            room,
            node: group.node,
            group: number,
            sid: chance.sid,
            identity: Identity(name),
            dice: chance.dice,
            joined_at: None,
            is_in: false,
            sid_at: None,
            changed_at: 0,
            lost_at: None,
            takes: group.takes,
            tracks: Vec::new(),
            heritage: Heritage::default(),
            heir_of: None,
            former_tracks: Vec::new(),
            untold: None,
            moved_to: None,
            is_told: false,
            is_handed_over: false,
            missed: 0,
        });
    }

    pub(super) fn group(&self, person: u32) -> &Group {
        let person = &self.people[person as usize];
        &self.scenario.rooms[person.room].groups[person.group]
    }

    pub(super) fn join(&mut self, number: u32) {
        let stay = self.group(number).stay.clone();
        let (now, settles) = (self.now, SETTLES.as_nanos() as u64);
        let ends = stay.leave.map(|leave| settles + leave.as_nanos() as u64);
        if ends.is_some_and(|ends| ends <= now) {
            return;
        }
        let person = &mut self.people[number as usize];
        person.joined_at = Some(now);
        let drawn = stay.mean.map(|mean| now + exponential(&mut person.dice, mean.as_nanos() as f64));
        if let Some(leaves) = drawn.into_iter().chain(ends).min() {
            self.push(leaves, Event::Leave(number));
        }
        if self.faults.any {
            let Some(node) = self.place_for(number) else { return self.lose_session(number) };
            self.people[number as usize].node = node;
        }
        self.come_in(number);
    }

    /// Somebody comes to a node.
    pub(super) fn come_in(&mut self, number: u32) {
        let now = self.now;
        let person = &mut self.people[number as usize];
        (person.is_in, person.sid_at, person.changed_at) = (true, None, now);
        (person.is_told, person.is_handed_over) = (false, false);
        let (node, room) = (self.people[number as usize].node, self.people[number as usize].room);
        self.tell_person(number, "comes to");
        let local = self.local_at(node, room);
        if self.locals[local].entered {
            return self.admit(local, number);
        }
        self.locals[local].waiting.push(number);
        if !std::mem::replace(&mut self.locals[local].inside, true) {
            let settings = RoomSettings { countries: self.rooms[room].countries.clone(), ..RoomSettings::default() };
            let fresh = RoomRecord {
                room: self.rooms[room].key.clone(),
                sid: self.rooms[room].sid,
                created_ms: self.faults.clock_ms(node, EPOCH * 1000 + now / 1_000_000),
                metadata: String::new(),
                version: 0,
                settings,
            };
            self.cascade(node, Input::Enter { fresh });
        }
    }

    fn tell_person(&mut self, number: u32, does: &str) {
        if self.following.detail >= Detail::Decisions {
            let person = &self.people[number as usize];
            let what = format!("{} {does} {}", person.identity, self.name(person.node));
            self.tell(Detail::Decisions, || what);
        }
    }

    /// The node knows the room: the person is in.
    pub(super) fn admit(&mut self, local: usize, number: u32) {
        let media = self.group(number).publishes.clone().map(Arc::new);
        let joined = self.people[number as usize].joined_at.unwrap_or(self.now);
        let tracks = media.map_or(Vec::new(), |media| self.make_tracks(number, &media));
        let mut records: Vec<TrackRecord> = tracks.iter().map(|track| self.record_of(*track)).collect();
        let inherited = self.inherit(number, &mut records);
        let began_ms = self.faults.clock_ms(self.people[number as usize].node, EPOCH * 1000 + joined / 1_000_000);
        let person = &mut self.people[number as usize];
        if inherited.is_none() {
            person.sid = ParticipantSid::random(&mut person.dice);
        }
        person.heritage = inherited.unwrap_or(Heritage { incarnation: began_ms / 1000, owner_epoch: 0 });
        (person.tracks, person.sid_at) = (tracks.clone(), Some(self.now));
        let (node, takes, lost_at) = (person.node, person.takes, person.lost_at.take());
        let record = ParticipantRecord {
            room: self.rooms[person.room].key.clone(),
            identity: person.identity.clone(),
            sid: person.sid,
            owner: NodeId([0; 16]),
            incarnation: person.heritage.incarnation,
            owner_epoch: person.heritage.owner_epoch,
            version: 0,
            info: Vec::new(),
            tracks: records,
        };
        self.locals[local].people.push(number);
        self.locals[local].count(takes, 1);
        if takes.is_some() {
            self.locals[local].fresh.push(joined);
            self.locals[local].returned.extend(lost_at);
            self.awaits[local] = true;
        }
        self.occupied_at = self.now;
        if inherited.is_some() {
            self.people[number as usize].untold = Some(record);
        } else {
            self.cascade(node, Input::Publish(record));
        }
        for track in tracks {
            self.begin_track(number, track);
        }
        self.takers_changed(local);
    }

    fn make_tracks(&mut self, person: u32, media: &Arc<Media>) -> Vec<u32> {
        let kinds = [(MediaKind::Audio, media.audio_kbps.is_some()), (MediaKind::Video, !media.video.is_empty())];
        let kinds = kinds.into_iter().filter(|(_, there)| *there);
        kinds.map(|(kind, _)| self.make_track(person, kind, media.clone())).collect()
    }

    fn make_track(&mut self, number: u32, kind: MediaKind, media: Arc<Media>) -> u32 {
        let person = &mut self.people[number as usize];
        let per_s = if kind == MediaKind::Audio { SOUNDS_PER_S } else { media.fps };
        let TrackChance { sid, first, clock, phase, dice } = chance::track(&mut person.dice, self.scenario.seed, per_s);
        let layer = |bytes: f64, active| Layer { frame_bytes: bytes, active, ..Layer::default() };
        let (layers, packets): (Vec<Layer>, Vec<f64>) = match kind {
            MediaKind::Audio => {
                let bytes = media.audio_kbps.unwrap_or_default() * 1000.0 / 8.0 / SOUNDS_PER_S;
                (vec![layer(bytes, true)], vec![SOUNDS_PER_S])
            }
            MediaKind::Video => {
                let rates = media.video.iter().map(|layer| layer.kbps * 1000.0 / 8.0);
                let layers = rates.clone().map(|rate| layer(rate / media.fps, false));
                // Keyframes come in bursts, and small frames take a packet each.
                (layers.collect(), rates.map(|rate| 2.0 * (rate / PAYLOAD_MAX as f64 + media.fps)).collect())
            }
        };
        let in_stream = media.in_stream && layers.len() > 1;
        let streams = if in_stream { vec![packets.iter().sum()] } else { packets };
        let track = Track {
            sid,
            name: sid,
            kind,
            in_stream,
            media,
            node: person.node,
            room: person.room,
            alive: true,
            began_at: self.now,
            lost_at: person.lost_at,
            streams: streams.into_iter().map(|packets| Stream::new(packets, first)).collect(),
            layers,
            left_out: Default::default(),
            clock,
            phase,
            spurt: (true, 0),
            dice,
        };
        let place = self.tracks.len() as u32;
        self.tracks_by_sid.insert(sid, place);
        self.tracks.push(track);
        place
    }

    fn record_of(&self, track: u32) -> TrackRecord {
        let track = &self.tracks[track as usize];
        let (mime, rates) = match track.kind {
            MediaKind::Audio => ("audio/opus", vec![track.media.audio_kbps.unwrap_or_default()]),
            MediaKind::Video => {
                let mime = if track.in_stream() { "video/VP9" } else { "video/VP8" };
                (mime, track.media.video.iter().map(|layer| layer.kbps).collect())
            }
        };
        // Of layers within one stream a record tells the sum up to each.
        let in_stream = track.in_stream();
        let summed = rates.iter().scan(0.0, |sum, rate| {
            *sum = if in_stream { *sum + rate } else { *rate };
            Some((*sum * 1000.0) as u32)
        });
        TrackRecord {
            sid: track.sid,
            kind: track.kind,
            mime: mime.to_owned(),
            layer_bitrates_bps: summed.collect(),
            layer_sizes: Vec::new(),
            backup_of: None,
            shown_as: None,
        }
    }

    fn begin_track(&mut self, person: u32, track: u32) {
        let at = &self.tracks[track as usize];
        let (first, is_picture) = (self.now + at.phase, at.kind == MediaKind::Video);
        let identity = self.people[person as usize].identity.0.clone();
        let since_start = first.saturating_sub(SETTLES.as_nanos() as u64);
        self.begun.entry((identity, is_picture)).or_insert(since_start);
        self.push(first, if is_picture { Event::Frame(track) } else { Event::Sound(track) });
    }

    pub(super) fn leave(&mut self, number: u32) {
        let (again, newest) = (self.group(number).stay.again, self.newest(number));
        let person = &mut self.people[newest as usize];
        if person.joined_at.take().is_none() {
            return;
        }
        if let Some(again) = again {
            let back = self.now + exponential(&mut person.dice, again.as_nanos() as f64);
            self.push(back, Event::Join(newest));
        }
        let mut session = Some(number);
        while let Some(number) = session {
            self.quit(number);
            session = self.people[number as usize].moved_to;
        }
    }

    /// Somebody's session ends.
    pub(super) fn quit(&mut self, number: u32) {
        let person = &mut self.people[number as usize];
        person.heir_of = None;
        if !std::mem::take(&mut person.is_in) {
            return;
        }
        (person.sid_at, person.changed_at) = (None, self.now);
        let (node, room, takes) = (person.node, person.room, person.takes);
        let local = self.local_at(node, room);
        self.tell_person(number, "leaves");
        self.locals[local].waiting.retain(|other| *other != number);
        if self.locals[local].people.contains(&number) {
            self.occupied_at = self.now;
            self.locals[local].people.retain(|other| *other != number);
            self.locals[local].count(takes, -1);
            self.end_session(number);
        }
        if self.locals[local].people.is_empty() && self.locals[local].waiting.is_empty() {
            self.vacate(local);
        } else {
            self.takers_changed(local);
        }
    }

    fn end_session(&mut self, number: u32) {
        for track in std::mem::take(&mut self.people[number as usize].tracks) {
            self.end_track(track as usize);
        }
        let person = &self.people[number as usize];
        let (room, identity, sid) = (self.rooms[person.room].key.clone(), person.identity.clone(), person.sid);
        if person.is_handed_over {
            return;
        }
        let input = Input::Withdraw { room, identity, sid, reason: LeaveReason::Left(LEFT) };
        self.cascade(person.node, input);
    }

    pub(super) fn end_track(&mut self, track: usize) {
        for layer in 0..self.tracks[track].layers.len() {
            let nodes: Vec<usize> = self.tracks[track].layers[layer].watches.nodes().collect();
            for node in nodes {
                self.end_watch(track, layer as u8, node);
            }
            self.tracks[track].layers[layer].active = false;
        }
        let track = &mut self.tracks[track];
        track.alive = false;
        track.streams = Vec::new();
    }

    /// The last one has left a room on a node.
    fn vacate(&mut self, local: usize) {
        let (node, room) = (self.locals[local].node, self.locals[local].room);
        self.end_watches_at(local);
        self.locals[local] = super::local::Local::new(node, room);
        let key = self.rooms[room].key.clone();
        self.cascade(node, Input::Exit(key));
    }

    pub(super) fn end_watches_at(&mut self, local: usize) {
        let node = self.locals[local].node;
        let wanted: Vec<u32> = self.locals[local].wanted.keys().copied().collect();
        for track in wanted {
            for layer in 0..self.tracks[track as usize].layers.len() {
                self.end_watch(track as usize, layer as u8, node);
            }
        }
    }

    /// People take something else from now on.
    pub(super) fn change_takes(&mut self, room: Option<usize>, nodes: Option<&[usize]>, takes: Takes) {
        let mut changed = std::collections::BTreeSet::new();
        for number in 0..self.people.len() {
            let person = &self.people[number];
            let is_meant = room.is_none_or(|room| person.room == room)
                && nodes.is_none_or(|nodes| nodes.contains(&person.node))
                && person.takes.is_some();
            if !is_meant {
                continue;
            }
            let local = self.local_at(self.people[number].node, self.people[number].room);
            let before = self.people[number].takes.replace(takes);
            if self.locals[local].people.contains(&(number as u32)) {
                self.locals[local].count(before, -1);
                self.locals[local].count(Some(takes), 1);
                changed.insert(local);
            }
        }
        for local in changed {
            self.takers_changed(local);
        }
    }
}

fn exponential(dice: &mut SmallRng, mean: f64) -> u64 {
    let drawn: f64 = dice.random();
    (-(1.0 - drawn).ln() * mean) as u64
}
