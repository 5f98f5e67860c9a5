//! Data packets: checked and stamped where they come in, handed out here and to other nodes, once each and in order.

use std::collections::BTreeSet;

use bytes::Bytes;
use livekit_protocol as proto;
use origo_auth::{Identity, ParticipantSid};
use origo_cascade_core as cascade;
use origo_cascade_core::cascade::RoomData;
use prost::Message;
use proto::data_packet::{Kind, Value};
use proto::leave_request::Action;
use proto::{DisconnectReason, participant_info};

use super::context::Context;
use super::limits;
use super::participant::Participant;
use super::room::Room;
use super::streams::{Moment, Reach};
use crate::media::{Channel, Command};

/// Why a data packet goes no further. The word is the counter's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dropped(pub &'static str);

impl Room {
    /// A participant sends a data packet.
    pub fn data(&mut self, cx: &mut Context, identity: &Identity, channel: Channel, raw: &Bytes) {
        if channel == Channel::Reliable && !self.is_served(identity) {
            if self.hold_data(identity, raw) {
                return;
            }
            self.take_over(cx, identity);
        }
        match self.stamp(identity, channel, raw) {
            Err(Dropped(reason)) => cx.stats.drop("data packet", reason),
            Ok((data, packet)) => {
                self.introduce_if_new(cx, data.publisher);
                let reach = self.streams.follow(data.publisher, &packet);
                if data.reliable {
                    let came = (self.streams.pass(), reach);
                    self.history.keep(cx.now, data.publisher, &packet, came, &data.packet);
                }
                self.deliver(cx, Some(identity), channel, (&packet, reach), &data.packet);
                cx.mesh(cascade::Input::Data(data));
            }
        }
    }

    /// Others do not take whoever goes on here for who it is yet: what it says waits until then, or until it is too much.
    /// Says whether it waits.
    fn hold_data(&mut self, identity: &Identity, raw: &Bytes) -> bool {
        let Some(local) = self.locals.get_mut(identity).filter(|local| local.standing.is_heir()) else { return false };
        let waiting: usize = local.held.iter().map(Bytes::len).sum();
        let waits = waiting + raw.len() <= limits::HELD_BYTES_MAX && local.held.len() < limits::HELD_PACKETS_MAX;
        if waits {
            local.held.push(raw.clone());
        }
        waits
    }

    /// Others take it for what it is now: says what waited.
    pub(super) fn say_held(&mut self, cx: &mut Context, identity: &Identity) {
        let held = self.locals.get_mut(identity).map(|local| std::mem::take(&mut local.held));
        for raw in held.into_iter().flatten() {
            self.data(cx, identity, Channel::Reliable, &raw);
        }
    }

    /// A data packet from another node, stamped there; an earlier one was sent before this node had the room.
    pub fn remote_data(&mut self, cx: &mut Context, data: &RoomData, is_earlier: bool) {
        let Ok(packet) = proto::DataPacket::decode(&data.packet[..]) else {
            return cx.stats.drop("remote data packet", "malformed");
        };
        let numbered = data.reliable && packet.sequence != 0;
        if numbered && !self.remotes.advance(data.publisher, packet.sequence) {
            return cx.stats.drop("remote data packet", "came before");
        }
        let is_known = || self.remotes.by_identity.values().any(|remote| remote.record.sid == data.publisher);
        if matches!(packet.value, Some(Value::StreamHeader(_))) && !is_known() {
            return cx.stats.drop("remote data packet", "of nobody here");
        }
        self.introduce_if_new(cx, data.publisher);
        let reach = match is_earlier {
            true => self.streams.follow_earlier(data.publisher, &packet),
            false => self.streams.follow(data.publisher, &packet),
        };
        if data.reliable {
            let at = if is_earlier { Moment::EARLIER } else { self.streams.pass() };
            self.history.keep(cx.now, data.publisher, &packet, (at, reach), &data.packet);
        }
        let channel = if data.reliable { Channel::Reliable } else { Channel::Lossy };
        self.deliver(cx, None, channel, (&packet, reach), &data.packet);
    }

    /// Reliable packets of a participant elsewhere are lost for good. Nobody here goes on across the gap.
    pub fn lose_data(&mut self, cx: &mut Context, publisher: ParticipantSid) {
        tracing::warn!(room = %self.key, %publisher, "reliable data of another node is lost, its receivers join anew");
        let here: Vec<Identity> = self.locals.keys().cloned().collect();
        for identity in here {
            self.fall_behind(cx, &identity);
        }
    }

    /// A client misses reliable packets: it joins anew, since what follows would be no whole.
    pub fn fall_behind(&mut self, cx: &mut Context, identity: &Identity) {
        cx.stats.drop("session", "data lost");
        self.remove(cx, identity, DisconnectReason::StateMismatch, Some(Action::Reconnect));
    }

