//! Sessions that clients bring along in their tokens. People who were alone on a node that has died are known to no other
//! node: their tokens say who they were, and they go on as that.
//!
//! A token may be older than what became of its session, so it counts only where nobody can know better: its node is known
//! to have had the room, cannot be heard, and nobody has told of its people. Otherwise a client joins as if the token said
//! nothing.

use livekit_protocol as proto;
use origo_auth::{Carried, ParticipantSid, SessionClaim, TrackClaim, TrackSid};

use super::context::Context;
use super::heir::Inheritance;
use super::participant::Participant;
use super::publication::Publication;
use super::room::Room;
use super::{Join, limits};

/// What a track takes in a token beside the texts that its publisher chose, bytes.
const TRACK_BYTES: usize = 64;
/// By how much the clock of another node may be ahead.
const AHEAD_MAX_MS: u64 = 24 * 3_600 * 1_000;
/// `ParticipantInfo.version` has 16 bits for the owner epoch.
const EPOCH_MAX: u32 = u16::MAX as u32;

/// What a fresh token says of a session: as many of its tracks as there is room for.
pub(super) fn carried(cx: &Context, local: &Participant) -> Carried {
    let mut left = limits::CARRIED_TRACKS_BYTES_MAX;
    let fits = |track: &TrackClaim| {
        let taken = left.checked_sub(TRACK_BYTES + track.name.len() + track.cid.len());
        left = taken.unwrap_or_default();
        taken.is_some()
    };
    Carried::Session(Box::new(SessionClaim {
        node: cx.config.node,
        sid: local.sid,
        incarnation: local.incarnation,
        owner_epoch: local.owner_epoch,
        joined_ms: local.joined_ms,
        sequence_base: local.sequence_base,
        tracks: local.announced().map(carried_track).take_while(fits).collect(),
    }))
}

fn carried_track(publication: &Publication) -> TrackClaim {
    TrackClaim {
        sid: publication.name,
        kind: publication.info.r#type,
        source: publication.info.source,
        name: publication.info.name.clone(),
        cid: publication.cid.clone(),
    }
}

/// The session that a client brings along, if another node gave it.
pub(super) fn brought<'a>(cx: &Context, join: &'a Join) -> Option<&'a SessionClaim> {
    let session = join.claims.origo_session.as_ref()?.session()?;
    (session.node != cx.config.node).then_some(session)
}

impl Room {
    /// Whether a client of whom nobody knows goes on with the session that it brings along.
    pub fn goes_on_by_token(&self, cx: &Context, join: &Join) -> bool {
        let named = join.successor_of.or_else(|| cx.claim(&self.key, &join.identity));
        brought(cx, join).is_some_and(|session| {
            self.is_known_by_token_alone(cx, session) && self.objection(cx, session, named).is_none()
        })
    }

    /// What a client of whom nobody knows goes on with by its token; `named` is the session that it says to have had.
    pub fn brought_inheritance(
        &self,
        cx: &mut Context,
        join: &Join,
        named: Option<ParticipantSid>,
    ) -> Option<Inheritance> {
        if join.claims.origo_session == Some(Carried::Unreadable) {
            cx.stats.drop("token", "unreadable session");
        }
        let session = brought(cx, join).filter(|session| self.is_known_by_token_alone(cx, session))?;
        if let Some(why) = self.objection(cx, session, named) {
            cx.stats.drop("token", why);
            return None;
        }
        let (sid, node) = (session.sid, session.node);
        tracing::info!(room = %self.key, participant = %sid, identity = %join.identity, %node, "participant goes on by its token");
        Some(Inheritance::brought(session, self.info_of(join, session)))
    }

    /// Whether nobody can know better what became of a session.
    fn is_known_by_token_alone(&self, cx: &Context, session: &SessionClaim) -> bool {
        self.untold.contains(&session.node) && cx.unreached.contains_key(&session.node)
    }

    /// Why a session does not go on though its node is gone.
    fn objection(&self, cx: &Context, session: &SessionClaim, named: Option<ParticipantSid>) -> Option<&'static str> {
        let latest_ms = cx.unix_ms.saturating_add(AHEAD_MAX_MS);
        if session.owner_epoch >= EPOCH_MAX
            || session.joined_ms.max(session.incarnation.saturating_mul(1_000)) > latest_ms
        {
            return Some("implausible session");
        }
        if named.is_some_and(|named| named != session.sid) {
            return Some("session is not the last one");
        }
        let is_taken = self.locals.values().any(|local| local.sid == session.sid)
            || self.remotes.by_identity.values().any(|remote| remote.record.sid == session.sid);
        if is_taken {
            return Some("session is somebody else's");
        }
        self.departed.has(session.sid).then_some("session has ended")
    }

    /// The participant as its token tells. What it may do stands in the grants.
    fn info_of(&self, join: &Join, session: &SessionClaim) -> proto::ParticipantInfo {
        let tracks = session.tracks.iter().take(limits::TRACKS_MAX).filter(|track| !self.has_track(track.sid));
        proto::ParticipantInfo {
            joined_at_ms: session.joined_ms as i64,
            name: join.claims.name.clone(),
            metadata: join.claims.metadata.clone(),
            attributes: join.claims.attributes.clone().into_iter().collect(),
            tracks: tracks.map(track_info).collect(),
            ..Default::default()
        }
    }

    /// Whether somebody in the room has a track by this id.
    fn has_track(&self, name: TrackSid) -> bool {
        let told = name.to_string();
        let has = |local: &Participant| {
            local.publications.values().any(|publication| publication.name == name)
                || local.former_tracks.iter().any(|track| track.sid == told)
        };
        self.locals.values().any(has) || self.remotes.find(name).is_some()
    }
}

/// As much of a track as it takes to know it again.
fn track_info(track: &TrackClaim) -> proto::TrackInfo {
    let codec = proto::SimulcastCodecInfo { cid: track.cid.clone(), ..Default::default() };
    proto::TrackInfo {
        sid: track.sid.to_string(),
        r#type: track.kind,
        source: track.source,
        name: track.name.clone(),
        codecs: vec![codec],
        ..Default::default()
    }
}
