//! People who have just come: others here are told of all of a moment in one word.
//!
//! A join is two changes, joined and active, each of which everybody hears of: 45 µs of a node's processor time for each
//! who does (measured), and where a thousand come, a million messages. Nothing of a newcomer is to be seen or heard yet.
//! As soon as it publishes, or says something, it is told of at once. LiveKit tells of who publishes nothing within
//! seconds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use livekit_protocol::ParticipantInfo;
use origo_auth::{Identity, ParticipantSid};

use super::context::Context;
use super::info;
use super::participant::Participant;
use super::room::Room;

/// How long others wait for word of a newcomer: nobody sees a name appear later than this as late.
pub(super) const TOLD_AFTER: Duration = Duration::from_millis(100);

/// Of whom others are to be told, and when.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    identities: BTreeSet<Identity>,
    at: Option<Instant>,
}

impl Newcomers {
    /// Others know what it is now.
    pub fn forget(&mut self, identity: &Identity) {
        self.identities.remove(identity);
    }
}

impl Room {
    /// Somebody has come, or is connected now, and shows nothing yet: others hear of it soon.
    pub fn tell_soon(&mut self, cx: &mut Context, identity: &Identity) {
        self.newcomers.identities.insert(identity.clone());
        if self.newcomers.at.is_none() {
            let at = cx.now + TOLD_AFTER;
            self.newcomers.at = Some(at);
            cx.wake(&self.key, at);
        }
    }

    /// Tells of newcomers, if it is time to.
    pub fn tell_newcomers(&mut self, cx: &mut Context) {
        if self.newcomers.at.is_some_and(|at| at <= cx.now) {
            self.introduce(cx);
        }
    }

    /// Tells of newcomers before anything is heard of one of them that others do not know yet.
    pub fn introduce_if_new(&mut self, cx: &mut Context, who: ParticipantSid) {
        if self.newcomers.identities.iter().any(|identity| self.sid_of(identity) == Some(who)) {
            self.introduce(cx);
        }
    }

    fn introduce(&mut self, cx: &mut Context) {
        let newcomers = std::mem::take(&mut self.newcomers);
        let infos: Vec<_> = newcomers.identities.iter().filter_map(|identity| self.seen_as(cx, identity)).collect();
        let others = |local: &&Participant| {
            infos.iter().filter(|info| info.identity != local.identity.0).cloned().collect::<Vec<_>>()
        };
        for local in self.locals.values().filter(|local| local.session.has_socket()) {
            let infos = others(&local);
            if !infos.is_empty() {
                cx.signal(local.session.socket, info::update(infos));
            }
        }
    }

    /// As others see somebody; none who is hidden or gone.
    fn seen_as(&self, cx: &Context, identity: &Identity) -> Option<ParticipantInfo> {
        match self.locals.get(identity).filter(|local| local.standing.is_served()) {
            Some(local) => (!local.grants.hidden).then(|| local.info(&cx.config.region)),
            None => self
                .remotes
                .visible()
                .find(|remote| remote.record.identity == *identity)
                .map(|remote| remote.info.clone()),
        }
    }
}
