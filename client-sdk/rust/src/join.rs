//! Where a participant joins: the signaling URL of LiveKit's two forms, with everything that rides in it.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use livekit_protocol as proto;
use prost::Message;

use crate::{Options, Successor};

/// Protocol number that we report: as `livekit-client` 2.23.
const PROTOCOL: i32 = 17;

/// What a participant asks for as it joins.
#[derive(Clone, Debug)]
pub struct Join<'a> {
    /// `ws://host:port`, or `http` in place of `ws`.
    pub url: &'a str,
    /// LiveKit access token.
    pub token: &'a str,
    /// Form and wishes.
    pub options: &'a Options,
    /// v1: the first offer.
    pub offer: Option<proto::SessionDescription>,
    /// Sid of the participant to resume.
    pub resume: Option<&'a str>,
}

impl Join<'_> {
    /// The URL of the WebSocket, token and all.
    pub fn signal_url(&self) -> String {
        let base = self.url.trim_end_matches('/');
        let base = base.strip_prefix("http").map(|rest| format!("ws{rest}")).unwrap_or_else(|| base.to_owned());
        let successor = match &self.options.successor {
            None => String::new(),
            Some(Successor::Able) => "origo_successor=1&".to_owned(),
            Some(Successor::Of(session)) => format!("origo_successor={session}&"),
        };
        if self.options.single_connection {
            format!("{base}/rtc/v1?{successor}access_token={}&join_request={}", self.token, self.join_request())
        } else {
            format!("{base}/rtc?{successor}access_token={}{}", self.token, self.query())
        }
    }

    fn query(&self) -> String {
        let auto_subscribe = u8::from(self.options.auto_subscribe);
        let version = env!("CARGO_PKG_VERSION");
        let mut query = format!("&auto_subscribe={auto_subscribe}&sdk=rust&version={version}&protocol={PROTOCOL}");
        if let Some(sid) = self.resume {
            query.push_str("&reconnect=1&reconnect_reason=1&sid=");
            query.push_str(sid);
        }
        query
    }

    fn join_request(&self) -> String {
        let request = proto::JoinRequest {
            client_info: Some(client_info()),
            connection_settings: Some(proto::ConnectionSettings {
                auto_subscribe: self.options.auto_subscribe,
                ..Default::default()
            }),
            publisher_offer: self.offer.clone(),
            reconnect: self.resume.is_some(),
            reconnect_reason: i32::from(self.resume.is_some()),
            participant_sid: self.resume.unwrap_or_default().to_owned(),
            ..Default::default()
        };
        let wrapped = proto::WrappedJoinRequest {
            compression: proto::wrapped_join_request::Compression::Gzip as i32,
            join_request: gzip(&request.encode_to_vec()),
        };
        URL_SAFE.encode(wrapped.encode_to_vec())
    }
}

fn client_info() -> proto::ClientInfo {
    proto::ClientInfo {
        sdk: proto::client_info::Sdk::Rust as i32,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        os: std::env::consts::OS.to_owned(),
        ..Default::default()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn v1_carries_the_offer_in_the_url() {
        let offer = proto::SessionDescription { r#type: "offer".into(), sdp: "v=0".into(), ..Default::default() };
        let options = Options::v1();
        let join = Join {
            url: "http://127.0.0.1:7880/",
            token: "T",
            options: &options,
            offer: Some(offer.clone()),
            resume: None,
        };
        let url = join.signal_url();
        let request = url.strip_prefix("ws://127.0.0.1:7880/rtc/v1?access_token=T&join_request=").expect("the v1 path");
        let wrapped = proto::WrappedJoinRequest::decode(&URL_SAFE.decode(request).unwrap()[..]).unwrap();
        let mut inner = Vec::new();
        flate2::read::GzDecoder::new(&wrapped.join_request[..]).read_to_end(&mut inner).unwrap();
        let request = proto::JoinRequest::decode(&inner[..]).unwrap();
        assert_eq!(request.publisher_offer, Some(offer));
        assert!(request.connection_settings.unwrap().auto_subscribe);
    }

    #[test]
    fn v0_asks_in_the_query() {
        let options = Options { auto_subscribe: false, ..Options::v0() };
        let join =
            Join { url: "wss://edge.example", token: "T", options: &options, offer: None, resume: Some("PA_gone") };
        let url = join.signal_url();
        assert!(url.starts_with("wss://edge.example/rtc?access_token=T&auto_subscribe=0&"), "{url}");
        assert!(url.ends_with("&reconnect=1&reconnect_reason=1&sid=PA_gone"), "{url}");
    }
}
