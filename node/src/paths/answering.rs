//! Tells other nodes this one's part of a room's paths.

use std::sync::Arc;

use origo_auth::{NodeId, RoomKey};
use origo_cascade_core as cascade;
use origo_node_core::room::{Answer, Ask};
use tokio::sync::Semaphore;

use super::ViewSource;
use super::part::{Part, read_request};
use crate::rooms::{ToMesh, Watching};

/// Answers on their way: all nodes of a mesh may ask at once.
const ANSWERS_MAX: usize = 256;

/// The answering half.
#[derive(Clone)]
pub struct Answering {
    view: ViewSource,
    node: NodeId,
    places: Arc<Semaphore>,
}

impl Answering {
    /// Answers for `node` with what `view` knows.
    pub fn new(node: NodeId, view: ViewSource) -> Self {
        Self { view, node, places: Arc::new(Semaphore::new(ANSWERS_MAX)) }
    }

    /// Answers one ask as soon as the mesh has said what it knows; never waits. False when too many wait already.
    pub fn answer(&self, to: NodeId, ask: Ask, watching: impl FnOnce(&RoomKey) -> Watching, mesh: ToMesh) -> bool {
        let Ok(place) = self.places.clone().try_acquire_owned() else { return false };
        let Some(name) = read_request(&ask.payload) else {
            let (code, sentence) = ("malformed".to_owned(), "this is no request for paths".to_owned());
            mesh(cascade::Input::Answer { to, answer: Answer { id: ask.id, code, sentence, ..Answer::default() } });
            return true;
        };
        let room = RoomKey::new(ask.project.as_str(), name);
        let watching = if room.name.is_empty() { Watching::default() } else { watching(&room) };
        let (view, node) = (self.view.clone(), self.node);
        tokio::spawn(async move {
            let view = view().await;
            let links = view.map.metrics_of(node).map(|(peer, metric)| (peer, *metric)).collect();
            let payload = Part::of(&room, watching, &view.branches, links).encode();
            mesh(cascade::Input::Answer { to, answer: Answer { id: ask.id, payload, ..Answer::default() } });
            drop(place);
        });
        true
    }
}
