//! What connections and links bring: datagrams become packets of tracks, reports, requests and messages.

use std::net::SocketAddr;
use std::time::Duration;

use origo_cascade_core::TrackLayer;
use origo_cascade_core::link::{self, Packet, Received};

use super::codec::Codec;
use super::demux::Source;
use super::own::Heard;
use super::peer::{Came, Inbound, Mid, PAYLOAD_BYTES_MAX, PeerEvent, Polled, Rid};
use super::stats::{Direction, Via};
use super::track::{LAYERS, Origin, Track};
use super::worker::Worker;
use super::{Event, Kind, Redundancy, Target, red};

/// Sender reports are put off by up to this much, each connection's by another time: viewers who came with one track
/// would all be told in the same millisecond, every second.
const REPORTS_SPREAD: u64 = 200;

/// How long the reports of a connection are put off.
fn spread(index: usize) -> Duration {
    // A prime apart, so that neighbours are far from each other.
    Duration::from_millis(index as u64 * 61 % REPORTS_SPREAD)
}

/// First two bytes of a STUN binding success response (RFC 8489 5).
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];

impl Worker {
    pub(super) fn take_datagram(&mut self, source: Source, destination: SocketAddr, contents: &[u8]) {
        let index = match self.demux.find(source, contents) {
            Ok(index) => index,
            Err(stray) => return self.stats.count_dropped("datagram", stray.reason()),
        };
        let now = self.now;
        let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.dead) else { return };
        peer.uplink.came(contents.len());
        match peer.hear(now, source, contents, &mut self.scratch) {
            Some(Ok(heard)) => {
                let more = heard.more;
                self.take_heard(index, heard);
                self.hear_estimator(index);
                if !more {
                    return;
                }
            }
            Some(Err(reason)) => return self.stats.count_dropped("rtcp", reason),
            None => {}
        }
        let Some(peer) = self.peers.get_mut(index) else { return };
        match peer.take(now, contents, &mut self.scratch) {
            Some(Came::Unknown(unknown)) => {
                self.hand_over(index, source, destination, contents);
                let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.dead) else { return };
                if !peer.learn(unknown) {
                    return self.stats.count_dropped("rtp", "unknown stream");
                }
                if let Some(came) = peer.take(now, contents, &mut self.scratch) {
                    self.take_came(index, came);
                }
            }
            Some(came) => self.take_came(index, came),
            None => self.hand_over(index, source, destination, contents),
        }
    }

    /// What we read by ourselves of what a client sends.
    fn take_came(&mut self, index: usize, came: Came) {
        match came {
            Came::Packet(inbound) => self.take_rtp(index, inbound),
            Came::Refused(reason) => self.stats.count_dropped("rtp", reason),
            Came::Nothing | Came::Unknown(_) => {}
        }
        let now = self.now;
        if let Some(at) = self.peers.get(index).filter(|peer| !peer.dead).and_then(|peer| peer.said_at(now)) {
            self.timer.hurry(now, index, at);
        }
    }

    /// Gives a datagram to the connection as a whole, and takes what comes of it.
    fn hand_over(&mut self, index: usize, source: Source, destination: SocketAddr, contents: &[u8]) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(index) else { return };
        match peer.receive(now, source, destination, contents) {
            Ok(true) => self.drain_peer(index),
            Ok(false) => self.stats.count_dropped("datagram", "malformed"),
            Err(error) => self.fail_peer(index, &error.to_string()),
        }
    }

    /// A client said something of what we send it by our own way.
    fn take_heard(&mut self, index: usize, heard: Heard) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(index) else { return };
        self.stats.count_nacks(Direction::In, Via::Client, heard.nacks);
        for _ in 0..heard.idle.min(1) {
            self.stats.count_dropped("rtcp", "tells of nothing sent");
        }
        for again in &heard.again {
            let track = self.tracks.get(again.kept.track as usize);
            let Some(packet) = track.and_then(|track| track.ring.get(again.kept)) else { continue };
            if let Err(refused) = peer.repeat(now, &mut self.outbox, again, packet) {
                self.stats.count_dropped("retransmission", refused.reason());
            }
        }
        let mids: Vec<Mid> = heard.keyframes.iter().filter_map(|&ssrc| peer.section_of_ours(ssrc)).collect();
        for mid in mids {
            self.take_keyframe_request(index, mid);
        }
    }

    /// Tells a connection the time and takes everything that comes out.
    pub(super) fn tick_peer(&mut self, index: usize) {
        let (now, ntp) = (self.now, self.ntp());
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.queued = false;
        if peer.dead {
            return;
        }
        match peer.tick(now) {
            Ok(()) => {
                peer.report(now, ntp, &mut self.outbox, &mut self.scratch);
                let nacks = peer.acknowledge(now, &mut self.outbox, &mut self.scratch);
                self.stats.count_nacks(Direction::Out, Via::Client, nacks);
                self.fill_way(index);
                self.drain_peer(index);
            }
            Err(error) => self.fail_peer(index, &error.to_string()),
        }
    }

    fn drain_peer(&mut self, index: usize) {
        let now = self.now;
        while let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.dead) {
            match peer.poll(now) {
                Ok(Polled::Transmit(destination, datagram)) => {
                    // str0m answers only checks that prove the password: from now on their source is known.
                    if datagram.starts_with(&BINDING_SUCCESS) {
                        self.demux.add_source(destination, index);
                    }
                    self.outbox.push(destination, &datagram);
                }
                Ok(Polled::Event(event)) => self.take_peer_event(index, event),
                Ok(Polled::Timeout(at)) => {
                    let at = if peer.wants_report(now, at) { at + spread(index) } else { at };
                    return self.timer.set(now, index, at);
                }
                Err(error) => return self.fail_peer(index, &error.to_string()),
            }
        }
    }

    /// str0m gave up on a connection.
    fn fail_peer(&mut self, index: usize, reason: &str) {
        self.stats.count_dropped("connection", "failed");
        self.lose_peer(index, reason);
    }

    /// A connection is over, by its client or by its own fault. Others do not notice.
    fn lose_peer(&mut self, index: usize, reason: &str) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if std::mem::replace(&mut peer.dead, true) {
            return;
        }
        let (session, target) = (peer.session, peer.target);
        tracing::info!(?session, ?target, reason, "connection lost");
        self.demux.remove(index);
        self.timer.clear(index);
        for number in self.tracks.indexes() {
            let Some(track) = self.tracks.get_mut(number) else { continue };
            for viewer in track.viewers.iter_mut().filter(|viewer| viewer.peer == index) {
                (viewer.stream, viewer.mid) = (None, None);
            }
            self.update_want(number);
        }
        self.events.push_back(Event::Disconnected { session, target });
    }

    pub(super) fn take_peer_event(&mut self, index: usize, event: PeerEvent) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let (id, target) = (peer.session, peer.target);
        match event {
            PeerEvent::Connected(profile) => {
                *self.stats.srtp_sessions.entry(profile).or_default() += 1;
                self.events.push_back(Event::Connected { session: id, target });
                self.touched.insert(id);
            }
            PeerEvent::Closed(reason) => self.lose_peer(index, reason),
            PeerEvent::Rtp(inbound) => self.take_rtp(index, inbound),
            PeerEvent::SenderReport { mid, rid, ntp, rtp } => self.take_report(index, mid, rid, ntp, rtp),
            PeerEvent::KeyframeRequest(mid) => self.take_keyframe_request(index, mid),
            PeerEvent::Estimate(bps) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.estimate_bps = Some(bps);
                    self.touched.insert(id);
                }
            }
            PeerEvent::Data(channel, packet) => self.events.push_back(Event::Data { session: id, channel, packet }),
            PeerEvent::ChannelsOpen => {
                let ours = self.sessions.get(&id).is_some_and(|session| session.subscriber == index);
                if ours || target == Target::Subscriber {
                    self.events.push_back(Event::ChannelsOpen(id));
                }
            }
            PeerEvent::Ignored(what, reason) => self.stats.count_dropped(what, reason),
            PeerEvent::Nacks(received, sent) => {
                self.stats.count_nacks(Direction::In, Via::Client, received);
                self.stats.count_nacks(Direction::Out, Via::Client, sent);
            }
        }
    }

    fn take_rtp(&mut self, index: usize, mut inbound: Inbound) {
        let Some(peer) = self.peers.get(index) else { return };
        let known = peer.inbound.iter().find(|(ssrc, _, _)| *ssrc == inbound.ssrc);
        let (track, layer) = match known {
            Some(&(_, track, layer)) => (track, layer),
            None => match self.place(index, &inbound) {
                Some(place) => place,
                None => return self.stats.count_dropped("rtp", "unexpected track"),
            },
        };
        let now = self.now;
        if let Some(sent) = inbound.sent
            && let Some(peer) = self.peers.get_mut(index)
        {
            let bound = peer.uplink.note(sent, now);
            peer.spare_line(peer.uplink.is_full(now));
            let is_lowest_due = peer.uplink.is_lowest_due(now);
            if let Some(bps) = bound {
                tracing::debug!(session = ?peer.session, bps, "a client is asked to keep to a rate");
                peer.bound_client(inbound.ssrc, bps);
                self.enqueue(index);
            }
            if is_lowest_due {
                self.want_lowest(index);
            }
        }
        let Some(state) = self.tracks.get_mut(track) else { return };
        if state.kind == Kind::Audio
            && let Some(block_type) = self.peers.get(index).and_then(|peer| peer.block_type_of(&inbound))
        {
            inbound.packet.redundant = true;
            if state.redundancy != Redundancy::Sealed {
                inbound.packet.payload = red::retype(&inbound.packet.payload, block_type, red::BLOCK_TYPE);
            }
        }
        self.stats.count_rtp(Direction::In, state.kind, Via::Client, inbound.packet.payload.len());
        let begins = state.take(layer, inbound.packet, now);
        self.note_burst(track, begins);
    }

    /// Asks for a keyframe of the lowest layer of each picture that a client sends in layers.
    fn want_lowest(&mut self, index: usize) {
        let Some(peer) = self.peers.get(index) else { return };
        let in_layers: Vec<usize> =
            peer.inbound.iter().filter(|(_, _, layer)| *layer == 1).map(|inbound| inbound.1).collect();
        for track in in_layers {
            self.want_keyframe(track, 0);
        }
    }

    /// Finds out which track and layer a client's new stream is.
    fn place(&mut self, index: usize, inbound: &Inbound) -> Option<(usize, u8)> {
        let peer = self.peers.get_mut(index)?;
        let (mid, rid) = peer.section_of(inbound.ssrc)?;
        let codec = peer.codec_of(inbound);
        let session = self.sessions.get(&peer.session)?;
        let published = session.published.iter().find(|published| published.mid == mid)?;
        let (sid, layer) = (published.sid()?, published.layer(rid)?);
        let track = *self.tracks_by_sid.get(&sid)?;

        let state = self.tracks.get_mut(track)?;
        let begins = !std::mem::replace(&mut state.started, true);
        if begins && codec != Codec::Other {
            state.codec = codec;
            state.follow_serves();
        }
        let layer = state.stream_of(layer);
        // The layer may have had another SSRC before.
        peer.inbound.retain(|&(_, known, known_layer)| (known, known_layer) != (track, layer));
        peer.inbound.push((inbound.ssrc, track, layer));
        state.layers[usize::from(layer)].ssrc = inbound.ssrc;
        if begins {
            let ssrcs = state.layers[..state.announced].iter().map(|layer| layer.ssrc).collect();
            let mime = state.codec.mime().to_owned();
            let event = Event::TrackStarted { session: peer.session, track: sid, mime, mid: mid.to_string(), ssrcs };
            self.events.push_back(event);
        }
        Some((track, layer))
    }

    /// A track has packets to route; `begins` when a layer began to flow, so that viewers may want another.
    fn note_burst(&mut self, index: usize, begins: bool) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        if !std::mem::replace(&mut track.dirty, true) {
            self.dirty.push(index);
        }
        if begins {
            self.touched.extend(track.viewers.iter().map(|viewer| viewer.session));
        }
    }

    fn take_report(&mut self, index: usize, mid: Mid, rid: Option<Rid>, ntp: u64, rtp: u32) {
        let now = self.now;
        let Some(peer) = self.peers.get(index) else { return };
        let Some(session) = self.sessions.get_mut(&peer.session) else { return };
        let published = session.published.iter().find(|published| published.mid == mid);
        let Some((sid, layer)) = published.and_then(|p| p.sid().zip(p.layer(rid))) else { return };
        let at = session.clock.report(ntp, now);
        let track = self.tracks_by_sid.get(&sid).and_then(|&track| self.tracks.get_mut(track));
        let Some(state) = track.and_then(|track| track.layers.get_mut(usize::from(layer))) else { return };
        state.clock.set(ntp, rtp, at);
        state.report = Some((ntp, rtp));
        for &(to, flow) in &state.serves {
            self.sends.push(link::Send::SenderReport { to, flow, ntp, rtp });
        }
        if let Some(&index) = self.tracks_by_sid.get(&sid) {
            self.report_to_siblings(index, layer, (ntp, rtp));
        }
    }

    fn take_keyframe_request(&mut self, index: usize, mid: Mid) {
        self.stats.count_keyframe_request(Direction::In, Via::Client);
        let Some(peer) = self.peers.get(index) else { return };
        let id = peer.session;
        let session = self.sessions.get(&id);
        let Some(sid) = session.and_then(|session| Some(session.sent_as(session.carried(mid)?))) else { return };
        let Some(&track) = self.tracks_by_sid.get(&sid) else { return };
        let now = self.now;
        let Some(viewer) = self.tracks.get_mut(track).and_then(|track| track.viewer(id)) else { return };
        if !viewer.asks.may(now) {
            return self.stats.count_dropped("keyframe request", "too many");
        }
        let layer = viewer.forwarder.current().or(viewer.forwarder.target());
        if let Some(layer) = layer {
            self.want_keyframe(track, layer);
        }
    }

    /// Takes what a link brings, or another worker of this node.
    pub(super) fn take_received(&mut self, received: Received, via: Via) {
        match received {
            Received::Packet { layer, packet } => self.take_carried_packet(layer, packet, via),
            Received::Keyframe { layer } => {
                self.stats.count_keyframe_request(Direction::In, via);
                self.want_keyframe_for_peer(layer);
                if via == Via::Link {
                    self.pass_keyframe(layer);
                }
            }
            Received::SenderReport { layer, ntp, rtp } => {
                let Some((index, track)) = self.far_track(layer) else { return };
                let Origin::Link { publisher, .. } = track.origin else { return };
                let stream = usize::from(track.stream_of(layer.layer));
                let now = self.now;
                let at = self.clocks.entry(publisher).or_default().report(ntp, now);
                if let Some(track) = self.tracks.get_mut(index) {
                    track.layers[stream].clock.set(ntp, rtp, at);
                    track.layers[usize::from(layer.layer)].report = Some((ntp, rtp));
                    self.report_to_siblings(index, layer.layer, (ntp, rtp));
                }
            }
        }
    }

    fn take_carried_packet(&mut self, layer: TrackLayer, packet: Packet, via: Via) {
        let now = self.now;
        let what = if via == Via::Sibling { "sibling packet" } else { "link packet" };
        if packet.payload.len() > PAYLOAD_BYTES_MAX {
            return self.stats.count_dropped(what, "oversized");
        }
        let bytes = packet.payload.len();
        let Some((index, track)) = self.far_track(layer) else {
            return self.stats.count_dropped(what, "nobody watches");
        };
        let kind: Kind = track.kind;
        let begins = track.take_carried(layer.layer, packet, now);
        self.stats.count_rtp(Direction::In, kind, via, bytes);
        self.note_burst(index, begins);
    }

    fn far_track(&mut self, layer: TrackLayer) -> Option<(usize, &mut Track)> {
        let index = *self.tracks_by_sid.get(&layer.track)?;
        let track = self.tracks.get_mut(index)?;
        (!track.is_local() && usize::from(layer.layer) < LAYERS).then_some((index, track))
    }
}
