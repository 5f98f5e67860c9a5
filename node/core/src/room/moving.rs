//! Going on at another node: people of a node that drains are sent on, and are kept until their next node has them.

use std::time::Instant;

use livekit_protocol as proto;
use origo_auth::Identity;
use proto::leave_request::Action;
use proto::signal_response::Message;
use proto::{DisconnectReason, RegionInfo, RegionSettings};

use super::context::Context;
use super::join::JoinError;
use super::room::Room;
use super::{Join, Output, Refuge, Rooms, limits};

/// How a participant stands with this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is served here.
    #[default]
    Served,
    /// Its client was told to join anew at another node, which is to take it over until then.
    SentOn {
        /// When it is taken to have left.
        until: Instant,
    },
}

impl Standing {
    /// Whether nothing is awaited of its client here any more.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::SentOn { .. })
    }
}

impl Rooms {
    /// The node drains: sends some of its people on.
    pub(super) fn drain(&mut self, refuges: Vec<Refuge>, people: usize) {
        self.context.refuges = Some(refuges);
        let mut left = people;
        let keys: Vec<_> = self.rooms.keys().cloned().collect();
        for key in keys.iter().take_while(|_| people > 0) {
            self.in_room(key, |room, cx| room.send_on(cx, &mut left));
        }
    }

    /// What a client hears that wants in while the node drains. One that was here is led to where it was sent.
    pub(super) fn goes_on(&self, join: &Join) -> JoinError {
        let goes_on = self.context.sent_to(&join.room, &join.identity).map(str::to_owned);
        let countries = self.context.config.residency.countries_of(&join.room);
        let next = refuges_for(&self.context, countries).next().map(|refuge| refuge.url.clone());
        JoinError::Draining { next, goes_on }
    }
}

impl Room {
    /// Sends up to `left` local participants on.
    fn send_on(&mut self, cx: &mut Context, left: &mut usize) {
        let refuges: Vec<Refuge> =
            refuges_for(cx, &self.record.settings.countries).take(limits::REGIONS_MAX).cloned().collect();
        let Some(first) = refuges.first() else { return };
        let regions = regions(&refuges);
        let can_go = self.locals.values().filter(|local| {
            local.standing == Standing::Served && local.session.can_be_sent_on && local.session.has_socket()
        });
        let going: Vec<Identity> = can_go.take(*left).map(|local| local.identity.clone()).collect();
        *left -= going.len();
        for identity in going {
            self.send_one_on(cx, &identity, regions.clone(), &first.url);
        }
    }

    fn send_one_on(&mut self, cx: &mut Context, identity: &Identity, regions: RegionSettings, url: &str) {
        let until = cx.now + limits::SENT_KEPT;
        let Some(local) = self.locals.get_mut(identity) else { return };
        tracing::info!(room = %self.key, participant = %local.sid, %identity, url, "participant is sent on");
        local.standing = Standing::SentOn { until };
        let socket = local.session.socket;
        local.session.send_on();
        let leave = proto::LeaveRequest {
            can_reconnect: true,
            reason: DisconnectReason::Migration as i32,
            action: Action::Reconnect as i32,
            regions: Some(regions),
        };
        cx.signal(socket, Message::Leave(leave));
        cx.output(Output::Close(socket));
        cx.note_sent(&self.key, identity, url);
        cx.wake(&self.key, until);
    }

    /// Who was sent on and did not arrive anywhere has left.
    pub fn end_moves(&mut self, cx: &mut Context) {
        let overdue = self.locals.values().filter(|local| match local.standing {
            Standing::SentOn { until } => until <= cx.now,
            Standing::Served => false,
        });
        let overdue: Vec<Identity> = overdue.map(|local| local.identity.clone()).collect();
        for identity in overdue {
            self.remove(cx, &identity, DisconnectReason::Migration, None);
        }
    }
}

/// Nodes to which people of a room may go on.
fn refuges_for<'a>(cx: &'a Context, countries: &'a [String]) -> impl Iterator<Item = &'a Refuge> {
    let may_have = move |refuge: &&Refuge| {
        countries.is_empty() || countries.iter().any(|country| country.eq_ignore_ascii_case(&refuge.country))
    };
    cx.refuges.iter().flatten().filter(may_have)
}

fn regions(refuges: &[Refuge]) -> RegionSettings {
    let region = |(place, refuge): (i64, &Refuge)| RegionInfo {
        region: refuge.region.clone(),
        url: refuge.url.clone(),
        distance: place,
    };
    RegionSettings { regions: (0..).zip(refuges).map(region).collect() }
}
