//! Control messages: their type numbers, and how each becomes the body of a frame.

mod kept;
mod participant;
mod question;
mod room;
mod subscription;

use bytes::Bytes;

pub use kept::{Kept, KeptOf};
pub use participant::{Leave, Record, Rival, Snapshot, Track};
pub use question::{Answer, Ask};
pub use room::{Announce, Exit, Members, Room, RoomRecord};
pub use subscription::{Attach, Attached, Counted, Path, Sent, Subscribe, SubscribeErr, SubscribeOk, Unsubscribe};

pub use super::resend::{DataAgain, DataGone, DataHead};

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

/// Names each message once, with its number.
macro_rules! kinds {
    ($($name:ident = $number:literal,)*) => {
        /// Type numbers of control messages that this version knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u64)]
        pub enum Kind {
            $(
                #[doc = concat!("[`", stringify!($name), "`].")]
                $name = $number,
            )*
        }

        impl Kind {
            /// The kind with that number, if this version knows it.
            pub fn of(number: u64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }

        $(impl Body for $name {
            const KIND: Kind = Kind::$name;
        })*
    };
}
kinds! {
    // The driver's, not the cascade's.
    Hello = 1,
    Announce = 2,
    Members = 3,
    Exit = 4,
    Record = 5,
    Leave = 6,
    Snapshot = 7,
    Subscribe = 8,
    SubscribeOk = 9,
    SubscribeErr = 10,
    Unsubscribe = 11,
    Ask = 12,
    Answer = 13,
    DataHead = 14,
    DataAgain = 15,
    DataGone = 16,
    Attach = 17,
    Attached = 18,
    Path = 19,
    Sent = 20,
    Rival = 21,
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

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
            shown_as: String::new(),
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
            age_ms: 0,
        };
        assert_eq!(framed(&record), golden("record"));
        let rival =
            Rival { room: room(), identity: "ada".into(), sid: "PA_23456789ABCD".into(), incarnation: 7, age_ms: 1000 };
        assert_eq!(framed(&rival), golden("rival"));
        let exit = Exit { room: room(), gone_on: vec!["PA_23456789ABCD".into()] };
        assert_eq!(framed(&exit), golden("exit"));
        let moved =
            Track { sid: "TR_BCDEFGHJKLMN".into(), shown_as: record.tracks[0].sid.clone(), ..record.tracks[0].clone() };
        let takeover = Record { owner_epoch: 2, version: 1, tracks: vec![moved], ..record };
        assert_eq!(framed(&takeover), golden("takeover"));
        let track = "TR_23456789ABCD".into();
        let subscribe = Subscribe { room: room(), track, layer: 1, flow: 5, kind: 1, ..Subscribe::default() };
        assert_eq!(framed(&subscribe), golden("subscribe"));
        assert_eq!(framed(&SubscribeOk { flow: 5, path: Vec::new() }), golden("subscribe_ok"));
        let (project, method) = ("default".to_owned(), "ListRooms".to_owned());
        let ask = Ask { id: 7, project, method, payload: Bytes::from_static(&[0x0a, 0]) };
        assert_eq!(framed(&ask), golden("ask"));
        let (code, sentence) = ("not_found".to_owned(), "no room".to_owned());
        assert_eq!(framed(&Answer { id: 7, code, sentence, payload: Bytes::new() }), golden("answer"));
    }

    #[test]
    fn the_question_for_a_silent_nodes_people_and_its_answer_are_what_is_written() {
        let of = KeptOf { room: "standup".into(), node: Bytes::copy_from_slice(&[2; 16]), after: "abe".into() };
        assert_eq!(of.encode_to_vec(), golden("kept_of"));
        let record = Record {
            room: room(),
            identity: "ada".into(),
            sid: "PA_23456789ABCD".into(),
            incarnation: 7,
            age_ms: 1000,
            ..Record::default()
        };
        let kept = Kept { records: vec![record], lost_ms: 5000, more: true };
        assert_eq!(kept.encode_to_vec(), golden("kept"));
    }

    #[test]
    fn the_frames_of_trees_are_what_is_written() {
        let node = |byte: u8| Bytes::copy_from_slice(&[byte; 16]);
        let subscribe = Subscribe {
            room: room(),
            track: "TR_23456789ABCD".into(),
            layer: 1,
            flow: 6,
            kind: 1,
            temporal_ceiling: 0,
            origin: node(1),
            rate_bps: 500_000,
            in_stream: true,
            missing_ms: 0,
            second: false,
        };
        assert_eq!(framed(&subscribe), golden("subscribe_at_relay"));
        assert_eq!(framed(&Subscribe { missing_ms: 220, ..subscribe.clone() }), golden("subscribe_at_backup"));
        let second = Subscribe { layer: 0, kind: 0, rate_bps: 0, in_stream: false, second: true, ..subscribe };
        assert_eq!(framed(&second), golden("subscribe_second"));
        let path = vec![node(1), node(2)];
        assert_eq!(framed(&SubscribeOk { flow: 6, path: path.clone() }), golden("subscribe_ok_of_relay"));
        let attach = Attach {
            room: room(),
            epoch: 300,
            parent: node(2),
            backup: node(3),
            path: path.clone(),
            countries: vec!["DE".into()],
        };
        assert_eq!(framed(&attach), golden("attach"));
        let why = "the link to the parent is down".into();
        let attached = Attached { room: room(), epoch: 300, parent: node(3), rate_bps: 500_000, why, gray: false };
        assert_eq!(framed(&attached), golden("attached"));
        let complaint = Attached { why: "gray".into(), gray: true, ..attached };
        assert_eq!(framed(&complaint), golden("attached_gray"));
        let track = "TR_23456789ABCD".to_owned();
        let layers = vec![Counted { track, layer: 0, packets: 300, newest: 4660 }];
        assert_eq!(framed(&Sent { room: room(), layers }), golden("sent"));
        assert_eq!(framed(&Path { room: room(), origin: node(1), path }), golden("path"));
    }

    #[test]
    fn a_kind_is_known_by_its_number_and_no_other() {
        assert_eq!(Kind::of(5), Some(Kind::Record));
        assert_eq!(Kind::of(0), None);
        assert_eq!(Kind::of(22), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hello::from_body(&bytes);
            let _ = Announce::from_body(&bytes).map(|body| body.record.map(crate::RoomRecord::try_from));
            let owner = origo_auth::NodeId([0; 16]);
            let _ = Record::from_body(&bytes).map(|body| super::super::record::record_of(body, owner));
            let _ = Snapshot::from_body(&bytes);
            let _ = Rival::from_body(&bytes);
            let _ = Subscribe::from_body(&bytes);
            let _ = SubscribeOk::from_body(&bytes);
            let _ = Attach::from_body(&bytes);
            let _ = Attached::from_body(&bytes);
            let _ = Path::from_body(&bytes);
            let _ = Sent::from_body(&bytes);
            let _ = Ask::from_body(&bytes);
            let _ = Answer::from_body(&bytes);
        }
    }
}
