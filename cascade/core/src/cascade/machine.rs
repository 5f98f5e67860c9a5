//! The cascade's state machine: inputs are handed to the part that they belong to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_auth::{NodeId, RoomKey};

use super::counters::Counters;
use super::directory::HomeRoom;
use super::failover::Unheard;
use super::gray::Told;
use super::handover::GoneOn;
use super::kept::Questions;
use super::patience::Patience;
use super::reach::Reaches;
use super::room::Room;
use super::seats::Seats;
use super::subscriptions::Subscriptions;
use super::timers::{Timer, Timers};
use super::{Event, Input, Output};
use crate::home::{homes_of, settled};
use crate::route::{Map, Prices, RelayPolicy, Tree};
use crate::wire::Malformed;
use crate::wire::message::{
    Announce, Answer, Ask, Attach, Attached, Body, DataAgain, DataGone, DataHead, Exit, Kind, Leave, Members, Path,
    Record, Rival, Sent, Snapshot, Subscribe, SubscribeErr, SubscribeOk, Unsubscribe,
};
use crate::{Forward, Node};

/// How long the records of a dead node stay, so that a takeover is no leave and join.
pub const DEAD_NODE_RECORDS_STAY: Duration = Duration::from_secs(20);
/// With nothing to do the cascade asks to be woken this far ahead; no work hangs on it.
const IDLE: Duration = Duration::from_secs(3600);

/// The cascade of one node. Handle one input, then poll until [`Output::Timeout`].
///
/// ```
/// use std::time::{Duration, Instant};
/// use origo_auth::NodeId;
/// use origo_cascade_core::cascade::{Cascade, Input, Output};
///
/// # fn main() {
/// # #[allow(clippy::disallowed_methods)]
/// let start = Instant::now();
/// let mut cascade = Cascade::new(start, NodeId([1; 16]));
/// cascade.handle_input(start, Input::Timeout);
/// let wake_at = loop {
///     match cascade.poll_output() {
///         Output::Timeout(at) => break at,
///         output => println!("to do: {output:?}"),
///     }
/// };
/// assert!(wake_at > start);
/// # }
/// ```
#[derive(Debug)]
pub struct Cascade {
    pub(super) me: NodeId,
    pub(super) now: Instant,
    /// By gossip; this node is always among them.
    pub(super) alive: BTreeSet<NodeId>,
    /// Those of them that can be homes: a node that drains hands its rooms over while it can still answer.
    pub(super) settled: BTreeSet<NodeId>,
    /// Peers with a control connection.
    pub(super) linked: BTreeSet<NodeId>,
    /// Peers whose media connection is silent.
    pub(super) unheard: Unheard,
    /// Those of them, and others, whose people cannot be reached.
    pub(super) reaches: Reaches,
    /// Links that failed lately.
    pub(super) patience: Patience,
    /// What is told of this node's own tracks, and by whom of other nodes.
    pub(super) told: Told,
    /// Nodes that are neither alive nor linked, since when.
    pub(super) lost: BTreeMap<NodeId, Instant>,
    /// Rooms with local participants.
    pub(super) rooms: BTreeMap<RoomKey, Room>,
    /// Rooms for which this node is a home.
    pub(super) homed: BTreeMap<RoomKey, HomeRoom>,
    pub(super) subscriptions: Subscriptions,
    /// Draws the trees of this node's own tracks.
    pub(super) policy: Arc<dyn RelayPolicy>,
    /// What it draws them on.
    pub(super) map: Map,
    /// Trees are looked at again then.
    pub(super) optimise_at: Option<Instant>,
    pub(super) timers: Timers,
    pub(super) counters: Counters,
    /// Bytes of reliable data that are kept in all rooms.
    pub(super) kept_bytes: usize,
    pub(super) seats: Seats,
    pub(super) questions: Questions,
    pub(super) gone_on: GoneOn,
    pub(super) outputs: VecDeque<Output>,
}

impl Cascade {
    /// The cascade of node `me`, which knows nobody yet, with the default policy and prices.
    pub fn new(now: Instant, me: NodeId) -> Self {
        Self::with_policy(now, me, Arc::new(Tree::default()), Prices::default())
    }

