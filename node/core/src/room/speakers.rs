//! Who speaks: loudness of tracks, smoothed, and told to clients when it changes.
//!
//! The figures are LiveKit's, so that applications tuned to its server see the same speakers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use origo_auth::{Identity, ParticipantSid, TrackSid};
use proto::signal_response::Message;

use super::context::Context;
use super::room::Room;
use crate::media::Command;

/// Loudness is looked at over this long, and changes are told this often.
const WINDOW: Duration = Duration::from_millis(400);
/// Levels of a track in one window, one each 100 ms.
const SAMPLES: u32 = 4;
/// Of them, as many as must be loud: a click of one is no speech.
const LOUD_SAMPLES_MIN: u32 = 2;
/// What is quieter is no speech, -dBov.
const LOUD_DBOV: u8 = 35;
/// How much of a window's loudness counts against what was before.
const SMOOTHING: f32 = 2.0 / 3.0;
/// Steps in which loudness is told, so that it is not told all the time.
const STEPS: f32 = 8.0;
/// The longest that a client may have itself called a speaker, for tests of applications.
const PRETENCE_MAX: Duration = Duration::from_secs(60);
/// Speakers whose order is remembered; a client shows fewer people large than these.
const ORDERED_MAX: usize = 16;

/// One track's loudness.
#[derive(Debug, Default)]
struct Loudness {
    /// -dBov of the loudest sample in this window.
    loudest_dbov: u8,
    /// Loud samples in this window.
    loud: u32,
    /// 0 to 1, over the windows so far.
    smoothed: f32,
}

/// Who speaks in one room.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    by_track: BTreeMap<TrackSid, Loudness>,
    /// What clients believe: who speaks, and in which step of loudness.
    told: BTreeMap<ParticipantSid, u8>,
    /// Who speaks, those first who have spoken longest, so that a word thrown in takes nothing from them; then who
    /// spoke, those first who stopped last.
    order: Vec<ParticipantSid>,
    /// Those who only have themselves called speakers, and until when.
    pretenders: BTreeMap<ParticipantSid, Instant>,
    /// None while nobody speaks.
    window_ends: Option<Instant>,
}

impl Speakers {
    /// A level of a track. Gives the end of the window that it opens.
    fn hear(&mut self, now: Instant, track: TrackSid, dbov: u8) -> Option<Instant> {
        if dbov > LOUD_DBOV {
            return None;
        }
        let loudness = self.by_track.entry(track).or_default();
        loudness.loudest_dbov = if loudness.loud == 0 { dbov } else { loudness.loudest_dbov.min(dbov) };
        loudness.loud += 1;
        self.open_window(now)
    }

    fn open_window(&mut self, now: Instant) -> Option<Instant> {
        let opens = self.window_ends.is_none();
        opens.then(|| *self.window_ends.insert(now + WINDOW))
    }

    /// Ends the window: says what clients do not know yet.
    fn close(&mut self, now: Instant, publishers: &BTreeMap<TrackSid, ParticipantSid>) -> Vec<proto::SpeakerInfo> {
        self.window_ends = None;
        let mut steps: BTreeMap<ParticipantSid, u8> = BTreeMap::new();
        for (track, loudness) in &mut self.by_track {
            let step = loudness.close();
            if let Some(&publisher) = publishers.get(track).filter(|_| step > 0) {
                let loudest = steps.entry(publisher).or_default();
                *loudest = step.max(*loudest);
            }
        }
        self.by_track.retain(|track, loudness| loudness.is_speech() && publishers.contains_key(track));
        self.pretenders.retain(|_, until| *until > now);
        steps.extend(self.pretenders.keys().map(|&sid| (sid, STEPS as u8)));
        let changes = self.changes(&steps);
        self.order = self.ordered(&steps, publishers);
        self.told = steps;
        changes
    }

    /// The order with those who speak now, without those who publish nothing any more.
    fn ordered(
        &self,
        steps: &BTreeMap<ParticipantSid, u8>,
        publishers: &BTreeMap<TrackSid, ParticipantSid>,
    ) -> Vec<ParticipantSid> {
        let known = self.order.iter().copied().filter(|sid| publishers.values().any(|publisher| publisher == sid));
        let (speaking, silent): (Vec<_>, Vec<_>) = known.partition(|sid| steps.contains_key(sid));
        let begun = steps.keys().copied().filter(|sid| !self.order.contains(sid));
        speaking.iter().copied().chain(begun).chain(silent).take(ORDERED_MAX).collect()
    }

