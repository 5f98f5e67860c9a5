//! Who receives which track.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use origo_auth::{Identity, ParticipantSid, TrackSid};
use origo_cascade_core::TrackRecord;
use proto::signal_response::Message;

use super::context::Context;
use super::limits;
use super::participant::Participant;
use super::publication::redundancy_of;
use super::room::Room;
use crate::media::{Command, Redundancy, Subscription};

/// A track that can be received, and who publishes it.
struct Source {
    record: TrackRecord,
    backup: Option<TrackRecord>,
    publisher: ParticipantSid,
    identity: Identity,
    stream: String,
    screen: bool,
    redundancy: Redundancy,
    is_local: bool,
}

impl Room {
    /// A track can be received now: everybody who takes everything gets it.
    pub fn subscribe_all(&mut self, cx: &mut Context, track: TrackSid) {
        let Some(source) = self.source(track) else { return };
        let takers = self.locals.values().filter(|local| local.session.auto_subscribe);
        let takers: Vec<_> = takers.map(|local| local.identity.clone()).collect();
        for identity in takers {
            self.give(cx, &identity, &source, false);
        }
    }

    /// A track can be received in a second codec now: those who have it hear of that.
    pub fn renew_subscriptions(&mut self, cx: &mut Context, track: TrackSid) {
        let Some(source) = self.source(track) else { return };
        for local in self.locals.values().filter(|local| local.session.subscriptions.contains(&track)) {
            cx.media(&self.key, Command::Subscribe(subscription(local, &source)));
        }
    }

    /// A track cannot be received any more.
    pub fn unsubscribe_all(&mut self, cx: &mut Context, track: TrackSid) {
        for local in self.locals.values_mut() {
            if local.session.unsubscribe(track) {
                cx.media(&self.key, Command::Unsubscribe { session: local.session.id, track });
            }
        }
    }

    /// A joiner who takes everything gets all that is there.
    pub fn subscribe_to_everything(&mut self, cx: &mut Context, identity: &Identity) {
        if !self.locals.get(identity).is_some_and(|local| local.session.auto_subscribe) {
            return;
        }
        let here = self.locals.values().flat_map(|local| local.announced().map(|publication| publication.name));
        let elsewhere = self.remotes.visible().flat_map(|remote| remote.tracks().map(|track| track.name()));
        let tracks: Vec<_> = here.chain(elsewhere).collect();
        for track in tracks {
            self.subscribe(cx, identity, track, false);
        }
    }

    /// A client asks for tracks, or wants them no more.
    pub fn update_subscription(&mut self, cx: &mut Context, identity: &Identity, request: proto::UpdateSubscription) {
        let grouped = request.participant_tracks.into_iter().flat_map(|group| group.track_sids);
        let sids = request.track_sids.into_iter().chain(grouped).take(limits::SIDS_PER_REQUEST_MAX);
        for sid in sids {
            let Some(local) = self.locals.get_mut(identity) else { return };
            let session = &mut local.session;
            let track = sid.parse().ok();
            if session.wishes.is_empty() && session.subscribing.take(cx.now, limits::SUBSCRIBING).is_ok() {
                match track {
                    Some(track) => self.wish(cx, identity, track, request.subscribe),
                    None => self.refuse_subscription(cx, identity, sid),
                }
                continue;
            }
            let has_room =
                |track: &TrackSid| session.wishes.len() < limits::WISHES_MAX || session.wishes.contains_key(track);
            let Some(track) = track.filter(has_room) else {
                cx.stats.drop("subscription", "too fast");
                continue;
            };
            if session.wishes.insert(track, request.subscribe).is_some() {
                cx.stats.drop("subscription", "overtaken");
            }
            cx.wake(&self.key, cx.now + limits::SETTINGS_INTERVAL);
        }
    }

    /// Does what clients have asked for too fast, as far as it is time.
    pub fn grant_wishes(&mut self, cx: &mut Context) {
        let waiting = self.locals.values().filter(|local| !local.session.wishes.is_empty());
        let waiting: Vec<_> = waiting.map(|local| local.identity.clone()).collect();
        for identity in waiting {
            while let Some((track, wanted)) = self.next_wish(cx, &identity) {
                self.wish(cx, &identity, track, wanted);
            }
        }
    }

    fn next_wish(&mut self, cx: &mut Context, identity: &Identity) -> Option<(TrackSid, bool)> {
        let session = &mut self.locals.get_mut(identity)?.session;
        let wish = session.wishes.first_entry()?;
        if session.subscribing.take(cx.now, limits::SUBSCRIBING).is_err() {
            // A tenth of a second's worth at a time, so that a flood wakes nobody for each of it.
            cx.wake(&self.key, cx.now + limits::SETTINGS_INTERVAL);
            return None;
        }
        Some(wish.remove_entry())
    }

    fn wish(&mut self, cx: &mut Context, identity: &Identity, track: TrackSid, wanted: bool) {
        if !wanted {
            self.unsubscribe(cx, identity, track);
        } else if !self.subscribe(cx, identity, track, true) {
            self.refuse_subscription(cx, identity, track.to_string());
        }
    }

    /// Has a participant receive a track, which it may have asked for by name, or wait until its publisher lets it. Says
    /// whether there is such a track that it may have.
    pub fn subscribe(&mut self, cx: &mut Context, identity: &Identity, track: TrackSid, asked: bool) -> bool {
        self.source(track).is_some_and(|source| self.give(cx, identity, &source, asked))
    }

