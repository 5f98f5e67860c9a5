//! What the rooms ask of a media worker, and what it tells them.
//!
//! The worker owns negotiation: it knows mids, sections and offers. The rooms own meaning: who may publish, who
//! receives what, and what it is called. A track's name on the wire (`PA_…|stream`, `TR_…`) is given with the command.

use std::collections::BTreeMap;

use bytes::Bytes;
use origo_auth::{ParticipantSid, TrackSid};
use origo_cascade_core::{Forward, LayerSet, TrackRecord};

use super::sibling::Ask;
use crate::SessionId;

/// Which of a session's connections: LiveKit's `SignalTarget`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The client sends on it and offers. With a single PeerConnection it is the only one and carries both ways.
    Publisher,
    /// We send on it and offer.
    Subscriber,
}

/// A data channel of LiveKit's two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// `_reliable`: ordered and whole.
    Reliable,
    /// `_lossy`: unordered, never sent again.
    Lossy,
}

pub use origo_cascade_core::MediaKind as Kind;

/// A session begins.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// The session.
    pub session: SessionId,
    /// LiveKit v1: one PeerConnection, the client always offers.
    pub single_connection: bool,
    /// Clear when the client asked for full ICE.
    pub ice_lite: bool,
    /// The client makes no offer when asked: sections that wait are answered as if they were used, and later tracks
    /// take them without a word.
    pub fixed_sections: bool,
    /// The client is told no addresses but those of TCP, for a test of how it bears that. Void where there are none.
    pub tcp_only: bool,
    /// The client agrees that pictures are paused when its path has no room even for their lowest layers.
    pub may_pause: bool,
}

/// Whether redundancy (RFC 2198) may be put into a sound on its way, or taken out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redundancy {
    /// The publisher is asked to send it, it goes to those who take it, and those who lose packets get it in any case.
    #[default]
    Allowed,
    /// Its publisher does not want it: it is not asked for and not added. What comes all the same is taken out for
    /// those who do not take it.
    Disabled,
    /// The payload is encrypted end to end: nobody on the way may look into it or add to it.
    Sealed,
}

/// A track that the client announced by `add_track` and that its offer will carry.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Our id for it.
    pub sid: TrackSid,
    /// The client's track ids by which its offer may name it, best first. When none matches, the first expected track
    /// of the same kind is meant.
    pub client_ids: Vec<String>,
    /// Sound or picture.
    pub kind: Kind,
    /// The codec to put first in our answer, such as `video/VP8`.
    pub mime: String,
    /// Bits per second of each layer as declared, lowest first; one entry without simulcast.
    pub layer_bitrates_bps: Vec<u32>,
    /// Width and height of each layer as declared, lowest first; empty when they were not.
    pub layer_sizes: Vec<(u16, u16)>,
    /// Opus in stereo.
    pub stereo: bool,
    /// Opus with discontinuous transmission.
    pub dtx: bool,
    /// What may be done with Opus on its way.
    pub redundancy: Redundancy,
}

/// A client is to receive a track.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Who receives.
    pub session: SessionId,
    /// The track; it may be published here (then the worker has it) or behind a link.
    pub track: TrackRecord,
    /// The same picture in a second codec, for a client that does not take the first. To the client it is that track.
    pub backup: Option<TrackRecord>,
    /// Who publishes it.
    pub publisher: ParticipantSid,
    /// The msid's stream id, such as `PA_…|camera`.
    pub stream: String,
    /// It is a shared screen, which is served before cameras.
    pub screen: bool,
    /// The client asked for this track, and does not just take all that are there.
    pub asked: bool,
    /// What may be done with Opus on its way.
    pub redundancy: Redundancy,
    /// The worker of this node that has the track, published there or from a link; the session's own when none is named.
    /// [`crate::spread::Spread`] names it.
    pub home: Option<u8>,
}

/// How a client shows a track: what a new size, a hidden tile or a user's wish makes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackSettings {
    /// Nothing of it is shown, so nothing of it need be sent.
    pub disabled: bool,
    /// The wish when no size is known: 0 low, 1 medium, 2 high. At most 2.
    pub quality: u8,
    /// Pixels across at which it is shown; 0 when `quality` says it.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames per second that are enough; 0 for all.
    pub fps: u32,
    /// The higher, the later it loses bandwidth to others; 0 when the client does not say.
    pub priority: u32,
}

