//! Reliable data between nodes: numbered where its publisher is, in order and once everywhere else.
//!
//! A break between two nodes loses what is under way. Whoever misses a packet asks its publisher's node, which keeps the
//! latest; from there on everything is sent again, and what came out of turn meanwhile is not kept. What cannot be had
//! any more is told as lost, so that nobody takes a gap for the whole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_auth::{NodeId, ParticipantSid, RoomKey};

use super::machine::{Cascade, DEAD_NODE_RECORDS_STAY};
use super::timers::Timer;
use super::{Event, Output, RoomData};
use crate::LeaveReason;
use crate::wire::Malformed;
use crate::wire::message::{DataAgain, DataGone, DataHead};
use crate::wire::record::{room_of, sid_of};

/// Bytes of one publisher that are kept for nodes that miss some: what a file transfer sends while a link is mended.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Bytes of all publishers: when it is more, each one keeps [`KEPT_BYTES_LEAST`] at most.
const KEPT_BYTES_IN_ALL: usize = 128 << 20;
const KEPT_BYTES_LEAST: usize = 32 << 10;
/// What a packet costs besides its bytes.
const PACKET_OVERHEAD: usize = 64;
/// Nobody asks for anything older: by then the node that misses it has told its clients that the publisher is gone.
const KEPT_FOR: Duration = DEAD_NODE_RECORDS_STAY.saturating_add(Duration::from_secs(10));
/// How often nodes are told how far publishers are, and how long a missing packet may still be under way.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The least time between two requests for one publisher's packets: while they come again, older ones may overtake them.
const ASK_SPACING: Duration = Duration::from_millis(250);
/// Whoever asks in vain waits longer, up to this many times twice as long.
const DOUBLINGS_MAX: u32 = 3;
/// How many packets of a publisher that came before are caught up with at most, for people who were in the room at another
/// node: what a file transfer sends while they move.
const CAUGHT_UP_MAX: u64 = 256;
/// Publishers of one room on other nodes whose place is remembered.
const INFLOWS_MAX: usize = 20_000;

/// Reliable data of one room.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// What participants of this node send.
    outflows: BTreeMap<ParticipantSid, Outflow>,
    /// What comes from participants of other nodes.
    inflows: BTreeMap<ParticipantSid, Inflow>,
    /// A timer is set.
    looking: bool,
    /// Of publishers that are new here, what they sent before is asked for too.
    catches_up: bool,
}

#[derive(Debug, Default)]
struct Outflow {
    last: u64,
    /// What the other nodes were told of `last`.
    told: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    at: Instant,
    packet: Bytes,
}

#[derive(Debug)]
struct Inflow {
    /// The publisher's node.
    from: NodeId,
    /// How often the publisher had gone on at another node by then: a node to which it comes back counts anew.
    epoch: u32,
    /// Number of the packet that comes next; 0 until the publisher's record tells where its data begins for us.
    next: u64,
    /// Number of the last packet that was sent before the publisher was known here.
    earlier: u64,
    /// The highest number that there is, as far as we know.
    seen: u64,
    /// When the last packet came in turn, or was asked for.
    moved: Instant,
    /// How often it was asked for in vain.
    asks: u32,
    asked: Option<Instant>,
}

impl Data {
    /// Number of a local participant's last packet.
    pub(super) fn last_of(&self, publisher: ParticipantSid) -> u64 {
        self.outflows.get(&publisher).map_or(0, |outflow| outflow.last)
    }

    /// Bytes that are kept.
    pub(super) fn kept_bytes(&self) -> usize {
        self.outflows.values().map(|outflow| outflow.bytes).sum()
    }

    /// A publisher that is heard of for the first time, if there is room for one more.
    fn discover(&mut self, publisher: ParticipantSid, fresh: Inflow) -> Option<&mut Inflow> {
        let is_full = self.inflows.len() >= INFLOWS_MAX && !self.inflows.contains_key(&publisher);
        (!is_full).then(|| self.inflows.entry(publisher).or_insert(fresh))
    }
}

