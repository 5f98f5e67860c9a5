//! The media worker of a node whose people publish: packets of a track to all that are served, at their pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use origo_auth::NodeId;
use origo_cascade_core::link::{Class, Extensions, Flow, Packet, Send};
use origo_cascade_core::{Forward, MediaKind, TrackLayer};

/// Packets of one picture.
const PICTURE_PACKETS: u64 = 4;

/// A track that is published.
#[derive(Debug)]
pub struct Track {
    pub layer: TrackLayer,
    pub kind: MediaKind,
    /// Nothing is sent: it is muted, or paused.
    pub is_muted: bool,
    next: u64,
    /// The next picture is a keyframe.
    pub key_wanted: bool,
    /// Keyframes so far.
    pub keys: u64,
}

/// What a node's people publish, and who takes it.
#[derive(Debug, Default)]
pub struct Publisher {
    pub tracks: Vec<Track>,
    serving: BTreeMap<(NodeId, Flow), TrackLayer>,
}

impl Track {
    pub fn new(layer: TrackLayer, kind: MediaKind, first: u64) -> Self {
        Self { layer, kind, is_muted: false, next: first, key_wanted: true, keys: 0 }
    }

    /// How often it sends.
    pub fn pace(&self) -> Duration {
        Duration::from_millis(if self.kind == MediaKind::Audio { 20 } else { 33 })
    }
}

impl Publisher {
    pub fn apply(&mut self, forward: &Forward) {
        match forward {
            Forward::Serve { layer, to, flow, .. } => {
                self.serving.insert((*to, *flow), *layer);
            }
            Forward::StopServe { to, flow, .. } => {
                self.serving.remove(&(*to, *flow));
            }
            _ => {}
        }
    }

    /// Somebody wants a keyframe.
    pub fn want_key(&mut self, layer: TrackLayer) {
        self.tracks.iter_mut().filter(|track| track.layer == layer).for_each(|track| track.key_wanted = true);
    }

    /// What a track sends now.
    pub fn send(&mut self, track: usize, now: Instant) -> Vec<Send> {
        let track = &mut self.tracks[track];
        if track.is_muted {
            return Vec::new();
        }
        let is_sound = track.kind == MediaKind::Audio;
        let (count, class, bytes) = if is_sound { (1, Class::Audio, 80) } else { (PICTURE_PACKETS, Class::Base, 1000) };
        let key = !is_sound && std::mem::take(&mut track.key_wanted);
        track.keys += u64::from(key);
        let mut sent = Vec::new();
        for at in 0..count {
            let extensions = Extensions { audio_level: is_sound.then_some((20, true)), ..Extensions::default() };
            let packet = Packet {
                sequence: track.next,
                timestamp: (track.next * 3000) as u32,
                marker: at == count - 1,
                key: key && at == 0,
                redundant: false,
                skipped: 0,
                extensions,
                payload: Arc::from(vec![track.next as u8; bytes]),
                arrived: now,
            };
            track.next += 1;
            let takers = self.serving.iter().filter(|(_, layer)| **layer == track.layer);
            sent.extend(takers.map(|((to, flow), _)| Send::Packet {
                to: *to,
                flow: *flow,
                class,
                packet: packet.clone(),
            }));
        }
        sent
    }
}
