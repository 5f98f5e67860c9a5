//! Rooms that let in so many and no more: a join waits for the word of the room's home, which knows who else is coming.

use origo_auth::Identity;
use origo_cascade_core as cascade;

use super::context::Context;
use super::join::{self, JoinError};
use super::room::Room;
use super::{Join, Output, limits};
use crate::SessionId;

impl Room {
    /// It is known who is in the room: a client comes in, unless it knows of a session that may still be told of.
    pub fn let_in(&mut self, cx: &mut Context, join: Join) -> Result<(), JoinError> {
        match self.await_session(cx, join) {
            Some(join) => self.ask_for_seat(cx, join),
            None => Ok(()),
        }
    }

    /// A client comes in, or its seat is asked for first.
    fn ask_for_seat(&mut self, cx: &mut Context, join: Join) -> Result<(), JoinError> {
        if let Some(sid) = join.resume {
            return self.resume_elsewhere(cx, &join, sid);
        }
        self.check_return(cx, &join)?;
        join::check_country(cx, &self.key, &self.record.settings.countries)?;
        self.check_limit(&join.identity)?;
        let (max, identity) = (self.record.settings.max_participants, join.identity.clone());
        if max == 0 || self.sid_of(&identity).is_some() {
            self.admit(cx, join);
            return Ok(());
        }
        let present = self.locals.keys().chain(self.remotes.by_identity.keys()).cloned().collect();
        let until = cx.now + limits::SEAT_TIMEOUT;
        cx.wake(&self.key, until);
        if let Some((earlier, _)) = self.seating.insert(identity.clone(), (join, until)) {
            refuse(cx, earlier.session, &JoinError::Superseded);
        }
        cx.mesh(cascade::Input::Seat { room: self.key.clone(), identity, present, max });
        Ok(())
    }

    /// The same for one who has waited already.
    pub fn let_in_or_refuse(&mut self, cx: &mut Context, join: Join) {
        let session = join.session;
        if let Err(error) = self.let_in(cx, join) {
            refuse(cx, session, &error);
        }
    }

    /// The same for one who has waited for its session.
    pub fn seat_or_refuse(&mut self, cx: &mut Context, join: Join) {
        let session = join.session;
        if let Err(error) = self.ask_for_seat(cx, join) {
            refuse(cx, session, &error);
        }
    }

    /// The room's home has decided.
    pub fn seated(&mut self, cx: &mut Context, identity: &Identity, granted: bool) {
        let Some((join, _)) = self.seating.remove(identity) else { return };
        let limit = JoinError::RoomLimit(self.record.settings.max_participants);
        match self.check_limit(identity) {
            Ok(()) if granted => self.admit(cx, join),
            _ => refuse(cx, join.session, &limit),
        }
    }

    /// A home that does not answer in time lets everybody in whom this node would.
    pub fn seat_overdue(&mut self, cx: &mut Context) {
        let overdue =
            self.seating.iter().filter(|(_, (_, until))| *until <= cx.now).map(|(identity, _)| identity.clone());
        let overdue: Vec<_> = overdue.collect();
        for identity in overdue {
            self.seated(cx, &identity, true);
        }
    }
}

fn refuse(cx: &mut Context, session: SessionId, error: &JoinError) {
    cx.seats.remove(&session);
    cx.output(Output::Refuse {
        session,
        status: error.status(),
        reason: error.to_string(),
        elsewhere: error.elsewhere(),
    });
}