    /// Has a participant receive a track, unless it is its own or it may not receive any. When only the publisher does
    /// not let it, it waits. Says whether it has it or waits.
    fn give(&mut self, cx: &mut Context, identity: &Identity, source: &Source, asked: bool) -> bool {
        let track = source.record.name();
        let Some(local) = self.locals.get_mut(identity) else { return false };
        if !local.grants.can_subscribe || source.identity == *identity {
            return false;
        }
        let is_news = asked && local.session.asked.insert(track);
        let Some(local) = self.locals.get(identity) else { return false };
        if !self.admits(&source.identity, local, track) {
            self.deny(cx, identity, source.publisher, track);
            return true;
        }
        let Some(local) = self.locals.get_mut(identity) else { return false };
        if !local.session.subscriptions.insert(track) {
            if is_news {
                cx.media(&self.key, Command::Favour { session: local.session.id, track });
            }
            return true;
        }
        cx.media(&self.key, Command::Subscribe(subscription(local, source)));
        if let Some(&settings) = local.session.settings.get(&track) {
            cx.media(&self.key, Command::Settings { session: local.session.id, track, settings });
        }
        if self.has_spoken(source.publisher) {
            self.order_speakers(cx);
        }
        if source.is_local {
            self.tell_of_first_subscriber(cx, &source.identity, track);
        }
        true
    }

    pub fn unsubscribe(&mut self, cx: &mut Context, identity: &Identity, track: TrackSid) {
        let Some(local) = self.locals.get_mut(identity) else { return };
        if local.session.unsubscribe(track) {
            cx.media(&self.key, Command::Unsubscribe { session: local.session.id, track });
        }
    }

    fn refuse_subscription(&self, cx: &mut Context, identity: &Identity, track_sid: String) {
        cx.stats.drop("subscription", "unknown track");
        let err = proto::SubscriptionError::SeTrackNotfound as i32;
        let track_sid = track_sid.chars().take(limits::NAME_BYTES_MAX).collect();
        self.tell(cx, identity, Message::SubscriptionResponse(proto::SubscriptionResponse { track_sid, err }));
    }

    pub fn tell_of_first_subscriber(&mut self, cx: &mut Context, publisher: &Identity, track: TrackSid) {
        let local = self.locals.get_mut(publisher);
        let Some(publication) = local.and_then(|local| local.publication(track)) else { return };
        if !std::mem::replace(&mut publication.subscribed, true) {
            let track_sid = track.to_string();
            self.tell(cx, publisher, Message::TrackSubscribed(proto::TrackSubscribed { track_sid }));
        }
    }

    /// The publisher of a track that can be received.
    pub fn publisher_of(&self, track: TrackSid) -> Option<&Identity> {
        let here = self.locals.values().find(|local| local.announced().any(|known| known.name == track));
        let here = here.map(|local| &local.identity);
        here.or_else(|| self.remotes.find(track).map(|(remote, _)| &remote.record.identity))
    }

    /// The tracks of a participant that can be received.
    pub fn tracks_of(&self, identity: &Identity) -> Vec<TrackSid> {
        let here = self.locals.get(identity).into_iter().flat_map(|local| local.announced().map(|known| known.name));
        let elsewhere = self.remotes.by_identity.get(identity).filter(|remote| !remote.is_hidden());
        here.chain(elsewhere.into_iter().flat_map(|remote| remote.tracks().map(|track| track.name()))).collect()
    }

    /// The publisher of every track that can be received.
    pub fn publishers(&self) -> BTreeMap<TrackSid, ParticipantSid> {
        let here = self.locals.values().flat_map(|local| local.announced().map(|known| (known.name, local.sid)));
        let elsewhere =
            self.remotes.visible().flat_map(|remote| remote.tracks().map(|track| (track.name(), remote.record.sid)));
        here.chain(elsewhere).collect()
    }

    /// The same by the ids that workers know.
    pub fn carriers(&self) -> BTreeMap<TrackSid, ParticipantSid> {
        let here = self.locals.values().flat_map(|local| local.announced().map(|known| (known.sid, local.sid)));
        let elsewhere =
            self.remotes.visible().flat_map(|remote| remote.tracks().map(|track| (track.sid, remote.record.sid)));
        here.chain(elsewhere).collect()
    }

    fn source(&self, track: TrackSid) -> Option<Source> {
        let local = self.locals.values().find_map(|local| {
            let publication = local.announced().find(|publication| publication.name == track)?;
            Some(Source {
                record: publication.record(),
                backup: publication.backup.as_ref().map(|backup| backup.record(publication.name)),
                publisher: local.sid,
                identity: local.identity.clone(),
                stream: publication.info.stream.clone(),
                screen: publication.info.source() == proto::TrackSource::ScreenShare,
                redundancy: redundancy_of(&publication.info),
                is_local: true,
            })
        });
        local.or_else(|| {
            let (remote, record) = self.remotes.find(track)?;
            Some(Source {
                record: record.clone(),
                backup: remote.backup(track).cloned(),
                publisher: remote.record.sid,
                identity: remote.record.identity.clone(),
                stream: remote.stream(track).to_owned(),
                screen: remote.is_screen(track),
                redundancy: remote.redundancy(track),
                is_local: false,
            })
        })
    }
}

/// How a track is called on a client's connection: clients read the publisher left of the first bar.
fn subscription(local: &Participant, source: &Source) -> Subscription {
    let named = if local.session.reads_track_from_stream() || source.stream.is_empty() {
        format!("{}|{}", source.publisher, source.record.name())
    } else {
        format!("{}|{}", source.publisher, source.stream)
    };
    Subscription {
        session: local.session.id,
        track: source.record.clone(),
        backup: source.backup.clone(),
        publisher: source.publisher,
        stream: named,
        screen: source.screen,
        asked: local.session.asked.contains(&source.record.name()),
        redundancy: source.redundancy,
        home: None,
    }
}
