//! Packets that reach the node of somebody who wants them.

use origo_cascade_core::MediaKind;
use origo_cascade_core::link::{Packet, Received};

use super::copies::of_key;
use super::watch::Came;
use super::{Detail, World, ms};

/// One-way delays kept of one second.
const DELAYS_MAX: usize = 4096;
/// Everybody who took somebody's track knows of the next one within this, ns.
const COMES_BACK: u64 = 5_000_000_000;

impl World<'_> {
    pub(super) fn received(&mut self, node: usize, sink: usize, received: Received) {
        let (track, layer) = of_key(sink as u32);
        match received {
            Received::Packet { packet, .. } => self.receive(node, track, layer, &packet),
            Received::Keyframe { .. } => {
                // Of layers within one stream a keyframe is one of all.
                let layer = if self.tracks[track].in_stream() { 0 } else { layer };
                self.request_key(track, layer);
            }
            Received::SenderReport { .. } => {}
        }
    }

    fn receive(&mut self, node: usize, number: usize, layer: usize, packet: &Packet) {
        // It only tells that numbers were left out.
        if packet.payload.is_empty() {
            return;
        }
        let now = self.now;
        let track = &mut self.tracks[number];
        let (origin, stream) = (track.node, track.stream_of(layer as u8));
        let Some(stream) = track.streams.get(stream).filter(|_| track.alive) else { return };
        let sequence = stream.extend(packet.sequence as u16);
        let Some(sent) = stream.sent(sequence) else { return };
        // Nobody here takes it any more.
        let Some(watch) = track.layers[layer].watches.get_mut(node) else { return };
        let came = watch.take(stream, sequence, sent.at, now);
        let (local, best) = (watch.local, watch.best);
        if came == Came::Twice {
            let key = super::copies::key(number as u32, layer as u8);
            let name = self.name(node).to_owned();
            return self.violate(format!("packet {sequence} of {} came twice to {name}", self.layer_name(key)));
        }
        let before = watch.arrived_at.replace(now);
        if let (Some(pause), Some(before)) = (&mut watch.pause, before) {
            pause.note(before, now);
        }
        let (is_first, watch_since) = (before.is_none(), watch.since);
        let mut synced_after = None;
        if packet.key {
            watch.key = watch.key.max(sequence);
            if !std::mem::replace(&mut watch.synced, true) {
                synced_after = Some((watch.frozen.take(), watch.since));
            }
        }
        if watch.synced {
            watch.usable_at.get_or_insert(now);
        }
        match synced_after {
            Some((Some(frozen), _)) => self.measure("freeze_ms", ms(now - frozen)),
            Some((None, since)) => self.measure("join_to_picture_ms", ms(now - since)),
            None => {}
        }
        if is_first {
            self.first_packet(node, local, origin);
            self.seen_again(number, watch_since);
        }
        if std::mem::take(&mut self.awaits[local]) {
            self.packet_awaited(local);
        }
        self.measure_delay(sent.at, best, came);
        self.second.delivered += 1;
        self.tell(Detail::Packets, || {
            format!("node {node} gets {sequence} of layer {layer} of track {number}: {came:?}")
        });
    }

    fn measure_delay(&mut self, sent: u64, best: u64, came: Came) {
        let late = self.now - sent;
        if self.delays.len() < DELAYS_MAX {
            self.delays.push(ms(late) as f32);
        }
        if !self.is_warm() {
            return;
        }
        let added = ms(late.saturating_sub(best));
        self.measures.one_way.add(ms(late));
        self.measures.added.add(added);
        if came == Came::Late {
            self.measures.add("repaired_delay_ms", added);
        }
    }

    /// A packet came that people on a node have waited for.
    fn packet_awaited(&mut self, local: usize) {
        for lost_at in std::mem::take(&mut self.locals[local].returned) {
            self.measure("media_back_ms", ms(self.now - lost_at));
        }
        self.locals[local].greet();
    }

    /// The first packet of a layer came to a node that began to want it at `since`: of a publisher who has come back?
    fn seen_again(&mut self, number: usize, since: u64) {
        let track = &self.tracks[number];
        // Who begins to take it when it has been back for long has not waited for it.
        if let Some(lost_at) = track.lost_at.filter(|_| since <= track.began_at + COMES_BACK) {
            self.measure("seen_again_ms", ms(self.now - lost_at));
        }
    }

    /// The first packet of a layer came to a node.
    fn first_packet(&mut self, node: usize, local: usize, origin: usize) {
        let now = self.now;
        if let Some(since) = self.locals[local].first_of(origin) {
            let rtt = self.paths[node * self.nodes.len() + origin].delay()
                + self.paths[origin * self.nodes.len() + node].delay();
            self.measure("join_to_first_packet_ms", ms(now - since));
            self.measure("join_over_rtt_ms", ms((now - since).saturating_sub(rtt)));
        }
        for entered in std::mem::take(&mut self.locals[local].greeted) {
            self.measure("enter_to_first_packet_ms", ms(now - entered));
        }
    }

    /// Settles what each node takes of a track: packets that cannot come in time any more are missed for good.
    pub(super) fn settle_track(&mut self, number: usize) {
        let (now, warm) = (self.now, self.warm);
        let mut freezes = Vec::new();
        let track = &mut self.tracks[number];
        let (is_picture, in_stream) = (track.kind == MediaKind::Video, track.in_stream());
        for (place, layer) in track.layers.iter_mut().enumerate() {
            let stream = if in_stream { 0 } else { place };
            let Some(stream) = track.streams.get(stream) else { continue };
            for (node, watch) in layer.watches.iter_mut() {
                let (missed, last) = watch.settle(stream, place as u8, now, warm);
                self.second.missed += missed;
                let (missed, last) = watch.late.as_mut().map_or((missed, last), |late| late.give_up(now));
                let stands = missed > 0 && is_picture && (place == 0 || !in_stream) && watch.synced && last > watch.key;
                if stands {
                    (watch.synced, watch.frozen) = (false, Some(now));
                    watch.freezes += u32::from(now >= warm);
                    freezes.push((node, place as u8));
                }
            }
        }
        for (node, layer) in freezes {
            self.ask_key(node, number as u32, layer);
        }
    }
}
