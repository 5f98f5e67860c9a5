//! The server API's calls about participants of this node.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use origo_auth::{Identity, RoomKey};
use prost::Message;
use proto::DisconnectReason;
use proto::data_packet::{Kind, Value};
use proto::signal_response::Message as Response;

use super::{AdminError, DISCONNECT, Outcome, check_length};
use crate::media::{Channel, Command};
use crate::room::context::Context;
use crate::room::grants::Grants;
use crate::room::room::Room;
use crate::room::streams::Reach;
use crate::room::{Rooms, info, limits};

impl Rooms {
    /// This node's own participants of a room; none when nobody of it is here.
    pub(super) fn list_participants(&mut self, project: &str, request: &proto::ListParticipantsRequest) -> Outcome {
        let key = RoomKey::new(project, request.room.as_str());
        let region = &self.context.config.region;
        let locals = self.rooms.get(&key).into_iter().flat_map(|room| room.locals.values());
        let locals = locals.filter(|local| local.standing.is_served());
        let participants = locals.map(|local| local.info(region)).collect();
        Ok(proto::ListParticipantsResponse { participants }.encode_to_vec())
    }

    pub(super) fn get_participant(&mut self, project: &str, request: proto::RoomParticipantIdentity) -> Outcome {
        self.with_local(project, request.room, request.identity, |room, cx, identity| Ok(own_info(room, cx, identity)))
    }

    pub(super) fn remove_participant(&mut self, project: &str, request: proto::RoomParticipantIdentity) -> Outcome {
        self.with_local(project, request.room, request.identity, |room, cx, identity| {
            room.remove(cx, identity, DisconnectReason::ParticipantRemoved, Some(DISCONNECT));
            Ok(proto::RemoveParticipantResponse::default().encode_to_vec())
        })
    }

    /// Mutes a track. Only its publisher can unmute it, as in LiveKit's default.
    pub(super) fn mute_published_track(&mut self, project: &str, request: proto::MuteRoomTrackRequest) -> Outcome {
        let proto::MuteRoomTrackRequest { room, identity, track_sid, muted } = request;
        self.with_local(project, room, identity, |room, cx, identity| {
            let track = track_sid.parse().map_err(|_| AdminError::InvalidArgument("track_sid"))?;
            let find = |room: &Room| {
                let publication = room.locals.get(identity)?.announced().find(|known| known.name == track)?;
                Some(publication.info.clone())
            };
            let before = find(room).ok_or(AdminError::NotFound("the track"))?;
            if !muted && before.muted {
                return Err(AdminError::FailedPrecondition("a track is unmuted by its publisher alone"));
            }
            if muted && !before.muted {
                let mute = proto::MuteTrackRequest { sid: track_sid, muted };
                room.mute(cx, identity, &mute);
                room.tell(cx, identity, Response::Mute(mute));
            }
            Ok(proto::MuteRoomTrackResponse { track: find(room) }.encode_to_vec())
        })
    }

    /// Changes what others see of a participant, and what it may do, at once.
    pub(super) fn update_participant(&mut self, project: &str, request: proto::UpdateParticipantRequest) -> Outcome {
        let proto::UpdateParticipantRequest { room, identity, metadata, permission, name, attributes } = request;
        self.with_local(project, room, identity, |room, cx, identity| {
            check_length("the name", name.len(), limits::NAME_BYTES_MAX)?;
            check_length("the metadata", metadata.len(), limits::METADATA_BYTES_MAX)?;
            let local = room.locals.get_mut(identity).ok_or(AdminError::NotFound("the participant"))?;
            let mut merged = local.attributes.clone();
            for (key, value) in attributes.into_iter().collect::<BTreeMap<_, _>>() {
                if value.is_empty() {
                    merged.remove(&key);
                } else {
                    merged.insert(key, value);
                }
            }
            let bytes = merged.iter().map(|(key, value)| key.len() + value.len()).sum();
            check_length("the attributes", bytes, limits::ATTRIBUTES_BYTES_MAX)?;
            local.attributes = merged;
            if !name.is_empty() {
                local.name = name;
            }
            if !metadata.is_empty() {
                local.metadata = metadata;
            }
            room.set_permission(cx, identity, permission.as_ref());
            room.announce(cx, identity);
            room.refresh_token(cx, identity);
            let own = room.locals.get(identity).map(|local| local.info(&cx.config.region));
            room.tell(cx, identity, info::update(own.into_iter().collect()));
            Ok(own_info(room, cx, identity))
        })
    }

