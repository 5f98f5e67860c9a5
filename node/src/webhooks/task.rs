//! The task that writes events to disk before anybody relies on them, and keeps a sender at each lane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use livekit_protocol::participant_info::State;
use livekit_protocol::{Room, WebhookEvent};
use origo_auth::{NodeId, RoomKey};
use origo_cascade_core as cascade;
use origo_node_core::room::{Answer, Ask, Notice};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

use super::event::id_of;
use super::home::{Home, LiveRoom};
use super::lane::{Handed, Sender};
use super::queue::{Lane, Queue};
use super::{Counts, HAND_EVENT, HAND_ROOM, Message, Parts};
use crate::http::unix_now;

/// Messages that one write to disk serves.
const BATCH: usize = 256;
/// How often ends of rooms and of nodes are looked for.
const TICK: Duration = Duration::from_millis(500);
/// A node that is gone for this long has lost its participants; the cascade waits as long, and somewhat.
const NODE_LOST: Duration = Duration::from_secs(25);

/// The running task.
pub struct Task {
    parts: Parts,
    queue: Queue,
    home: Home,
    /// This node's participants that have joined, each with its event: what a killed process leaves is told as gone.
    mine: sled::Tree,
    sender: Arc<Sender>,
    counts: Arc<Counts>,
    /// Lanes at which a sender is.
    busy: BTreeSet<Lane>,
    /// Lanes that hold something and have no sender yet.
    ready: BTreeSet<Lane>,
    /// Nodes that have people in rooms and do not live, since when.
    lost: BTreeMap<NodeId, Instant>,
    /// Rooms on their way to another home.
    moving: BTreeSet<String>,
}

/// What is due once the disk has everything.
enum Due {
    Answer(NodeId, Answer),
    Done(oneshot::Sender<()>),
}

impl Task {
    /// Takes over what an earlier process has left.
    pub fn new(
        parts: Parts,
        queue: Queue,
        home: Home,
        mine: sled::Tree,
        sender: Arc<Sender>,
        counts: Arc<Counts>,
    ) -> Self {
        let ready = queue.lanes().into_iter().collect();
        let (busy, lost, moving) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        Self { parts, queue, home, mine, sender, counts, busy, ready, lost, moving }
    }

