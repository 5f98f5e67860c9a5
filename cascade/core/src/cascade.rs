//! The cascade of one node: the rooms that live here, who else lives in them, and who takes which layer from whom.
//!
//! Every (track, layer) crosses a link at most once, however many watch behind it. Media never enters this core: it
//! emits [`Forward`] changes, which media workers and link threads apply to their tables.

mod asks;
mod branch;
mod counters;
mod data;
mod directory;
mod failover;
mod flows;
mod gray;
mod handover;
mod hearsay;
mod intake;
mod kept;
mod knowledge;
mod machine;
mod participants;
mod patience;
mod presence;
mod reach;
mod refusal;
mod report;
mod rescues;
mod rivals;
mod room;
mod seats;
mod second;
mod served;
mod serving;
mod subscriptions;
mod timers;
mod tree;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey, TrackSid};

pub use counters::Counters;
pub use kept::UNANSWERED;
pub use machine::{Cascade, DEAD_NODE_RECORDS_STAY};
pub use presence::ENTER_WAITS;
pub use reach::{LOST_AFTER, Reach};
pub use report::{BranchReport, TreeReport};
pub use rescues::{Rescues, Why};

use crate::link::{Flow, Hearing};
use crate::links::Counts;
use crate::metric::LinkMetric;
pub use crate::wire::message::{Answer, Ask};
use crate::{LayerSet, LeaveReason, MediaKind, Node, ParticipantRecord, RoomRecord, TrackLayer};

/// What the cascade takes in. Everything from `Enter` to `Data` is asked by the node's own rooms; the rest is told by
/// the driver.
#[derive(Clone, Debug)]
pub enum Input {
    /// A room gets its first local participant: find out who is in it elsewhere. Answered by [`Event::Entered`] within
    /// 300 ms, with what is known by then. `fresh` becomes the room's record if it has none yet.
    Enter {
        /// The room as it would be if nobody else has it.
        fresh: RoomRecord,
    },
    /// The last local participant left the room.
    Exit(RoomKey),
    /// A local participant is new or changed; `owner` is this node.
    Publish(ParticipantRecord),
    /// A local participant is gone.
    Withdraw {
        /// Its room.
        room: RoomKey,
        /// Who it was.
        identity: Identity,
        /// Which session of it.
        sid: ParticipantSid,
        /// Why.
        reason: LeaveReason,
    },
    /// Local viewers need exactly these layers of a track that another node owns. None ends it.
    Want {
        /// The room.
        room: RoomKey,
        /// The track.
        track: TrackSid,
        /// The union of what local viewers take or are about to take.
        layers: LayerSet,
    },
    /// A data packet of a local participant, for all nodes of the room.
    Data(RoomData),
    /// Somebody comes into a room that is new here and was in it at another node: what its publishers sent last is of
    /// interest too, and is told as [`Event::EarlierData`].
    CatchUp(RoomKey),
    /// This node is a home of a room that nobody is in yet: its record stands for that long without anybody.
    Keep {
        /// The room.
        record: RoomRecord,
        /// For how long.
        stays: Duration,
    },
    /// This node is a home of the room, which gets other metadata.
    Describe {
        /// The room.
        room: RoomKey,
        /// The application's text.
        metadata: String,
    },
    /// A room is over, though somebody may still be on the way out: its next life is another one.
    Release(RoomKey),
    /// A local participant wants into a room that lets in `max` and no more: the room's home decides, because others may
    /// come in on other nodes at the same time. Answered by [`Event::Seated`] unless the home goes silent.
    Seat {
        /// The room.
        room: RoomKey,
        /// Who wants in.
        identity: Identity,
        /// Everybody whom this node knows to be in.
        present: Vec<Identity>,
        /// How many may be.
        max: u32,
    },
    /// Ask another node. Answered by [`Event::Answered`] unless the node goes silent.
    Ask {
        /// The node.
        to: NodeId,
        /// What to ask.
        ask: Ask,
    },
    /// The answer to [`Event::Asked`].
    Answer {
        /// Who asked.
        to: NodeId,
        /// What to say.
        answer: Answer,
    },
    /// Gossip's view of the living nodes (this one among them), whole, whenever it changes.
    Members(Vec<Node>),
    /// What a node (this one too) tells of its links, whole, whenever it changes.
    Metrics {
        /// Who measured.
        node: NodeId,
        /// Its links, by peer.
        links: Vec<(NodeId, LinkMetric)>,
    },
    /// The first packet under a number that we chose has come: the peer serves it.
    Flowing {
        /// The peer.
        from: NodeId,
        /// Our number.
        flow: Flow,
    },
    /// A peer is heard over the media connection otherwise than before, whatever the control connection does.
    Hearing {
        /// The peer.
        peer: NodeId,
        /// How it is heard now.
        hearing: Hearing,
        /// How long ago it was last heard.
        quiet: Duration,
    },
    /// What passes the links, a few times a second.
    Counts(Counts),
    /// Control connection to a peer is up and its HELLO was taken.
    LinkUp(NodeId),
    /// Control connection to a peer is gone.
    LinkDown(NodeId),
    /// A control message of a peer.
    Control {
        /// The peer, as its certificate says.
        from: NodeId,
        /// The message's type number and protobuf body.
        message: Bytes,
        /// See `docs/wire.md`.
        kind: u64,
    },
    /// A data packet of a peer.
    DataFrom {
        /// The peer.
        from: NodeId,
        /// What it sent.
        data: RoomData,
    },
    /// The instant of the last [`Output::Timeout`] has come.
    Timeout,
}

