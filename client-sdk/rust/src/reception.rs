//! What came of one subscribed track.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::ledger::{LayerCounts, Ledger};
use crate::totals::Totals;
use crate::{MediaKind, Subscribed, stamp};

/// Simulcast has at most three layers.
const LAYERS_MAX: usize = 3;
/// What is kept of a payload: enough for a codec's header and the stamp.
const PREFIX_BYTES: usize = 48;
/// A picture that stands still for longer is frozen.
pub const FREEZE: Duration = Duration::from_millis(200);

/// A media packet on its way to the reception that it belongs to.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) reception: usize,
    /// RTP payload bytes.
    pub(crate) len: usize,
    /// It was sent again because it had been missed (RFC 4588).
    pub(crate) repair: bool,
    prefix: [u8; PREFIX_BYTES],
    filled: usize,
}

impl Packet {
    /// A packet with so many bytes of payload.
    pub(crate) fn new(reception: usize, len: usize) -> Self {
        Self { reception, len, repair: false, prefix: [0; PREFIX_BYTES], filled: 0 }
    }

    /// Takes the beginning from the whole payload.
    pub(crate) fn fill(&mut self, payload: &[u8]) {
        self.len = payload.len();
        self.filled = payload.len().min(PREFIX_BYTES);
        self.prefix[..self.filled].copy_from_slice(&payload[..self.filled]);
    }

    /// Has the beginning written, as far as the payload goes.
    pub(crate) fn fill_prefix(&mut self, write: impl FnOnce(&mut [u8]) -> Option<()>) -> Option<()> {
        self.filled = self.len.min(PREFIX_BYTES);
        write(&mut self.prefix[..self.filled])
    }
}

/// Counts the packets of one subscribed track.
#[derive(Debug)]
pub(crate) struct Reception {
    pub(crate) what: Subscribed,
    /// Its section no longer carries it.
    pub(crate) ended: bool,
    subscribed_at: Instant,
    first_at: Option<Instant>,
    newest_at: Instant,
    longest_gap: Duration,
    freezes: Freezes,
    layers: [Ledger; LAYERS_MAX],
    newest_layer: u8,
    foreign: u64,
    bytes: u64,
    keyframes: u64,
    delay: Histogram,
    /// When each packet came, if that is kept.
    arrivals: Option<Vec<Arrival>>,
}

/// A packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Simulcast layer, 0 the lowest.
    pub layer: u8,
    /// Its number within the layer.
    pub counter: u32,
    /// When it was made, unix microseconds.
    pub sent_us: u64,
    /// When it came.
    pub came_us: u64,
    /// It begins a keyframe.
    pub keyframe: bool,
    /// It was sent again to us, for we had missed it.
    pub repair: bool,
}

/// Arrivals kept of one track: an hour of a lively one.
const ARRIVALS_MAX: usize = 2_000_000;

/// Times without a packet of a picture, each longer than [`FREEZE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freezes {
    /// How many.
    pub count: u64,
    /// Together, microseconds.
    pub total_us: u64,
    /// The longest, microseconds.
    pub longest_us: u64,
}

impl Freezes {
    fn add(&mut self, gap: Duration) {
        let us = gap.as_micros() as u64;
        *self = *self + Self { count: 1, total_us: us, longest_us: us };
    }
}

impl std::ops::Add for Freezes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            total_us: self.total_us + other.total_us,
            longest_us: self.longest_us.max(other.longest_us),
        }
    }
}

/// What came of one subscribed track so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrackReport {
    /// `TR_…`
    pub track: String,
    /// `PA_…` of the publisher.
    pub publisher: String,
    /// It is a picture.
    pub video: bool,
    /// By layer, lowest first.
    pub layers: [LayerCounts; LAYERS_MAX],
    /// Packets without our stamp: from other clients.
    pub foreign: u64,
    /// RTP payload bytes.
    pub bytes: u64,
    /// Keyframes seen to begin.
    pub keyframes: u64,
    /// From the negotiated section to the first packet, microseconds.
    pub first_packet_us: Option<u64>,
    /// Longest time without a packet after the first one, microseconds.
    pub longest_gap_us: u64,
    /// Times that a picture stood still.
    pub freezes: Freezes,
    /// Since the newest packet, microseconds; `None` for a track that has ended.
    pub idle_us: Option<u64>,
    /// From making a packet to receiving it.
    pub delay: Histogram,
    /// When each packet came, with [`crate::Options::record`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrivals: Vec<Arrival>,
}

