//! What people hear, see and miss while they, or others, go on at another node: over all sessions of both together.

use std::collections::BTreeMap;

use super::seen::PersonSeen;
use crate::outcome::Samples;

/// Sound comes each 20 ms.
const SOUND_US: u64 = 20_000;
/// Pauses of pictures count from this long after their first packet on: before, a keyframe may be awaited.
const BEGINS_US: u64 = 1_000_000;

/// See the module; none of it in a run in which nobody moves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moves {
    /// Times that somebody went on elsewhere beside the old session.
    pub beside: u64,
    /// Times that somebody joined anew because it was told to.
    pub anew: u64,
    /// Packets of sound that listeners missed, of those that were spoken while they listened: one sample a listener and
    /// speaker.
    pub sound_lost: Samples,
    /// The longest time without a packet of a picture, ms: one sample a viewer and publisher.
    pub picture_pause_ms: Samples,
    /// Who was seen to leave before the end, by how many.
    pub leaves_seen: u64,
}

impl Moves {
    /// Of what people saw from one instant until another, unix microseconds.
    pub fn of(people: &[(usize, PersonSeen)], from: u64, until: u64) -> Self {
        let mut moves = Self::default();
        let made: BTreeMap<&str, &[Vec<u64>]> =
            people.iter().map(|(_, person)| (person.identity.as_str(), person.made.as_slice())).collect();
        for (_, person) in people {
            moves.beside += person.moved.len() as u64;
            moves.anew += person.ended.iter().filter(|(at, _)| *at < until).count() as u64;
            moves.leaves_seen += person.left.iter().filter(|(at, _)| *at < until).count() as u64;
            let mut streams: BTreeMap<(&str, bool), Vec<(u64, u64)>> = BTreeMap::new();
            for track in &person.tracks {
                let arrivals = track.arrivals.iter().filter(|arrival| (from..until).contains(&arrival.sent_us));
                let stream = streams.entry((&track.publisher, track.video)).or_default();
                stream.extend(arrivals.map(|arrival| (arrival.sent_us, arrival.came_us)));
            }
            for ((speaker, is_video), stream) in streams {
                if is_video {
                    moves.picture_pause_ms.values.extend(longest_pause_ms(stream));
                } else {
                    let made = made.get(speaker).copied().unwrap_or_default();
                    moves.sound_lost.values.push(missing(stream, made) as f64);
                }
            }
        }
        moves.sound_lost.values.sort_by(f64::total_cmp);
        moves.picture_pause_ms.values.sort_by(f64::total_cmp);
        moves
    }

    /// Whether anybody moved.
    pub fn any(&self) -> bool {
        self.beside + self.anew > 0
    }

    /// Packets of sound that all listeners together missed.
    pub fn all_sound_lost(&self) -> f64 {
        self.sound_lost.values.iter().sum()
    }
}

/// Packets of sound that were made between those that came: where two sessions speak at once, either will do.
fn missing(stream: Vec<(u64, u64)>, made: &[Vec<u64>]) -> u64 {
    let mut spoken: Vec<u64> = stream.into_iter().map(|(sent, _)| sent).collect();
    spoken.sort_unstable();
    let between = |pair: &[u64]| {
        let room = ((pair[1] - pair[0] + SOUND_US / 2) / SOUND_US).saturating_sub(1);
        if room == 0 {
            return 0;
        }
        let of = |session: &Vec<u64>| session.iter().filter(|at| pair[0] < **at && **at < pair[1]).count() as u64;
        // A program that gets no processor for a while says nothing in that time.
        room.min(made.iter().map(of).max().unwrap_or(0))
    };
    spoken.windows(2).map(between).sum()
}

fn longest_pause_ms(stream: Vec<(u64, u64)>) -> Option<f64> {
    let mut came: Vec<u64> = stream.into_iter().map(|(_, came)| came).collect();
    came.sort_unstable();
    let begin = came.first()? + BEGINS_US;
    let pauses = came.windows(2).filter(|pair| pair[0] >= begin).map(|pair| (pair[1] - pair[0]) as f64 / 1e3);
    pauses.max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::super::seen::{Arrival, TrackSeen};
    use super::*;

    fn heard(sent_ms: impl Iterator<Item = u64>, video: bool) -> TrackSeen {
        let arrival =
            |ms: u64| Arrival { layer: 0, counter: 0, sent_us: ms * 1000, came_us: (ms + 40) * 1000, keyframe: false };
        TrackSeen { publisher: "ana".into(), video, arrivals: sent_ms.map(arrival).collect() }
    }

    fn of(tracks: Vec<TrackSeen>, made: Vec<Vec<u64>>) -> Moves {
        let ben = PersonSeen { identity: "ben".into(), tracks, moved: vec![5], ..PersonSeen::default() };
        let ana = PersonSeen { identity: "ana".into(), made, ..PersonSeen::default() };
        Moves::of(&[(0, ben), (1, ana)], 0, 1_000_000_000)
    }

    #[test]
    fn sound_that_was_made_and_comes_in_no_session_is_missed() {
        let all = || vec![(0..90).map(|at| at * 20_000).collect()];
        let old = heard((0..50).map(|at| at * 20), false);
        let next = heard((45..90).map(|at| at * 20 + 7), false);
        assert_eq!(of(vec![old.clone(), next], all()).all_sound_lost(), 0.0);
        let late = heard((53..90).map(|at| at * 20), false);
        assert_eq!(of(vec![old.clone(), late.clone()], all()).all_sound_lost(), 3.0, "of 1,000, 1,020 and 1,040 ms");
        let silent = vec![(0..50).chain(53..90).map(|at| at * 20_000).collect()];
        assert_eq!(of(vec![old, late], silent).all_sound_lost(), 0.0, "nothing was said");
    }

    #[test]
    fn the_longest_pause_of_a_picture_counts_over_all_sessions() {
        let old = heard((0..50).map(|at| at * 40), true);
        let next = heard((54..90).map(|at| at * 40), true);
        assert_eq!(of(vec![old, next], Vec::new()).picture_pause_ms.values, [200.0]);
    }
}
