//! Participants that do what a script says: each has its own node, media, wants and times. For tools that replay a
//! scenario and look at every packet.

mod backoff;
mod person;
mod record;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::record::{PersonRecord, Record, TrackRecord};

use crate::{AudioOptions, Fleet, VideoOptions};

/// Instants of packets are as exact as this.
const PACE: Duration = Duration::from_micros(200);
/// People go on for so long after the end, so that what was sent until then arrives.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// Longest wait for everybody to have left.
const LEAVE_WAIT: Duration = Duration::from_secs(10);

/// What a file says. Instants are milliseconds since the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// When it starts, unix milliseconds: several processes start together.
    pub start_unix_ms: u64,
    /// How long it lasts.
    pub duration_ms: u64,
    /// Who takes part.
    pub people: Vec<Person>,
}

/// One participant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Who.
    pub identity: String,
    /// Servers: the first, and then the next ones whenever a session ends by itself.
    pub urls: Vec<String>,
    /// What lets it in.
    pub token: String,
    /// Its chances: how long it waits before it tries again.
    #[serde(default)]
    pub seed: u64,
    /// It goes on at another node beside its session when its own asks for that, as `@origo/client` does; without, it
    /// joins anew when it is told to.
    #[serde(default)]
    pub moves: bool,
    /// When it comes.
    pub join_ms: u64,
    /// When it goes; at the end when nothing is said.
    #[serde(default)]
    pub leave_ms: Option<u64>,
    /// Its camera.
    #[serde(default)]
    pub video: Option<Video>,
    /// Its microphone.
    #[serde(default)]
    pub audio: Option<Audio>,
    /// What it takes of everybody else, and from when on, in the order of time; nothing when there is none.
    #[serde(default)]
    pub takes: Vec<Taking>,
}

/// A camera.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// Lowest first, three at most: width in pixels, mean kilobits per second.
    pub layers: Vec<(u32, f64)>,
    /// Frames each second.
    pub fps: u32,
    /// As [`VideoOptions::packet_bytes`].
    pub packet_bytes: usize,
    /// As [`VideoOptions::frame_spread`].
    pub frame_spread: f64,
    /// As [`VideoOptions::keyframe_weight`].
    pub keyframe_weight: f64,
    /// As [`VideoOptions::keyframe_every`].
    #[serde(default)]
    pub keyframe_every_ms: Option<u64>,
    /// As [`VideoOptions::frame_weights`].
    #[serde(default)]
    pub frame_weights: Vec<f64>,
    /// From the start to the beat of frames.
    #[serde(default)]
    pub beat_us: Option<u64>,
}

/// A microphone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// Kilobits per second.
    pub kbps: f64,
    /// As [`AudioOptions::pauses`].
    #[serde(default)]
    pub pauses: Option<u64>,
    /// From the start to the beat of packets.
    #[serde(default)]
    pub beat_us: Option<u64>,
}

/// What somebody takes from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taking {
    /// From then on.
    pub at_ms: u64,
    /// Layer of pictures: 0, 1, or 2 for the top; none without pictures.
    #[serde(default)]
    pub layer: Option<u8>,
    /// Sound too.
    pub audio: bool,
}

impl Video {
    fn options(&self, stage: &Stage) -> VideoOptions {
        let rates: Vec<(u32, u32)> = self.layers.iter().map(|(width, kbps)| (*width, (kbps * 1000.0) as u32)).collect();
        VideoOptions {
            frame_spread: self.frame_spread,
            keyframe_weight: self.keyframe_weight,
            keyframe_every: self.keyframe_every_ms.map(Duration::from_millis),
            frame_weights: self.frame_weights.clone().into(),
            beat: stage.beat(self.beat_us),
            ..VideoOptions::of_rates(&rates, self.fps, self.packet_bytes)
        }
    }
}

impl Audio {
    fn options(&self, stage: &Stage) -> AudioOptions {
        let options = AudioOptions::default();
        let packet_bytes = (self.kbps * 1000.0 / 8.0 * options.interval.as_secs_f64()) as usize;
        AudioOptions { packet_bytes, pauses: self.pauses, beat: stage.beat(self.beat_us), ..options }
    }
}

/// What people share.
struct Stage {
    /// When the script starts.
    start: Instant,
    /// When the script is over.
    over: Instant,
    /// When everybody goes.
    end: Instant,
    publishing: Fleet,
    watching: Fleet,
}

impl Stage {
    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn beat(&self, us: Option<u64>) -> Option<std::time::Instant> {
        us.map(|us| (self.start + Duration::from_micros(us)).into_std())
    }
}

/// Does what the script says; what everybody saw, in the order of the script.
pub async fn run(script: &Script) -> io::Result<Record> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = Duration::from_millis(script.start_unix_ms);
    let start = Instant::now() + start.saturating_sub(since_epoch);
    let over = start + Duration::from_millis(script.duration_ms);
    let end = over + AFTERWARDS;
    let (publishing, watching) = (Fleet::start_paced(PACE)?, Fleet::start_paced(PACE)?);
    let stage = Arc::new(Stage { start, over, end, publishing, watching });
    let mut lives = JoinSet::new();
    for (number, person) in script.people.iter().cloned().enumerate() {
        let stage = stage.clone();
        lives.spawn(async move { (number, person::live(&stage, person).await) });
    }
    let mut people = Vec::new();
    let too_late = tokio::time::sleep_until(end + LEAVE_WAIT);
    tokio::pin!(too_late);
    loop {
        tokio::select! {
            life = lives.join_next() => match life {
                Some(Ok(life)) => people.push(life),
                // Its panic has been told.
                Some(Err(_)) => {}
                None => break,
            },
            () = &mut too_late => break,
        }
    }
    people.sort_by_key(|(number, _)| *number);
    Ok(Record { people: people.into_iter().map(|(_, record)| record).collect() })
}
