//! LiveKit v1: everything that a client asks for, its first offer included, stands in one parameter `join_request`.

use std::io::Read;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use livekit_protocol::wrapped_join_request::Compression;
use livekit_protocol::{JoinRequest, WrappedJoinRequest};
use prost::Message;

use super::asked::{Asked, AskedError};

/// With or without padding: SDKs differ.
pub(super) const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The largest join request after inflating, bytes. LiveKit's bound.
const JOIN_REQUEST_BYTES_MAX: usize = 1 << 20;
/// The longest offer, bytes: a hundred sections, which is more than a first offer ever has.
const OFFER_BYTES_MAX: usize = 256 * 1024;
/// Tracks that a client may announce at once.
const ADD_TRACKS_MAX: usize = 32;

/// Reads the `join_request` of a v1 join.
pub(super) fn read(text: &str) -> Result<Asked, AskedError> {
    let wrapped = BASE64URL.decode(text).map_err(|_| AskedError::Base64)?;
    let wrapped = WrappedJoinRequest::decode(&*wrapped).map_err(|_| AskedError::Protobuf("WrappedJoinRequest"))?;
    let bytes = match Compression::try_from(wrapped.compression) {
        Ok(Compression::None) => wrapped.join_request,
        Ok(Compression::Gzip) => inflate(&wrapped.join_request)?,
        Err(_) => return Err(AskedError::Compression(wrapped.compression)),
    };
    let request = JoinRequest::decode(&*bytes).map_err(|_| AskedError::Protobuf("JoinRequest"))?;
    asked(request)?.checked()
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, AskedError> {
    let mut inflated = Vec::new();
    let bound = JOIN_REQUEST_BYTES_MAX as u64 + 1;
    GzDecoder::new(bytes).take(bound).read_to_end(&mut inflated).map_err(|_| AskedError::Gzip)?;
    if inflated.len() > JOIN_REQUEST_BYTES_MAX {
        return Err(AskedError::TooLarge(JOIN_REQUEST_BYTES_MAX));
    }
    Ok(inflated)
}

fn asked(request: JoinRequest) -> Result<Asked, AskedError> {
    let settings = request.connection_settings;
    if request.publisher_offer.as_ref().is_some_and(|offer| offer.sdp.len() > OFFER_BYTES_MAX) {
        return Err(AskedError::TooLong("publisher_offer"));
    }
    if request.add_track_requests.len() > ADD_TRACKS_MAX {
        return Err(AskedError::TooLong("add_track_requests"));
    }
    Ok(Asked {
        client: request.client_info.unwrap_or_default(),
        single_connection: true,
        auto_subscribe: settings.as_ref().is_none_or(|settings| settings.auto_subscribe),
        may_pause: settings.as_ref().is_some_and(|settings| settings.subscriber_allow_pause == Some(true)),
        disable_ice_lite: settings.as_ref().is_some_and(|settings| settings.disable_ice_lite),
        resume: request.reconnect.then_some(request.participant_sid),
        offer: request.publisher_offer,
        add_tracks: request.add_track_requests,
        metadata: request.metadata,
        attributes: request.participant_attributes.into_iter().collect(),
        publish_only: None,
        ..Asked::default()
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression as Level;
    use flate2::write::GzEncoder;
    use livekit_protocol::{ClientInfo, ConnectionSettings, SessionDescription};
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn wrap(compression: i32, join_request: Vec<u8>) -> String {
        BASE64URL.encode(WrappedJoinRequest { compression, join_request }.encode_to_vec())
    }

    fn request() -> JoinRequest {
        JoinRequest {
            client_info: Some(ClientInfo { protocol: 17, ..ClientInfo::default() }),
            connection_settings: Some(ConnectionSettings { auto_subscribe: true, ..ConnectionSettings::default() }),
            publisher_offer: Some(SessionDescription { sdp: "v=0\r\n".into(), id: 1, ..SessionDescription::default() }),
            ..JoinRequest::default()
        }
    }

    #[test]
    fn a_join_request_is_read_plain_and_compressed_with_padding_and_without() {
        let bytes = request().encode_to_vec();
        for text in [wrap(0, bytes.clone()), wrap(1, gzip(&bytes))] {
            for text in [text.trim_end_matches('=').to_owned(), text] {
                let asked = read(&text).unwrap();
                assert_eq!((asked.client.protocol, asked.single_connection, asked.auto_subscribe), (17, true, true));
                assert_eq!(asked.offer.unwrap().sdp, "v=0\r\n");
            }
        }
    }

    #[test]
    fn a_resume_names_its_session() {
        let request = JoinRequest { reconnect: true, participant_sid: "PA_x".into(), ..request() };
        assert_eq!(read(&wrap(0, request.encode_to_vec())).unwrap().resume.as_deref(), Some("PA_x"));
    }

    #[test]
    fn each_fault_has_its_own_sentence() {
        assert_eq!(read("*"), Err(AskedError::Base64));
        assert_eq!(read("_w"), Err(AskedError::Protobuf("WrappedJoinRequest")));
        assert_eq!(read(&wrap(0, vec![0xff])), Err(AskedError::Protobuf("JoinRequest")));
        assert_eq!(read(&wrap(1, vec![0xff])), Err(AskedError::Gzip));
        assert_eq!(read(&wrap(9, vec![])), Err(AskedError::Compression(9)));
        let request = JoinRequest { add_track_requests: vec![Default::default(); ADD_TRACKS_MAX + 1], ..request() };
        assert_eq!(read(&wrap(0, request.encode_to_vec())), Err(AskedError::TooLong("add_track_requests")));
    }

    #[test]
    fn a_bomb_is_inflated_no_further_than_the_bound() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 70_000, "so small does it come in");
        assert_eq!(read(&wrap(1, bomb)), Err(AskedError::TooLarge(JOIN_REQUEST_BYTES_MAX)));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-_A-Za-z0-9=+/]{0,300}") {
            let _ = read(&text);
        }

        #[test]
        fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), value in any::<u8>(), compressed in any::<bool>()) {
            let bytes = request().encode_to_vec();
            let mut bytes = if compressed { gzip(&bytes) } else { bytes };
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = read(&wrap(i32::from(compressed), bytes));
        }
    }
}
