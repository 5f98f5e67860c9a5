//! Rooms that the application has made and nobody is in yet: their home keeps the record until somebody comes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use origo_auth::{NodeId, RoomKey, RoomSid};
use origo_cascade_core as cascade;
use origo_cascade_core::{RoomRecord, RoomSettings};
use prost::Message;

use super::{AdminError, Outcome, check_length};
use crate::room::{Rooms, info, limits};

/// The word that a room waits may be on its way while the room is deleted: this long it is not believed.
const DELETION_HOLDS: Duration = Duration::from_secs(2);

/// Records without participants, each until its time is up.
#[derive(Debug, Default)]
pub struct Reservations {
    by_room: BTreeMap<RoomKey, (RoomRecord, Instant)>,
    /// Rooms that were deleted of late.
    deleted: BTreeMap<RoomKey, Instant>,
}

/// For how much longer a room waits. It rides behind the room: protobuf reads two messages laid end to end as one.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Stays {
    #[prost(uint64, tag = "1000")]
    ms: u64,
}

impl Stays {
    /// None when it is not said.
    pub fn span(&self) -> Option<Duration> {
        (self.ms > 0).then(|| Duration::from_millis(self.ms))
    }
}

impl Reservations {
    /// Those whose time is not up.
    pub fn living(&self, now: Instant) -> impl Iterator<Item = &RoomRecord> {
        self.by_room.values().filter(move |(_, until)| *until > now).map(|(record, _)| record)
    }

    /// The record of a room.
    pub fn get(&self, room: &RoomKey, now: Instant) -> Option<&RoomRecord> {
        self.by_room.get(room).filter(|(_, until)| *until > now).map(|(record, _)| record)
    }

    /// Forgets a deleted room. Says whether its time was not up.
    pub fn delete(&mut self, room: &RoomKey, now: Instant) -> bool {
        self.deleted.retain(|_, at| *at + DELETION_HOLDS > now);
        if self.deleted.len() < limits::RESERVED_ROOMS_MAX {
            self.deleted.insert(room.clone(), now);
        }
        self.by_room.remove(room).is_some_and(|(_, until)| until > now)
    }

    /// Somebody came: from now on those who are there keep the record.
    pub fn take(&mut self, room: &RoomKey, now: Instant) -> Option<RoomRecord> {
        self.by_room.remove(room).filter(|(_, until)| *until > now).map(|(record, _)| record)
    }

    fn put(&mut self, record: RoomRecord, now: Instant, until: Instant) -> Result<(), AdminError> {
        self.by_room.retain(|_, (_, until)| *until > now);
        if self.by_room.len() >= limits::RESERVED_ROOMS_MAX && !self.by_room.contains_key(&record.room) {
            return Err(AdminError::TooMuch { what: "the number of waiting rooms", max: limits::RESERVED_ROOMS_MAX });
        }
        self.by_room.insert(record.room.clone(), (record, until));
        Ok(())
    }

    fn was_just_deleted(&self, room: &RoomKey, now: Instant) -> bool {
        self.deleted.get(room).is_some_and(|at| *at + DELETION_HOLDS > now)
    }
}

impl Rooms {
    /// Makes a room that waits for its first participant; one that is there already stays as it is.
    pub(super) fn create_room(&mut self, project: &str, request: proto::CreateRoomRequest) -> Outcome {
        if request.name.is_empty() {
            return Err(AdminError::InvalidArgument("name: it is empty"));
        }
        check_length("the name", request.name.len(), limits::NAME_BYTES_MAX)?;
        check_length("the metadata", request.metadata.len(), limits::METADATA_BYTES_MAX)?;
        let key = RoomKey::new(project, request.name);
        if let Some(room) = self.rooms.get(&key) {
            return Ok(room.info().encode_to_vec());
        }
        if let Some(record) = self.reservations.get(&key, self.context.now) {
            return Ok(info::room(record, 0, 0).encode_to_vec());
        }
        let or = |given: u32, default: u32| if given == 0 { default } else { given };
        let countries = self.context.config.residency.countries_of(&key).to_vec();
        let record = RoomRecord {
            room: key,
            sid: RoomSid::random(&mut self.context.rng),
            created_ms: self.context.unix_ms,
            metadata: request.metadata,
            version: 0,
            settings: RoomSettings {
                empty_timeout_s: or(request.empty_timeout, limits::EMPTY_TIMEOUT_S),
                departure_timeout_s: or(request.departure_timeout, limits::DEPARTURE_TIMEOUT_S),
                max_participants: request.max_participants,
                countries,
            },
        };
        let answer = info::room(&record, 0, 0).encode_to_vec();
        self.reserve(record, None)?;
        Ok(answer)
    }

