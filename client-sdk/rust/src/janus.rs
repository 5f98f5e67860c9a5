//! The VideoRoom of a Janus gateway as a server of load runs: publishers and subscribers sit in its rooms with the same
//! media as in LiveKit's.
//!
//! A session speaks LiveKit's messages; [`carry`] answers them in the server's place by what Janus says over its
//! WebSocket transport (protocol `janus-protocol`). A subscriber takes the feeds that are there when it joins.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::fleet::{Fleet, Order, Signals};
use crate::options::{AudioOptions, VideoOptions};
use crate::session::Command;

/// Janus forgets sessions that are silent for a minute.
const KEEPALIVE: Duration = Duration::from_secs(25);
/// How often a subscriber looks whether its room's publishers are there, and for how long.
const FEEDS_POLL: Duration = Duration::from_millis(200);
const FEEDS_TRIES: usize = 40;
/// VideoRoom: the room exists already.
const ERROR_ROOM_EXISTS: i64 = 427;
/// Above what a room of a load run holds.
const PUBLISHERS_MAX: u32 = 1000;

/// Why Janus does not serve a participant.
#[derive(Debug, thiserror::Error)]
pub enum JanusError {
    /// The socket failed.
    #[error("the socket to Janus failed: {0}")]
    Socket(Box<tungstenite::Error>),
    /// Janus closed the socket.
    #[error("Janus closed the socket")]
    Closed,
    /// The URL makes no request.
    #[error("{0:?} is no URL of a WebSocket")]
    Url(String),
    /// Janus answers with an error.
    #[error("Janus refuses {request}: {code} {reason}")]
    Refused {
        /// What was asked.
        request: String,
        /// Janus's number.
        code: i64,
        /// Janus's words.
        reason: String,
    },
    /// Nobody publishes in the room.
    #[error("room {0} has too few publishers")]
    NoFeeds(u64),
}

