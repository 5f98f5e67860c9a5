//! Requests for keyframes: nodes ask over their links, and the publisher's node lets few through.

use origo_cascade_core::link::Send;
use origo_cascade_core::{MediaKind, links};

use super::World;
use super::event::Event;
use super::publish::LAST_MILE;
use super::track::Layer;
use crate::scenario::Media;

/// A publisher is asked for a keyframe of a layer at most this often, ns.
const REQUESTS_EVERY: u64 = 500_000_000;
/// A node that waits for a keyframe asks again after this, ns.
const ASKS_AGAIN_AFTER: u64 = 1_000_000_000;

impl Layer {
    /// Whether the next frame is a keyframe.
    pub(super) fn take_key(&mut self, now: u64, media: &Media) -> bool {
        let is_due = media.keyframe_every.is_some_and(|every| now >= self.last_key + every.as_nanos() as u64);
        let is_key = is_due || self.key_at.is_some_and(|at| at <= now);
        if is_key {
            (self.key_at, self.last_key) = (None, now);
        }
        is_key
    }
}

impl World<'_> {
    /// A node needs a keyframe of a layer.
    pub(super) fn ask_key(&mut self, node: usize, track: u32, layer: u8) {
        let Some(watch) = self.tracks[track as usize].layers[usize::from(layer)].watches.get_mut(node) else { return };
        let asks = std::mem::replace(&mut watch.asks, true);
        self.send_ask(node, track, layer);
        if !asks {
            self.push(self.now + ASKS_AGAIN_AFTER, Event::AskKey { node: node as u32, track, layer });
        }
    }

    fn send_ask(&mut self, node: usize, track: u32, layer: u8) {
        let layer = self.tracks[track as usize].id(layer);
        self.links(node, links::Input::Send(Send::Keyframe { layer }));
    }

    pub(super) fn ask_key_again(&mut self, node: usize, track: u32, layer: u8) {
        let Some(watch) = self.tracks[track as usize].layers[usize::from(layer)].watches.get_mut(node) else { return };
        watch.asks = !watch.synced;
        if watch.asks {
            self.send_ask(node, track, layer);
            self.push(self.now + ASKS_AGAIN_AFTER, Event::AskKey { node: node as u32, track, layer });
        }
    }

    /// Somebody asks the publisher's node for a keyframe.
    pub(super) fn request_key(&mut self, track: usize, layer: usize) {
        if self.tracks[track].kind == MediaKind::Audio || !self.tracks[track].alive {
            return;
        }
        let now = self.now;
        let at = &mut self.tracks[track].layers[layer];
        if at.request_waits {
            return;
        }
        let next = at.last_request.map_or(now, |last| now.max(last + REQUESTS_EVERY));
        at.request_waits = next > now;
        let (track, layer) = (track as u32, layer as u8);
        if next > now {
            self.push(next, Event::Key { track, layer });
        } else {
            self.key(track, layer);
        }
    }

    /// A request passes on to the publisher.
    pub(super) fn key(&mut self, track: u32, layer: u8) {
        let now = self.now;
        let at = &mut self.tracks[track as usize].layers[usize::from(layer)];
        at.request_waits = false;
        at.last_request = Some(now);
        at.key_at = Some(at.key_at.map_or(now + LAST_MILE, |at| at.min(now + LAST_MILE)));
        at.requests += 1;
        self.second.keyframe_requests += 1;
    }
}