impl Default for TrackSettings {
    /// As before the client has said anything: everything.
    fn default() -> Self {
        Self { disabled: false, quality: 2, width: 0, height: 0, fps: 0, priority: 0 }
    }
}

/// How well packets make one way between a client and its node, over the last few seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PathQuality {
    /// Share of packets lost, 0 to 1.
    pub loss: f32,
    /// Variation of the delay between packets, in milliseconds (RFC 3550, section 6.4.1).
    pub jitter_ms: f32,
    /// There and back, in milliseconds; 0 while unknown.
    pub rtt_ms: f32,
    /// Bits per second that came.
    pub bitrate_bps: u64,
    /// Bits per second that would have come on a perfect path; 0 when nothing is sent.
    pub expected_bps: u64,
}

/// What the rooms ask of a worker.
#[derive(Clone, Debug)]
pub enum Command {
    /// A session begins; its connections are made.
    Open(OpenSession),
    /// A session ends; everything of it is dropped. Its tracks end with [`Event::TrackEnded`] none.
    Close(SessionId),
    /// The client's offer for its publisher (or single) connection. Answered by [`Event::Answer`] with the same `id`.
    Offer {
        /// The session.
        session: SessionId,
        /// The client's number of the offer.
        id: u32,
        /// SDP.
        sdp: String,
    },
    /// The client's answer to our offer on the subscriber connection.
    Answer {
        /// The session.
        session: SessionId,
        /// The number of our offer, 0 when the client does not say.
        id: u32,
        /// SDP.
        sdp: String,
    },
    /// A candidate of the client: the `candidate` string of its RTCIceCandidateInit.
    Trickle {
        /// The session.
        session: SessionId,
        /// Which connection.
        target: Target,
        /// `candidate:…`
        candidate: String,
    },
    /// The client will publish this track.
    Expect {
        /// The session.
        session: SessionId,
        /// The track.
        track: Expected,
    },
    /// The client may publish this track later, when somebody takes it: the second codec of a picture. It can be
    /// subscribed already; `Expect` follows when the client announces it.
    Reserve {
        /// The session.
        session: SessionId,
        /// The track.
        track: Expected,
    },
    /// A published track is over, by word of the rooms: no [`Event::TrackEnded`] follows.
    Unpublish {
        /// The session.
        session: SessionId,
        /// The track.
        track: TrackSid,
    },
    /// Send a track to a client. It is negotiated as soon as it can be. Said again of a track that the client has, it
    /// brings news of its second codec.
    Subscribe(Subscription),
    /// Stop sending a track to a client.
    Unsubscribe {
        /// The session.
        session: SessionId,
        /// The track.
        track: TrackSid,
    },
    /// A client asks by name for a track that it receives already: see [`Subscription::asked`]. Before its `Subscribe` it is
    /// void.
    Favour {
        /// The session.
        session: SessionId,
        /// The track.
        track: TrackSid,
    },
    /// A client shows a track otherwise than before. Before its `Subscribe` it is void.
    Settings {
        /// The session.
        session: SessionId,
        /// The track.
        track: TrackSid,
        /// How it is shown now.
        settings: TrackSettings,
    },
    /// Who speaks, or spoke last: tracks of these participants of one room, whoever is most to the fore first. Pictures
    /// that are shown about equally large are served in this order, and before those of all others.
    Speakers(Vec<TrackSid>),
    /// The node runs short of something: leave out so much of what is above the lowest layers of pictures, 0 for nothing,
    /// [`crate::overload::SHEDS`] for all.
    Shed(u8),
    /// The way to a client is to be taken to carry no more than this, for a test of how it bears that; none for as much
    /// as is measured.
    CapBandwidth {
        /// The session.
        session: SessionId,
        /// Bits per second.
        bps: Option<u64>,
    },
    /// Send a data packet to a client. Queued until the channel is open, within a bound; beyond it lossy packets are
    /// dropped, and a reliable one leads to [`Event::FellBehind`].
    SendData {
        /// The session.
        session: SessionId,
        /// Which channel.
        channel: Channel,
        /// An encoded `DataPacket`.
        packet: Bytes,
    },
    /// Change the forwarding to and from other nodes ([`Forward::Serve`] and its end; the rest is the link's).
    Forward(Forward),
    /// Another worker of this node asks for a track.
    Sibling(Ask),
}

