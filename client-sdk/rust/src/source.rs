//! Makes the packets of one published track: a burst each frame, stamped, with a keyframe when one is asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use str0m::media::{Mid, Pt, Rid};
use str0m::rtp::{ExtensionValues, RtpWrite, SeqNo};

use crate::options::{AudioOptions, Turns, VideoOptions};
use crate::stamp::{self, Stamp, Vp8Place};

/// A frame that is later than this is skipped: a stalled sender must not burst to catch up.
const LATE_MAX: Duration = Duration::from_millis(200);
/// Opus has no shorter packets (RFC 6716, section 2.1.4).
const AUDIO_INTERVAL_MIN: Duration = Duration::from_micros(2500);
const AUDIO_CLOCK_HZ: u64 = 48_000;
const VIDEO_CLOCK_HZ: u64 = 90_000;
/// Streams begin at a sequence number well inside the first rollover period, as SRTP requires.
const FIRST_SEQ: u64 = 1000;
/// Level of silence (RFC 6464).
const SILENCE_DBOV: i8 = -127;

#[derive(Debug)]
enum Shape {
    Audio(AudioOptions, Option<Pauses>),
    Video { packet_bytes: usize, weights: Weights, keyframe_weight: f64, keyframe_every: Option<Duration> },
}

/// Sizes of frames lie about their mean, the same in each run.
#[derive(Debug)]
struct Weights {
    spread: f64,
    given: Arc<[f64]>,
}

impl Weights {
    fn of(&self, frame: u32) -> f64 {
        if !self.given.is_empty() {
            return self.given[frame as usize % self.given.len()];
        }
        let scattered = frame.wrapping_mul(0x9e37_79b1) >> 24;
        1.0 - self.spread + 2.0 * self.spread * f64::from(scattered) / 255.0
    }
}

/// Bytes of one of a frame's packets, which are about as large as each other, as packetizers of VP8 have it.
fn part_of(bytes: usize, packets: usize, packet: usize) -> usize {
    bytes / packets + usize::from(packet < bytes % packets)
}

/// The first instant from now on that lies whole intervals after the beat.
fn on_beat(beat: Option<Instant>, interval: Duration, now: Instant) -> Instant {
    let Some(beat) = beat.filter(|beat| *beat < now) else { return beat.unwrap_or(now) };
    let into = (now - beat).as_nanos() % interval.as_nanos().max(1);
    if into == 0 { now } else { now + interval - Duration::from_nanos(into as u64) }
}

/// Talk and silence.
#[derive(Debug)]
struct Pauses {
    order: Order,
    talks: bool,
    until: Instant,
}

#[derive(Debug)]
enum Order {
    /// In turn, exponentially distributed: people in a call talk two fifths of the time.
    Drawn(Box<StdRng>),
    /// As it is agreed with others.
    Agreed(Turns),
}

impl Pauses {
    /// Means of a spurt of talk and of a pause, seconds.
    const TALKS: f64 = 1.0;
    const RESTS: f64 = 1.5;
    /// A packet of comfort noise comes this often.
    const NOISE_EVERY: Duration = Duration::from_millis(400);
    const NOISE_BYTES: usize = 8;

    /// None of a sound without pauses.
    fn of(options: &AudioOptions, now: Instant) -> Option<Self> {
        let drawn = options.pauses.map(|seed| Order::Drawn(Box::new(StdRng::seed_from_u64(seed))));
        let order = options.turns.map(Order::Agreed).or(drawn)?;
        Some(Self { order, talks: false, until: now })
    }

    /// Whether there is talk now, and when the next packet is due.
    fn turn(&mut self, now: Instant, interval: Duration) -> (bool, Instant) {
        if self.until <= now {
            (self.talks, self.until) = match &mut self.order {
                Order::Drawn(dice) => {
                    let mean = if self.talks { Self::RESTS } else { Self::TALKS };
                    let drawn: f64 = dice.random();
                    (!self.talks, now + Duration::from_secs_f64(-(1.0 - drawn).ln() * mean))
                }
                Order::Agreed(turns) => turns.at(now),
            };
        }
        let noise = (now + Self::NOISE_EVERY).min(self.until.max(now + interval));
        (self.talks, if self.talks { now + interval } else { noise })
    }
}