impl Outflow {
    /// Numbers a packet and keeps it in place of the oldest.
    fn push(&mut self, at: Instant, packet: Bytes, bytes_max: usize) -> u64 {
        self.last += 1;
        self.bytes += packet.len() + PACKET_OVERHEAD;
        self.kept.push_back(Kept { number: self.last, at, packet });
        while self.bytes > bytes_max {
            self.pop();
        }
        self.last
    }

    fn forget_old(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|kept| kept.at + KEPT_FOR <= now) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(kept) = self.kept.pop_front() {
            self.bytes -= kept.packet.len() + PACKET_OVERHEAD;
        }
    }

    /// The first number that can be had.
    fn first(&self) -> u64 {
        self.kept.front().map_or(self.last + 1, |kept| kept.number)
    }
}

impl Inflow {
    /// A publisher of which nothing is known but its node.
    fn new(from: NodeId, epoch: u32, seen: u64, now: Instant) -> Self {
        Self { from, epoch, next: 0, earlier: 0, seen, moved: now, asks: 0, asked: None }
    }

    fn is_behind(&self) -> bool {
        self.next != 0 && self.seen >= self.next
    }

    /// Something moves, so that a missing packet may come by itself.
    fn note_progress(&mut self, now: Instant) {
        (self.moved, self.asks) = (now, 0);
    }

    fn may_ask(&self, now: Instant) -> bool {
        self.asks == 0 && self.asked.is_none_or(|asked| asked + ASK_SPACING <= now)
    }

    fn ask_at(&self) -> Instant {
        self.moved + LOOK_EVERY * (1 << self.asks.min(DOUBLINGS_MAX))
    }
}

impl Cascade {
    /// A packet of a local participant, for all nodes of the room.
    pub(super) fn send_data(&mut self, mut data: RoomData) {
        let Some(room) = self.rooms.get_mut(&data.room) else {
            self.counters.ask_without_room += 1;
            return;
        };
        if data.reliable {
            let bytes_max = if self.kept_bytes > KEPT_BYTES_IN_ALL { KEPT_BYTES_LEAST } else { KEPT_BYTES_MAX };
            let outflow = room.data.outflows.entry(data.publisher).or_default();
            let before = outflow.bytes;
            data.number = outflow.push(self.now, data.packet.clone(), bytes_max);
            self.kept_bytes = self.kept_bytes + outflow.bytes - before;
        }
        for to in room.peers.keys().filter(|peer| self.linked.contains(peer)) {
            self.outputs.push_back(Output::Data { to: *to, data: data.clone() });
        }
        if data.reliable {
            self.look_later(&data.room);
        }
    }

    /// A packet of another node's participant.
    pub(super) fn handle_data(&mut self, from: NodeId, data: RoomData) {
        let Some(room) = self.rooms.get_mut(&data.room).filter(|_| from != self.me) else {
            self.counters.data_without_room += 1;
            return;
        };
        if !data.reliable {
            return self.tell(Event::Data(data));
        }
        let (now, number) = (self.now, data.number);
        let fresh = Inflow::new(from, 0, 0, now);
        let Some(inflow) = room.data.discover(data.publisher, fresh) else {
            self.counters.over_limit += 1;
            return;
        };
        if inflow.from != from {
            self.counters.data_of_others += 1;
            return;
        }
        inflow.seen = inflow.seen.max(number);
        if inflow.next == 0 || number > inflow.next {
            self.counters.data_out_of_turn += 1;
            return self.ask_for_data(&data.room, data.publisher);
        }
        if number < inflow.next {
            self.counters.data_again += 1;
            return;
        }
        inflow.next = inflow.next.saturating_add(1);
        inflow.note_progress(now);
        let is_earlier = number <= inflow.earlier;
        self.tell(if is_earlier { Event::EarlierData(data) } else { Event::Data(data) });
    }

    /// People come into a new room who were in it elsewhere.
    pub(super) fn catch_up(&mut self, key: &RoomKey) {
        match self.rooms.get_mut(key) {
            Some(room) => room.data.catches_up = true,
            None => self.counters.ask_without_room += 1,
        }
    }

