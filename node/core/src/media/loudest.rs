//! Of many sounds a client gets the loudest few: nobody follows more voices at once, and each of them costs a send for
//! every 20 ms of it.
//!
//! Each session has so many places for sounds. A sound that tells how loud it is (RFC 6464) is sent to those sessions of
//! which it has a place: in a small room to all, from the first packet on. Where there are more sounds than places, a
//! louder one takes the place of the quietest with its first loud packet; how loud a sound was is forgotten slowly, so
//! that a pause between two words costs no place. A sound that tells no level is sent in any case, and so is one that
//! goes over from one node to another, until it has.
//!
//! To its client a sound without a place is one whose publisher is silent and sends nothing: the track stays as it is,
//! and its numbers and its time go on without a gap once it has a place again.

use std::time::{Duration, Instant};

use super::Kind;
use super::track::Track;
use super::viewer::Viewer;
use super::worker::Worker;
use crate::SessionId;

/// How much louder another sound has to be than the quietest that has a place, in millibels. Voices of one loudness
/// would take turns otherwise, a syllable each.
const MARGIN: u32 = 600;
/// What is forgotten of how loud a sound was, in millibels a second: after a pause of a second a voice is still far above
/// the noise of a room.
const FORGOTTEN: u64 = 1_000;
/// A sound that has no place looks for one this often while it is not louder than before.
const LOOKS_EVERY: Duration = Duration::from_millis(100);
/// The same where it has no section.
const SEEKS_EVERY: Duration = Duration::from_millis(300);
/// It looks at once when it is this much louder, in millibels.
const LOUDER: u32 = 300;
/// What is no louder than this above silence is the noise of a room, in millibels (-60 dBov).
const NOISE: u32 = 6_700;
/// Silence, in -dBov.
const SILENT_DBOV: u8 = 127;

/// How loud a sound is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loudness {
    /// The loudest since levels were last told: see [`super::Event::Levels`].
    untold: Option<(u8, bool)>,
    /// Millibels above silence at the loudest, of which something is forgotten since then.
    peak: Option<(u32, Instant)>,
    /// How loud it was when it last looked for places, and when that was.
    looked: Option<(u32, Instant)>,
    /// When it was last louder than the noise of a room.
    spoke: Option<Instant>,
    /// The same of sections.
    sought: Option<(u32, Instant)>,
    /// Packets of it tell no level.
    is_mute: bool,
}

impl Loudness {
    /// A packet came, with its level if it tells one.
    pub fn came(&mut self, level: Option<(u8, bool)>, now: Instant) {
        self.is_mute = level.is_none();
        let Some((dbov, voice)) = level else { return };
        let louder = self.untold.filter(|(loudest, _)| *loudest <= dbov);
        self.untold = Some(louder.unwrap_or((dbov, voice)));
        let loud = u32::from(SILENT_DBOV.saturating_sub(dbov)) * 100;
        if self.now(now).is_none_or(|before| loud >= before) {
            self.peak = Some((loud, now));
        }
        if loud > NOISE {
            self.spoke = Some(now);
        }
    }

    /// The loudest since the last time.
    pub fn tell(&mut self) -> Option<(u8, bool)> {
        self.untold.take()
    }

    /// Millibels above silence, and when it was last louder than noise; none of a sound that tells no level.
    pub fn heard(&self, now: Instant) -> Option<(u32, Option<Instant>)> {
        (!self.is_mute).then(|| (self.now(now).unwrap_or(0), self.spoke))
    }

    /// Whether it is time to look for sections, which is less often than for places.
    pub fn seeks(&mut self, loud: u32, now: Instant) -> bool {
        is_time(&mut self.sought, loud, now, SEEKS_EVERY)
    }

    /// Millibels above silence; none of a sound that tells no level.
    fn now(&self, now: Instant) -> Option<u32> {
        let (loud, at) = self.peak?;
        let since = now.saturating_duration_since(at).as_millis() as u64;
        Some(loud.saturating_sub(u32::try_from(since * FORGOTTEN / 1_000).unwrap_or(u32::MAX)))
    }

    /// Whether it is time to look for places with which other sounds could do without.
    fn looks(&mut self, loud: u32, now: Instant) -> bool {
        is_time(&mut self.looked, loud, now, LOOKS_EVERY)
    }
}

/// Whether it is louder than when it looked last, or that is long ago; it looks now then.
fn is_time(last: &mut Option<(u32, Instant)>, loud: u32, now: Instant, every: Duration) -> bool {
    let is_due = |(before, at): (u32, Instant)| {
        loud >= before.saturating_add(LOUDER) || now.saturating_duration_since(at) >= every
    };
    let is_time = last.is_none_or(is_due);
    if is_time {
        *last = Some((loud, now));
    }
    is_time
}

/// Whether a sound is sent to one who receives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is, for nothing has been decided: it tells no level, or has not come yet.
    #[default]
    Open,
    /// It is, by a place of its own.
    Taken,
    /// It is not.
    None,
}

impl Viewer {
    /// Whether a sound is kept from it, because others are louder.
    pub fn is_withheld(&self) -> bool {
        self.place == Place::None && !self.is_in_succession()
    }