    /// Another home has a room that nobody is in; this is one too. Unless it says for how much longer, the room has just
    /// been made.
    pub(super) fn keep_room(&mut self, project: &str, room: &proto::Room, stays: Option<Duration>) -> Outcome {
        check_length("the name", room.name.len(), limits::NAME_BYTES_MAX)?;
        check_length("the metadata", room.metadata.len(), limits::METADATA_BYTES_MAX)?;
        let key = RoomKey::new(project, room.name.as_str());
        let countries = self.context.config.residency.countries_of(&key).to_vec();
        let record = RoomRecord {
            room: key,
            sid: room.sid.parse().map_err(|_| AdminError::InvalidArgument("sid"))?,
            created_ms: u64::try_from(room.creation_time_ms).unwrap_or(0),
            metadata: room.metadata.clone(),
            version: 0,
            settings: RoomSettings {
                empty_timeout_s: room.empty_timeout,
                departure_timeout_s: room.departure_timeout,
                max_participants: room.max_participants,
                countries,
            },
        };
        let is_wanted = !self.reservations.was_just_deleted(&record.room, self.context.now);
        if is_wanted && !self.rooms.contains_key(&record.room) {
            self.reserve(record, stays)?;
        }
        Ok(Vec::new())
    }

    /// A room of which this node is a home has lost its last participant: it is there until its time is up.
    pub(in crate::room) fn await_return(&mut self, record: RoomRecord, stays: Duration) {
        let now = self.context.now;
        if self.rooms.contains_key(&record.room) || self.reservations.was_just_deleted(&record.room, now) {
            return;
        }
        if self.reservations.put(record, now, now + stays).is_err() {
            self.context.stats.drop("room", "too many rooms wait");
        }
    }

    /// Gives a room other metadata. Those who are in it hear of it by the mesh.
    pub(super) fn describe_room(&mut self, project: &str, request: proto::UpdateRoomMetadataRequest) -> Outcome {
        check_length("the metadata", request.metadata.len(), limits::METADATA_BYTES_MAX)?;
        let key = RoomKey::new(project, request.room);
        if let Some((record, _)) = self.reservations.by_room.get_mut(&key) {
            record.metadata.clone_from(&request.metadata);
            record.version += 1;
        }
        self.context.mesh(cascade::Input::Describe { room: key, metadata: request.metadata });
        Ok(Vec::new())
    }

    /// Asks another home to keep a room that waits here.
    pub(in crate::room) fn hand_on(&mut self, to: NodeId, record: &RoomRecord, stays: Duration) {
        let mut payload = info::room(record, 0, 0).encode_to_vec();
        payload.extend(Stays { ms: stays.as_millis() as u64 }.encode_to_vec());
        let project = record.room.project.0.clone();
        let ask = cascade::cascade::Ask {
            id: cascade::cascade::UNANSWERED,
            project,
            method: "Keep".into(),
            payload: payload.into(),
        };
        self.context.mesh(cascade::Input::Ask { to, ask });
    }

    fn reserve(&mut self, record: RoomRecord, stays: Option<Duration>) -> Result<(), AdminError> {
        let longest = Duration::from_secs(limits::ROOM_STAYS_MAX_S.into());
        let whole = Duration::from_secs(record.settings.empty_timeout_s.into());
        let stays = stays.unwrap_or(whole).min(longest);
        let now = self.context.now;
        self.reservations.put(record.clone(), now, now + stays)?;
        self.context.mesh(cascade::Input::Keep { record, stays });
        Ok(())
    }
}
