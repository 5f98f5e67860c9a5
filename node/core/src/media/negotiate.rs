//! Offers and answers. v0: we offer the connection that we send on, one exchange at a time. v1: the client offers, and
//! we ask it to when tracks wait for sections.

use std::borrow::Cow;
use std::time::Duration;

use super::agreed::Unfit;
use super::codec::Codec;
use super::peer::{Mid, NewSection, OfferChange};
use super::sdp::{Flow, Sdp};
use super::session::{Carries, Receiving, Session};
use super::worker::Worker;
use super::{Event, Redundancy};
use crate::SessionId;
use crate::pace::Limit;

/// How long a client may take to answer our offer before it is told to begin anew.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to offer when asked, before it is asked again.
const OFFER_PATIENCE: Duration = Duration::from_secs(5);
/// The stream of sections that wait for later tracks: one, so that sound and picture are played together.
const LATER_STREAM: &str = "later";
/// A client's offers: a join and a busy user make a few a second. An offer costs milliseconds, which others' media
/// would wait for.
const OFFERS: Limit = Limit { burst: 20, interval: Duration::from_millis(250) };
/// v1: how long after our answer a client has surely applied it. What is sent before is lost to it, and the first
/// keyframe must not be.
const ANSWER_TRAVELS: Duration = Duration::from_millis(100);

impl Worker {
    /// Brings a session's sections nearer to what it wants.
    pub(super) fn negotiate(&mut self, id: SessionId) {
        self.answer_offer(id);
        let Some(session) = self.sessions.get(&id) else { return };
        match (session.single, session.fixed_sections) {
            (true, true) => self.fill_sections(id),
            (true, false) => self.ask_for_offer(id),
            (false, _) => self.offer(id),
        }
    }

