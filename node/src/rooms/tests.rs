//! The rooms task over a mesh that knows nobody else.

use std::sync::Mutex;

use livekit_protocol as proto;
use origo_auth::{Claims, Identity, Keys, VideoGrant};
use origo_cascade::{MeshEvent, View};
use origo_cascade_core as cascade;
use origo_cascade_core::route::Residency;
use origo_node_core::room::{Rooms, RoomsConfig};
use origo_node_core::spread::{Settings, Spread};
use proto::signal_request::Message as Asked;
use proto::signal_response::Message as Said;

use super::*;
use crate::config::LiveKeys;
use crate::metrics::Dropped;
use crate::paths::Answering;

/// The task, and what it asked of the cascade.
struct World {
    handle: RoomsHandle,
    task: RoomsTask,
    asked: Arc<Mutex<Vec<cascade::Input>>>,
}

impl World {
    /// Whoever enters a room finds it as fresh as it is.
    fn new() -> Self {
        let config = RoomsConfig {
            node: NodeId([7; 16]),
            region: "frankfurt".to_owned(),
            country: "DE".to_owned(),
            residency: Residency::default(),
            version: "0.0.0".to_owned(),
            seed: 7,
        };
        let (tell, news) = mpsc::channel(64);
        let (_, media) = mpsc::unbounded_channel();
        let asked: Arc<Mutex<Vec<cascade::Input>>> = Arc::default();
        let heard = asked.clone();
        let ask = move |input: cascade::Input| {
            if let cascade::Input::Enter { fresh } = &input {
                let entered = cascade::Event::Entered { record: fresh.clone(), participants: Vec::new() };
                tell.try_send(MeshEvent::Rooms(entered)).unwrap();
            }
            heard.lock().unwrap().push(input);
        };
        let rooms = Rooms::new(std::time::Instant::now(), config);
        let parts = Parts {
            rooms,
            media,
            news,
            command: Box::new(|_, _| {}),
            spread: Spread::new(Settings { workers: 1, at: 1 }),
            loads: Box::new(Vec::new),
            ask: Arc::new(ask),
            keys: LiveKeys::new(Keys::only("key", "secret", "default")),
            dropped: Dropped::default(),
            webhooks: None,
            paths: Answering::new(NodeId([7; 16]), Arc::new(|| Box::pin(async { View::default() }))),
        };
        let (handle, task) = start(parts);
        Self { handle, task, asked }
    }

    fn join(&self, identity: &str) -> Join {
        let video = VideoGrant { room_join: true, room: "lobby".to_owned(), ..VideoGrant::default() };
        Join {
            session: self.handle.next_session(),
            room: RoomKey::new("default", "lobby"),
            identity: Identity(identity.to_owned()),
            claims: Claims { sub: identity.to_owned(), video, ..Claims::default() },
            client: proto::ClientInfo { protocol: 17, ..proto::ClientInfo::default() },
            single_connection: false,
            auto_subscribe: true,
            may_pause: false,
            fixed_sections: false,
            disable_ice_lite: false,
            can_be_sent_on: true,
            can_succeed: false,
            successor_of: None,
            received: None,
            may_be_led: false,
            resume: None,
            offer: None,
            add_tracks: Vec::new(),
        }
    }
}

async fn said(stream: &mut SessionStream) -> Option<Said> {
    match stream.next().await? {
        SessionOutput::Signal(response) => response.message,
        SessionOutput::Close => None,
    }
}

fn ping() -> proto::SignalRequest {
    proto::SignalRequest { message: Some(Asked::PingReq(proto::Ping::default())) }
}

#[tokio::test]
async fn a_join_is_answered_by_the_streams_first_response() {
    let world = World::new();
    let mut stream = world.handle.join(world.join("ana")).await.unwrap();
    let Some(Said::Join(join)) = said(&mut stream).await else { panic!("the first response is the join") };
    assert_eq!(join.participant.unwrap().identity, "ana");
    assert_eq!(world.handle.stats().await.participants, 1);
}

#[tokio::test]
async fn a_refused_join_is_a_status_and_a_sentence() {
    let world = World::new();
    let refusal = world.handle.join(world.join("")).await.err().unwrap();
    assert_eq!(refusal.status, 400);
    assert!(!refusal.reason.is_empty());
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_and_the_others_are_not() {
    let world = World::new();
    let mut stalled = world.handle.join(world.join("ana")).await.unwrap();
    let mut reader = world.handle.join(world.join("ben")).await.unwrap();
    for _ in 0..=stream::RESPONSES_MAX {
        world.handle.signal(stalled.session(), ping()).await;
    }
    // Requests are taken in order: with this answer all pings have been.
    world.handle.stats().await;
    let mut responses = 0;
    while said(&mut stalled).await.is_some() {
        responses += 1;
    }
    assert_eq!(responses, stream::RESPONSES_MAX);
    world.handle.signal(reader.session(), ping()).await;
    while !matches!(said(&mut reader).await, Some(Said::PongResp(_))) {}
}

#[tokio::test]
async fn a_dropped_stream_tells_the_rooms() {
    let world = World::new();
    let join = world.join("ana");
    let session = join.session;
    drop(world.handle.join(join).await.unwrap());
    // Whatever the rooms do with a lost client, requests in its name lead nowhere.
    world.handle.signal(session, ping()).await;
    world.handle.stats().await;
}

#[tokio::test]
async fn when_the_node_ends_clients_hear_why_and_the_mesh_that_they_left() {
    let world = World::new();
    let mut stream = world.handle.join(world.join("ana")).await.unwrap();
    world.task.stop().await;
    let mut last = None;
    while let Some(message) = said(&mut stream).await {
        last = Some(message);
    }
    let Some(Said::Leave(leave)) = last else { panic!("the last word is a leave") };
    assert_eq!(leave.reason(), proto::DisconnectReason::ServerShutdown);
    let asked = world.asked.lock().unwrap();
    assert!(asked.iter().any(|input| matches!(input, cascade::Input::Withdraw { .. })), "{asked:?}");
}
