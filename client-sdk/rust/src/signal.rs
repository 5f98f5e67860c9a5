//! The signaling socket: LiveKit's protobuf messages over a WebSocket.

use futures_util::{SinkExt, StreamExt};
use livekit_protocol as proto;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Why signaling failed.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The server answered the upgrade with an HTTP error.
    #[error("the server refuses with {status}: {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it says, as far as it came with the head.
        body: String,
    },
    /// The socket failed.
    #[error("the signaling socket failed: {0}")]
    Socket(Box<tungstenite::Error>),
    /// The server sent something that is no `SignalResponse`.
    #[error("the server sent no SignalResponse: {0}")]
    Malformed(#[from] prost::DecodeError),
}

impl From<tungstenite::Error> for SignalError {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Http(response) => Self::Refused {
                status: response.status().as_u16(),
                body: String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned(),
            },
            error => Self::Socket(Box::new(error)),
        }
    }
}

/// An open signaling socket. `ws` only: TLS ends in front of a node, and load is made behind it.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens the socket at a URL of [`crate::Join::signal_url`].
    pub async fn connect(url: &str) -> Result<Self, SignalError> {
        let (socket, _) = tokio_tungstenite::connect_async_with_config(url, None, true).await?;
        Ok(Self(socket))
    }

    /// Sends a request.
    pub async fn send(&mut self, request: &proto::SignalRequest) -> Result<(), SignalError> {
        self.send_bytes(request.encode_to_vec()).await
    }

    /// Sends any bytes as a binary message.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) -> Result<(), SignalError> {
        Ok(self.0.send(Message::Binary(bytes.into())).await?)
    }

    /// Sends any text as a text message.
    pub async fn send_text(&mut self, text: String) -> Result<(), SignalError> {
        Ok(self.0.send(Message::Text(text.into())).await?)
    }

    /// The next response; `None` when the server has closed the socket.
    pub async fn next(&mut self) -> Option<Result<proto::SignalResponse, SignalError>> {
        loop {
            match self.0.next().await? {
                Ok(Message::Binary(bytes)) => return Some(proto::SignalResponse::decode(bytes).map_err(Into::into)),
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return None,
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    /// Says goodbye and closes.
    pub async fn close(mut self) {
        // The other side may be gone already.
        let _ = self.0.close(None).await;
    }
}
