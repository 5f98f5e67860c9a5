//! Control messages: their type numbers and protobuf bodies.

use bytes::Bytes;

pub use super::resend::{DataAgain, DataGone, DataHead};

/// Type numbers of control messages that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum Kind {
    /// [`Hello`]; the driver's, not the cascade's.
    Hello = 1,
    /// [`Announce`].
    Announce = 2,
    /// [`Members`].
    Members = 3,
    /// [`Exit`].
    Exit = 4,
    /// [`Record`].
    Record = 5,
    /// [`Leave`].
    Leave = 6,
    /// [`Snapshot`].
    Snapshot = 7,
    /// [`Subscribe`].
    Subscribe = 8,
    /// [`SubscribeOk`].
    SubscribeOk = 9,
    /// [`SubscribeErr`].
    SubscribeErr = 10,
    /// [`Unsubscribe`].
    Unsubscribe = 11,
    /// [`Ask`].
    Ask = 12,
    /// [`Answer`].
    Answer = 13,
    /// [`DataHead`].
    DataHead = 14,
    /// [`DataAgain`].
    DataAgain = 15,
    /// [`DataGone`].
    DataGone = 16,
}

impl Kind {
    /// The kind with that number, if this version knows it.
    pub fn of(number: u64) -> Option<Self> {
        const ALL: [Kind; 16] = [
            Kind::Hello,
            Kind::Announce,
            Kind::Members,
            Kind::Exit,
            Kind::Record,
            Kind::Leave,
            Kind::Snapshot,
            Kind::Subscribe,
            Kind::SubscribeOk,
            Kind::SubscribeErr,
            Kind::Unsubscribe,
            Kind::Ask,
            Kind::Answer,
            Kind::DataHead,
            Kind::DataAgain,
            Kind::DataGone,
        ];
        ALL.into_iter().find(|kind| *kind as u64 == number)
    }
}

/// A body that is no message of its type, or says what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// A message that can be the body of a control frame.
pub trait Body: prost::Message + Default {
    /// Its type number.
    const KIND: Kind;

    /// Its protobuf.
    fn to_body(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// Reads it.
    fn from_body(body: &[u8]) -> Result<Self, Malformed> {
        Self::decode(body).map_err(|_| Malformed("protobuf"))
    }
}

macro_rules! body {
    ($($name:ident),*) => {
        $(impl Body for $name {
            const KIND: Kind = Kind::$name;
        })*
    };
}
body!(
    Hello,
    Announce,
    Members,
    Exit,
    Record,
    Leave,
    Snapshot,
    Subscribe,
    SubscribeOk,
    SubscribeErr,
    Unsubscribe,
    Ask,
    Answer,
    DataHead,
    DataAgain,
    DataGone
);

/// First frame of each side.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// Lowest version spoken.
    #[prost(uint32, tag = "1")]
    pub lowest: u32,
    /// Highest version spoken.
    #[prost(uint32, tag = "2")]
    pub highest: u32,
    /// What else the sender can do.
    #[prost(string, repeated, tag = "3")]
    pub capabilities: Vec<String>,
    /// Unix milliseconds at the start of the sender's process: a higher one is a newer life of the node.
    #[prost(uint64, tag = "4")]
    pub session: u64,
    /// The dialler's count of its dials; 0 from the other side.
    #[prost(uint64, tag = "5")]
    pub dial: u64,
    /// Where the sender can be dialled, `ip:port`; empty when it does not say.
    #[prost(string, tag = "6")]
    pub address: String,
}

/// A room's key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Room {
    /// Project.
    #[prost(string, tag = "1")]
    pub project: String,
    /// Name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// See [`crate::RoomRecord`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct RoomRecord {
    /// Which room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// `RM_…`
    #[prost(string, tag = "2")]
    pub sid: String,
    /// Unix milliseconds.
    #[prost(uint64, tag = "3")]
    pub created_ms: u64,
    /// The application's.
    #[prost(string, tag = "4")]
    pub metadata: String,
    /// Grows with each change.
    #[prost(uint64, tag = "5")]
    pub version: u64,
    /// How long it waits for its first participant.
    #[prost(uint32, tag = "6")]
    pub empty_timeout_s: u32,
    /// How long it stays after its last participant.
    #[prost(uint32, tag = "7")]
    pub departure_timeout_s: u32,
    /// 0 for no bound.
    #[prost(uint32, tag = "8")]
    pub max_participants: u32,
}

