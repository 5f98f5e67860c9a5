//! Going on at another node: people of a node that drains are sent on, and are kept until their next node has them.

use std::time::Instant;

use bytes::Bytes;
use livekit_protocol as proto;
use origo_auth::Identity;
use prost::Message as _;
use proto::leave_request::Action;
use proto::signal_response::Message;
use proto::{DisconnectReason, RegionInfo, RegionSettings};
use serde::Serialize;

use super::context::Context;
use super::join::JoinError;
use super::room::Room;
use super::{Join, Output, Refuge, Rooms, limits};
use crate::media::{Channel, Command};

/// Topic of the data packet by which a client hears where to open a successor of its session.
const TOPIC: &str = "origo.move";

/// How a participant stands with this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is served here.
    #[default]
    Served,
    /// So is it, and its client was asked to open a successor of its session elsewhere.
    Asked {
        /// When it is sent on like any other.
        until: Instant,
    },
    /// Its client was told to join anew at another node, which is to take it over until then.
    SentOn {
        /// When it is taken to have left.
        until: Instant,
    },
    /// Another node serves it as far as others know; this session takes over when it has what the other has.
    Heir {
        /// When it takes over with what it has.
        until: Instant,
    },
    /// Another node has taken it over. What this session sends and gets goes on until its client ends it.
    Former {
        /// When it ends by itself.
        until: Instant,
    },
}

impl Standing {
    /// Whether others see it as being here.
    pub fn is_served(self) -> bool {
        matches!(self, Self::Served | Self::Asked { .. } | Self::SentOn { .. })
    }

    /// Whether others see the session before it yet.
    pub fn is_heir(self) -> bool {
        matches!(self, Self::Heir { .. })
    }

    /// Whether another node may take it over.
    pub fn moves(self) -> bool {
        matches!(self, Self::Asked { .. } | Self::SentOn { .. })
    }

    /// Whether nothing is awaited of its client here any more.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::SentOn { .. } | Self::Former { .. })
    }

    /// Its media flows: an heir waits no longer than until then. False for anybody else.
    pub fn connected(&mut self, waits: Instant) -> bool {
        let Self::Heir { until } = self else { return false };
        *until = waits;
        true
    }

    fn until(self) -> Option<Instant> {
        match self {
            Self::Served => None,
            Self::Asked { until } | Self::SentOn { until } | Self::Heir { until } | Self::Former { until } => {
                Some(until)
            }
        }
    }
}