    fn is_in_succession(&self) -> bool {
        self.succeeds.is_some() || self.succeeded.is_some()
    }

    /// Whether it could do with a place.
    fn wants_place(&self) -> bool {
        self.place != Place::Taken && self.stream.is_some() && self.forwarder.target().is_some()
    }
}

impl Track {
    /// Keeps its burst from all who receive it, if it is to be kept from all. Gives how many packets did not leave then.
    pub fn withhold(&mut self) -> Option<u64> {
        if self.viewers.is_empty() || !self.viewers.iter().all(Viewer::is_withheld) {
            return None;
        }
        self.viewers.iter_mut().for_each(|viewer| viewer.forwarder.rest());
        Some((self.viewers.len() * self.layers[0].burst.len()) as u64)
    }
}

impl Worker {
    /// Looks for places for a sound of which something came.
    pub(super) fn seat_sound(&mut self, index: usize) {
        let now = self.now;
        let Some(track) = self.tracks.get_mut(index).filter(|track| track.kind == Kind::Audio) else { return };
        let Some(loud) = track.loudness.now(now).filter(|_| self.setup.loudest > 0) else { return };
        if !track.viewers.iter().any(Viewer::wants_place) {
            return;
        }
        let looks = track.loudness.looks(loud, now);
        for number in 0..track.viewers.len() {
            let Some(viewer) = self.tracks.get(index).and_then(|track| track.viewers.get(number)) else { return };
            // Who has just come is not to wait for the next look.
            if !viewer.wants_place() || !looks && viewer.place == Place::None {
                continue;
            }
            let place = if self.find_place(viewer.session, index, loud) { Place::Taken } else { Place::None };
            if let Some(viewer) = self.tracks.get_mut(index).and_then(|track| track.viewers.get_mut(number)) {
                viewer.place = place;
            }
        }
    }

    /// Takes a free place of a session for a sound, or that of a quieter one.
    fn find_place(&mut self, id: SessionId, index: usize, loud: u32) -> bool {
        let (now, tracks) = (self.now, &self.tracks);
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if session.sounds.len() < self.setup.loudest {
            session.sounds.push(index);
            return true;
        }
        let how_loud = |index: usize| tracks.get(index).and_then(|track| track.loudness.now(now)).unwrap_or(0);
        let by_loudness = session.sounds.iter_mut().map(|sound| (how_loud(*sound), sound));
        let Some((least, quietest)) = by_loudness.min_by_key(|(loud, _)| *loud) else { return false };
        if loud < least.saturating_add(MARGIN) {
            return false;
        }
        let displaced = std::mem::replace(quietest, index);
        if let Some(viewer) = self.tracks.get_mut(displaced).and_then(|track| track.viewer(id)) {
            viewer.place = Place::None;
        }
        self.touched.insert(id);
        true
    }

    /// A session receives a sound no more: its place is free.
    pub(super) fn leave_place(&mut self, id: SessionId, index: usize) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.sounds.retain(|sound| *sound != index);
        }
        if let Some(viewer) = self.tracks.get_mut(index).and_then(|track| track.viewer(id)) {
            viewer.place = Place::Open;
        }
    }

    /// The same for all who receive it.
    pub(super) fn leave_places(&mut self, index: usize) {
        let Some(track) = self.tracks.get(index).filter(|track| track.kind == Kind::Audio) else { return };
        let sessions: Vec<SessionId> = track.viewers.iter().map(|viewer| viewer.session).collect();
        for id in sessions {
            self.leave_place(id, index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_is_as_loud_as_its_loudest_packet_which_is_forgotten_slowly() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut loudness = Loudness::default();
        loudness.came(None, at(0));
        assert_eq!((loudness.now(at(0)), loudness.tell()), (None, None));
        loudness.came(Some((60, false)), at(0));
        loudness.came(Some((20, true)), at(20));
        loudness.came(Some((90, false)), at(40));
        assert_eq!(loudness.tell(), Some((20, true)));
        assert_eq!(loudness.tell(), None);
        assert_eq!(loudness.now(at(20)), Some(10_700));
        assert_eq!(loudness.now(at(1_020)), Some(9_700));
        loudness.came(Some((40, true)), at(1_020));
        assert_eq!(loudness.now(at(1_020)), Some(9_700), "a quieter word takes nothing away");
        loudness.came(Some((40, true)), at(2_120));
        assert_eq!(loudness.now(at(2_120)), Some(8_700));
        assert_eq!(loudness.now(at(90_000_000)), Some(0));
        loudness.came(Some((255, false)), at(90_000_000));
        assert_eq!(loudness.now(at(90_000_000)), Some(0));
    }

    #[test]
    fn a_sound_looks_for_a_place_at_once_when_it_is_louder_and_now_and_then_when_it_is_not() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut loudness = Loudness::default();
        assert!(loudness.looks(3_000, at(0)));
        assert!(!loudness.looks(3_200, at(20)));
        assert!(loudness.looks(3_300, at(20)));
        assert!(!loudness.looks(3_300, at(40)));
        assert!(loudness.looks(3_300, at(120)));
    }
}