/// "The room lives on me", to a home.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Announce {
    /// Which room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// The room's record as the sender knows it.
    #[prost(message, optional, tag = "2")]
    pub record: Option<RoomRecord>,
    /// Ids of the homes that the sender tells.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub homes: Vec<Bytes>,
    /// [`Members`] is awaited.
    #[prost(bool, tag = "4")]
    pub ask: bool,
    /// Empty: the sender. Else the node for which a home forwards this.
    #[prost(bytes = "bytes", tag = "5")]
    pub node: Bytes,
}

/// Where a room lives, from a home.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Members {
    /// Which room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// The room's record as the home has it.
    #[prost(message, optional, tag = "2")]
    pub record: Option<RoomRecord>,
    /// Ids of the nodes.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub nodes: Vec<Bytes>,
    /// Answers an [`Announce`] that asked.
    #[prost(bool, tag = "4")]
    pub answer: bool,
}

/// The room does not live on the sender, or no longer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exit {
    /// Which room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
}

/// A participant of the sender is new or changed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Record {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// Who it is.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// `PA_…`
    #[prost(string, tag = "3")]
    pub sid: String,
    /// Which life of the identity.
    #[prost(uint64, tag = "4")]
    pub incarnation: u64,
    /// Grows at a takeover.
    #[prost(uint32, tag = "5")]
    pub owner_epoch: u32,
    /// Grows with each change.
    #[prost(uint32, tag = "6")]
    pub version: u32,
    /// A `livekit.ParticipantInfo`.
    #[prost(bytes = "vec", tag = "7")]
    pub info: Vec<u8>,
    /// What others may take.
    #[prost(message, repeated, tag = "8")]
    pub tracks: Vec<Track>,
    /// Number of its last reliable data packet; 0 before the first.
    #[prost(uint64, tag = "9")]
    pub data: u64,
}

/// See [`crate::TrackRecord`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Track {
    /// `TR_…`
    #[prost(string, tag = "1")]
    pub sid: String,
    /// 0 audio, 1 video.
    #[prost(uint32, tag = "2")]
    pub kind: u32,
    /// MIME type.
    #[prost(string, tag = "3")]
    pub mime: String,
    /// Lowest layer first.
    #[prost(uint32, repeated, tag = "4")]
    pub layer_bitrates_bps: Vec<u32>,
    /// Width in the upper 16 bits, height in the lower.
    #[prost(uint32, repeated, tag = "5")]
    pub layer_sizes: Vec<u32>,
    /// `TR_…`; empty for a track of its own.
    #[prost(string, tag = "6")]
    pub backup_of: String,
}

/// A participant of the sender is gone.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Leave {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// Who it was.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// `PA_…`
    #[prost(string, tag = "3")]
    pub sid: String,
    /// LiveKit's `DisconnectReason`.
    #[prost(int32, tag = "4")]
    pub reason: i32,
}

/// "These are all my participants of this room": follows their records.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Snapshot {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// The room's record as the sender knows it.
    #[prost(message, optional, tag = "2")]
    pub record: Option<RoomRecord>,
    /// `PA_…` of each.
    #[prost(string, repeated, tag = "3")]
    pub sids: Vec<String>,
}

/// Send me that layer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Subscribe {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// `TR_…`
    #[prost(string, tag = "2")]
    pub track: String,
    /// Spatial layer, 0 the lowest.
    #[prost(uint32, tag = "3")]
    pub layer: u32,
    /// The number that packets are to carry.
    #[prost(uint32, tag = "4")]
    pub flow: u32,
    /// 0 audio, 1 video.
    #[prost(uint32, tag = "5")]
    pub kind: u32,
    /// Highest temporal layer plus one; 0 takes all. A node that cannot cut temporal layers sends all.
    #[prost(uint32, tag = "6")]
    pub temporal_ceiling: u32,
}

/// The layer will come.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscribeOk {
    /// Which subscription.
    #[prost(uint32, tag = "1")]
    pub flow: u32,
}

/// The layer is not here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscribeErr {
    /// Which subscription.
    #[prost(uint32, tag = "1")]
    pub flow: u32,
    /// When to ask again.
    #[prost(uint32, tag = "2")]
    pub retry_ms: u32,
    /// For the log.
    #[prost(string, tag = "3")]
    pub why: String,
}

