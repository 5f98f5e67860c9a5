//! The server API's calls, as far as one node alone can answer them: about its own participants, and about rooms of
//! which it is a home.
//!
//! A front-end asks the nodes that it concerns and merges their answers.

mod participants;
mod reserved;

use bytes::Bytes;
use livekit_protocol as proto;
use origo_auth::{Identity, RoomKey};
use origo_cascade_core as cascade;
use prost::Message;

pub use origo_cascade_core::cascade::{Answer, Ask};
pub(super) use reserved::Reservations;
use reserved::Stays;

use super::context::Context;
use super::room::Room;
use super::{Rooms, info, limits};

/// Why a call is not done here. The code is Twirp's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// This node has no such room, participant or track.
    #[error("{0} is not here")]
    NotFound(&'static str),
    /// The request says what cannot be.
    #[error("malformed {0}")]
    InvalidArgument(&'static str),
    /// What it would change is not so that it could be changed.
    #[error("{0}")]
    FailedPrecondition(&'static str),
    /// Something is longer or more than is taken.
    #[error("{what} is more than {max}")]
    TooMuch {
        /// What.
        what: &'static str,
        /// How much is taken.
        max: usize,
    },
    /// No such method.
    #[error("this node knows no such method")]
    Unimplemented,
}

impl AdminError {
    /// Twirp's word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::InvalidArgument(_) => "invalid_argument",
            Self::FailedPrecondition(_) => "failed_precondition",
            Self::TooMuch { .. } => "resource_exhausted",
            Self::Unimplemented => "unimplemented",
        }
    }
}

type Outcome = Result<Vec<u8>, AdminError>;

impl Rooms {
    /// Does what a call of the server API asks, as far as it concerns this node. Afterwards poll until
    /// [`Output::Timeout`](super::Output::Timeout).
    pub(super) fn admin(&mut self, ask: &Ask) -> Answer {
        match self.dispatch(ask) {
            Ok(payload) => Answer { id: ask.id, payload: payload.into(), ..Answer::default() },
            Err(error) => {
                tracing::debug!(method = ask.method, %error, "a call of the server API is not done here");
                Answer { id: ask.id, code: error.code().into(), sentence: error.to_string(), payload: Bytes::new() }
            }
        }
    }

    fn dispatch(&mut self, ask: &Ask) -> Outcome {
        let project = ask.project.as_str();
        match ask.method.as_str() {
            "ListRooms" => self.list_rooms(project, &read(&ask.payload)?),
            "CreateRoom" => self.create_room(project, read(&ask.payload)?),
            "Keep" => self.keep_room(project, &read(&ask.payload)?, read::<Stays>(&ask.payload)?.span()),
            "DeleteRoom" => self.delete_room(project, &read(&ask.payload)?),
            "UpdateRoomMetadata" => self.describe_room(project, read(&ask.payload)?),
            "ListParticipants" => self.list_participants(project, &read(&ask.payload)?),
            "GetParticipant" => self.get_participant(project, read(&ask.payload)?),
            "RemoveParticipant" => self.remove_participant(project, read(&ask.payload)?),
            "MutePublishedTrack" => self.mute_published_track(project, read(&ask.payload)?),
            "UpdateParticipant" => self.update_participant(project, read(&ask.payload)?),
            "UpdateSubscriptions" => self.update_subscriptions(project, read(&ask.payload)?),
            "SendData" => self.send_data(project, read(&ask.payload)?),
            _ => Err(AdminError::Unimplemented),
        }
    }

    /// Rooms with local participants, and those that wait for somebody here as their home.
    fn list_rooms(&mut self, project: &str, request: &proto::ListRoomsRequest) -> Outcome {
        let is_meant =
            |key: &RoomKey| key.project.0 == project && (request.names.is_empty() || request.names.contains(&key.name));
        let now = self.context.now;
        let live = self.rooms.iter().filter(|(key, _)| is_meant(key)).map(|(_, room)| room.info());
        let waiting = self.reservations.living(now).filter(|record| is_meant(&record.room));
        let waiting = waiting.filter(|record| !self.rooms.contains_key(&record.room));
        let rooms = live.chain(waiting.map(|record| info::room(record, 0, 0))).take(limits::ROOMS_LISTED_MAX);
        Ok(proto::ListRoomsResponse { rooms: rooms.collect() }.encode_to_vec())
    }

    /// Ends the room here: everybody leaves with ROOM_DELETED, and the next of that name is another room.
    fn delete_room(&mut self, project: &str, request: &proto::DeleteRoomRequest) -> Outcome {
        let key = RoomKey::new(project, request.room.as_str());
        let was_waiting = self.reservations.delete(&key, self.context.now);
        self.context.mesh(cascade::Input::Release(key.clone()));
        let was_live = self.in_room(&key, |room, cx| {
            let everybody: Vec<Identity> = room.locals.keys().cloned().collect();
            for identity in everybody {
                room.remove(cx, &identity, proto::DisconnectReason::RoomDeleted, Some(DISCONNECT));
            }
        });
        if was_waiting || was_live.is_some() {
            Ok(proto::DeleteRoomResponse::default().encode_to_vec())
        } else {
            Err(AdminError::NotFound("the room"))
        }
    }

    /// Does something with a local participant.
    fn with_local<T>(
        &mut self,
        project: &str,
        room: String,
        identity: String,
        act: impl FnOnce(&mut Room, &mut Context, &Identity) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        let (key, identity) = (RoomKey::new(project, room), Identity(identity));
        let acted = self.in_room(&key, |room, cx| match room.is_served(&identity) {
            true => act(room, cx, &identity),
            false => Err(AdminError::NotFound("the participant")),
        });
        acted.unwrap_or(Err(AdminError::NotFound("the room")))
    }
}

const DISCONNECT: proto::leave_request::Action = proto::leave_request::Action::Disconnect;

fn read<M: Message + Default>(payload: &Bytes) -> Result<M, AdminError> {
    M::decode(&payload[..]).map_err(|_| AdminError::InvalidArgument("request"))
}

fn check_length(what: &'static str, bytes: usize, max: usize) -> Result<(), AdminError> {
    if bytes > max { Err(AdminError::TooMuch { what, max }) } else { Ok(()) }
}
