//! What a home does: it knows which nodes a room lives on, and tells each of them about the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use origo_auth::{NodeId, RoomKey};

use super::Event;
use super::machine::Cascade;
use super::room::merge_room_record;
use super::timers::Timer;
use crate::RoomRecord;
use crate::wire::Malformed;
use crate::wire::message::{Announce, Exit, Members};
use crate::wire::record::{bytes_of, node_of, nodes_of, room_of};

/// A node that has not told its home again for this long has left the room: two announcements and a half.
const NODE_STAYS: Duration = Duration::from_secs(25);
/// Rooms that one home keeps: each is a few hundred bytes.
const HOMED_ROOMS_MAX: usize = 200_000;
/// Nodes of one room.
pub(super) const NODES_PER_ROOM_MAX: usize = 1024;

/// A room as its home knows it.
#[derive(Debug)]
pub(super) struct HomeRoom {
    record: RoomRecord,
    /// Where the room lives, and until when that holds without another word.
    nodes: BTreeMap<NodeId, Instant>,
    /// Until when the record stands though the room lives nowhere.
    stays: Option<Instant>,
    /// Other homes that were given the record since then.
    handed: BTreeSet<NodeId>,
}

impl HomeRoom {
    /// Whether nothing holds it any more.
    fn is_over(&self, now: Instant) -> bool {
        self.nodes.is_empty() && self.stays.is_none_or(|until| until <= now)
    }

    /// The room has just left a node. If that was the last it stays for as long as its application asked: says so.
    fn begin_departure(&mut self, now: Instant) -> Option<Event> {
        if !self.nodes.is_empty() {
            return None;
        }
        let seconds = self.record.settings.departure_timeout_s;
        let stays = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        self.stays = stays.map(|stays| now + stays);
        stays.map(|stays| Event::RoomWaits { record: self.record.clone(), stays })
    }

    fn next_look(&self) -> Option<Instant> {
        self.nodes.values().copied().chain(self.stays).min()
    }
}

impl Cascade {
    /// A peer says that a room lives on it, or forwards another node's word.
    pub(super) fn handle_announce(&mut self, from: NodeId, message: Announce) -> Result<(), Malformed> {
        let key = room_of(message.room)?;
        let record = RoomRecord::try_from(message.record.ok_or(Malformed("room record"))?)?;
        if record.room != key {
            return Err(Malformed("room record"));
        }
        let told = nodes_of(&message.homes)?;
        let forwarded = !message.node.is_empty();
        let node = if forwarded { node_of(&message.node)? } else { from };
        if node == self.me {
            // Whether a room lives here is known best here.
            return Ok(());
        }
        if !forwarded {
            self.forward_announcement(node, &key, &record, &told);
        }
        self.keep_as_home(node, key, record, message.ask.then_some(from));
        Ok(())
    }

    /// Passes an announcement on to homes that the announcing node does not see yet.
    fn forward_announcement(&mut self, node: NodeId, key: &RoomKey, record: &RoomRecord, told: &[NodeId]) {
        for home in self.homes(key) {
            if home == self.me || home == node || told.contains(&home) {
                continue;
            }
            let message = Announce {
                room: Some(key.into()),
                record: Some(record.into()),
                homes: Vec::new(),
                ask: false,
                node: bytes_of(node),
            };
            self.send(home, &message);
        }
    }

    /// Notes that the room lives on `node` and tells whom it concerns; `asker` gets an answer in any case.
    pub(super) fn keep_as_home(&mut self, node: NodeId, key: RoomKey, record: RoomRecord, asker: Option<NodeId>) {
        let until = self.now + NODE_STAYS;
        let lives_nowhere = self.homed.get(&key).is_none_or(|home| home.nodes.is_empty());
        if lives_nowhere {
            if !self.homed.contains_key(&key) && self.homed.len() >= HOMED_ROOMS_MAX {
                self.counters.over_limit += 1;
                return;
            }
            self.timers.set(until, Timer::Expire(key.clone()));
        }
        let home = self.homed.entry(key.clone()).or_insert_with(|| HomeRoom {
            record: record.clone(),
            nodes: BTreeMap::new(),
            stays: None,
            handed: BTreeSet::new(),
        });
        if home.nodes.len() >= NODES_PER_ROOM_MAX && !home.nodes.contains_key(&node) {
            self.counters.over_limit += 1;
            return;
        }
        home.stays = None;
        let is_news = home.nodes.insert(node, until).is_none() | merge_room_record(&mut home.record, record);
        if is_news {
            let nodes: Vec<NodeId> = home.nodes.keys().copied().collect();
            for to in nodes {
                self.tell_where_room_lives(to, &key, asker == Some(to));
            }
        } else if let Some(asker) = asker {
            self.tell_where_room_lives(asker, &key, true);
        }
    }

