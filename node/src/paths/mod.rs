//! Why is my call bad: the way of media to each participant, with what each link on it does, asked of the nodes that
//! measure it.

mod answering;
mod figures;
mod part;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use origo_auth::{NodeId, RoomKey, TrackSid};
use origo_cascade::View;
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::route::Map;
use origo_node_core::room::Ask;

use crate::rooms::RoomsHandle;
pub use answering::Answering;
pub use figures::{Figures, Hurts, Link};
use part::Part;

/// The call by which a node asks another for its part of a room's paths.
pub const METHOD: &str = "Paths";
/// How long who asks for one track's path waits for others; then gossip's figures do.
const PATIENCE: Duration = Duration::from_millis(500);
/// What a node told of its links serves for this long: a page asks for a path per tile.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// Gives the mesh as this node knows it now.
pub type ViewSource = Arc<dyn Fn() -> BoxFuture<'static, View> + Send + Sync>;

/// What a node measures of its links, and when it said so.
type Told = (Instant, Vec<(NodeId, LinkMetric)>);

/// Finds paths. Cheap to clone.
#[derive(Clone)]
pub struct Paths {
    node: NodeId,
    rooms: RoomsHandle,
    view: ViewSource,
    /// What nodes told of their links of late.
    told: Arc<Mutex<BTreeMap<NodeId, Told>>>,
}

/// A participant, and the way of what it takes.
#[derive(Debug)]
pub struct Subscriber {
    /// Who.
    pub identity: String,
    /// Its node.
    pub node: NodeId,
    /// From each node whose publishers' tracks it takes, the nodes that media passes, both ends included.
    pub paths: Vec<Vec<NodeId>>,
}

/// The paths of a room, on a map that knows what all nodes just told.
#[derive(Debug)]
pub struct RoomPaths {
    /// Everybody in the room.
    pub subscribers: Vec<Subscriber>,
    /// Countries that it stays in; empty for all.
    pub countries: Vec<String>,
    /// Where nodes are, and what links are like.
    pub map: Map,
}

/// The path of one track to this node.
#[derive(Debug)]
pub struct TrackPath {
    /// From its publisher's node to this one.
    pub nodes: Vec<NodeId>,
    /// Countries that the room stays in; empty for all.
    pub countries: Vec<String>,
    /// Where nodes are, and what links are like.
    pub map: Map,
}

impl Paths {
    /// Of a node.
    pub fn new(node: NodeId, rooms: RoomsHandle, view: ViewSource) -> Self {
        Self { node, rooms, view, told: Arc::default() }
    }

    /// The paths of all participants of a room, whichever nodes they are on. None when nobody is in it.
    pub async fn of_room(&self, room: &RoomKey) -> Option<RoomPaths> {
        let View { mut map, branches } = (self.view)().await;
        let others: Vec<NodeId> = map.nodes().map(|node| node.id).filter(|id| *id != self.node).collect();
        let parts =
            join_all(others.iter().map(|node| self.ask(*node, room.project.0.clone(), room.name.clone()))).await;
        let watching = self.rooms.watching(room.clone()).await;
        let countries = watching.countries.clone();
        let mut subscribers = Part::of(room, watching, &branches, Vec::new()).subscribers(self.node);
        for (node, part) in others.into_iter().zip(parts) {
            // Of a node that does not answer, the links are known from gossip, and nobody on it is.
            let Some(part) = part else { continue };
            map.set_metrics(node, &part.links);
            subscribers.extend(part.subscribers(node));
        }
        subscribers.sort_by(|a, b| a.identity.cmp(&b.identity));
        (!subscribers.is_empty()).then_some(RoomPaths { subscribers, countries, map })
    }

    /// The path of a track to this node. None when the room has no such track.
    pub async fn of_track(&self, room: &RoomKey, track: TrackSid) -> Option<TrackPath> {
        let mut nodes = self.rooms.path(room.clone(), track).await?;
        let View { mut map, branches } = (self.view)().await;
        let branch = branches.into_iter().find(|branch| branch.room == *room && nodes.first() == Some(&branch.origin));
        if let Some(branch) = branch.filter(|branch| branch.path.len() > 1 && nodes.len() > 1) {
            nodes = branch.path;
        }
        let asked: BTreeSet<NodeId> = nodes.iter().copied().filter(|node| *node != self.node).collect();
        let told = join_all(asked.iter().map(|node| self.links_of(*node, room))).await;
        for (node, links) in asked.into_iter().zip(told) {
            links.into_iter().for_each(|links| map.set_metrics(node, &links));
        }
        let countries = self.rooms.watching(room.clone()).await.countries;
        Some(TrackPath { nodes, countries, map })
    }

    /// What another node measures of its links now, if it says so soon.
    async fn links_of(&self, node: NodeId, room: &RoomKey) -> Option<Vec<(NodeId, LinkMetric)>> {
        if let Some(links) = self.told_of_late(node) {
            return Some(links);
        }
        let asked = self.ask(node, room.project.0.clone(), String::new());
        let links = tokio::time::timeout(PATIENCE, asked).await.ok()??.links;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, (at, _)| at.elapsed() < FRESH_FOR);
        told.insert(node, (Instant::now(), links.clone()));
        Some(links)
    }

    fn told_of_late(&self, node: NodeId) -> Option<Vec<(NodeId, LinkMetric)>> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(&node).filter(|(at, _)| at.elapsed() < FRESH_FOR).map(|(_, links)| links.clone())
    }

    /// A node's part of a room's paths; of no room its links alone. None when it does not say.
    async fn ask(&self, node: NodeId, project: String, room: String) -> Option<Part> {
        let ask = Ask { id: 0, project, method: METHOD.to_owned(), payload: part::request(room) };
        let answer = self.rooms.admin(Some(node), ask).await;
        let part = Part::decode(&answer.payload).filter(|_| answer.code.is_empty());
        if part.is_none() {
            tracing::debug!(%node, code = answer.code, "a node does not tell its part of a path");
        }
        part
    }
}
