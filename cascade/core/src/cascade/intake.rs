//! A layer that this node takes: who sends it, and, while the parent changes, who will.

use std::time::{Duration, Instant};

use origo_auth::{NodeId, RoomKey};

use super::gray::Watch;
use super::machine::Cascade;
use super::rescues::Why;
use super::second::Voice;
use super::subscriptions::TreeKey;
use super::timers::Timer;
use crate::link::Flow;
use crate::wire::Malformed;
use crate::wire::message::{Subscribe, SubscribeErr, SubscribeOk, Unsubscribe};
use crate::wire::record::{bytes_of, number_of};
use crate::{Forward, MediaKind, TrackLayer};

/// Bounds on what a peer tells us to wait.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Refusals in a row after which the wait does not double any more.
const DOUBLINGS_MAX: u32 = 5;
/// A layer that was granted and does not come for this long is silent (a muted microphone): it counts as moved. One that
/// still comes from the old parent is not, if the new one has sent nothing at all yet: that one does not pass things on.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// Packets that are missing for longer are not asked for: nobody keeps them, and a part of them is no use.
const MISSING_MAX: Duration = Duration::from_millis(900);
/// A parent that has not answered for this long is left.
const ANSWER_WAITS: Duration = Duration::from_secs(3);

/// What a layer is, and where it is published.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) room: RoomKey,
    pub(super) origin: NodeId,
    pub(super) kind: MediaKind,
    pub(super) in_stream: bool,
    /// As the track's record tells.
    pub(super) rate_bps: u64,
}

impl Source {
    pub(super) fn tree(&self) -> TreeKey {
        (self.room.clone(), self.origin)
    }
}

/// A layer that we take.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) source: Source,
    /// This node takes it for itself, not for children alone.
    pub(super) own: bool,
    /// The room's worker gets it.
    pub(super) local: bool,
    /// When it is let go unless somebody takes it again.
    pub(super) falls_at: Option<Instant>,
    pub(super) current: Feed,
    /// From another parent, until it flows.
    pub(super) next: Option<Feed>,
    /// Packets that had come from the present one when that other one granted the layer.
    came_before: Option<u32>,
    /// From the backup too, while somebody speaks: see `second`.
    pub(super) second: Option<Feed>,
    pub(super) voice: Voice,
    /// What comes against what the origin says.
    pub(super) watch: Watch,
}

/// One peer that sends us a layer, or is asked to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feed {
    pub(super) from: NodeId,
    pub(super) flow: Flow,
    /// The peer has said that the layer comes, and over which nodes.
    pub(super) granted: bool,
    /// The first packet has come, maybe before that word.
    flows: bool,
    /// That was so once, whatever has become of it.
    flowed: bool,
    /// What came to others since then is missing here, as long as it does not flow.
    missing_since: Option<Instant>,
    /// What its peer was told that this node takes for itself, bits per second.
    told_bps: u64,
    /// Refusals in a row.
    refusals: u32,
    /// It is asked again at some instant.
    retries: bool,
}

impl Feed {
    /// Whether packets come from there, as far as the peer says and as they have begun to.
    pub(super) fn comes(&self) -> bool {
        self.granted && self.flows
    }
}

impl Intake {
    fn feed_mut(&mut self, from: NodeId, flow: Flow) -> Option<&mut Feed> {
        self.feeds_mut().find(|feed| (feed.from, feed.flow) == (from, flow))
    }

    /// All who send it, or are asked to.
    pub(super) fn feeds(&self) -> impl Iterator<Item = Feed> + use<> {
        [Some(self.current), self.next, self.second].into_iter().flatten()
    }

    fn feeds_mut(&mut self) -> impl Iterator<Item = &mut Feed> {
        [Some(&mut self.current), self.next.as_mut(), self.second.as_mut()].into_iter().flatten()
    }

    /// Whether it comes from that peer now, or begins to.
    pub(super) fn has_moved_to(&self, peer: NodeId) -> bool {
        self.current.from == peer || self.next.is_some_and(|next| next.from == peer && next.flows)
    }