    /// Checks a packet and writes on it who sent it.
    fn stamp(
        &mut self,
        identity: &Identity,
        channel: Channel,
        raw: &Bytes,
    ) -> Result<(RoomData, proto::DataPacket), Dropped> {
        if raw.len() > limits::DATA_PACKET_BYTES_MAX {
            return Err(Dropped("too long"));
        }
        let mut packet = proto::DataPacket::decode(&raw[..]).map_err(|_| Dropped("malformed"))?;
        self.address(&mut packet)?;
        let local = self.locals.get_mut(identity).ok_or(Dropped("no such participant"))?;
        check(local, &packet)?;
        let reliable = channel == Channel::Reliable;
        if reliable && packet.sequence != 0 {
            if packet.sequence <= local.last_sequence {
                return Err(Dropped("came before"));
            }
            local.last_sequence = packet.sequence;
            packet.sequence = packet.sequence.wrapping_add(local.sequence_base);
        }
        sign(local, channel, &mut packet);
        let encoded = Bytes::from(packet.encode_to_vec());
        Ok((RoomData { room: self.key.clone(), publisher: local.sid, reliable, number: 0, packet: encoded }, packet))
    }

    /// Makes the outer and the inner list of whom a packet is for agree. Old clients name sessions in place of
    /// identities.
    #[expect(deprecated, reason = "older clients read and write the inner list")]
    fn address(&self, packet: &mut proto::DataPacket) -> Result<(), Dropped> {
        let Some(Value::User(user)) = &mut packet.value else { return Ok(()) };
        if packet.destination_identities.is_empty() {
            packet.destination_identities.clone_from(&user.destination_identities);
        }
        if packet.destination_identities.is_empty() && !user.destination_sids.is_empty() {
            let sids: BTreeSet<_> =
                user.destination_sids.iter().filter_map(|sid| sid.parse::<ParticipantSid>().ok()).collect();
            let here = self.locals.values().map(|local| (local.sid, &local.identity));
            let elsewhere = self.remotes.by_identity.iter().map(|(identity, remote)| (remote.record.sid, identity));
            let meant = here.chain(elsewhere).filter(|(sid, _)| sids.contains(sid));
            packet.destination_identities = meant.map(|(_, identity)| identity.0.clone()).collect();
            if packet.destination_identities.is_empty() {
                return Err(Dropped("nobody it is for"));
            }
        }
        user.destination_identities.clone_from(&packet.destination_identities);
        Ok(())
    }

    /// Sends a packet to the local clients that it is for, never to its sender.
    pub(super) fn deliver(
        &self,
        cx: &mut Context,
        sender: Option<&Identity>,
        channel: Channel,
        (packet, reach): (&proto::DataPacket, Reach),
        encoded: &Bytes,
    ) {
        let meant: BTreeSet<&str> = packet.destination_identities.iter().map(String::as_str).collect();
        for local in self.locals.values() {
            let is_for = meant.is_empty() || meant.contains(local.identity.0.as_str());
            if is_for && reach.holds(local.session.arrived) && Some(&local.identity) != sender {
                let session = local.session.id;
                cx.media(&self.key, Command::SendData { session, channel, packet: encoded.clone() });
            }
        }
    }
}

/// Whether the sender may send such a packet.
fn check(local: &Participant, packet: &proto::DataPacket) -> Result<(), Dropped> {
    if !local.grants.can_publish_data {
        return Err(Dropped("not allowed"));
    }
    #[expect(deprecated, reason = "the deprecated value is what is refused")]
    match &packet.value {
        None => Err(Dropped("unknown value")),
        Some(Value::Speaker(_)) => Err(Dropped("speakers are the server's")),
        // Only those who may subscribe to metrics get them, and nobody can be granted that yet.
        Some(Value::Metrics(_)) => Err(Dropped("metrics")),
        Some(Value::Transcription(_)) if local.kind != participant_info::Kind::Agent => {
            Err(Dropped("transcription by no agent"))
        }
        Some(_) => Ok(()),
    }
}

/// Writes the true sender on a packet. Whom nobody sees stays unnamed; an agent may speak a text for another.
#[expect(deprecated, reason = "older clients read the inner and the kind field")]
fn sign(local: &Participant, channel: Channel, packet: &mut proto::DataPacket) {
    packet.kind = match channel {
        Channel::Reliable => Kind::Reliable,
        Channel::Lossy => Kind::Lossy,
    } as i32;
    let (sid, identity) = match local.grants.hidden {
        true => (String::new(), String::new()),
        false => (local.sid.to_string(), local.identity.0.clone()),
    };
    let is_text =
        matches!(&packet.value, Some(Value::StreamHeader(_) | Value::StreamChunk(_) | Value::StreamTrailer(_)));
    let speaks_for_another =
        is_text && local.kind == participant_info::Kind::Agent && !packet.participant_identity.is_empty();
    if !speaks_for_another {
        packet.participant_identity.clone_from(&identity);
    }
    packet.participant_sid.clone_from(&sid);
    if let Some(Value::User(user)) = &mut packet.value {
        user.participant_sid = sid;
        user.participant_identity = identity;
    }
}