/// Stop sending that layer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Unsubscribe {
    /// Which subscription.
    #[prost(uint32, tag = "1")]
    pub flow: u32,
}

/// Do that for me: a question of the server API or of the nodes' front-ends, which the cascade does not read.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ask {
    /// The asker's number for it.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Whose rooms it is about.
    #[prost(string, tag = "2")]
    pub project: String,
    /// What to do.
    #[prost(string, tag = "3")]
    pub method: String,
    /// The method's request, protobuf.
    #[prost(bytes = "bytes", tag = "4")]
    pub payload: Bytes,
}

/// What came of an [`Ask`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Answer {
    /// The asker's number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Twirp's word for what went wrong; empty when nothing did.
    #[prost(string, tag = "2")]
    pub code: String,
    /// A sentence about what went wrong.
    #[prost(string, tag = "3")]
    pub sentence: String,
    /// The method's response, protobuf.
    #[prost(bytes = "bytes", tag = "4")]
    pub payload: Bytes,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::encode_frame;
    use super::super::golden::golden;
    use super::*;

    fn framed(body: &impl Body) -> Vec<u8> {
        fn kind<B: Body>(_: &B) -> Kind {
            B::KIND
        }
        encode_frame(kind(body) as u64, &body.to_body()).to_vec()
    }

    fn room() -> Option<Room> {
        Some(Room { project: "default".into(), name: "standup".into() })
    }

    fn room_record() -> RoomRecord {
        let sid = "RM_23456789ABCD".into();
        RoomRecord { room: room(), sid, created_ms: 1000, ..RoomRecord::default() }
    }

    #[test]
    fn the_control_frames_of_the_document_are_what_is_written() {
        let hello = Hello {
            lowest: 1,
            highest: 2,
            capabilities: vec!["fec".into()],
            session: 1000,
            dial: 3,
            address: String::new(),
        };
        assert_eq!(framed(&hello), golden("hello"));
        let home = Bytes::from_iter(0..16);
        let announce =
            Announce { room: room(), record: Some(room_record()), homes: vec![home], ask: true, node: Bytes::new() };
        assert_eq!(framed(&announce), golden("announce"));
        let track = Track {
            sid: "TR_23456789ABCD".into(),
            kind: 1,
            mime: "video/VP8".into(),
            layer_bitrates_bps: vec![150_000, 500_000],
            layer_sizes: Vec::new(),
            backup_of: String::new(),
        };
        let record = Record {
            room: room(),
            identity: "ada".into(),
            sid: "PA_23456789ABCD".into(),
            incarnation: 7,
            owner_epoch: 1,
            version: 2,
            info: vec![1, 2],
            tracks: vec![track],
            data: 0,
        };
        assert_eq!(framed(&record), golden("record"));
        let track = "TR_23456789ABCD".into();
        let subscribe = Subscribe { room: room(), track, layer: 1, flow: 5, kind: 1, temporal_ceiling: 0 };
        assert_eq!(framed(&subscribe), golden("subscribe"));
        assert_eq!(framed(&SubscribeOk { flow: 5 }), golden("subscribe_ok"));
        let (project, method) = ("default".to_owned(), "ListRooms".to_owned());
        let ask = Ask { id: 7, project, method, payload: Bytes::from_static(&[0x0a, 0]) };
        assert_eq!(framed(&ask), golden("ask"));
        let (code, sentence) = ("not_found".to_owned(), "no room".to_owned());
        assert_eq!(framed(&Answer { id: 7, code, sentence, payload: Bytes::new() }), golden("answer"));
    }

    #[test]
    fn a_kind_is_known_by_its_number_and_no_other() {
        assert_eq!(Kind::of(5), Some(Kind::Record));
        assert_eq!(Kind::of(0), None);
        assert_eq!(Kind::of(17), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hello::from_body(&bytes);
            let _ = Announce::from_body(&bytes).map(|body| body.record.map(crate::RoomRecord::try_from));
            let owner = origo_auth::NodeId([0; 16]);
            let _ = Record::from_body(&bytes).map(|body| super::super::record::record_of(body, owner));
            let _ = Snapshot::from_body(&bytes);
            let _ = Subscribe::from_body(&bytes);
            let _ = Ask::from_body(&bytes);
            let _ = Answer::from_body(&bytes);
        }
    }
}
