//! Sessions that go on where another node's session of the same participant ends: the same ids, and nobody sees it leave.

use std::time::Instant;

use livekit_protocol as proto;
use origo_auth::{Identity, ParticipantSid, SessionClaim, TrackSid};
use origo_cascade_core::TrackRecord;
use proto::DisconnectReason;
use proto::leave_request::Action;
use proto::participant_info::State;

use super::audience::Audience;
use super::context::Context;
use super::grants::Grants;
use super::moving::Standing;
use super::participant::Participant;
use super::publication::Publication;
use super::room::Room;
use super::streams::Moment;
use super::{Join, Received, limits};

/// Numbers of reliable packets that one connection may use: clients drop what is not above all before of one session.
const SEQUENCES_PER_EPOCH_BITS: u32 = 22;

/// What a session takes over of the one before.
#[derive(Debug)]
pub(super) struct Inheritance {
    sid: ParticipantSid,
    incarnation: u64,
    owner_epoch: u32,
    info: proto::ParticipantInfo,
    audience: Audience,
    /// It was here, or is known by its token alone, and nobody else has it: there is nothing to wait for.
    at_once: bool,
    /// What was added to the numbers of its reliable packets, and the last number that is known of.
    sequences: (u32, u32),
    /// When it came into the room, as far as this node knows.
    known: Moment,
    /// What its client said of the session before: who says the same again has begun anew since.
    received: Option<Received>,
}

impl Inheritance {
    /// A session of which nobody knows but the client that brings it along.
    pub fn brought(session: &SessionClaim, info: proto::ParticipantInfo) -> Self {
        Self {
            sid: session.sid,
            incarnation: session.incarnation,
            owner_epoch: session.owner_epoch,
            info,
            audience: Audience::default(),
            at_once: true,
            sequences: (session.sequence_base, session.sequence_base),
            known: Moment::ELSEWHERE,
            received: None,
        }
    }

    /// Makes a fresh participant the one that it was. What its application or itself changed since its token was signed
    /// stays so. The numbers of its reliable packets go on, or begin anew above all before.
    pub fn pass_to(self, local: &mut Participant, now: Instant, received: Option<Received>) {
        let info = self.info;
        local.was_elsewhere = true;
        local.sid = self.sid;
        local.incarnation = self.incarnation;
        local.owner_epoch = self.owner_epoch.wrapping_add(1);
        local.session.known = self.known;
        let (base, last) = self.sequences;
        local.received = received.filter(|said| self.received.as_ref() != Some(said));
        if local.received.is_some() {
            // It knows of which streams it has the beginning, and passes over those of which it has not.
            local.session.arrived = Moment::ELSEWHERE;
            local.sequence_base = base;
            local.last_sequence = last.saturating_sub(base);
        } else {
            local.sequence_base = local.owner_epoch.wrapping_shl(SEQUENCES_PER_EPOCH_BITS);
        }
        local.joined_ms = u64::try_from(info.joined_at_ms).unwrap_or(local.joined_ms);
        local.name = info.name;
        local.metadata = info.metadata;
        local.attributes = info.attributes.into_iter().collect();
        local.audience = self.audience;
        if let Some(permission) = &info.permission {
            local.grants = Grants::granted(permission);
        }
        if self.at_once {
            local.former_tracks = info.tracks;
        } else {
            local.standing = Standing::Heir { until: now + limits::CONNECT_TIMEOUT };
        }
    }
}

impl Room {
    /// Whether a participant is here, and others see it so.
    pub fn is_served(&self, identity: &Identity) -> bool {
        self.locals.get(identity).is_some_and(|local| local.standing.is_served())
    }

