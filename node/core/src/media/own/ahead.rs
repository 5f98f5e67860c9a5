//! Reading ahead. Viewers of one track are served one after the other, and of five hundred each one's state has left the
//! processor's near memory by its turn: a little of each part is read while packets of those before are sealed, and the rest
//! of its line comes along. It takes 6 % off a packet, to 50 viewers as to 500 (docs/performance.md).

use super::Own;
use super::stream::Outflow;

impl Own {
    /// Reads a little of each part that sending needs, but its streams.
    pub fn read_ahead(&self) -> u64 {
        let parts = self.pacer.read_ahead() ^ self.history.read_ahead();
        parts ^ self.bytes ^ self.streams.len() as u64 ^ u64::from(self.destination.is_some())
    }

    /// The same of its first stream.
    pub fn read_stream_ahead(&self) -> u64 {
        self.streams.first().map_or(0, Outflow::read_ahead)
    }
}
