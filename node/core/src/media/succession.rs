//! A publisher goes on at another node: viewers of what came from the old one see it until what comes from the new one
//! can begin, on the same stream and without a gap in its numbers.

use std::time::Duration;

use origo_auth::TrackSid;

use super::track::Track;
use super::viewer::Viewer;
use super::worker::Worker;
use super::{Kind, Subscription};
use crate::SessionId;

/// How long the old track is sent at most. A keyframe is asked for at once and comes within a second.
const LASTS: Duration = Duration::from_secs(5);

impl Worker {
    /// A subscription names the same track under another id: it comes from another node from now on.
    pub(super) fn follow_publisher(&mut self, subscription: &Subscription) {
        let (id, record) = (subscription.session, subscription.track.clone());
        let Some(wanted) = self.sessions.get_mut(&id).and_then(|session| session.wanted.get_mut(&record.name())) else {
            return;
        };
        wanted.subscription = subscription.clone();
        let unseen = std::mem::replace(&mut wanted.sent_as, record.sid);
        // One that was to follow and has not begun is passed over.
        let before = wanted.before.unwrap_or(unseen);
        if before != unseen {
            self.remove_viewer(id, unseen);
        }
        let now = self.now;
        self.add_viewer(subscription, &record);
        let old = self.tracks_by_sid.get(&before).and_then(|&index| self.tracks.get(index));
        let Some(old) = old.and_then(|track| track.viewers.iter().find(|viewer| viewer.session == id)) else { return };
        let (stream, mid, target) = (old.stream, old.mid, old.forwarder.target());
        let (settings, paused, has_sent) = (old.settings, old.paused, old.forwarder.has_sent());
        let Some(&index) = self.tracks_by_sid.get(&record.sid) else { return };
        let Some(viewer) = self.tracks.get_mut(index).and_then(|track| track.viewer(id)) else { return };
        (viewer.stream, viewer.mid, viewer.settings, viewer.paused) = (stream, mid, settings, paused);
        viewer.forwarder.set_target(target);
        viewer.succeeds = Some((before, now));
        if let Some(wanted) = self.sessions.get_mut(&id).and_then(|session| session.wanted.get_mut(&record.name())) {
            wanted.before = Some(before);
        }
        if !has_sent {
            self.cut_over(index, id);
        }
        self.touched.insert(id);
        self.update_want(index);
        if let Some(layer) = target {
            self.want_keyframe(index, layer);
        }
    }

    /// Lets viewers go over to a track whose burst they can begin with.
    pub(super) fn begin_successors(&mut self, index: usize) {
        let Some(track) = self.tracks.get(index) else { return };
        let succeeding = track.viewers.iter().filter(|viewer| viewer.succeeds.is_some());
        let begins: Vec<SessionId> =
            succeeding.filter(|viewer| can_begin(track, viewer)).map(|viewer| viewer.session).collect();
        for id in begins {
            self.cut_over(index, id);
        }
    }

    /// Ends what takes too long, and what is not shown at all.
    pub(super) fn end_slow_successions(&mut self, index: usize) {
        let Some(track) = self.tracks.get(index) else { return };
        let now = self.now;
        let is_over = |viewer: &&Viewer| {
            viewer.succeeds.is_some_and(|(_, since)| since + LASTS <= now || viewer.forwarder.target().is_none())
        };
        let over: Vec<SessionId> = track.viewers.iter().filter(is_over).map(|viewer| viewer.session).collect();
        for id in over {
            self.cut_over(index, id);
        }
    }

    /// From now on a viewer gets this track, whose numbers go on where those of the old one end.
    fn cut_over(&mut self, index: usize, id: SessionId) {
        let Some(viewer) = self.tracks.get_mut(index).and_then(|track| track.viewer(id)) else { return };
        let Some((before, _)) = viewer.succeeds.take() else { return };
        let name = viewer.name;
        tracing::debug!(session = ?id, track = %name, "its publisher is followed to another node");
        if let Some(wanted) = self.sessions.get_mut(&id).and_then(|session| session.wanted.get_mut(&name)) {
            wanted.before = None;
        }
        let old = self.tracks_by_sid.get(&before).and_then(|&old| self.tracks.get_mut(old));
        let end = old.and_then(|track| track.viewer(id)).map(|viewer| viewer.forwarder.end());
        let new = self.tracks.get_mut(index).and_then(|track| track.viewer(id));
        if let Some((new, end)) = new.zip(end) {
            new.forwarder.go_on_from(end);
        }
        self.remove_viewer(id, before);
    }

    /// A viewer begins on another stream: nothing is left to go on from.
    pub(super) fn end_succession(&mut self, id: SessionId, before: TrackSid) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.wanted.values_mut().filter(|wanted| wanted.before == Some(before)).for_each(|w| w.before = None);
        }
        self.remove_viewer(id, before);
    }

    /// A track is gone: those who are to follow it elsewhere go on from where it ended.
    pub(super) fn let_successors_begin(&mut self, gone: &Track) {
        for old in &gone.viewers {
            let Some(session) = self.sessions.get_mut(&old.session) else { continue };
            let Some(wanted) = session.wanted.get_mut(&old.name).filter(|wanted| wanted.before == Some(gone.sid))
            else {
                continue;
            };
            wanted.before = None;
            let new = self.tracks_by_sid.get(&wanted.sent_as).and_then(|&index| self.tracks.get_mut(index));
            if let Some(new) = new.and_then(|track| track.viewer(old.session)) {
                new.succeeds = None;
                new.forwarder.go_on_from(old.forwarder.end());
            }
        }
    }
}

fn can_begin(track: &Track, viewer: &Viewer) -> bool {
    let bursts = (0u8..).zip(&track.layers).filter(|(number, _)| viewer.forwarder.takes(*number));
    let mut packets = bursts.flat_map(|(_, layer)| &layer.burst);
    match track.kind {
        Kind::Audio => packets.next().is_some(),
        Kind::Video => packets.any(|queued| viewer.forwarder.may_begin_with(queued)),
    }
}
