//! Letting a client in: what is checked, what it is told first, and what others hear of it.

use livekit_protocol as proto;
use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey};
use proto::leave_request::Action;
use proto::participant_info::State;
use proto::signal_response::Message;
use proto::{DisconnectReason, ParticipantInfo};

use super::context::Context;
use super::grants::{self, Grants};
use super::moving::Standing;
use super::participant::Participant;
use super::room::{Phase, Room};
use super::session::Session;
use super::{Elsewhere, Join, info, limits};
use crate::SessionId;
use crate::media::{Command, OpenSession, Target};

/// Why a join is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JoinError {
    #[error("the token does not allow to join room {0:?}")]
    NotAllowed(String),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{what} has {bytes} bytes, {max} are allowed")]
    TooLong { what: &'static str, bytes: usize, max: usize },
    #[error("the room is full: {max} participants are on this node", max = limits::PARTICIPANTS_MAX)]
    RoomFull,
    #[error("the room is full: its application lets {0} participants in")]
    RoomLimit(u32),
    #[error(
        "this room stays in {countries}, and this node {}: GET /v1/route?room={room} names nodes that may have it",
        stands(country)
    )]
    Elsewhere { room: String, countries: String, country: String },
    #[error("the same identity joins once more")]
    Superseded,
    #[error("the node is full: it has {max} rooms", max = limits::ROOMS_MAX)]
    NodeFull,
    #[error(
        "the node is full, it is short of {resource}: {}",
        next.as_deref().map_or("try again in a moment".to_owned(), |url| format!("go to {url}"))
    )]
    Full { resource: &'static str, next: Option<String> },
    #[error("the node drains{}", next.as_deref().map(|url| format!(": go on at {url}")).unwrap_or_default())]
    Draining { next: Option<String>, goes_on: Option<String> },
    #[error("the session is on another node")]
    OnNode(NodeId),
}

impl JoinError {
    /// Where the client may be led.
    pub fn elsewhere(&self) -> Option<Elsewhere> {
        match self {
            Self::Draining { next, goes_on } => {
                let led = goes_on.clone().map(Elsewhere::Url);
                led.or_else(|| next.clone().map(Elsewhere::Next))
            }
            Self::OnNode(node) => Some(Elsewhere::Node(*node)),
            _ => None,
        }
    }

    /// The HTTP status that says it.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotAllowed(_) => 401,
            Self::Elsewhere { .. } => 403,
            Self::Missing(_) | Self::TooLong { .. } => 400,
            Self::RoomFull | Self::RoomLimit(_) => 429,
            Self::Superseded => 409,
            Self::NodeFull | Self::Full { .. } | Self::Draining { .. } | Self::OnNode(_) => 503,
        }
    }
}

fn stands(country: &str) -> String {
    if country.is_empty() { "does not know where it stands".to_owned() } else { format!("stands in {country}") }
}

/// Checks that this node may have a room that is to stay in these countries.
pub(super) fn check_country(cx: &Context, room: &RoomKey, countries: &[String]) -> Result<(), JoinError> {
    let country = &cx.config.country;
    if countries.is_empty() || countries.contains(country) {
        return Ok(());
    }
    let room = room.name.chars().take(limits::NAME_BYTES_MAX).collect();
    Err(JoinError::Elsewhere { room, countries: countries.join(", "), country: country.clone() })
}

/// Checks what does not hang on the room's state.
pub(super) fn check(join: &Join) -> Result<(), JoinError> {
    let grant = &join.claims.video;
    if join.room.name.is_empty() {
        return Err(JoinError::Missing("the room's name"));
    }
    if join.identity.0.is_empty() {
        return Err(JoinError::Missing("the identity"));
    }
    if !grant.room_join || grant.room != join.room.name {
        return Err(JoinError::NotAllowed(join.room.name.chars().take(limits::NAME_BYTES_MAX).collect()));
    }
    let attributes = join.claims.attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
    let sizes = [
        ("the room's name", join.room.name.len(), limits::NAME_BYTES_MAX),
        ("the identity", join.identity.0.len(), limits::NAME_BYTES_MAX),
        ("the name", join.claims.name.len(), limits::NAME_BYTES_MAX),
        ("the metadata", join.claims.metadata.len(), limits::METADATA_BYTES_MAX),
        ("the attributes", attributes, limits::ATTRIBUTES_BYTES_MAX),
    ];
    for (what, bytes, max) in sizes {
        if bytes > max {
            return Err(JoinError::TooLong { what, bytes, max });
        }
    }
    Ok(())
}

impl Room {
    /// A client wants in: at once, or when the mesh has said who is here.
    pub fn join(&mut self, cx: &mut Context, join: Join) -> Result<(), JoinError> {
        let waiting = match &self.phase {
            Phase::Entering { waiting, .. } => waiting.len(),
            Phase::Live => self.seating.len() + self.returning.len(),
        };
        if self.locals.len() + waiting >= limits::PARTICIPANTS_MAX && !self.locals.contains_key(&join.identity) {
            return Err(JoinError::RoomFull);
        }
        match &mut self.phase {
            Phase::Entering { waiting, .. } => waiting.push(join),
            Phase::Live => self.let_in(cx, join)?,
        }
        Ok(())
    }

    /// It is known who is in the room elsewhere: those who waited come in.
    pub fn go_live(&mut self, cx: &mut Context) {
        if let Phase::Entering { waiting, .. } = std::mem::replace(&mut self.phase, Phase::Live) {
            for join in waiting {
                self.let_in_or_refuse(cx, join);
            }
        }
    }

