//! A participant's own tracks, from the announcement to the end.

use livekit_protocol as proto;
use origo_auth::{Identity, TrackSid};
use origo_cascade_core::MediaKind;
use proto::AudioTrackFeature;
use proto::request_response::{Reason, Request};
use proto::signal_response::Message;

use super::context::Context;
use super::limits;
use super::publication::{Publication, PublishError};
use super::request::word;
use super::room::Room;
use crate::media::Command;

impl Room {
    /// A client announces a track. It is answered at once; others hear of it when its media flows, or now when it is
    /// muted, since then no media will come.
    pub fn add_track(&mut self, cx: &mut Context, identity: &Identity, request: proto::AddTrackRequest) {
        match self.check_announcement(identity, &request) {
            Ok(()) if !request.sid.is_empty() => self.add_codec(cx, identity, request),
            Err(error) => self.refuse_track(cx, identity, request, error.reason(), error.to_string()),
            Ok(()) if self.has_cid(identity, &request.cid) => self.queue_track(cx, identity, request),
            Ok(()) => self.accept_track(cx, identity, request),
        }
    }

    /// The first packet of a track came.
    pub fn start_track(
        &mut self,
        cx: &mut Context,
        identity: &Identity,
        track: TrackSid,
        mime: String,
        mid: String,
        ssrcs: &[u32],
    ) {
        if self.start_backup(cx, identity, track, &mid, ssrcs) {
            return;
        }
        let unix_ms = cx.unix_ms;
        let Some(publication) = self.carried(identity, track) else {
            return cx.stats.drop("media event", "unknown track");
        };
        let name = publication.name;
        let taken_as = publication.announced.then(|| publication.info.mime_type.clone());
        publication.start(mime.clone(), mid, ssrcs, unix_ms);
        // Those who took a muted track took it with the codec that was announced.
        if taken_as.is_some_and(|before| !before.eq_ignore_ascii_case(&mime)) {
            self.unsubscribe_all(cx, name);
        }
        self.show_track(cx, identity, track);
    }

    /// The client's offer no longer carries a track.
    pub fn end_track(&mut self, cx: &mut Context, identity: &Identity, track: TrackSid) {
        if self.end_backup(cx, identity, track) {
            return;
        }
        let Some(local) = self.locals.get_mut(identity) else { return };
        let session = local.session.id;
        let Some(publication) = local.publications.remove(&track) else {
            return cx.stats.drop("media event", "unknown track");
        };
        cx.local_tracks.remove(&track);
        if let Some(backup) = &publication.backup {
            cx.local_tracks.remove(&backup.sid);
            cx.media(&self.key, Command::Unpublish { session, track: backup.sid });
        }
        self.forget_shown(publication.name);
        if publication.announced {
            self.announce(cx, identity);
            self.freshen_token(cx, identity);
            self.unsubscribe_all(cx, publication.name);
        }
        self.accept_queued(cx, identity, &publication.cid);
    }

    /// A client mutes or unmutes one of its tracks.
    pub fn mute(&mut self, cx: &mut Context, identity: &Identity, request: &proto::MuteTrackRequest) {
        let unix_ms = cx.unix_ms;
        let track = request.sid.parse().ok();
        let Some(publication) = track.and_then(|track| self.publication(identity, track)) else {
            return cx.stats.drop("mute", "unknown track");
        };
        if publication.info.muted == request.muted {
            return;
        }
        publication.info.muted = request.muted;
        publication.touch(unix_ms);
        if publication.announced {
            self.announce(cx, identity);
        } else if request.muted {
            let track = publication.sid;
            self.show_track(cx, identity, track);
        }
    }

    /// A client tells what has changed about one of its microphones.
    pub fn update_audio(&mut self, cx: &mut Context, identity: &Identity, request: proto::UpdateLocalAudioTrack) {
        let features = request.features;
        let known = features.len() <= limits::NAME_BYTES_MAX;
        self.update_track(cx, identity, &request.track_sid, MediaKind::Audio, known, |info| {
            #[expect(deprecated, reason = "older clients read the flag")]
            {
                info.stereo = features.contains(&(AudioTrackFeature::TfStereo as i32));
            }
            info.audio_features = features;
        });
    }

    /// A client tells that one of its pictures has another size.
    pub fn update_video(&mut self, cx: &mut Context, identity: &Identity, request: &proto::UpdateLocalVideoTrack) {
        self.update_track(cx, identity, &request.track_sid, MediaKind::Video, true, |info| {
            info.width = request.width;
            info.height = request.height;
        });
    }

    /// A client tells that the layers of one of its pictures have changed.
    pub fn update_layers(&mut self, cx: &mut Context, identity: &Identity, request: proto::UpdateVideoLayers) {
        let unix_ms = cx.unix_ms;
        let found = request.track_sid.parse().ok().and_then(|track| self.publication(identity, track));
        let Some(publication) = found.filter(|publication| publication.kind == MediaKind::Video) else {
            return cx.stats.drop("track update", "unknown track");
        };
        if !publication.set_layers(request.layers, unix_ms) {
            return cx.stats.drop("track update", "other layers");
        }
        if publication.announced {
            self.announce(cx, identity);
        }
    }

