//! What people hear, see and miss while they, or others, go on at another node: over all sessions of both together.

use std::collections::BTreeMap;

use super::seen::{Arrival, PersonSeen};
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
            let mut streams: BTreeMap<(&str, bool), Vec<Arrival>> = BTreeMap::new();
            for track in &person.tracks {
                let arrivals = track.arrivals.iter().filter(|arrival| (from..until).contains(&arrival.sent_us));
                streams.entry((&track.publisher, track.video)).or_default().extend(arrivals);
            }
            for ((speaker, is_video), stream) in streams {
                if is_video {
                    moves.picture_pause_ms.values.extend(longest_pause_ms(&stream));
                } else {
                    let made = made.get(speaker).copied().unwrap_or_default();
                    moves.sound_lost.values.push(missing(&stream, made) as f64);
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

/// A packet of sound: when it was captured, in which session of its speaker, and which one of that it is.
type Sound = (u64, usize, usize);

/// Packets of sound that were made and did not come, between those that came. Of one session each packet is told by its
/// number; from one session to another, where either will do, by what was captured in between.
fn missing(stream: &[Arrival], made: &[Vec<u64>]) -> u64 {
    let mut heard: Vec<Sound> = stream.iter().filter_map(|arrival| origin(arrival, made)).collect();
    heard.sort_unstable();
    let between = |pair: &[Sound]| {
        let ((from, one, first), (until, other, last)) = (pair[0], pair[1]);
        if one == other {
            return last.saturating_sub(first + 1) as u64;
        }
        let room = ((until - from + SOUND_US / 2) / SOUND_US).saturating_sub(1);
        let of = |session: &Vec<u64>| session.iter().filter(|at| from < **at && **at < until).count() as u64;
        // A program that gets no processor for a while says nothing in that time.
        room.min(made.iter().map(of).max().unwrap_or(0))
    };
    heard.windows(2).map(between).sum()
}

/// Which packet it is: packets are numbered from 0 in each session, and sent no earlier than captured.
fn origin(arrival: &Arrival, made: &[Vec<u64>]) -> Option<Sound> {
    let number = arrival.counter as usize;
    let captured = (0..).zip(made).filter_map(|(session, made)| Some((*made.get(number)?, session, number)));
    captured.filter(|(at, ..)| *at <= arrival.sent_us).max()
}

fn longest_pause_ms(stream: &[Arrival]) -> Option<f64> {
    let mut came: Vec<u64> = stream.iter().map(|arrival| arrival.came_us).collect();
    came.sort_unstable();
    let begin = came.first()? + BEGINS_US;
    let pauses = came.windows(2).filter(|pair| pair[0] >= begin).map(|pair| (pair[1] - pair[0]) as f64 / 1e3);
    pauses.max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::super::seen::TrackSeen;
    use super::*;

    /// Packets of one session from number `first` on, by when they were sent.
    fn heard(first: u32, sent_ms: impl Iterator<Item = u64>, video: bool) -> TrackSeen {
        let arrival = |(counter, ms): (u32, u64)| Arrival {
            layer: 0,
            counter,
            sent_us: ms * 1000,
            came_us: (ms + 40) * 1000,
            keyframe: false,
        };
        TrackSeen { publisher: "ana".into(), video, arrivals: (first..).zip(sent_ms).map(arrival).collect() }
    }

    /// One packet each 20 ms, the first of them after so many.
    fn spoken(packets: std::ops::Range<u64>) -> Vec<u64> {
        packets.map(|at| at * 20_000).collect()
    }

    fn of(tracks: Vec<TrackSeen>, made: Vec<Vec<u64>>) -> Moves {
        let ben = PersonSeen { identity: "ben".into(), tracks, moved: vec![5], ..PersonSeen::default() };
        let ana = PersonSeen { identity: "ana".into(), made, ..PersonSeen::default() };
        Moves::of(&[(0, ben), (1, ana)], 0, 1_000_000_000)
    }

    #[test]
    fn sound_that_was_made_and_comes_in_no_session_is_missed() {
        let all = || vec![spoken(0..60), spoken(45..90)];
        let old = heard(0, (0..50).map(|at| at * 20), false);
        let next = heard(0, (45..90).map(|at| at * 20 + 7), false);
        assert_eq!(of(vec![old.clone(), next], all()).all_sound_lost(), 0.0);
        let late = heard(8, (53..90).map(|at| at * 20), false);
        assert_eq!(of(vec![old.clone(), late.clone()], all()).all_sound_lost(), 3.0, "of 1,000, 1,020 and 1,040 ms");
        let silent = vec![spoken(0..50), spoken(53..90)];
        let late = heard(0, (53..90).map(|at| at * 20), false);
        assert_eq!(of(vec![old, late], silent).all_sound_lost(), 0.0, "nothing was said");
    }

    #[test]
    fn of_one_session_what_is_missed_is_told_by_its_numbers_whenever_its_program_got_to_send() {
        let made = || vec![spoken(0..60), spoken(45..90)];
        let delayed = |at: u64| at * 20 + if at == 48 { 19 } else { 0 };
        let old = heard(0, (0..60).map(delayed), false);
        assert_eq!(of(vec![old.clone()], made()).all_sound_lost(), 0.0);
        let mut holed = old;
        holed.arrivals.remove(47);
        assert_eq!(of(vec![holed], made()).all_sound_lost(), 1.0);
    }

    #[test]
    fn the_longest_pause_of_a_picture_counts_over_all_sessions() {
        let old = heard(0, (0..50).map(|at| at * 40), true);
        let next = heard(0, (54..90).map(|at| at * 40), true);
        assert_eq!(of(vec![old, next], Vec::new()).picture_pause_ms.values, [200.0]);
    }
}
