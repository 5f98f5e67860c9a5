//! Webhooks: an application's servers hear what happens in its rooms, signed, in order for each room, at least once.
//!
//! The node of a participant puts what happens into a queue on disk and hands it to the room's home, which adds where
//! the room begins and ends and sends it. Nothing here ever holds signaling up.

mod client;
mod event;
mod home;
mod lane;
mod queue;
mod task;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use origo_auth::NodeId;
use origo_cascade_core::Node;
use origo_node_core::room::{Ask, Notice};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use client::trusting;

use crate::config::{LiveKeys, Webhooks as Settings};
use crate::rooms::{RoomsHandle, ToMesh};

/// Notices that wait to be written to disk: some seconds of a busy node.
const NOTICES_MAX: usize = 8_192;
/// The call by which a node hands an event to the room's home.
pub const HAND_EVENT: &str = "Webhook";
/// The call by which a home hands a room to its new home.
pub const HAND_ROOM: &str = "WebhookRoom";

/// What the webhooks task takes in.
pub enum Message {
    /// Something happened on this node.
    Notice(Box<Notice>),
    /// Another node hands something over.
    Asked(NodeId, Ask),
    /// An event of this node's own queue comes to this node as the room's home; answered when it is on disk.
    Home(Box<lane::Handed>, oneshot::Sender<()>),
    /// A room has another home now, which has taken it.
    Moved(String),
    /// The node ends: what came before this is kept.
    Stop,
    /// The new home of a room did not take it in time.
    Stays(String),
}

/// The way to the webhooks task. Cheap to clone.
#[derive(Clone)]
pub struct Inlet(mpsc::Sender<Message>, Arc<Counts>);

/// The other end, to be given to [`start`].
pub struct Outlet(mpsc::Receiver<Message>, mpsc::Sender<Message>, Arc<Counts>);

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    expired: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// (result, count) since the start.
    pub results: [(&'static str, u64); 4],
    /// Events on disk.
    pub waiting: u64,
}

/// What the task works with.
pub struct Parts {
    /// This node.
    pub node: NodeId,
    /// What the operator asked for.
    pub settings: Settings,
    /// The API keys that count right now.
    pub keys: LiveKeys,
    /// To ask other nodes.
    pub rooms: RoomsHandle,
    /// To answer other nodes.
    pub ask: ToMesh,
    /// The living nodes.
    pub nodes: Arc<dyn Fn() -> Vec<Node> + Send + Sync>,
}

/// The running task, to be ended.
pub struct Running {
    task: JoinHandle<()>,
    inlet: mpsc::Sender<Message>,
}

impl Running {
    /// Ends the task once it has written what came before. What is not delivered is delivered after the next start.
    pub async fn stop(self) {
        // Fails only when the task is gone already.
        let _ = self.inlet.send(Message::Stop).await;
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the webhooks task broke");
        }
    }
}

/// A way in and out.
pub fn channel() -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::channel(NOTICES_MAX);
    let counts = Arc::<Counts>::default();
    (Inlet(sender.clone(), counts.clone()), Outlet(receiver, sender, counts))
}

/// Starts the task; its queue is in `folder`.
pub fn start(outlet: Outlet, parts: Parts, folder: &Path) -> anyhow::Result<Running> {
    let Outlet(messages, inlet, counts) = outlet;
    let queue = queue::Queue::open(folder)?;
    let home = home::Home::open(queue.tree("rooms")?, Instant::now())?;
    let mine = queue.tree("participants")?;
    let sender = lane::Sender::new(&parts, queue.clone(), inlet.clone(), counts.clone())?;
    let task = tokio::spawn(task::Task::new(parts, queue, home, mine, sender, counts).run(messages));
    Ok(Running { task, inlet })
}

impl Inlet {
    /// Never waits: what does not fit is dropped and counted.
    pub fn put(&self, message: Message) {
        if self.0.try_send(message).is_err() {
            self.1.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.1;
        let results = [
            ("delivered", read(&counts.delivered)),
            ("failed", read(&counts.failed)),
            ("expired", read(&counts.expired)),
            ("dropped", read(&counts.dropped)),
        ];
        Stats { results, waiting: read(&counts.waiting) }
    }
}
