//! What a home remembers of its rooms, so that it can tell when each begins and ends: who is in them, on which node.
//!
//! It is on disk, because a node that was killed still has to tell how its rooms ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use livekit_protocol::{ParticipantInfo, Room, WebhookEvent};
use origo_auth::NodeId;
use prost::Message;

/// A room has ended when nobody was in it for this long, or longer if its application asked: somebody who leaves one
/// node may be joining another.
const QUIET: Duration = Duration::from_secs(2);

/// A room that has begun.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LiveRoom {
    /// Its project.
    #[prost(string, tag = "1")]
    pub project: String,
    /// As the last event described it.
    #[prost(message, optional, tag = "2")]
    pub room: Option<Room>,
    /// Who is in it, by session.
    #[prost(btree_map = "string, message", tag = "3")]
    pub people: BTreeMap<String, Person>,
}

/// Somebody in a room.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Person {
    /// The node that serves it.
    #[prost(bytes = "vec", tag = "1")]
    pub owner: Vec<u8>,
    /// As it was when it joined.
    #[prost(message, optional, tag = "2")]
    pub info: Option<ParticipantInfo>,
}

/// All rooms that have begun and not ended, by sid.
pub struct Home {
    tree: sled::Tree,
    rooms: BTreeMap<String, LiveRoom>,
    /// Rooms that nobody is in, since when.
    quiet: BTreeMap<String, Instant>,
}

impl Home {
    /// Reads what an earlier process has left.
    pub fn open(tree: sled::Tree, now: Instant) -> anyhow::Result<Self> {
        let mut home = Self { tree, rooms: BTreeMap::new(), quiet: BTreeMap::new() };
        for entry in home.tree.iter() {
            let (sid, body) = entry?;
            let sid = String::from_utf8_lossy(&sid).into_owned();
            let room = LiveRoom::decode(&body[..]).unwrap_or_default();
            if room.people.is_empty() {
                home.quiet.insert(sid.clone(), now);
            }
            home.rooms.insert(sid, room);
        }
        Ok(home)
    }

    /// Notes what an event says. Gives the event that has to go before it, when the room begins with it.
    pub fn note(
        &mut self,
        now: Instant,
        owner: NodeId,
        project: &str,
        event: &WebhookEvent,
    ) -> anyhow::Result<Option<WebhookEvent>> {
        let (Some(room), Some(person)) = (&event.room, &event.participant) else { return Ok(None) };
        let joins = match event.event.as_str() {
            "participant_joined" => true,
            "participant_left" => false,
            _ => return Ok(None),
        };
        let begins = joins && !self.rooms.contains_key(&room.sid);
        if joins {
            let fresh = LiveRoom { project: project.to_owned(), ..LiveRoom::default() };
            let known = self.rooms.entry(room.sid.clone()).or_insert(fresh);
            known.room = Some(room.clone());
            let joined = Person { owner: owner.0.to_vec(), info: Some(person.clone()) };
            known.people.insert(person.sid.clone(), joined);
            self.quiet.remove(&room.sid);
        } else if let Some(known) = self.rooms.get_mut(&room.sid) {
            known.room = Some(room.clone());
            known.people.remove(&person.sid);
            if known.people.is_empty() {
                self.quiet.insert(room.sid.clone(), now);
            }
        }
        self.store(&room.sid)?;
        let begun = Room { num_participants: 0, num_publishers: 0, ..room.clone() };
        let started = WebhookEvent {
            event: "room_started".into(),
            room: Some(begun),
            created_at: event.created_at,
            ..WebhookEvent::default()
        };
        Ok(begins.then_some(started))
    }

    /// Whether a node tells that a session has ended which another node has by now: the first has died meanwhile, or was
    /// cut off, and nobody has left.
    pub fn goes_on(&self, owner: NodeId, event: &WebhookEvent) -> bool {
        let (Some(room), Some(person)) = (&event.room, &event.participant) else { return false };
        let known = self.rooms.get(&room.sid).and_then(|known| known.people.get(&person.sid));
        event.event == "participant_left" && known.is_some_and(|known| known.owner != owner.0)
    }

    /// Takes over a room of which another node was the home.
    pub fn adopt(&mut self, now: Instant, mut room: LiveRoom) -> anyhow::Result<()> {
        let Some(sid) = room.room.as_ref().map(|room| room.sid.clone()) else { return Ok(()) };
        for (sid, person) in self.rooms.remove(&sid).map(|known| known.people).unwrap_or_default() {
            // The node that has a session now is the one that had it under the higher version.
            let version = |person: &Person| person.info.as_ref().map_or(0, |info| info.version);
            if room.people.get(&sid).is_none_or(|told| version(told) <= version(&person)) {
                room.people.insert(sid, person);
            }
        }
        if room.people.is_empty() {
            self.quiet.entry(sid.clone()).or_insert(now);
        }
        self.rooms.insert(sid.clone(), room);
        self.store(&sid)
    }