/// A data packet on its way through the mesh: a stamped `livekit.DataPacket` as protobuf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomData {
    /// The room.
    pub room: RoomKey,
    /// Who sent it.
    pub publisher: ParticipantSid,
    /// Reliable packets of one publisher arrive in order and whole; lossy ones may be lost.
    pub reliable: bool,
    /// Counts the reliable packets of one publisher from 1. The cascade of the publisher's node gives it; 0 before, and
    /// for lossy packets.
    pub number: u64,
    /// The `DataPacket`.
    pub packet: Bytes,
}

/// What the cascade asks for. Poll until `Timeout`.
#[derive(Debug)]
pub enum Output {
    /// Send a control message to a peer (dial it when there is no connection yet).
    Control {
        /// The peer.
        to: NodeId,
        /// Type number, see `docs/wire.md`.
        kind: u64,
        /// Protobuf body.
        message: Bytes,
    },
    /// Send a data packet to a peer.
    Data {
        /// The peer.
        to: NodeId,
        /// What to send.
        data: RoomData,
    },
    /// Change a forwarding table.
    Forward(Forward),
    /// News for the node's own rooms.
    Event(Event),
    /// Nothing more to do until then.
    Timeout(Instant),
}

/// A change of a forwarding table. `Serve` is for the room's media worker and the link to that peer, `Relay` for the link
/// alone, `Receive` for the link from that peer and the room's worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Send each packet of a local track's layer to a peer, under the flow number that the peer chose.
    Serve {
        /// The room: its worker has the track.
        room: RoomKey,
        /// Which layer of which track.
        layer: TrackLayer,
        /// The peer.
        to: NodeId,
        /// The peer's number for it.
        flow: Flow,
        /// Sound or picture.
        kind: MediaKind,
        /// The track's layers lie within one stream, whose numbers count over all of them.
        in_stream: bool,
    },
    /// End a `Serve`.
    StopServe {
        /// The room.
        room: RoomKey,
        /// Which layer of which track.
        layer: TrackLayer,
        /// The peer.
        to: NodeId,
        /// The peer's number for it.
        flow: Flow,
    },
    /// Packets with this flow number from that peer are this layer. Given again when `local` changes. While a parent
    /// changes, two peers send one layer: whatever comes first counts.
    Receive {
        /// The room: its worker has the viewers.
        room: RoomKey,
        /// Which layer of which track.
        layer: TrackLayer,
        /// The peer.
        from: NodeId,
        /// Our number for it.
        flow: Flow,
        /// Sound or picture.
        kind: MediaKind,
        /// The room's worker takes it too; else it is only relayed.
        local: bool,
    },
    /// Pass each packet of a layer that other nodes send us on to a peer, without the room's worker.
    Relay {
        /// Which layer of which track.
        layer: TrackLayer,
        /// The peer.
        to: NodeId,
        /// The peer's number for it.
        flow: Flow,
        /// Sound or picture.
        kind: MediaKind,
        /// The track's layers lie within one stream, whose numbers count over all of them.
        in_stream: bool,
    },
    /// For the link to that peer alone, right after its `Serve` or `Relay`: the peer comes from a parent that failed and
    /// lacks what came here within `span`. It goes there once more, before what comes next.
    Refill {
        /// The peer.
        to: NodeId,
        /// The peer's number for the layer.
        flow: Flow,
        /// As the peer told: without the way between.
        span: Duration,
    },
    /// End a `Relay`.
    StopRelay {
        /// Which layer of which track.
        layer: TrackLayer,
        /// The peer.
        to: NodeId,
        /// The peer's number for it.
        flow: Flow,
    },
    /// End a `Receive`.
    StopReceive {
        /// The peer.
        from: NodeId,
        /// Our number for it; not used again for 10 s.
        flow: Flow,
    },
}