    /// A client that offers once: what waits takes what is idle.
    fn fill_sections(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.answered) else { return };
        let Some(peer) = self.peers.get_mut(session.subscriber).filter(|peer| !peer.dead) else { return };
        for mid in session.fill_sections(self.now) {
            peer.renew_stream(mid);
        }
    }

    /// Answers the client's last offer. Who offers too fast waits, and is answered when it is time.
    fn answer_offer(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.offer.is_some()) else { return };
        if session.offering.take(self.now, OFFERS).is_err() {
            return;
        }
        let Some((number, text)) = session.offer.take() else { return };
        match self.answer(id, &text) {
            Ok(sdp) => {
                let Some(session) = self.sessions.get(&id) else { return };
                let tracks_by_mid = if session.single { session.tracks_by_mid() } else { Default::default() };
                self.events.push_back(Event::Answer { session: id, id: number, sdp, tracks_by_mid });
            }
            Err(unfit) => self.refuse(id, &unfit),
        }
    }

    fn answer(&mut self, id: SessionId, text: &str) -> Result<String, Unfit> {
        let offered = Sdp::parse(text)?;
        let session = self.sessions.get_mut(&id).ok_or(Unfit::Over)?;
        let index = session.publisher;
        let peer = self.peers.get_mut(index).filter(|peer| !peer.dead).ok_or(Unfit::Over)?;
        session.agreed[0].take(&offered)?;

        let ended = session.sync_published(&offered.sections);
        session.match_expected();
        if session.single {
            for mid in session.assign_sections(&offered.sections) {
                peer.renew_stream(mid);
            }
        }
        let answer = peer.accept_offer(&mut self.reader, &within_bounds(&offered, text))?;
        let ufrag = peer.ufrag();
        session.answered = true;
        session.asked = None;
        let ready_at = self.now + ANSWER_TRAVELS;
        for wanted in session.wanted.values_mut().filter(|wanted| wanted.mid.is_some() && session.single) {
            wanted.ready_at.get_or_insert(ready_at);
        }
        let mut answer = Sdp::parse(&answer)?;
        edit_answer(session, &offered, &mut answer);

        self.demux.add_ufrag(&ufrag, index);
        self.enqueue(index);
        for track in ended {
            self.remove_track(track);
            self.events.push_back(Event::TrackEnded { session: id, track });
        }
        self.count_candidates(&offered);
        Ok(answer.to_string())
    }

    fn count_candidates(&mut self, offered: &Sdp<'_>) {
        for _ in 0..offered.dropped_candidates {
            self.stats.count_dropped("candidate", "too many");
        }
    }

    fn refuse(&mut self, id: SessionId, unfit: &Unfit) {
        tracing::debug!(session = ?id, %unfit, "description refused");
        self.stats.count_dropped("description", unfit.reason());
        self.events.push_back(Event::Refused { session: id, reason: unfit.to_string() });
    }

    /// v1: says how many sections are missing, unless that was said a moment ago.
    fn ask_for_offer(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.answered) else { return };
        if session.asked.is_some_and(|at| now.saturating_duration_since(at) < OFFER_PATIENCE) {
            return;
        }
        let Some((audios, videos)) = session.sections_needed() else { return };
        session.asked = Some(now);
        self.events.push_back(Event::SectionsNeeded { session: id, audios, videos });
    }

    /// v0: offers what changed, unless an answer is outstanding.
    fn offer(&mut self, id: SessionId) {
        let deadline = self.now + ANSWER_PATIENCE;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(peer) = self.peers.get_mut(session.subscriber).filter(|peer| !peer.dead) else { return };
        let first = session.exchange.last_id == 0;
        if session.exchange.pending.is_some() || !(first || session.has_changes()) {
            return;
        }
        let plan = session.plan_offer();
        let change = OfferChange { open_channels: first, add: &plan.add, resume: &plan.resume, pause: &plan.pause };
        let Some((text, pending, added)) = peer.offer(&change) else { return };
        session.note_added(&plan, &added);
        session.exchange.last_id += 1;
        session.exchange.pending = Some((pending, deadline));
        let (number, index) = (session.exchange.last_id, session.subscriber);
        let sdp = match Sdp::parse(&text) {
            Ok(mut sdp) => {
                edit_offer(session, &mut sdp);
                sdp.to_string()
            }
            Err(error) => return self.refuse(id, &error.into()),
        };
        let tracks_by_mid = session.tracks_by_mid();
        self.events.push_back(Event::Offer { session: id, id: number, sdp, tracks_by_mid });
        self.enqueue(index);
    }

    /// v0: takes the client's answer to our last offer. One to an older offer is dropped.
    pub(super) fn take_answer(&mut self, id: SessionId, number: u32, text: &str) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else {
            return self.stats.count_dropped("command", "unknown session");
        };
        if number != 0 && number != session.exchange.last_id {
            return self.stats.count_dropped("description", "stale answer");
        }
        let Some((pending, _)) = session.exchange.pending.take() else {
            return self.stats.count_dropped("description", "answer to nothing");
        };
        let index = session.subscriber;
        let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.dead) else { return };
        let agreed = &mut session.agreed[1];
        let accepted = Sdp::parse(text).map_err(Unfit::from).and_then(|answered| {
            agreed.take(&answered)?;
            peer.accept_answer(&mut self.reader, pending, &within_bounds(&answered, text))?;
            Ok(answered)
        });
        let answered = match accepted {
            Ok(answered) => answered,
            Err(unfit) => return self.refuse(id, &unfit),
        };
        for section in session.sections.iter_mut().filter(|section| section.carries == Carries::Ending) {
            section.carries = Carries::Nothing;
        }
        for wanted in session.wanted.values_mut().filter(|wanted| wanted.mid.is_some()) {
            wanted.ready_at.get_or_insert(now);
        }
        self.touched.insert(id);
        self.enqueue(index);
        self.count_candidates(&answered);
    }

    /// Finds answers that never came, offers to answer or to ask for again, tracks whose time to flow has come, and pictures
    /// whose turn it is to have a section.
    pub(super) fn sweep_sessions(&mut self) {
        let now = self.now;
        let (mut late, mut seeking) = (Vec::new(), Vec::new());
        for (&id, session) in &mut self.sessions {
            if session.lists.is_due(now) {
                seeking.push(id);
            }
            if session.exchange.pending.as_ref().is_some_and(|(_, deadline)| *deadline <= now) {
                session.exchange.pending = None;
                late.push(id);
            } else if session.offer.is_some()
                || session.asked.is_some()
                || session.wanted.values().any(|wanted| wanted.became_ready(now))
            {
                self.touched.insert(id);
            }
        }
        for id in seeking {
            self.seek_pictures(id);
        }
        for id in late {
            self.refuse(id, &Unfit::Late(ANSWER_PATIENCE.as_secs()));
        }
    }
}