    /// Whether the application lets one more in, as far as this node knows.
    pub fn check_limit(&self, identity: &Identity) -> Result<(), JoinError> {
        let max = self.record.settings.max_participants;
        let is_here = self.locals.contains_key(identity) || self.remotes.by_identity.contains_key(identity);
        let served = self.locals.values().filter(|local| local.standing.is_served()).count();
        let present = served + self.remotes.by_identity.len();
        if max > 0 && !is_here && present >= max as usize { Err(JoinError::RoomLimit(max)) } else { Ok(()) }
    }

    /// A client has gone. Says whether it still waited to be let in.
    pub fn stop_waiting(&mut self, session: SessionId) -> bool {
        let seating = self.seating.len();
        self.seating.retain(|_, (join, _)| join.session != session);
        if self.seating.len() < seating || self.returning.stop(session) {
            return true;
        }
        let Phase::Entering { waiting, .. } = &mut self.phase else { return false };
        let before = waiting.len();
        waiting.retain(|join| join.session != session);
        waiting.len() < before
    }

    /// The identity has a newer session elsewhere.
    pub fn supersede(&mut self, cx: &mut Context, identity: &Identity) {
        self.remove(cx, identity, DisconnectReason::DuplicateIdentity, Some(Action::Disconnect));
    }

    pub fn admit(&mut self, cx: &mut Context, join: Join) {
        let inherited = self.inheritance(cx, &join);
        let stored = if inherited.is_some() { 0 } else { self.end_former_session(cx, &join.identity) };
        let mut local = seated(cx, &join, stored);
        local.session.arrived = self.streams.pass();
        local.session.known = local.session.arrived;
        if let Some(inherited) = inherited {
            inherited.pass_to(&mut local, cx.now, join.received.clone());
        }
        let identity = local.identity.clone();
        tracing::info!(room = %self.key, participant = %local.sid, %identity, session = join.session.0, "participant joined");
        let opening = OpenSession {
            session: join.session,
            single_connection: join.single_connection,
            ice_lite: !join.disable_ice_lite,
            fixed_sections: join.fixed_sections,
            tcp_only: cx.take_switch(&self.key, &identity),
            may_pause: join.may_pause,
        };
        cx.media(&self.key, Command::Open(opening));
        cx.wake_about(&self.key, cx.now + limits::CONNECT_TIMEOUT);
        self.locals.insert(identity.clone(), local);
        let response = self.join_response(cx, &identity);
        cx.signal(join.session, Message::Join(response));
        self.refresh_token(cx, &identity);
        self.go_on_with_data(cx, &identity);
        self.tell_of_speakers(cx, &identity);
        self.announce_arrival(cx, &identity);
        self.subscribe_to_everything(cx, &identity);
        for request in join.add_tracks {
            self.add_track(cx, &identity, request);
        }
        if let Some(offer) = join.offer {
            self.offer(cx, &identity, offer);
        }
    }

    /// A new session of an identity ends the one before, here or elsewhere. Gives the highest incarnation so far.
    fn end_former_session(&mut self, cx: &mut Context, identity: &Identity) -> u64 {
        let local = self.locals.get(identity).map_or(0, |local| local.incarnation);
        let remote = self.remotes.by_identity.get(identity).map_or(0, |remote| remote.record.incarnation);
        self.supersede(cx, identity);
        self.remove_remote(cx, identity, DisconnectReason::DuplicateIdentity);
        local.max(remote)
    }

    fn join_response(&self, cx: &Context, identity: &Identity) -> proto::JoinResponse {
        let Some(local) = self.locals.get(identity) else { return proto::JoinResponse::default() };
        proto::JoinResponse {
            room: Some(self.info()),
            participant: Some(local.info(&cx.config.region)),
            other_participants: self.others(cx, identity),
            subscriber_primary: local.session.primary == Target::Subscriber,
            fast_publish: local.grants.can_publish,
            sif_trailer: self.sif_trailer.clone(),
            ..info::join(&cx.config, self.locals.len())
        }
    }

    /// Everybody whom a participant sees.
    pub fn others(&self, cx: &Context, identity: &Identity) -> Vec<ParticipantInfo> {
        let is_seen = |local: &&Participant| local.standing.is_served() && !local.grants.hidden;
        let locals = self.locals.values().filter(is_seen).filter(|local| local.identity != *identity);
        let locals = locals.map(|local| local.info(&cx.config.region));
        let remotes = self.remotes.visible().filter(|remote| remote.record.identity != *identity);
        locals.chain(remotes.map(|remote| remote.info.clone())).collect()
    }
}

/// A participant as its token and client describe it.
fn seated(cx: &mut Context, join: &Join, stored_incarnation: u64) -> Participant {
    let grants = Grants::of(&join.claims.video);
    let subscriber_primary = !join.single_connection && grants.can_subscribe;
    Participant {
        identity: join.identity.clone(),
        sid: ParticipantSid::random(&mut cx.rng),
        incarnation: stored_incarnation.saturating_add(1).max(cx.unix_ms / 1_000),
        name: join.claims.name.clone(),
        metadata: join.claims.metadata.clone(),
        attributes: join.claims.attributes.clone(),
        kind: grants::kind(&join.claims.kind),
        grants,
        claims: join.claims.clone(),
        state: State::Joined,
        joined_ms: cx.unix_ms,
        session: Session::new(join, subscriber_primary, cx.now),
        publications: Default::default(),
        queued: Default::default(),
        announcing: Default::default(),
        is_unannounced: false,
        audience: Default::default(),
        quality: Default::default(),
        last_sequence: 0,
        noticed: Default::default(),
        owner_epoch: 0,
        version: 0,
        standing: Standing::default(),
        was_elsewhere: false,
        former_tracks: Vec::new(),
        sequence_base: 0,
        received: None,
        held: Vec::new(),
    }
}