    fn update_track(
        &mut self,
        cx: &mut Context,
        identity: &Identity,
        sid: &str,
        kind: MediaKind,
        acceptable: bool,
        change: impl FnOnce(&mut proto::TrackInfo),
    ) {
        let unix_ms = cx.unix_ms;
        let found = sid.parse().ok().and_then(|track| self.publication(identity, track));
        let Some(publication) = found.filter(|publication| publication.kind == kind && acceptable) else {
            return cx.stats.drop("track update", "unknown track");
        };
        change(&mut publication.info);
        publication.touch(unix_ms);
        if publication.announced {
            self.announce(cx, identity);
        }
    }

    /// Lets others know of a track, then gives it to those who take everything.
    fn show_track(&mut self, cx: &mut Context, identity: &Identity, track: TrackSid) {
        let Some(publication) = self.carried(identity, track) else { return };
        publication.ready = true;
        if !self.is_served(identity) {
            return self.take_over_when_whole(cx, identity);
        }
        let Some(publication) = self.carried(identity, track) else { return };
        let was_announced = std::mem::replace(&mut publication.announced, true);
        let name = publication.name;
        self.announce(cx, identity);
        self.subscribe_all(cx, name);
        if !was_announced {
            self.freshen_token(cx, identity);
        }
    }

    /// A track by the id that clients know.
    pub fn publication(&mut self, identity: &Identity, name: TrackSid) -> Option<&mut Publication> {
        self.locals.get_mut(identity)?.publication(name)
    }

    /// A track by the id that workers know.
    fn carried(&mut self, identity: &Identity, track: TrackSid) -> Option<&mut Publication> {
        self.locals.get_mut(identity)?.publications.get_mut(&track)
    }

    fn has_cid(&self, identity: &Identity, cid: &str) -> bool {
        let local = self.locals.get(identity);
        local.is_some_and(|local| local.publications.values().any(|publication| publication.cid == cid))
    }

    fn check_announcement(&self, identity: &Identity, request: &proto::AddTrackRequest) -> Result<(), PublishError> {
        let Some(local) = self.locals.get(identity) else { return Err(PublishError::NotAllowed("here")) };
        if !local.grants.may_publish(request.source) {
            let source = proto::TrackSource::try_from(request.source).unwrap_or(proto::TrackSource::Unknown);
            return Err(PublishError::NotAllowed(source.as_str_name()));
        }
        if local.publications.len() >= limits::TRACKS_MAX {
            return Err(PublishError::TooMany);
        }
        Ok(())
    }

    fn accept_track(&mut self, cx: &mut Context, identity: &Identity, request: proto::AddTrackRequest) {
        let sids = (TrackSid::random(&mut cx.rng), TrackSid::random(&mut cx.rng));
        let mut publication = match Publication::new(sids, &request, cx.unix_ms) {
            Ok(publication) => publication,
            Err(error) => return self.refuse_track(cx, identity, request, error.reason(), error.to_string()),
        };
        if let Some(name) = self.inherited_track(identity, &publication) {
            publication.rename(name);
        }
        let Some(local) = self.locals.get_mut(identity) else { return };
        let session = local.session.id;
        let track = publication.sid;
        let published =
            proto::TrackPublishedResponse { cid: request.cid.clone(), track: Some(publication.info.clone()) };
        cx.media(&self.key, Command::Expect { session, track: publication.expected(&request) });
        if let Some(backup) = &publication.backup {
            cx.media(&self.key, Command::Reserve { session, track: backup.expected() });
            cx.local_tracks.insert(backup.sid, self.key.clone());
        }
        local.publications.insert(track, publication);
        cx.local_tracks.insert(track, self.key.clone());
        self.tell(cx, identity, Message::TrackPublished(published));
        if request.muted {
            self.show_track(cx, identity, track);
        }
    }

    fn queue_track(&mut self, cx: &mut Context, identity: &Identity, request: proto::AddTrackRequest) {
        let Some(local) = self.locals.get_mut(identity) else { return };
        if local.queued.len() >= limits::QUEUED_TRACKS_MAX {
            let sentence = "too many tracks wait for one of the same client id to end".into();
            return self.refuse_track(cx, identity, request, Reason::LimitExceeded, sentence);
        }
        local.queued.push_back(request.clone());
        let sentence = "a track with this client id is still published".into();
        self.refuse_track(cx, identity, request, Reason::Queued, sentence);
    }

    fn accept_queued(&mut self, cx: &mut Context, identity: &Identity, cid: &str) {
        let Some(local) = self.locals.get_mut(identity) else { return };
        let Some(index) = local.queued.iter().position(|request| request.cid == cid) else { return };
        if let Some(request) = local.queued.remove(index) {
            self.accept_track(cx, identity, request);
        }
    }

    pub fn refuse_track(
        &self,
        cx: &mut Context,
        identity: &Identity,
        request: proto::AddTrackRequest,
        reason: Reason,
        message: String,
    ) {
        cx.stats.drop("add_track", word(reason));
        let request = Some(Request::AddTrack(request));
        let response = proto::RequestResponse { request_id: 0, reason: reason as i32, message, request };
        self.tell(cx, identity, Message::RequestResponse(response));
    }
}
