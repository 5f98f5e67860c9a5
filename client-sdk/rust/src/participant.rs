//! The handle of a participant: ask, listen, count.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::description::Descriptions;
use crate::event::Event;
use crate::fleet::{ConnectError, Fleet, Order};
use crate::options::{AudioOptions, Options, VideoOptions};
use crate::reception::TrackReport;
use crate::session::Command;

/// What a participant received and sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// By subscribed track, ended ones included.
    pub tracks: Vec<TrackReport>,
    /// Packets made of each published track, by layer, lowest first.
    pub sent: BTreeMap<String, Vec<u32>>,
    /// What the server described on the way.
    #[serde(default)]
    pub descriptions: Descriptions,
    /// With [`Options::record`]: when what is in each packet of published sound was captured, unix microseconds, by track.
    pub made: BTreeMap<String, Vec<u64>>,
}

/// A participant in a room. Leaves when it is dropped.
pub struct Participant {
    fleet: Fleet,
    id: usize,
    events: mpsc::UnboundedReceiver<Event>,
    /// Events that came while something else was waited for.
    kept: VecDeque<Event>,
    joined: proto::JoinResponse,
    joined_at: Instant,
    join_time: Duration,
    offer_time: Duration,
}

impl Participant {
    /// Joins with a thread of its own; many participants share one by [`Fleet::connect`].
    pub async fn connect(url: &str, token: &str, options: Options) -> Result<Self, ConnectError> {
        Fleet::start()?.connect(url, token, options).await
    }

    pub(crate) async fn connected(
        fleet: Fleet,
        id: usize,
        events: mpsc::UnboundedReceiver<Event>,
        (begun, offered): (Instant, Instant),
    ) -> Result<Self, ConnectError> {
        let (kept, joined) = (VecDeque::new(), proto::JoinResponse::default());
        let (join_time, offer_time) = (Duration::ZERO, Duration::ZERO);
        let mut participant = Self { fleet, id, events, kept, joined, joined_at: begun, join_time, offer_time };
        loop {
            match participant.events.recv().await {
                Some(Event::Joined(joined)) => {
                    (participant.joined, participant.joined_at) = (*joined, Instant::now());
                }
                Some(Event::Connected) => break,
                Some(Event::Closed { reason }) => return Err(ConnectError::Ended(reason)),
                Some(event) => participant.kept.push_back(event),
                None => return Err(ConnectError::Ended("the media thread is gone".to_owned())),
            }
        }
        (participant.join_time, participant.offer_time) = (begun.elapsed(), offered.elapsed());
        Ok(participant)
    }

    /// The server's answer to the join.
    pub fn joined(&self) -> &proto::JoinResponse {
        &self.joined
    }

    /// `PA_…`
    pub fn sid(&self) -> &str {
        self.joined.participant.as_ref().map_or("", |participant| &participant.sid)
    }

    /// When the server's answer to the join came.
    pub fn joined_at(&self) -> Instant {
        self.joined_at
    }

    /// From the call of connect to the primary connection being up.
    pub fn join_time(&self) -> Duration {
        self.join_time
    }

    /// From the first offer to the primary connection being up: from the request that carries it, or from when the
    /// server's is here. With v0 that of signaling is in it.
    pub fn offer_time(&self) -> Duration {
        self.offer_time
    }

    /// The next event; `None` after the session has ended.
    pub async fn next_event(&mut self) -> Option<Event> {
        match self.kept.pop_front() {
            Some(event) => Some(event),
            None => self.events.recv().await,
        }
    }

    /// Waits for an event that `pick` takes; the others stay for later, in order. `None` when the time or the session
    /// ended first.
    pub async fn wait_for<T>(&mut self, limit: Duration, mut pick: impl FnMut(&Event) -> Option<T>) -> Option<T> {
        for index in 0..self.kept.len() {
            if let Some(picked) = pick(&self.kept[index]) {
                self.kept.remove(index);
                return Some(picked);
            }
        }
        let waiting = async {
            while let Some(event) = self.events.recv().await {
                if let Some(picked) = pick(&event) {
                    return Some(picked);
                }
                self.kept.push_back(event);
            }
            None
        };
        tokio::time::timeout(limit, waiting).await.ok().flatten()
    }

    /// Publishes a microphone under that name.
    pub fn publish_audio(&self, name: &str, options: AudioOptions) {
        self.command(Command::PublishAudio(name.to_owned(), options));
    }

    /// Publishes a camera under that name.
    pub fn publish_video(&self, name: &str, options: VideoOptions) {
        self.command(Command::PublishVideo(name.to_owned(), options));
    }

    /// Makes no packets of the published tracks until [`Self::resume`].
    pub fn pause(&self) {
        self.command(Command::Pause);
    }

    /// Makes packets of the published tracks again, beginning with keyframes.
    pub fn resume(&self) {
        self.command(Command::Resume);
    }

    /// Makes so many frames of the published cameras in a second from now on.
    pub fn set_fps(&self, fps: u32) {
        self.command(Command::SetFps(fps));
    }

    /// Sends bytes to everyone in the room.
    pub fn send_data(&self, reliable: bool, topic: &str, payload: &[u8]) {
        let user = proto::UserPacket { payload: payload.to_vec(), topic: Some(topic.to_owned()), ..Default::default() };
        let value = Some(proto::data_packet::Value::User(user));
        let packet = Box::new(proto::DataPacket { value, ..Default::default() });
        self.command(Command::SendData { reliable, packet });
    }

    /// Sends any signaling request.
    pub fn request(&self, message: proto::signal_request::Message) {
        self.command(Command::Request(Box::new(proto::SignalRequest { message: Some(message) })));
    }

    /// What came and went so far; empty once the session has ended, or given once more with [`Options::record`].
    pub async fn report(&self) -> Report {
        let (reply, answer) = oneshot::channel();
        self.fleet.order(Order::Report(self.id, reply));
        answer.await.unwrap_or_default()
    }

    /// Leaves the room and waits until the goodbye is on its way.
    pub async fn leave(mut self) {
        self.command(Command::Leave);
        while self.events.recv().await.is_some() {}
    }

    fn command(&self, command: Command) {
        self.fleet.order(Order::Command(self.id, command));
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.command(Command::Leave);
    }
}
