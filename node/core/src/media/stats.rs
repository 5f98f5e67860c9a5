//! What a worker counts: plain numbers since its start, read by the node's metrics.

use std::collections::BTreeMap;

use origo_cascade_core::MediaKind;

/// Which way something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Away from this node.
    Out = 0,
    /// To this node.
    In = 1,
}

/// Who was at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A client's WebRTC connection.
    Client = 0,
    /// A link to another node.
    Link = 1,
    /// Another worker of this node.
    Sibling = 2,
}

/// Packets and their payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many RTP packets; retransmissions to clients are not among them.
    pub packets: u64,
    /// Their payloads, without headers.
    pub bytes: u64,
}

/// Sizes of a worker's tables: each of them is empty when nobody is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Sessions of clients.
    pub sessions: usize,
    /// Tracks of clients, and tracks of other nodes that are watched here.
    pub tracks: usize,
    /// Layers that other nodes get.
    pub serves: usize,
    /// Tracks that other workers of this node take.
    pub siblings: usize,
    /// Clocks of publishers on other nodes.
    pub clocks: usize,
    /// Ufrags and addresses of clients.
    pub addresses: usize,
}

/// Counters of one worker. Participants and tracks are the rooms' to count.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    rtp: [[[Traffic; 3]; 2]; 2],
    nacks: [[u64; 3]; 2],
    keyframe_requests: [[u64; 3]; 2],
    dropped: BTreeMap<(&'static str, &'static str), u64>,
    /// Connections whose SRTP came up, by protection profile, since the start.
    pub srtp_sessions: BTreeMap<&'static str, u64>,
    /// Connections right now.
    pub connections: u64,
    /// Sizes of the worker's tables right now.
    pub entries: Entries,
    /// TCP streams of clients without UDP, right now; the driver's to fill in.
    pub tcp_streams: u64,
    /// Packets of sounds that clients did not get, because others were louder: one for each client and packet.
    pub sound_withheld: u64,
    /// Datagrams to clients, retransmissions and RTCP included.
    pub datagrams_out: u64,
    /// Their bytes, before UDP.
    pub bytes_out: u64,
    /// Datagrams from clients.
    pub datagrams_in: u64,
    /// Their bytes, before UDP.
    pub bytes_in: u64,
    /// Sends that carried `datagrams_out`: fewer than datagrams where segmentation offload helped.
    pub sends_out: u64,
}

impl Stats {
    /// RTP by direction, kind and via.
    pub fn rtp(&self, direction: Direction, kind: MediaKind, via: Via) -> Traffic {
        self.rtp[direction as usize][kind as usize][via as usize]
    }

    /// Packets asked for again, by who asked whom.
    pub fn nacks(&self, direction: Direction, via: Via) -> u64 {
        self.nacks[direction as usize][via as usize]
    }

    /// Keyframe requests, by who asked whom.
    pub fn keyframe_requests(&self, direction: Direction, via: Via) -> u64 {
        self.keyframe_requests[direction as usize][via as usize]
    }

    /// What was dropped, why, and how often; such as (`datagram`, `unknown ufrag`).
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        self.dropped.iter().map(|(&(what, reason), &count)| (what, reason, count))
    }

    /// How often this was dropped for this reason.
    pub fn dropped_count(&self, what: &'static str, reason: &'static str) -> u64 {
        self.dropped.get(&(what, reason)).copied().unwrap_or(0)
    }

    /// One RTP packet with a payload of `bytes`.
    pub(crate) fn count_rtp(&mut self, direction: Direction, kind: MediaKind, via: Via, bytes: usize) {
        let traffic = &mut self.rtp[direction as usize][kind as usize][via as usize];
        traffic.packets += 1;
        traffic.bytes += bytes as u64;
    }

    /// Some packets asked for again.
    pub(crate) fn count_nacks(&mut self, direction: Direction, via: Via, packets: u64) {
        self.nacks[direction as usize][via as usize] += packets;
    }

    /// One keyframe request.
    pub(crate) fn count_keyframe_request(&mut self, direction: Direction, via: Via) {
        self.keyframe_requests[direction as usize][via as usize] += 1;
    }

    /// One thing dropped.
    pub fn count_dropped(&mut self, what: &'static str, reason: &'static str) {
        *self.dropped.entry((what, reason)).or_default() += 1;
    }
}
