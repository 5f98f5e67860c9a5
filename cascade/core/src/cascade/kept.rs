//! People of a node that does not tell of them itself: another node of the room has their records.
//!
//! When a node dies, its people come back at nodes to which the room may be new. The home names the dead node too, and
//! nobody would know whom it had: so who enters a room asks the others for the records of nodes that stay silent.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_auth::{Identity, NodeId, RoomKey};
use prost::Message;

use super::Event;
use super::asks::PAYLOAD_BYTES_MAX;
use super::machine::Cascade;
use super::room::Peer;
use super::timers::Timer;
use crate::wire::Malformed;
use crate::wire::message::{Answer, Ask, Kept, KeptOf, Record};
use crate::wire::record::{bytes_of, identity_of, name, node_of, record_of};

/// The method of an ASK for records.
pub(super) const METHOD: &str = "Kept";
/// Marks the numbers of these ASKs; front-ends count theirs from 1, and seats have a mark of their own.
const OURS: u64 = 1 << 62;
/// The number of an ASK whose answer nobody waits for.
pub const UNANSWERED: u64 = OURS;
/// For so long a node that is heard is expected to tell of its people itself, which takes a round trip and whatever is
/// lost on it. Others are not asked after it before: what they know may be newer than its first word, which would then
/// seem to take somebody out who has just come. One that dies is not heard after 300 ms.
const MAY_TELL: Duration = Duration::from_secs(1);
/// An answer that takes longer is not waited for.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
/// How often things are looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many nodes are asked for the records of one: those that have just come themselves have none.
const ASKED_MAX: usize = 4;
/// Questions that wait for their answers.
const OPEN_MAX: usize = 4_096;
/// Records in one answer, about; what is left is asked for next.
const ANSWER_BYTES: usize = PAYLOAD_BYTES_MAX / 2;

/// Questions that were asked: whom, in which room, after whose people.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: BTreeMap<u64, (NodeId, RoomKey, NodeId)>,
    last: u64,
}

/// What is done to learn of the people of one node in one room.
#[derive(Debug)]
pub(super) struct Seeking {
    /// Since when the node is known to have the room.
    since: Instant,
    asked: Vec<NodeId>,
    /// A question that has no answer yet, and until when it is waited for.
    open: Option<(u64, Instant)>,
    /// Another node has told.
    pub(super) told: bool,
    /// There is nobody to ask any more.
    over: bool,
}

impl Seeking {
    pub(super) fn new(since: Instant) -> Self {
        Self { since, asked: Vec::new(), open: None, told: false, over: false }
    }
}

impl Peer {
    /// Whether its people are still to be learnt of.
    fn is_sought(&self) -> bool {
        !self.known && !self.seeking.told && !self.seeking.over
    }
}

impl Cascade {
    /// Asks after nodes that do not tell of their people, and says when no more is to come.
    pub(super) fn seek_people(&mut self, key: &RoomKey) {
        let now = self.now;
        let Some(room) = self.rooms.get(key) else { return };
        let sought: Vec<NodeId> =
            room.peers.iter().filter(|(_, peer)| peer.is_sought()).map(|(node, _)| *node).collect();
        for owner in &sought {
            self.seek_people_of(key, *owner);
        }
        let Some(room) = self.rooms.get_mut(key) else { return };
        if room.peers.values().any(Peer::is_sought) {
            self.timers.set(now + LOOK_EVERY, Timer::Seek(key.clone()));
        } else if room.is_entered() && !std::mem::replace(&mut room.acquainted, true) {
            self.tell_acquainted(key);
        }
    }

    /// Says that no more is to come, and of whose people nothing has.
    fn tell_acquainted(&mut self, key: &RoomKey) {
        let Some(room) = self.rooms.get(key) else { return };
        let is_untold = |(node, peer): &(&NodeId, &Peer)| !peer.known && !peer.seeking.told && !self.can_feed(node);
        let untold: BTreeSet<NodeId> = room.peers.iter().filter(is_untold).map(|(node, _)| *node).collect();
        // One that died before this node had a room of it was of no interest then: the rooms hear first that it is silent.
        untold.iter().for_each(|node| self.look_at_reach(*node));
        self.tell(Event::Acquainted { room: key.clone(), untold });
    }

    fn seek_people_of(&mut self, key: &RoomKey, owner: NodeId) {
        let now = self.now;
        let is_heard = self.can_feed(&owner);
        let Some(room) = self.rooms.get_mut(key) else { return };
        let Some(seeking) = room.peers.get_mut(&owner).map(|peer| &mut peer.seeking) else { return };
        if seeking.open.is_some_and(|(_, until)| now < until) || is_heard && now < seeking.since + MAY_TELL {
            return;
        }
        seeking.open = None;
        let asked = &room.peers[&owner].seeking.asked;
        let can_be_asked =
            |(id, peer): &(&NodeId, &Peer)| peer.known && self.linked.contains(id) && !asked.contains(id);
        let next = room.peers.iter().filter(can_be_asked).map(|(id, _)| *id).next();
        let next = next.filter(|_| asked.len() < ASKED_MAX && self.questions.open.len() < OPEN_MAX);
        let may_come = |(id, peer): (&NodeId, &Peer)| {
            *id != owner && !peer.known && self.linked.contains(id) && now < peer.seeking.since + MAY_TELL
        };
        let is_over = next.is_none() && !room.peers.iter().any(may_come);
        if let Some(peer) = room.peers.get_mut(&owner) {
            peer.seeking.over = is_over;
            peer.seeking.asked.extend(next);
        }
        if let Some(whom) = next {
            self.ask_for_people(whom, key, owner, String::new());
        }
    }

