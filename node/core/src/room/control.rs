//! What front-ends, workers and the mesh bring to the rooms, and what the rooms ask of them.

use std::collections::BTreeMap;
use std::time::Instant;

use livekit_protocol as proto;
use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey};
use origo_cascade_core as cascade;

use super::Full;
use crate::{SessionId, media};

/// A client wants in: a front-end has verified its token and decoded its parameters.
#[derive(Clone, Debug)]
pub struct Join {
    /// The new session.
    pub session: SessionId,
    /// The room, its project from the API key.
    pub room: RoomKey,
    /// The token's `sub`.
    pub identity: Identity,
    /// What the token says besides: name, metadata, attributes, kind and grants.
    pub claims: origo_auth::Claims,
    /// SDK, version, protocol number, capabilities.
    pub client: proto::ClientInfo,
    /// LiveKit v1: one PeerConnection.
    pub single_connection: bool,
    /// Receive everything without asking for it.
    pub auto_subscribe: bool,
    /// It agrees that pictures are paused when its path has no room for them.
    pub may_pause: bool,
    /// The client offers once, and later tracks are to take the sections that it has.
    pub fixed_sections: bool,
    /// The client asked for full ICE.
    pub disable_ice_lite: bool,
    /// It can be told while it is here to go on at another node. A client of WHIP or WHEP cannot.
    pub can_be_sent_on: bool,
    /// It can open a successor of its session at another node beside it.
    pub can_succeed: bool,
    /// The session at another node, beside or after which this one begins.
    pub successor_of: Option<ParticipantSid>,
    /// What the client has got of reliable data in that session, whose numbers go on in this one.
    pub received: Option<Received>,
    /// A session that it wants to resume and that another node has can be resumed there, through this node.
    pub may_be_led: bool,
    /// The session that the client wants to resume.
    pub resume: Option<ParticipantSid>,
    /// v1: the client's first offer rides in the join request.
    pub offer: Option<proto::SessionDescription>,
    /// v1: tracks announced in the join request.
    pub add_tracks: Vec<proto::AddTrackRequest>,
}

/// How far reliable data came in a session that goes on at another node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Number of the last packet of each publisher.
    pub last: BTreeMap<ParticipantSid, u32>,
    /// Streams that have begun and not ended: whose, and which.
    pub streams: Vec<(ParticipantSid, String)>,
}

/// Another node, to which people of one that drains or is full go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refuge {
    /// The node.
    pub node: NodeId,
    /// Its region.
    pub region: String,
    /// What a LiveKit SDK takes as its server URL.
    pub url: String,
    /// The country where it stands; empty when nobody said.
    pub country: String,
}

/// Where a client may be led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// To a node's server URL.
    Url(String),
    /// Nowhere, but it may be told to ask at this server URL in place of here.
    Next(String),
    /// To a node.
    Node(NodeId),
}

/// What the rooms take in.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client wants in. Answered by the session's first [`Output::Signal`] or by [`Output::Refuse`].
    Join(Box<Join>),
    /// A client's request.
    Signal {
        /// The session.
        session: SessionId,
        /// What it asks.
        request: Box<proto::SignalRequest>,
    },
    /// The client's socket is gone without a word.
    SocketClosed(SessionId),
    /// News from a media worker.
    Media(media::Event),
    /// News from the mesh.
    Mesh(cascade::Event),
    /// A call of the server API, as far as it concerns this node. Answered by [`Output::Admin`].
    Admin(cascade::cascade::Ask),
    /// The node drains: nobody is let in any more, and up to so many of those who are here are sent on.
    Drain {
        /// Where to, the best first; nobody is sent on while there is none.
        refuges: Vec<Refuge>,
        /// How many at this time.
        people: usize,
    },
    /// The node does not drain any more.
    Undrain,
    /// The node runs short of something and lets no newcomers in, or does again.
    Full(Option<Full>),
    /// The instant of the last [`Output::Timeout`] has come.
    Timeout,
}

/// What the rooms ask for. Poll until `Timeout`.
#[derive(Debug)]
pub enum Output {
    /// Send this to the client.
    Signal {
        /// The session.
        session: SessionId,
        /// What to say.
        response: Box<proto::SignalResponse>,
    },
    /// The join is refused; no socket was opened yet, so this becomes an HTTP answer.
    Refuse {
        /// The session.
        session: SessionId,
        /// HTTP status.
        status: u16,
        /// A sentence.
        reason: String,
        /// Who has what was asked for: where a front-end may lead the client.
        elsewhere: Option<Elsewhere>,
    },
    /// Sign a token with the key that these claims name, and send it to the client.
    RefreshToken {
        /// The session.
        session: SessionId,
        /// What the token is to say.
        claims: Box<origo_auth::Claims>,
    },
    /// Close the client's socket once everything before this has been sent.
    Close(SessionId),
    /// Ask something of the media worker of this room.
    Media {
        /// The room.
        room: RoomKey,
        /// What to do.
        command: media::Command,
    },
    /// Ask something of the cascade (`Enter`, `Exit`, `Publish`, `Withdraw`, `Want`, `Data`).
    Mesh(cascade::Input),
    /// Something that the application may want to hear of.
    Notice(Box<super::Notice>),
    /// The answer to [`Input::Admin`].
    Admin(cascade::cascade::Answer),
    /// Nothing more to do until then.
    Timeout(Instant),
}
