//! Who gets which packet: bursts to viewers and links, layers by what each viewer's way carries, keyframe requests.

use origo_cascade_core::TrackLayer;
use origo_cascade_core::link::{self, Received};

use super::allocate::{Demand, Share};
use super::codec::Codec;
use super::egress::{Kept, Outgoing, Sender, Written};
use super::own::Refused;
use super::place::even_out;
use super::serve::serve_links;
use super::shed::trim;
use super::stats::{Direction, Via};
use super::track::{LAYERS, Origin};
use super::viewer::Viewer;
use super::worker::Worker;
use super::{Event, Kind};
use crate::SessionId;

/// Room above a subscriber's layers that the estimator is asked to find, in percent: without it a step up would never
/// be seen to fit.
const DESIRED_PERCENT: u64 = 130;
/// A way is overrun when this much of what it carries is sent, in percent: beyond what an estimate swings by.
const OVERRUN_PERCENT: u64 = 125;

/// A track whose burst goes to its viewers.
#[derive(Debug)]
pub(crate) struct Routing {
    track: usize,
    /// The next viewer, by its place in the track's list.
    viewer: usize,
    /// Where the first packet of each layer's burst is kept, if they are.
    kept: Option<[Kept; LAYERS]>,
}

impl Worker {
    /// Hands what came since the last time to links, and has it routed to viewers from now on.
    pub(super) fn serve_dirty(&mut self) {
        for index in self.dirty.drain(..) {
            let Some(track) = self.tracks.get_mut(index) else { continue };
            track.dirty = false;
            serve_links(track, &mut self.sends, &mut self.siblings, &mut self.stats);
            // Sound goes first.
            match track.kind {
                Kind::Audio => self.routes.push_front(index),
                Kind::Video => self.routes.push_back(index),
            }
        }
    }

