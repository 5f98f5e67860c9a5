//! The methods that are served: what each needs, whom it concerns, and its messages as protobuf and JSON.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::Fault;

/// How bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// What a token has to grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// `roomCreate`.
    Create,
    /// `roomList`.
    List,
    /// `roomAdmin` of the request's room.
    Admin,
}

/// Which nodes do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All; each for its part.
    All,
    /// The one that has the participant.
    Owner,
    /// The room's homes.
    Home,
}

/// One method.
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What a token has to grant.
    pub grant: Grant,
    /// Who does it.
    pub scope: Scope,
    read_json: fn(&[u8]) -> Result<Bytes, serde_json::Error>,
    check: fn(&[u8]) -> Result<(), prost::DecodeError>,
    write_json: fn(&[u8]) -> Result<Bytes, Fault>,
}

const SERVICE: &str = "livekit.RoomService";

static METHODS: [Method; 11] = [
    method::<proto::CreateRoomRequest, proto::Room>("CreateRoom", Grant::Create, Scope::Home),
    method::<proto::ListRoomsRequest, proto::ListRoomsResponse>("ListRooms", Grant::List, Scope::All),
    method::<proto::DeleteRoomRequest, proto::DeleteRoomResponse>("DeleteRoom", Grant::Create, Scope::All),
    method::<proto::ListParticipantsRequest, proto::ListParticipantsResponse>(
        "ListParticipants",
        Grant::Admin,
        Scope::All,
    ),
    method::<proto::RoomParticipantIdentity, proto::ParticipantInfo>("GetParticipant", Grant::Admin, Scope::Owner),
    method::<proto::RoomParticipantIdentity, proto::RemoveParticipantResponse>(
        "RemoveParticipant",
        Grant::Admin,
        Scope::Owner,
    ),
    method::<proto::MuteRoomTrackRequest, proto::MuteRoomTrackResponse>(
        "MutePublishedTrack",
        Grant::Admin,
        Scope::Owner,
    ),
    method::<proto::UpdateParticipantRequest, proto::ParticipantInfo>("UpdateParticipant", Grant::Admin, Scope::Owner),
    method::<proto::UpdateSubscriptionsRequest, proto::UpdateSubscriptionsResponse>(
        "UpdateSubscriptions",
        Grant::Admin,
        Scope::Owner,
    ),
    method::<proto::SendDataRequest, proto::SendDataResponse>("SendData", Grant::Admin, Scope::All),
    method::<proto::UpdateRoomMetadataRequest, proto::Room>("UpdateRoomMetadata", Grant::Admin, Scope::Home),
];

const fn method<Q, R>(name: &'static str, grant: Grant, scope: Scope) -> Method
where
    Q: Message + Default + DeserializeOwned,
    R: Message + Default + Serialize,
{
    Method {
        name,
        grant,
        scope,
        read_json: |body| Ok(serde_json::from_slice::<Q>(body)?.encode_to_vec().into()),
        check: |body| Q::decode(body).map(drop),
        write_json: |body| {
            let message = R::decode(body).map_err(|error| Fault::internal(error.to_string()))?;
            serde_json::to_vec(&message).map(Into::into).map_err(|error| Fault::internal(error.to_string()))
        },
    }
}

impl Method {
    /// The method of that name, if it is served.
    pub fn find(service: &str, name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| service == SERVICE && method.name == name)
    }

    /// A request as protobuf, whatever it came as.
    pub fn read(&self, encoding: Encoding, body: &Bytes) -> Result<Bytes, Fault> {
        match encoding {
            Encoding::Json => (self.read_json)(body).map_err(|error| Fault::malformed(error.to_string())),
            Encoding::Protobuf => match (self.check)(body) {
                Ok(()) => Ok(body.clone()),
                Err(error) => Err(Fault::malformed(error.to_string())),
            },
        }
    }

    /// A response as the caller reads it.
    pub fn write(&self, encoding: Encoding, response: &Bytes) -> Result<Bytes, Fault> {
        match encoding {
            Encoding::Json => (self.write_json)(response),
            Encoding::Protobuf => Ok(response.clone()),
        }
    }
}

impl Encoding {
    /// What the caller writes, and reads.
    pub fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match value.split(';').next().unwrap_or_default().trim() {
            "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Fault::bad_route("the content type is neither application/protobuf nor application/json")),
        }
    }

    /// Its name.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/protobuf",
            Self::Json => "application/json",
        }
    }
}

/// The room that a request names: its first field in all requests of the service that are about one room.
pub fn room_of(request: &Bytes) -> Result<String, Fault> {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Named {
        #[prost(string, tag = "1")]
        room: String,
    }
    Ok(Named::decode(&request[..]).map_err(|error| Fault::malformed(error.to_string()))?.room)
}