/// News for the node's own rooms.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer to [`Input::Enter`].
    Entered {
        /// The room's record, found or fresh.
        record: RoomRecord,
        /// Everybody known on other nodes.
        participants: Vec<ParticipantRecord>,
    },
    /// After [`Event::Entered`], once: everybody in the room is known whom any node tells of.
    Acquainted {
        /// The room.
        room: RoomKey,
        /// Nodes that have it, cannot be heard, and of whose people nobody has told: whoever was there is known to no
        /// other node.
        untold: BTreeSet<NodeId>,
    },
    /// A node whose participants are in rooms of this one can be reached otherwise than before.
    Reach {
        /// The node.
        node: NodeId,
        /// As things stand; `Well` before the first word.
        reach: Reach,
    },
    /// The room's record changed (a heal, metadata).
    RoomChanged(RoomRecord),
    /// This node is a home of the room, which the last participant anywhere has left: its record stands for that long.
    RoomWaits {
        /// The record.
        record: RoomRecord,
        /// For how long.
        stays: Duration,
    },
    /// Another node has become a home of a room that nobody is in, and that this one keeps: ask it to keep the record too, by
    /// an [`Ask`] with the number [`UNANSWERED`].
    HandOn {
        /// The other home.
        to: NodeId,
        /// The record.
        record: RoomRecord,
        /// For how long it stands yet.
        stays: Duration,
    },
    /// A participant on another node is new or changed.
    ParticipantChanged(ParticipantRecord),
    /// A participant on another node is gone.
    ParticipantLeft {
        /// Its room.
        room: RoomKey,
        /// Who it was.
        identity: Identity,
        /// Which session of it.
        sid: ParticipantSid,
        /// Why.
        reason: LeaveReason,
    },
    /// A local participant's identity joined anew on another node: its session here ends with DUPLICATE_IDENTITY.
    Superseded {
        /// Its room.
        room: RoomKey,
        /// Who it is.
        identity: Identity,
        /// The local session that lost.
        sid: ParticipantSid,
    },
    /// Another node has taken a local participant over, under the same session: it goes on there, and nobody saw it leave.
    TakenOver {
        /// Its room.
        room: RoomKey,
        /// Who it is.
        identity: Identity,
        /// The session.
        sid: ParticipantSid,
    },
    /// A data packet from another node, for the local participants.
    Data(RoomData),
    /// A reliable one that its publisher sent before this node knew of it, after [`Input::CatchUp`]: for those who were in
    /// the room already, at another node.
    EarlierData(RoomData),
    /// Reliable packets of a participant on another node are lost for good; those after them follow.
    DataLost {
        /// Its room.
        room: RoomKey,
        /// Who sent them.
        publisher: ParticipantSid,
    },
    /// The answer to [`Input::Seat`].
    Seated {
        /// The room.
        room: RoomKey,
        /// Who wants in.
        identity: Identity,
        /// Whether there is a seat.
        granted: bool,
    },
    /// Another node asks something.
    Asked {
        /// The node.
        from: NodeId,
        /// What it asks.
        ask: Ask,
    },
    /// Another node answers.
    Answered {
        /// The node.
        from: NodeId,
        /// What it says.
        answer: Answer,
    },
}