/// The text that str0m gets: as it came, unless something was left out of it.
fn within_bounds<'a>(sdp: &Sdp<'_>, text: &'a str) -> Cow<'a, str> {
    if sdp.dropped_candidates == 0 { Cow::Borrowed(text) } else { Cow::Owned(sdp.to_string()) }
}

/// What our next offer changes.
#[derive(Default)]
struct Plan {
    add: Vec<NewSection>,
    added: Vec<origo_auth::TrackSid>,
    resume: Vec<Mid>,
    pause: Vec<Mid>,
}

impl Session {
    fn has_changes(&self) -> bool {
        self.has_ending() || self.wanted.values().any(|wanted| wanted.waits())
    }

    /// Chooses a section for each waiting track: an idle one of its kind, else a new one.
    fn plan_offer(&mut self) -> Plan {
        let mut plan = Plan::default();
        for section in &mut self.sections {
            let wanted = self.wanted.values().any(|wanted| wanted.mid == Some(section.mid));
            if !wanted && section.carries.track().is_some() {
                section.carries = Carries::Ending;
                plan.pause.push(section.mid);
            }
        }
        for (&sid, wanted) in self.wanted.iter_mut().filter(|(_, wanted)| wanted.waits()) {
            let kind = wanted.subscription.track.kind;
            let idle = |section: &&mut Receiving| section.carries == Carries::Nothing && section.kind == kind;
            if let Some(section) = self.sections.iter_mut().find(idle) {
                section.carries = Carries::Track(sid);
                wanted.mid = Some(section.mid);
                plan.resume.push(section.mid);
                continue;
            }
            let stream = wanted.subscription.stream.clone();
            plan.add.push(NewSection { kind, stream, track: sid.to_string() });
            plan.added.push(sid);
        }
        plan
    }

    fn note_added(&mut self, plan: &Plan, mids: &[Mid]) {
        for ((section, &sid), &mid) in plan.add.iter().zip(&plan.added).zip(mids) {
            self.sections.push(Receiving { mid, kind: section.kind, carries: Carries::Track(sid), used: true });
            if let Some(wanted) = self.wanted.get_mut(&sid) {
                wanted.mid = Some(mid);
            }
        }
    }
}

/// Names the tracks in our offer; a section that was idle before still has its first track's name.
fn edit_offer(session: &Session, offer: &mut Sdp<'_>) {
    for section in &mut offer.sections {
        let Some(mid) = section.mid().map(Mid::from) else { continue };
        if section.kind().is_none() {
            continue;
        }
        let wanted = session.carried(mid).and_then(|sid| session.wanted.get(&sid));
        match wanted {
            Some(wanted) => {
                let record = &wanted.subscription.track;
                section.set_sending(&wanted.subscription.stream, &record.name().to_string());
                section.prefer_codec(Codec::from_mime(&record.mime).sdp_name());
            }
            None => section.set_inactive(),
        }
    }
}

/// Gives each section of our answer its direction, its track's name, and the codec that was agreed on.
fn edit_answer(session: &Session, offered: &Sdp<'_>, answer: &mut Sdp<'_>) {
    for section in &offered.sections {
        let Some(name) = section.mid().filter(|_| section.kind().is_some()) else { continue };
        let Some(answered) = answer.section_mut(name) else { continue };
        let mid = Mid::from(name);
        match section.flow() {
            Flow::Send | Flow::SendReceive => {
                answered.set_receiving();
                let published = session.published.iter().find(|published| published.mid == mid);
                if let Some(expected) = published.and_then(|published| published.expected.as_ref()) {
                    answered.prefer_codec(Codec::from_mime(&expected.mime).sdp_name());
                    if Codec::from_mime(&expected.mime) == Codec::Opus {
                        answered.tune_opus(expected.stereo, expected.dtx);
                        if expected.redundancy == Redundancy::Allowed {
                            answered.prefer_redundancy();
                        }
                    }
                }
            }
            Flow::Receive => match session.carried(mid).and_then(|sid| session.wanted.get(&sid)) {
                Some(wanted) => {
                    let record = &wanted.subscription.track;
                    answered.set_sending(&wanted.subscription.stream, &record.name().to_string());
                    answered.prefer_codec(Codec::from_mime(&record.mime).sdp_name());
                }
                None if session.fixed_sections => answered.set_sending(LATER_STREAM, name),
                None => answered.set_inactive(),
            },
            Flow::Inactive => answered.set_inactive(),
        }
    }
}
