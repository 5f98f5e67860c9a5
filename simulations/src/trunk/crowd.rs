//! Publishers whose layers go over one trunk, and what became of their packets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use origo_cascade_core::TrackLayer;
use origo_cascade_core::link::{Class, Extensions, Packet};

/// Payload of a picture's packet; that of the measurements which the design rests on.
pub const PAYLOAD: usize = 1150;
const AUDIO_PAYLOAD: usize = 80;
/// 50 packets a second.
const AUDIO_INTERVAL: u64 = 20_000_000;

/// What is published.
#[derive(Clone, Copy, Debug)]
pub struct Media {
    /// Publishers, each with sound, a base layer and an enhancement layer.
    pub publishers: usize,
    /// Of all pictures together, payload.
    pub mbps: f64,
    /// Share of it in base layers.
    pub base: f64,
    /// Workers hand packets over once in so many ms.
    pub tick_ms: f64,
}

/// One layer's packets.
struct Stream {
    class: Class,
    layer: TrackLayer,
    interval: u64,
    next_at: u64,
    key_next: bool,
    sent_at: Vec<u64>,
    arrived_at: Vec<u64>,
}

/// See the module. Times are ns since the run began.
pub struct Crowd {
    streams: Vec<Stream>,
    due: BTreeMap<(u64, usize), ()>,
    tick: u64,
    payloads: [Arc<[u8]>; 2],
}

impl Crowd {
    /// Publishers that begin at `start`.
    pub fn new(media: Media, start: u64) -> Self {
        let mut streams = Vec::new();
        let mut due = BTreeMap::new();
        let count = media.publishers as f64;
        for publisher in 0..media.publishers {
            let interval = |mbps: f64| (PAYLOAD as f64 * 8e3 / (mbps / count)) as u64;
            let layers = [
                (Class::Audio, AUDIO_INTERVAL),
                (Class::Base, interval(media.mbps * media.base)),
                (Class::Enhancement, interval(media.mbps * (1.0 - media.base))),
            ];
            for (class, interval) in layers {
                // One after the other, so that they do not march in step.
                let next_at = start + (interval as f64 * publisher as f64 / count) as u64;
                due.insert((next_at, streams.len()), ());
                let layer = layer_of(streams.len(), class);
                let (sent_at, arrived_at) = (Vec::new(), Vec::new());
                streams.push(Stream { class, layer, interval, next_at, key_next: true, sent_at, arrived_at });
            }
        }
        let payloads = [vec![0; AUDIO_PAYLOAD].into(), vec![0; PAYLOAD].into()];
        Self { streams, due, tick: (media.tick_ms * 1e6) as u64, payloads }
    }

    /// The layers; flow i + 1 carries the i-th.
    pub fn layers(&self) -> impl Iterator<Item = TrackLayer> {
        self.streams.iter().map(|stream| stream.layer)
    }

    /// When packets are handed over next.
    pub fn next_at(&self) -> u64 {
        let at = self.due.keys().next().map_or(u64::MAX, |(at, _)| *at);
        if self.tick == 0 { at } else { at.div_ceil(self.tick) * self.tick }
    }

    /// The next packet that is due: its stream, class and what it is.
    pub fn next(&mut self, now: u64, arrived: Instant) -> Option<(usize, Class, Packet)> {
        let ((at, index), ()) = self.due.first_key_value()?;
        if *at > now {
            return None;
        }
        let index = *index;
        self.due.pop_first();
        let stream = &mut self.streams[index];
        stream.next_at += stream.interval;
        self.due.insert((stream.next_at, index), ());
        let number = stream.sent_at.len() as u64;
        stream.sent_at.push(now);
        stream.arrived_at.push(0);
        let packet = Packet {
            sequence: number,
            timestamp: (now / 11_111) as u32,
            marker: false,
            key: stream.class != Class::Audio && std::mem::take(&mut stream.key_next),
            redundant: false,
            skipped: 0,
            extensions: Extensions::default(),
            payload: Arc::clone(&self.payloads[usize::from(stream.class != Class::Audio)]),
            arrived,
        };
        Some((index, stream.class, packet))
    }

    /// A keyframe was asked for.
    pub fn ask_keyframe(&mut self, layer: TrackLayer) {
        self.streams.iter_mut().filter(|stream| stream.layer == layer).for_each(|stream| stream.key_next = true);
    }

    /// A packet came: the low 16 bits of its number tell which, for a run is shorter than they wrap.
    pub fn arrive(&mut self, now: u64, index: usize, number: u64) {
        let stream = &mut self.streams[index];
        let number = usize::from(number as u16);
        if let Some(at) = stream.arrived_at.get_mut(number).filter(|at| **at == 0) {
            *at = now;
        }
    }

    /// (sent, arrived or 0, bytes) of all packets of some classes.
    pub fn packets(&self, classes: &[Class]) -> impl Iterator<Item = (u64, u64, usize)> {
        let streams = self.streams.iter().filter(move |stream| classes.contains(&stream.class));
        streams.flat_map(|stream| {
            let bytes = if stream.class == Class::Audio { AUDIO_PAYLOAD } else { PAYLOAD };
            stream.sent_at.iter().zip(&stream.arrived_at).map(move |(sent, arrived)| (*sent, *arrived, bytes))
        })
    }
}

fn layer_of(number: usize, class: Class) -> TrackLayer {
    const DIGITS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let (high, low) = (DIGITS[number / 32 % 32] as char, DIGITS[number % 32] as char);
    let layer = if class == Class::Enhancement { 2 } else { 0 };
    TrackLayer { track: format!("TR_23456789AB{high}{low}").parse().expect("a track's id"), layer }
}
