//! What came of one subscribed track.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::ledger::{LayerCounts, Ledger};
use crate::{MediaKind, Subscribed, stamp};

/// Simulcast has at most three layers.
const LAYERS_MAX: usize = 3;

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
    layers: [Ledger; LAYERS_MAX],
    newest_layer: u8,
    foreign: u64,
    bytes: u64,
    keyframes: u64,
    delay: Histogram,
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
    /// From making a packet to receiving it.
    pub delay: Histogram,
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
    pub(crate) fn new(what: Subscribed, now: Instant) -> Self {
        Self {
            what,
            ended: false,
            subscribed_at: now,
            first_at: None,
            newest_at: now,
            longest_gap: Duration::ZERO,
            layers: Default::default(),
            newest_layer: 0,
            foreign: 0,
            bytes: 0,
            keyframes: 0,
            delay: Histogram::default(),
        }
    }

    /// Notes a payload; the time since the subscription when it is the first one.
    pub(crate) fn note(&mut self, now: Instant, now_unix_us: u64, payload: &[u8]) -> Option<Duration> {
        if payload.is_empty() {
            return None;
        }
        self.bytes += payload.len() as u64;
        match stamp::decode(self.what.kind, payload) {
            Some((stamp, keyframe)) if usize::from(stamp.layer) < LAYERS_MAX => {
                let resumed = std::mem::replace(&mut self.newest_layer, stamp.layer) != stamp.layer;
                self.layers[usize::from(stamp.layer)].note(stamp.counter, resumed);
                self.delay.add(now_unix_us.saturating_sub(stamp.sent_us));
                self.keyframes += u64::from(keyframe);
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
            return None;
        }
        self.first_at = Some(now);
        Some(now.saturating_duration_since(self.subscribed_at))
    }

    pub(crate) fn report(&self) -> TrackReport {
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
            delay: self.delay.clone(),
        }
    }
}
