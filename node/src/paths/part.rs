//! What one node knows of a room's paths, as it crosses the mesh: `docs/wire.md`, section 1.

use std::collections::BTreeMap;

use bytes::Bytes;
use origo_auth::{NodeId, RoomKey};
use origo_cascade_core::cascade::BranchReport;
use origo_cascade_core::metric::{LinkMetric, pack, unpack};
use prost::Message;

use super::Subscriber;
use crate::rooms::Watching;

/// Participants and trees of one room on one node: more than a node lets in.
const ENTRIES_MAX: usize = 16_384;
/// Nodes on one path, and trees that one participant takes from; a path is a few hops.
const NODES_MAX: usize = 1_024;

/// One node's part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Participants, with the nodes whose publishers' tracks they take.
    pub watchers: Vec<(String, Vec<NodeId>)>,
    /// By origin, the nodes that its media passes to this one, both included.
    pub paths: BTreeMap<NodeId, Vec<NodeId>>,
    /// What the node measures of its links.
    pub links: Vec<(NodeId, LinkMetric)>,
}

impl Part {
    /// The part of this node.
    pub fn of(room: &RoomKey, watching: Watching, branches: &[BranchReport], links: Vec<(NodeId, LinkMetric)>) -> Self {
        let watchers = watching.watchers.into_iter().map(|(who, origins)| (who.0, origins.into_iter().collect()));
        let of_room = branches.iter().filter(|branch| branch.room == *room);
        let paths = of_room.map(|branch| (branch.origin, branch.path.clone()));
        Self { watchers: watchers.collect(), paths: paths.collect(), links }
    }

    /// The participants on `node`, whose part this is, with their paths. Of a tree that is not known the origin feeds it.
    pub fn subscribers(self, node: NodeId) -> Vec<Subscriber> {
        let path = |origin: &NodeId| match self.paths.get(origin) {
            _ if *origin == node => vec![node],
            Some(path) if path.first() == Some(origin) && path.last() == Some(&node) => path.clone(),
            _ => vec![*origin, node],
        };
        let subscriber = |(identity, origins): &(String, Vec<NodeId>)| Subscriber {
            identity: identity.clone(),
            node,
            paths: origins.iter().map(path).collect(),
        };
        self.watchers.iter().map(subscriber).collect()
    }

    /// As a node answers.
    pub fn encode(&self) -> Bytes {
        let text = |nodes: &[NodeId]| nodes.iter().map(NodeId::to_string).collect();
        let watchers = self.watchers.iter();
        let watchers =
            watchers.map(|(identity, origins)| Watcher { identity: identity.clone(), origins: text(origins) });
        let paths = self.paths.values().map(|path| Path { nodes: text(path) });
        let answer = Answer { watchers: watchers.collect(), paths: paths.collect(), links: pack(&self.links) };
        answer.encode_to_vec().into()
    }

    /// What a node answered. None when it cannot be read or is beyond all bounds; an id that is none is left out.
    pub fn decode(payload: &Bytes) -> Option<Self> {
        let answer = Answer::decode(payload.clone()).ok()?;
        if answer.watchers.len() > ENTRIES_MAX || answer.paths.len() > ENTRIES_MAX {
            return None;
        }
        let nodes = |nodes: Vec<String>| -> Vec<NodeId> {
            nodes.into_iter().take(NODES_MAX).filter_map(|node| node.parse().ok()).collect()
        };
        let paths = answer.paths.into_iter().map(|path| nodes(path.nodes));
        Some(Self {
            watchers: answer.watchers.into_iter().map(|watcher| (watcher.identity, nodes(watcher.origins))).collect(),
            paths: paths.filter_map(|path| Some((*path.first()?, path))).collect(),
            links: unpack(&answer.links),
        })
    }
}

/// The payload that asks for a room; none for the links alone.
pub fn request(room: String) -> Bytes {
    Request { room }.encode_to_vec().into()
}

/// The room that is asked for.
pub fn read_request(payload: &Bytes) -> Option<String> {
    Request::decode(payload.clone()).ok().map(|request| request.room)
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, tag = "1")]
    room: String,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, repeated, tag = "1")]
    watchers: Vec<Watcher>,
    #[prost(message, repeated, tag = "2")]
    paths: Vec<Path>,
    #[prost(string, tag = "3")]
    links: String,
}

#[derive(Clone, PartialEq, Message)]
struct Watcher {
    #[prost(string, tag = "1")]
    identity: String,
    #[prost(string, repeated, tag = "2")]
    origins: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Path {
    #[prost(string, repeated, tag = "1")]
    nodes: Vec<String>,
}