/// One simulcast layer as it is sent.
#[derive(Debug)]
struct Lane {
    rid: Option<Rid>,
    width: u16,
    height: u16,
    packets_per_frame: usize,
    /// Mean size of frames that vary.
    frame_bytes: Option<usize>,
    sent: u32,
    keyframe_wanted: bool,
    keyframe_at: Instant,
}

/// A published track that makes its packets.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) mid: Mid,
    pt: Pt,
    shape: Shape,
    lanes: Vec<Lane>,
    interval: Duration,
    began_at: Instant,
    frames: u32,
    /// `None` while it is paused.
    next_at: Option<Instant>,
    /// When what is in each packet was captured, unix microseconds, where that is kept.
    made: Option<Vec<u64>>,
}

impl Source {
    pub(crate) fn audio(options: AudioOptions, mid: Mid, pt: Pt, now: Instant) -> Self {
        let lane = Lane {
            rid: None,
            width: 0,
            height: 0,
            packets_per_frame: 1,
            frame_bytes: None,
            sent: 0,
            keyframe_wanted: false,
            keyframe_at: now,
        };
        let interval = options.interval.max(AUDIO_INTERVAL_MIN);
        let first = on_beat(options.beat, interval, now);
        let pauses = Pauses::of(&options, first);
        Self { next_at: Some(first), ..Self::new(Shape::Audio(options, pauses), vec![lane], interval, mid, pt, now) }
    }

    pub(crate) fn video(options: &VideoOptions, mid: Mid, pt: Pt, now: Instant) -> Self {
        let lane = |layer: &crate::options::Layer| Lane {
            rid: layer.rid.map(Rid::from),
            width: layer.width as u16,
            height: layer.height as u16,
            packets_per_frame: layer.packets_per_frame.max(1),
            frame_bytes: layer.frame_bytes,
            sent: 0,
            keyframe_wanted: true,
            keyframe_at: now,
        };
        let lanes = options.layers.iter().map(lane).collect();
        let interval = Duration::from_secs(1) / options.fps.max(1);
        let &VideoOptions { packet_bytes, frame_spread, keyframe_weight, keyframe_every, .. } = options;
        let weights = Weights { spread: frame_spread, given: options.frame_weights.clone() };
        let shape = Shape::Video { packet_bytes, weights, keyframe_weight, keyframe_every };
        let first = on_beat(options.beat, interval, now);
        Self { next_at: Some(first), ..Self::new(shape, lanes, interval, mid, pt, now) }
    }

    fn new(shape: Shape, lanes: Vec<Lane>, interval: Duration, mid: Mid, pt: Pt, now: Instant) -> Self {
        Self { mid, pt, shape, lanes, interval, began_at: now, frames: 0, next_at: Some(now), made: None }
    }

    /// When the next frame is due; never while it is paused.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// Stops making packets.
    pub(crate) fn pause(&mut self) {
        self.next_at = None;
    }

    /// Makes packets again, beginning with keyframes.
    pub(crate) fn resume(&mut self, now: Instant) {
        if self.next_at.is_none() {
            self.next_at = Some(now);
            self.want_keyframe(None);
        }
    }

    /// Makes so many frames in a second from now on, if it is a camera.
    pub(crate) fn set_fps(&mut self, fps: u32) {
        if matches!(self.shape, Shape::Video { .. }) {
            self.interval = Duration::from_secs(1) / fps.max(1);
        }
    }

    /// Packets made so far of each layer, lowest first.
    pub(crate) fn sent(&self) -> Vec<u32> {
        self.lanes.iter().map(|lane| lane.sent).collect()
    }

    /// Keeps when what is in each packet is captured from now on.
    pub(crate) fn keep_made(&mut self) {
        self.made.get_or_insert_default();
    }

    /// When each packet was made, if that is kept.
    pub(crate) fn made(&self) -> Option<&[u64]> {
        self.made.as_deref()
    }

    /// The next frame of a layer shall be a keyframe; of all layers when none is named.
    pub(crate) fn want_keyframe(&mut self, rid: Option<Rid>) {
        for lane in self.lanes.iter_mut().filter(|lane| rid.is_none() || lane.rid == rid) {
            lane.keyframe_wanted = true;
        }
    }