    /// Rooms that have ended by now, forgotten with this.
    pub fn take_ended(&mut self, now: Instant) -> anyhow::Result<Vec<LiveRoom>> {
        let patience = |sid: &str| {
            let room = self.rooms.get(sid).and_then(|known| known.room.as_ref());
            QUIET.max(Duration::from_secs(room.map_or(0, |room| room.departure_timeout).into()))
        };
        let ended = self.quiet.iter().filter(|(sid, since)| **since + patience(sid) <= now);
        let ended: Vec<String> = ended.map(|(sid, _)| sid.clone()).collect();
        ended.iter().filter_map(|sid| self.forget(sid).transpose()).collect()
    }

    /// Takes a room out.
    pub fn forget(&mut self, sid: &str) -> anyhow::Result<Option<LiveRoom>> {
        self.quiet.remove(sid);
        let room = self.rooms.remove(sid);
        self.store(sid)?;
        Ok(room)
    }

    /// All rooms, by sid.
    pub fn rooms(&self) -> &BTreeMap<String, LiveRoom> {
        &self.rooms
    }

    fn store(&self, sid: &str) -> anyhow::Result<()> {
        match self.rooms.get(sid) {
            Some(room) => self.tree.insert(sid, room.encode_to_vec())?,
            None => self.tree.remove(sid)?,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, person: &str) -> WebhookEvent {
        WebhookEvent {
            event: name.into(),
            room: Some(Room { sid: "RM_1".into(), name: "lobby".into(), ..Room::default() }),
            participant: Some(ParticipantInfo { sid: person.into(), ..ParticipantInfo::default() }),
            ..WebhookEvent::default()
        }
    }

    #[test]
    fn a_session_that_goes_on_at_another_node_is_not_ended_by_the_word_of_the_one_before() {
        let database = sled::Config::new().temporary(true).open().unwrap();
        let now = Instant::now();
        let (dead, next) = (NodeId([1; 16]), NodeId([2; 16]));
        let joined = |version| {
            let mut event = event("participant_joined", "PA_1");
            event.participant.as_mut().unwrap().version = version;
            event
        };
        let left = event("participant_left", "PA_1");
        let mut home = Home::open(database.open_tree("home").unwrap(), now).unwrap();
        home.note(now, dead, "default", &joined(3)).unwrap();
        let before = home.rooms()["RM_1"].clone();
        assert!(!home.goes_on(dead, &left), "so far it is the dead node's");
        home.note(now, next, "default", &joined(1 << 16)).unwrap();
        assert!(home.goes_on(dead, &left) && !home.goes_on(next, &left));

        // Nor by what an earlier home remembers, whichever comes first.
        let after = home.rooms()["RM_1"].clone();
        home.adopt(now, before.clone()).unwrap();
        assert!(home.goes_on(dead, &left));
        let mut home = Home::open(database.open_tree("other").unwrap(), now).unwrap();
        home.adopt(now, before).unwrap();
        home.adopt(now, after).unwrap();
        assert!(home.goes_on(dead, &left));
    }

    #[test]
    fn a_room_begins_with_its_first_participant_and_ends_after_its_last_even_over_a_restart() {
        let database = sled::Config::new().temporary(true).open().unwrap();
        let now = Instant::now();
        let owner = NodeId([1; 16]);
        let mut home = Home::open(database.open_tree("home").unwrap(), now).unwrap();
        let mut note = |name: &str, person: &str| home.note(now, owner, "default", &event(name, person)).unwrap();
        let started = note("participant_joined", "PA_1");
        assert_eq!(started.map(|event| event.event), Some("room_started".to_owned()));
        assert_eq!(note("participant_joined", "PA_2"), None);
        note("participant_left", "PA_1");
        assert!(home.take_ended(now + 10 * QUIET).unwrap().is_empty());
        let mut home = Home::open(database.open_tree("home").unwrap(), now).unwrap();
        assert_eq!(home.rooms()["RM_1"].people.len(), 1);
        home.note(now, owner, "default", &event("participant_left", "PA_2")).unwrap();
        assert!(home.take_ended(now + QUIET / 2).unwrap().is_empty());
        assert_eq!(home.take_ended(now + QUIET).unwrap().len(), 1);
        assert!(Home::open(database.open_tree("home").unwrap(), now).unwrap().rooms().is_empty());
    }
}
