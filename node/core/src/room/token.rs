//! Fresh tokens for those who stay longer than theirs is valid, so that they can come back.

use origo_auth::{Claims, Identity};

use super::carried::carried;
use super::context::Context;
use super::room::Room;
use super::{Output, limits};

impl Room {
    /// Has a participant be given a token with the rights that it has now, good for another while.
    pub fn refresh_token(&mut self, cx: &mut Context, identity: &Identity) {
        let now = cx.now;
        let Some(local) = self.locals.get_mut(identity).filter(|local| local.session.has_socket()) else { return };
        let at = now + limits::TOKEN_INTERVAL;
        local.session.token_at = at;
        let mut video = local.claims.video.clone();
        local.grants.write(&mut video);
        let claims = Claims {
            exp: local.claims.exp.max(cx.unix_ms / 1_000 + limits::TOKEN_VALID.as_secs()),
            name: local.name.clone(),
            metadata: local.metadata.clone(),
            attributes: local.attributes.clone(),
            video,
            origo_session: Some(carried(cx, local)),
            ..local.claims.clone()
        };
        cx.output(Output::RefreshToken { session: local.session.socket, claims: Box::new(claims) });
        cx.wake_about(&self.key, at);
    }

    /// What a participant's token says has changed: it is given another one in a moment, whatever else changes until then.
    pub fn freshen_token(&mut self, cx: &mut Context, identity: &Identity) {
        let at = cx.now + limits::TOKEN_SETTLES;
        let Some(local) = self.locals.get_mut(identity).filter(|local| local.session.token_at > at) else { return };
        local.session.token_at = at;
        cx.wake(&self.key, at);
    }

    /// Refreshes the tokens whose time has come.
    pub fn refresh_tokens(&mut self, cx: &mut Context) {
        let due = self.locals.values().filter(|local| local.session.token_at <= cx.now);
        let due: Vec<Identity> = due.map(|local| local.identity.clone()).collect();
        for identity in due {
            self.refresh_token(cx, &identity);
        }
    }
}