    /// The same with a policy for the trees of this node's tracks, and with prices of links.
    pub fn with_policy(now: Instant, me: NodeId, policy: Arc<dyn RelayPolicy>, prices: Prices) -> Self {
        Self {
            me,
            now,
            alive: BTreeSet::from([me]),
            settled: BTreeSet::from([me]),
            linked: BTreeSet::new(),
            unheard: Unheard::default(),
            reaches: Reaches::default(),
            patience: Patience::default(),
            told: Told::default(),
            lost: BTreeMap::new(),
            rooms: BTreeMap::new(),
            homed: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            policy,
            map: Map::new(prices),
            optimise_at: None,
            timers: Timers::default(),
            counters: Counters::default(),
            kept_bytes: 0,
            seats: Seats::default(),
            questions: Questions::default(),
            gone_on: GoneOn::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input. Afterwards poll until [`Output::Timeout`].
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Enter { fresh } => self.enter(fresh),
            Input::Exit(room) => self.exit(&room),
            Input::Publish(record) => self.publish(record),
            Input::Withdraw { room, identity, sid, reason } => self.withdraw(&room, &identity, sid, reason),
            Input::Want { room, track, layers } => self.want(room, track, layers),
            Input::Data(data) => self.send_data(data),
            Input::CatchUp(room) => self.catch_up(&room),
            Input::Keep { record, stays } => self.keep_room(record, stays),
            Input::Describe { room, metadata } => self.describe_room(&room, metadata),
            Input::Release(room) => self.release_room(&room),
            Input::Seat { room, identity, present, max } => self.seat(room, identity, &present, max),
            Input::Ask { to, ask } => self.ask(to, ask),
            Input::Answer { to, answer } => self.answer(to, answer),
            Input::Members(nodes) => self.handle_members(&nodes),
            Input::Metrics { node, links } => self.handle_metrics(node, &links),
            Input::Flowing { from, flow } => self.handle_flowing(from, flow),
            Input::Hearing { peer, hearing, quiet } => self.handle_hearing(peer, hearing, quiet),
            Input::Counts(counts) => self.handle_counts(counts),
            Input::LinkUp(peer) => self.handle_link_up(peer),
            Input::LinkDown(peer) => self.handle_link_down(peer),
            Input::Control { from, message, kind } => self.handle_control(from, kind, &message),
            Input::DataFrom { from, data } => self.handle_data(from, data),
            Input::Timeout => {}
        }
        while let Some(timer) = self.timers.take_due(self.now) {
            self.handle_timer(timer);
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        match self.outputs.pop_front() {
            Some(output) => output,
            None => Output::Timeout(self.timers.next().unwrap_or(self.now + IDLE)),
        }
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn handle_control(&mut self, from: NodeId, kind: u64, body: &Bytes) {
        let Some(kind) = Kind::of(kind) else {
            self.counters.unknown_message += 1;
            return;
        };
        if from == self.me || !self.linked.contains(&from) {
            self.counters.unexpected_message += 1;
            return;
        }
        if self.handle_message(from, kind, body).is_err() {
            self.counters.malformed_message += 1;
        }
    }

    fn handle_message(&mut self, from: NodeId, kind: Kind, body: &[u8]) -> Result<(), Malformed> {
        match kind {
            Kind::Hello => self.counters.unexpected_message += 1,
            Kind::Announce => self.handle_announce(from, Announce::from_body(body)?)?,
            Kind::Members => self.handle_members_of_room(from, Members::from_body(body)?)?,
            Kind::Exit => self.handle_exit(from, Exit::from_body(body)?)?,
            Kind::Record => self.handle_record(from, Record::from_body(body)?)?,
            Kind::Leave => self.handle_leave(from, Leave::from_body(body)?)?,
            Kind::Snapshot => self.handle_snapshot(from, Snapshot::from_body(body)?)?,
            Kind::Subscribe => self.handle_subscribe(from, Subscribe::from_body(body)?)?,
            Kind::SubscribeOk => self.handle_subscribe_ok(from, SubscribeOk::from_body(body)?)?,
            Kind::SubscribeErr => self.handle_subscribe_err(from, SubscribeErr::from_body(body)?),
            Kind::Unsubscribe => self.handle_unsubscribe(from, Unsubscribe::from_body(body)?),
            Kind::Ask => self.handle_ask(from, Ask::from_body(body)?)?,
            Kind::Answer => self.handle_answer(from, Answer::from_body(body)?)?,
            Kind::DataHead => self.handle_data_head(from, DataHead::from_body(body)?)?,
            Kind::DataAgain => self.handle_data_again(from, DataAgain::from_body(body)?)?,
            Kind::DataGone => self.handle_data_gone(from, DataGone::from_body(body)?)?,
            Kind::Attach => self.handle_attach(from, Attach::from_body(body)?)?,
            Kind::Attached => self.handle_attached(from, Attached::from_body(body)?)?,
            Kind::Sent => self.handle_sent(from, Sent::from_body(body)?)?,
            Kind::Path => self.handle_path(from, Path::from_body(body)?)?,
            Kind::Rival => self.handle_rival(Rival::from_body(body)?)?,
        }
        Ok(())
    }

    fn handle_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Enter(room) => self.try_entered(&room),
            Timer::Announce(room) => self.announce_again(&room),
            Timer::Expire(room) => self.expire_home(&room),
            Timer::Lost(node) => self.forget_node(node),
            Timer::Reach(node) => self.look_at_reach_again(node),
            Timer::Seek(room) => self.seek_people(&room),
            Timer::Retry(flow) => self.retry_feed(flow),
            Timer::Answer(flow) => self.miss_answer(flow),
            Timer::Silent(flow) => self.take_as_silent(flow),
            Timer::Fall(layer) => self.fall(layer),
            Timer::Move(tree) => self.look_at_move(&tree),
            Timer::Tell(tree) => self.tell_origin(&tree),
            Timer::Idle(tree) => self.forget_branch(&tree),
            Timer::Plan(room) => self.plan_now(&room),
            Timer::Rested(room) => self.plan_soon(&room),
            Timer::Places(room) => self.check_places(&room),
            Timer::Optimise => self.optimise(),
            Timer::Trust(child, parent) => self.trust_pair(child, parent),
            Timer::Handover(room) => self.end_handovers(&room),
            Timer::Rival(room, identity) => self.yield_to_rival(&room, &identity),
            Timer::Hearsay(room) => self.end_hearsay(&room),
            Timer::Data(room) => self.look_after_data(&room),
        }
    }