    /// Makes the frame that is due, and sets the time of the next one.
    pub(crate) fn make_frame(&mut self, now: Instant, unix_us: u64, mut write: impl FnMut(Option<Rid>, RtpWrite)) {
        let due = self.next_at.unwrap_or(now);
        let turn = match &mut self.shape {
            Shape::Audio(_, Some(pauses)) => Some(pauses.turn(due, self.interval)),
            _ => None,
        };
        // A microphone goes on while its program waits for a processor: what is packed late was captured in time.
        let captured = if matches!(self.shape, Shape::Audio(..)) { due.min(now) } else { now };
        for index in 0..self.lanes.len() {
            self.make_layer(index, (captured, now), unix_us, &mut write);
        }
        self.frames = self.frames.wrapping_add(1);
        let next = turn.map_or(due + self.interval, |(_, next)| next);
        let late = now.saturating_duration_since(next) > LATE_MAX;
        self.next_at = Some(if late { now + self.interval } else { next });
    }

    fn make_layer(
        &mut self,
        index: usize,
        (captured, now): (Instant, Instant),
        unix_us: u64,
        write: &mut impl FnMut(Option<Rid>, RtpWrite),
    ) {
        let keyframe = self.takes_keyframe(index, now);
        let time = self.rtp_time(captured);
        let (packets, frame_bytes) = self.frame_size(index, keyframe);
        for packet in 0..packets {
            let bytes = frame_bytes.map(|bytes| part_of(bytes, packets, packet));
            let payload = self.payload(index, packet, keyframe, bytes, unix_us);
            if let Some(made) = &mut self.made {
                made.push(unix_us.saturating_sub((now - captured).as_micros() as u64));
            }
            let lane = &mut self.lanes[index];
            let seq = SeqNo::from(FIRST_SEQ + u64::from(lane.sent));
            lane.sent += 1;
            let rtp = RtpWrite::new(self.pt, seq, time, captured, payload)
                .marker(packet + 1 == packets)
                .ext_vals(self.extensions())
                .nackable(matches!(self.shape, Shape::Video { .. }));
            write(self.lanes[index].rid, rtp);
        }
    }

    fn takes_keyframe(&mut self, index: usize, now: Instant) -> bool {
        let every = match &self.shape {
            Shape::Video { keyframe_every, .. } => *keyframe_every,
            Shape::Audio(..) => None,
        };
        let lane = &mut self.lanes[index];
        let is_due = every.is_some_and(|every| now.saturating_duration_since(lane.keyframe_at) >= every);
        let keyframe = std::mem::take(&mut lane.keyframe_wanted) || is_due;
        if keyframe {
            lane.keyframe_at = now;
        }
        keyframe
    }

    /// Packets of the frame that is due, and bytes of all of them when they are not full.
    fn frame_size(&self, index: usize, keyframe: bool) -> (usize, Option<usize>) {
        let lane = &self.lanes[index];
        let (Some(mean), Shape::Video { packet_bytes, weights, keyframe_weight, .. }) = (lane.frame_bytes, &self.shape)
        else {
            return (lane.packets_per_frame, None);
        };
        let weight = if keyframe { *keyframe_weight } else { weights.of(self.frames) };
        let bytes = ((mean as f64 * weight) as usize).max(1);
        (bytes.div_ceil((*packet_bytes).max(1)), Some(bytes))
    }

    fn payload(&self, index: usize, packet: usize, keyframe: bool, bytes: Option<usize>, unix_us: u64) -> Vec<u8> {
        let lane = &self.lanes[index];
        let stamp = Stamp { layer: index as u8, counter: lane.sent, sent_us: unix_us };
        match &self.shape {
            Shape::Audio(_, Some(pauses)) if !pauses.talks => stamp::encode_opus(stamp, Pauses::NOISE_BYTES),
            Shape::Audio(options, _) => stamp::encode_opus(stamp, options.packet_bytes),
            Shape::Video { packet_bytes, .. } => {
                let place = Vp8Place {
                    first: packet == 0,
                    keyframe,
                    picture: self.frames as u16,
                    width: lane.width,
                    height: lane.height,
                };
                stamp::encode_vp8(stamp, place, bytes.unwrap_or(*packet_bytes))
            }
        }
    }

    fn extensions(&self) -> ExtensionValues {
        let level = match &self.shape {
            Shape::Audio(_, Some(pauses)) if !pauses.talks => Some(SILENCE_DBOV),
            Shape::Audio(options, _) => Some(options.level_dbov),
            Shape::Video { .. } => None,
        };
        ExtensionValues { audio_level: level, voice_activity: level.map(|level| level > -60), ..Default::default() }
    }

