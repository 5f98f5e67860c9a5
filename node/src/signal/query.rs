//! LiveKit v0: everything that a client asks for stands in query parameters of its own.

use base64::Engine;
use livekit_protocol::ClientInfo;
use livekit_protocol::client_info::{Capability, Sdk};

use super::asked::{Asked, AskedError};
use super::join_request::BASE64URL;
use crate::http::Parameters;

/// Reads the parameters of a v0 join; unknown ones are ignored.
pub(super) fn read(parameters: &Parameters) -> Result<Asked, AskedError> {
    let asked = Asked {
        client: client(parameters),
        single_connection: false,
        auto_subscribe: parameters.flag("auto_subscribe").unwrap_or(true),
        may_pause: parameters.flag("subscriber_allow_pause").unwrap_or(false),
        disable_ice_lite: parameters.flag("disable_ice_lite").unwrap_or(false),
        resume: parameters.flag("reconnect").unwrap_or(false).then(|| parameters.text("sid")),
        attributes: parameters.get("attributes").map(attributes).transpose()?.unwrap_or_default(),
        publish_only: parameters.get("publish").map(str::to_owned),
        ..Asked::default()
    };
    asked.checked()
}

fn client(parameters: &Parameters) -> ClientInfo {
    let capabilities = parameters.get("capabilities").unwrap_or_default().split(',');
    ClientInfo {
        sdk: sdk(parameters.get("sdk").unwrap_or_default()).into(),
        version: parameters.text("version"),
        protocol: parameters.number("protocol").unwrap_or(0),
        client_protocol: parameters.number("client_protocol").unwrap_or(0),
        os: parameters.text("os"),
        os_version: parameters.text("os_version"),
        device_model: parameters.text("device_model"),
        browser: parameters.text("browser"),
        browser_version: parameters.text("browser_version"),
        network: parameters.text("network"),
        capabilities: capabilities.filter_map(Capability::from_str_name).map(i32::from).collect(),
        ..ClientInfo::default()
    }
}

/// SDKs name themselves in lower case and without underscores.
fn sdk(name: &str) -> Sdk {
    match name.to_ascii_lowercase().as_str() {
        "ios" => Sdk::Swift,
        "reactnative" => Sdk::ReactNative,
        "unityweb" => Sdk::UnityWeb,
        name => Sdk::from_str_name(&name.to_ascii_uppercase()).unwrap_or(Sdk::Unknown),
    }
}

fn attributes(text: &str) -> Result<std::collections::BTreeMap<String, String>, AskedError> {
    let json = BASE64URL.decode(text).map_err(|_| AskedError::Attributes)?;
    serde_json::from_slice(&json).map_err(|_| AskedError::Attributes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(query: &str) -> Result<Asked, AskedError> {
        super::read(&Parameters::of(&format!("/rtc?{query}").parse().unwrap()))
    }

    #[test]
    fn a_join_of_livekit_client_is_read() {
        let asked = read(
            "access_token=t&auto_subscribe=1&sdk=js&version=2.23.0&protocol=17&device_model=&os=Linux&os_version=&\
             browser=Chrome&browser_version=147&adaptive_stream=1&client_protocol=2&capabilities=CAP_PACKET_TRAILER,CAP_NEW",
        )
        .unwrap();
        assert_eq!((asked.client.sdk(), asked.client.protocol, asked.client.client_protocol), (Sdk::Js, 17, 2));
        assert_eq!(asked.client.capabilities, [Capability::CapPacketTrailer as i32]);
        assert!(asked.auto_subscribe && !asked.single_connection && asked.resume.is_none());
    }

    #[test]
    fn every_value_has_a_default() {
        let asked = read("").unwrap();
        assert_eq!(asked, Asked { auto_subscribe: true, ..Asked::default() });
    }

    #[test]
    fn a_resume_names_its_session() {
        let asked =
            read("reconnect=1&sid=PA_abcdefghijkm&auto_subscribe=false&publish=screen&subscriber_allow_pause=1")
                .unwrap();
        assert_eq!(asked.resume.as_deref(), Some("PA_abcdefghijkm"));
        assert!(asked.may_pause);
        assert_eq!((asked.auto_subscribe, asked.publish_only.as_deref()), (false, Some("screen")));
    }

    #[test]
    fn sdk_names_are_known_as_the_sdks_write_them() {
        for (name, sdk) in
            [("ios", Sdk::Swift), ("reactnative", Sdk::ReactNative), ("python", Sdk::Python), ("go", Sdk::Go)]
        {
            assert_eq!(super::sdk(name), sdk);
        }
        assert_eq!(super::sdk("later"), Sdk::Unknown);
    }

    #[test]
    fn attributes_come_with_or_without_padding() {
        // {"a":"b1"}
        for text in ["eyJhIjoiYjEifQ", "eyJhIjoiYjEifQ%3D%3D"] {
            assert_eq!(read(&format!("attributes={text}")).unwrap().attributes["a"], "b1");
        }
        assert_eq!(read("attributes=!"), Err(AskedError::Attributes));
        assert_eq!(read("attributes=W10"), Err(AskedError::Attributes), "a list");
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "[-a-z0-9_=&%.,+]{0,200}") {
            let _ = read(&query);
        }
    }
}