    fn ask_for_people(&mut self, whom: NodeId, key: &RoomKey, owner: NodeId, after: String) {
        self.questions.last += 1;
        let id = OURS | self.questions.last;
        let question = KeptOf { room: key.name.clone(), node: bytes_of(owner), after };
        let payload = question.encode_to_vec().into();
        self.questions.open.insert(id, (whom, key.clone(), owner));
        let until = self.now + ANSWERS_WITHIN;
        if let Some(peer) = self.rooms.get_mut(key).and_then(|room| room.peers.get_mut(&owner)) {
            peer.seeking.open = Some((id, until));
        }
        self.send(whom, &Ask { id, project: key.project.0.clone(), method: METHOD.into(), payload });
    }

    /// Nodes whose people are in a room as far as this node knows, and that it cannot hear.
    pub(super) fn unheard_in(&self, key: &RoomKey) -> BTreeSet<NodeId> {
        let records = self.rooms.get(key).into_iter().flat_map(|room| room.remote.values());
        records.map(|record| record.owner).filter(|owner| !self.can_feed(owner)).collect()
    }

    /// Another node asks for the records of a third one.
    pub(super) fn handle_kept_of(&mut self, from: NodeId, ask: &Ask) -> Result<(), Malformed> {
        let question = KeptOf::decode(&ask.payload[..]).map_err(|_| Malformed("kept"))?;
        let key = RoomKey::new(ask.project.as_str(), name(question.room, "room name")?);
        let owner = node_of(&question.node)?;
        let mut kept = Kept::default();
        if let Some(room) = self.rooms.get(&key) {
            let after = Identity(question.after);
            let others = room.remote.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, record)| record);
            let mut bytes = 0;
            for record in others.filter(|record| record.owner == owner) {
                if bytes > ANSWER_BYTES {
                    kept.more = true;
                    break;
                }
                let age_ms = room.age_of(record, self.now).as_millis() as u64;
                let told = Record { age_ms, ..record.into() };
                bytes += told.encoded_len();
                kept.records.push(told);
            }
        }
        let lost = self.lost.get(&owner).map(|since| self.now.saturating_duration_since(*since));
        kept.lost_ms = lost.map_or(0, |span| span.as_millis() as u64);
        self.send(from, &Answer { id: ask.id, payload: Bytes::from(kept.encode_to_vec()), ..Answer::default() });
        Ok(())
    }

    /// Takes the answer to a question for records. Says whether it was one.
    pub(super) fn handle_kept(&mut self, from: NodeId, answer: &Answer) -> Result<bool, Malformed> {
        if answer.id & OURS == 0 {
            return Ok(false);
        }
        if self.questions.open.get(&answer.id).is_none_or(|(asked, ..)| *asked != from) {
            return Ok(true);
        }
        let Some((_, key, owner)) = self.questions.open.remove(&answer.id) else { return Ok(true) };
        let is_sought = |peer: &&mut Peer| !peer.known;
        let peer = self.rooms.get_mut(&key).and_then(|room| room.peers.get_mut(&owner));
        let Some(peer) = peer.filter(is_sought) else { return Ok(true) };
        peer.seeking.open.take_if(|(id, _)| *id == answer.id);
        // A node that does not know the question says so, and the next one is asked.
        let kept = if answer.code.is_empty() { Kept::decode(&answer.payload[..]) } else { Ok(Kept::default()) };
        let kept = kept.map_err(|_| Malformed("kept"))?;
        peer.seeking.told |= !kept.records.is_empty() && !kept.more;
        self.count_as_lost(owner, Duration::from_millis(kept.lost_ms));
        self.take_kept(from, &key, owner, kept)?;
        self.try_entered(&key);
        self.seek_people(&key);
        Ok(true)
    }

    fn take_kept(&mut self, from: NodeId, key: &RoomKey, owner: NodeId, kept: Kept) -> Result<(), Malformed> {
        let mut last = String::new();
        for record in kept.records {
            let (age, identity) = (Duration::from_millis(record.age_ms), identity_of(record.identity.clone())?);
            let record = record_of(record, owner)?;
            if record.room != *key || identity.0 <= last {
                return Err(Malformed("kept"));
            }
            last = identity.0;
            self.take_hearsay(key, record, age);
        }
        if kept.more && !last.is_empty() {
            self.ask_for_people(from, key, owner, last);
        }
        self.look_at_reach(owner);
        Ok(())
    }

    /// A node that neither gossips nor has a link was lost to another one for so long: the time for which its records stay
    /// does not begin anew with each node that hears of them.
    fn count_as_lost(&mut self, owner: NodeId, span: Duration) {
        let since = self.now.checked_sub(span).unwrap_or(self.now);
        if let Some(known) = self.lost.get_mut(&owner).filter(|known| **known > since) {
            *known = since;
            self.time_lost(owner);
        }
    }

    /// Questions about rooms or to nodes that are gone are not waited for.
    pub(super) fn forget_questions(&mut self, peer: NodeId) {
        self.questions.open.retain(|_, (asked, ..)| *asked != peer);
        for room in self.rooms.values_mut() {
            for other in room.peers.values_mut() {
                other.seeking.open.take_if(|(id, _)| !self.questions.open.contains_key(id));
            }
        }
    }
}