    fn tell_where_room_lives(&mut self, to: NodeId, key: &RoomKey, answer: bool) {
        let Some(home) = self.homed.get(key) else { return };
        if to == self.me {
            let (record, nodes) = (home.record.clone(), home.nodes.keys().copied().collect());
            self.learn_members(to, key, record, nodes, answer);
            return;
        }
        let message = Members {
            room: Some(key.into()),
            record: Some((&home.record).into()),
            nodes: home.nodes.keys().map(|node| bytes_of(*node)).collect(),
            answer,
        };
        self.send(to, &message);
    }

    /// A peer says that a room does not live on it.
    pub(super) fn handle_exit(&mut self, from: NodeId, message: Exit) -> Result<(), Malformed> {
        let key = room_of(message.room)?;
        self.drop_as_home(from, &key);
        self.drop_peer(from, &key, &message.gone_on.into_iter().collect());
        Ok(())
    }

    /// Notes that the room does not live on `node`.
    pub(super) fn drop_as_home(&mut self, node: NodeId, key: &RoomKey) {
        let Some(home) = self.homed.get_mut(key) else { return };
        if home.nodes.remove(&node).is_some() {
            if let Some(waits) = home.begin_departure(self.now) {
                self.tell(waits);
            }
            self.settle_home(key);
        }
    }

    /// Drops a dead node from all rooms.
    pub(super) fn forget_node_as_home(&mut self, node: NodeId) {
        let keys: Vec<RoomKey> =
            self.homed.iter().filter(|(_, home)| home.nodes.contains_key(&node)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.drop_as_home(node, &key);
        }
    }

    /// Drops nodes that have not told again.
    pub(super) fn expire_home(&mut self, key: &RoomKey) {
        let now = self.now;
        let Some(home) = self.homed.get_mut(key) else { return };
        let before = home.nodes.len();
        home.nodes.retain(|_, until| *until > now);
        if home.nodes.len() < before
            && let Some(waits) = home.begin_departure(now)
        {
            self.tell(waits);
        }
        self.settle_home(key);
    }

    /// Forgets a room that nothing holds, or sets the time to look at it again.
    fn settle_home(&mut self, key: &RoomKey) {
        let Some(home) = self.homed.get(key) else { return };
        if home.is_over(self.now) {
            self.homed.remove(key);
        } else if let Some(next) = home.next_look() {
            self.timers.set(next.max(self.now), Timer::Expire(key.clone()));
        }
    }

    /// Keeps the record of a room that nobody is in yet.
    pub(super) fn keep_room(&mut self, record: RoomRecord, stays: Duration) {
        if !self.homed.contains_key(&record.room) && self.homed.len() >= HOMED_ROOMS_MAX {
            self.counters.over_limit += 1;
            return;
        }
        let (key, until) = (record.room.clone(), self.now + stays);
        let empty = HomeRoom { record: record.clone(), nodes: BTreeMap::new(), stays: None, handed: BTreeSet::new() };
        let home = self.homed.entry(key.clone()).or_insert(empty);
        merge_room_record(&mut home.record, record);
        if home.nodes.is_empty() {
            home.stays = Some(until);
        }
        self.settle_home(&key);
    }

    /// After a change of the cluster or of the links: gives records of rooms that nobody is in to homes that have not had
    /// them. Nobody who lives in such a room tells them of it.
    pub(super) fn hand_waiting_rooms_on(&mut self) {
        let (now, settled) = (self.now, &self.settled);
        let mut waiting = Vec::new();
        for (key, home) in &mut self.homed {
            home.handed.retain(|node| settled.contains(node));
            if home.nodes.is_empty()
                && let Some(left) = home.stays.and_then(|until| until.checked_duration_since(now))
            {
                waiting.push((key.clone(), left));
            }
        }
        for (key, stays) in waiting {
            for to in self.homes(&key) {
                let is_reached = to != self.me && self.linked.contains(&to);
                let Some(home) = self.homed.get_mut(&key).filter(|_| is_reached) else { continue };
                if home.handed.insert(to) {
                    let record = home.record.clone();
                    self.tell(Event::HandOn { to, record, stays });
                }
            }
        }
    }

    /// Gives a room another text, and tells it wherever the room lives.
    pub(super) fn describe_room(&mut self, key: &RoomKey, metadata: String) {
        let Some(home) = self.homed.get_mut(key) else {
            self.counters.ask_without_room += 1;
            return;
        };
        home.record.metadata = metadata;
        home.record.version += 1;
        let nodes: Vec<NodeId> = home.nodes.keys().copied().collect();
        for to in nodes {
            self.tell_where_room_lives(to, key, false);
        }
    }

    /// Forgets a room that its application has ended.
    pub(super) fn release_room(&mut self, key: &RoomKey) {
        self.homed.remove(key);
    }
}
