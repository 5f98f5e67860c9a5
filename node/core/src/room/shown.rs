//! How clients show what they receive, passed on to the media worker no more often than it can matter.

use std::collections::BTreeMap;
use std::time::Instant;

use livekit_protocol as proto;
use origo_auth::{Identity, TrackSid};
use proto::VideoQuality;

use super::context::Context;
use super::limits;
use super::room::Room;
use crate::SessionId;
use crate::media::{Command, TrackSettings};

/// What the worker is yet to hear. A tile that is dragged to another size says so with each pixel; of all that, the
/// last word counts.
#[derive(Debug, Default)]
pub(super) struct Shown {
    unsaid: BTreeMap<(SessionId, TrackSid), TrackSettings>,
    /// Nothing more is passed on before this.
    rests_until: Option<Instant>,
}

impl Room {
    /// A client shows tracks otherwise than before.
    pub fn show(&mut self, cx: &mut Context, identity: &Identity, request: &proto::UpdateTrackSettings) {
        let settings = settings_of(request);
        for sid in request.track_sids.iter().take(limits::SIDS_PER_REQUEST_MAX) {
            let track = sid.parse().ok().filter(|track| self.publisher_of(*track).is_some_and(|who| who != identity));
            let Some((track, local)) = track.zip(self.locals.get_mut(identity)) else {
                cx.stats.drop("track_setting", "unknown track");
                continue;
            };
            // Said before: nothing to do.
            if local.session.settings.insert(track, settings) != Some(settings) {
                self.shown.unsaid.insert((local.session.id, track), settings);
            }
        }
        self.pass_on_settings(cx);
    }

    /// Tells the worker what it has not heard, unless it heard something a moment ago.
    pub fn pass_on_settings(&mut self, cx: &mut Context) {
        if self.shown.unsaid.is_empty() {
            return;
        }
        if let Some(until) = self.shown.rests_until.filter(|until| *until > cx.now) {
            return cx.wake(&self.key, until);
        }
        self.shown.rests_until = Some(cx.now + limits::SETTINGS_INTERVAL);
        for ((session, track), settings) in std::mem::take(&mut self.shown.unsaid) {
            cx.media(&self.key, Command::Settings { session, track, settings });
        }
    }

    /// A participant is gone: the worker no longer knows of its session.
    pub fn forget_shown_to(&mut self, gone: SessionId) {
        self.shown.unsaid.retain(|(session, _), _| *session != gone);
    }

    /// A track is over: how it was shown no longer matters.
    pub fn forget_shown(&mut self, track: TrackSid) {
        for local in self.locals.values_mut() {
            local.session.settings.remove(&track);
            self.shown.unsaid.remove(&(local.session.id, track));
        }
    }
}

fn settings_of(request: &proto::UpdateTrackSettings) -> TrackSettings {
    TrackSettings {
        disabled: request.disabled || request.quality == VideoQuality::Off as i32,
        quality: request.quality.clamp(VideoQuality::Low as i32, VideoQuality::High as i32) as u8,
        width: request.width,
        height: request.height,
        fps: request.fps,
        priority: request.priority,
    }
}
