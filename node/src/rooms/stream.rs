//! What the rooms say to one client, in order.

use livekit_protocol::SignalResponse;
use origo_node_core::SessionId;
use tokio::sync::mpsc;

/// Responses that wait for one client's socket. A join into a room of 1,000 is one response; a client that leaves this
/// many unread has stalled.
pub const RESPONSES_MAX: usize = 256;

/// One thing for a client's socket.
#[derive(Debug)]
pub enum SessionOutput {
    /// Send this.
    Signal(Box<SignalResponse>),
    /// Close the socket.
    Close,
}

/// Everything for one client. Dropping it tells the rooms that the socket is gone.
pub struct SessionStream {
    session: SessionId,
    responses: mpsc::Receiver<SessionOutput>,
    closed: mpsc::UnboundedSender<SessionId>,
}

impl SessionStream {
    pub(super) fn new(
        session: SessionId,
        responses: mpsc::Receiver<SessionOutput>,
        closed: mpsc::UnboundedSender<SessionId>,
    ) -> Self {
        Self { session, responses, closed }
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The next thing for the socket; none when the rooms have dropped the session, which means close. Cancel safe.
    pub async fn next(&mut self) -> Option<SessionOutput> {
        self.responses.recv().await
    }
}

impl Drop for SessionStream {
    fn drop(&mut self) {
        // One message per session at most, so the queue needs no bound. Fails only when the node shuts down.
        let _ = self.closed.send(self.session);
    }
}
