//! Emptying one lane of the queue: to a receiver, or to the room's home.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use livekit_protocol::WebhookEvent;
use origo_auth::{NodeId, RoomKey};
use origo_cascade_core::Node;
use origo_cascade_core::home::{homes_of, settled};
use origo_node_core::room::Ask;
use prost::Message as _;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::client::Client;
use super::event::proof;
use super::queue::{Lane, Queue};
use super::{Counts, HAND_EVENT, Message, Parts};
use crate::config::{LiveKeys, Webhooks as Settings};
use crate::http::unix_now;
use crate::rooms::RoomsHandle;

/// How long a receiver may take.
const POST_TIMEOUT: Duration = Duration::from_secs(5);
/// A node that has just started does not know all others yet and would take itself for the home of every room.
const SETTLES: Duration = Duration::from_secs(3);
/// Deliveries at a time to one receiver: one that hangs holds up nobody else's.
const AT_A_TIME: usize = 16;
/// Waits between attempts: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(30);
/// An event that nobody took for this long is given up, seconds.
const KEEP_SECONDS: i64 = 24 * 3_600;

/// An event on its way to the room's home.
pub struct Handed {
    /// The node of the participant.
    pub owner: NodeId,
    /// The room.
    pub room: RoomKey,
    /// The event.
    pub event: WebhookEvent,
}

/// Empties lanes.
pub struct Sender {
    /// When other nodes are known, and with them the homes.
    settled: Instant,
    node: NodeId,
    settings: Settings,
    keys: LiveKeys,
    rooms: RoomsHandle,
    nodes: Arc<dyn Fn() -> Vec<Node> + Send + Sync>,
    queue: Queue,
    inlet: mpsc::Sender<Message>,
    client: Client,
    /// By URL.
    slots: BTreeMap<String, Semaphore>,
    counts: Arc<Counts>,
}

impl Sender {
    /// One for all lanes of a node.
    pub fn new(
        parts: &Parts,
        queue: Queue,
        inlet: mpsc::Sender<Message>,
        counts: Arc<Counts>,
    ) -> anyhow::Result<Arc<Self>> {
        let receivers = parts.settings.receivers.iter();
        Ok(Arc::new(Self {
            settled: Instant::now() + SETTLES,
            node: parts.node,
            settings: parts.settings.clone(),
            keys: parts.keys.clone(),
            rooms: parts.rooms.clone(),
            nodes: parts.nodes.clone(),
            queue,
            inlet,
            client: Client::new(&parts.settings.authorities)?,
            slots: receivers.map(|receiver| (receiver.url.clone(), Semaphore::new(AT_A_TIME))).collect(),
            counts,
        }))
    }

    /// The primary home of a room.
    pub fn home(&self, room: &RoomKey) -> NodeId {
        let nodes = (self.nodes)();
        let is_known = nodes.iter().any(|node| node.id == self.node);
        let homes = settled(&nodes).into_iter().chain((!is_known).then_some(self.node));
        homes_of(room, &homes.collect::<Vec<_>>()).first().copied().unwrap_or(self.node)
    }

    /// Delivers a lane's events one after the other until it is empty.
    pub async fn empty(&self, lane: &Lane) -> anyhow::Result<()> {
        let mut wait = RETRY_FIRST;
        while let Some((key, event)) = self.queue.first(lane)? {
            let outcome = match &lane.url {
                Some(url) if !self.is_asked_for(url, lane) => {
                    tracing::info!(url, id = event.id, "nobody hears of this any more: a webhook is dropped");
                    self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                    self.queue.remove(&key)?;
                    continue;
                }
                Some(url) => self.post(url, &lane.project, &event).await,
                None => self.hand_over(lane, event.clone()).await,
            };
            let is_expired = unix_now() as i64 - event.created_at > KEEP_SECONDS;
            let count = match &outcome {
                Ok(()) if lane.url.is_some() => Some(&self.counts.delivered),
                Ok(()) => None,
                Err(_) if is_expired => Some(&self.counts.expired),
                Err(_) => Some(&self.counts.failed),
            };
            if let Some(count) = count {
                count.fetch_add(1, Ordering::Relaxed);
            }
            if outcome.is_ok() || is_expired {
                self.queue.remove(&key)?;
                wait = RETRY_FIRST;
                continue;
            }
            if let Err(error) = outcome {
                tracing::debug!(?lane, id = event.id, %error, "a webhook is not taken");
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_LAST);
        }
        Ok(())
    }

    /// Hands a room to its new home; the task hears when it has it. One that does not take it is asked again.
    pub fn hand_room(&self, home: NodeId, sid: String, ask: Ask) {
        let (rooms, inlet) = (self.rooms.clone(), self.inlet.clone());
        tokio::spawn(async move {
            let mut wait = RETRY_FIRST;
            while !rooms.admin(Some(home), ask.clone()).await.code.is_empty() {
                if wait > RETRY_LAST {
                    let _ = inlet.send(Message::Stays(sid)).await;
                    return;
                }
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            // Fails only when the node ends.
            let _ = inlet.send(Message::Moved(sid)).await;
        });
    }

    /// Whether the settings still name a lane's receiver.
    fn is_asked_for(&self, url: &str, lane: &Lane) -> bool {
        self.settings.of(&lane.project).any(|receiver| receiver.url == url)
    }

    async fn post(&self, url: &str, project: &str, event: &WebhookEvent) -> anyhow::Result<()> {
        let receiver = self.settings.of(project).find(|receiver| receiver.url == url);
        let (receiver, slots) = receiver.zip(self.slots.get(url)).ok_or_else(|| anyhow::anyhow!("no such receiver"))?;
        // The semaphore is never closed.
        let _slot = slots.acquire().await?;
        let body = Bytes::from(serde_json::to_vec(event)?);
        let keys = self.keys.current();
        let key = &receiver.api_key;
        let secret = &keys.0.get(key).ok_or_else(|| anyhow::anyhow!("there is no API key {key} any more"))?.secret;
        let proof = proof(key, secret, &body, unix_now());
        let status = tokio::time::timeout(POST_TIMEOUT, self.client.post(url, &proof, body)).await??;
        anyhow::ensure!((200..300).contains(&status), "the receiver answers {status}");
        Ok(())
    }

    async fn hand_over(&self, lane: &Lane, event: WebhookEvent) -> anyhow::Result<()> {
        tokio::time::sleep_until(self.settled).await;
        let room = RoomKey::new(lane.project.as_str(), lane.room.as_str());
        let home = self.home(&room);
        if home == self.node {
            let (done, taken) = oneshot::channel();
            self.inlet.send(Message::Home(Box::new(Handed { owner: self.node, room, event }), done)).await?;
            return Ok(taken.await?);
        }
        let (project, payload) = (lane.project.clone(), event.encode_to_vec().into());
        let ask = Ask { id: 0, project, method: HAND_EVENT.into(), payload };
        let answer = self.rooms.admin(Some(home), ask).await;
        anyhow::ensure!(answer.code.is_empty(), "{home} answers {}: {}", answer.code, answer.sentence);
        Ok(())
    }
}