    pub(super) fn update_subscriptions(
        &mut self,
        project: &str,
        request: proto::UpdateSubscriptionsRequest,
    ) -> Outcome {
        let proto::UpdateSubscriptionsRequest { room, identity, track_sids, subscribe, participant_tracks } = request;
        self.with_local(project, room, identity, |room, cx, identity| {
            let update = proto::UpdateSubscription { track_sids, subscribe, participant_tracks };
            room.update_subscription(cx, identity, update);
            Ok(proto::UpdateSubscriptionsResponse::default().encode_to_vec())
        })
    }

    /// Hands a packet to the local participants that it is for.
    pub(super) fn send_data(&mut self, project: &str, request: proto::SendDataRequest) -> Outcome {
        check_length("the data", request.data.len(), limits::DATA_PACKET_BYTES_MAX)?;
        check_length("the topic", request.topic.as_ref().map_or(0, String::len), limits::NAME_BYTES_MAX)?;
        let key = RoomKey::new(project, request.room.as_str());
        let sent = self.in_room(&key, |room, cx| {
            let reliable = request.kind == Kind::Reliable as i32;
            let packet = room.packet_of(request);
            let encoded = packet.encode_to_vec().into();
            room.deliver(
                cx,
                None,
                if reliable { Channel::Reliable } else { Channel::Lossy },
                (&packet, Reach::All),
                &encoded,
            );
        });
        sent.map(|()| proto::SendDataResponse::default().encode_to_vec()).ok_or(AdminError::NotFound("the room"))
    }
}

impl Room {
    /// Gives a participant other rights. What it may no longer publish or receive ends at once.
    fn set_permission(
        &mut self,
        cx: &mut Context,
        identity: &Identity,
        permission: Option<&proto::ParticipantPermission>,
    ) {
        let Some((local, permission)) = self.locals.get_mut(identity).zip(permission) else { return };
        let could_subscribe = local.grants.can_subscribe;
        local.grants = Grants::granted(permission);
        let grants = local.grants.clone();
        let forbidden = local.publications.values().filter(|publication| !grants.may_publish(publication.info.source));
        let forbidden: Vec<_> = forbidden.map(|publication| publication.sid).collect();
        let session = local.session.id;
        for track in forbidden {
            let track_sid = track.to_string();
            cx.media(&self.key, Command::Unpublish { session, track });
            self.end_track(cx, identity, track);
            self.tell(cx, identity, Response::TrackUnpublished(proto::TrackUnpublishedResponse { track_sid }));
        }
        match (could_subscribe, grants.can_subscribe) {
            (true, false) => self.unsubscribe_from_everything(cx, identity),
            (false, true) => self.subscribe_to_everything(cx, identity),
            _ => {}
        }
    }

    fn unsubscribe_from_everything(&mut self, cx: &mut Context, identity: &Identity) {
        let Some(local) = self.locals.get_mut(identity) else { return };
        let session = local.session.id;
        local.session.denied.clear();
        local.session.asked.clear();
        for track in std::mem::take(&mut local.session.subscriptions) {
            cx.media(&self.key, Command::Unsubscribe { session, track });
        }
    }

    /// The application's data as a packet from nobody. Old callers name sessions in place of identities.
    #[expect(deprecated, reason = "older clients and callers use the deprecated fields")]
    fn packet_of(&self, request: proto::SendDataRequest) -> proto::DataPacket {
        let mut destinations = request.destination_identities;
        if destinations.is_empty() && !request.destination_sids.is_empty() {
            let is_meant = |sid: String| request.destination_sids.contains(&sid);
            let here = self.locals.values().filter(|local| is_meant(local.sid.to_string()));
            destinations = here.map(|local| local.identity.0.clone()).collect();
            if destinations.is_empty() {
                // Nobody here is meant; no list at all would mean everybody.
                destinations.push(String::new());
            }
        }
        let user = proto::UserPacket {
            payload: request.data,
            topic: request.topic,
            nonce: request.nonce,
            destination_identities: destinations.clone(),
            ..Default::default()
        };
        proto::DataPacket {
            kind: request.kind,
            destination_identities: destinations,
            value: Some(Value::User(user)),
            ..Default::default()
        }
    }
}

fn own_info(room: &Room, cx: &Context, identity: &Identity) -> Vec<u8> {
    room.locals.get(identity).map(|local| local.info(&cx.config.region).encode_to_vec()).unwrap_or_default()
}
