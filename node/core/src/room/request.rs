//! A client's requests, each to the deed that it asks for.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use origo_auth::Identity;
use proto::DisconnectReason;
use proto::request_response::{Reason, Request};
use proto::signal_request::Message;
use proto::signal_response::Message as Response;

use super::context::Context;
use super::room::Room;
use super::{info, limits};

/// The answer to a ping of either kind; none to anything else. It needs nothing of a room, so that a front-end may give it
/// at once, as long as its session stands.
pub fn pong(request: &Message, unix_ms: u64) -> Option<Response> {
    match request {
        Message::Ping(_) => Some(Response::Pong(unix_ms as i64)),
        Message::PingReq(ping) => {
            let pong = proto::Pong { last_ping_timestamp: ping.timestamp, timestamp: unix_ms as i64 };
            Some(Response::PongResp(pong))
        }
        _ => None,
    }
}

impl Room {
    /// A participant asks for something. What is not known or not done yet is counted and changes nothing.
    pub fn request(&mut self, cx: &mut Context, identity: &Identity, request: proto::SignalRequest) {
        let Some(message) = request.message else { return cx.stats.drop("request", "unknown") };
        match message {
            Message::Offer(offer) => self.offer(cx, identity, offer),
            Message::Answer(answer) => self.answer(cx, identity, answer),
            Message::Trickle(trickle) => self.trickle(cx, identity, &trickle),
            Message::AddTrack(request) => self.add_track(cx, identity, request),
            Message::Mute(request) => self.mute(cx, identity, &request),
            Message::Subscription(request) => self.update_subscription(cx, identity, request),
            Message::TrackSetting(request) => self.show(cx, identity, &request),
            Message::SubscriptionPermission(request) => self.restrict(cx, identity, request),
            Message::Simulate(request) => self.simulate(cx, identity, &request),
            Message::UpdateMetadata(request) => self.update_metadata(cx, identity, request),
            Message::UpdateAudioTrack(request) => self.update_audio(cx, identity, request),
            Message::UpdateVideoTrack(request) => self.update_video(cx, identity, &request),
            #[expect(deprecated, reason = "older clients still send the deprecated request")]
            Message::UpdateLayers(request) => self.update_layers(cx, identity, request),
            Message::Ping(_) | Message::PingReq(_) => {
                pong(&message, cx.unix_ms).into_iter().for_each(|pong| self.tell(cx, identity, pong));
            }
            Message::Leave(leave) => self.leave(cx, identity, reason_of(&leave)),
            Message::SyncState(state) => self.sync_state(cx, identity, &state),
            other => cx.stats.drop("request", name(&other)),
        }
    }

    /// A participant changes its name, metadata or attributes. Empty texts leave things as they are, as in LiveKit; an
    /// attribute with an empty value is deleted.
    fn update_metadata(&mut self, cx: &mut Context, identity: &Identity, request: proto::UpdateParticipantMetadata) {
        let reason = self.change_metadata(identity, &request);
        if reason == Reason::Ok {
            self.announce(cx, identity);
            self.freshen_token(cx, identity);
            let own = self.locals.get(identity).map(|local| local.info(&cx.config.region));
            self.tell(cx, identity, info::update(own.into_iter().collect()));
        }
        if reason != Reason::Ok {
            cx.stats.drop("update_metadata", word(reason));
        }
        let message = match reason {
            Reason::Ok => "",
            Reason::NotAllowed => "this participant may not change its own metadata",
            _ => "the name, metadata or attributes are too long",
        };
        let response = proto::RequestResponse {
            request_id: request.request_id,
            reason: reason as i32,
            message: message.into(),
            request: Some(Request::UpdateMetadata(request)),
        };
        self.tell(cx, identity, Response::RequestResponse(response));
    }

    fn change_metadata(&mut self, identity: &Identity, request: &proto::UpdateParticipantMetadata) -> Reason {
        let Some(local) = self.locals.get_mut(identity) else { return Reason::NotFound };
        if !local.grants.can_update_own_metadata {
            return Reason::NotAllowed;
        }
        let mut attributes = local.attributes.clone();
        let changes = BTreeMap::from_iter(&request.attributes);
        for (key, value) in changes {
            if value.is_empty() {
                attributes.remove(key);
            } else {
                attributes.insert(key.clone(), value.clone());
            }
        }
        let bytes: usize = attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
        if request.name.len() > limits::NAME_BYTES_MAX
            || request.metadata.len() > limits::METADATA_BYTES_MAX
            || bytes > limits::ATTRIBUTES_BYTES_MAX
        {
            return Reason::LimitExceeded;
        }
        local.attributes = attributes;
        if !request.name.is_empty() {
            local.name.clone_from(&request.name);
        }
        if !request.metadata.is_empty() {
            local.metadata.clone_from(&request.metadata);
        }
        Reason::Ok
    }
}

/// How a refusal is counted.
pub(super) fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::NotFound => "not found",
        Reason::NotAllowed => "not allowed",
        Reason::LimitExceeded => "over the limit",
        Reason::Queued => "queued",
        Reason::UnsupportedType => "unsupported",
        _ => "other",
    }
}

/// Why a client leaves. Few reasons are its own to give.
fn reason_of(leave: &proto::LeaveRequest) -> DisconnectReason {
    match leave.reason() {
        // The last is the node's own, said for its clients when it shuts down.
        reason @ (DisconnectReason::UserUnavailable
        | DisconnectReason::UserRejected
        | DisconnectReason::ServerShutdown) => reason,
        _ => DisconnectReason::ClientInitiated,
    }
}

/// What a request is counted as when it is not acted upon.
fn name(message: &Message) -> &'static str {
    match message {
        Message::PublishDataTrackRequest(_) => "publish_data_track",
        Message::UnpublishDataTrackRequest(_) => "unpublish_data_track",
        Message::UpdateDataSubscription(_) => "update_data_subscription",
        Message::StoreDataBlobRequest(_) => "store_data_blob",
        Message::GetDataBlobRequest(_) => "get_data_blob",
        _ => "other",
    }
}