    /// A participant's record says how much it has sent: what comes after is for us.
    pub(super) fn begin_data(
        &mut self,
        from: NodeId,
        key: &RoomKey,
        (publisher, epoch): (ParticipantSid, u32),
        last: u64,
    ) {
        let now = self.now;
        let Some(room) = self.rooms.get_mut(key) else { return };
        let catches_up = room.data.catches_up;
        let fresh = Inflow::new(from, epoch, last, now);
        let Some(inflow) = room.data.discover(publisher, fresh) else {
            self.counters.over_limit += 1;
            return;
        };
        if inflow.from != from || inflow.next != 0 && inflow.epoch != epoch {
            *inflow = Inflow::new(from, epoch, last, now);
        }
        inflow.epoch = epoch;
        if inflow.next == 0 {
            let back = if catches_up { last.min(CAUGHT_UP_MAX) } else { 0 };
            inflow.earlier = last;
            inflow.next = last.saturating_add(1) - back;
            if inflow.is_behind() {
                self.ask_for_data(key, publisher);
            }
            return;
        }
        self.note_head(key, publisher, last);
    }

    /// A publisher is that far; what is missing may still be under way.
    fn note_head(&mut self, key: &RoomKey, publisher: ParticipantSid, last: u64) {
        let now = self.now;
        let Some(room) = self.rooms.get_mut(key) else { return };
        let Some(inflow) = room.data.inflows.get_mut(&publisher) else { return };
        if !inflow.is_behind() {
            inflow.note_progress(now);
        }
        inflow.seen = inflow.seen.max(last);
        if inflow.is_behind() {
            self.look_later(key);
        }
    }

    /// A node tells how far its participant is.
    pub(super) fn handle_data_head(&mut self, from: NodeId, message: DataHead) -> Result<(), Malformed> {
        let (key, publisher) = (room_of(message.room)?, sid_of(&message.publisher)?);
        if self.inflow_from(from, &key, publisher) {
            self.note_head(&key, publisher, message.last);
        }
        Ok(())
    }

    /// A node misses what a local participant has sent.
    pub(super) fn handle_data_again(&mut self, from: NodeId, message: DataAgain) -> Result<(), Malformed> {
        let (key, publisher) = (room_of(message.room)?, sid_of(&message.publisher)?);
        let Some(outflow) = self.rooms.get(&key).and_then(|room| room.data.outflows.get(&publisher)) else {
            return Ok(());
        };
        if message.first < outflow.first() {
            let gone = DataGone { room: Some((&key).into()), publisher: message.publisher, next: outflow.first() };
            self.send(from, &gone);
            return Ok(());
        }
        let again = outflow.kept.iter().filter(|kept| kept.number >= message.first).map(|kept| RoomData {
            room: key.clone(),
            publisher,
            reliable: true,
            number: kept.number,
            packet: kept.packet.clone(),
        });
        self.outputs.extend(again.map(|data| Output::Data { to: from, data }));
        Ok(())
    }

    /// What this node misses is not kept any more.
    pub(super) fn handle_data_gone(&mut self, from: NodeId, message: DataGone) -> Result<(), Malformed> {
        let (key, publisher) = (room_of(message.room)?, sid_of(&message.publisher)?);
        if !self.inflow_from(from, &key, publisher) {
            return Ok(());
        }
        let now = self.now;
        let inflow = self.rooms.get_mut(&key).and_then(|room| room.data.inflows.get_mut(&publisher));
        let Some(inflow) = inflow.filter(|inflow| inflow.next != 0 && inflow.next < message.next) else {
            return Ok(());
        };
        let was_for_us = message.next > inflow.earlier.saturating_add(1);
        inflow.next = message.next;
        inflow.note_progress(now);
        let is_behind = inflow.is_behind();
        if was_for_us {
            self.counters.data_lost += 1;
            self.tell(Event::DataLost { room: key.clone(), publisher });
        }
        if is_behind {
            self.send_ask(&key, publisher);
        }
        Ok(())
    }

