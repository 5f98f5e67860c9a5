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
pub(super) enum Lead {
    /// A packet arrives at a node.
    Packet(usize, Ahead),
    /// A packet of a layer (`copies::key`) comes to people on a node, with these low bits of its number.
    Layer(usize, usize, u16),
    /// A track sends.
    Track(usize),
    /// Nothing more to look at.
    Nothing,
}

impl World<'_> {
    /// Looks at what the next events touch, step by step: each step finds the way to what the next one looks at.
    pub(super) fn look_ahead(&mut self) {
        let mut leads = std::mem::take(&mut self.leads);
        leads.extend(self.calendar.coming().map(|(at, event)| self.look_at_event(at, event)));
        leads.iter_mut().for_each(|lead| *lead = self.look_for_layer(*lead));
        leads.iter_mut().for_each(|lead| *lead = self.look_at_layer(*lead));
        leads.drain(..).for_each(|lead| self.look_at_people(lead));
        self.leads = leads;
    }

    fn look_at_event(&self, at: u64, event: &Event) -> Lead {
        match event {
            Event::Arrive { path, datagram, .. } => {
                let (from, to) = (*path as usize / self.nodes.len(), *path as usize % self.nodes.len());
                black_box(self.paths[to * self.nodes.len() + from].look());
                let ahead = self.nodes[to].links.look_at_datagram(self.nodes[from].id, datagram);
                ahead.map_or(Lead::Nothing, |ahead| Lead::Packet(to, ahead))
            }
            Event::Frame(track) | Event::Sound(track) | Event::Burst { track, .. } => {
                black_box(self.tracks[*track as usize].alive);
                Lead::Track(*track as usize)
            }
            Event::WakeLinks(node) => {
                self.nodes[*node as usize].links.look_at_timeouts(self.start + Duration::from_nanos(at));
                Lead::Nothing
            }
            _ => Lead::Nothing,
        }
    }

    fn look_for_layer(&self, lead: Lead) -> Lead {
        match lead {
            Lead::Packet(node, ahead) => {
                let ahead = self.nodes[node].links.look_for_layer(ahead);
                ahead.map_or(Lead::Nothing, |ahead| Lead::Packet(node, ahead))
            }
            Lead::Track(track) => {
                let track = &self.tracks[track];
                black_box(track.streams.first().map(|stream| stream.next));
                track.layers.iter().for_each(|layer| {
                    black_box((layer.active, layer.burst.left, layer.serves.first()));
                });
                lead
            }
            lead => lead,
        }
    }

    fn look_at_layer(&self, lead: Lead) -> Lead {
        match lead {
            Lead::Packet(node, ahead) => {
                let Some(sink) = self.nodes[node].links.look_at_layer(ahead) else { return Lead::Nothing };
                let (track, layer) = of_key(sink as u32);
                let Some(track) = self.tracks.get(track) else { return Lead::Nothing };
                black_box((track.alive, track.lost_at, track.streams.first().map(|stream| stream.next)));
                black_box(track.layers.get(layer).map(|layer| layer.watches.len()));
                Lead::Layer(node, sink, ahead.number())
            }
            Lead::Track(number) => {
                let track = &self.tracks[number];
                let (from, count) = (track.node, self.nodes.len());
                for (place, layer) in track.layers.iter().enumerate() {
                    let class = match track.kind {
                        MediaKind::Audio => Class::Audio,
                        MediaKind::Video if place == 0 => Class::Base,
                        MediaKind::Video => Class::Enhancement,
                    };
                    for (to, flow) in &layer.serves {
                        self.nodes[from].links.look_at_packet(*to, *flow, class);
                        let to = self.places.get(to).copied().unwrap_or(from);
                        black_box((
                            self.paths[from * count + to].look(),
                            self.nodes[from].sent.get(to).map(|s| s.datagrams),
                        ));
                    }
                }
                lead
            }
            lead => lead,
        }
    }

    fn look_at_people(&self, lead: Lead) {
        match lead {
            Lead::Layer(node, sink, number) => {
                let (track, layer) = of_key(sink as u32);
                let track = &self.tracks[track];
                let Some(stream) = track.streams.get(track.stream_of(layer as u8)) else { return };
                let number = stream.extend(number);
                let watch = track.layers.get(layer).and_then(|layer| layer.watches.get(&node));
                black_box((stream.sent(number), watch.map(|watch| watch.look(number))));
            }
            Lead::Track(track) => {
                let track = &self.tracks[track];
                for (to, flow) in track.layers.iter().flat_map(|layer| &layer.serves) {
                    self.nodes[track.node].links.look_behind_packet(*to, *flow);
                }
            }
            Lead::Packet(..) | Lead::Nothing => {}
        }
    }
}
