//! Pictures in a second codec: reserved while nobody takes it, sent in place of the first to clients that lack that one.

use origo_auth::TrackSid;
use origo_cascade_core::TrackRecord;

use super::worker::Worker;
use super::{Event, Expected};
use crate::SessionId;

impl Worker {
    /// A client may publish a track later. It can be taken from now on, and that is what its publisher waits for.
    pub(super) fn reserve(&mut self, id: SessionId, expected: &Expected) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return self.stats.count_dropped("command", "unknown session");
        };
        session.reserved.insert(expected.sid);
        self.add_local(id, expected, true);
        self.give_back(expected.sid);
    }

    /// Who was sent a track that ended and may come again is its viewer again.
    fn give_back(&mut self, sid: TrackSid) {
        let is_viewer = |id: SessionId| {
            let track = self.tracks_by_sid.get(&sid).and_then(|&index| self.tracks.get(index));
            track.is_some_and(|track| track.viewers.iter().any(|viewer| viewer.session == id))
        };
        let mut waiting = Vec::new();
        for (&id, session) in &self.sessions {
            let wanted = session.wanted.values().find(|wanted| wanted.sent_as == sid && !is_viewer(id));
            waiting.extend(wanted.map(|wanted| wanted.subscription.clone()));
        }
        for subscription in waiting {
            if let Some(record) = subscription.backup.clone() {
                self.add_viewer(&subscription, &record);
                self.touched.insert(subscription.session);
            }
        }
    }

    /// A client does not take the codec in which it is sent a track: it is sent the other one, if it takes that.
    pub(super) fn fall_back(&mut self, id: SessionId, sid: TrackSid, other: Option<&TrackRecord>) {
        let Some(wanted) = self.sessions.get_mut(&id).and_then(|session| session.wanted.get_mut(&sid)) else { return };
        let Some(other) = other else {
            if !std::mem::replace(&mut wanted.refused, true) {
                self.stats.count_dropped("subscription", "codec not taken");
                self.events.push_back(Event::Unsupported { session: id, track: sid });
            }
            return;
        };
        tracing::debug!(session = ?id, track = %sid, mime = other.mime, "the second codec is sent");
        let before = std::mem::replace(&mut wanted.sent_as, other.sid);
        let subscription = wanted.subscription.clone();
        let old = self.tracks_by_sid.get(&before).and_then(|&index| self.tracks.get_mut(index));
        let settings = old.and_then(|track| Some(track.viewer(id)?.settings));
        self.remove_viewer(id, before);
        self.add_viewer(&subscription, other);
        let new = self.tracks_by_sid.get(&other.sid).and_then(|&index| self.tracks.get_mut(index));
        if let Some((viewer, settings)) = new.and_then(|track| track.viewer(id)).zip(settings) {
            viewer.settings = settings;
        }
        self.touched.insert(id);
    }
}
