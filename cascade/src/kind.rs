//! The kinds of connection between two nodes, and the codes that end them.

use quinn::VarInt;

/// What a connection carries; its ALPN says so in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Control frames and gossip.
    Control,
    /// RTP and link messages.
    Media,
    /// Participants' data packets.
    Data,
}

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Self; 3] = [Self::Control, Self::Media, Self::Data];

    /// Its name in the handshake.
    pub(crate) fn alpn(self) -> &'static [u8] {
        match self {
            Self::Control => b"origo-ctl/1",
            Self::Media => b"origo-media/1",
            Self::Data => b"origo-data/1",
        }
    }

    /// The kind of that name.
    pub(crate) fn of_alpn(alpn: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.alpn() == alpn)
    }
}

/// Why a node ends a connection; see `docs/wire.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Close {
    /// Nothing is wrong.
    Done = 0,
    /// The node leaves the mesh.
    Leaving = 1,
    /// A better connection of this kind is there.
    Duplicate = 2,
    /// No version that both speak.
    Version = 3,
    /// A frame cannot be read.
    Malformed = 4,
    /// The peer does not take what it is sent.
    Slow = 5,
    /// A newer life of the peer is linked: it was started anew, or two processes run with its identity.
    OtherLife = 6,
}

impl Close {
    pub(crate) fn code(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    fn reason(self) -> &'static [u8] {
        match self {
            Self::Done => b"done",
            Self::Leaving => b"leaving the mesh",
            Self::Duplicate => b"a better connection is there",
            Self::Version => b"no common version",
            Self::Malformed => b"a frame cannot be read",
            Self::Slow => b"too slow",
            Self::OtherLife => b"a newer life of your node is linked",
        }
    }

    /// Ends a connection.
    pub(crate) fn end(self, connection: &quinn::Connection) {
        connection.close(self.code(), self.reason());
    }

    /// Whether the peer ended a connection with this code.
    pub(crate) fn is_why(self, error: &quinn::ConnectionError) -> bool {
        matches!(error, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == self.code())
    }
}