    /// Runs as long as the node. A disk that fails ends it: events that cannot be kept would be lost without a word.
    pub async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        if let Err(error) = self.serve(&mut messages).await {
            tracing::error!(%error, "webhooks end: their queue cannot be kept");
        }
    }

    async fn serve(&mut self, messages: &mut mpsc::Receiver<Message>) -> anyhow::Result<()> {
        let (emptied, mut idle) = mpsc::unbounded_channel();
        self.tell_of_former_participants()?;
        let mut batch = Vec::with_capacity(BATCH);
        let mut tick = tokio::time::interval(TICK);
        loop {
            let (mut due, mut ends) = (Vec::new(), false);
            tokio::select! {
                count = messages.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return Ok(());
                    }
                    for message in batch.drain(..) {
                        ends |= matches!(message, Message::Stop);
                        due.extend(self.handle(message)?);
                    }
                }
                Some(lane) = idle.recv() => self.rest(lane)?,
                _ = tick.tick() => self.look_around()?,
            }
            self.queue.flush().await?;
            if ends {
                return Ok(());
            }
            for due in due {
                self.settle(due);
            }
            self.start_senders(&emptied);
            self.counts.waiting.store(self.queue.len() as u64, Ordering::Relaxed);
        }
    }

    fn settle(&self, due: Due) {
        match due {
            Due::Answer(to, answer) => (self.parts.ask)(cascade::Input::Answer { to, answer }),
            // Whoever waits no longer hands it over again.
            Due::Done(done) => drop(done.send(())),
        }
    }

    fn handle(&mut self, message: Message) -> anyhow::Result<Option<Due>> {
        match message {
            Message::Notice(notice) => self.note_own(&notice.room, notice.event).map(|()| None),
            Message::Home(handed, done) => self.take(&handed).map(|()| Some(Due::Done(done))),
            Message::Asked(from, ask) => {
                let answer = self.asked(from, &ask)?;
                Ok(Some(Due::Answer(from, answer)))
            }
            Message::Stop => Ok(None),
            Message::Stays(sid) => {
                self.moving.remove(&sid);
                Ok(None)
            }
            Message::Moved(sid) => {
                self.moving.remove(&sid);
                self.home.forget(&sid).map(|_| None)
            }
        }
    }

    /// Something happened on this node: it goes to the room's home.
    fn note_own(&mut self, room: &RoomKey, mut event: WebhookEvent) -> anyhow::Result<()> {
        if !self.is_heard(&room.project.0) {
            return Ok(());
        }
        event.id = id_of(&event);
        let sid = event.participant.as_ref().map_or("", |participant| &participant.sid);
        // Sids are unique by themselves and have one length, so that what follows is the project.
        let key = format!("{sid}{}", room.project.0);
        match event.event.as_str() {
            "participant_joined" => drop(self.mine.insert(key, event.encode_to_vec())?),
            "participant_left" => drop(self.mine.remove(key)?),
            Notice::MOVED => {
                self.mine.remove(key)?;
                return Ok(());
            }
            _ => {}
        }
        self.push(None, room, &event)
    }

    /// Participants of a process that was killed are gone.
    fn tell_of_former_participants(&mut self) -> anyhow::Result<()> {
        let former: Vec<_> = self.mine.iter().collect::<Result<_, _>>()?;
        for (key, body) in former {
            let event = WebhookEvent::decode(&body[..]).unwrap_or_default();
            let key = String::from_utf8_lossy(&key);
            let sid = event.participant.as_ref().map_or("", |participant| &participant.sid);
            let Some(project) = key.strip_prefix(sid).map(str::to_owned) else { continue };
            let name = event.room.as_ref().map(|room| room.name.clone()).unwrap_or_default();
            self.note_own(&RoomKey::new(project, name), left(event))?;
        }
        Ok(())
    }

    /// Whether anybody hears of a project's rooms.
    fn is_heard(&self, project: &str) -> bool {
        self.parts.settings.of(project).next().is_some()
    }

    fn asked(&mut self, from: NodeId, ask: &Ask) -> anyhow::Result<Answer> {
        let mut answer = Answer { id: ask.id, ..Answer::default() };
        let is_ours = self.is_heard(&ask.project);
        let taken = match ask.method.as_str() {
            HAND_EVENT if is_ours => match WebhookEvent::decode(&ask.payload[..]) {
                Ok(event) => {
                    let name = event.room.as_ref().map(|room| room.name.clone()).unwrap_or_default();
                    self.take(&Handed { owner: from, room: RoomKey::new(ask.project.as_str(), name), event })?;
                    true
                }
                Err(_) => false,
            },
            HAND_ROOM if is_ours => match LiveRoom::decode(&ask.payload[..]) {
                Ok(room) => {
                    self.home.adopt(Instant::now(), room)?;
                    true
                }
                Err(_) => false,
            },
            _ => false,
        };
        if !taken {
            (answer.code, answer.sentence) = ("invalid_argument".into(), "this is no webhook of ours".into());
        }
        Ok(answer)
    }

    /// This node is the room's home: the event goes to all receivers, after the room's beginning.
    fn take(&mut self, handed: &Handed) -> anyhow::Result<()> {
        let Handed { owner, room, event } = handed;
        if self.home.goes_on(*owner, event) {
            tracing::debug!(id = event.id, %owner, "a participant that is told to have left is on another node by now");
            return Ok(());
        }
        if let Some(mut started) = self.home.note(Instant::now(), *owner, &room.project.0, event)? {
            started.id = id_of(&started);
            self.push_to_all(room, &started)?;
        }
        self.push_to_all(room, event)
    }

    fn push_to_all(&mut self, room: &RoomKey, event: &WebhookEvent) -> anyhow::Result<()> {
        let urls: Vec<_> = self.parts.settings.of(&room.project.0).map(|receiver| receiver.url.clone()).collect();
        urls.into_iter().try_for_each(|url| self.push(Some(url), room, event))
    }

    fn push(&mut self, url: Option<String>, room: &RoomKey, event: &WebhookEvent) -> anyhow::Result<()> {
        let lane = Lane { url, project: room.project.0.clone(), room: room.name.clone() };
        let gone = self.queue.push(&lane, event)?;
        if gone > 0 {
            tracing::warn!(gone, "the queue of webhooks is full: its oldest events are lost");
            self.counts.dropped.fetch_add(gone as u64, Ordering::Relaxed);
        }
        if !self.busy.contains(&lane) {
            self.ready.insert(lane);
        }
        Ok(())
    }

    /// A sender has emptied its lane. Something may have come while it said so.
    fn rest(&mut self, lane: Lane) -> anyhow::Result<()> {
        self.busy.remove(&lane);
        if self.queue.first(&lane)?.is_some() {
            self.ready.insert(lane);
        }
        Ok(())
    }

    fn start_senders(&mut self, emptied: &mpsc::UnboundedSender<Lane>) {
        for lane in std::mem::take(&mut self.ready) {
            self.busy.insert(lane.clone());
            let (sender, emptied) = (self.sender.clone(), emptied.clone());
            tokio::spawn(async move {
                if let Err(error) = sender.empty(&lane).await {
                    tracing::error!(?lane, %error, "a lane of webhooks cannot be read");
                }
                // Fails only when the node ends.
                let _ = emptied.send(lane);
            });
        }
    }

    fn look_around(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for ended in self.home.take_ended(now)? {
            let Some(room) = ended.room else { continue };
            let key = RoomKey::new(ended.project, room.name.as_str());
            let mut event = WebhookEvent {
                event: "room_finished".into(),
                room: Some(Room { num_participants: 0, num_publishers: 0, ..room }),
                created_at: unix_now() as i64,
                ..WebhookEvent::default()
            };
            event.id = id_of(&event);
            self.push_to_all(&key, &event)?;
        }
        self.bury_the_lost(now)?;
        self.move_rooms();
        Ok(())
    }

    /// Nobody else tells that the participants of a dead node are gone.
    fn bury_the_lost(&mut self, now: Instant) -> anyhow::Result<()> {
        let alive: BTreeSet<NodeId> =
            (self.parts.nodes)().into_iter().map(|node| node.id).chain([self.parts.node]).collect();
        self.lost.retain(|node, _| !alive.contains(node));
        let mut gone = Vec::new();
        for live in self.home.rooms().values() {
            for person in live.people.values() {
                let Ok(owner) = <[u8; 16]>::try_from(&person.owner[..]).map(NodeId) else { continue };
                if alive.contains(&owner) || now - *self.lost.entry(owner).or_insert(now) < NODE_LOST {
                    continue;
                }
                let (room, participant) = (live.room.clone(), person.info.clone());
                gone.push((owner, live.project.clone(), WebhookEvent { room, participant, ..WebhookEvent::default() }));
            }
        }
        for (owner, project, event) in gone {
            let name = event.room.as_ref().map(|room| room.name.clone()).unwrap_or_default();
            let mut event = left(event);
            event.id = id_of(&event);
            self.take(&Handed { owner, room: RoomKey::new(project, name), event })?;
        }
        Ok(())
    }

    /// Rooms whose home is another node by now are handed over.
    fn move_rooms(&mut self) {
        for (sid, live) in self.home.rooms() {
            let name = live.room.as_ref().map_or("", |room| &room.name);
            let home = self.sender.home(&RoomKey::new(live.project.as_str(), name));
            if home == self.parts.node || !self.moving.insert(sid.clone()) {
                continue;
            }
            let (project, payload) = (live.project.clone(), live.encode_to_vec().into());
            self.sender.hand_room(home, sid.clone(), Ask { id: 0, project, method: HAND_ROOM.into(), payload });
        }
    }
}

/// That the participant of an event has left.
fn left(event: WebhookEvent) -> WebhookEvent {
    let mut event =
        WebhookEvent { event: "participant_left".into(), created_at: unix_now() as i64, track: None, ..event };
    if let Some(participant) = &mut event.participant {
        participant.state = State::Disconnected as i32;
        participant.tracks.clear();
    }
    event
}
