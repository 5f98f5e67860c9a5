//! What comes next is looked at before it happens.
//!
//! Each event touches some forty places that the processor's cache does not hold, one after the other. Those of all events of
//! the calendar's current bucket are read here first, where they do not wait for each other. Nothing changes by it.

use std::hint::black_box;
use std::time::Duration;

use origo_cascade_core::MediaKind;
use origo_cascade_core::link::Class;
use origo_cascade_core::links::Ahead;

use super::World;
use super::copies::of_key;
use super::event::Event;

/// What an event leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leads {
    /// A packet arrives at a node.
    Packet(usize, Ahead),
    /// A track sends.
    Track(usize),
}

impl World<'_> {
    /// Looks at what the next events touch.
    pub(super) fn look_ahead(&mut self) {
        let (count, mut leads) = (self.nodes.len(), std::mem::take(&mut self.leads));
        for (at, event) in self.calendar.coming() {
            match event {
                Event::Arrive { path, datagram, .. } => {
                    let (from, to) = (*path as usize / count, *path as usize % count);
                    black_box(self.paths[to * count + from].look());
                    let ahead = self.nodes[to].links.look_at_datagram(self.nodes[from].id, datagram);
                    leads.extend(ahead.map(|ahead| Leads::Packet(to, ahead)));
                }
                Event::Frame(track) | Event::Sound(track) | Event::Burst { track, .. } => {
                    black_box(self.tracks[*track as usize].alive);
                    leads.push(Leads::Track(*track as usize));
                }
                Event::WakeLinks(node) => {
                    self.nodes[*node as usize].links.look_at_timeouts(self.start + Duration::from_nanos(at));
                }
                _ => {}
            }
        }
        for lead in leads.drain(..) {
            match lead {
                Leads::Packet(node, ahead) => self.look_at_watch(node, ahead),
                Leads::Track(track) => self.look_at_track(track),
            }
        }
        self.leads = leads;
    }

    fn look_at_watch(&self, node: usize, ahead: Ahead) {
        let Some(sink) = self.nodes[node].links.look_behind_link(ahead) else { return };
        let (track, layer) = of_key(sink as u32);
        let track = &self.tracks[track];
        let watch = track.layers[layer].watches.get(&node);
        let number = track.streams.get(track.stream_of(layer as u8)).map(|stream| stream.extend(ahead.number()));
        let sent = number.zip(track.streams.get(track.stream_of(layer as u8))).and_then(|(number, at)| at.sent(number));
        black_box((sent, watch.zip(number).map(|(watch, number)| watch.look(number))));
    }

    fn look_at_track(&self, track: usize) {
        let track = &self.tracks[track];
        let class = if track.kind == MediaKind::Audio { Class::Audio } else { Class::Enhancement };
        for (place, layer) in track.layers.iter().enumerate() {
            let class = if place == 0 && class == Class::Enhancement { Class::Base } else { class };
            for (to, flow) in &layer.serves {
                self.nodes[track.node].links.look_at_packet(*to, *flow, class);
                let Some(to) = self.places.get(to) else { continue };
                let path = &self.paths[track.node * self.nodes.len() + to];
                black_box((path.look(), self.nodes[track.node].sent.get(*to).map(|sent| sent.datagrams)));
            }
        }
    }
}
