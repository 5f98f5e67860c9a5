//! Reliable data packets of late, for clients that come back and may have missed some.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use livekit_protocol as proto;
use origo_auth::{Identity, ParticipantSid};

use super::context::Context;
use super::limits;
use super::room::Room;
use super::streams::{Moment, Reach};
use crate::media::{Channel, Command};

/// One packet.
#[derive(Debug)]
struct Kept {
    at: Instant,
    sequence: u32,
    /// Whom it is for; empty for everybody.
    destinations: Vec<String>,
    came: Moment,
    reach: Reach,
    packet: Bytes,
}

/// Numbered reliable packets of one room, by publisher.
#[derive(Debug, Default)]
pub(super) struct History {
    by_publisher: BTreeMap<ParticipantSid, VecDeque<Kept>>,
}

impl History {
    /// Keeps a packet in place of the oldest of its publisher.
    pub fn keep(
        &mut self,
        now: Instant,
        publisher: ParticipantSid,
        packet: &proto::DataPacket,
        (came, reach): (Moment, Reach),
        encoded: &Bytes,
    ) {
        if packet.sequence == 0 {
            return;
        }
        self.forget_old(now);
        let kept = self.by_publisher.entry(publisher).or_default();
        kept.push_back(Kept {
            at: now,
            sequence: packet.sequence,
            destinations: packet.destination_identities.clone(),
            came,
            reach,
            packet: encoded.clone(),
        });
        let mut bytes: usize = kept.iter().map(|kept| kept.packet.len()).sum();
        while bytes > limits::HISTORY_BYTES_MAX || kept.len() > limits::HISTORY_PACKETS_MAX {
            bytes -= kept.pop_front().map_or(0, |kept| kept.packet.len());
        }
    }

    /// Nobody comes back later than this, so nothing older is missed.
    fn forget_old(&mut self, now: Instant) {
        for kept in self.by_publisher.values_mut() {
            while kept.front().is_some_and(|kept| kept.at + limits::HISTORY_KEPT <= now) {
                kept.pop_front();
            }
        }
        self.by_publisher.retain(|_, kept| !kept.is_empty());
    }

    /// What somebody has not got, in order per publisher.
    fn missed<'a>(
        &'a self,
        identity: &'a Identity,
        arrived: Moment,
        last_by_publisher: &'a BTreeMap<ParticipantSid, u32>,
    ) -> impl Iterator<Item = &'a Bytes> {
        self.by_publisher.iter().flat_map(move |(publisher, kept)| {
            let last = last_by_publisher.get(publisher).copied().unwrap_or(0);
            let is_missed = move |kept: &&Kept| {
                let is_for = kept.destinations.is_empty() || kept.destinations.contains(&identity.0);
                kept.sequence > last && kept.came > arrived && is_for && kept.reach.holds(arrived)
            };
            kept.iter().filter(is_missed).map(|kept| &kept.packet)
        })
    }
}

impl Room {
    /// Sends a client that came back what it may have missed: packets after those that it says to have, and none from
    /// before it joined.
    pub fn replay(&mut self, cx: &mut Context, identity: &Identity, states: &[proto::DataChannelReceiveState]) {
        let Some(local) = self.locals.get(identity) else { return };
        let read = |state: &proto::DataChannelReceiveState| Some((state.publisher_sid.parse().ok()?, state.last_seq));
        let last: BTreeMap<_, _> = states.iter().take(limits::PARTICIPANTS_MAX).filter_map(read).collect();
        let session = local.session.id;
        // What a participant sent itself never comes back to it.
        let own = [(local.sid, u32::MAX)];
        let last = last.into_iter().chain(own).collect();
        for packet in self.history.missed(identity, local.session.arrived, &last) {
            let packet = packet.clone();
            cx.media(&self.key, Command::SendData { session, channel: Channel::Reliable, packet });
        }
    }
}
