//! What nodes say of reliable data packets that did not arrive: how far a publisher is, what is missing, what is gone.

use super::message::Room;

/// "So far is a participant of mine", once it has been quiet about it: the last packet may be the one that is missing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DataHead {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// `PA_…`
    #[prost(string, tag = "2")]
    pub publisher: String,
    /// Number of its last packet.
    #[prost(uint64, tag = "3")]
    pub last: u64,
}

/// "Send me again what your participant sent, from this packet on."
#[derive(Clone, PartialEq, prost::Message)]
pub struct DataAgain {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// `PA_…`
    #[prost(string, tag = "2")]
    pub publisher: String,
    /// Number of the first packet that is missing.
    #[prost(uint64, tag = "3")]
    pub first: u64,
}

/// "What you ask for is not kept any more."
#[derive(Clone, PartialEq, prost::Message)]
pub struct DataGone {
    /// The room.
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    /// `PA_…`
    #[prost(string, tag = "2")]
    pub publisher: String,
    /// Number of the first packet that can still be had, or that comes next.
    #[prost(uint64, tag = "3")]
    pub next: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::encode_frame;
    use super::super::golden::golden;
    use super::super::message::Body;
    use super::*;

    #[test]
    fn the_frames_of_the_document_about_data_are_what_is_written() {
        let room = || Some(Room { project: "default".into(), name: "standup".into() });
        let publisher = || "PA_23456789ABCD".to_owned();
        let head = DataHead { room: room(), publisher: publisher(), last: 300 };
        assert_eq!(encode_frame(DataHead::KIND as u64, &head.to_body()), golden("data_head"));
        let again = DataAgain { room: room(), publisher: publisher(), first: 298 };
        assert_eq!(encode_frame(DataAgain::KIND as u64, &again.to_body()), golden("data_again"));
        let gone = DataGone { room: room(), publisher: publisher(), next: 299 };
        assert_eq!(encode_frame(DataGone::KIND as u64, &gone.to_body()), golden("data_gone"));
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = DataHead::from_body(&bytes);
            let _ = DataAgain::from_body(&bytes);
            let _ = DataGone::from_body(&bytes);
        }
    }
}
