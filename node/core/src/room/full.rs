//! A node that runs short of something lets no newcomers in. Whoever is in the room already, on whichever node, comes back.

use super::carried::brought;
use super::context::Context;
use super::join::JoinError;
use super::moving::may_have;
use super::room::Room;
use super::{Join, Refuge, Rooms};
use crate::overload::Resource;

/// Why newcomers are refused, and where they may go instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// What the node is short of.
    pub resource: Resource,
    /// Other nodes that take newcomers, the best first.
    pub refuges: Vec<Refuge>,
}

impl Rooms {
    /// Refuses who cannot be anybody's return. Of those who name a session it turns out when the room is known.
    pub(super) fn check_newcomer(&mut self, join: &Join) -> Result<(), JoinError> {
        let names_session =
            join.resume.is_some() || join.successor_of.is_some() || self.context.has_claim(&join.room, &join.identity);
        let names_session = names_session || brought(&self.context, join).is_some();
        let is_known = |room: &Room| room.sid_of(&join.identity).is_some();
        if names_session || self.rooms.get(&join.room).is_some_and(is_known) {
            return Ok(());
        }
        let countries = self.context.config.residency.countries_of(&join.room).to_vec();
        refuse(&mut self.context, &countries)
    }
}

impl Room {
    /// Refuses who turns out to be nobody's return.
    pub fn check_return(&self, cx: &mut Context, join: &Join) -> Result<(), JoinError> {
        if cx.full.is_none() || self.sid_of(&join.identity).is_some() || self.goes_on_by_token(cx, join) {
            return Ok(());
        }
        refuse(cx, &self.record.settings.countries)
    }
}

/// Refuses a newcomer, if the node is full.
fn refuse(cx: &mut Context, countries: &[String]) -> Result<(), JoinError> {
    let Some(full) = &cx.full else { return Ok(()) };
    let next = full.refuges.iter().find(|refuge| may_have(refuge, countries)).map(|refuge| refuge.url.clone());
    let resource = full.resource;
    cx.stats.drop("join", resource.refusal());
    Err(JoinError::Full { resource: resource.words(), next })
}
