//! Entering and leaving rooms: telling the homes, and getting to know the other nodes of a room.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use origo_auth::{NodeId, RoomKey};

use super::Event;
use super::directory::NODES_PER_ROOM_MAX;
use super::machine::Cascade;
use super::room::{Entering, Peer, Room, merge_room_record};
use super::timers::Timer;
use crate::wire::Malformed;
use crate::wire::message::{Announce, Members, Record, Snapshot};
use crate::wire::record::{bytes_of, nodes_of, room_of};
use crate::{LeaveReason, RoomRecord};

/// Longest wait for homes and for the records of the nodes that they name.
pub const ENTER_WAITS: Duration = Duration::from_millis(300);
/// How often the homes are told again.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);
/// LiveKit's `UNKNOWN_REASON`.
const UNKNOWN_REASON: i32 = 0;

impl Cascade {
    pub(super) fn enter(&mut self, fresh: RoomRecord) {
        let key = fresh.room.clone();
        if self.rooms.get(&key).is_some_and(Room::is_entered) {
            self.tell_entered(&key);
            return;
        }
        if self.rooms.contains_key(&key) {
            return;
        }
        let until = self.now + ENTER_WAITS;
        let asked = self.homes(&key).into_iter().filter(|home| self.linked.contains(home)).collect();
        self.rooms.insert(key.clone(), Room::new(fresh, Entering { until, asked, found: false }));
        self.timers.set(until, Timer::Enter(key.clone()));
        self.timers.set(self.now + ANNOUNCE_EVERY, Timer::Announce(key.clone()));
        self.announce(&key);
        self.try_entered(&key);
    }

    /// Gives the answer to `Enter` once enough is known: nobody else is asked, or the nodes that were named have sent
    /// their records, or the time is up.
    pub(super) fn try_entered(&mut self, key: &RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let Some(entering) = &room.entering else { return };
        let is_awaited = |(id, peer): (&NodeId, &Peer)| !peer.known && !peer.seeking.told && self.linked.contains(id);
        let enough = (entering.found || entering.asked.is_empty()) && !room.peers.iter().any(is_awaited);
        if enough || self.now >= entering.until {
            room.entering = None;
            self.tell_entered(key);
            self.seek_people(key);
        }
    }

    fn tell_entered(&mut self, key: &RoomKey) {
        let Some(room) = self.rooms.get(key) else { return };
        let (record, participants) = (room.record.clone(), room.remote.values().cloned().collect());
        self.tell(Event::Entered { record, participants });
    }

    pub(super) fn exit(&mut self, key: &RoomKey) {
        let Some(room) = self.rooms.remove(key) else { return };
        self.kept_bytes -= room.data.kept_bytes();
        self.stop_serving_room(key);
        self.end_wants_of(key);
        let homes = self.homes(key);
        let told: BTreeSet<NodeId> = room.peers.keys().chain(&room.told_homes).chain(&homes).copied().collect();
        for to in told {
            self.send_exit(to, key);
        }
        self.drop_as_home(self.me, key);
    }

    pub(super) fn announce_again(&mut self, key: &RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.told_homes.clear();
        self.timers.set(self.now + ANNOUNCE_EVERY, Timer::Announce(key.clone()));
        self.announce(key);
    }

    /// After a change of the cluster or of the links: tells each room's homes that have not heard of it yet.
    pub(super) fn announce_to_new_homes(&mut self) {
        let keys: Vec<RoomKey> = self.rooms.keys().cloned().collect();
        for key in keys {
            self.announce(&key);
        }
    }

    /// Tells the homes that have not been told, if they can be reached.
    fn announce(&mut self, key: &RoomKey) {
        let homes = self.homes(key);
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.told_homes.retain(|home| homes.contains(home));
        let record = room.record.clone();
        let message = Announce {
            room: Some(key.into()),
            record: Some((&record).into()),
            homes: homes.iter().map(|home| bytes_of(*home)).collect(),
            ask: true,
            node: Bytes::new(),
        };
        for home in homes {
            let is_reached = home == self.me || self.linked.contains(&home);
            let is_new = is_reached && self.rooms.get_mut(key).is_some_and(|room| room.told_homes.insert(home));
            if !is_new {
                continue;
            }
            if home == self.me {
                self.keep_as_home(home, key.clone(), record.clone(), Some(home));
            } else {
                self.send(home, &message);
            }
        }
    }

    /// A home says where a room lives.
    pub(super) fn handle_members_of_room(&mut self, from: NodeId, message: Members) -> Result<(), Malformed> {
        let key = room_of(message.room)?;
        let record = RoomRecord::try_from(message.record.ok_or(Malformed("room record"))?)?;
        let nodes = nodes_of(&message.nodes)?;
        if !self.rooms.contains_key(&key) {
            if nodes.contains(&self.me) {
                self.send_exit(from, &key);
            }
            return Ok(());
        }
        self.learn_members(from, &key, record, nodes, message.answer);
        Ok(())
    }

