//! What the rooms ask of a worker: sessions, tracks, subscriptions, data, forwarding to other nodes.

use std::collections::BTreeSet;

use origo_auth::TrackSid;
use origo_cascade_core::{Forward, LayerSet, TrackLayer, TrackRecord, link};

use super::forward::Forwarder;
use super::peer::{Fate, Peer};
use super::session::{Session, Wanted};
use super::sibling::{Ask, Carried};
use super::track::{LAYERS, Origin, Track};
use super::viewer::Viewer;
use super::worker::Worker;
use super::{Command, Event, Expected, Kind, OpenSession, Subscription, Target, TrackSettings};
use crate::SessionId;

/// Bytes of data that may wait for all clients of a worker together. Beyond it those who are behind fall behind for
/// good, so that a few that do not read cannot take the node's memory. Messages to several count for each.
const DATA_WAITING_MAX: usize = 256 << 20;

impl Worker {
    pub(super) fn take_command(&mut self, command: Command) {
        match command {
            Command::Open(open) => self.open_session(&open),
            Command::Close(session) => self.close_session(session),
            Command::Offer { session, id, sdp } => {
                // A newer offer makes an unanswered one void: clients ignore the answer to the older.
                let mut overtaken = None;
                self.with_session(session, |session| overtaken = session.offer.replace((id, sdp)));
                if overtaken.is_some() {
                    self.stats.count_dropped("description", "overtaken");
                }
            }
            Command::Answer { session, id, sdp } => self.take_answer(session, id, &sdp),
            Command::Trickle { session, target, candidate } => self.take_candidate(session, target, &candidate),
            Command::Expect { session, track } => self.expect(session, track),
            Command::Reserve { session, track } => self.reserve(session, &track),
            Command::Unpublish { session, track } => self.unpublish(session, track),
            Command::Subscribe(subscription) => self.subscribe(subscription),
            Command::Unsubscribe { session, track } => self.unsubscribe(session, track),
            Command::Favour { session, track } => self.note_asked(session, track),
            Command::Settings { session, track, settings } => self.set_settings(session, track, settings),
            Command::Speakers(order) => self.order_speakers(&order),
            Command::Shed(shed) => self.set_shed(shed),
            Command::CapBandwidth { session, bps } => self.with_session(session, |session| session.cap_bps = bps),
            Command::SendData { session, channel, packet } => {
                let Some(index) = self.sessions.get(&session).map(|session| session.subscriber) else {
                    return self.stats.count_dropped("data", "unknown session");
                };
                let is_short = self.data_waiting > DATA_WAITING_MAX;
                if let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.dead) {
                    match peer.send_data(channel, packet, is_short) {
                        Fate::Taken => {}
                        Fate::Dropped => self.stats.count_dropped("data", "client too slow"),
                        Fate::Overrun => {
                            self.stats.count_dropped("data", "client too slow");
                            self.events.push_back(Event::FellBehind(session));
                        }
                    }
                    self.enqueue(index);
                }
            }
            Command::Forward(forward) => self.forward(forward),
            Command::Sibling(ask) => self.take_ask(ask),
        }
    }

    fn with_session(&mut self, id: SessionId, change: impl FnOnce(&mut Session)) {
        match self.sessions.get_mut(&id) {
            Some(session) => {
                change(session);
                self.touched.insert(id);
            }
            None => self.stats.count_dropped("command", "unknown session"),
        }
    }

    fn open_session(&mut self, open: &OpenSession) {
        if self.sessions.contains_key(&open.session) {
            return self.stats.count_dropped("command", "session is open");
        }
        let publisher = self.add_peer(open, Target::Publisher, open.single_connection);
        let subscriber = if open.single_connection { publisher } else { self.add_peer(open, Target::Subscriber, true) };
        let mut session = Session::new(open.single_connection, publisher, subscriber, open.may_pause);
        session.fixed_sections = open.fixed_sections;
        self.sessions.insert(open.session, session);
        self.touched.insert(open.session);
    }

    fn add_peer(&mut self, open: &OpenSession, target: Target, sends: bool) -> usize {
        let mut peer = Peer::new(&self.setup, open, target, sends, self.now);
        let ufrag = peer.ufrag();
        let index = self.peers.insert(peer);
        self.demux.add_ufrag(&ufrag, index);
        self.enqueue(index);
        index
    }

    /// Ends a session without a word to the rooms.
    pub(super) fn close_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.touched.remove(&id);
        for wanted in session.wanted.values() {
            for sid in wanted.before.into_iter().chain([wanted.sent_as]) {
                self.remove_viewer(id, sid);
            }
        }
        let expected = session.expected.iter().map(|expected| expected.sid).chain(session.reserved.iter().copied());
        for track in expected.chain(session.published.iter().filter_map(|published| published.sid())) {
            self.remove_track(track);
        }
        for index in session.peers() {
            self.demux.remove(index);
            self.timer.clear(index);
            let Some(mut peer) = self.peers.remove(index) else { continue };
            if !peer.dead {
                peer.close();
                for (destination, datagram) in peer.last_words() {
                    self.outbox.push(destination, &datagram);
                }
            }
        }
    }

    fn take_candidate(&mut self, id: SessionId, target: Target, candidate: &str) {
        let Some(session) = self.sessions.get(&id) else {
            return self.stats.count_dropped("command", "unknown session");
        };
        let index = if target == Target::Publisher { session.publisher } else { session.subscriber };
        let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.dead) else { return };
        if !peer.add_candidate(candidate) {
            self.stats.count_dropped("candidate", "unreadable");
        }
        self.enqueue(index);
    }

    fn expect(&mut self, id: SessionId, expected: Expected) {
        if !self.sessions.contains_key(&id) {
            return self.stats.count_dropped("command", "unknown session");
        }
        self.add_local(id, &expected, false);
        self.with_session(id, |session| {
            session.reserved.remove(&expected.sid);
            session.expected.push(expected);
            session.match_expected();
        });
    }

    /// A track of a client, which may come now or, when it only rests, once somebody takes it. Who took it keeps it.
    pub(super) fn add_local(&mut self, id: SessionId, expected: &Expected, rests: bool) {
        let Some(session) = self.sessions.get(&id) else { return };
        let origin = Origin::Local { session: id, peer: session.publisher };
        let mut track = Track::new(expected.sid, origin, expected.kind, &expected.mime, &expected.layer_bitrates_bps);
        track.redundancy = expected.redundancy;
        track.declare_sizes(&expected.layer_sizes);
        if rests {
            track.lay_to_rest();
        }
        for (layer, state) in (0u8..).zip(&mut track.layers) {
            let key = TrackLayer { track: expected.sid, layer };
            state.serves = self.serves.get(&key).filter(|_| self.gives(key)).cloned().unwrap_or_default();
        }
        let sid = expected.sid;
        track.siblings = self.siblings.takers.get(&sid).cloned().unwrap_or_default();
        track.follow_serves();
        if let Some(&old) = self.tracks_by_sid.get(&sid) {
            self.leave_places(old);
        }
        if let Some(old) = self.tracks_by_sid.get(&sid).and_then(|&index| self.tracks.get_mut(index)) {
            track.viewers = std::mem::take(&mut old.viewers);
        }
        self.remove_track(sid);
        let index = self.tracks.insert(track);
        self.tracks_by_sid.insert(sid, index);
        self.update_want(index);
    }

    fn unpublish(&mut self, id: SessionId, sid: TrackSid) {
        self.with_session(id, |session| {
            session.expected.retain(|expected| expected.sid != sid);
            session.reserved.remove(&sid);
            for published in session.published.iter_mut().filter(|published| published.sid() == Some(sid)) {
                published.over = true;
            }
        });
        self.remove_track(sid);
    }

    /// Forgets a track and all its packets. Its viewers' sections stay until they unsubscribe.
    pub(super) fn remove_track(&mut self, sid: TrackSid) {
        let Some(index) = self.tracks_by_sid.remove(&sid) else { return };
        self.leave_places(index);
        let Some(track) = self.tracks.remove(index) else { return };
        self.let_successors_begin(&track);
        match track.origin {
            Origin::Local { peer, .. } => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.inbound.retain(|&(_, track, _)| track != index);
                }
            }
            Origin::Link { publisher, sibling } => {
                let mut others = self.tracks_by_sid.values().filter_map(|&other| self.tracks.get(other));
                if !others.any(|other| other.origin == track.origin) {
                    self.clocks.remove(&publisher);
                }
                if let Some(home) = sibling {
                    let from = self.siblings.index;
                    self.siblings.asks.push_back((home, Ask::End { from, track: sid }));
                }
            }
        }
    }

    fn subscribe(&mut self, subscription: Subscription) {
        let (id, record) = (subscription.session, subscription.track.clone());
        let Some(session) = self.sessions.get_mut(&id) else {
            return self.stats.count_dropped("command", "unknown session");
        };
        self.touched.insert(id);
        if let Some(wanted) = session.wanted.get_mut(&record.name()) {
            wanted.refused = false;
            wanted.subscription.asked = subscription.asked;
            if wanted.subscription.track.sid == record.sid {
                self.renew(subscription);
            } else {
                self.follow_publisher(&subscription);
            }
            return self.favour(id, record.name());
        }
        session.wanted.insert(record.name(), Box::new(Wanted::new(subscription.clone())));
        self.add_viewer(&subscription, &record);
        self.enlist(id, record.name());
    }

    /// Of a track that a session has, something else is told than before.
    fn renew(&mut self, subscription: Subscription) {
        let name = subscription.track.name();
        let session = self.sessions.get_mut(&subscription.session);
        let Some(wanted) = session.and_then(|session| session.wanted.get_mut(&name)) else { return };
        wanted.subscription.backup.clone_from(&subscription.backup);
        let track = self.tracks_by_sid.get(&wanted.sent_as).and_then(|&index| self.tracks.get_mut(index));
        if let Some((track, record)) = track.zip(subscription.backup) {
            track.redeclare(&record);
            let home = track.sibling().filter(|_| record.sid == track.sid);
            let (publisher, redundancy) = (subscription.publisher, subscription.redundancy);
            if let Some(home) = home {
                self.ask_to_begin(home, &Carried { record, publisher, redundancy });
            }
        }
    }

    /// A session is to get a track, as the one that it subscribed to.
    pub(super) fn add_viewer(&mut self, subscription: &Subscription, record: &TrackRecord) {
        let Some(session) = self.sessions.get(&subscription.session) else { return };
        let Subscription { publisher, redundancy, home, .. } = *subscription;
        let (subscriber, name) = (session.subscriber, subscription.track.name());
        let unlisted = session.wanted.get(&name).is_some_and(|wanted| wanted.unlisted);
        let known = self.tracks_by_sid.get(&record.sid).copied();
        let index = known.unwrap_or_else(|| {
            let home = home.map(usize::from).filter(|home| *home != self.siblings.index);
            self.add_far(&Carried { record: record.clone(), publisher, redundancy }, home)
        });
        let Some(track) = self.tracks.get_mut(index) else { return };
        let mut forwarder = Forwarder::new(track.codec, track.is_layered());
        if track.kind == Kind::Audio {
            forwarder.set_target(Some(0));
        }
        let mut viewer = Viewer::new(subscription.session, name, subscriber, forwarder, subscription.screen);
        viewer.unlisted = unlisted;
        track.viewers.push(viewer);
    }

    /// A client shows a track otherwise.
    fn set_settings(&mut self, id: SessionId, sid: TrackSid, settings: TrackSettings) {
        self.note_shown(id, sid, &settings);
        let sid = self.sessions.get(&id).map_or(sid, |session| session.sent_as(sid));
        let Some(&index) = self.tracks_by_sid.get(&sid) else { return };
        let Some(track) = self.tracks.get_mut(index) else { return };
        let kind = track.kind;
        let Some(viewer) = track.viewer(id) else { return };
        viewer.settings = settings;
        if kind == Kind::Audio {
            viewer.forwarder.set_target((!settings.disabled).then_some(0));
            if settings.disabled {
                self.leave_place(id, index);
            }
            self.update_want(index);
        }
        self.touched.insert(id);
    }

    /// Others speak than before. Each word of it counts more than all earlier ones, so that who is not named any more
    /// falls behind.
    fn order_speakers(&mut self, order: &[TrackSid]) {
        let newest = self.speakers_told + 1;
        (self.behind_speakers, self.speakers_told) = (newest, newest + order.len() as u64);
        let mut seekers = BTreeSet::new();
        for (place, sid) in (1..).zip(order.iter().rev()) {
            let Some(track) = self.tracks_by_sid.get(sid).and_then(|&index| self.tracks.get_mut(index)) else {
                continue;
            };
            track.speaker = newest + place;
            if track.kind == Kind::Video {
                self.touched.extend(track.viewers.iter().map(|viewer| viewer.session));
                seekers.extend(track.viewers.iter().filter(|viewer| viewer.unlisted).map(|viewer| viewer.session));
            }
        }
        seekers.into_iter().for_each(|id| self.seek_pictures(id));
    }

    fn unsubscribe(&mut self, id: SessionId, track: TrackSid) {
        let mut sent = [Some(track), None];
        self.with_session(id, |session| {
            if let Some(wanted) = session.wanted.remove(&track) {
                sent = [Some(wanted.sent_as), wanted.before];
            }
        });
        for sid in sent.into_iter().flatten() {
            self.remove_viewer(id, sid);
        }
        self.fill_list(id);
    }

    /// Stops sending a track to a session. A track from elsewhere goes with the last who takes it.
    pub(super) fn remove_viewer(&mut self, id: SessionId, sid: TrackSid) {
        let Some(&index) = self.tracks_by_sid.get(&sid) else { return };
        self.leave_place(id, index);
        let Some(track) = self.tracks.get_mut(index) else { return };
        track.viewers.retain(|viewer| viewer.session != id);
        self.update_want(index);
        self.end_unwatched(sid);
    }

    /// Tells when the layers that are needed of a track changed, by viewers here, by other workers of this node and, of
    /// one published here, by peers: the worker from which it comes, else the rooms.
    pub(super) fn update_want(&mut self, index: usize) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        let (is_local, layers) = (track.is_local(), track.taken());
        let changed = layers != track.wanted;
        if changed || is_local || layers != LayerSet::NONE {
            track.note_wanted(layers, self.now);
        }
        if changed {
            let (home, track) = (track.sibling(), track.sid);
            if let Some(home) = home {
                let from = self.siblings.index;
                return self.siblings.asks.push_back((home, Ask::Take { from, track, layers }));
            }
            self.events.push_back(if is_local {
                Event::Demand { track, layers }
            } else {
                Event::Want { track, layers }
            });
        }
    }

    fn forward(&mut self, forward: Forward) {
        match forward {
            Forward::Serve { layer, to, flow, .. } if usize::from(layer.layer) < LAYERS => {
                let serves = self.serves.entry(layer).or_default();
                serves.retain(|&(peer, _)| peer != to);
                serves.push((to, flow));
                self.apply_serves(layer);
                self.report_to(layer, to, flow);
                self.want_keyframe_for_peer(layer);
            }
            Forward::StopServe { layer, to, flow, .. } => {
                if let Some(serves) = self.serves.get_mut(&layer) {
                    serves.retain(|&serve| serve != (to, flow));
                    self.apply_serves(layer);
                }
            }
            // The link's own.
            Forward::Receive { .. }
            | Forward::StopReceive { .. }
            | Forward::Refill { .. }
            | Forward::Relay { .. }
            | Forward::StopRelay { .. } => {}
            Forward::Serve { .. } => self.stats.count_dropped("command", "no such layer"),
        }
    }

    pub(super) fn apply_serves(&mut self, layer: TrackLayer) {
        let serves = self.serves.get(&layer).cloned().unwrap_or_default();
        if serves.is_empty() {
            self.serves.remove(&layer);
        }
        let gives = self.gives(layer);
        let Some(&index) = self.tracks_by_sid.get(&layer.track) else { return };
        let Some(track) = self.tracks.get_mut(index).filter(|track| track.is_local()) else { return };
        if let Some(state) = track.layers.get_mut(usize::from(layer.layer)) {
            state.serves = if gives { serves } else { Vec::new() };
            track.follow_serves();
            self.update_want(index);
        }
    }

    /// A peer cannot decode a layer before its next keyframe. One that does not flow has none: its publisher sends it
    /// with one, once it sends it.
    pub(super) fn want_keyframe_for_peer(&mut self, layer: TrackLayer) {
        let track = self.tracks_by_sid.get(&layer.track).and_then(|&index| self.tracks.get(index));
        if track.is_none_or(|track| track.may_begin(layer.layer)) {
            self.want_keyframe_of(layer);
        }
    }

    /// A peer that begins late learns at once how the publisher's clock stands.
    fn report_to(&mut self, layer: TrackLayer, to: origo_auth::NodeId, flow: link::Flow) {
        let track = self.tracks_by_sid.get(&layer.track).and_then(|&index| self.tracks.get(index));
        let local = track.filter(|track| track.is_local());
        let report = local.and_then(|track| track.layers.get(usize::from(layer.layer))?.report);
        if let Some((ntp, rtp)) = report {
            self.sends.push(link::Send::SenderReport { to, flow, ntp, rtp });
        }
    }
}
