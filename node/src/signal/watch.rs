//! Which tracks a WHEP session watches, from the first ones on and as others come and go.

use std::collections::BTreeMap;

use livekit_protocol::participant_info::State;
use livekit_protocol::signal_response::Message as Say;
use livekit_protocol::{ParticipantInfo, TrackInfo, TrackType};

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// Identity of the publisher.
    pub participant: Option<String>,
    /// Sid of a track.
    pub track: Option<String>,
}

/// One session's view of its room.
#[derive(Debug)]
pub(super) struct Watch {
    wish: Wish,
    /// Sections for sound and for pictures.
    room_for: (usize, usize),
    /// By identity.
    people: BTreeMap<String, ParticipantInfo>,
    /// Sids of the tracks that have a section: (sid, whether it is a picture).
    taken: Vec<(String, bool)>,
}

impl Watch {
    /// Nothing is watched yet.
    pub fn new(wish: Wish, room_for: (usize, usize), people: Vec<ParticipantInfo>) -> Self {
        let people = people.into_iter().map(|info| (info.identity.clone(), info)).collect();
        Self { wish, room_for, people, taken: Vec::new() }
    }

    /// The rooms say something; gives the sids of tracks to take.
    pub fn hear(&mut self, said: &Say) -> Vec<String> {
        let Say::Update(update) = said else { return Vec::new() };
        for info in &update.participants {
            if info.state() == State::Disconnected {
                self.people.remove(&info.identity);
            } else {
                self.people.insert(info.identity.clone(), info.clone());
            }
        }
        self.take()
    }

    /// Takes what fits and has a section free; gives the sids.
    ///
    /// All tracks are of one participant, as long as it has any: of who is asked for, else of who shows a picture and
    /// is there for longest, else of who is heard.
    pub fn take(&mut self) -> Vec<String> {
        let there = |sid: &String| self.people.values().flat_map(|info| &info.tracks).any(|track| track.sid == *sid);
        self.taken.retain(|(sid, _)| there(sid));
        let mut new = Vec::new();
        for (sid, video) in self.fitting() {
            let most = if video { self.room_for.1 } else { self.room_for.0 };
            let used = self.taken.iter().filter(|(_, is_video)| *is_video == video).count();
            if used < most && !self.has(&sid) {
                self.taken.push((sid.clone(), video));
                new.push(sid);
            }
        }
        new
    }

    /// The tracks of the one who is watched, sound first.
    fn fitting(&self) -> Vec<(String, bool)> {
        let fits = |info: &&ParticipantInfo| {
            let is_meant = self.wish.participant.as_ref().is_none_or(|identity| info.identity == *identity);
            is_meant && info.tracks.iter().any(|track| self.fits(track))
        };
        let rank = |info: &&ParticipantInfo| {
            let is_watched = info.tracks.iter().any(|track| self.has(&track.sid));
            let has_picture = info.tracks.iter().any(is_video);
            (!is_watched, !has_picture, info.joined_at_ms, info.identity.clone())
        };
        let Some(chosen) = self.people.values().filter(fits).min_by_key(rank) else { return Vec::new() };
        let tracks = chosen.tracks.iter().filter(|track| self.fits(track));
        let mut tracks: Vec<_> = tracks.map(|track| (track.sid.clone(), is_video(track))).collect();
        tracks.sort_by_key(|(_, video)| *video);
        tracks
    }

    fn has(&self, sid: &str) -> bool {
        self.taken.iter().any(|(taken, _)| taken == sid)
    }

    fn fits(&self, track: &TrackInfo) -> bool {
        self.wish.track.as_ref().is_none_or(|sid| track.sid == *sid)
    }
}

fn is_video(track: &TrackInfo) -> bool {
    track.r#type == TrackType::Video as i32
}

#[cfg(test)]
mod tests {
    use livekit_protocol::ParticipantUpdate;
    use livekit_protocol::TrackType::{Audio, Video};

    use super::*;

    fn participant(identity: &str, joined_at_ms: i64, tracks: &[(&str, TrackType)]) -> ParticipantInfo {
        let track = |(sid, kind): &(&str, TrackType)| TrackInfo {
            sid: (*sid).to_owned(),
            r#type: *kind as i32,
            ..Default::default()
        };
        let tracks = tracks.iter().map(track).collect();
        ParticipantInfo { identity: identity.into(), joined_at_ms, tracks, ..Default::default() }
    }

    fn first(wish: Wish, room_for: (usize, usize), people: &[ParticipantInfo]) -> Vec<String> {
        Watch::new(wish, room_for, people.to_vec()).take()
    }

    fn update(participants: Vec<ParticipantInfo>) -> Say {
        Say::Update(ParticipantUpdate { participants })
    }

    #[test]
    fn without_a_wish_the_first_who_shows_a_picture_is_watched() {
        let room = [
            participant("talks", 1, &[("TR_t", Audio)]),
            participant("late", 3, &[("TR_la", Audio), ("TR_lv", Video)]),
            participant("early", 2, &[("TR_ea", Audio), ("TR_ev", Video), ("TR_screen", Video)]),
        ];
        assert_eq!(first(Wish::default(), (1, 1), &room), ["TR_ea", "TR_ev"]);
        assert_eq!(first(Wish::default(), (0, 2), &room), ["TR_ev", "TR_screen"]);
        assert_eq!(first(Wish::default(), (1, 1), &room[..1]), ["TR_t"]);
        let by = |participant: Option<&str>, track: Option<&str>| Wish {
            participant: participant.map(str::to_owned),
            track: track.map(str::to_owned),
        };
        assert_eq!(first(by(Some("late"), None), (1, 1), &room), ["TR_la", "TR_lv"]);
        assert_eq!(first(by(None, Some("TR_screen")), (1, 1), &room), ["TR_screen"]);
        assert!(first(by(Some("nobody"), None), (1, 1), &room).is_empty());
        assert!(first(Wish::default(), (1, 1), &[participant("silent", 1, &[])]).is_empty());
    }

    #[test]
    fn later_tracks_of_who_is_watched_are_taken_while_there_is_room() {
        let mut watch = Watch::new(Wish::default(), (1, 1), vec![participant("ann", 2, &[("TR_a", Audio)])]);
        assert_eq!(watch.take(), ["TR_a"]);
        let other = participant("ben", 1, &[("TR_b", Video)]);
        assert!(watch.hear(&update(vec![other])).is_empty(), "who is watched stays");
        let both = participant("ann", 2, &[("TR_a", Audio), ("TR_v", Video), ("TR_screen", Video)]);
        assert_eq!(watch.hear(&update(vec![both.clone()])), ["TR_v"]);
        assert!(watch.hear(&update(vec![both])).is_empty());
        let screen = participant("ann", 2, &[("TR_a", Audio), ("TR_screen", Video)]);
        assert_eq!(watch.hear(&update(vec![screen])), ["TR_screen"], "a section is free again");
        let gone = ParticipantInfo { state: State::Disconnected as i32, ..participant("ann", 2, &[]) };
        assert_eq!(watch.hear(&update(vec![gone])), ["TR_b"], "and so are all when the publisher is gone");
    }
}
