//! Publishers whose layers all go over one link: what was sent, what came, and how late.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use origo_cascade_core::TrackLayer;
use origo_cascade_core::link::{Class, Flow};

use super::pair::{Pair, packet};

const PAYLOAD: usize = 1150;
const AUDIO_PAYLOAD: usize = 80;

/// What became of one class.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    pub sent: u64,
    /// In time: within 300 ms over the path's delay (sound 120 ms).
    pub came: u64,
    /// Added delay of what came, ms, sorted.
    pub added_ms: Vec<f64>,
}

impl Fate {
    pub fn share(&self) -> f64 {
        self.came as f64 / self.sent.max(1) as f64
    }

    pub fn percentile(&self, percent: usize) -> f64 {
        self.added_ms.get(self.added_ms.len() * percent / 100).copied().unwrap_or(f64::NAN)
    }
}

struct Stream {
    class: Class,
    layer: TrackLayer,
    interval: Duration,
    next_at: Instant,
    key_next: bool,
    sent_at: Vec<Instant>,
}

pub struct Crowd {
    streams: Vec<Stream>,
    start: Instant,
}

impl Crowd {
    /// So many publishers, each with sound (50 packets a second), a base layer and an enhancement layer.
    pub fn new(pair: &mut Pair, publishers: usize, base_bps: f64, enhancement_bps: f64) -> Self {
        let start = pair.now();
        let mut crowd = Self { streams: Vec::new(), start };
        for publisher in 0..publishers {
            let interval = |bps: f64| Duration::from_secs_f64(PAYLOAD as f64 * 8.0 / bps);
            for (class, interval) in [
                (Class::Audio, Duration::from_millis(20)),
                (Class::Base, interval(base_bps)),
                (Class::Enhancement, interval(enhancement_bps)),
            ] {
                let number = crowd.streams.len();
                // Streams begin one after the other, so that they do not march in step.
                let next_at = start + interval.mul_f64(publisher as f64 / publishers as f64);
                let layer = layer_of(number, class);
                pair.carry(Flow(number as u32 + 1), layer);
                crowd.streams.push(Stream { class, layer, interval, next_at, key_next: true, sent_at: Vec::new() });
            }
        }
        crowd
    }

    /// The layers of a class.
    pub fn layers(&self, class: Class) -> Vec<TrackLayer> {
        self.streams.iter().filter(|stream| stream.class == class).map(|stream| stream.layer).collect()
    }

    /// Sends for a while.
    pub fn run(&mut self, pair: &mut Pair, seconds: f64) {
        let until = pair.now() + Duration::from_secs_f64(seconds);
        // The order of a map, so that equal times are sent in the order of streams.
        let mut due: BTreeMap<(Instant, usize), ()> =
            self.streams.iter().enumerate().map(|(index, stream)| ((stream.next_at, index), ())).collect();
        while let Some(((at, index), ())) = due.pop_first() {
            if at >= until {
                break;
            }
            pair.run_for(at.saturating_duration_since(pair.now()));
            for layer in std::mem::take(&mut pair.keyframe_layers) {
                self.streams
                    .iter_mut()
                    .filter(|stream| stream.layer == layer)
                    .for_each(|stream| stream.key_next = true);
            }
            let stream = &mut self.streams[index];
            let bytes = if stream.class == Class::Audio { AUDIO_PAYLOAD } else { PAYLOAD };
            let mut packet = packet(at, stream.sent_at.len() as u64, bytes);
            packet.key = stream.class != Class::Audio && std::mem::take(&mut stream.key_next);
            stream.sent_at.push(at);
            stream.next_at = at + stream.interval;
            due.insert((stream.next_at, index), ());
            pair.send_on(Flow(index as u32 + 1), stream.class, packet);
        }
        pair.run_for(until.saturating_duration_since(pair.now()));
    }

    /// What became of what was sent between two times since the start; run on a little before asking.
    pub fn fate(&self, pair: &Pair, class: Class, from: f64, to: f64) -> Fate {
        let window = self.start + Duration::from_secs_f64(from)..self.start + Duration::from_secs_f64(to);
        let mut fate = Fate::default();
        for stream in self.streams.iter().filter(|stream| stream.class == class) {
            fate.sent += stream.sent_at.iter().filter(|at| window.contains(*at)).count() as u64;
        }
        let late = Duration::from_millis(if class == Class::Audio { 120 } else { 300 });
        for arrival in &pair.arrivals {
            let stream = &self.streams[arrival.flow.0 as usize - 1];
            // Numbers are 16 bits on the wire, and the receiver may count from another cycle.
            let sent_at = stream.sent_at[arrival.number as usize];
            if stream.class != class || !window.contains(&sent_at) {
                continue;
            }
            let added = (arrival.at - sent_at).saturating_sub(pair.conditions.delay);
            fate.came += u64::from(added <= late);
            fate.added_ms.push(added.as_secs_f64() * 1e3);
        }
        fate.added_ms.sort_by(f64::total_cmp);
        fate
    }

    /// Bits of payload that came in some time.
    pub fn bits(&self, pair: &Pair, from: f64, to: f64) -> f64 {
        let window = self.start + Duration::from_secs_f64(from)..self.start + Duration::from_secs_f64(to);
        let bits = |class| if class == Class::Audio { 8 * AUDIO_PAYLOAD } else { 8 * PAYLOAD };
        let came = pair.arrivals.iter().filter(|arrival| window.contains(&arrival.at));
        came.map(|arrival| bits(self.streams[arrival.flow.0 as usize - 1].class) as f64).sum()
    }

    /// Seconds from `from` until some packet that was sent since then came.
    pub fn first_arrival_since(&self, pair: &Pair, from: f64) -> f64 {
        let from = self.start + Duration::from_secs_f64(from);
        pair.arrivals
            .iter()
            .find(|arrival| arrival.at >= from)
            .map_or(f64::MAX, |arrival| (arrival.at - from).as_secs_f64())
    }
}

fn layer_of(number: usize, class: Class) -> TrackLayer {
    const DIGITS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let (high, low) = (DIGITS[number / 32 % 32] as char, DIGITS[number % 32] as char);
    let layer = if class == Class::Enhancement { 2 } else { 0 };
    TrackLayer { track: format!("TR_23456789AB{high}{low}").parse().expect("a track's id"), layer }
}