    /// Whether this node's own demand has changed since the origin was asked, and the origin feeds it.
    fn owes_its_rate(&self) -> bool {
        let Feed { from, granted, told_bps, .. } = self.current;
        from == self.source.origin && granted && told_bps != self.own_rate_bps()
    }

    /// The sum that goes to the origin has this layer's rate in it when the node takes it for itself.
    pub(super) fn own_rate_bps(&self) -> u64 {
        if self.own { self.source.rate_bps } else { 0 }
    }
}

impl Cascade {
    pub(super) fn begin_intake(
        &mut self,
        layer: TrackLayer,
        source: Source,
        own: bool,
        local: bool,
        missing_since: Option<Instant>,
    ) {
        let key = source.tree();
        let parent = self.join_branch(&key, layer);
        let current = Feed { missing_since, ..self.open_feed(layer, &source, local, parent) };
        let intake = Intake {
            source,
            own,
            local,
            falls_at: None,
            current,
            next: None,
            came_before: None,
            second: None,
            voice: Voice::default(),
            watch: Watch::default(),
        };
        self.subscriptions.intakes.insert(layer, intake);
        self.ask_feed(layer, current.flow);
        self.steer(&key, layer);
        self.tell_rate(layer, &key);
    }

    pub(super) fn end_intake(&mut self, layer: TrackLayer) {
        let Some(intake) = self.subscriptions.intakes.remove(&layer) else { return };
        intake.feeds().for_each(|feed| self.close_feed(feed));
        self.leave_branch(&intake.source.tree(), layer);
    }

    /// The table that receives is there before the parent is asked: media may overtake the answer.
    pub(super) fn open_feed(&mut self, layer: TrackLayer, source: &Source, local: bool, from: NodeId) -> Feed {
        let flow = self.subscriptions.flows.take(self.now);
        self.subscriptions.layers_by_flow.insert(flow, layer);
        self.forward(Forward::Receive { room: source.room.clone(), layer, from, flow, kind: source.kind, local });
        if from != source.origin {
            self.timers.set(self.now + ANSWER_WAITS, Timer::Answer(flow));
        }
        let (granted, flows, flowed, retries) = (false, false, false, false);
        Feed { from, flow, granted, flows, flowed, missing_since: None, told_bps: 0, refusals: 0, retries }
    }

    pub(super) fn close_feed(&mut self, feed: Feed) {
        self.subscriptions.layers_by_flow.remove(&feed.flow);
        self.subscriptions.flows.give_back(self.now, feed.flow);
        self.send(feed.from, &Unsubscribe { flow: feed.flow.0 });
        self.forward(Forward::StopReceive { from: feed.from, flow: feed.flow });
    }

    /// Tells the tables anew, since it has changed whether viewers here take the layer.
    pub(super) fn receive_again(&mut self, layer: TrackLayer) {
        let Some(intake) = self.subscriptions.intakes.get(&layer) else { return };
        let Source { room, kind, .. } = intake.source.clone();
        let (feeds, local) = (intake.feeds(), intake.local);
        for Feed { from, flow, .. } in feeds {
            self.forward(Forward::Receive { room: room.clone(), layer, from, flow, kind, local });
        }
    }

    /// Asks the peer of a feed for the layer, or tells it anew what for.
    pub(super) fn ask_feed(&mut self, layer: TrackLayer, flow: Flow) {
        let Some(intake) = self.subscriptions.intakes.get(&layer) else { return };
        let Some(feed) = intake.feeds().find(|feed| feed.flow == flow) else { return };
        let second = intake.second.is_some_and(|second| second.flow == flow);
        let source = &intake.source;
        let message = Subscribe {
            room: Some((&source.room).into()),
            track: layer.track.to_string(),
            layer: layer.layer.into(),
            flow: flow.0,
            kind: number_of(source.kind),
            temporal_ceiling: 0,
            origin: if feed.from == source.origin { bytes::Bytes::new() } else { bytes_of(source.origin) },
            rate_bps: if second { 0 } else { intake.own_rate_bps() },
            in_stream: source.in_stream,
            missing_ms: self.missing_ms(feed),
            second,
        };
        self.send(feed.from, &message);
        let told_bps = message.rate_bps;
        if let Some(feed) = self.subscriptions.intakes.get_mut(&layer).and_then(|it| it.feed_mut(feed.from, flow)) {
            feed.told_bps = told_bps;
        }
    }