    /// Sends the chunks of those whose turn it is until it is time to send. False when it is nobody's turn.
    pub(super) fn send_paced(&mut self) -> bool {
        let mut any = false;
        while !self.outbox.is_full()
            && let Some(index) = self.paces.pop(self.now)
        {
            any = true;
            let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.dead) else { continue };
            let stats = &mut self.stats;
            let refused = |refused: Refused| stats.count_dropped("egress", refused.reason());
            if let Some(at) = peer.flush(self.now, &mut self.outbox, refused) {
                self.paces.set(self.now, index, at);
            }
        }
        any
    }

    /// Routes to one viewer after another until it is time to send, or all is routed: what is made goes out while it is
    /// in the processor's cache.
    pub(super) fn route_some(&mut self) {
        while !self.outbox.is_full() && self.route_next() {}
    }

    /// Routes to one viewer. False when all is routed.
    pub(super) fn route_next(&mut self) -> bool {
        let Some(mut routing) = self.routing.take().or_else(|| self.begin_routing()) else { return false };
        self.read_ahead(&routing);
        if self.route_to_viewer(&routing) {
            routing.viewer += 1;
            self.routing = Some(routing);
        } else if let Some(track) = self.tracks.get_mut(routing.track) {
            track.layers.iter_mut().for_each(|layer| layer.burst.clear());
            self.update_want(routing.track);
        }
        true
    }

    /// Whether something is to be routed still.
    pub(super) fn is_routing(&self) -> bool {
        self.routing.is_some() || !self.routes.is_empty()
    }

    fn begin_routing(&mut self) -> Option<Routing> {
        let index = self.routes.pop_front()?;
        self.begin_successors(index);
        self.seek_section(index);
        self.seat_sound(index);
        let mut kept = None;
        if let Some(track) = self.tracks.get_mut(index) {
            if let Some(packets) = track.withhold() {
                self.stats.sound_withheld += packets;
                return Some(Routing { track: index, viewer: track.viewers.len(), kept });
            }
            let (redundancy, peers) = (track.redundancy, &self.peers);
            let loses = |viewer: &Viewer| peers.get(viewer.peer).is_some_and(|peer| peer.meter.loses());
            let malformed = track.make_forms(|viewer| viewer.form(redundancy, loses(viewer)));
            if malformed > 0 {
                self.stats.count_dropped("rtp", "malformed redundancy");
            }
            if self.setup.goes_own_way() && track.kind == Kind::Video && !track.viewers.is_empty() {
                kept = Some(track.keep(index, &mut self.rings));
                track.layers.iter_mut().for_each(|layer| even_out(&mut layer.burst));
            }
        }
        Some(Routing { track: index, viewer: 0, kept })
    }

    /// Has what the next viewers need come out of memory while this one's packets are sealed. What is read says nothing.
    fn read_ahead(&self, routing: &Routing) {
        let Some(track) = self.tracks.get(routing.track) else { return };
        for turns in 1..=3 {
            let peer = track.viewers.get(routing.viewer + turns).and_then(|viewer| self.peers.get(viewer.peer));
            std::hint::black_box(peer.map(|peer| peer.read_ahead(turns)));
        }
    }

    /// False when there is no such viewer.
    fn route_to_viewer(&mut self, routing: &Routing) -> bool {
        let now = self.now;
        let Some(track) = self.tracks.get_mut(routing.track) else { return false };
        let Some(viewer) = track.viewers.get_mut(routing.viewer) else { return false };
        if viewer.is_withheld() {
            viewer.forwarder.rest();
            self.stats.sound_withheld += track.layers[0].burst.len() as u64;
            return true;
        }
        let Some(stream) = viewer.stream else { return true };
        let Some(peer) = self.peers.get_mut(viewer.peer) else { return true };
        let mut queued = false;
        let before = viewer.forwarder.current();
        for (number, state) in (0u8..).zip(&track.layers) {
            if !viewer.forwarder.takes(number) {
                continue;
            }
            let burst = match track.kind {
                Kind::Audio => track.forms.burst(viewer.form(track.redundancy, peer.meter.loses()), &state.burst),
                Kind::Video => &state.burst,
            };
            let first = routing.kept.map(|kept| kept[usize::from(number)]);
            if track.kind == Kind::Audio && viewer.succeeds.is_some() {
                viewer.hold(burst);
                continue;
            }
            let held = std::mem::take(&mut viewer.held);
            for (at, item) in (0_u32..).zip(held.iter().chain(burst)) {
                let packet = &item.packet;
                if packet.redundant && stream.redundant_type.is_none() {
                    // Sealed: nobody here can take the redundancy out.
                    self.stats.count_dropped("rtp", "redundancy not taken");
                    continue;
                }
                let Some(rewrite) = viewer.forwarder.forward(number, item) else { continue };
                let kept = first.map(|first| first.plus(at));
                let even = kept.map(|_| item.even);
                let outgoing = Outgoing { stream, packet, rewrite: &rewrite, captured: item.captured, kept, even };
                match peer.write(now, &mut self.outbox, &outgoing) {
                    Written::Out => {}
                    Written::Queued => queued = true,
                    Written::Paced(at) => self.paces.set(now, viewer.peer, at),
                    Written::Refused(reason) => {
                        self.stats.count_dropped("egress", reason);
                        continue;
                    }
                }
                let bytes = if rewrite.blank { 0 } else { packet.payload.len() };
                self.stats.count_rtp(Direction::Out, track.kind, Via::Client, bytes);
            }
        }
        let current = viewer.forwarder.current();
        if current.is_some() && current != before {
            // It sees something, so it may wait for something better.
            viewer.begun.get_or_insert(now);
            self.touched.insert(viewer.session);
        }
        if queued && !std::mem::replace(&mut peer.queued, true) {
            self.queue.push_back(viewer.peer);
        }
        true
    }

    /// Chooses the layers of one session's videos anew.
    pub(super) fn allocate(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (mut audio_bps, mut best_bps) = (0, 0);
        let (mut videos, mut demands, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in session.wanted.values() {
            let Some(&index) = self.tracks_by_sid.get(&wanted.sent_as) else { continue };
            let Some(track) = self.tracks.get(index) else { continue };
            let Some(viewer) = track.viewers.iter().find(|viewer| viewer.session == id) else { continue };
            if viewer.is_withheld() {
                continue;
            } else if track.kind == Kind::Audio {
                audio_bps += track.bitrate_bps(0).min(AUDIO_BPS_MAX);
            } else if viewer.settings.disabled || viewer.unlisted {
                hidden.push(index);
            } else {
                videos.push(index);
                demands.push(track.demand(viewer));
                best_bps += track.best_bitrate_bps(viewer);
            }
        }
        let believed_bps = session.estimate_bps.map(|estimate| session.prober.believed_bps(now, estimate));
        if self.shed > 0 {
            trim(&mut demands, self.shed);
            // What is shed need not be looked for: probes take bandwidth too.
            best_bps = demands.iter().map(Demand::best_bps).sum();
        }
        // For a test it may be taken to carry less.
        let believed_bps = believed_bps.into_iter().chain(session.cap_bps).min();
        let budget_bps = believed_bps.map(|believed| believed.saturating_sub(audio_bps));
        let shares = session.allocator.allocate(now, budget_bps, &demands);
        tracing::debug!(session = ?id, estimate_bps = session.estimate_bps, audio_bps, best_bps, ?shares, "shared out");
        let less = demands.iter().zip(&shares).any(|(demand, share)| demand.exceeds(*share));
        let missing = less || session.allocator.is_short();
        for (&index, share) in videos.iter().zip(shares) {
            self.set_paused(index, id, share == Share::Paused);
            match share {
                Share::Layer(layer) => self.set_target(index, id, Some(layer)),
                Share::Paused => self.set_target(index, id, None),
                // It may come back any moment on the layer that it was on.
                Share::Silent => {}
            }
        }
        for index in hidden {
            self.set_paused(index, id, false);
            self.set_target(index, id, None);
            if let Some(viewer) = self.tracks.get_mut(index).and_then(|track| track.viewer(id)) {
                viewer.begun = None;
            }
        }
        if let Some(budget_bps) = budget_bps {
            self.cut_off(id, &videos, budget_bps);
        }
        self.set_desired(id, (audio_bps + best_bps) * DESIRED_PERCENT / 100, missing);
    }

    /// A layer goes on until the next one has its keyframe. Where the way is overrun that would cost everything on it,
    /// sound first: there a layer ends at once, and the picture stands still for the moment that a keyframe takes.
    fn cut_off(&mut self, id: SessionId, videos: &[usize], budget_bps: u64) {
        let sent = |&index: &usize| {
            let track = self.tracks.get(index)?;
            let viewer = track.viewers.iter().find(|viewer| viewer.session == id)?;
            Some(track.bitrate_bps(viewer.forwarder.current()?.into()))
        };
        let sent_bps: u64 = videos.iter().filter_map(sent).sum();
        if sent_bps * 100 <= budget_bps * OVERRUN_PERCENT {
            return;
        }
        for &index in videos {
            let Some(track) = self.tracks.get_mut(index) else { continue };
            let Some(viewer) = track.viewer(id) else { continue };
            let target = viewer.forwarder.target();
            if target < viewer.forwarder.current() {
                viewer.forwarder.set_target(None);
                viewer.forwarder.set_target(target);
                self.update_want(index);
            }
        }
    }

    fn set_target(&mut self, index: usize, id: SessionId, layer: Option<u8>) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        let Some(viewer) = track.viewer(id) else { return };
        if viewer.forwarder.target() == layer {
            return;
        }
        viewer.forwarder.set_target(layer);
        let asks = viewer.stream.is_some() && viewer.forwarder.waits();
        tracing::debug!(session = ?id, track = %track.sid, layer, "layer chosen");
        self.update_want(index);
        if let Some(layer) = layer.filter(|_| asks) {
            self.want_keyframe(index, layer);
        }
    }

    fn set_paused(&mut self, index: usize, id: SessionId, paused: bool) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        let Some(viewer) = track.viewer(id) else { return };
        let sid = viewer.name;
        if std::mem::replace(&mut viewer.paused, paused) != paused {
            self.events.push_back(Event::StreamState { session: id, track: sid, paused });
        }
    }

    fn set_desired(&mut self, id: SessionId, bps: u64, missing: bool) {
        let Some(session) = self.sessions.get_mut(&id).filter(|_| self.setup.bwe) else { return };
        if self.peers.get_mut(session.subscriber).is_some_and(|peer| peer.wish(bps, missing)) {
            return;
        }
        let bps = session.prober.wish(self.now, missing, bps, session.estimate_bps);
        // Rates move all the time; the estimator need not hear of every step.
        if session.desired_bps.abs_diff(bps) * 10 < bps.max(100_000) {
            return;
        }
        session.desired_bps = bps;
        let index = session.subscriber;
        if let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.dead) {
            peer.set_desired_bitrate(bps);
            self.enqueue(index);
        }
    }

    /// Lets tracks flow to a session where its client can take them by now.
    pub(super) fn start_viewers(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get(&id) else { return };
        let Some(peer) = self.peers.get_mut(session.subscriber).filter(|peer| peer.connected && !peer.dead) else {
            return;
        };
        let subscriber = session.subscriber;
        let (mut started, mut unfit, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
        for (&sid, wanted) in &session.wanted {
            let (Some(mid), true) = (wanted.mid, wanted.ready_at.is_some_and(|at| at <= now)) else { continue };
            let Some(&index) = self.tracks_by_sid.get(&wanted.sent_as) else { continue };
            let Some(track) = self.tracks.get_mut(index) else { continue };
            let (codec, layered) = (track.codec, track.is_layered());
            let Some(viewer) = track.viewer(id).filter(|viewer| viewer.mid != Some(mid)) else { continue };
            if !peer.takes(mid, codec) {
                let other = wanted.other().filter(|other| peer.takes(mid, Codec::from_mime(&other.mime)));
                unfit.push((sid, other.cloned()));
                continue;
            }
            viewer.set_stream(mid, peer.stream(mid, codec), (codec, layered));
            viewer.succeeds = None;
            replaced.extend(wanted.before);
            if viewer.stream.is_none() {
                continue;
            }
            started.push((index, viewer.forwarder.target()));
        }
        if !started.is_empty() {
            // To be woken for reports on them.
            self.enqueue(subscriber);
        }
        for (index, target) in started {
            self.update_want(index);
            if let Some(layer) = target {
                self.want_keyframe(index, layer);
            }
        }
        for before in replaced {
            self.end_succession(id, before);
        }
        for (sid, other) in unfit {
            self.fall_back(id, sid, other.as_ref());
        }
    }

    /// Someone cannot go on without a keyframe of this layer.
    pub(super) fn want_keyframe(&mut self, index: usize, layer: u8) {
        let now = self.now;
        let Some(track) = self.tracks.get_mut(index) else { return };
        let stream = track.stream_of(layer);
        if track.kind == Kind::Video && track.want_keyframe(usize::from(stream), now) {
            self.request_keyframe(index, stream);
        }
    }

    /// The same by the layer's name, for requests of other nodes.
    pub(super) fn want_keyframe_of(&mut self, layer: TrackLayer) {
        if let Some(&index) = self.tracks_by_sid.get(&layer.track)
            && usize::from(layer.layer) < LAYERS
        {
            self.want_keyframe(index, layer.layer);
        }
    }

    fn request_keyframe(&mut self, index: usize, layer: u8) {
        let Some(track) = self.tracks.get(index) else { return };
        match track.origin {
            Origin::Link { sibling, .. } => {
                let layer = TrackLayer { track: track.sid, layer: track.awaited_layer(layer) };
                let via = if sibling.is_some() { Via::Sibling } else { Via::Link };
                self.stats.count_keyframe_request(Direction::Out, via);
                match sibling {
                    Some(home) => self.siblings.hand(home, Received::Keyframe { layer }),
                    None => self.sends.push(link::Send::Keyframe { layer }),
                }
            }
            Origin::Local { peer: publisher, .. } => {
                // Before its first packet there is nobody to ask, and that packet begins a keyframe anyway.
                let ssrc = track.layers[usize::from(layer)].ssrc;
                let Some(peer) = self.peers.get_mut(publisher).filter(|peer| !peer.dead && ssrc != 0) else { return };
                peer.request_keyframe(ssrc);
                self.stats.count_keyframe_request(Direction::Out, Via::Client);
                self.enqueue(publisher);
            }
        }
    }

    /// Finds layers that fell silent, keyframes that are still awaited, climbs that may be tried again, and time to
    /// look for more room; tells levels.
    pub(super) fn sweep_tracks(&mut self) {
        let now = self.now;
        for (&id, session) in &mut self.sessions {
            if session.allocator.hold_ended(now) | session.prober.is_due(now) {
                self.touched.insert(id);
            }
        }
        let mut levels = Vec::new();
        for index in self.tracks.indexes() {
            self.end_slow_successions(index);
            let Some(track) = self.tracks.get_mut(index) else { continue };
            let level = track.loudness.tell().filter(|_| track.sibling().is_none());
            levels.extend(level.map(|(level, voice)| (track.sid, level, voice)));
            track.choose_temporal();
            if track.find_silent(now) | track.bar_silent(now) {
                self.touched.extend(track.viewers.iter().map(|viewer| viewer.session));
                // What is awaited has changed even where no viewer is to get another layer.
                self.update_want(index);
            }
            for layer in 0..LAYERS {
                if self.tracks.get_mut(index).is_some_and(|track| track.due_keyframe(layer, now)) {
                    self.request_keyframe(index, layer as u8);
                }
            }
        }
        if !levels.is_empty() {
            self.events.push_back(Event::Levels(levels));
        }
    }
}

/// No sound needs more; a first measurement over a burst may say so.
const AUDIO_BPS_MAX: u64 = 510_000;
