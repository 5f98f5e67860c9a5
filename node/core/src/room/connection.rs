//! Negotiation and connections: signal messages to the media worker, its events to signal messages.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use origo_auth::{Identity, TrackSid};
use proto::leave_request::Action;
use proto::participant_info::State;
use proto::signal_response::Message;
use proto::{DisconnectReason, SignalTarget};
use serde::Deserialize;

use super::context::Context;
use super::limits;
use super::room::Room;
use crate::media::{self, Command, Target};

/// The part of a browser's `RTCIceCandidateInit` that counts.
#[derive(Deserialize)]
struct CandidateInit {
    candidate: String,
}

impl Room {
    /// The client offers.
    pub fn offer(&mut self, cx: &mut Context, identity: &Identity, offer: proto::SessionDescription) {
        if offer.sdp.len() > limits::SDP_BYTES_MAX {
            return cx.stats.drop("offer", "too long");
        }
        let Some(local) = self.locals.get(identity) else { return };
        cx.media(&self.key, Command::Offer { session: local.session.id, id: offer.id, sdp: offer.sdp });
    }

    /// The client answers our offer.
    pub fn answer(&mut self, cx: &mut Context, identity: &Identity, answer: proto::SessionDescription) {
        if answer.sdp.len() > limits::SDP_BYTES_MAX {
            return cx.stats.drop("answer", "too long");
        }
        let Some(local) = self.locals.get(identity) else { return };
        if local.session.single_connection {
            return cx.stats.drop("answer", "single connection");
        }
        cx.media(&self.key, Command::Answer { session: local.session.id, id: answer.id, sdp: answer.sdp });
    }

    /// The client found a way to reach itself.
    pub fn trickle(&mut self, cx: &mut Context, identity: &Identity, trickle: &proto::TrickleRequest) {
        if trickle.candidate_init.len() > limits::CANDIDATE_BYTES_MAX {
            return cx.stats.drop("trickle", "too long");
        }
        let Ok(init) = serde_json::from_str::<CandidateInit>(&trickle.candidate_init) else {
            return cx.stats.drop("trickle", "malformed");
        };
        let Some(local) = self.locals.get(identity) else { return };
        // An empty candidate says that there are no more, which ends nothing here.
        if init.candidate.is_empty() {
            return;
        }
        let subscriber = trickle.target == SignalTarget::Subscriber as i32 && !local.session.single_connection;
        let target = if subscriber { Target::Subscriber } else { Target::Publisher };
        let session = local.session.id;
        cx.media(&self.key, Command::Trickle { session, target, candidate: init.candidate });
    }

    /// News from the worker about one participant.
    pub fn media_event(&mut self, cx: &mut Context, identity: &Identity, event: media::Event) {
        match event {
            media::Event::Answer { id, sdp, tracks_by_mid, .. } => {
                self.tell(cx, identity, Message::Answer(description("answer", id, sdp, tracks_by_mid)));
            }
            media::Event::Offer { id, sdp, tracks_by_mid, .. } => {
                self.tell(cx, identity, Message::Offer(description("offer", id, sdp, tracks_by_mid)));
            }
            media::Event::SectionsNeeded { audios, videos, .. } => {
                let needed = proto::MediaSectionsRequirement { num_audios: audios, num_videos: videos };
                self.tell(cx, identity, Message::MediaSectionsRequirement(needed));
            }
            media::Event::Refused { reason, .. } => self.refuse_description(cx, identity, &reason),
            media::Event::Connected { target, .. } => self.connected(cx, identity, target),
            media::Event::Disconnected { target, .. } => self.disconnected(cx, identity, target),
            media::Event::TrackStarted { track, mime, mid, ssrcs, .. } => {
                self.start_track(cx, identity, track, mime, mid, &ssrcs);
            }
            media::Event::TrackEnded { track, .. } => self.end_track(cx, identity, track),
            media::Event::Data { channel, packet, .. } => self.data(cx, identity, channel, &packet),
            media::Event::Quality { up, down, .. } => self.rate(cx, identity, &up, &down),
            media::Event::Unsupported { track, .. } => self.tell_unsupported(cx, identity, track),
            media::Event::StreamState { track, paused, .. } => self.tell_stream_state(cx, identity, track, paused),
            media::Event::FellBehind(_) => self.fall_behind(cx, identity),
            // The worker holds packets back until the channels are open, so nothing waits for it here. The rest is
            // about no one participant and is taken before.
            media::Event::ChannelsOpen(_)
            | media::Event::Want { .. }
            | media::Event::Levels(_)
            | media::Event::Demand { .. } => {}
        }
    }

    /// A track is paused for want of bandwidth, or goes on.
    fn tell_stream_state(&self, cx: &mut Context, identity: &Identity, track: TrackSid, paused: bool) {
        let Some(publisher) = self.publisher_of(track).and_then(|publisher| self.sid_of(publisher)) else { return };
        let state = if paused { proto::StreamState::Paused } else { proto::StreamState::Active };
        let info = proto::StreamStateInfo {
            participant_sid: publisher.to_string(),
            track_sid: track.to_string(),
            state: state as i32,
        };
        self.tell(cx, identity, Message::StreamStateUpdate(proto::StreamStateUpdate { stream_states: vec![info] }));
    }

    /// The client's socket is gone without a word.
    pub fn lose_socket(&mut self, cx: &mut Context, identity: &Identity) {
        let now = cx.now;
        let Some(local) = self.locals.get_mut(identity) else { return };
        match local.session.lose_socket(now) {
            Some(until) => cx.wake(&self.key, until),
            None => self.lose(cx, identity, DisconnectReason::SignalClose),
        }
    }

    fn refuse_description(&mut self, cx: &mut Context, identity: &Identity, reason: &str) {
        tracing::warn!(room = %self.key, %identity, reason, "a session description cannot be taken");
        cx.stats.drop("description", "refused by the worker");
        self.remove(cx, identity, DisconnectReason::MediaFailure, Some(Action::Reconnect));
    }

    fn connected(&mut self, cx: &mut Context, identity: &Identity, target: Target) {
        let Some(local) = self.locals.get_mut(identity) else { return };
        if local.session.connect(target) && local.state != State::Active {
            tracing::info!(room = %self.key, participant = %local.sid, %identity, "participant active");
            local.state = State::Active;
            let heir_waits = cx.now + limits::HEIR_WAITS;
            if local.standing.connected(heir_waits) {
                cx.wake(&self.key, heir_waits);
            }
            self.announce_arrival(cx, identity);
            self.take_over_when_whole(cx, identity);
        }
    }

    fn disconnected(&mut self, cx: &mut Context, identity: &Identity, target: Target) {
        let now = cx.now;
        let Some(local) = self.locals.get_mut(identity).filter(|local| !local.standing.is_gone()) else { return };
        match local.session.disconnect(target, now) {
            Some(at) => cx.wake(&self.key, at),
            None => self.lose(cx, identity, DisconnectReason::ConnectionTimeout),
        }
    }
}

fn description(
    kind: &str,
    id: u32,
    sdp: String,
    tracks_by_mid: BTreeMap<String, TrackSid>,
) -> proto::SessionDescription {
    let mid_to_track_id = tracks_by_mid.into_iter().map(|(mid, track)| (mid, track.to_string())).collect();
    proto::SessionDescription { r#type: kind.into(), sdp, id, mid_to_track_id }
}
