//! A datagram that a link sends: a head of its own, and a payload that it shares with other links' datagrams.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

/// What goes on the media connection as one datagram. A packet that goes to ten peers, and is kept for each in case it
/// is lost, lies in memory once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    head: Bytes,
    payload: Option<Arc<[u8]>>,
}

impl Datagram {
    pub(super) fn new(head: Bytes, payload: Arc<[u8]>) -> Self {
        Self { head, payload: Some(payload) }
    }

    /// The payload of an RTP packet under another head.
    pub(super) fn with_head(&self, head: Bytes) -> Self {
        Self { head, payload: self.payload.clone() }
    }

    /// Everything before the payload of an RTP packet; all of a link message.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The payload of an RTP packet; nothing of a link message.
    pub fn payload(&self) -> &[u8] {
        self.payload.as_deref().unwrap_or_default()
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.head.len() + self.payload().len()
    }

    /// Never: each has a head.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes in one piece, cut from an arena.
    pub fn join(self, arena: &mut BytesMut) -> Bytes {
        let Some(payload) = self.payload else { return self.head };
        arena.reserve(self.head.len() + payload.len());
        arena.put_slice(&self.head);
        arena.put_slice(&payload);
        arena.split().freeze()
    }

    /// Its bytes in one piece.
    pub fn to_bytes(&self) -> Bytes {
        self.clone().join(&mut BytesMut::new())
    }
}

impl From<Bytes> for Datagram {
    fn from(head: Bytes) -> Self {
        Self { head, payload: None }
    }
}
