//! One call done by the nodes that it concerns, and their answers as one.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::join_all;
use livekit_protocol as proto;
use origo_auth::{NodeId, ProjectId, RoomKey};
use origo_cascade_core::home::{homes_of, settled};
use origo_node_core::room::{Answer, Ask};
use prost::Message;

use super::fault::Fault;
use super::method::{Method, Scope, room_of};
use crate::state::AppState;

/// Has a call done; gives the response as protobuf.
pub async fn call(app: &AppState, project: &ProjectId, method: &Method, request: Bytes) -> Result<Bytes, Fault> {
    let call = Call { app, project, method: method.name };
    match (method.scope, method.name) {
        (Scope::Home, "CreateRoom") => call.create_room(request).await,
        (Scope::Home, _) => call.describe_room(request).await,
        (Scope::Owner, _) => call.at_owner(request).await,
        (Scope::All, "ListRooms") => Ok(call.list_rooms(request).await.encode_to_vec().into()),
        (Scope::All, "ListParticipants") => call.list_participants(request).await,
        (Scope::All, _) => first_done(call.at_all(request).await),
    }
}

struct Call<'a> {
    app: &'a AppState,
    project: &'a ProjectId,
    method: &'static str,
}

impl Call<'_> {
    /// This node first, so that what is here costs no round trip.
    fn nodes(&self) -> Vec<NodeId> {
        let others = (self.app.nodes)().into_iter().map(|node| node.id).filter(|id| *id != self.app.node);
        [self.app.node].into_iter().chain(others).collect()
    }

    /// The primary home of a room, then the backup.
    fn homes(&self, room: &str) -> Vec<NodeId> {
        let nodes = (self.app.nodes)();
        let room = RoomKey::new(self.project.0.as_str(), room);
        // Before it has joined the mesh, a node knows nobody, itself neither.
        if nodes.is_empty() { vec![self.app.node] } else { homes_of(&room, &settled(&nodes)) }
    }

    async fn at(&self, node: NodeId, method: &str, request: Bytes) -> Answer {
        let ask = Ask { id: 0, project: self.project.0.clone(), method: method.to_owned(), payload: request };
        self.app.rooms.admin((node != self.app.node).then_some(node), ask).await
    }

    async fn at_all(&self, request: Bytes) -> Vec<Answer> {
        join_all(self.nodes().into_iter().map(|node| self.at(node, self.method, request.clone()))).await
    }

    /// The node that has the participant: this one, or whichever knows it.
    async fn at_owner(&self, request: Bytes) -> Result<Bytes, Fault> {
        let here = self.at(self.app.node, self.method, request.clone()).await;
        if here.code != "not_found" {
            return first_done(vec![here]);
        }
        let others = self.nodes().into_iter().skip(1);
        let others = join_all(others.map(|node| self.at(node, self.method, request.clone()))).await;
        first_done([here].into_iter().chain(others).collect())
    }

    /// Rooms of all nodes. Each node counts everybody in its rooms, so that the highest count is the newest.
    async fn list_rooms(&self, request: Bytes) -> proto::ListRoomsResponse {
        let ask = |node| self.at(node, "ListRooms", request.clone());
        let answers = join_all(self.nodes().into_iter().map(ask)).await;
        let mut rooms: BTreeMap<String, proto::Room> = BTreeMap::new();
        for answer in answers {
            let read = proto::ListRoomsResponse::decode(&answer.payload[..]).unwrap_or_default();
            for room in read.rooms {
                let known = rooms.entry(room.name.clone()).or_insert_with(|| room.clone());
                if room.num_participants > known.num_participants {
                    *known = room;
                }
            }
        }
        proto::ListRoomsResponse { rooms: rooms.into_values().collect() }
    }

    async fn list_participants(&self, request: Bytes) -> Result<Bytes, Fault> {
        let mut merged: BTreeMap<String, proto::ParticipantInfo> = BTreeMap::new();
        for answer in self.at_all(request).await {
            let read = proto::ListParticipantsResponse::decode(&answer.payload[..]).unwrap_or_default();
            for participant in read.participants {
                merged.insert(participant.identity.clone(), participant);
            }
        }
        let participants = merged.into_values().collect();
        Ok(proto::ListParticipantsResponse { participants }.encode_to_vec().into())
    }

    async fn find_room(&self, name: &str) -> Option<proto::Room> {
        let request = proto::ListRoomsRequest { names: vec![name.to_owned()] };
        self.list_rooms(request.encode_to_vec().into()).await.rooms.into_iter().next()
    }

    /// A room that lives is answered as it is. A new one waits on its two homes for somebody to come.
    async fn create_room(&self, request: Bytes) -> Result<Bytes, Fault> {
        let name = room_of(&request)?;
        if let Some(room) = self.find_room(&name).await {
            return Ok(room.encode_to_vec().into());
        }
        let homes = self.homes(&name);
        let primary = *homes.first().ok_or_else(|| Fault::unavailable("the room has no home"))?;
        let made = first_done(vec![self.at(primary, "CreateRoom", request).await])?;
        for backup in homes.into_iter().skip(1) {
            // Without the backup the room still stands on its primary home.
            self.at(backup, "Keep", made.clone()).await;
        }
        Ok(made)
    }

    /// The primary home numbers the change and tells the others.
    async fn describe_room(&self, request: Bytes) -> Result<Bytes, Fault> {
        let read = proto::UpdateRoomMetadataRequest::decode(&request[..]);
        let read = read.map_err(|error| Fault::malformed(error.to_string()))?;
        let found = self.find_room(&read.room).await.ok_or_else(|| Fault::not_found("there is no such room"))?;
        let primary = *self.homes(&read.room).first().ok_or_else(|| Fault::unavailable("the room has no home"))?;
        first_done(vec![self.at(primary, "UpdateRoomMetadata", request).await])?;
        Ok(proto::Room { metadata: read.metadata, ..found }.encode_to_vec().into())
    }
}

/// The response of a node that has done it; else what says most about why none has.
fn first_done(answers: Vec<Answer>) -> Result<Bytes, Fault> {
    if let Some(done) = answers.iter().find(|answer| answer.code.is_empty()) {
        return Ok(done.payload.clone());
    }
    // A node that is not reached may be the one that has what the others do not find.
    let failed = answers.iter().find(|answer| answer.code != "not_found").or(answers.first());
    Err(failed.map_or_else(|| Fault::unavailable("no node answers"), Fault::of))
}