    fn rtp_time(&self, captured: Instant) -> u32 {
        let hz = if matches!(self.shape, Shape::Audio(..)) { AUDIO_CLOCK_HZ } else { VIDEO_CLOCK_HZ };
        let elapsed = captured.saturating_duration_since(self.began_at);
        (elapsed.as_micros() as u64 * hz / 1_000_000) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_brings_the_packets_of_every_layer_and_a_keyframe_when_asked() {
        let start = Instant::now();
        let options = VideoOptions::simulcast(30, 500);
        let mut source = Source::video(&options, Mid::from("v"), Pt::from(96), start);
        let mut written = Vec::new();
        source.make_frame(start, 1, |rid, _| written.push(rid));
        assert_eq!(written.len(), 9);
        assert_eq!(source.sent(), [1, 2, 6]);
        assert_eq!(source.next_at(), Some(start + Duration::from_secs(1) / 30));
        assert!(source.lanes.iter().all(|lane| !lane.keyframe_wanted));
        source.want_keyframe(Some(Rid::from("h")));
        assert_eq!(source.lanes.iter().filter(|lane| lane.keyframe_wanted).count(), 1);
    }

    #[test]
    fn a_camera_makes_as_many_frames_as_it_is_told_and_a_microphone_does_not_hear_of_it() {
        let start = Instant::now();
        let options = VideoOptions::single(30, 1, 500);
        let mut camera = Source::video(&options, Mid::from("v"), Pt::from(96), start);
        camera.set_fps(960);
        camera.make_frame(start, 1, |_, _| {});
        assert_eq!(camera.next_at(), Some(start + Duration::from_secs(1) / 960));
        camera.set_fps(0);
        camera.make_frame(start + Duration::from_secs(1) / 960, 1, |_, _| {});
        assert!(camera.next_at() > Some(start + Duration::from_secs(1)), "at least one a second");

        let mut microphone = Source::audio(AudioOptions::default(), Mid::from("a"), Pt::from(111), start);
        microphone.set_fps(1);
        microphone.make_frame(start, 1, |_, _| {});
        assert_eq!(microphone.next_at(), Some(start + AudioOptions::default().interval));
    }

    #[test]
    fn lifelike_frames_vary_about_their_mean_and_begin_with_a_large_one() {
        let start = Instant::now();
        let options = VideoOptions::lifelike(3, 1_700_000, 30, 1100);
        let mut source = Source::video(&options, Mid::from("v"), Pt::from(96), start);
        let (mut bytes, mut packets) = ([0; 3], Vec::new());
        for frame in 0..900 {
            for (layer, bytes) in bytes.iter_mut().enumerate() {
                let (count, all) = source.frame_size(layer, frame == 0);
                *bytes += all.unwrap();
                if layer == 2 {
                    packets.push(count);
                }
            }
            source.make_frame(start + Duration::from_secs(1) * frame / 30, 1, |_, _| {});
        }
        let kbps = bytes.map(|bytes| bytes * 8 / 30 / 1000);
        assert!((1600..1850).contains(&kbps[2]) && (380..480).contains(&kbps[1]), "{kbps:?}");
        assert!(packets[0] > 20 && packets[1..].iter().all(|count| (4..=10).contains(count)), "{packets:?}");
    }

    #[test]
    fn sound_with_pauses_is_there_two_fifths_of_the_time_and_every_400_ms_else() {
        let start = Instant::now();
        let options = AudioOptions { pauses: Some(7), ..AudioOptions::default() };
        let mut source = Source::audio(options, Mid::from("a"), Pt::from(111), start);
        let (mut talk, mut noise, mut longest, mut last) = (0_u32, 0_u32, Duration::ZERO, start);
        while let Some(at) = source.next_at().filter(|at| *at < start + Duration::from_secs(600)) {
            longest = longest.max(at - last);
            last = at;
            source.make_frame(at, 1, |_, _| {});
            let is_talk = source.next_at() == Some(at + Duration::from_millis(20));
            *(if is_talk { &mut talk } else { &mut noise }) += 1;
        }
        let talks = f64::from(talk) * 0.02 / 600.0;
        assert!((0.3..0.5).contains(&talks), "{talks} of the time, seed 7");
        assert!(noise > 600 && longest == Pauses::NOISE_EVERY, "{noise} packets, {longest:?}");
    }

    #[test]
    fn people_who_talk_in_turn_are_as_many_at_once_as_was_agreed_and_each_has_its_turn() {
        let begin = Instant::now();
        let each = Duration::from_secs(3);
        let loud = [0, 1, 2, 3, 4].map(|number| {
            let turns = Turns { begin, each, talkers: 2, people: 5, number };
            let options = AudioOptions { turns: Some(turns), ..AudioOptions::default() };
            let mut source = Source::audio(options, Mid::from("a"), Pt::from(111), begin);
            let mut loud = [0; 5];
            while let Some(at) = source.next_at().filter(|at| *at < begin + each * 5) {
                source.make_frame(at, 1, |_, _| {});
                let turn = (at - begin).as_secs() as usize / 3;
                loud[turn] += u32::from(source.extensions().audio_level == Some(-20));
            }
            loud
        });
        let all = 150;
        let two_turns =
            [[all, 0, all, 0, 0], [all, 0, 0, all, 0], [0, all, 0, all, 0], [0, all, 0, 0, all], [0, 0, all, 0, all]];
        assert_eq!(loud, two_turns);
    }

    #[test]
    fn keyframes_come_as_often_as_asked_even_when_nobody_asks() {
        let start = Instant::now();
        let mut options = VideoOptions::of_rates(&[(320, 150_000)], 25, 1150);
        (options.keyframe_every, options.keyframe_weight) = (Some(Duration::from_secs(2)), 6.0);
        let mut source = Source::video(&options, Mid::from("v"), Pt::from(96), start);
        let mut keyframes = Vec::new();
        for frame in 0..250_u32 {
            let mut packets = 0;
            source.make_frame(start + Duration::from_millis(40) * frame, 1, |_, _| packets += 1);
            keyframes.extend((packets > 2).then_some(frame));
        }
        assert_eq!(keyframes, [0, 50, 100, 150, 200]);
    }

    #[test]
    fn a_frame_is_cut_into_packets_about_as_large_as_each_other_and_as_large_as_was_given() {
        let start = Instant::now();
        let mut options = VideoOptions::of_rates(&[(640, 500_000)], 25, 1150);
        (options.frame_weights, options.keyframe_weight) = ([0.8, 1.2].into(), 6.0);
        let mut source = Source::video(&options, Mid::from("v"), Pt::from(96), start);
        let mut frames = Vec::new();
        for frame in 0..4 {
            frames.push(source.frame_size(0, frame == 0));
            source.make_frame(start + Duration::from_millis(40) * frame, 1, |_, _| {});
        }
        assert_eq!(frames, [(14, Some(15_000)), (3, Some(3_000)), (2, Some(2_000)), (3, Some(3_000))]);
        let parts: Vec<usize> = (0..3).map(|packet| part_of(3_001, 3, packet)).collect();
        assert_eq!(parts, [1_001, 1_000, 1_000]);
    }

    #[test]
    fn packets_come_on_the_beat_whenever_the_track_begins_to_flow() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let options = AudioOptions { beat: Some(start + ms(7)), ..AudioOptions::default() };
        for (begins, first) in [(0, 7), (7, 7), (8, 27), (106, 107), (1_000, 1_007)] {
            let source = Source::audio(options.clone(), Mid::from("a"), Pt::from(111), start + ms(begins));
            assert_eq!(source.next_at(), Some(start + ms(first)), "begins after {begins} ms");
        }
    }

    #[test]
    fn sound_that_is_packed_late_has_the_time_of_its_capture() {
        let start = Instant::now();
        let mut source = Source::audio(AudioOptions::default(), Mid::from("a"), Pt::from(111), start);
        source.keep_made();
        for ms in [0, 65, 65, 65, 81] {
            source.make_frame(start + Duration::from_millis(ms), 1_000_000 + ms * 1_000, |_, _| {});
        }
        let captured = source.made().map(<[u64]>::to_vec);
        assert_eq!(captured, Some(vec![1_000_000, 1_020_000, 1_040_000, 1_060_000, 1_080_000]));
    }

    #[test]
    fn a_stalled_source_does_not_burst_to_catch_up() {
        let start = Instant::now();
        let mut source = Source::video(&VideoOptions::single(30, 8, 500), Mid::from("v"), Pt::from(96), start);
        let late = start + Duration::from_secs(5);
        source.make_frame(late, 1, |_, _| {});
        assert!(source.next_at() > Some(late));
    }
}
