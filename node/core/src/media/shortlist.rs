//! In a room of hundreds a client has sections for the sounds that were loud last, and not for all: a description that has
//! a section for each is hundreds of kilobytes long, is exchanged anew with everybody who comes and goes, and no client
//! takes more than some hundred.
//!
//! Each session lists so many sounds. While it receives no more than that, all are listed and nothing is different. Beyond,
//! a sound that comes is not listed: it stays subscribed, published and known, and has no section. Once it is louder than
//! the quietest that is listed, it takes its place in the list, and the section of the other is used again by whoever is
//! next. How loud a sound was is forgotten slowly, and of those that are all silent the one goes that spoke longest ago, so
//! that the list holds who spoke last. A sound that tells no level counts as loud, and those of shared screens do not count.

use std::time::{Duration, Instant};

use origo_auth::TrackSid;
use origo_cascade_core::MediaKind;

use super::Kind;
use super::session::{Session, Wanted};
use super::worker::Worker;
use crate::SessionId;

/// How much louder than the quietest that is listed another sound has to be, in millibels. More than it takes for a place
/// among the loudest: an exchange of descriptions costs more than a packet.
const MARGIN: u32 = 2_000;
/// What tells no level may be as loud as can be, in millibels above silence.
const UNTOLD: u32 = 12_700;
/// A session's list changes this often at most, so that descriptions do not follow each word of a lively room.
const CHANGES_EVERY: Duration = Duration::from_millis(500);

impl Wanted {
    /// Whether it waits for a section.
    pub fn waits(&self) -> bool {
        self.mid.is_none() && !self.unlisted
    }

    /// Whether it is among the sounds of which only so many are listed.
    fn counts(&self) -> bool {
        self.subscription.track.kind == MediaKind::Audio && !self.subscription.screen
    }
}

impl Session {
    /// How many sounds are listed.
    fn listed(&self) -> usize {
        self.wanted.values().filter(|wanted| wanted.counts() && !wanted.unlisted).count()
    }
}

impl Worker {
    /// Lists a sound that a session has just subscribed to, if there is room.
    pub(super) fn enlist(&mut self, id: SessionId, sid: TrackSid) {
        let bound = self.setup.sections;
        let Some(session) = self.sessions.get_mut(&id).filter(|_| bound > 0) else { return };
        if session.listed() <= bound {
            return;
        }
        if session.wanted.get(&sid).is_some_and(|wanted| wanted.counts()) {
            self.set_listed(id, sid, false);
        }
    }

    /// A session receives fewer sounds than before: those that wait take what is free, the loudest first.
    pub(super) fn fill_list(&mut self, id: SessionId) {
        loop {
            let bound = self.setup.sections;
            let Some(session) = self.sessions.get(&id).filter(|session| session.listed() < bound) else { return };
            let loud = |wanted: &Wanted| self.heard(wanted).unwrap_or_default();
            let waiting = session.wanted.iter().filter(|(_, wanted)| wanted.unlisted);
            let Some((&sid, _)) = waiting.max_by_key(|(_, wanted)| loud(wanted)) else { return };
            self.set_listed(id, sid, true);
        }
    }

    /// A sound came: where it is not listed and is louder than one that is, it is listed instead.
    pub(super) fn seek_section(&mut self, index: usize) {
        let now = self.now;
        let Some(track) = self.tracks.get_mut(index).filter(|track| track.kind == Kind::Audio) else { return };
        let loud = track.loudness.heard(now).map_or(UNTOLD, |(loud, _)| loud);
        let is_sought = loud >= MARGIN && track.viewers.iter().any(|viewer| viewer.unlisted);
        if !is_sought || !track.loudness.seeks(loud, now) {
            return;
        }
        let seekers: Vec<(SessionId, TrackSid)> =
            track.viewers.iter().filter(|viewer| viewer.unlisted).map(|viewer| (viewer.session, viewer.name)).collect();
        for (id, sid) in seekers {
            if let Some(quietest) = self.quietest(id, loud) {
                self.set_listed(id, quietest, false);
                self.set_listed(id, sid, true);
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.relisted = Some(now);
                }
            }
        }
    }

    /// The sound that a session can do without for one that is so loud: of the quietest the one that spoke longest ago.
    fn quietest(&mut self, id: SessionId, loud: u32) -> Option<TrackSid> {
        let now = self.now;
        let is_recent = |at: Instant| now.saturating_duration_since(at) < CHANGES_EVERY;
        let session = self.sessions.get(&id)?;
        // To look through all of them for each that is hardly louder than noise would cost more than what is sent.
        let is_below = |(least, at): (u32, Instant)| is_recent(at) && loud < least.saturating_add(MARGIN);
        if session.relisted.is_some_and(is_recent) || session.least.is_some_and(is_below) {
            return None;
        }
        let listed = session.wanted.iter().filter(|(_, wanted)| wanted.counts() && !wanted.unlisted);
        let heard = listed.filter_map(|(&sid, wanted)| Some((self.heard(wanted)?, sid)));
        let quietest = heard.min_by_key(|(heard, _)| *heard);
        // Where all that is listed tells no level, nothing is quiet enough for some time.
        let least = quietest.map_or(u32::MAX, |((least, _), _)| least);
        self.sessions.get_mut(&id)?.least = Some((least, now));
        quietest.map(|(_, sid)| sid).filter(|_| loud >= least.saturating_add(MARGIN))
    }

    /// How loud a sound is, and when it spoke last; none of one that does not tell.
    fn heard(&self, wanted: &Wanted) -> Option<(u32, Option<Instant>)> {
        let index = self.tracks_by_sid.get(&wanted.sent_as)?;
        self.tracks.get(*index)?.loudness.heard(self.now)
    }

    fn set_listed(&mut self, id: SessionId, sid: TrackSid, listed: bool) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(wanted) = session.wanted.get_mut(&sid) else { return };
        wanted.unlisted = !listed;
        if !listed {
            (wanted.mid, wanted.ready_at) = (None, None);
        }
        self.touched.insert(id);
        for sent in [Some(wanted.sent_as), wanted.before].into_iter().flatten() {
            let Some(&index) = self.tracks_by_sid.get(&sent) else { continue };
            if !listed {
                self.leave_place(id, index);
            }
            let Some(viewer) = self.tracks.get_mut(index).and_then(|track| track.viewer(id)) else { continue };
            viewer.unlisted = !listed;
            if !listed {
                (viewer.stream, viewer.mid) = (None, None);
            }
            self.update_want(index);
        }
    }
}
