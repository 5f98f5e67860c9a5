//! The names of things: newtypes made once at the edge, so that a participant's id cannot be passed for a track's.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngCore};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Letters of the random part of a sid; look-alikes are left out.
const ALPHABET: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Random letters in a sid: 12 letters of 57 carry 70 bits.
const SID_LETTERS: usize = 12;

/// A string that is no sid of the asked kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {prefix}… id")]
pub struct SidError {
    /// The prefix that was asked for, such as `TR_`.
    pub prefix: &'static str,
    /// What came instead, cut at 64 characters.
    pub value: String,
}

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; SID_LETTERS]);

        impl $name {
            /// What every id of this kind begins with; client SDKs test it.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh id from the given randomness.
            pub fn random(rng: &mut dyn RngCore) -> Self {
                let mut letters = [0; SID_LETTERS];
                for letter in &mut letters {
                    *letter = ALPHABET[rng.random_range(0..ALPHABET.len())];
                }
                Self(letters)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                // The letters are ASCII by construction: `random` and `from_str` admit nothing else.
                f.write_str(std::str::from_utf8(&self.0).expect("ASCII by construction"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = SidError;

            fn from_str(value: &str) -> Result<Self, SidError> {
                let wrong = || SidError { prefix: $prefix, value: value.chars().take(64).collect() };
                let letters = value.strip_prefix($prefix).ok_or_else(wrong)?.as_bytes();
                if !letters.iter().all(u8::is_ascii_alphanumeric) {
                    return Err(wrong());
                }
                Ok(Self(letters.try_into().map_err(|_| wrong())?))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

sid!(/** A room's session id, `RM_…`: new each time the room comes to life. */ RoomSid, "RM_");
sid!(/** A participant's session id, `PA_…`: new with each join, kept over a resume. */ ParticipantSid, "PA_");
sid!(/** A published track's id, `TR_…`. */ TrackSid, "TR_");

/// A node's id: the first 16 bytes of the SHA-256 of its public key (SubjectPublicKeyInfo, DER). Shown as `ND_` and
/// 32 hex digits. A peer proves it in the TLS handshake, so nobody can speak for another node.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub [u8; 16]);

/// As bytes are ordered. Maps by node are searched for each packet, where two numbers are compared in a tenth of the
/// time of two slices.
impl Ord for NodeId {
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl NodeId {
    /// What every node id begins with.
    pub const PREFIX: &'static str = "ND_";
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ND_{}", hex::encode(self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = SidError;

    fn from_str(value: &str) -> Result<Self, SidError> {
        let wrong = || SidError { prefix: Self::PREFIX, value: value.chars().take(64).collect() };
        let mut bytes = [0; 16];
        let digits = value.strip_prefix(Self::PREFIX).ok_or_else(wrong)?;
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
        Ok(Self(bytes))
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Who pays for a room; the API key that signed a token names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProjectId(pub String);

/// A participant's identity: unique in its room, chosen by the application, proved by the token's `sub`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity(pub String);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A room's key, in every message, hash and metric: two projects may both have a room of the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoomKey {
    /// Who the room belongs to.
    pub project: ProjectId,
    /// The name that the token and the application use.
    pub name: String,
}

impl RoomKey {
    /// The key of room `name` in `project`.
    pub fn new(project: impl Into<String>, name: impl Into<String>) -> Self {
        Self { project: ProjectId(project.into()), name: name.into() }
    }
}

impl fmt::Display for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project.0, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_reads_back_what_it_shows_and_refuses_another_kind() {
        let sid = TrackSid::random(&mut rand::rng());
        assert_eq!(sid.to_string().parse(), Ok(sid));
        assert!(sid.to_string().parse::<ParticipantSid>().is_err());
        assert!("TR_short".parse::<TrackSid>().is_err());
    }

    #[test]
    fn a_node_id_reads_back_what_it_shows() {
        let id = NodeId(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("ND_zz".parse::<NodeId>().is_err());
    }
}
