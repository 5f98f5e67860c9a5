//! ICE over TCP on the port of HTTP (RFC 6544): told apart by the first byte, and brought to the media workers.
//!
//! A stream of ICE begins with the length of a STUN request in two bytes (RFC 4571), below 2,048; a request of HTTP
//! begins with a letter, a TLS handshake with 22.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use origo_node_core::media::ufrag_of;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Counted, Surface};
use crate::worker::{Arrival, frame_length};

/// First bytes that no HTTP request has.
const FIRST_BYTE_MAX: u8 = 0x07;
/// How long the first check may take to come in whole.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a connection that begins like this speaks ICE.
pub(super) fn is_ice(surface: &Surface, first: u8) -> bool {
    first <= FIRST_BYTE_MAX && surface.app.entrance.is_open()
}

/// Reads the first check and brings the connection to the worker that it is for.
pub(super) async fn admit(mut stream: TcpStream, peer: SocketAddr, surface: Arc<Surface>, counted: Counted) {
    let count = |reason| surface.app.dropped.count("ice tcp", reason);
    let first = match timeout(CHECK_TIMEOUT, read_frame(&mut stream)).await {
        Ok(Some(frame)) => frame,
        Ok(None) => return count("malformed"),
        Err(_) => return count("silent"),
    };
    let Some(ufrag) = ufrag_of(&first[2..]).map(str::to_owned) else { return count("malformed") };
    // A stream of tokio's does not block.
    let Ok(stream) = stream.into_std() else { return count("broken") };
    let source = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let arrival = Arrival { stream, source, first, ufrag, counted: Box::new(counted) };
    if let Err(unwanted) = surface.app.entrance.bring(arrival).await {
        tracing::debug!(%peer, ?unwanted, "nobody takes an ICE connection over TCP");
        count(unwanted.reason());
    }
}

/// The first frame with its length; none when it is none that is taken, or the stream ends.
async fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 2];
    stream.read_exact(&mut frame).await.ok()?;
    let length = frame_length(frame[0], frame[1]).ok()?;
    frame.resize(2 + length, 0);
    stream.read_exact(&mut frame[2..]).await.ok()?;
    Some(frame)
}
