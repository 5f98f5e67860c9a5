//! What the rooms count.

use std::collections::BTreeMap;

/// How much there is, and what was thrown away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rooms with at least one local participant.
    pub rooms: u64,
    /// Of these the ones that sit on several media workers; who places sessions fills it in.
    pub rooms_spread: u64,
    /// Local participants.
    pub participants: u64,
    /// Of these the ones that cannot be told to go on elsewhere: clients of WHIP and WHEP.
    pub over_http: u64,
    /// Tracks of local participants that others know of, sound.
    pub audio_tracks: u64,
    /// The same, picture.
    pub video_tracks: u64,
    /// Messages that came and were not acted upon, by what they were and why.
    pub dropped: BTreeMap<(&'static str, &'static str), u64>,
}

impl Stats {
    /// Counts one message that is not acted upon.
    pub(super) fn drop(&mut self, what: &'static str, reason: &'static str) {
        *self.dropped.entry((what, reason)).or_default() += 1;
    }
}