    fn changes(&self, steps: &BTreeMap<ParticipantSid, u8>) -> Vec<proto::SpeakerInfo> {
        let stopped = self.told.keys().filter(|sid| !steps.contains_key(sid)).map(|&sid| speaker(sid, 0));
        let louder = steps.iter().filter(|(sid, step)| self.told.get(sid) != Some(step));
        stopped.chain(louder.map(|(&sid, &step)| speaker(sid, step))).collect()
    }

    fn is_quiet(&self) -> bool {
        self.told.is_empty() && self.by_track.is_empty()
    }
}

impl Loudness {
    /// Ends a window. Gives the step of loudness, 0 for none.
    fn close(&mut self) -> u8 {
        let share = self.loud.min(SAMPLES) as f32 / SAMPLES as f32;
        let heard = if self.loud >= LOUD_SAMPLES_MIN { linear(self.loudest_dbov) * share } else { 0.0 };
        self.smoothed += (heard - self.smoothed) * SMOOTHING;
        self.loud = 0;
        if self.is_speech() { (self.smoothed * STEPS).ceil() as u8 } else { 0 }
    }

    fn is_speech(&self) -> bool {
        self.smoothed >= linear(LOUD_DBOV)
    }
}

impl Room {
    /// How loud tracks of this room are.
    pub fn hear(&mut self, cx: &mut Context, track: TrackSid, dbov: u8) {
        if let Some(end) = self.speakers.hear(cx.now, track, dbov) {
            cx.wake(&self.key, end);
        }
    }

    /// Tells everybody what changed about who speaks, when it is time.
    pub fn tell_speakers(&mut self, cx: &mut Context) {
        if self.speakers.window_ends.is_none_or(|end| end > cx.now) {
            return;
        }
        let before = self.speakers.order.clone();
        let speakers = self.speakers.close(cx.now, &self.carriers());
        if self.speakers.order != before {
            self.order_speakers(cx);
        }
        if !speakers.is_empty() {
            for identity in self.locals.keys() {
                self.tell(cx, identity, changed(speakers.clone()));
            }
        }
        if !self.speakers.is_quiet()
            && let Some(end) = self.speakers.open_window(cx.now)
        {
            cx.wake(&self.key, end);
        }
    }

    /// Whether a participant speaks or has spoken not long ago.
    pub fn has_spoken(&self, sid: ParticipantSid) -> bool {
        self.speakers.order.contains(&sid)
    }

    /// Tells the worker whose pictures come first.
    pub fn order_speakers(&self, cx: &mut Context) {
        let publishers = self.carriers();
        let tracks_of = |speaker: &ParticipantSid| {
            let speaker = *speaker;
            publishers.iter().filter(move |(_, publisher)| **publisher == speaker).map(|(track, _)| *track)
        };
        let tracks: Vec<TrackSid> = self.speakers.order.iter().flat_map(tracks_of).collect();
        if !tracks.is_empty() {
            cx.media(&self.key, Command::Speakers(tracks));
        }
    }

    /// Tells one who has just come who speaks.
    pub fn tell_of_speakers(&self, cx: &mut Context, identity: &Identity) {
        if !self.speakers.told.is_empty() {
            let speakers = self.speakers.told.iter().map(|(&sid, &step)| speaker(sid, step));
            self.tell(cx, identity, changed(speakers.collect()));
        }
    }

    /// A participant has itself called a speaker for some seconds.
    pub fn pretend_to_speak(&mut self, cx: &mut Context, identity: &Identity, time: Duration) {
        let Some(local) = self.locals.get(identity) else { return };
        self.speakers.pretenders.insert(local.sid, cx.now + time.min(PRETENCE_MAX));
        if let Some(end) = self.speakers.open_window(cx.now) {
            cx.wake(&self.key, end);
        }
    }
}

fn speaker(sid: ParticipantSid, step: u8) -> proto::SpeakerInfo {
    proto::SpeakerInfo { sid: sid.to_string(), level: f32::from(step) / STEPS, active: step > 0 }
}

fn changed(speakers: Vec<proto::SpeakerInfo>) -> Message {
    Message::SpeakersChanged(proto::SpeakersChanged { speakers })
}

/// 0 to 1, of -dBov.
fn linear(dbov: u8) -> f32 {
    10_f32.powf(f32::from(dbov) / -20.0)
}
