//! What a node's fresh token says of the session that it was given to: enough to go on elsewhere when nobody else knows it.
//!
//! The claim is signed with the rest, by the key of the project. A token from an application has none.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{NodeId, ParticipantSid, TrackSid};

/// A token's claim `origoSession`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// A session of a node.
    Session(Box<SessionClaim>),
    /// Nothing that this version can read. The rest of the token stands.
    Unreadable,
}

impl Carried {
    /// The session, if it can be read.
    pub fn session(&self) -> Option<&SessionClaim> {
        match self {
            Self::Session(session) => Some(session),
            Self::Unreadable => None,
        }
    }
}

impl Serialize for Carried {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.session().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Carried {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Read {
            Session(Box<SessionClaim>),
            Other(IgnoredAny),
        }
        Ok(match Read::deserialize(deserializer)? {
            Read::Session(session) => Self::Session(session),
            Read::Other(_) => Self::Unreadable,
        })
    }
}

/// A session as the node knew it that signed the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionClaim {
    /// The node.
    pub node: NodeId,
    /// The session.
    pub sid: ParticipantSid,
    /// Which session of its identity it is: of two the higher stays.
    pub incarnation: u64,
    /// How often it went on at another node.
    pub owner_epoch: u32,
    /// When it joined, unix milliseconds.
    pub joined_ms: u64,
    /// What nodes add to the numbers that it gives its reliable packets.
    #[serde(default)]
    pub sequence_base: u32,
    /// Tracks that others know of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<TrackClaim>,
}

/// A published track: by which id clients know it, and how it is known again when it is published anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackClaim {
    /// By which clients know it.
    pub sid: TrackSid,
    /// Its `TrackType`.
    pub kind: i32,
    /// Its `TrackSource`.
    pub source: i32,
    /// The name that its publisher gave it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its publisher's id for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cid: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Claims, Keys, VideoGrant, mint, verify};

    const NOW: u64 = 1_800_000_000;

    fn keys() -> Keys {
        Keys::only("devkey", "a secret of thirty-two characters", "default")
    }

    fn claim() -> SessionClaim {
        SessionClaim {
            node: NodeId(*b"0123456789abcdef"),
            sid: "PA_23456789ABCD".parse().unwrap(),
            incarnation: NOW,
            owner_epoch: 2,
            joined_ms: 1_000 * NOW,
            sequence_base: 0,
            tracks: vec![TrackClaim {
                sid: "TR_23456789ABCD".parse().unwrap(),
                kind: 1,
                source: 1,
                name: String::new(),
                cid: "cam".into(),
            }],
        }
    }

    fn claims(session: Option<Carried>) -> Claims {
        Claims {
            iss: "devkey".into(),
            sub: "ana".into(),
            exp: NOW + 60,
            video: VideoGrant { room_join: true, room: "demo".into(), ..VideoGrant::default() },
            origo_session: session,
            ..Claims::default()
        }
    }

    /// A signed token whose session is any JSON.
    fn read(session: Value) -> Option<Carried> {
        let mut claims = serde_json::to_value(claims(None)).unwrap();
        claims["origoSession"] = session;
        let key = jsonwebtoken::EncodingKey::from_secret(b"a secret of thirty-two characters");
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        verify(&token, &keys(), NOW).unwrap().0.origo_session
    }

    #[test]
    fn a_session_reads_back_from_a_token_as_it_was_signed() {
        let claims = claims(Some(Carried::Session(Box::new(claim()))));
        let token = mint(&claims, &keys().0["devkey"].secret);
        assert_eq!(verify(&token, &keys(), NOW).unwrap().0, claims);
    }

    #[test]
    fn a_token_without_one_says_nothing_of_it() {
        assert!(!serde_json::to_string(&claims(None)).unwrap().contains("origo"));
        assert_eq!(read(Value::Null), None);
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over_and_what_cannot_be_read_leaves_the_token_good() {
        let mut later = serde_json::to_value(claim()).unwrap();
        later["added"] = json!({"by": "another version"});
        assert_eq!(read(later.clone()), Some(Carried::Session(Box::new(claim()))));
        for (field, wrong) in [
            ("sid", json!("PA_short")),
            ("node", json!(7)),
            ("incarnation", json!(-1)),
            ("ownerEpoch", json!(1_u64 << 32)),
            ("joinedMs", Value::Null),
            ("tracks", json!([{"sid": "TR_23456789ABCD"}])),
        ] {
            let mut broken = later.clone();
            broken[field] = wrong;
            assert_eq!(read(broken), Some(Carried::Unreadable), "{field}");
        }
        assert_eq!(claims(Some(Carried::Unreadable)).origo_session.unwrap().session(), None);
        mint(&claims(Some(Carried::Unreadable)), &keys().0["devkey"].secret);
    }

    /// Any JSON, three levels deep.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "(PA|TR|ND)?_?[a-zA-Z0-9]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            let field = prop_oneof![
                Just("node".to_owned()),
                Just("sid".to_owned()),
                Just("incarnation".to_owned()),
                Just("ownerEpoch".to_owned()),
                Just("joinedMs".to_owned()),
                Just("tracks".to_owned()),
                ".{0,8}",
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((field, inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_signed_session_makes_it_panic_or_spoils_the_token(session in json()) {
            let is_null = session.is_null();
            let carried = read(session);
            prop_assert_eq!(carried.is_none(), is_null);
        }

        #[test]
        fn no_other_value_of_a_field_makes_it_panic_or_spoils_the_token(at in 0usize..6, value in json()) {
            let mut session = serde_json::to_value(claim()).unwrap();
            let field = ["node", "sid", "incarnation", "ownerEpoch", "joinedMs", "tracks"][at];
            session[field] = value;
            prop_assert!(read(session).is_some());
        }
    }
}
