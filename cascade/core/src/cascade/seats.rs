//! Seats of rooms that let in so many and no more: a room's home counts those who are on their way in on any node.
//!
//! Who asks names everybody that it knows of in the room; the home adds those whom it has let in a moment ago and who
//! may not have been heard of yet. Without a home that answers, whoever asks decides by what it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use origo_auth::{Identity, NodeId, RoomKey};
use prost::Message;

use super::Event;
use super::asks::PAYLOAD_BYTES_MAX;
use super::machine::Cascade;
use crate::wire::Malformed;
use crate::wire::message::{Answer, Ask};
use crate::wire::record::name;

/// The method of an ASK for a seat.
pub(super) const METHOD: &str = "Seat";
/// Marks the numbers of these ASKs; front-ends count theirs from 1.
const OURS: u64 = 1 << 63;
/// The answer when all seats are taken.
const FULL: &str = "resource_exhausted";
/// How long somebody who was let in counts before every node has heard of it.
const ON_THE_WAY: Duration = Duration::from_secs(5);
/// Rooms with people on their way in that a home remembers, and questions that wait. Beyond, they are let in.
const REMEMBERED_MAX: usize = 4_096;

/// Who was let in a moment ago, and who waits to hear.
#[derive(Debug, Default)]
pub(super) struct Seats {
    given: BTreeMap<RoomKey, BTreeMap<Identity, Instant>>,
    asked: BTreeMap<u64, (NodeId, RoomKey, Identity)>,
    last: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Wish {
    #[prost(string, tag = "1")]
    room: String,
    #[prost(string, tag = "2")]
    identity: String,
    #[prost(string, repeated, tag = "3")]
    present: Vec<String>,
    #[prost(uint32, tag = "4")]
    max: u32,
}

impl Seats {
    /// Whether one more may come in, who then has a seat.
    fn give(&mut self, now: Instant, room: &RoomKey, identity: Identity, present: &[Identity], max: u32) -> bool {
        self.given.retain(|_, people| {
            people.retain(|_, until| *until > now);
            !people.is_empty()
        });
        let on_the_way = self.given.get(room).into_iter().flat_map(BTreeMap::keys);
        let others: BTreeSet<_> = present.iter().chain(on_the_way).filter(|other| **other != identity).collect();
        let fits = others.len() < max as usize;
        if fits && (self.given.len() < REMEMBERED_MAX || self.given.contains_key(room)) {
            self.given.entry(room.clone()).or_default().insert(identity, now + ON_THE_WAY);
        }
        fits
    }
}

impl Cascade {
    /// A local participant wants in where not everybody may.
    pub(super) fn seat(&mut self, room: RoomKey, identity: Identity, present: &[Identity], max: u32) {
        let home = self.homes(&room).first().copied();
        if home == Some(self.me) {
            let granted = self.seats.give(self.now, &room, identity.clone(), present, max);
            return self.tell(Event::Seated { room, identity, granted });
        }
        let names = present.iter().map(|identity| identity.0.clone()).collect();
        let wish = Wish { room: room.name.clone(), identity: identity.0.clone(), present: names, max };
        let payload = wish.encode_to_vec();
        let reachable = home.filter(|home| self.linked.contains(home) && payload.len() <= PAYLOAD_BYTES_MAX);
        let Some(home) = reachable.filter(|_| self.seats.asked.len() < REMEMBERED_MAX) else {
            return self.tell(Event::Seated { room, identity, granted: true });
        };
        self.seats.last += 1;
        let id = OURS | self.seats.last;
        let ask = Ask { id, project: room.project.0.clone(), method: METHOD.into(), payload: payload.into() };
        self.seats.asked.insert(id, (home, room, identity));
        self.send(home, &ask);
    }

    pub(super) fn handle_seat(&mut self, from: NodeId, ask: &Ask) -> Result<(), Malformed> {
        let wish = Wish::decode(&ask.payload[..]).map_err(|_| Malformed("seat"))?;
        let room = RoomKey::new(ask.project.as_str(), name(wish.room, "room name")?);
        let identity = Identity(name(wish.identity, "identity")?);
        let present: Vec<_> = wish.present.into_iter().map(Identity).collect();
        let granted = self.seats.give(self.now, &room, identity, &present, wish.max);
        let code = if granted { String::new() } else { FULL.into() };
        self.send(from, &Answer { id: ask.id, code, ..Answer::default() });
        Ok(())
    }

    /// Takes the answer to a question for a seat. Says whether it was one.
    pub(super) fn handle_seated(&mut self, from: NodeId, answer: &Answer) -> bool {
        if answer.id & OURS == 0 {
            return false;
        }
        let is_of = self.seats.asked.get(&answer.id).is_some_and(|(home, ..)| *home == from);
        if let Some((_, room, identity)) = self.seats.asked.remove(&answer.id).filter(|_| is_of) {
            self.tell(Event::Seated { room, identity, granted: answer.code != FULL });
        }
        true
    }

    /// A node that is gone answers nothing any more.
    pub(super) fn forget_seats(&mut self, peer: NodeId) {
        let (kept, lost) = std::mem::take(&mut self.seats.asked).into_iter().partition(|(_, (home, ..))| *home != peer);
        self.seats.asked = kept;
        let lost: BTreeMap<u64, (NodeId, RoomKey, Identity)> = lost;
        for (_, room, identity) in lost.into_values() {
            self.tell(Event::Seated { room, identity, granted: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(names: &[&str]) -> Vec<Identity> {
        names.iter().map(|name| Identity((*name).into())).collect()
    }

    #[test]
    fn those_on_their_way_count_until_they_are_known_and_nobody_counts_twice() {
        let (mut seats, now, room) = (Seats::default(), Instant::now(), RoomKey::new("p", "r"));
        let mut give = |ms, who: &str, present: &[&str]| {
            let at = now + Duration::from_millis(ms);
            seats.give(at, &room, Identity(who.into()), &people(present), 2)
        };
        assert!(give(0, "ann", &[]));
        assert!(give(0, "bob", &[]), "its node has not heard of ann");
        assert!(!give(0, "eve", &[]));
        assert!(give(0, "bob", &["ann", "bob"]), "who has a seat keeps it");
        assert!(!give(5_000, "eve", &["ann", "bob"]));
        assert!(give(5_000, "eve", &["ann"]), "bob has never come");
    }
}