impl From<tungstenite::Error> for JanusError {
    fn from(error: tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// A place in a room.
#[derive(Clone, Debug)]
pub struct JanusSeat {
    /// Number of the room; it is made when there is none.
    pub room: u64,
    /// Name of a publisher.
    pub display: String,
    /// Camera to publish.
    pub video: Option<VideoOptions>,
    /// Microphone to publish.
    pub audio: Option<AudioOptions>,
    /// A subscriber waits until so many publish.
    pub feeds: usize,
}

impl JanusSeat {
    fn publishes(&self) -> bool {
        self.video.is_some() || self.audio.is_some()
    }

    /// What the session shall publish.
    pub(crate) fn publications(&self) -> Vec<Command> {
        let video = self.video.clone().map(|video| Command::PublishVideo("camera".to_owned(), video));
        let audio = self.audio.clone().map(|audio| Command::PublishAudio("microphone".to_owned(), audio));
        video.into_iter().chain(audio).collect()
    }
}

/// A handle of the VideoRoom plugin in a session of its own.
pub(crate) struct Gateway {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: u64,
    handle: u64,
    transactions: u64,
    /// A subscriber's offer, which comes while it is set up.
    offer: Option<(String, HashMap<String, String>)>,
}

impl Gateway {
    /// Opens a session and takes the seat, as far as that goes without media.
    pub(crate) async fn connect(url: &str, seat: &JanusSeat) -> Result<Self, JanusError> {
        let mut request = url.into_client_request().map_err(|_| JanusError::Url(url.to_owned()))?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("janus-protocol"));
        let (socket, _) = tokio_tungstenite::connect_async_with_config(request, None, true).await?;
        let mut gateway = Self { socket, session: 0, handle: 0, transactions: 0, offer: None };
        gateway.session = id_of(&gateway.ask(json!({"janus": "create"})).await?);
        let attach = json!({"janus": "attach", "plugin": "janus.plugin.videoroom"});
        gateway.handle = id_of(&gateway.ask(attach).await?);
        gateway.sit(seat).await?;
        Ok(gateway)
    }

    async fn sit(&mut self, seat: &JanusSeat) -> Result<(), JanusError> {
        let room = seat.room;
        if !seat.publishes() {
            let streams: Vec<Value> = self.feeds(seat).await?.iter().map(|feed| json!({"feed": feed})).collect();
            let join = json!({"request": "join", "ptype": "subscriber", "room": room, "streams": streams});
            let attached = self.message(join, None).await?;
            self.offer = Some((sdp_of(&attached), tracks_of(&attached)));
            return Ok(());
        }
        let create = json!({
            "request": "create", "room": room, "publishers": PUBLISHERS_MAX, "bitrate": 0,
            "audiocodec": "opus", "videocodec": "vp8", "notify_joining": false,
        });
        match self.message(create, None).await {
            Err(JanusError::Refused { code: ERROR_ROOM_EXISTS, .. }) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        let join = json!({"request": "join", "ptype": "publisher", "room": room, "display": seat.display});
        self.message(join, None).await?;
        Ok(())
    }

    /// The ids of the room's publishers, once there are enough.
    async fn feeds(&mut self, seat: &JanusSeat) -> Result<Vec<u64>, JanusError> {
        for _ in 0..FEEDS_TRIES {
            let list = self.message(json!({"request": "listparticipants", "room": seat.room}), None).await?;
            let participants = list["plugindata"]["data"]["participants"].as_array().cloned().unwrap_or_default();
            let publishing = participants.iter().filter(|participant| participant["publisher"] == true);
            let feeds: Vec<u64> = publishing.filter_map(|participant| participant["id"].as_u64()).collect();
            if !feeds.is_empty() && feeds.len() >= seat.feeds {
                return Ok(feeds);
            }
            tokio::time::sleep(FEEDS_POLL).await;
        }
        Err(JanusError::NoFeeds(seat.room))
    }

    /// Sends a message to the plugin and waits for its answer.
    async fn message(&mut self, body: Value, jsep: Option<Value>) -> Result<Value, JanusError> {
        let mut message = json!({"janus": "message", "body": body});
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        self.ask(message).await
    }

    async fn ask(&mut self, message: Value) -> Result<Value, JanusError> {
        let request = message["body"]["request"].as_str().or(message["janus"].as_str()).unwrap_or_default().to_owned();
        let transaction = self.send(message).await?;
        loop {
            let answer = self.next().await.ok_or(JanusError::Closed)??;
            if answer["transaction"] != transaction || answer["janus"] == "ack" {
                continue;
            }
            let data = &answer["plugindata"]["data"];
            let error = answer.get("error").map(|error| (&error["code"], &error["reason"]));
            let error = error.or_else(|| data.get("error_code").map(|code| (code, &data["error"])));
            return match error {
                None => Ok(answer),
                Some((code, reason)) => Err(JanusError::Refused {
                    request,
                    code: code.as_i64().unwrap_or_default(),
                    reason: reason.as_str().unwrap_or_default().to_owned(),
                }),
            };
        }
    }

    async fn send(&mut self, mut message: Value) -> Result<String, JanusError> {
        self.transactions += 1;
        let transaction = self.transactions.to_string();
        message["transaction"] = json!(transaction);
        if self.session != 0 {
            message["session_id"] = json!(self.session);
        }
        if self.handle != 0 {
            message["handle_id"] = json!(self.handle);
        }
        self.socket.send(Message::Text(message.to_string().into())).await?;
        Ok(transaction)
    }

    async fn next(&mut self) -> Option<Result<Value, JanusError>> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Text(text)) => {
                    // What is no JSON is no message.
                    if let Ok(value) = serde_json::from_str(&text) {
                        return Some(Ok(value));
                    }
                }
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    async fn end(mut self) {
        // The other side may be gone already.
        let _ = self.send(json!({"janus": "destroy"})).await;
        let _ = self.socket.close(None).await;
    }
}

/// Carries signaling between a session, which speaks LiveKit's, and Janus, until either ends.
pub(crate) async fn carry(fleet: Fleet, id: usize, mut gateway: Gateway, mut signals: Signals) {
    let answer = |message: Response| {
        fleet.order(Order::Signal(id, Box::new(proto::SignalResponse { message: Some(message) })));
    };
    answer(Response::Join(proto::JoinResponse::default()));
    if let Some((sdp, mid_to_track_id)) = gateway.offer.take() {
        answer(Response::Offer(description("offer", sdp, mid_to_track_id)));
    }
    let mut keepalive = tokio::time::interval(KEEPALIVE);
    let reason = loop {
        tokio::select! {
            _ = keepalive.tick() => {
                if let Err(error) = gateway.send(json!({"janus": "keepalive"})).await {
                    break error.to_string();
                }
            }
            event = gateway.next() => match event {
                Some(Ok(event)) => match event["janus"].as_str() {
                    Some("hangup" | "timeout" | "detached") => break format!("Janus says {}", event["janus"]),
                    _ if event["jsep"]["type"] == "answer" => {
                        answer(Response::Answer(description("answer", sdp_of(&event), HashMap::new())));
                    }
                    _ => {}
                },
                Some(Err(error)) => break error.to_string(),
                None => break JanusError::Closed.to_string(),
            },
            request = signals.recv() => {
                let Some(request) = request else { return gateway.end().await };
                match request.message {
                    Some(Request::AddTrack(add)) => answer(Response::TrackPublished(named(&add))),
                    Some(Request::Leave(_)) => return gateway.end().await,
                    message => if let Some(Err(error)) = tell(&mut gateway, message).await { break error.to_string() },
                }
            }
        }
    };
    fleet.order(Order::SignalClosed(id, reason));
}

/// Passes a description of the session on to Janus.
async fn tell(gateway: &mut Gateway, message: Option<Request>) -> Option<Result<String, JanusError>> {
    let (body, kind, sdp) = match message? {
        Request::Offer(offer) => (json!({"request": "configure"}), "offer", offer.sdp),
        Request::Answer(answer) => (json!({"request": "start"}), "answer", answer.sdp),
        _ => return None,
    };
    let jsep = json!({"type": kind, "sdp": sdp});
    Some(gateway.send(json!({"janus": "message", "body": body, "jsep": jsep})).await)
}

fn named(add: &proto::AddTrackRequest) -> proto::TrackPublishedResponse {
    let track = proto::TrackInfo { sid: format!("TR_{}", add.cid), ..Default::default() };
    proto::TrackPublishedResponse { cid: add.cid.clone(), track: Some(track) }
}

fn description(kind: &str, sdp: String, mid_to_track_id: HashMap<String, String>) -> proto::SessionDescription {
    proto::SessionDescription { r#type: kind.to_owned(), sdp, mid_to_track_id, ..Default::default() }
}

fn id_of(answer: &Value) -> u64 {
    answer["data"]["id"].as_u64().unwrap_or_default()
}

fn sdp_of(event: &Value) -> String {
    event["jsep"]["sdp"].as_str().unwrap_or_default().to_owned()
}

/// Names for the tracks of a subscription, by the mid of their section.
fn tracks_of(attached: &Value) -> HashMap<String, String> {
    let streams = attached["plugindata"]["data"]["streams"].as_array().into_iter().flatten();
    let name = |stream: &Value| {
        let (mid, feed) = (stream["mid"].as_str()?, stream["feed_id"].as_u64()?);
        Some((mid.to_owned(), format!("TR_{feed}_{}", stream["feed_mid"].as_str().unwrap_or(mid))))
    };
    streams.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tracks_of_a_subscription_have_names_of_their_own() {
        let attached = json!({"plugindata": {"data": {"streams": [
            {"mid": "0", "feed_id": 7, "feed_mid": "1"}, {"mid": "1", "feed_id": 8}, {"type": "data"},
        ]}}});
        let expected = [("0", "TR_7_1"), ("1", "TR_8_1")].map(|(mid, track)| (mid.to_owned(), track.to_owned()));
        assert_eq!(tracks_of(&attached), expected.into());
    }
}
