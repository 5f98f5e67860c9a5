//! What chance decides of people and their media: the same in the simulator and on real nodes, so that one is held against
//! the other and not against other dice.

use std::time::Duration;

use origo_auth::{ParticipantSid, TrackSid};
use rand::Rng;
use rand::rngs::SmallRng;

use crate::dice::dice;

/// Packets of sound in a second.
pub const SOUNDS_PER_S: f64 = 50.0;
/// A frame is as large as this, as a multiple of the mean.
const FRAME_WEIGHTS: std::ops::Range<f64> = 0.75..1.25;

/// Of a person.
#[derive(Clone, Debug)]
pub struct PersonChance {
    /// For whatever else comes.
    pub dice: SmallRng,
    /// How much later than its group it comes, ns.
    pub late: u64,
    /// Its first session.
    pub sid: ParticipantSid,
}

/// Of a track.
#[derive(Clone, Debug)]
pub struct TrackChance {
    /// Its id.
    pub sid: TrackSid,
    /// Number of its first packet.
    pub first: u64,
    /// RTP timestamp to begin with.
    pub clock: u32,
    /// From the instant at which it begins to its first frame, ns.
    pub phase: u64,
    /// For whatever else comes.
    pub dice: SmallRng,
}

/// Of a person who comes with its group, or at random within a time.
pub fn person(seed: u64, name: &str, is_first: bool, within: Duration) -> PersonChance {
    let mut dice = dice(seed, name);
    let within = within.as_nanos() as u64;
    let late = if is_first || within == 0 { 0 } else { dice.random_range(0..within) };
    PersonChance { sid: ParticipantSid::random(&mut dice), late, dice }
}

/// Of the next track of a person, with so many frames a second. Sound comes before pictures.
pub fn track(person: &mut SmallRng, seed: u64, per_s: f64) -> TrackChance {
    let sid = TrackSid::random(person);
    let mut dice = dice(seed, &format!("{sid}"));
    let first = 65_536 + dice.random_range(0..65_536_u64);
    TrackChance { sid, first, clock: dice.random(), phase: dice.random_range(0..(1e9 / per_s) as u64), dice }
}

/// How large the next frame of a track is, as a multiple of the mean.
pub fn frame_weight(track: &mut SmallRng) -> f64 {
    track.random_range(FRAME_WEIGHTS)
}
