//! Taking up a session again on a new socket: connections, tracks and ids stay, and the client is told what it missed.

use std::collections::VecDeque;
use std::time::Instant;

use livekit_protocol as proto;
use origo_auth::{Identity, ParticipantSid};
use proto::leave_request::Action;
use proto::signal_response::Message;
use proto::{DisconnectReason, ParticipantInfo};

use super::context::Context;
use super::join::JoinError;
use super::remote::Remote;
use super::room::Room;
use super::simulate::CutOnResume;
use super::{Join, Output, info, limits};

/// Who left lately: a client whose socket was gone may not have heard of it.
#[derive(Debug, Default)]
pub(super) struct Departed(VecDeque<(Instant, ParticipantInfo)>);

impl Departed {
    pub fn note(&mut self, now: Instant, info: ParticipantInfo) {
        self.0.retain(|(at, _)| *at + limits::DEPARTED_KEPT > now);
        if self.0.len() >= limits::DEPARTED_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, info));
    }

    /// Whether a session is among them.
    pub fn has(&self, sid: ParticipantSid) -> bool {
        let sid = sid.to_string();
        self.infos().any(|info| info.sid == sid)
    }

    fn infos(&self) -> impl Iterator<Item = &ParticipantInfo> {
        self.0.iter().map(|(_, info)| info)
    }
}

/// There is no such session: the client joins anew, and goes on with what others know of that one.
pub(super) fn refuse(cx: &mut Context, join: &Join, sid: ParticipantSid) {
    cx.note_claim(&join.room, &join.identity, sid);
    cx.signal(join.session, info::leave(DisconnectReason::StateMismatch, Action::Reconnect));
    cx.output(Output::Close(join.session));
}

impl Room {
    /// A client wants back to a session that is not here: it is led to the node that has it, if one has.
    pub fn resume_elsewhere(&mut self, cx: &mut Context, join: &Join, sid: ParticipantSid) -> Result<(), JoinError> {
        cx.seats.remove(&join.session);
        let remote = self.remotes.by_identity.get(&join.identity).filter(|remote| remote.record.sid == sid);
        // A node that is not heard leads nobody anywhere: whoever comes from there goes on here.
        let leads = |remote: &&Remote| !remote.annex.moves && !cx.unreached.contains_key(&remote.record.owner);
        match remote.filter(leads) {
            Some(remote) => Err(JoinError::OnNode(remote.record.owner)),
            None => {
                refuse(cx, join, sid);
                Ok(())
            }
        }
    }

    /// A client comes back to its session. Says whether there is one to come back to.
    pub fn resume(&mut self, cx: &mut Context, join: &Join, sid: ParticipantSid) -> bool {
        let Some(local) = self.locals.get_mut(&join.identity) else { return false };
        let alike = local.session.single_connection == join.single_connection;
        if local.sid != sid || !alike || !local.session.is_whole() {
            return false;
        }
        tracing::info!(room = %self.key, participant = %sid, identity = %join.identity, "participant resumes");
        let had_socket = local.session.has_socket();
        let old = local.session.socket;
        local.session.take_up(join.session);
        let last_message_seq = local.last_sequence;
        // The seat of the first socket stays: workers know the session by it.
        if old != local.session.id {
            cx.seats.remove(&old);
        }
        if had_socket {
            cx.output(Output::Close(old));
        }
        let cut = local.session.cut_on_resume.take();
        if cut == Some(CutOnResume::BeforeMessages) {
            self.cut(cx, &join.identity, false);
            return true;
        }
        let server_info = Some(info::server(&cx.config));
        let reconnect = proto::ReconnectResponse { server_info, last_message_seq, ..Default::default() };
        self.tell(cx, &join.identity, Message::Reconnect(reconnect));
        let update = info::update(self.all_for(cx, &join.identity));
        self.tell(cx, &join.identity, update);
        self.tell(cx, &join.identity, Message::RoomUpdate(proto::RoomUpdate { room: Some(self.info()) }));
        self.refresh_token(cx, &join.identity);
        self.tell_of_speakers(cx, &join.identity);
        if cut == Some(CutOnResume::AfterMessages) {
            self.cut(cx, &join.identity, false);
        }
        true
    }

    /// A resuming client says what it has. A track that is not known here cannot be mended, so it joins anew.
    pub fn sync_state(&mut self, cx: &mut Context, identity: &Identity, state: &proto::SyncState) {
        let Some(local) = self.locals.get(identity) else { return };
        let known = |sid: &str| local.publications.values().any(|publication| publication.info.sid == sid);
        let sids = state.publish_tracks.iter().filter_map(|published| published.track.as_ref()).map(|track| &track.sid);
        if sids.into_iter().any(|sid| !known(sid)) {
            return self.remove(cx, identity, DisconnectReason::StateMismatch, Some(Action::Reconnect));
        }
        self.replay(cx, identity, &state.datachannel_receive_states);
    }

    /// Whom a participant is to know of: who left lately and did not come back, itself, and everybody it sees.
    fn all_for(&self, cx: &Context, identity: &Identity) -> Vec<ParticipantInfo> {
        let back = |info: &&ParticipantInfo| self.sid_of(&Identity(info.identity.clone())).is_none();
        let gone = self.departed.infos().filter(back).cloned();
        let own = self.locals.get(identity).map(|local| local.info(&cx.config.region));
        gone.chain(own).chain(self.others(cx, identity)).collect()
    }
}