    /// What a joining client goes on with: the session that it names, that it came back to in vain, or that its node has
    /// sent on.
    pub fn inheritance(&mut self, cx: &mut Context, join: &Join) -> Option<Inheritance> {
        let claimed = join.successor_of.or_else(|| cx.take_claim(&self.key, &join.identity));
        if let Some(local) = self.locals.get(&join.identity) {
            return self.return_of(cx, local.standing, join, claimed);
        }
        let Some(remote) = self.remotes.by_identity.get(&join.identity) else {
            return self.brought_inheritance(cx, join, claimed);
        };
        // Of whom nothing is heard, and who joins again, comes back: it may have asked another node first.
        let is_unreached = cx.unreached.contains_key(&remote.record.owner);
        if !remote.annex.moves && !is_unreached && claimed != Some(remote.record.sid) {
            return None;
        }
        Some(Inheritance {
            sid: remote.record.sid,
            incarnation: remote.record.incarnation,
            owner_epoch: remote.record.owner_epoch,
            info: remote.info.clone(),
            audience: remote.annex.audience.clone(),
            at_once: false,
            sequences: (remote.annex.sequence_base, self.remotes.last_sequence(remote.record.sid)),
            known: remote.known,
            received: None,
        })
    }

    /// The same of one who has a session here, which ends without a word to others.
    fn return_of(
        &mut self,
        cx: &mut Context,
        standing: Standing,
        join: &Join,
        claimed: Option<ParticipantSid>,
    ) -> Option<Inheritance> {
        let identity = &join.identity;
        if !standing.is_served() {
            self.remove(cx, identity, DisconnectReason::DuplicateIdentity, Some(Action::Disconnect));
            return self.inheritance(cx, &Join { successor_of: claimed, ..join.clone() });
        }
        let local =
            self.locals.get_mut(identity).filter(|local| local.standing.moves() || claimed == Some(local.sid))?;
        local.standing = Standing::Former { until: cx.now };
        let inherited = Inheritance {
            sid: local.sid,
            incarnation: local.incarnation,
            owner_epoch: local.owner_epoch,
            info: local.info(&cx.config.region),
            audience: local.audience.clone(),
            at_once: true,
            sequences: (local.sequence_base, local.sequence_base.saturating_add(local.last_sequence)),
            known: local.session.known,
            received: local.received.clone(),
        };
        let names: Vec<TrackSid> = local.publications.values().map(|publication| publication.name).collect();
        self.remove(cx, identity, DisconnectReason::DuplicateIdentity, Some(Action::Disconnect));
        for name in names {
            self.unsubscribe_all(cx, name);
        }
        Some(inherited)
    }

