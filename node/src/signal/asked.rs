//! What a client asks for when it joins, whichever way it says so.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use origo_auth::{Claims, Identity, ParticipantSid, ProjectId, RoomKey};
use origo_node_core::SessionId;
use origo_node_core::room::{Join, Received};

/// The longest metadata, and the longest sum of all attributes, that a client may bring along, bytes: all of it goes
/// to everybody in the room. LiveKit's default.
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// Why a join cannot be read. The sentences go to the caller with status 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AskedError {
    /// v1 without its one parameter.
    #[error("the parameter `join_request` is missing")]
    NoJoinRequest,
    /// Its text is no base64url.
    #[error("`join_request` is not base64url")]
    Base64,
    /// The bytes are no `WrappedJoinRequest`, or what it wraps is no `JoinRequest`.
    #[error("`join_request` holds no valid {0}")]
    Protobuf(&'static str),
    /// Its compression is neither none nor gzip.
    #[error("`join_request` has the unknown compression {0}")]
    Compression(i32),
    /// What it wraps does not inflate.
    #[error("`join_request` does not inflate")]
    Gzip,
    /// What it wraps is a bomb.
    #[error("`join_request` inflates to more than {0} bytes")]
    TooLarge(usize),
    /// A value that is out of bounds.
    #[error("`{0}` is too long")]
    TooLong(&'static str),
    /// The `attributes` of v0 are no base64url of a JSON object of strings.
    #[error("`attributes` is not base64url of a JSON object of strings")]
    Attributes,
    /// What a client says of the reliable data of its session at another node.
    #[error("`{0}` is no list of `<participant sid>:<value>`, separated by commas")]
    Received(&'static str),
}

/// A join as the client asks for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    pub(super) client: proto::ClientInfo,
    pub(super) single_connection: bool,
    pub(super) auto_subscribe: bool,
    /// Pictures may be paused when the path has no room for them.
    pub(super) may_pause: bool,
    pub(super) disable_ice_lite: bool,
    /// The client can open a successor of its session at another node.
    pub(super) can_succeed: bool,
    /// This session is the successor of one at another node.
    pub(super) successor_of: Option<ParticipantSid>,
    /// What it got of reliable data in that one.
    pub(super) received: Option<Received>,
    /// The client wants to go on with a session; its id as the client gave it.
    pub(super) resume: Option<String>,
    pub(super) offer: Option<proto::SessionDescription>,
    pub(super) add_tracks: Vec<proto::AddTrackRequest>,
    pub(super) metadata: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// A second session of the same person that only publishes: appended to the identity.
    pub(super) publish_only: Option<String>,
}

impl Asked {
    /// Refuses what would be too much for the others in the room.
    pub(super) fn checked(self) -> Result<Self, AskedError> {
        if self.metadata.len() > METADATA_BYTES_MAX {
            return Err(AskedError::TooLong("metadata"));
        }
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        if attributes > METADATA_BYTES_MAX {
            return Err(AskedError::TooLong("attributes"));
        }
        Ok(self)
    }

    /// The join of a client with this token. What only the token may say stays as the token says it.
    pub(super) fn join(self, session: SessionId, mut claims: Claims, project: ProjectId) -> Join {
        if claims.video.can_update_own_metadata == Some(true) {
            claims.attributes.extend(self.attributes);
            if !self.metadata.is_empty() {
                claims.metadata = self.metadata;
            }
        }
        if let Some(suffix) = &self.publish_only {
            claims.sub = format!("{}#{suffix}", claims.sub);
            claims.video.can_subscribe = Some(false);
        }
        Join {
            session,
            room: RoomKey { project, name: claims.video.room.clone() },
            identity: Identity(claims.sub.clone()),
            claims,
            client: self.client,
            single_connection: self.single_connection,
            auto_subscribe: self.auto_subscribe,
            may_pause: self.may_pause,
            fixed_sections: false,
            can_be_sent_on: true,
            can_succeed: self.can_succeed,
            successor_of: self.successor_of,
            received: self.received,
            may_be_led: true,
            disable_ice_lite: self.disable_ice_lite,
            // A session that was never given out is as good as one that is gone: the client joins anew.
            resume: self.resume.map(|sid| sid.parse().unwrap_or_else(|_| ParticipantSid::random(&mut rand::rng()))),
            offer: self.offer,
            add_tracks: self.add_tracks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(can_update: Option<bool>, asked: Asked) -> Join {
        let mut claims = Claims { sub: "ana".into(), metadata: "token's".into(), ..Claims::default() };
        claims.attributes.insert("role".into(), "host".into());
        claims.video.room = "demo".into();
        claims.video.can_update_own_metadata = can_update;
        asked.join(SessionId(7), claims, ProjectId("default".into()))
    }

    #[test]
    fn a_client_brings_its_own_metadata_only_if_its_token_allows_it() {
        let attributes = BTreeMap::from([("mood".to_owned(), "good".to_owned())]);
        let asked = Asked { metadata: "own".into(), attributes, ..Asked::default() };
        let refused = join(None, asked.clone()).claims;
        assert_eq!((refused.metadata.as_str(), refused.attributes.len()), ("token's", 1));
        let allowed = join(Some(true), asked).claims;
        assert_eq!((allowed.metadata.as_str(), allowed.attributes.len()), ("own", 2));
        assert_eq!(join(Some(true), Asked::default()).claims.metadata, "token's");
    }

    #[test]
    fn a_publish_only_session_has_an_identity_of_its_own_and_receives_nothing() {
        let join = join(None, Asked { publish_only: Some("screen".into()), ..Asked::default() });
        assert_eq!((join.identity.0.as_str(), join.claims.sub.as_str()), ("ana#screen", "ana#screen"));
        assert_eq!(join.claims.video.can_subscribe, Some(false));
    }

    #[test]
    fn a_resume_without_a_session_id_resumes_none_but_stays_a_resume() {
        assert!(join(None, Asked { resume: Some(String::new()), ..Asked::default() }).resume.is_some());
        assert!(join(None, Asked::default()).resume.is_none());
    }

    #[test]
    fn metadata_and_attributes_are_bounded() {
        let long = "x".repeat(METADATA_BYTES_MAX + 1);
        let metadata = Asked { metadata: long.clone(), ..Asked::default() };
        assert_eq!(metadata.checked(), Err(AskedError::TooLong("metadata")));
        let attributes = Asked { attributes: BTreeMap::from([("a".into(), long)]), ..Asked::default() };
        assert_eq!(attributes.checked(), Err(AskedError::TooLong("attributes")));
    }
}
