//! Where sessions sit: a room begins on one worker of its node, and spreads over others when it outgrows that one.
//!
//! Between the rooms, which address a room, and the media workers, which know sessions and tracks. It places each
//! session once, for as long as it lasts, and names for each subscription the worker that has the track, from which the
//! session's own worker takes it as a sibling does ([`crate::media::Ask`]).

mod placing;
mod room;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use origo_auth::{RoomKey, TrackSid};
use origo_cascade_core::Forward;

pub use placing::Settings;
use placing::Workers;
use room::Room;

use crate::media::{Command, Event, Subscription};
use crate::{SessionId, worker_of};

/// A session's place.
#[derive(Debug)]
struct Seat {
    room: RoomKey,
    worker: usize,
    /// What it was taken to receive when it came.
    expected: usize,
    /// The tracks that it receives, by name.
    receives: BTreeSet<TrackSid>,
    /// The tracks that it publishes.
    publishes: BTreeSet<TrackSid>,
}

impl Seat {
    fn weight(&self) -> usize {
        1 + self.expected.max(self.receives.len())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Spread {
    workers: Workers,
    rooms: BTreeMap<RoomKey, Room>,
    seats: BTreeMap<SessionId, Seat>,
    /// Who publishes each track on this node.
    publishers: BTreeMap<TrackSid, SessionId>,
}

impl Spread {
    /// A node without sessions.
    pub fn new(settings: Settings) -> Self {
        let workers = Workers::new(settings);
        Self { workers, rooms: BTreeMap::new(), seats: BTreeMap::new(), publishers: BTreeMap::new() }
    }

    /// Takes over how busy each worker is, 0 to 1.
    pub fn set_loads(&mut self, loads: impl IntoIterator<Item = f64>) {
        self.workers.set_loads(loads);
    }

    /// Gives what the rooms ask in a room to those workers whom it concerns.
    pub fn take(&mut self, room: &RoomKey, command: Command, mut give: impl FnMut(usize, Command)) {
        let base = worker_of(room, self.workers.len());
        match command {
            Command::Open(open) => {
                let worker = self.open(room, base, open.session);
                give(worker, Command::Open(open));
            }
            Command::Close(session) => {
                let worker = self.seat(session).unwrap_or(base);
                self.close(session);
                give(worker, Command::Close(session));
            }
            Command::Subscribe(subscription) => {
                let (worker, subscription) = self.subscribe(base, subscription);
                give(worker, Command::Subscribe(subscription));
            }
            Command::Speakers(speakers) => {
                let Some(room) = self.rooms.get(room) else { return give(base, Command::Speakers(speakers)) };
                room.workers().for_each(|worker| give(worker, Command::Speakers(speakers.clone())));
            }
            // A node may ask for a track before it is known where it will be published.
            Command::Forward(Forward::Serve { .. } | Forward::StopServe { .. }) | Command::Shed(_) => {
                (0..self.workers.len()).for_each(|worker| give(worker, command.clone()));
            }
            command => {
                let worker = self.note(&command).unwrap_or(base);
                give(worker, command);
            }
        }
    }

    /// A worker tells something.
    pub fn heard(&mut self, event: &Event) {
        if let Event::TrackEnded { session, track } = event {
            self.unpublish(*session, *track);
        }
    }

    /// Rooms that sit on several workers.
    pub fn rooms_spread(&self) -> usize {
        self.rooms.values().filter(|room| room.workers().count() > 1).count()
    }

    /// The worker of a session.
    pub fn seat(&self, session: SessionId) -> Option<usize> {
        self.seats.get(&session).map(|seat| seat.worker)
    }

    /// Entries of all tables: none when nobody is here.
    pub fn entries(&self) -> usize {
        self.rooms.len() + self.seats.len() + self.publishers.len()
    }

    fn open(&mut self, key: &RoomKey, base: usize, session: SessionId) -> usize {
        if let Some(worker) = self.seat(session) {
            return worker;
        }
        let room = self.rooms.entry(key.clone()).or_default();
        let worker = self.workers.choose(base, |worker| room.is_on(worker));
        let (room_key, expected) = (key.clone(), room.widest);
        room.sit(worker);
        let seat = Seat { room: room_key, worker, expected, receives: BTreeSet::new(), publishes: BTreeSet::new() };
        self.workers.add(worker, seat.weight());
        self.seats.insert(session, seat);
        worker
    }

    fn close(&mut self, session: SessionId) {
        let Some(seat) = self.seats.remove(&session) else { return };
        self.workers.remove(seat.worker, seat.weight());
        for track in &seat.publishes {
            self.publishers.remove(track);
        }
        let Some(room) = self.rooms.get_mut(&seat.room) else { return };
        room.leave(seat.worker);
        if room.is_empty() {
            self.rooms.remove(&seat.room);
        }
    }

    fn subscribe(&mut self, base: usize, subscription: Subscription) -> (usize, Subscription) {
        let publisher = self.publishers.get(&subscription.track.sid).copied();
        let home = publisher.and_then(|publisher| self.seat(publisher)).unwrap_or(base);
        let Some(seat) = self.seats.get_mut(&subscription.session) else { return (base, subscription) };
        let before = seat.weight();
        seat.receives.insert(subscription.track.name());
        self.workers.add(seat.worker, seat.weight() - before);
        if let Some(room) = self.rooms.get_mut(&seat.room) {
            room.widest = room.widest.max(seat.receives.len());
        }
        let home = u8::try_from(home).ok().filter(|_| home != seat.worker);
        (seat.worker, Subscription { home, ..subscription })
    }

    /// Takes over what a command of one session says. Gives its worker.
    fn note(&mut self, command: &Command) -> Option<usize> {
        let session = command.session()?;
        let seat = self.seats.get_mut(&session)?;
        let worker = seat.worker;
        match command {
            Command::Unsubscribe { track, .. } => {
                let before = seat.weight();
                seat.receives.remove(track);
                self.workers.remove(worker, before - seat.weight());
            }
            Command::Expect { track, .. } | Command::Reserve { track, .. } => {
                seat.publishes.insert(track.sid);
                self.publishers.insert(track.sid, session);
            }
            Command::Unpublish { track, .. } => self.unpublish(session, *track),
            _ => {}
        }
        Some(worker)
    }

    fn unpublish(&mut self, session: SessionId, track: TrackSid) {
        if self.seats.get_mut(&session).is_some_and(|seat| seat.publishes.remove(&track)) {
            self.publishers.remove(&track);
        }
    }
}
