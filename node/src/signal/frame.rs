//! One signal message per web socket message: protobuf in binary ones, proto-JSON in text ones.

use axum::extract::ws::Message as Frame;
use livekit_protocol::{SignalRequest, SignalResponse};
use prost::Message;
use serde_json::error::Category;

/// The largest message of a client, bytes. An offer with a hundred sections stays below it.
pub(super) const FRAME_BYTES_MAX: usize = 256 * 1024;

/// How a client writes, and therefore reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// Binary messages.
    #[default]
    Protobuf,
    /// Text messages.
    Json,
}

/// What a client's message holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Read {
    /// A request.
    Request(Box<SignalRequest>),
    /// Well-formed, but nothing we know: an older node must live with newer clients.
    Unknown,
    /// No signal message at all.
    Malformed,
}

impl Format {
    /// Reads a client's message.
    pub(super) fn read(self, bytes: &[u8]) -> Read {
        let request = match self {
            Self::Protobuf => SignalRequest::decode(bytes).map_err(|_| Read::Malformed),
            Self::Json => serde_json::from_slice(bytes).map_err(|error: serde_json::Error| match error.classify() {
                Category::Data => Read::Unknown,
                Category::Io | Category::Syntax | Category::Eof => Read::Malformed,
            }),
        };
        match request {
            Ok(SignalRequest { message: None }) => Read::Unknown,
            Ok(request) => Read::Request(Box::new(request)),
            Err(read) => read,
        }
    }

    /// Writes a response.
    pub(super) fn write(self, response: &SignalResponse) -> Frame {
        match self {
            Self::Protobuf => Frame::Binary(response.encode_to_vec().into()),
            // Generated serialisers fail only for enum numbers without a name, which we never send.
            Self::Json => Frame::Text(serde_json::to_string(response).unwrap_or_default().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use livekit_protocol::signal_request::Message as Ask;
    use livekit_protocol::signal_response::Message as Say;
    use livekit_protocol::{Ping, SignalResponse};
    use proptest::prelude::*;

    use super::*;

    fn ping() -> SignalRequest {
        SignalRequest { message: Some(Ask::PingReq(Ping { timestamp: 5, rtt: 7 })) }
    }

    #[test]
    fn both_formats_carry_the_same_request() {
        let expected = Read::Request(Box::new(ping()));
        assert_eq!(Format::Protobuf.read(&ping().encode_to_vec()), expected);
        assert_eq!(Format::Json.read(br#"{"pingReq":{"timestamp":"5","rtt":"7"}}"#), expected);
        assert_eq!(Format::Json.read(br#"{"ping_req":{"timestamp":5,"rtt":7}}"#), expected);
    }

    #[test]
    fn a_request_of_a_newer_client_is_unknown_and_not_malformed() {
        assert_eq!(Format::Protobuf.read(&[0xba, 0x3e, 0]), Read::Unknown, "field 999");
        assert_eq!(Format::Protobuf.read(&[]), Read::Unknown);
        assert_eq!(Format::Json.read(br#"{"later":{}}"#), Read::Unknown);
        assert_eq!(Format::Json.read(b"{}"), Read::Unknown);
        assert_eq!(Format::Json.read("[".repeat(100_000).as_bytes()), Read::Unknown, "deep");
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        assert_eq!(Format::Protobuf.read(&[0xff; 20]), Read::Malformed);
        assert_eq!(Format::Protobuf.read(&ping().encode_to_vec()[..3]), Read::Malformed, "truncated");
        assert_eq!(Format::Json.read(b"{\"ping\":"), Read::Malformed);
    }

    #[test]
    fn a_response_is_written_as_the_client_reads_it() {
        let response = SignalResponse { message: Some(Say::Pong(9)) };
        let Frame::Binary(bytes) = Format::Protobuf.write(&response) else { panic!("binary") };
        assert_eq!(SignalResponse::decode(bytes), Ok(response.clone()));
        let Frame::Text(text) = Format::Json.write(&response) else { panic!("text") };
        assert_eq!(text.as_str(), r#"{"pong":"9"}"#);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            Format::Protobuf.read(&bytes);
            Format::Json.read(&bytes);
        }

        #[test]
        fn no_json_makes_it_panic(text in r#"\{"(ping|offer|trickle|mute|addTrack|leave)":[-\[\]{}":,a-z0-9.]{0,60}\}"#) {
            Format::Json.read(text.as_bytes());
        }
    }
}