impl TrackReport {
    /// Totals of all layers.
    pub fn total(&self) -> LayerCounts {
        self.layers.iter().fold(LayerCounts::default(), |sum, layer| sum + *layer)
    }

    /// Different packets of all layers, those of other clients included.
    pub fn packets(&self) -> u64 {
        self.foreign + self.layers.iter().map(|layer| layer.unique).sum::<u64>()
    }
}

impl Reception {
    /// One that has just been negotiated; with `record` it keeps when each packet comes.
    pub(crate) fn new(what: Subscribed, now: Instant, record: bool) -> Self {
        Self {
            what,
            ended: false,
            subscribed_at: now,
            first_at: None,
            newest_at: now,
            longest_gap: Duration::ZERO,
            freezes: Freezes::default(),
            layers: Default::default(),
            newest_layer: 0,
            foreign: 0,
            bytes: 0,
            keyframes: 0,
            delay: Histogram::default(),
            arrivals: record.then(Vec::new),
        }
    }

    /// Notes a payload; the time since the subscription when it is the first one.
    pub(crate) fn note(&mut self, now: Instant, now_unix_us: u64, packet: &Packet) -> Option<Duration> {
        if packet.len == 0 {
            return None;
        }
        self.bytes += packet.len as u64;
        match stamp::decode(self.what.kind, &packet.prefix[..packet.filled]) {
            Some((stamp, keyframe)) if usize::from(stamp.layer) < LAYERS_MAX => {
                let layer = usize::from(stamp.layer);
                if packet.repair {
                    // It comes late by nature: it moves no layer, and its delay is that of the loss.
                    if !self.layers[layer].repair(stamp.counter) {
                        return None;
                    }
                } else {
                    let resumed = std::mem::replace(&mut self.newest_layer, stamp.layer) != stamp.layer;
                    self.layers[layer].note(stamp.counter, resumed);
                    self.keyframes += u64::from(keyframe);
                }
                self.delay.add(now_unix_us.saturating_sub(stamp.sent_us));
                if let Some(arrivals) = self.arrivals.as_mut().filter(|arrivals| arrivals.len() < ARRIVALS_MAX) {
                    let stamp::Stamp { layer, counter, sent_us } = stamp;
                    arrivals.push(Arrival {
                        layer,
                        counter,
                        sent_us,
                        came_us: now_unix_us,
                        keyframe,
                        repair: packet.repair,
                    });
                }
            }
            _ => self.foreign += 1,
        }
        self.note_time(now)
    }

    fn note_time(&mut self, now: Instant) -> Option<Duration> {
        let gap = now.saturating_duration_since(self.newest_at);
        self.newest_at = now;
        if self.first_at.is_some() {
            self.longest_gap = self.longest_gap.max(gap);
            if self.what.kind == MediaKind::Video && gap > FREEZE {
                self.freezes.add(gap);
            }
            return None;
        }
        self.first_at = Some(now);
        Some(now.saturating_duration_since(self.subscribed_at))
    }

    pub(crate) fn totals(&self) -> Totals {
        let counts = self.layers.iter().fold(LayerCounts::default(), |sum, layer| sum + layer.counts());
        Totals {
            sent: 0,
            received: counts.unique + self.foreign,
            lost: counts.lost,
            repaired: counts.repaired,
            bytes: self.bytes,
            freezes: self.freezes.count,
        }
    }

    pub(crate) fn report(&self, now: Instant) -> TrackReport {
        TrackReport {
            track: self.what.track.clone(),
            publisher: self.what.publisher.clone(),
            video: self.what.kind == MediaKind::Video,
            layers: std::array::from_fn(|layer| self.layers[layer].counts()),
            foreign: self.foreign,
            bytes: self.bytes,
            keyframes: self.keyframes,
            first_packet_us: self.first_at.map(|at| (at - self.subscribed_at).as_micros() as u64),
            longest_gap_us: self.longest_gap.as_micros() as u64,
            freezes: self.freezes,
            idle_us: (!self.ended).then(|| now.saturating_duration_since(self.newest_at).as_micros() as u64),
            delay: self.delay.clone(),
            arrivals: self.arrivals.clone().unwrap_or_default(),
        }
    }
}
