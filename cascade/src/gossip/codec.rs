//! Between chitchat's envelopes and bytes.
//!
//! chitchat 0.13 lets others implement its `Socket` but keeps the (de)serialisation of envelopes to itself: only its own
//! `UdpSocket` turns one into bytes. So that socket is used as the codec, over a pair of loopback sockets that nothing
//! else can speak to. A few messages per round pass, so the detour costs nothing that matters. It goes as soon as the
//! crate opens `ChitchatEnvelope::serialize`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chitchat::ChitchatEnvelope;
use chitchat::transport::{Socket, UdpSocket as ChitchatSocket};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::GOSSIP_BYTES_MAX;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// chitchat passes over what it cannot read without a word, so silence for this long means: malformed.
const ANSWER_MAX: Duration = Duration::from_millis(100);

/// Turns envelopes into bytes or back.
pub(super) struct Codec {
    envelopes: ChitchatSocket,
    bytes: UdpSocket,
    buffer: Vec<u8>,
}

impl Codec {
    /// Opens the pair.
    pub(super) async fn open() -> anyhow::Result<Self> {
        let envelopes = ChitchatSocket::open(LOOPBACK).await?;
        let bytes = UdpSocket::bind(LOOPBACK).await?;
        // The kernel then lets nobody else's datagrams through.
        bytes.connect(envelopes.local_addr()?).await?;
        Ok(Self { envelopes, bytes, buffer: vec![0; GOSSIP_BYTES_MAX] })
    }

    /// The bytes of an envelope.
    pub(super) async fn encode(&mut self, envelope: ChitchatEnvelope) -> anyhow::Result<Vec<u8>> {
        // An answer that came too late for its call belongs to no call.
        while self.bytes.try_recv(&mut self.buffer).is_ok() {}
        self.envelopes.send(self.bytes.local_addr()?, envelope).await?;
        let length = timeout(ANSWER_MAX, self.bytes.recv(&mut self.buffer)).await??;
        Ok(self.buffer[..length].to_vec())
    }

    /// The envelope of some bytes; `None` if they are none.
    pub(super) async fn decode(&mut self, bytes: &[u8]) -> anyhow::Result<Option<ChitchatEnvelope>> {
        while timeout(Duration::ZERO, self.envelopes.recv()).await.is_ok() {}
        self.bytes.send(bytes).await?;
        let ours = self.bytes.local_addr()?;
        loop {
            match timeout(ANSWER_MAX, self.envelopes.recv()).await {
                Ok(outcome) => {
                    let outcome = outcome?;
                    // Somebody else on this machine may send to the port; it is not of the mesh.
                    if outcome.from_addr == ours {
                        return Ok(Some(outcome.envelope));
                    }
                }
                Err(_) => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chitchat::{ChitchatMessage, ProtocolVersion};

    use super::*;

    #[tokio::test]
    async fn an_envelope_reads_back_and_junk_is_none() {
        let (mut there, mut back) = (Codec::open().await.unwrap(), Codec::open().await.unwrap());
        let envelope = || ChitchatEnvelope { version: ProtocolVersion::V1, message: ChitchatMessage::BadCluster };
        let bytes = there.encode(envelope()).await.unwrap();
        assert_eq!(back.decode(b"junk").await.unwrap(), None);
        assert_eq!(back.decode(&[]).await.unwrap(), None);
        assert_eq!(back.decode(&bytes).await.unwrap(), Some(envelope()));
    }
}
