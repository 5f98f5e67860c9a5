//! What our next offer changes, in words that do not name str0m.

use origo_cascade_core::MediaKind;

use super::Mid;

/// What an offer changes.
pub(in crate::media) struct OfferChange<'a> {
    /// Open LiveKit's two channels.
    pub open_channels: bool,
    /// Sections to append.
    pub add: &'a [NewSection],
    /// Inactive sections that begin to send, with a fresh SSRC.
    pub resume: &'a [Mid],
    /// Sections that cease to send.
    pub pause: &'a [Mid],
}

/// A section to append to an offer.
pub(in crate::media) struct NewSection {
    /// Sound or picture.
    pub kind: MediaKind,
    /// msid's first part.
    pub stream: String,
    /// msid's second part.
    pub track: String,
}