    pub(super) fn learn_members(
        &mut self,
        home: NodeId,
        key: &RoomKey,
        record: RoomRecord,
        nodes: Vec<NodeId>,
        answer: bool,
    ) {
        self.learn_room_record(key, record);
        for node in nodes {
            self.add_peer(node, key);
        }
        if let Some(room) = self.rooms.get_mut(key)
            && let Some(entering) = &mut room.entering
        {
            entering.found |= !room.peers.is_empty();
            if answer {
                entering.asked.remove(&home);
            }
        }
        self.try_entered(key);
    }

    fn learn_room_record(&mut self, key: &RoomKey, record: RoomRecord) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if merge_room_record(&mut room.record, record) && room.is_entered() {
            let record = room.record.clone();
            self.tell(Event::RoomChanged(record));
        }
    }

    /// The room lives on `node` too: both get to know each other's participants.
    pub(super) fn add_peer(&mut self, node: NodeId, key: &RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if node == self.me || room.peers.contains_key(&node) {
            return;
        }
        if room.peers.len() >= NODES_PER_ROOM_MAX {
            self.counters.over_limit += 1;
            return;
        }
        room.peers.insert(node, Peer::new(self.now));
        // Once all of whom the same message tells are known.
        self.timers.set(self.now, Timer::Seek(key.clone()));
        self.note_if_lost(node);
        self.introduce(node, key);
    }

    pub(super) fn introduce_everywhere(&mut self, peer: NodeId) {
        let keys: Vec<RoomKey> =
            self.rooms.iter().filter(|(_, room)| room.peers.contains_key(&peer)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.introduce(peer, &key);
        }
    }

    /// Sends this node's participants of a room, then the word that these are all.
    fn introduce(&mut self, to: NodeId, key: &RoomKey) {
        let is_linked = self.linked.contains(&to);
        let (unheard, gone_on) = (self.unheard_in(key), self.gone_on.told(key, self.now));
        let Some(room) = self.rooms.get_mut(key) else { return };
        let Some(peer) = room.peers.get_mut(&to).filter(|peer| is_linked && !peer.introduced) else { return };
        peer.introduced = true;
        let room = &*room;
        let records: Vec<Record> = room.local.values().map(|record| room.record_to_tell(record, self.now)).collect();
        let snapshot = Snapshot {
            room: Some(key.into()),
            record: Some((&room.record).into()),
            sids: records.iter().map(|record| record.sid.clone()).collect(),
            unheard: unheard.into_iter().filter(|node| *node != to).map(bytes_of).collect(),
            gone_on,
        };
        for record in &records {
            self.send(to, record);
        }
        self.send(to, &snapshot);
    }

    /// A node has sent all its participants of a room: what else we have of it is gone.
    pub(super) fn handle_snapshot(&mut self, from: NodeId, message: Snapshot) -> Result<(), Malformed> {
        let key = room_of(message.room)?;
        let record = RoomRecord::try_from(message.record.ok_or(Malformed("room record"))?)?;
        if !self.rooms.contains_key(&key) {
            self.send_exit(from, &key);
            return Ok(());
        }
        self.learn_room_record(&key, record);
        self.add_peer(from, &key);
        let unheard = nodes_of(&message.unheard)?;
        let gone_on: BTreeSet<String> = message.gone_on.into_iter().collect();
        self.expect_elsewhere(&key, from, &gone_on);
        let sids: BTreeSet<String> = message.sids.into_iter().chain(gone_on).collect();
        self.drop_all_but(&key, from, &sids, LeaveReason::NodeLost);
        if let Some(peer) = self.rooms.get_mut(&key).and_then(|room| room.peers.get_mut(&from)) {
            peer.known = true;
        }
        // The homes may not name a node that is dead; whom it served is asked after all the same.
        unheard.into_iter().for_each(|node| self.add_peer(node, &key));
        self.try_entered(&key);
        self.seek_people(&key);
        Ok(())
    }

    /// The room does not live on `node` any more; sessions that it had go on at others.
    pub(super) fn drop_peer(&mut self, node: NodeId, key: &RoomKey, gone_on: &BTreeSet<String>) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if room.peers.remove(&node).is_none() {
            return;
        }
        self.expect_elsewhere(key, node, gone_on);
        self.drop_all_but(key, node, gone_on, LeaveReason::Left(UNKNOWN_REASON));
        self.try_entered(key);
        self.seek_people(key);
    }

    /// A dead node's time is up.
    pub(super) fn forget_node_in_rooms(&mut self, node: NodeId) {
        let keys: Vec<RoomKey> = self.rooms.keys().cloned().collect();
        for key in keys {
            if let Some(room) = self.rooms.get_mut(&key) {
                room.peers.remove(&node);
            }
            self.drop_records(&key, LeaveReason::NodeLost, |record| record.owner == node);
        }
    }
}