    /// A participant of another node is gone. What it sent last may still come, unless its whole node is lost: then the
    /// clients were told so, and its data begins anew if it comes back.
    pub(super) fn end_data(&mut self, key: &RoomKey, publisher: ParticipantSid, reason: LeaveReason) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if reason == LeaveReason::NodeLost {
            room.data.inflows.remove(&publisher);
        }
        self.look_later(key);
    }

    fn inflow_from(&self, from: NodeId, key: &RoomKey, publisher: ParticipantSid) -> bool {
        let inflow = self.rooms.get(key).and_then(|room| room.data.inflows.get(&publisher));
        inflow.is_some_and(|inflow| inflow.from == from)
    }

    /// Asks for what is missing unless it was asked for a moment ago.
    fn ask_for_data(&mut self, key: &RoomKey, publisher: ParticipantSid) {
        let inflow = self.rooms.get(key).and_then(|room| room.data.inflows.get(&publisher));
        if inflow.is_some_and(|inflow| inflow.is_behind() && inflow.may_ask(self.now)) {
            self.send_ask(key, publisher);
        }
        self.look_later(key);
    }

    fn send_ask(&mut self, key: &RoomKey, publisher: ParticipantSid) {
        let now = self.now;
        let inflow = self.rooms.get_mut(key).and_then(|room| room.data.inflows.get_mut(&publisher));
        let Some(inflow) = inflow else { return };
        (inflow.moved, inflow.asked) = (now, Some(now));
        inflow.asks += 1;
        let (to, first) = (inflow.from, inflow.next);
        self.send(to, &DataAgain { room: Some(key.into()), publisher: publisher.to_string(), first });
    }

    /// Sees to a room's data before long.
    pub(super) fn look_later(&mut self, key: &RoomKey) {
        let Some(room) = self.rooms.get_mut(key).filter(|room| !room.data.looking) else { return };
        room.data.looking = true;
        self.timers.set(self.now + LOOK_EVERY, Timer::Data(key.clone()));
    }

    /// Tells how far publishers are, asks for what is missing, and forgets what nobody will ask for.
    pub(super) fn look_after_data(&mut self, key: &RoomKey) {
        let now = self.now;
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.data.looking = false;
        let here: BTreeSet<ParticipantSid> = room.local.values().map(|record| record.sid).collect();
        let before = room.data.kept_bytes();
        let mut heads = Vec::new();
        for (publisher, outflow) in &mut room.data.outflows {
            outflow.forget_old(now);
            if outflow.told < outflow.last {
                outflow.told = outflow.last;
                heads.push(DataHead { room: Some(key.into()), publisher: publisher.to_string(), last: outflow.last });
            }
        }
        room.data.outflows.retain(|sid, outflow| !outflow.kept.is_empty() || here.contains(sid));
        self.kept_bytes = self.kept_bytes + room.data.kept_bytes() - before;
        let known: BTreeSet<ParticipantSid> = room.remote.values().map(|record| record.sid).collect();
        room.data.inflows.retain(|sid, inflow| known.contains(sid) || inflow.moved + KEPT_FOR > now);
        let overdue = |inflow: &Inflow| inflow.is_behind() && inflow.ask_at() <= now;
        let missing: Vec<ParticipantSid> =
            room.data.inflows.iter().filter(|(_, inflow)| overdue(inflow)).map(|(sid, _)| *sid).collect();
        let goes_on = room.data.outflows.values().any(|outflow| !outflow.kept.is_empty())
            || room.data.inflows.iter().any(|(sid, inflow)| inflow.is_behind() || !known.contains(sid));
        let peers: Vec<NodeId> = room.peers.keys().copied().collect();
        for head in &heads {
            for to in &peers {
                self.send(*to, head);
            }
        }
        for publisher in missing {
            self.send_ask(key, publisher);
        }
        if goes_on {
            self.look_later(key);
        }
    }
}
