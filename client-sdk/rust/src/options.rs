//! What a caller may choose about a participant and the tracks that it publishes.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// How to join.
#[derive(Clone, Debug)]
pub struct Options {
    /// LiveKit v1 (`/rtc/v1`, one PeerConnection) when set, else v0 (`/rtc`, two of them).
    pub single_connection: bool,
    /// Receive every published track without asking.
    pub auto_subscribe: bool,
    /// Receive by reading clear headers and the first bytes of payloads, past str0m: costs a fraction, with the same
    /// counts and the same feedback to the server. Needs AES-GCM; other profiles are received by str0m.
    pub light: bool,
    /// Say that this client can go on at another node with a successor of its session, and of which session (`PA_…`) the
    /// new one is the successor, if it is one.
    pub successor: Option<Successor>,
    /// Tell when nothing comes of the server any more, as `@origo/client` finds it out.
    pub watches: bool,
    /// A signaling socket that breaks says nothing, as when the machine of the server has died: the session ends when
    /// pings have stayed unanswered for as long as the server said, as those of SDKs do.
    pub dies_silently: bool,
    /// Keep when each packet came, for [`crate::TrackReport::arrivals`].
    pub record: bool,
    /// Longest wait for the server's answer to the join and for the connection.
    pub join_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            single_connection: true,
            auto_subscribe: true,
            light: false,
            successor: None,
            watches: false,
            dies_silently: false,
            record: false,
            join_timeout: Duration::from_secs(10),
        }
    }
}

/// What a client that can open successors of its session says as it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Successor {
    /// That it can.
    Able,
    /// That this session is the successor of that one.
    Of(String),
}

impl Options {
    /// LiveKit v0: `/rtc` and two PeerConnections.
    pub fn v0() -> Self {
        Self { single_connection: false, ..Self::default() }
    }

    /// LiveKit v1: `/rtc/v1` and one PeerConnection.
    pub fn v1() -> Self {
        Self::default()
    }
}

/// A published microphone: Opus-looking packets.
#[derive(Clone, Debug)]
pub struct AudioOptions {
    /// RTP payload bytes of a packet.
    pub packet_bytes: usize,
    /// Time between packets; 20 ms is usual.
    pub interval: Duration,
    /// Level in the audio-level extension, in -dBov: 0 is the loudest, -127 silence.
    pub level_dbov: i8,
    /// Talk and silence take turns, drawn from this seed, as with DTX: a packet each 400 ms in silence.
    pub pauses: Option<u64>,
    /// It is silent but when it is its turn, with DTX too.
    pub turns: Option<Turns>,
    /// Packets come whole intervals after this instant, whenever the track begins to flow.
    pub beat: Option<Instant>,
}

impl Default for AudioOptions {
    fn default() -> Self {
        let interval = Duration::from_millis(20);
        Self { packet_bytes: 100, interval, level_dbov: -20, pauses: None, turns: None, beat: None }
    }
}

/// People who talk in turn, so many at once.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// When the first turn begins, in which the first of them talk.
    pub begin: Instant,
    /// How long each lasts.
    pub each: Duration,
    /// How many talk at once.
    pub talkers: usize,
    /// How many there are.
    pub people: usize,
    /// Which of them this is.
    pub number: usize,
}

impl Turns {
    /// Whether it talks at an instant, and when that may change.
    pub(crate) fn at(&self, now: Instant) -> (bool, Instant) {
        let each = self.each.max(Duration::from_millis(1));
        let turn = now.saturating_duration_since(self.begin).as_nanos() / each.as_nanos();
        let people = self.people.max(1);
        let first = (turn % people as u128) as usize * self.talkers % people;
        let ends = self.begin + each * u32::try_from(turn + 1).unwrap_or(u32::MAX);
        ((self.number % people + people - first) % people < self.talkers, ends)
    }
}

/// Names of layers, lowest first.
const RIDS: [&str; 3] = ["q", "h", "f"];

/// One simulcast layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// `q`, `h` or `f`; `None` for a track without simulcast.
    pub rid: Option<&'static str>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Packets of each frame, all of them full.
    pub packets_per_frame: usize,
    /// Mean bytes of a frame, for frames that differ as an encoder's do: `packets_per_frame` is not heard then.
    pub frame_bytes: Option<usize>,
}

