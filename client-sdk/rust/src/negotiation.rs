//! The session's signaling half: joins, exchanges offers and answers, and learns which section carries which track.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use crate::event::{Event, Subscribed};
use crate::peer::{Additions, NegotiationError};
use crate::publication::Stage;
use crate::reception::Reception;
use crate::sections::{self, Section};
use crate::session::{PUBLISHER, SUBSCRIBER, Session};

/// A server may ask for that many sections at once; more is its mistake.
const SECTIONS_MAX: u32 = 200;

impl Session {
    pub(crate) fn handle_signal(&mut self, now: Instant, message: proto::SignalResponse) {
        let result = match message.message {
            Some(Response::Join(join)) => {
                self.joined(now, join);
                Ok(())
            }
            Some(Response::Answer(answer)) => self.answered(now, &answer),
            Some(Response::Offer(offer)) => self.offered(now, &offer),
            Some(Response::Trickle(trickle)) => {
                self.trickled(&trickle);
                Ok(())
            }
            other => {
                self.informed(other);
                Ok(())
            }
        };
        match result {
            Ok(()) => self.negotiate(),
            Err(error) => self.close(error.to_string()),
        }
    }

    /// The messages that need no negotiation, or only a later one.
    fn informed(&mut self, message: Option<Response>) {
        match message {
            Some(Response::TrackPublished(published)) => self.named(published),
            Some(Response::MediaSectionsRequirement(more)) => {
                self.additions.0 += more.num_audios.min(SECTIONS_MAX);
                self.additions.1 += more.num_videos.min(SECTIONS_MAX);
                self.offer_wanted = true;
            }
            Some(Response::Update(update)) => self.tell(Event::Participants(update.participants)),
            Some(Response::SpeakersChanged(speakers)) => self.tell(Event::Speakers(speakers.speakers)),
            Some(Response::Leave(leave)) => {
                let (reason, action) = (leave.reason(), leave.action());
                self.tell(Event::Leave(Box::new(leave)));
                self.close(format!("the server says leave: {reason:?}, {action:?}"));
            }
            None | Some(Response::Pong(_) | Response::PongResp(_)) => {}
            message => self.tell(Event::Signal(Box::new(proto::SignalResponse { message }))),
        }
    }

    fn joined(&mut self, now: Instant, join: proto::JoinResponse) {
        self.joined = true;
        if join.ping_interval > 0 {
            self.set_ping_interval(Duration::from_secs(join.ping_interval as u64), now);
        }
        self.ping_timeout = u64::try_from(join.ping_timeout).ok().filter(|s| *s > 0).map(Duration::from_secs);
        self.offer_wanted = !self.single_connection;
        self.tell(Event::Joined(Box::new(join)));
    }

    fn named(&mut self, published: proto::TrackPublishedResponse) {
        let Some(track) = published.track else { return };
        let waiting = |publication: &&mut crate::publication::Publication| {
            publication.cid == published.cid && matches!(publication.stage, Stage::Announced)
        };
        if let Some(publication) = self.publications.iter_mut().find(waiting) {
            publication.stage = Stage::Named;
            publication.sid = Some(track.sid.clone());
            self.offer_wanted = true;
        }
        self.tell(Event::TrackPublished { cid: published.cid, track: Box::new(track) });
    }

