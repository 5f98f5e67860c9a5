//! Clients that come back to a session of another node, before it is known who is in the room: they wait for it.
//!
//! Whoever was let in as somebody new would be seen to leave and to join.

use std::collections::BTreeSet;
use std::time::Instant;

use origo_auth::{Identity, NodeId, ParticipantSid};

use super::carried::brought;
use super::context::Context;
use super::room::Room;
use super::{Join, limits};
use crate::SessionId;

/// Those who wait, and until when.
#[derive(Debug, Default)]
pub(super) struct Returning {
    waiting: Vec<(Join, Instant)>,
    /// It is known who is in the room, as far as any node tells.
    acquainted: bool,
}

impl Returning {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether everybody is known whom any node tells of.
    pub fn is_acquainted(&self) -> bool {
        self.acquainted
    }

    /// A client has gone. Says whether it waited.
    pub fn stop(&mut self, session: SessionId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(join, _)| join.session != session);
        self.waiting.len() < before
    }
}

impl Room {
    /// The session that a client knows and that another node may have.
    fn session_of(&self, cx: &Context, join: &Join) -> Option<ParticipantSid> {
        join.resume.or(join.successor_of).or_else(|| cx.claim(&self.key, &join.identity))
    }

    /// Has a client wait for the session that it knows, if that may still be told of; else gives it back.
    pub fn await_session(&mut self, cx: &mut Context, join: Join) -> Option<Join> {
        let may_come = !self.returning.acquainted && self.sid_of(&join.identity).is_none();
        let knows_session = self.session_of(cx, &join).is_some() || brought(cx, &join).is_some();
        if !may_come || !knows_session {
            return Some(join);
        }
        let until = cx.now + limits::SESSION_AWAITED;
        cx.wake(&self.key, until);
        self.returning.waiting.push((join, until));
        None
    }

    /// Everybody is known whom any node tells of: nobody waits any longer. Of the people of some nodes nobody tells.
    pub fn acquaint(&mut self, cx: &mut Context, untold: BTreeSet<NodeId>) {
        self.returning.acquainted = true;
        self.untold = untold;
        self.let_return(cx, |_, _| true);
    }

    /// Somebody has become known: the client of that session comes in.
    pub fn let_return_as(&mut self, cx: &mut Context, identity: &Identity) {
        self.let_return(cx, |join, _| join.identity == *identity);
    }

    /// Whoever has waited for long enough comes in as somebody new.
    pub fn end_returns(&mut self, cx: &mut Context) {
        let now = cx.now;
        self.let_return(cx, |_, until| until <= now);
    }

    fn let_return(&mut self, cx: &mut Context, may: impl Fn(&Join, Instant) -> bool) {
        if self.returning.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.returning.waiting);
        let (coming, waiting) = waiting.into_iter().partition(|(join, until)| may(join, *until));
        self.returning.waiting = waiting;
        let coming: Vec<(Join, Instant)> = coming;
        for (join, _) in coming {
            self.seat_or_refuse(cx, join);
        }
    }
}
