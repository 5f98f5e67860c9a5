//! The drain itself: tells the cluster, sends people on in waves, and says when nothing is left.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use origo_auth::NodeId;
use origo_cascade::Mesh;
use origo_cascade_core::Node;
use origo_cascade_core::route::{Place, rank};
use origo_node_core::room::Refuge;

use super::admin::Admin;
use super::order::Order;
use super::state::Left;

/// How often people are sent on and what is left is counted.
const TICK: Duration = Duration::from_millis(100);
/// People that are sent on at a time: 400 a second, which their next nodes take without a queue.
const WAVE: usize = 40;
/// Before the first is sent on, the cluster hears of it, so that nobody is sent from one node that drains to another.
const HEARD_BY: Duration = Duration::from_millis(700);

/// What a drain works with.
pub struct Moving {
    /// Orders and counts.
    pub admin: Admin,
    /// Where people go on.
    pub refuges: Refuges,
    /// Tells the cluster.
    pub mesh: Weak<Mesh>,
}

/// Waits for orders and carries them out; gives what is left when the node is to end.
pub async fn run(moving: Moving) -> Left {
    let mut orders = moving.admin.orders.follow();
    loop {
        while orders.borrow_and_update().is_none() {
            // The sender lives as long as `moving`.
            let _ = orders.changed().await;
        }
        moving.tell(true).await;
        if let Some(left) = moving.drain().await {
            return left;
        }
        tracing::info!("the node is not to drain any more");
        moving.tell(false).await;
    }
}

impl Moving {
    async fn tell(&self, draining: bool) {
        if let Some(mesh) = self.mesh.upgrade() {
            mesh.set_draining(draining);
        }
        if draining {
            self.admin.rooms.drain(self.refuges.now(), 0).await;
        } else {
            self.admin.rooms.undrain().await;
        }
    }

    /// Gives what is left at the end; none when the order was taken back.
    async fn drain(&self) -> Option<Left> {
        let left = self.admin.left().await;
        let Left { people, over_http, rooms, webhooks } = left;
        tracing::info!(people, over_http, rooms, webhooks, "the node drains");
        loop {
            let Order { since, deadline } = self.admin.orders.current()?;
            let (now, left) = (Instant::now(), self.admin.left().await);
            if left.is_nothing() || now >= deadline {
                return Some(left);
            }
            let people = if now >= since + HEARD_BY { WAVE } else { 0 };
            self.admin.rooms.drain(self.refuges.now(), people).await;
            tokio::time::sleep(TICK.min(deadline.saturating_duration_since(now))).await;
        }
    }
}

/// Where people of this node go on.
#[derive(Clone)]
pub struct Refuges {
    /// This node.
    pub node: NodeId,
    /// Where it stands.
    pub place: Place,
    /// The living nodes.
    pub nodes: Arc<dyn Fn() -> Vec<Node> + Send + Sync>,
}

impl Refuges {
    /// For those who are here, the best first: other nodes near this one that have room; if none has, full ones, which let
    /// people of the mesh in.
    pub fn now(&self) -> Vec<Refuge> {
        let with_room = self.for_newcomers();
        if with_room.is_empty() { self.of_nodes(|node| !node.draining) } else { with_room }
    }

    /// For newcomers: those that have room alone.
    pub fn for_newcomers(&self) -> Vec<Refuge> {
        self.of_nodes(Node::takes_sessions)
    }

    fn of_nodes(&self, is_meant: fn(&Node) -> bool) -> Vec<Refuge> {
        let mut nodes = (self.nodes)();
        nodes.retain(|node| node.id != self.node && is_meant(node));
        let ranked = rank(Some(self.place), self.node, &nodes);
        let refuge = |node: Node| Refuge { node: node.id, region: node.region, url: node.url, country: node.country };
        ranked.into_iter().map(|ranked| refuge(ranked.node)).collect()
    }
}
