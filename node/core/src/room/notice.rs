//! What an application is told of a room's participants and tracks, once each and in order.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use origo_auth::{Identity, RoomKey, TrackSid};
use proto::participant_info::State;
use proto::{DisconnectReason, ParticipantInfo, TrackInfo, WebhookEvent};

use super::Output;
use super::context::Context;
use super::room::Room;

/// Something that an application may want to hear of. Its id and its way there are the driver's.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The room.
    pub room: RoomKey,
    /// The event, without an id.
    pub event: WebhookEvent,
}

impl Notice {
    /// The name of the event that is for this node's own books alone: the participant is another node's now.
    pub const MOVED: &str = "participant_moved";
}

/// What was told of one participant.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    joined: bool,
    tracks: BTreeMap<TrackSid, TrackInfo>,
}

impl Room {
    /// Tells what has come to be of a local participant since the last time: its arrival, then its tracks.
    pub fn notice(&mut self, cx: &mut Context, identity: &Identity) {
        let Some(local) = self.locals.get_mut(identity).filter(|local| local.state == State::Active) else { return };
        let info = local.info(&cx.config.region);
        let now: BTreeMap<_, _> =
            local.announced().map(|publication| (publication.sid, publication.info.clone())).collect();
        let is_new = !std::mem::replace(&mut local.noticed.joined, true);
        let before = std::mem::replace(&mut local.noticed.tracks, now.clone());
        if is_new {
            self.tell_application(cx, "participant_joined", &info, None);
        }
        for track in before.iter().filter(|(sid, _)| !now.contains_key(sid)).map(|(_, track)| track) {
            self.tell_application(cx, "track_unpublished", &info, Some(track));
        }
        for track in now.iter().filter(|(sid, _)| !before.contains_key(sid)).map(|(_, track)| track) {
            self.tell_application(cx, "track_published", &info, Some(track));
        }
    }

    /// Another node tells of a participant from now on. Applications do not hear of that.
    pub fn notice_move(&self, cx: &mut Context, info: &ParticipantInfo) {
        self.tell_application(cx, Notice::MOVED, info, None);
    }

    /// Tells that a participant, already taken out, is gone.
    pub fn notice_departure(&mut self, cx: &mut Context, noticed: &Noticed, info: &ParticipantInfo) {
        for track in noticed.tracks.values() {
            self.tell_application(cx, "track_unpublished", info, Some(track));
        }
        let was_cut_off = !noticed.joined && info.disconnect_reason() != DisconnectReason::DuplicateIdentity;
        if noticed.joined {
            self.tell_application(cx, "participant_left", info, None);
        } else if was_cut_off {
            self.tell_application(cx, "participant_connection_aborted", info, None);
        }
    }

    fn tell_application(
        &self,
        cx: &mut Context,
        event: &str,
        participant: &ParticipantInfo,
        track: Option<&TrackInfo>,
    ) {
        let event = WebhookEvent {
            event: event.into(),
            room: Some(self.info()),
            participant: Some(participant.clone()),
            track: track.cloned(),
            created_at: (cx.unix_ms / 1_000) as i64,
            ..Default::default()
        };
        cx.output(Output::Notice(Box::new(Notice { room: self.key.clone(), event })));
    }
}