impl Command {
    /// The one session that it is about, if it is about one.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Open(open) => Some(open.session),
            Self::Subscribe(subscription) => Some(subscription.session),
            Self::Close(session)
            | Self::Offer { session, .. }
            | Self::Answer { session, .. }
            | Self::Trickle { session, .. }
            | Self::Expect { session, .. }
            | Self::Reserve { session, .. }
            | Self::Unpublish { session, .. }
            | Self::Unsubscribe { session, .. }
            | Self::Favour { session, .. }
            | Self::Settings { session, .. }
            | Self::CapBandwidth { session, .. }
            | Self::SendData { session, .. } => Some(*session),
            Self::Speakers(_) | Self::Shed(_) | Self::Forward(_) | Self::Sibling(_) => None,
        }
    }
}

/// What a worker tells the rooms.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Our answer to the client's offer.
    Answer {
        /// The session.
        session: SessionId,
        /// The number of the client's offer.
        id: u32,
        /// SDP.
        sdp: String,
        /// Which track each section that we send on carries.
        tracks_by_mid: BTreeMap<String, TrackSid>,
    },
    /// The client's offer or answer cannot be taken: the session is to reconnect in full.
    Refused {
        /// The session.
        session: SessionId,
        /// Why, for the log.
        reason: String,
    },
    /// Our offer on the subscriber connection.
    Offer {
        /// The session.
        session: SessionId,
        /// Our number of the offer, from 1.
        id: u32,
        /// SDP.
        sdp: String,
        /// Which track each section that we send on carries.
        tracks_by_mid: BTreeMap<String, TrackSid>,
    },
    /// Single connection: ask the client for that many more receiving sections and a new offer. Both zero is legal and
    /// asks for a new offer alone.
    SectionsNeeded {
        /// The session.
        session: SessionId,
        /// Audio sections to add.
        audios: u32,
        /// Video sections to add.
        videos: u32,
    },
    /// A connection is up (ICE and DTLS).
    Connected {
        /// The session.
        session: SessionId,
        /// Which connection.
        target: Target,
    },
    /// A connection failed for good.
    Disconnected {
        /// The session.
        session: SessionId,
        /// Which connection.
        target: Target,
    },
    /// First RTP of an expected track.
    TrackStarted {
        /// The session.
        session: SessionId,
        /// The track.
        track: TrackSid,
        /// Codec that really flows, such as `video/VP8`.
        mime: String,
        /// Its section.
        mid: String,
        /// SSRC by layer as far as seen, lowest first; 0 for one that has not come yet.
        ssrcs: Vec<u32>,
    },
    /// The client's offer no longer carries a track.
    TrackEnded {
        /// The session.
        session: SessionId,
        /// The track.
        track: TrackSid,
    },
    /// A message on a data channel, as it came.
    Data {
        /// The session.
        session: SessionId,
        /// Which channel.
        channel: Channel,
        /// What the client sent: meant to be a `DataPacket`.
        packet: Bytes,
    },
    /// Both data channels to the client are open.
    ChannelsOpen(SessionId),
    /// The client takes reliable messages so slowly that some were thrown away, and gets none any more.
    FellBehind(SessionId),
    /// The layers that local viewers need of a track that is not published here: goes to
    /// [`origo_cascade_core::Input::Want`].
    Want {
        /// The track.
        track: TrackSid,
        /// The union over all local viewers; none when nobody needs it any more.
        layers: LayerSet,
    },
    /// How loud sound tracks of this worker are, published here or carried by a link: about every 100 ms,
    /// those that had a packet since the last word. The level is in -dBov, 0 the loudest and 127 silence
    /// (RFC 6464), with whether its sender takes it for a voice.
    Levels(Vec<(TrackSid, u8, bool)>),
    /// How well a session's packets make their way; every 5 s.
    Quality {
        /// The session.
        session: SessionId,
        /// From the client.
        up: PathQuality,
        /// To the client.
        down: PathQuality,
    },
    /// The layers of a track published here that anybody takes, local viewers and peers together. Told on change.
    Demand {
        /// The track.
        track: TrackSid,
        /// The union; none when nobody takes it any more.
        layers: LayerSet,
    },
    /// A client takes none of the codecs in which there is a track.
    Unsupported {
        /// The session.
        session: SessionId,
        /// The track.
        track: TrackSid,
    },
    /// A track is no longer sent to a client because its path has no room for it, or is sent again.
    StreamState {
        /// The session.
        session: SessionId,
        /// The track.
        track: TrackSid,
        /// Whether it is paused now.
        paused: bool,
    },
}