/// A published camera: VP8-looking frames.
#[derive(Clone, Debug)]
pub struct VideoOptions {
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// Frames each second.
    pub fps: u32,
    /// RTP payload bytes of a packet.
    pub packet_bytes: usize,
    /// Sizes of frames that vary lie within this share of their mean, 0 to 1.
    pub frame_spread: f64,
    /// A keyframe is so many times as large as the mean, where frames vary.
    pub keyframe_weight: f64,
    /// A keyframe this often even when nobody asks.
    pub keyframe_every: Option<Duration>,
    /// Sizes of frames that vary, as multiples of their mean, one after the other and then from the first again; drawn
    /// within [`VideoOptions::frame_spread`] when there are none.
    pub frame_weights: Arc<[f64]>,
    /// Frames come whole intervals after this instant, whenever the track begins to flow.
    pub beat: Option<Instant>,
}

/// Frames vary by so much unless something else is said.
const FRAME_SPREAD: f64 = 0.4;
/// How much larger a keyframe is than the mean: what encoders for calls make of a camera.
const KEYFRAME_WEIGHT: f64 = 4.0;

impl VideoOptions {
    /// Layers, lowest first, with names as browsers give them.
    pub fn new(layers: Vec<Layer>, fps: u32, packet_bytes: usize) -> Self {
        let (frame_spread, keyframe_weight) = (FRAME_SPREAD, KEYFRAME_WEIGHT);
        Self {
            layers,
            fps,
            packet_bytes,
            frame_spread,
            keyframe_weight,
            keyframe_every: None,
            frame_weights: Arc::default(),
            beat: None,
        }
    }

    /// Layers of given width in pixels and mean bits per second, lowest first, three at most.
    pub fn of_rates(rates: &[(u32, u32)], fps: u32, packet_bytes: usize) -> Self {
        let many = rates.len() > 1;
        let layer = |(&(width, bitrate_bps), rid): (&(u32, u32), &'static str)| Layer {
            rid: many.then_some(rid),
            width,
            height: width * 9 / 16,
            packets_per_frame: 1,
            frame_bytes: Some((bitrate_bps / 8 / fps.max(1)) as usize),
        };
        Self::new(rates.iter().zip(RIDS).map(layer).collect(), fps, packet_bytes)
    }

    /// One layer with that many packets a frame.
    pub fn single(fps: u32, packets_per_frame: usize, packet_bytes: usize) -> Self {
        let layer = Layer { rid: None, width: 1280, height: 720, packets_per_frame, frame_bytes: None };
        Self::new(vec![layer], fps, packet_bytes)
    }

    /// One layer of about that bit rate.
    pub fn at_bitrate(fps: u32, bitrate_bps: u32, packet_bytes: usize) -> Self {
        let frame_bytes = bitrate_bps as usize / 8 / fps.max(1) as usize;
        Self::single(fps, frame_bytes.div_ceil(packet_bytes.max(1)).max(1), packet_bytes)
    }

    /// Three layers whose packet counts relate about as bit rates of real simulcast do.
    pub fn simulcast(fps: u32, packet_bytes: usize) -> Self {
        let layer = |rid, height: u32, packets_per_frame| Layer {
            rid: Some(rid),
            width: height * 16 / 9,
            height,
            packets_per_frame,
            frame_bytes: None,
        };
        Self::new(vec![layer("q", 180, 1), layer("h", 360, 2), layer("f", 720, 6)], fps, packet_bytes)
    }

    /// One to three layers with frames like those of an encoder: their sizes vary, and keyframes are several times as
    /// large. `bitrate_bps` is the top layer's mean; each lower one has half the height and a quarter of the bits.
    pub fn lifelike(layers: usize, bitrate_bps: u32, fps: u32, packet_bytes: usize) -> Self {
        const TOP_HEIGHT: u32 = 720;
        let layers = layers.clamp(1, RIDS.len());
        let layer = |index: usize| {
            let below = (layers - 1 - index) as u32;
            let (height, bits) = (TOP_HEIGHT >> below, bitrate_bps >> (2 * below));
            let frame_bytes = Some((bits / 8 / fps.max(1)) as usize);
            let rid = (layers > 1).then_some(RIDS[index]);
            Layer { rid, width: height * 16 / 9, height, packets_per_frame: 1, frame_bytes }
        };
        Self::new((0..layers).map(layer).collect(), fps, packet_bytes)
    }

    /// Bits per second of a layer's payloads.
    pub fn bitrate_bps(&self, layer: &Layer) -> u32 {
        let frame_bytes = layer.frame_bytes.unwrap_or(layer.packets_per_frame * self.packet_bytes);
        let bits = frame_bytes * 8 * self.fps as usize;
        u32::try_from(bits).unwrap_or(u32::MAX)
    }
}
