//! A peer's media connection as the link thread uses it.

use bytes::Bytes;
use quinn::{Connection, SendDatagramError};

use crate::congestion::{Allowed, carry_media};
use crate::news::{Connected, ConnectionNumber};
use crate::stats::{Drops, Shared};
use crate::transport::{DATAGRAM_SEND_BUFFER, MEDIA_STREAM_WINDOW};

/// See the module.
pub(crate) struct Media {
    pub(super) number: ConnectionNumber,
    pub(super) connection: Connection,
    pub(super) dialled_here: bool,
    pub(super) allowed: Allowed,
    /// What the link believes to stand in QUIC's queue.
    told_queued: usize,
}

impl Media {
    /// Takes a connection into use.
    pub(super) fn new(connected: &Connected) -> Self {
        let connection = connected.connection.clone();
        connection.set_send_window(MEDIA_STREAM_WINDOW);
        let allowed = carry_media(&connection);
        Self { number: connected.number, connection, dialled_here: connected.dial.is_some(), allowed, told_queued: 0 }
    }

    /// Bytes in QUIC's queue, if the link should hear of them.
    pub(super) fn take_queued(&mut self) -> Option<usize> {
        let queued = DATAGRAM_SEND_BUFFER.saturating_sub(self.connection.datagram_send_buffer_space());
        (std::mem::replace(&mut self.told_queued, queued) != queued).then_some(queued)
    }

    /// Sends a datagram; what is too large for one goes as a stream of its own.
    pub(super) fn transmit(&self, datagram: Bytes, shared: &Shared) {
        if self.connection.datagram_send_buffer_space() < datagram.len() {
            // QUIC would silently discard the oldest instead.
            Drops::count(&shared.drops.send_buffer);
            return;
        }
        if let Err(SendDatagramError::TooLarge) = self.connection.send_datagram(datagram.clone()) {
            let connection = self.connection.clone();
            tokio::task::spawn_local(async move {
                if let Ok(mut stream) = connection.open_uni().await {
                    // A connection that ends is noticed by its reader.
                    let _ = stream.write_chunk(datagram).await;
                }
            });
        }
    }
}
