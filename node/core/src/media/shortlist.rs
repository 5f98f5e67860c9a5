//! In a room of hundreds a client has sections for the sounds that were loud last and for some of the pictures, and not for
//! all: a description that has a section for each is hundreds of kilobytes long, is exchanged anew with everybody who comes
//! and goes, and no client takes more than some hundred.
//!
//! Each session lists so many sounds and so many pictures ([`Sections`]). While it receives no more than that, all are listed
//! and nothing is different. Beyond, a track that comes is not listed: it stays subscribed, published and known, and has no
//! section until it takes the place of another one, whose section is used again by whoever is next.
//!
//! *Sounds.* One that is louder than the quietest that is listed takes its place. How loud a sound was is forgotten slowly,
//! and of those that are all silent the one goes that spoke longest ago, so that the list holds who spoke last. A sound that
//! tells no level counts as loud.
//!
//! *Pictures.* One that the client asked for or shows is listed in any case, beyond the bound too. Of the others those stay
//! whose publishers spoke last, then those that came first; what the client hides goes before what it does not. Where a voice
//! takes a section, the picture of who speaks comes along, so that descriptions are exchanged once for both.
//!
//! Shared screens, pictures and sounds, do not count and are always listed.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use origo_auth::TrackSid;

use super::session::{Session, Wanted};
use super::worker::Worker;
use super::{Kind, TrackSettings};
use crate::SessionId;

/// How much louder than the quietest that is listed another sound has to be, in millibels. More than it takes for a place
/// among the loudest: an exchange of descriptions costs more than a packet.
const MARGIN: u32 = 2_000;
/// What tells no level may be as loud as can be, in millibels above silence.
const UNTOLD: u32 = 12_700;
/// A sound that is as loud as this when it takes a section is taken for a voice, in millibels above silence (-50 dBov): a
/// word begins softer than the rooms' speech is, and the noise of a room is softer still.
const VOICE: u32 = 7_700;
/// A session's list of sounds changes this often at most, so that descriptions do not follow each word of a lively room.
const SOUNDS_EVERY: Duration = Duration::from_millis(500);
/// The same of pictures for the sake of who speaks: besides the exchange a change costs a keyframe, and who speaks is heard
/// meanwhile.
const PICTURES_EVERY: Duration = Duration::from_secs(1);

/// For how much of what it receives a client has sections; 0 for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// Sounds: those that were loud last.
    pub sounds: usize,
    /// Pictures: those that it asked for or shows, then those of who spoke last.
    pub pictures: usize,
}

impl Sections {
    fn of(self, kind: Kind) -> usize {
        if kind == Kind::Audio { self.sounds } else { self.pictures }
    }
}

/// What a session knows of its lists.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Tracks that came to it so far.
    came: u64,
    /// When a sound that was listed gave way last.
    sounds_at: Option<Instant>,
    /// How loud the quietest of them was when that was looked at last, in millibels above silence.
    least: Option<(u32, Instant)>,
    /// When a picture that had a section gave way last to one whose publisher spoke.
    pictures_at: Option<Instant>,
    /// Another one is to, once it is time.
    is_sought: bool,
}

impl Lists {
    /// Whether it is time for a picture that waits for its turn.
    pub fn is_due(&self, now: Instant) -> bool {
        self.is_sought && !self.has_just_changed(now)
    }

    fn has_just_changed(&self, now: Instant) -> bool {
        self.pictures_at.is_some_and(|at| now.saturating_duration_since(at) < PICTURES_EVERY)
    }
}

/// What a client has said of how it shows a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing that tells. A wish for a quality alone does not: SDKs and applications say that of whatever has a section.
    #[default]
    Untold,
    /// Not at all.
    Not,
    /// In a size of so many pixels.
    InSize,
}

impl Shown {
    fn of(settings: &TrackSettings) -> Self {
        match settings {
            TrackSettings { disabled: true, .. } => Self::Not,
            TrackSettings { width: 0, height: 0, .. } => Self::Untold,
            _ => Self::InSize,
        }
    }
}

impl Wanted {
    /// Whether it waits for a section.
    pub fn waits(&self) -> bool {
        self.mid.is_none() && !self.unlisted
    }

    fn kind(&self) -> Kind {
        self.subscription.track.kind
    }

    /// Whether it is among the tracks of which only so many are listed.
    fn counts(&self) -> bool {
        !self.subscription.screen
    }

    /// Whether the client wants this picture and not just any: then it is listed in any case.
    fn is_wished(&self) -> bool {
        self.kind() == Kind::Video && (self.subscription.asked || self.shown == Shown::InSize)
    }
}

impl Session {
    /// How many sounds, or pictures, are listed.
    fn listed(&self, kind: Kind) -> usize {
        self.wanted.values().filter(|wanted| wanted.kind() == kind && wanted.counts() && !wanted.unlisted).count()
    }