    /// How far back packets are missing that the peer of a feed may still have.
    fn missing_ms(&self, feed: Feed) -> u32 {
        let since = feed.missing_since.filter(|_| !feed.flows);
        let missing = since.map(|since| self.now.saturating_duration_since(since)).unwrap_or_default();
        if missing > MISSING_MAX { 0 } else { missing.as_millis() as u32 }
    }

    /// A layer's parent is suspect: the peer that is to take its place is to send what is missing.
    pub(super) fn ask_for_missed(&mut self, layer: TrackLayer) {
        let Some(intake) = self.subscriptions.intakes.get(&layer) else { return };
        let since = self.missing_since(intake.current.from).filter(|_| intake.current.flowed);
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return };
        let Some(next) = intake.next.as_mut().filter(|next| !next.flows && next.missing_since.is_none()) else {
            return;
        };
        let flow = next.flow;
        next.missing_since = since;
        if since.is_some() {
            self.ask_feed(layer, flow);
        }
    }

    /// A link is gone, and with it what its node has granted.
    pub(super) fn feeds_lose(&mut self, peer: NodeId) {
        for intake in self.subscriptions.intakes.values_mut() {
            for feed in intake.feeds_mut() {
                if feed.from == peer {
                    (feed.granted, feed.flows) = (false, false);
                }
            }
        }
    }

    /// A link is up: asks its node for all that is wanted of it.
    pub(super) fn subscribe_again(&mut self, peer: NodeId) {
        let mut asked = Vec::new();
        for (layer, intake) in &self.subscriptions.intakes {
            for feed in intake.feeds() {
                if feed.from == peer {
                    asked.push((*layer, feed.flow, peer != intake.source.origin));
                }
            }
        }
        for (layer, flow, is_relay) in asked {
            self.ask_feed(layer, flow);
            if is_relay {
                self.timers.set(self.now + ANSWER_WAITS, Timer::Answer(flow));
            }
        }
    }

    /// What this node takes for itself has changed: the origin reckons with it.
    pub(super) fn tell_rate(&mut self, layer: TrackLayer, key: &TreeKey) {
        let Some(intake) = self.subscriptions.intakes.get(&layer) else { return };
        let Feed { from, flow, granted, .. } = intake.current;
        if from == intake.source.origin && granted {
            self.ask_feed(layer, flow);
        }
        self.tell_origin_soon(key);
    }

    pub(super) fn handle_subscribe_ok(&mut self, from: NodeId, message: SubscribeOk) -> Result<(), Malformed> {
        let flow = Flow(message.flow);
        let Some((layer, key)) = self.feed_of(from, flow) else {
            self.counters.unexpected_message += 1;
            return Ok(());
        };
        let path = self.path_of(&message.path, key.1, from)?;
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return Ok(()) };
        let is_next = intake.next.is_some_and(|next| next.flow == flow && !next.granted);
        if let Some(feed) = intake.feed_mut(from, flow) {
            (feed.refusals, feed.granted) = (0, true);
        }
        if is_next {
            intake.came_before = intake.watch.packets(intake.current.flow);
            self.timers.set(self.now + SILENT_AFTER, Timer::Silent(flow));
        }
        let owes_its_rate = intake.current.flow == flow && intake.owes_its_rate();
        if owes_its_rate {
            self.ask_feed(layer, flow);
        }
        self.learn_path(&key, from, path);
        self.move_if_it_flows(layer);
        self.grant_to_children(layer);
        Ok(())
    }

    pub(super) fn handle_subscribe_err(&mut self, from: NodeId, message: SubscribeErr) {
        let flow = Flow(message.flow);
        let Some((layer, key)) = self.feed_of(from, flow) else {
            self.counters.unexpected_message += 1;
            return;
        };
        self.counters.subscription_refused_by_peer += 1;
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return };
        if intake.second.is_some_and(|second| second.flow == flow) {
            intake.voice.rest(self.now);
            return self.close_second(layer);
        }
        let is_current = intake.current.flow == flow;
        let Some(feed) = intake.feed_mut(from, flow) else { return };
        feed.granted = false;
        let told = Duration::from_millis(message.retry_ms.into()).max(RETRY_MIN);
        let after = told.saturating_mul(1 << feed.refusals.min(DOUBLINGS_MAX)).min(RETRY_MAX);
        feed.refusals += 1;
        let retries = std::mem::replace(&mut feed.retries, true);
        let why: String = message.why.chars().take(REASON_CHARS_MAX).collect();
        if is_current && from != key.1 {
            self.rescue(&key, from, Why::Refused, &format!("the parent refuses: {why}"));
        } else if !is_current {
            self.hedge_elsewhere(&key, from, &format!("the backup refuses: {why}"));
        }
        // Without another parent the layer is asked for again here too.
        if !retries && self.subscriptions.layers_by_flow.contains_key(&flow) {
            self.timers.set(self.now + after, Timer::Retry(flow));
        }
    }

    /// The time to ask once more, if nobody has answered meanwhile.
    pub(super) fn retry_feed(&mut self, flow: Flow) {
        let Some(layer) = self.subscriptions.layers_by_flow.get(&flow).copied() else { return };
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return };
        let Some(feed) = intake.feeds_mut().find(|feed| feed.flow == flow) else { return };
        feed.retries = false;
        if !feed.granted {
            self.ask_feed(layer, flow);
        }
    }

    /// A parent other than the origin may have left a question open for too long.
    pub(super) fn miss_answer(&mut self, flow: Flow) {
        let Some(layer) = self.subscriptions.layers_by_flow.get(&flow) else { return };
        let Some(intake) = self.subscriptions.intakes.get(layer) else { return };
        let Feed { from, granted, .. } = intake.current;
        let is_left_open = intake.current.flow == flow && !granted && from != intake.source.origin;
        if is_left_open && self.can_feed(&from) {
            let key = intake.source.tree();
            self.rescue(&key, from, Why::Unanswered, "the parent does not answer");
            self.timers.set(self.now + ANSWER_WAITS, Timer::Answer(flow));
        }
    }

    /// The first packet of a feed has come.
    pub(super) fn handle_flowing(&mut self, from: NodeId, flow: Flow) {
        let Some((layer, _)) = self.feed_of(from, flow) else { return };
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return };
        let mut missing_since = None;
        if let Some(feed) = intake.feed_mut(from, flow) {
            (feed.flows, feed.flowed) = (true, true);
            missing_since = feed.missing_since.take();
        }
        if let Some(missing_since) = missing_since {
            self.note_gap(missing_since);
        }
        self.move_if_it_flows(layer);
    }

    /// The new feed is taken once it flows and it is known over which nodes: packets may overtake the word of that.
    fn move_if_it_flows(&mut self, layer: TrackLayer) {
        let next = self.subscriptions.intakes.get(&layer).and_then(|intake| intake.next);
        if let Some(next) = next.filter(|next| next.granted && next.flows) {
            self.move_layer(layer, next.flow);
        }
    }

    /// A new feed that was granted has had its time to begin.
    pub(super) fn take_as_silent(&mut self, flow: Flow) {
        let Some(layer) = self.subscriptions.layers_by_flow.get(&flow).copied() else { return };
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return };
        if !intake.next.is_some_and(|next| next.flow == flow && next.granted) {
            return;
        }
        let is_silent = intake.watch.packets(intake.current.flow) == intake.came_before;
        let (key, to) = (intake.source.tree(), intake.next.map(|next| next.from));
        if is_silent || to.is_some_and(|to| self.has_begun(&key, to)) {
            return self.move_layer(layer, flow);
        }
        self.abandon_move(&key, "the planned parent sends nothing of what it grants");
    }

    /// Whether a peer has begun to send anything of a tree.
    fn has_begun(&self, key: &TreeKey, peer: NodeId) -> bool {
        let layers = self.subscriptions.branches.get(key).into_iter().flat_map(|branch| &branch.layers);
        let intakes = layers.filter_map(|layer| self.subscriptions.intakes.get(layer));
        intakes.flat_map(Intake::feeds).any(|feed| feed.from == peer && feed.flows)
    }

    /// The new feed takes the old one's place, which ends.
    fn move_layer(&mut self, layer: TrackLayer, flow: Flow) {
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return };
        let Some(next) = intake.next.take_if(|next| next.flow == flow) else { return };
        let old = std::mem::replace(&mut intake.current, next);
        let key = intake.source.tree();
        self.close_feed(old);
        self.settle(&key);
        self.grant_to_children(layer);
    }

    /// Makes a layer come from where its branch wants it, the old feed staying until the new one flows.
    pub(super) fn steer(&mut self, key: &TreeKey, layer: TrackLayer) {
        let Some(wanted) = self.subscriptions.branches.get(key).map(|branch| branch.wanted_parent()) else { return };
        let Some(intake) = self.subscriptions.intakes.get(&layer) else { return };
        let (current, next) = (intake.current, intake.next);
        if next.is_some_and(|next| next.from == wanted) && current.from != wanted {
            return;
        }
        if next.is_none() && current.from == wanted {
            return;
        }
        let (source, local) = (intake.source.clone(), intake.local);
        let second = self.take_second(layer, wanted);
        let open = || second.unwrap_or_else(|| self.open_feed(layer, &source, local, wanted));
        let replacement = (current.from != wanted).then(open);
        if let Some(intake) = self.subscriptions.intakes.get_mut(&layer) {
            intake.next = replacement;
        }
        if let Some(feed) = replacement {
            self.ask_feed(layer, feed.flow);
        } else if let Some(second) = second {
            self.close_feed(second);
        }
        if let Some(next) = next {
            self.close_feed(next);
        }
        if second.is_some() {
            self.move_if_it_flows(layer);
        }
    }

    /// The old feed is dead: takes the new one, or asks for one, at once.
    pub(super) fn feed_anew(&mut self, layer: TrackLayer, from: NodeId) {
        let Some(intake) = self.subscriptions.intakes.get_mut(&layer) else { return };
        let (old, next) = (intake.current, intake.next.take());
        let (source, local) = (intake.source.clone(), intake.local);
        let second = self.take_second(layer, from);
        let promoted = next.filter(|next| next.from == from).or(second);
        let mut fresh = match promoted {
            Some(feed) => feed,
            None => self.open_feed(layer, &source, local, from),
        };
        let asks = promoted.is_none() || !fresh.flows && fresh.missing_since.is_none();
        if asks {
            fresh.missing_since = self.missing_since(old.from).filter(|_| old.flowed);
        }
        if let Some(intake) = self.subscriptions.intakes.get_mut(&layer) {
            intake.current = fresh;
        }
        if asks || second.is_some() {
            self.ask_feed(layer, fresh.flow);
        }
        for feed in [Some(old), next.filter(|next| next.flow != fresh.flow)].into_iter().flatten() {
            self.close_feed(feed);
        }
    }

    /// The layer and the tree of one of our numbers, if that peer may speak of it.
    fn feed_of(&self, from: NodeId, flow: Flow) -> Option<(TrackLayer, TreeKey)> {
        let layer = *self.subscriptions.layers_by_flow.get(&flow)?;
        let intake = self.subscriptions.intakes.get(&layer)?;
        intake.feeds().any(|feed| (feed.from, feed.flow) == (from, flow)).then(|| (layer, intake.source.tree()))
    }
}

/// Of a peer's sentence this much is told on.
pub(super) const REASON_CHARS_MAX: usize = 120;