    /// Offers what has gathered, when no offer of ours is under way.
    fn negotiate(&mut self) {
        if !self.joined || !self.offer_wanted || self.closed || self.peers[PUBLISHER].is_offering() {
            return;
        }
        let named = |publication: &crate::publication::Publication| matches!(publication.stage, Stage::Named);
        let sending = self.publications.iter().filter(|p| named(p)).map(|p| (p.cid.as_str(), p.video())).collect();
        let first_of_v0 = !self.single_connection && !self.peers[PUBLISHER].has_offered();
        let additions = Additions {
            receiving_audios: self.additions.0,
            receiving_videos: self.additions.1,
            channels: first_of_v0,
            sending,
        };
        let Some((id, sdp, mids)) = self.peers[PUBLISHER].offer(&additions) else { return };
        (self.offer_wanted, self.additions) = (false, (0, 0));
        for (publication, mid) in self.publications.iter_mut().filter(|p| named(p)).zip(mids) {
            publication.stage = Stage::Offered(mid);
        }
        let offer = proto::SessionDescription { r#type: "offer".to_owned(), sdp, id, ..Default::default() };
        self.signal(Request::Offer(offer));
    }

    fn answered(&mut self, now: Instant, answer: &proto::SessionDescription) -> Result<(), NegotiationError> {
        if !self.peers[PUBLISHER].accept_answer(now, answer.id, &answer.sdp)? {
            return Ok(());
        }
        let (peer, record) = (&self.peers[PUBLISHER], self.record);
        let started: Vec<String> = (self.publications.iter_mut())
            .filter_map(|publication| publication.start(peer, record, now).then(|| publication.cid.clone()))
            .collect();
        for cid in started {
            self.tell(Event::TrackFlows { cid });
        }
        if self.single_connection {
            self.learn_tracks(now, &answer.sdp, &answer.mid_to_track_id);
        }
        Ok(())
    }

    fn offered(&mut self, now: Instant, offer: &proto::SessionDescription) -> Result<(), NegotiationError> {
        // With one connection it is the one that a server other than LiveKit's may offer on.
        let Some(peer) = self.peers.last_mut() else { return Ok(()) };
        let sdp = peer.accept_offer(now, &offer.sdp)?;
        let answer = proto::SessionDescription { r#type: "answer".to_owned(), sdp, id: offer.id, ..Default::default() };
        self.signal(Request::Answer(answer));
        self.learn_tracks(now, &offer.sdp, &offer.mid_to_track_id);
        Ok(())
    }

    fn trickled(&mut self, trickle: &proto::TrickleRequest) {
        let connection = match trickle.target() {
            proto::SignalTarget::Publisher => PUBLISHER,
            proto::SignalTarget::Subscriber => SUBSCRIBER,
        };
        let init: Option<serde_json::Value> = serde_json::from_str(&trickle.candidate_init).ok();
        let candidate = init.as_ref().and_then(|init| init["candidate"].as_str());
        if let (Some(peer), Some(candidate)) = (self.peers.get_mut(connection), candidate) {
            peer.add_candidate(candidate);
        }
    }

    /// Compares what the server sends by its SDP with what we had, and tells the difference.
    fn learn_tracks(&mut self, now: Instant, sdp: &str, track_by_mid: &HashMap<String, String>) {
        let sections = sections::parse(sdp);
        self.descriptions.note(sdp, &sections);
        let announced =
            sections.iter().flat_map(|section| section.ssrcs.iter().map(|ssrc| (*ssrc, section.mid.clone())));
        self.mid_by_ssrc = announced.collect();
        let carried: Vec<Subscribed> =
            sections.into_iter().filter_map(|section| subscribed(section, track_by_mid)).collect();
        let gone: Vec<usize> = (0..self.receptions.len())
            .filter(|&index| !self.receptions[index].ended && !carried.contains(&self.receptions[index].what))
            .collect();
        for index in gone {
            self.receptions[index].ended = true;
            let track = self.receptions[index].what.track.clone();
            self.reception_by_ssrc.retain(|_, reception| *reception != index);
            self.peers.iter_mut().filter_map(|peer| peer.light.as_mut()).for_each(|light| light.forget(index));
            self.tell(Event::TrackUnsubscribed { track });
        }
        for what in carried {
            let known = self.receptions.iter().any(|reception| !reception.ended && reception.what == what);
            if !known {
                self.receptions.push(Reception::new(what.clone(), now, self.record));
                self.tell(Event::TrackSubscribed(what));
            }
        }
    }
}

/// The track that a section carries, by the rules of the SDKs: the map of mids first, then what the msid says.
fn subscribed(section: Section, track_by_mid: &HashMap<String, String>) -> Option<Subscribed> {
    if !section.sends {
        return None;
    }
    let (publisher, suffix) = section.msid.0.split_once('|').unwrap_or((&section.msid.0, ""));
    let by_msid = [suffix, &section.msid.1].into_iter().find(|id| id.starts_with("TR"));
    let track = track_by_mid.get(&section.mid).map(String::as_str).or(by_msid)?;
    Some(Subscribed {
        track: track.to_owned(),
        publisher: publisher.to_owned(),
        kind: section.kind,
        mid: section.mid.clone(),
    })
}