    /// The sounds, or pictures, that are listed and may not stay so.
    fn listed_at_will(&self, kind: Kind) -> impl Iterator<Item = (TrackSid, &Wanted)> {
        let may_go =
            move |wanted: &Wanted| wanted.kind() == kind && wanted.counts() && !wanted.unlisted && !wanted.is_wished();
        self.wanted.iter().map(|(&sid, wanted)| (sid, &**wanted)).filter(move |(_, wanted)| may_go(wanted))
    }

    /// Those that wait to be listed.
    fn unlisted(&self, kind: Kind) -> impl Iterator<Item = (TrackSid, &Wanted)> {
        let waits = move |wanted: &Wanted| wanted.kind() == kind && wanted.unlisted;
        self.wanted.iter().map(|(&sid, wanted)| (sid, &**wanted)).filter(move |(_, wanted)| waits(wanted))
    }
}

impl Worker {
    /// Lists a track that a session has just subscribed to, if there is room or the client asked for it.
    pub(super) fn enlist(&mut self, id: SessionId, sid: TrackSid) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(wanted) = session.wanted.get_mut(&sid) else { return };
        session.lists.came += 1;
        wanted.came = session.lists.came;
        let (kind, is_free) = (wanted.kind(), !wanted.counts());
        if is_free || !self.is_beyond(id, kind) {
            return;
        }
        match self.sessions.get(&id).and_then(|session| session.wanted.get(&sid)) {
            Some(wanted) if wanted.is_wished() => self.trim_pictures(id),
            _ => self.set_listed(id, sid, false),
        }
    }

    fn is_beyond(&self, id: SessionId, kind: Kind) -> bool {
        let bound = self.setup.sections.of(kind);
        self.sessions.get(&id).is_some_and(|session| bound > 0 && session.listed(kind) > bound)
    }

    /// A session receives less than before: what waits takes what is free, the loudest sounds and the pictures of who spoke
    /// last first.
    pub(super) fn fill_list(&mut self, id: SessionId) {
        for kind in [Kind::Audio, Kind::Video] {
            let bound = self.setup.sections.of(kind);
            while let Some(session) = self.sessions.get(&id).filter(|session| session.listed(kind) < bound) {
                let waiting = session.unlisted(kind);
                let first = match kind {
                    Kind::Audio => waiting.max_by_key(|(_, wanted)| self.heard(wanted).unwrap_or_default()),
                    Kind::Video => waiting.max_by_key(|(_, wanted)| self.worth(wanted)),
                };
                let Some((sid, _)) = first else { break };
                self.set_listed(id, sid, true);
            }
        }
    }

    /// A sound came: where it is not listed and is louder than one that is, it is listed instead.
    pub(super) fn seek_section(&mut self, index: usize) {
        let now = self.now;
        let Some(track) = self.tracks.get_mut(index).filter(|track| track.kind == Kind::Audio) else { return };
        let told = track.loudness.heard(now).map(|(loud, _)| loud);
        let (loud, is_voice) = (told.unwrap_or(UNTOLD), told.is_some_and(|loud| loud >= VOICE));
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
                    session.lists.sounds_at = Some(now);
                }
                if is_voice {
                    self.bring_picture(id, sid);
                }
            }
        }
    }

    /// A voice has just taken a section: the picture of who speaks comes with the same exchange, where it may change now.
    /// The rooms tell of a speaker half a second later, and that would be an exchange more. Until they do, it takes the
    /// place of nobody whom they named.
    fn bring_picture(&mut self, id: SessionId, sound: TrackSid) {
        let Some(session) = self.sessions.get(&id).filter(|session| !session.lists.has_just_changed(self.now)) else {
            return;
        };
        let Some(publisher) = session.wanted.get(&sound).map(|wanted| wanted.subscription.publisher) else { return };
        let is_theirs = |wanted: &Wanted| wanted.subscription.publisher == publisher;
        let Some((_, picture)) = session.unlisted(Kind::Video).find(|(_, wanted)| is_theirs(wanted)) else { return };
        let index = self.tracks_by_sid.get(&picture.sent_as);
        if let Some(track) = index.and_then(|&index| self.tracks.get_mut(index)) {
            track.speaker = track.speaker.max(self.behind_speakers);
            self.seek_pictures(id);
        }
    }

    /// The sound that a session can do without for one that is so loud: of the quietest the one that spoke longest ago.
    fn quietest(&mut self, id: SessionId, loud: u32) -> Option<TrackSid> {
        let now = self.now;
        let is_recent = |at: Instant| now.saturating_duration_since(at) < SOUNDS_EVERY;
        let session = self.sessions.get(&id)?;
        // To look through all of them for each that is hardly louder than noise would cost more than what is sent.
        let is_below = |(least, at): (u32, Instant)| is_recent(at) && loud < least.saturating_add(MARGIN);
        if session.lists.sounds_at.is_some_and(is_recent) || session.lists.least.is_some_and(is_below) {
            return None;
        }
        let heard = session.listed_at_will(Kind::Audio).filter_map(|(sid, wanted)| Some((self.heard(wanted)?, sid)));
        let quietest = heard.min_by_key(|(heard, _)| *heard);
        // Where all that is listed tells no level, nothing is quiet enough for some time.
        let least = quietest.map_or(u32::MAX, |((least, _), _)| least);
        self.sessions.get_mut(&id)?.lists.least = Some((least, now));
        quietest.map(|(_, sid)| sid).filter(|_| loud >= least.saturating_add(MARGIN))
    }

    /// How loud a sound is, and when it spoke last; none of one that does not tell.
    fn heard(&self, wanted: &Wanted) -> Option<(u32, Option<Instant>)> {
        let index = self.tracks_by_sid.get(&wanted.sent_as)?;
        self.tracks.get(*index)?.loudness.heard(self.now)
    }

    /// A client says how it shows a track.
    pub(super) fn note_shown(&mut self, id: SessionId, sid: TrackSid, settings: &TrackSettings) {
        let Some(wanted) = self.sessions.get_mut(&id).and_then(|session| session.wanted.get_mut(&sid)) else { return };
        wanted.shown = Shown::of(settings);
        self.favour(id, sid);
    }

    /// A client asks by name for a track that it receives.
    pub(super) fn note_asked(&mut self, id: SessionId, sid: TrackSid) {
        let Some(wanted) = self.sessions.get_mut(&id).and_then(|session| session.wanted.get_mut(&sid)) else { return };
        wanted.subscription.asked = true;
        self.favour(id, sid);
    }

    /// A client wants a picture more than before, or less.
    pub(super) fn favour(&mut self, id: SessionId, sid: TrackSid) {
        let Some(wanted) = self.sessions.get(&id).and_then(|session| session.wanted.get(&sid)) else { return };
        if wanted.is_wished() && wanted.unlisted {
            self.set_listed(id, sid, true);
        }
        self.trim_pictures(id);
    }

    /// Takes the sections of as many pictures as are listed beyond the bound, of those that the client does not wish for.
    fn trim_pictures(&mut self, id: SessionId) {
        while self.is_beyond(id, Kind::Video) {
            let Some(least) = self.least(id, u64::MAX) else { return };
            self.set_listed(id, least, false);
        }
    }

    /// The picture that a session can best do without for one whose publisher stands there among the speakers.
    fn least(&self, id: SessionId, speaker: u64) -> Option<TrackSid> {
        let listed = self.sessions.get(&id)?.listed_at_will(Kind::Video);
        let may_go = listed.filter(|(_, wanted)| self.speaker(wanted) < speaker);
        may_go.min_by_key(|(_, wanted)| (wanted.shown != Shown::Not, self.worth(wanted))).map(|(sid, _)| sid)
    }

    /// What makes one picture come before another: who spoke last, then whether it may be shown, then which came first.
    fn worth(&self, wanted: &Wanted) -> (u64, bool, Reverse<u64>) {
        (self.speaker(wanted), wanted.shown != Shown::Not, Reverse(wanted.came))
    }

    /// Where the publisher of a picture stands among the speakers; 0 for one who has not spoken.
    fn speaker(&self, wanted: &Wanted) -> u64 {
        let track = self.tracks_by_sid.get(&wanted.sent_as).and_then(|&index| self.tracks.get(index));
        track.map_or(0, |track| track.speaker)
    }

    /// Others speak than before: their pictures take the places of those whose publishers spoke longer ago, one after the
    /// other.
    pub(super) fn seek_pictures(&mut self, id: SessionId) {
        let now = self.now;
        while let Some((least, sid)) = self.better_picture(id) {
            let Some(session) = self.sessions.get_mut(&id) else { return };
            // A change before anything was negotiated costs nothing.
            let costs = session.wanted.get(&least).is_some_and(|wanted| wanted.mid.is_some());
            session.lists.is_sought = costs && session.lists.has_just_changed(now);
            if session.lists.is_sought {
                return;
            }
            if costs {
                session.lists.pictures_at = Some(now);
            }
            self.set_listed(id, least, false);
            self.set_listed(id, sid, true);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.lists.is_sought = false;
        }
    }

    /// A picture that is listed and one that had better be instead.
    fn better_picture(&self, id: SessionId) -> Option<(TrackSid, TrackSid)> {
        let waiting = self.sessions.get(&id)?.unlisted(Kind::Video);
        let (speaker, _, sid) = waiting.map(|(sid, wanted)| (self.speaker(wanted), Reverse(wanted.came), sid)).max()?;
        Some((self.least(id, speaker)?, sid))
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
