//! Whom a publisher lets receive its tracks: everybody, unless it has said otherwise.

use livekit_protocol as proto;
use origo_auth::{Identity, ParticipantSid, TrackSid};
use proto::signal_response::Message;

use super::context::Context;
use super::limits;
use super::participant::Participant;
use super::room::Room;

/// Who may receive one publisher's tracks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Audience {
    /// None for everybody.
    admitted: Option<Vec<proto::TrackPermission>>,
}

impl Audience {
    /// Reads what a publisher says; none when it is too much.
    pub fn read(request: proto::SubscriptionPermission) -> Option<Self> {
        if request.all_participants {
            return Some(Self::default());
        }
        let listed = &request.track_permissions;
        let sids: usize = listed.iter().map(|one| one.track_sids.len()).sum();
        let texts = listed.iter().flat_map(|one| one.track_sids.iter().chain([&one.participant_identity]));
        let bytes: usize = texts.map(String::len).sum();
        let fits = listed.len() <= limits::ADMITTED_MAX
            && sids <= limits::SIDS_PER_REQUEST_MAX
            && bytes <= limits::ADMITTED_BYTES_MAX;
        fits.then_some(Self { admitted: Some(request.track_permissions) })
    }

    /// As other nodes are told of it; none for everybody.
    pub fn restriction(&self) -> Option<proto::SubscriptionPermission> {
        let track_permissions = self.admitted.clone()?;
        Some(proto::SubscriptionPermission { all_participants: false, track_permissions })
    }

    /// Whether a participant may receive a track of this publisher.
    pub fn admits(&self, identity: &Identity, sid: ParticipantSid, track: TrackSid) -> bool {
        let Some(admitted) = &self.admitted else { return true };
        let (sid, track) = (sid.to_string(), track.to_string());
        let is_meant = |one: &proto::TrackPermission| match one.participant_identity.is_empty() {
            true => one.participant_sid == sid,
            false => one.participant_identity == identity.0,
        };
        admitted.iter().any(|one| is_meant(one) && (one.all_tracks || one.track_sids.contains(&track)))
    }
}

impl Room {
    /// A publisher says who may receive its tracks.
    pub fn restrict(&mut self, cx: &mut Context, identity: &Identity, request: proto::SubscriptionPermission) {
        let Some(audience) = Audience::read(request) else {
            return cx.stats.drop("subscription_permission", "too long");
        };
        let Some(local) = self.locals.get_mut(identity).filter(|local| local.audience != audience) else { return };
        local.audience = audience;
        self.spread(cx, identity);
        self.apply_audience(cx, identity);
    }

    /// A publisher has another audience: takes its tracks from those who may no longer have them, and gives them to
    /// those who waited.
    pub fn apply_audience(&mut self, cx: &mut Context, publisher: &Identity) {
        let publishers: Vec<Identity> = self.locals.keys().filter(|identity| *identity != publisher).cloned().collect();
        let tracks = self.tracks_of(publisher);
        for taker in &publishers {
            for &track in &tracks {
                self.review(cx, publisher, taker, track);
            }
        }
    }

    /// Whether a publisher lets a local participant have a track.
    pub fn admits(&self, publisher: &Identity, taker: &Participant, track: TrackSid) -> bool {
        let local = self.locals.get(publisher).filter(|local| local.standing.is_served()).map(|local| &local.audience);
        let audience = local.or_else(|| Some(&self.remotes.by_identity.get(publisher)?.annex.audience));
        audience.is_some_and(|audience| audience.admits(&taker.identity, taker.sid, track))
    }

    /// A participant is not given a track, because its publisher does not let it have it. It waits for that to change.
    pub fn deny(&mut self, cx: &mut Context, identity: &Identity, publisher: ParticipantSid, track: TrackSid) {
        let Some(local) = self.locals.get_mut(identity) else { return };
        if local.session.denied.insert(track) {
            self.tell_permission(cx, identity, publisher, track, false);
        }
    }

    fn review(&mut self, cx: &mut Context, publisher: &Identity, taker: &Identity, track: TrackSid) {
        let Some((local, sid)) = self.locals.get(taker).zip(self.sid_of(publisher)) else { return };
        let session = &local.session;
        let (has, waits) = (session.subscriptions.contains(&track), session.denied.contains(&track));
        let admits = self.admits(publisher, local, track);
        if has && !admits {
            let asked = session.asked.contains(&track);
            self.unsubscribe(cx, taker, track);
            self.deny(cx, taker, sid, track);
            if let Some(local) = self.locals.get_mut(taker).filter(|_| asked) {
                local.session.asked.insert(track);
            }
        } else if waits && admits {
            if let Some(local) = self.locals.get_mut(taker) {
                local.session.denied.remove(&track);
            }
            self.tell_permission(cx, taker, sid, track, true);
            self.subscribe(cx, taker, track, false);
        }
    }

    fn tell_permission(
        &self,
        cx: &mut Context,
        identity: &Identity,
        publisher: ParticipantSid,
        track: TrackSid,
        allowed: bool,
    ) {
        let (participant_sid, track_sid) = (publisher.to_string(), track.to_string());
        let update = proto::SubscriptionPermissionUpdate { participant_sid, track_sid, allowed };
        self.tell(cx, identity, Message::SubscriptionPermissionUpdate(update));
    }
}
