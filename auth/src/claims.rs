//! What a LiveKit access token says: who it is and what it may do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::session::Carried;

/// The claims of a token, in LiveKit's JSON names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// API key that signed it.
    pub iss: String,
    /// Identity.
    pub sub: String,
    /// Expiry, unix seconds.
    pub exp: u64,
    /// Not before, unix seconds.
    pub nbf: u64,
    /// Shown name.
    pub name: String,
    /// `standard`, `ingress`, `egress`, `sip`, `agent`, `connector` or `bridge`; empty is standard.
    pub kind: String,
    /// Free text of the application.
    pub metadata: String,
    /// Free keys of the application.
    pub attributes: BTreeMap<String, String>,
    /// Base64 SHA-256 of a webhook's body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// What it may do in rooms.
    pub video: VideoGrant,
    /// The session that a node gave it to. None of an application's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origo_session: Option<Carried>,
}

/// LiveKit's `video` grant. A missing `can_publish` or `can_subscribe` means allowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrant {
    /// May join `room`.
    pub room_join: bool,
    /// The room.
    pub room: String,
    /// May publish tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// May receive tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// May send data; follows `can_publish` when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// The whole list of sources it may publish, when not empty: `camera`, `microphone`, `screen_share`,
    /// `screen_share_audio`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    /// May change its own name, metadata and attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// Others do not see it.
    pub hidden: bool,
    /// It records.
    pub recorder: bool,
    /// It is an agent.
    pub agent: bool,
    /// May create and delete rooms.
    pub room_create: bool,
    /// May list rooms.
    pub room_list: bool,
    /// May record rooms.
    pub room_record: bool,
    /// May administer `room`.
    pub room_admin: bool,
}
