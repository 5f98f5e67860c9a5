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
    by_publisher: BTreeMap<ParticipantSid, Sent>,
    bytes: usize,
}

/// The latest packets of one publisher.
#[derive(Debug, Default)]
struct Sent {
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl Sent {
    /// Forgets the oldest packet. Gives its bytes.
    fn forget(&mut self) -> usize {
        let bytes = self.kept.pop_front().map_or(0, |kept| kept.packet.len());
        self.bytes -= bytes;
        bytes
    }
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
        let sent = self.by_publisher.entry(publisher).or_default();
        sent.bytes += encoded.len();
        self.bytes += encoded.len();
        sent.kept.push_back(Kept {
            at: now,
            sequence: packet.sequence,
            destinations: packet.destination_identities.clone(),
            came,
            reach,
            packet: encoded.clone(),
        });
        let is_short = self.bytes > limits::HISTORY_BYTES_IN_ALL;
        let max = if is_short { limits::HISTORY_BYTES_LEAST } else { limits::HISTORY_BYTES_MAX };
        while sent.bytes > max || sent.kept.len() > limits::HISTORY_PACKETS_MAX {
            self.bytes -= sent.forget();
        }
    }

    /// Nobody comes back later than this, so nothing older is missed.
    fn forget_old(&mut self, now: Instant) {
        for sent in self.by_publisher.values_mut() {
            while sent.kept.front().is_some_and(|kept| kept.at + limits::HISTORY_KEPT <= now) {
                self.bytes -= sent.forget();
            }
        }
        self.by_publisher.retain(|_, sent| !sent.kept.is_empty());
    }

    /// What somebody has not got, in order per publisher.
    fn missed<'a>(
        &'a self,
        identity: &'a Identity,
        (known, arrived): (Moment, Moment),
        last_by_publisher: &'a BTreeMap<ParticipantSid, u32>,
    ) -> impl Iterator<Item = &'a Bytes> {
        self.by_publisher.iter().flat_map(move |(publisher, sent)| {
            let last = last_by_publisher.get(publisher).copied().unwrap_or(0);
            let is_missed = move |kept: &&Kept| {
                let is_for = kept.destinations.is_empty() || kept.destinations.contains(&identity.0);
                kept.sequence > last && kept.came > known && is_for && kept.reach.holds(arrived)
            };
            sent.kept.iter().filter(is_missed).map(|kept| &kept.packet)
        })
    }
}

impl Room {
    /// A client goes on with a session of another node: streams that it has had the beginning of, and what it missed.
    pub fn go_on_with_data(&mut self, cx: &mut Context, identity: &Identity) {
        let Some(received) = self.locals.get(identity).and_then(|local| local.received.clone()) else { return };
        for (publisher, stream) in &received.streams {
            self.streams.take_up(*publisher, stream);
        }
        self.replay_after(cx, identity, received.last);
    }

    /// Sends a client that came back what it may have missed: packets after those that it says to have, and none from
    /// before it joined.
    pub fn replay(&mut self, cx: &mut Context, identity: &Identity, states: &[proto::DataChannelReceiveState]) {
        let read = |state: &proto::DataChannelReceiveState| Some((state.publisher_sid.parse().ok()?, state.last_seq));
        let last = states.iter().take(limits::PARTICIPANTS_MAX).filter_map(read).collect();
        self.replay_after(cx, identity, last);
    }

    fn replay_after(&mut self, cx: &mut Context, identity: &Identity, mut last: BTreeMap<ParticipantSid, u32>) {
        let Some(local) = self.locals.get(identity) else { return };
        let session = local.session.id;
        // What a participant sent itself never comes back to it.
        last.insert(local.sid, u32::MAX);
        for packet in self.history.missed(identity, (local.session.known, local.session.arrived), &last) {
            let packet = packet.clone();
            cx.media(&self.key, Command::SendData { session, channel: Channel::Reliable, packet });
        }
    }
}
