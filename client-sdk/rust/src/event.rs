//! What a participant tells its owner.

use std::time::Duration;

use livekit_protocol as proto;

use crate::MediaKind;

/// News of one participant.
#[derive(Clone, Debug)]
pub enum Event {
    /// The server let us in: rooms, participants and settings as they stand.
    Joined(Box<proto::JoinResponse>),
    /// The primary connection is up (ICE and DTLS): what SDKs call connected.
    Connected,
    /// Both data channels towards the server are open.
    ChannelsOpen,
    /// The server gave our track a sid.
    TrackPublished {
        /// Our name for it.
        cid: String,
        /// The server's record.
        track: Box<proto::TrackInfo>,
    },
    /// Our track is negotiated and its packets flow.
    TrackFlows {
        /// Our name for it.
        cid: String,
    },
    /// A section that carries a track was negotiated.
    TrackSubscribed(Subscribed),
    /// A track that we received is no longer sent to us.
    TrackUnsubscribed {
        /// `TR_…`
        track: String,
    },
    /// The first packet of a subscribed track.
    FirstPacket {
        /// `TR_…`
        track: String,
        /// Since the section was negotiated.
        after: Duration,
    },
    /// Participants came, went or changed.
    Participants(Vec<proto::ParticipantInfo>),
    /// Who speaks.
    Speakers(Vec<proto::SpeakerInfo>),
    /// A data packet.
    Data {
        /// It came on the reliable channel.
        reliable: bool,
        /// As the server stamped it.
        packet: Box<proto::DataPacket>,
    },
    /// The server wants a keyframe of a track that we send.
    KeyframeRequested {
        /// Our name for the track.
        cid: String,
    },
    /// Every other message of the server.
    Signal(Box<proto::SignalResponse>),
    /// The server ends or moves the session.
    Leave(Box<proto::LeaveRequest>),
    /// With [`crate::Options::dies_silently`]: the signaling socket broke without a word, and nothing follows from it.
    SignalLost {
        /// A sentence.
        reason: String,
    },
    /// With [`crate::Options::watches`]: nothing has come of the server for some looks, though more was usual.
    Silent {
        /// For about so long.
        since: Duration,
    },
    /// Nothing more comes.
    Closed {
        /// A sentence.
        reason: String,
    },
}

/// A track that is sent to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// `TR_…`
    pub track: String,
    /// `PA_…`
    pub publisher: String,
    /// Sound or picture.
    pub kind: MediaKind,
    /// Its section.
    pub mid: String,
}