    /// The id by which clients know a track already that an heir publishes now.
    pub fn inherited_track(&mut self, identity: &Identity, publication: &Publication) -> Option<TrackSid> {
        let local = self.locals.get(identity)?;
        let is_heir = matches!(local.standing, Standing::Heir { .. });
        let remote = self.remotes.by_identity.get(identity).filter(|_| is_heir).map(|remote| &remote.info.tracks);
        let former = remote.unwrap_or(&local.former_tracks);
        let is_claimed = |sid: &str| local.publications.values().any(|known| known.info.sid == sid);
        let free = || former.iter().filter(|track| !is_claimed(&track.sid));
        let info = &publication.info;
        let same_kind = |track: &&proto::TrackInfo| (track.r#type, track.source) == (info.r#type, info.source);
        let same_name = |track: &&proto::TrackInfo| same_kind(track) && track.name == info.name;
        let same_cid = |track: &&proto::TrackInfo| {
            same_kind(track) && track.codecs.iter().any(|codec| !codec.cid.is_empty() && codec.cid == publication.cid)
        };
        let found = free().find(same_cid).or_else(|| free().find(same_name)).or_else(|| free().find(same_kind))?;
        found.sid.parse().ok()
    }

    /// An heir takes over once it is connected and has what its session had, or has waited for it long enough.
    pub fn take_over_when_whole(&mut self, cx: &mut Context, identity: &Identity) {
        let Some(local) = self.locals.get(identity) else { return };
        let Standing::Heir { until } = local.standing else { return };
        if local.state != State::Active {
            return;
        }
        let has = |track: &proto::TrackInfo| {
            local.publications.values().any(|known| known.ready && known.info.sid == track.sid)
        };
        let former = self.remotes.by_identity.get(identity).filter(|remote| remote.record.sid == local.sid);
        let is_whole = former.is_none_or(|remote| remote.info.tracks.iter().all(has));
        if is_whole || until <= cx.now {
            self.take_over(cx, identity);
        }
    }

    /// An heir is what others see from now on. Says whether there is one.
    pub fn take_over(&mut self, cx: &mut Context, identity: &Identity) -> bool {
        let Some(local) = self.locals.get_mut(identity) else { return false };
        if !matches!(local.standing, Standing::Heir { .. }) {
            return false;
        }
        tracing::info!(room = %self.key, participant = %local.sid, %identity, "participant is taken over");
        local.standing = Standing::Served;
        // What came over its other session meanwhile does not come again.
        let known = self.remotes.last_sequence(local.sid).saturating_sub(local.sequence_base);
        local.last_sequence = local.last_sequence.max(known);
        for publication in local.publications.values_mut() {
            publication.announced |= publication.ready;
        }
        let names: Vec<TrackSid> = local.announced().map(|publication| publication.name).collect();
        let former = self.remotes.by_identity.remove(identity);
        let tracks = former.as_ref().map(|remote| remote.record.tracks.clone()).unwrap_or_default();
        if let Some(remote) = former {
            let is_new = |track: &proto::TrackInfo| !names.iter().any(|name| name.to_string() == track.sid);
            local.former_tracks = remote.info.tracks.into_iter().filter(is_new).collect();
        }
        self.announce(cx, identity);
        for track in tracks {
            if names.contains(&track.name()) {
                self.let_go(cx, track.sid);
            } else {
                self.unsubscribe_all(cx, track.name());
                self.forget_track(cx, track.sid);
            }
        }
        for name in names {
            self.renew_subscriptions(cx, name);
            self.subscribe_all(cx, name);
        }
        self.gather_qualities(cx);
        self.freshen_token(cx, identity);
        self.say_held(cx, identity);
        true
    }

    /// Another node serves a local participant now. What it sends here flows on until its viewers have moved.
    pub fn taken_over(&mut self, cx: &mut Context, identity: &Identity, sid: ParticipantSid) {
        let Some(local) = self.locals.get_mut(identity).filter(|local| local.sid == sid) else { return };
        if !local.standing.is_served() {
            return;
        }
        tracing::info!(room = %self.key, participant = %sid, %identity, "participant goes on at another node");
        let gone = matches!(local.standing, Standing::SentOn { .. });
        let until = cx.now + if gone { limits::FORMER_GONE_KEPT } else { limits::FORMER_KEPT };
        local.standing = Standing::Former { until };
        local.publications.values_mut().for_each(|publication| publication.announced = false);
        // What it sent here last may come once more from there.
        let last = local.sequence_base.saturating_add(local.last_sequence);
        self.remotes.advance(sid, last);
        let info = local.info(&cx.config.region);
        cx.wake(&self.key, until);
        self.notice_move(cx, &info);
    }

    /// An heir of a session that has ended otherwise, because the identity joined anew elsewhere, is nobody's.
    pub fn end_other_heir(&mut self, cx: &mut Context, identity: &Identity, sid: ParticipantSid) {
        if self.locals.get(identity).is_some_and(|local| local.sid != sid) {
            self.remove(cx, identity, DisconnectReason::DuplicateIdentity, Some(Action::Disconnect));
        }
    }

    /// Whoever took a track of a former session takes it anew when it comes in another codec now.
    pub fn end_changed_codecs(&mut self, cx: &mut Context, identity: &Identity, tracks: &[TrackRecord]) {
        let Some(local) = self.locals.get(identity) else { return };
        let changed = |track: &&TrackRecord| {
            local
                .publications
                .values()
                .any(|known| known.name == track.name() && !known.info.mime_type.eq_ignore_ascii_case(&track.mime))
        };
        let changed: Vec<TrackSid> = tracks.iter().filter(changed).map(TrackRecord::name).collect();
        for name in changed {
            self.unsubscribe_all(cx, name);
        }
    }
}
