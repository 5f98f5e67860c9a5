//! A datagram of a link: a head of its own, and a payload that it shares with other links' datagrams.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

/// Heads up to so many bytes lie in the datagram itself: all but those with a long dependency descriptor.
pub(super) const HEAD_BYTES: usize = 30;

/// What goes on the media connection as one datagram. A packet that goes to ten peers, and is kept for each in case it
/// is lost, lies in memory once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// An RTP packet.
    Packet { length: u8, head: [u8; HEAD_BYTES], payload: Arc<[u8]> },
    /// The same with a long head.
    Long { head: Arc<[u8]>, payload: Arc<[u8]> },
    /// A link message, or whatever a peer sent.
    Whole(Bytes),
}

impl Datagram {
    pub(super) fn new(head: &[u8], payload: Arc<[u8]>) -> Self {
        let mut short = [0; HEAD_BYTES];
        match short.get_mut(..head.len()) {
            Some(room) => {
                room.copy_from_slice(head);
                Self::short(head.len(), short, payload)
            }
            None => Self(Kind::Long { head: head.into(), payload }),
        }
    }

    /// With a head of `length` bytes, at most [`HEAD_BYTES`].
    pub(super) fn short(length: usize, head: [u8; HEAD_BYTES], payload: Arc<[u8]>) -> Self {
        Self(Kind::Packet { length: length as u8, head, payload })
    }

    /// The payload of an RTP packet under another head.
    pub(super) fn with_head(&self, head: &[u8]) -> Self {
        match self.shared() {
            Some(payload) => Self::new(head, payload.clone()),
            None => Self(Kind::Whole(Bytes::copy_from_slice(head))),
        }
    }

    /// The payload of an RTP packet that this node's process has written.
    pub(super) fn shared(&self) -> Option<&Arc<[u8]>> {
        match &self.0 {
            Kind::Packet { payload, .. } | Kind::Long { payload, .. } => Some(payload),
            Kind::Whole(_) => None,
        }
    }

    /// Everything before the payload of an RTP packet that was written here; all of anything else.
    pub fn head(&self) -> &[u8] {
        match &self.0 {
            Kind::Packet { length, head, .. } => head.get(..usize::from(*length)).unwrap_or_default(),
            Kind::Long { head, .. } => head,
            Kind::Whole(bytes) => bytes,
        }
    }

    /// The payload of an RTP packet that was written here; nothing of anything else.
    pub fn payload(&self) -> &[u8] {
        self.shared().map(|payload| &payload[..]).unwrap_or_default()
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.head().len() + self.payload().len()
    }

    /// Whether it has no bytes: none that a link writes is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes in one piece, cut from an arena.
    pub fn join(self, arena: &mut BytesMut) -> Bytes {
        if let Kind::Whole(bytes) = self.0 {
            return bytes;
        }
        arena.reserve(self.len());
        arena.put_slice(self.head());
        arena.put_slice(self.payload());
        arena.split().freeze()
    }

    /// Its bytes in one piece.
    pub fn to_bytes(&self) -> Bytes {
        self.clone().join(&mut BytesMut::new())
    }
}

impl From<Bytes> for Datagram {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_of_any_length_stays_as_it_is_and_the_payload_is_shared() {
        let payload: Arc<[u8]> = [7; 5].into();
        for length in [0, 1, HEAD_BYTES, HEAD_BYTES + 1, 300] {
            let head: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            let datagram = Datagram::new(&head, payload.clone());
            assert_eq!((datagram.head(), datagram.payload(), datagram.len()), (&head[..], &payload[..], length + 5));
            assert_eq!(datagram.to_bytes(), [&head[..], &payload].concat());
            assert!(Arc::ptr_eq(datagram.with_head(&[1]).shared().unwrap(), &payload));
        }
        let whole = Datagram::from(Bytes::from_static(&[1, 2, 3]));
        assert_eq!((whole.head(), whole.payload(), whole.len()), (&[1, 2, 3][..], &[][..], 3));
    }
}
