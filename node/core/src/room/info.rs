//! What a client is told of the node and the room.

use livekit_protocol as proto;
use origo_cascade_core::RoomRecord;
use proto::signal_response::Message;

use super::context::RoomsConfig;
use super::{limits, publication};

/// The LiveKit version whose behaviour clients find here. They switch features on by it: above 1.13.6 they would send
/// SVC as simulcast, which is not taken yet.
const LIVEKIT_VERSION: &str = "1.13.5";
/// The protocol number. From 18 on native clients would open data channels out of band.
const PROTOCOL: i32 = 17;

/// The node as clients are told of it.
pub(super) fn server(config: &RoomsConfig) -> proto::ServerInfo {
    proto::ServerInfo {
        edition: proto::server_info::Edition::Standard as i32,
        version: LIVEKIT_VERSION.into(),
        protocol: PROTOCOL,
        region: config.region.clone(),
        node_id: config.node.to_string(),
        debug_info: format!("origo {}", config.version),
        ..Default::default()
    }
}

/// The room as clients are told of it.
pub(super) fn room(record: &RoomRecord, participants: usize, publishers: usize) -> proto::Room {
    proto::Room {
        sid: record.sid.to_string(),
        name: record.room.name.clone(),
        creation_time: (record.created_ms / 1_000) as i64,
        creation_time_ms: record.created_ms as i64,
        enabled_codecs: publication::enabled_codecs(),
        metadata: record.metadata.clone(),
        empty_timeout: record.settings.empty_timeout_s,
        departure_timeout: record.settings.departure_timeout_s,
        max_participants: record.settings.max_participants,
        num_participants: participants as u32,
        num_publishers: publishers as u32,
        ..Default::default()
    }
}

/// What a joiner gets first, of a room with so many participants here; the caller adds who is there.
pub(super) fn join(config: &RoomsConfig, participants: usize) -> proto::JoinResponse {
    let server = server(config);
    let (ping_interval, ping_timeout) = match participants {
        0..=limits::CROWD => (limits::PING_INTERVAL_S, limits::PING_TIMEOUT_S),
        _ => limits::CROWD_PINGS_S,
    };
    proto::JoinResponse {
        server_version: server.version.clone(),
        server_region: server.region.clone(),
        server_info: Some(server),
        ping_interval,
        ping_timeout,
        enabled_publish_codecs: publication::enabled_codecs(),
        ..Default::default()
    }
}

/// One or more participants as news.
pub(super) fn update(participants: Vec<proto::ParticipantInfo>) -> Message {
    Message::Update(proto::ParticipantUpdate { participants })
}

/// Ends a session from our side.
pub(super) fn leave(reason: proto::DisconnectReason, action: proto::leave_request::Action) -> Message {
    Message::Leave(proto::LeaveRequest {
        // What clients older than protocol 13 read in place of the action.
        can_reconnect: action != proto::leave_request::Action::Disconnect,
        reason: reason as i32,
        action: action as i32,
        regions: None,
    })
}
