//! A client that says what it likes.

use std::time::Duration;

use origo_client::proto;
use origo_client::signal::Socket;
use origo_client::{Join, Options};
use origo_tests::node::Node;
use proto::signal_request::Message as Ask;
use proto::signal_response::Message as Say;

use super::neighbours::{ROOM, WAIT};

/// How often it says that it lives, as every SDK does.
const PING: Duration = Duration::from_secs(5);

/// An open signaling socket without a connection behind it.
pub struct Raw(Socket);

impl Raw {
    /// Joins with an offer or none.
    pub async fn join(
        node: &Node,
        identity: &str,
        options: &Options,
        offer: Option<proto::SessionDescription>,
    ) -> Self {
        let (url, token) = (node.url(), node.token(ROOM, identity));
        let url = Join { url: &url, token: &token, options, offer, resume: None }.signal_url();
        Self(Socket::connect(&url).await.expect("a good token opens a socket"))
    }

    pub async fn ask(&mut self, message: Ask) {
        // The node may have closed the socket for what was said before.
        let _ = self.0.send(&proto::SignalRequest { message: Some(message) }).await;
    }

    pub async fn bytes(&mut self, bytes: Vec<u8>) {
        // The node closes while it still reads.
        let _ = self.0.send_bytes(bytes).await;
    }

    /// The first response that `pick` takes; none when the socket is closed before or nothing comes in time.
    pub async fn hear<T>(&mut self, mut pick: impl FnMut(&Say) -> Option<T>) -> Option<T> {
        let hearing = async {
            loop {
                match tokio::time::timeout(PING, self.0.next()).await {
                    Ok(Some(Ok(response))) => {
                        if let Some(picked) = response.message.as_ref().and_then(&mut pick) {
                            return Some(picked);
                        }
                    }
                    Ok(_) => return None,
                    Err(_) => self.ask(Ask::Ping(1)).await,
                }
            }
        };
        tokio::time::timeout(WAIT, hearing).await.ok().flatten()
    }

    /// Whether the session still answers.
    pub async fn is_alive(&mut self) -> bool {
        self.ask(Ask::Ping(4_711)).await;
        self.hear(|said| matches!(said, Say::Pong(_)).then_some(())).await.is_some()
    }

    /// Whether the node closes the socket.
    pub async fn is_closed(&mut self) -> bool {
        let closing = async { while let Some(Ok(_)) = self.0.next().await {} };
        tokio::time::timeout(WAIT, closing).await.is_ok()
    }
}
