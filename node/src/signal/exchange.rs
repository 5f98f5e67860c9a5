//! A session whose client has no socket: its offer goes in, our answer comes out, and HTTP requests stand for the rest.

use std::collections::VecDeque;
use std::time::Duration;

use livekit_protocol as proto;
use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_request::Message as Ask;
use livekit_protocol::signal_response::Message as Say;
use origo_node_core::room::Join;
use tokio::time::timeout;

use crate::http::Problem;
use crate::rooms::{Elsewhere, Refusal, RoomsHandle, SessionOutput, SessionStream};

/// How long the answer to an offer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What is kept of what the rooms say while an answer is awaited: it takes some milliseconds.
const KEPT_MAX: usize = 256;
/// How long to wait for the rooms' farewell to who leaves.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// One session. Dropping it tells the rooms that its client is gone.
pub(super) struct Exchange {
    stream: SessionStream,
    rooms: RoomsHandle,
    /// The number of the last offer.
    number: u32,
    /// What was said while an answer was awaited.
    kept: VecDeque<Say>,
}

impl Exchange {
    /// Joins, and says what the client of a web socket would be told first.
    pub async fn open(rooms: &RoomsHandle, mut join: Join) -> Result<(Self, proto::JoinResponse), Problem> {
        let number = join.offer.as_mut().map_or(0, |offer| {
            offer.id = 1;
            1
        });
        let stream = rooms.join(join).await.map_err(problem_of)?;
        let mut exchange = Self { stream, rooms: rooms.clone(), number, kept: VecDeque::new() };
        match exchange.hear().await? {
            Say::Join(joined) => Ok((exchange, joined)),
            other => {
                tracing::error!(?other, "the rooms began a session with something else than the join");
                Err(Problem::unavailable("the room did not let you in"))
            }
        }
    }

    /// Asks something of the rooms.
    pub async fn ask(&self, message: Ask) {
        self.rooms.signal(self.stream.session(), proto::SignalRequest { message: Some(message) }).await;
    }

    /// Offers (again), and gives the answer.
    pub async fn offer(&mut self, sdp: String) -> Result<String, Problem> {
        self.number += 1;
        let offer = proto::SessionDescription { r#type: "offer".into(), sdp, id: self.number, ..Default::default() };
        self.ask(Ask::Offer(offer)).await;
        self.answer().await
    }

    /// The answer to the last offer.
    pub async fn answer(&mut self) -> Result<String, Problem> {
        let answered = async {
            loop {
                match self.hear().await? {
                    Say::Answer(answer) if answer.id == self.number => return Ok(answer.sdp),
                    Say::RequestResponse(response) if response.reason != Reason::Ok as i32 => {
                        return Err(refusal(&response));
                    }
                    other if self.kept.len() < KEPT_MAX => self.kept.push_back(other),
                    _ => {}
                }
            }
        };
        let late = || Problem::unavailable("the media worker did not answer in time");
        timeout(ANSWER_TIMEOUT, answered).await.map_err(|_| late())?
    }

    /// The next thing that the rooms say; a farewell is a problem.
    async fn hear(&mut self) -> Result<Say, Problem> {
        loop {
            match self.stream.next().await {
                Some(SessionOutput::Signal(response)) => match response.message {
                    Some(Say::Leave(leave)) => return Err(farewell(leave.reason())),
                    Some(message) => return Ok(message),
                    None => {}
                },
                Some(SessionOutput::Close) | None => return Err(Problem::not_found("the session is over")),
            }
        }
    }

    /// The next thing that the rooms say of themselves; none when they end the session. Cancel safe.
    pub async fn next(&mut self) -> Option<Say> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        loop {
            match self.stream.next().await {
                Some(SessionOutput::Signal(response)) if response.message.is_some() => return response.message,
                Some(SessionOutput::Signal(_)) => {}
                Some(SessionOutput::Close) | None => return None,
            }
        }
    }

    /// Leaves.
    pub async fn leave(mut self) {
        let leave = proto::LeaveRequest {
            reason: proto::DisconnectReason::ClientInitiated.into(),
            action: proto::leave_request::Action::Disconnect.into(),
            ..Default::default()
        };
        self.ask(Ask::Leave(leave)).await;
        // Who asks again at once finds the identity free. When it takes longer, dropping the stream ends it as well.
        let over = async { while self.next().await.is_some() {} };
        let _ = timeout(FAREWELL_TIMEOUT, over).await;
    }
}

/// Why a client does not get in, and where it does.
fn problem_of(refusal: Refusal) -> Problem {
    match refusal.elsewhere {
        Some(Elsewhere::Url(url) | Elsewhere::Next(url)) => Problem::elsewhere(url, refusal.reason),
        _ => Problem::of_status(refusal.status, refusal.reason),
    }
}

fn refusal(response: &proto::RequestResponse) -> Problem {
    match Reason::try_from(response.reason) {
        Ok(Reason::NotAllowed) => Problem::forbidden(response.message.clone()),
        _ => Problem::unprocessable(response.message.clone()),
    }
}

fn farewell(reason: proto::DisconnectReason) -> Problem {
    use proto::DisconnectReason as Because;
    match reason {
        Because::MediaFailure => Problem::unprocessable("the offer cannot be taken: it is no valid WebRTC offer"),
        Because::DuplicateIdentity => Problem::conflict("another session of this identity has begun"),
        Because::ServerShutdown => Problem::unavailable("the node is shutting down"),
        _ => Problem::not_found("the session is over"),
    }
}
