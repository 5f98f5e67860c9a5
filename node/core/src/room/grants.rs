//! What a participant may do, from its token.

use livekit_protocol as proto;
use origo_auth::VideoGrant;
use proto::{TrackSource, participant_info::Kind};

/// A participant's rights, with LiveKit's defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grants {
    pub can_publish: bool,
    pub can_subscribe: bool,
    pub can_publish_data: bool,
    pub can_update_own_metadata: bool,
    /// When not empty, the only sources that it may publish.
    sources: Vec<TrackSource>,
    pub hidden: bool,
    recorder: bool,
    agent: bool,
}

impl Grants {
    pub fn of(grant: &VideoGrant) -> Self {
        let can_publish = grant.can_publish.unwrap_or(true);
        Self {
            can_publish,
            can_subscribe: grant.can_subscribe.unwrap_or(true),
            can_publish_data: grant.can_publish_data.unwrap_or(can_publish),
            can_update_own_metadata: grant.can_update_own_metadata.unwrap_or(false),
            sources: grant.can_publish_sources.iter().map(|name| source(name)).collect(),
            hidden: grant.hidden,
            recorder: grant.recorder,
            agent: grant.agent,
        }
    }

    /// The rights that an application gives at run time. Who is hidden, records or is an agent is part of them.
    #[expect(deprecated, reason = "older callers set `recorder` and `agent` here")]
    pub fn granted(permission: &proto::ParticipantPermission) -> Self {
        let sources = permission.can_publish_sources.iter();
        Self {
            can_publish: permission.can_publish,
            can_subscribe: permission.can_subscribe,
            can_publish_data: permission.can_publish_data,
            can_update_own_metadata: permission.can_update_metadata,
            sources: sources.filter_map(|&source| TrackSource::try_from(source).ok()).collect(),
            hidden: permission.hidden,
            recorder: permission.recorder,
            agent: permission.agent,
        }
    }

    /// Whether it may publish a track of this source. Whom nobody sees has nobody to publish to.
    pub fn may_publish(&self, source: i32) -> bool {
        let listed = self.sources.is_empty() || self.sources.iter().any(|&allowed| allowed as i32 == source);
        self.can_publish && !self.hidden && listed
    }

    /// Writes the rights into a grant of a token.
    pub fn write(&self, grant: &mut VideoGrant) {
        grant.can_publish = Some(self.can_publish);
        grant.can_subscribe = Some(self.can_subscribe);
        grant.can_publish_data = Some(self.can_publish_data);
        grant.can_update_own_metadata = Some(self.can_update_own_metadata);
        let named = self.sources.iter().filter(|&&source| source != TrackSource::Unknown);
        grant.can_publish_sources = named.map(|source| source.as_str_name().to_ascii_lowercase()).collect();
        grant.hidden = self.hidden;
    }

    /// The rights as clients are told of them.
    #[expect(deprecated, reason = "older clients read `recorder` and `agent` here")]
    pub fn permission(&self) -> proto::ParticipantPermission {
        proto::ParticipantPermission {
            can_subscribe: self.can_subscribe,
            can_publish: self.can_publish,
            can_publish_data: self.can_publish_data,
            can_publish_sources: self.sources.iter().map(|&source| source as i32).collect(),
            hidden: self.hidden,
            recorder: self.recorder,
            can_update_metadata: self.can_update_own_metadata,
            agent: self.agent,
            ..Default::default()
        }
    }
}

/// What sort of participant the token's `kind` names; an unknown word is a standard one.
pub(super) fn kind(name: &str) -> Kind {
    Kind::from_str_name(&name.to_ascii_uppercase()).unwrap_or(Kind::Standard)
}

fn source(name: &str) -> TrackSource {
    TrackSource::from_str_name(&name.to_ascii_uppercase()).unwrap_or(TrackSource::Unknown)
}
