//! Publishers: frames and sound, cut into packets, for those layers that somebody takes.

use std::sync::Arc;

use origo_auth::NodeId;
use origo_cascade_core::MediaKind;
use origo_cascade_core::link::{Class, Extensions, Flow, Packet};
use rand::Rng;

use super::copies::of_key;
use super::event::Event;
use super::track::{Burst, PAYLOAD_MAX};
use super::{World, ms};
use crate::chance::frame_weight;

/// From a publisher to its node, ns: half the round trip of a good access line.
pub(super) const LAST_MILE: u64 = 10_000_000;
/// Packets of a layer that a publisher sends at once; the next as many a millisecond later.
const AT_ONCE: u32 = 8;
/// Sound comes this often, ns.
const SOUND_EVERY: u64 = 20_000_000;
/// And this often in silence: comfort noise.
const SILENCE_EVERY: u64 = 400_000_000;
/// Mean of a spurt of talk and of a pause, ns: two fifths are talk.
const TALKS: f64 = 1.0e9;
const PAUSES: f64 = 1.5e9;
/// Ticks of video's RTP clock in a second.
const VIDEO_CLOCK: f64 = 90_000.0;
/// Ticks of sound's in one packet.
const SOUND_CLOCK: u32 = 960;

impl World<'_> {
    /// A track's next frame: each layer that is sent gets its packets.
    pub(super) fn frame(&mut self, number: u32) {
        let now = self.now;
        let track = &mut self.tracks[number as usize];
        if !track.alive {
            return;
        }
        let fps = track.media.fps;
        track.clock = track.clock.wrapping_add((VIDEO_CLOCK / fps) as u32);
        let whole = track.in_stream().then(|| track.layers[0].take_key(now, &track.media));
        for place in 0..track.layers.len() {
            let track = &mut self.tracks[number as usize];
            if !track.layers[place].active {
                continue;
            }
            let key = whole.unwrap_or_else(|| track.layers[place].take_key(now, &track.media));
            let size = if key { track.media.keyframe_size } else { frame_weight(&mut track.dice) };
            let bytes = (track.layers[place].frame_bytes * size).max(20.0);
            let packets = (bytes / PAYLOAD_MAX as f64).ceil();
            let left_before = track.layers[place].burst.left;
            let burst = Burst {
                left: packets as u32,
                bytes: (bytes / packets) as usize,
                // Of layers within one stream the lowest alone begins a keyframe.
                key: key && (whole.is_none() || place == 0),
                clock: track.clock,
            };
            if left_before > 0 {
                self.send_burst(number, place as u8, left_before);
            }
            self.tracks[number as usize].layers[place].burst = burst;
            self.burst(number, place as u8);
        }
        self.push(now + (1e9 / fps) as u64, Event::Frame(number));
    }

    /// Some packets of a layer's frame.
    pub(super) fn burst(&mut self, track: u32, layer: u8) {
        let at = &self.tracks[track as usize];
        if !at.alive {
            return;
        }
        let left = at.layers[usize::from(layer)].burst.left;
        self.send_burst(track, layer, left.min(AT_ONCE));
        if left > AT_ONCE {
            self.push(self.now + 1_000_000, Event::Burst { track, layer });
        }
    }

    fn send_burst(&mut self, track: u32, layer: u8, packets: u32) {
        for _ in 0..packets {
            let at = &mut self.tracks[track as usize].layers[usize::from(layer)].burst;
            at.left -= 1;
            let burst = *at;
            at.key = false;
            self.send(track, layer, burst.bytes, burst.key, burst.left == 0, burst.clock);
        }
    }

    /// A track's next sound.
    pub(super) fn sound(&mut self, number: u32) {
        let now = self.now;
        let track = &mut self.tracks[number as usize];
        if !track.alive {
            return;
        }
        let (mut talks, until) = track.spurt;
        if track.media.dtx && until <= now {
            talks = !talks;
            let drawn: f64 = track.dice.random();
            let lasts = -(1.0 - drawn).ln() * if talks { TALKS } else { PAUSES };
            track.spurt = (talks, now + lasts as u64);
        }
        track.clock = track.clock.wrapping_add(SOUND_CLOCK);
        let (clock, bytes) = (track.clock, if talks { track.layers[0].frame_bytes as usize } else { 8 });
        let silence_ends = track.spurt.1.max(now + SOUND_EVERY);
        let next = if talks { now + SOUND_EVERY } else { (now + SILENCE_EVERY).min(silence_ends) };
        self.send(number, 0, bytes, false, false, clock);
        self.push(next, Event::Sound(number));
    }

    /// One packet of a layer, to each peer that takes it straight.
    fn send(&mut self, number: u32, layer: u8, bytes: usize, key: bool, marker: bool, timestamp: u32) {
        let now = self.now;
        let payload = self.payload(bytes.clamp(1, PAYLOAD_MAX));
        let arrived = self.instant;
        let track = &mut self.tracks[number as usize];
        let stream = track.stream_of(layer);
        let sequence = track.streams[stream].note(now, layer);
        let is_audio = track.kind == MediaKind::Audio;
        let class = match track.kind {
            MediaKind::Audio => Class::Audio,
            MediaKind::Video if layer == 0 || key => Class::Base,
            MediaKind::Video => Class::Enhancement,
        };
        let extensions = Extensions { audio_level: is_audio.then_some((30, true)), ..Extensions::default() };
        let mut packet =
            Packet { sequence, timestamp, marker, key, redundant: false, skipped: 0, extensions, payload, arrived };
        self.second.published += 1;
        if self.tracks[number as usize].in_stream() {
            self.leave_out(number, layer);
        }
        let mut place = 0;
        loop {
            let track = &mut self.tracks[number as usize];
            let Some(&(to, flow)) = track.layers[usize::from(layer)].serves.get(place) else { return };
            packet.skipped = track.left_out.remove(&to).unwrap_or(0);
            let node = track.node;
            self.links_packet(node, to, flow, (class, &packet));
            place += 1;
        }
    }

    /// Of layers within one stream: peers that do not take this one are told so with their next packet.
    fn leave_out(&mut self, number: u32, layer: u8) {
        let track = &mut self.tracks[number as usize];
        let takes = |to: NodeId| track.layers[usize::from(layer)].serves.iter().any(|(other, _)| *other == to);
        let peers = track.layers.iter().flat_map(|layer| &layer.serves).map(|(to, _)| *to);
        let without: std::collections::BTreeSet<NodeId> = peers.filter(|to| !takes(*to)).collect();
        for to in without {
            let left_out = track.left_out.entry(to).or_default();
            *left_out = left_out.saturating_add(1);
        }
    }

    fn payload(&mut self, bytes: usize) -> Arc<[u8]> {
        if self.payloads.len() <= bytes {
            self.payloads.resize(bytes + 1, None);
        }
        self.payloads[bytes].get_or_insert_with(|| vec![0; bytes].into()).clone()
    }

    /// A peer takes a layer straight.
    pub(super) fn begin_serve(&mut self, key: u32, to: NodeId, flow: Flow) {
        let (track, layer) = of_key(key);
        let serves = &mut self.tracks[track].layers[layer].serves;
        if !serves.contains(&(to, flow)) {
            serves.push((to, flow));
        }
        let now = self.now;
        let stream = self.tracks[track].stream_of(layer as u8);
        let next = self.tracks[track].streams.get(stream).map(|stream| stream.next);
        let place = self.places.get(&to);
        let at = &mut self.tracks[track].layers[layer];
        if let (Some(next), Some(watch)) = (next, place.and_then(|place| at.watches.get_mut(place))) {
            watch.begin(next, now);
        }
        self.follow_demand(track, layer);
    }

    pub(super) fn end_serve(&mut self, key: u32, to: NodeId, flow: Flow) {
        let (track, layer) = of_key(key);
        self.tracks[track].layers[layer].serves.retain(|serve| *serve != (to, flow));
        self.follow_demand(track, layer);
    }

    /// The publisher sends a layer while somebody takes it.
    pub(super) fn follow_demand(&mut self, track: usize, layer: usize) {
        let (now, is_picture) = (self.now, self.tracks[track].kind == MediaKind::Video);
        let alive = self.tracks[track].alive;
        let at = &mut self.tracks[track].layers[layer];
        if !is_picture || !alive {
            return;
        }
        if at.is_wanted() && !at.active && !at.resuming {
            at.resuming = true;
            let asked = at.asked_at.take();
            self.push(now + LAST_MILE, Event::Resume { track: track as u32, layer: layer as u8 });
            if let Some((asked, delay)) = asked {
                self.measure("demand_up_ms", ms((now - asked).saturating_sub(delay)));
            }
        } else if !at.is_wanted() && at.active {
            at.active = false;
            if let Some(unwatched) = at.unwatched_at.take().filter(|_| at.watches.is_empty()) {
                self.measure("demand_down_ms", ms(now - unwatched));
            }
        }
    }

    /// The publisher has heard that a layer is wanted: it begins with a keyframe.
    pub(super) fn resume(&mut self, track: u32, layer: u8) {
        let now = self.now;
        let at = &mut self.tracks[track as usize].layers[usize::from(layer)];
        at.resuming = false;
        if at.is_wanted() {
            at.active = true;
            at.key_at = Some(now);
        }
    }
}