/// Where to open a successor, as its client reads it.
#[derive(Serialize)]
struct Successor<'a> {
    node: String,
    region: &'a str,
    url: &'a str,
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
        let can_go = self.locals.values().filter(|local| {
            local.standing == Standing::Served && local.session.can_be_sent_on && local.session.has_socket()
        });
        let going: Vec<_> =
            can_go.take(*left).map(|local| (local.identity.clone(), local.session.can_succeed)).collect();
        let refuges = self.refuges(cx);
        if refuges.is_empty() {
            return;
        }
        *left -= going.len();
        for (identity, can_succeed) in going {
            if can_succeed {
                self.ask_for_successor(cx, &identity, &refuges[0]);
            } else {
                self.send_one_on(cx, &identity, &refuges);
            }
        }
    }

    fn refuges(&self, cx: &Context) -> Vec<Refuge> {
        refuges_for(cx, &self.record.settings.countries).take(limits::REGIONS_MAX).cloned().collect()
    }

    /// The client opens a session elsewhere beside the one it has, and ends that when the other has everything.
    fn ask_for_successor(&mut self, cx: &mut Context, identity: &Identity, refuge: &Refuge) {
        let until = cx.now + limits::SUCCESSOR_WAITED_FOR;
        let Some(local) = self.locals.get_mut(identity) else { return };
        tracing::info!(room = %self.key, participant = %local.sid, %identity, url = refuge.url, "a successor is asked for");
        local.standing = Standing::Asked { until };
        let session = local.session.id;
        cx.media(&self.key, Command::SendData { session, channel: Channel::Reliable, packet: asking(refuge) });
        cx.note_sent(&self.key, identity, &refuge.url);
        cx.wake(&self.key, until);
        self.spread(cx, identity);
    }

    fn send_one_on(&mut self, cx: &mut Context, identity: &Identity, refuges: &[Refuge]) {
        let until = cx.now + limits::SENT_KEPT;
        let (Some(local), Some(first)) = (self.locals.get_mut(identity), refuges.first()) else { return };
        tracing::info!(room = %self.key, participant = %local.sid, %identity, url = first.url, "participant is sent on");
        local.standing = Standing::SentOn { until };
        let socket = local.session.socket;
        local.session.send_on();
        let leave = proto::LeaveRequest {
            can_reconnect: true,
            reason: DisconnectReason::Migration as i32,
            action: Action::Reconnect as i32,
            regions: Some(regions(refuges)),
        };
        cx.signal(socket, Message::Leave(leave));
        cx.output(Output::Close(socket));
        cx.note_sent(&self.key, identity, &first.url);
        cx.wake(&self.key, until);
        self.spread(cx, identity);
    }

    /// A client leaves. One that was asked to open a successor of its session may have done so, which its next node says
    /// in a moment; until then nobody sees it leave.
    pub fn leave(&mut self, cx: &mut Context, identity: &Identity, reason: DisconnectReason) {
        let until = cx.now + limits::FORMER_GONE_KEPT;
        match self.locals.get_mut(identity) {
            Some(local) if matches!(local.standing, Standing::Asked { .. }) => {
                local.standing = Standing::SentOn { until };
                local.session.send_on();
                cx.output(Output::Close(local.session.socket));
                cx.wake(&self.key, until);
            }
            _ => self.remove(cx, identity, reason, None),
        }
    }

    /// Nothing is left of a client's socket and connections. One that was sent here from another node knows that node's
    /// address alone, which is about to lead it elsewhere: nobody sees it leave until it has had the time to come back.
    pub fn lose(&mut self, cx: &mut Context, identity: &Identity, reason: DisconnectReason) {
        let until = cx.now + limits::RETURN_WAITED_FOR;
        match self.locals.get_mut(identity) {
            Some(local) if local.was_elsewhere && local.standing == Standing::Served => {
                local.standing = Standing::SentOn { until };
                local.session.send_on();
                cx.wake(&self.key, until);
                self.spread(cx, identity);
            }
            _ => self.remove(cx, identity, reason, None),
        }
    }

    /// Does what is due about those who go on: who was sent on and did not arrive anywhere has left, who did not open a
    /// successor is sent on, and who came takes over with what it has.
    pub fn end_moves(&mut self, cx: &mut Context) {
        let is_due = |standing: Standing| standing.until().is_some_and(|until| until <= cx.now);
        let overdue = self.locals.values().filter(|local| is_due(local.standing));
        let overdue: Vec<_> = overdue.map(|local| (local.identity.clone(), local.standing)).collect();
        for (identity, standing) in overdue {
            match standing {
                Standing::Served => {}
                Standing::Asked { .. } => self.give_up_successor(cx, &identity),
                Standing::SentOn { .. } => self.remove(cx, &identity, DisconnectReason::Migration, None),
                Standing::Heir { .. } => self.take_over_when_whole(cx, &identity),
                Standing::Former { .. } => {
                    self.remove(cx, &identity, DisconnectReason::Migration, Some(Action::Disconnect));
                }
            }
        }
    }

    /// A client has not opened a successor in time.
    fn give_up_successor(&mut self, cx: &mut Context, identity: &Identity) {
        let refuges = self.refuges(cx);
        let Some(local) = self.locals.get_mut(identity) else { return };
        if refuges.is_empty() {
            local.standing = Standing::Served;
            return;
        }
        self.send_one_on(cx, identity, &refuges);
    }
}

/// Nodes to which people of a room may go on.
fn refuges_for<'a>(cx: &'a Context, countries: &'a [String]) -> impl Iterator<Item = &'a Refuge> {
    cx.refuges.iter().flatten().filter(move |refuge| may_have(refuge, countries))
}

/// Whether a node may have a room that stays in these countries.
pub(super) fn may_have(refuge: &Refuge, countries: &[String]) -> bool {
    countries.is_empty() || countries.iter().any(|country| country.eq_ignore_ascii_case(&refuge.country))
}

fn regions(refuges: &[Refuge]) -> RegionSettings {
    let region = |(place, refuge): (i64, &Refuge)| RegionInfo {
        region: refuge.region.clone(),
        url: refuge.url.clone(),
        distance: place,
    };
    RegionSettings { regions: (0..).zip(refuges).map(region).collect() }
}

fn asking(refuge: &Refuge) -> Bytes {
    let successor = Successor { node: refuge.node.to_string(), region: &refuge.region, url: &refuge.url };
    let user = proto::UserPacket {
        payload: serde_json::to_vec(&successor).unwrap_or_default(),
        topic: Some(TOPIC.into()),
        ..Default::default()
    };
    let packet = proto::DataPacket { value: Some(proto::data_packet::Value::User(user)), ..Default::default() };
    packet.encode_to_vec().into()
}