    fn handle_members(&mut self, nodes: &[Node]) {
        let alive: BTreeSet<NodeId> = nodes.iter().map(|node| node.id).chain([self.me]).collect();
        let homes_before = std::mem::replace(&mut self.settled, settled(nodes));
        if !nodes.iter().any(|node| node.id == self.me) {
            self.settled.insert(self.me);
        }
        let before = std::mem::replace(&mut self.alive, alive);
        for gone in before.difference(&self.alive.clone()) {
            self.note_if_lost(*gone);
        }
        let alive = &self.alive;
        self.lost.retain(|node, _| !alive.contains(node));
        self.learn_nodes(nodes);
        self.announce_to_new_homes();
        if self.settled != homes_before {
            self.hand_waiting_rooms_on();
        }
    }

    fn handle_link_up(&mut self, peer: NodeId) {
        if peer == self.me {
            return;
        }
        // A link that replaces another may have lost what the other carried: start anew.
        if self.linked.contains(&peer) {
            self.forget_link(peer);
        }
        self.linked.insert(peer);
        self.lost.remove(&peer);
        self.look_at_reach(peer);
        self.trust_later(peer);
        self.introduce_everywhere(peer);
        self.announce_to_new_homes();
        self.hand_waiting_rooms_on();
        self.subscribe_again(peer);
        self.branches_gain(peer);
        self.attach_again(peer);
        self.optimise_soon();
    }

    fn handle_link_down(&mut self, peer: NodeId) {
        if self.can_feed(&peer) {
            self.patience.fail(self.now, self.me, peer);
        }
        self.forget_link(peer);
        self.branches_lose(peer);
        self.set_ways(self.me, peer);
        self.trees_lose(peer);
        self.look_at_reach(peer);
    }

    fn forget_link(&mut self, peer: NodeId) {
        self.linked.remove(&peer);
        self.forget_seats(peer);
        self.forget_questions(peer);
        self.stop_serving_peer(peer);
        self.feeds_lose(peer);
        self.note_if_lost(peer);
        let keys: Vec<RoomKey> = self.rooms.keys().cloned().collect();
        for key in keys {
            if let Some(room) = self.rooms.get_mut(&key) {
                room.link_is_down(peer);
            }
            self.try_entered(&key);
        }
    }

    /// Starts the time after which a node's records go, if it neither gossips nor has a link.
    pub(super) fn note_if_lost(&mut self, node: NodeId) {
        if self.alive.contains(&node) || self.linked.contains(&node) || self.lost.contains_key(&node) {
            return;
        }
        self.lost.insert(node, self.now);
        self.time_lost(node);
    }

    /// Has the node forgotten when its time is up.
    pub(super) fn time_lost(&mut self, node: NodeId) {
        let Some(since) = self.lost.get(&node) else { return };
        self.timers.set((*since + DEAD_NODE_RECORDS_STAY).max(self.now), Timer::Lost(node));
    }

    fn forget_node(&mut self, node: NodeId) {
        let Some(since) = self.lost.get(&node) else { return };
        if *since + DEAD_NODE_RECORDS_STAY > self.now {
            return;
        }
        self.lost.remove(&node);
        self.unheard.forget(node);
        self.patience.forget(node);
        self.forget_node_as_home(node);
        self.forget_node_in_rooms(node);
        self.look_at_reach(node);
    }

    /// The homes of a room in this node's own view.
    pub(super) fn homes(&self, room: &RoomKey) -> Vec<NodeId> {
        homes_of(room, &self.settled)
    }

    /// Sends a message, if there is a link; what matters is said again when a link comes up.
    pub(super) fn send<B: Body>(&mut self, to: NodeId, body: &B) {
        if self.linked.contains(&to) {
            self.outputs.push_back(Output::Control { to, kind: B::KIND as u64, message: body.to_body() });
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn forward(&mut self, forward: Forward) {
        self.outputs.push_back(Output::Forward(forward));
    }
}
