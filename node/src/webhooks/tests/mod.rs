//! Receivers that take, refuse and hang, over HTTP and TLS, behind the real task with its queue on disk.

mod receiver;

use std::sync::Arc;
use std::time::Duration;

use livekit_protocol::{ParticipantInfo, Room, WebhookEvent};
use origo_auth::token::authenticate;
use origo_auth::{Keys, NodeId, RoomKey};
use origo_node_core::room::Notice;
use rustls::pki_types::CertificateDer;

use super::queue::{Lane, Queue};
use super::{Inlet, Message, Parts, Running, channel, start};
use crate::config::{self, LiveKeys, Webhooks};
use crate::http::unix_now;
use crate::rooms::scripted;
use receiver::{Mood, Receiver};

const SECRETS: [(&str, &str, &str); 2] =
    [("one", "a secret of project one, long enough", "one"), ("two", "a secret of project two, long enough", "two")];

/// A node's webhooks with their queue.
struct World {
    inlet: Inlet,
    _running: Running,
    _folder: tempfile::TempDir,
}

impl World {
    /// Receivers by the key that signs for them.
    fn start(receivers: &[(&str, &Receiver)]) -> Self {
        Self::start_in(receivers, tempfile::tempdir().unwrap())
    }

    fn start_in(receivers: &[(&str, &Receiver)], folder: tempfile::TempDir) -> Self {
        Self::with(settings("http", receivers), folder)
    }

    /// Receivers behind TLS, and whom they are trusted by.
    fn start_over_tls(receivers: &[(&str, &Receiver)], authority: CertificateDer<'static>) -> Self {
        let settings = Webhooks { authorities: vec![authority], ..settings("https", receivers) };
        Self::with(settings, tempfile::tempdir().unwrap())
    }

    fn with(settings: Webhooks, folder: tempfile::TempDir) -> Self {
        let mut keys = Keys::default();
        SECRETS.iter().for_each(|(id, secret, project)| keys.insert(*id, *secret, *project));
        let (inlet, outlet) = channel();
        let parts = Parts {
            node: NodeId([1; 16]),
            settings,
            keys: LiveKeys::new(keys),
            rooms: scripted::start().0,
            ask: Arc::new(|_| ()),
            nodes: Arc::new(Vec::new),
        };
        let running = start(outlet, parts, folder.path()).unwrap();
        Self { inlet, _running: running, _folder: folder }
    }

    fn tell(&self, project: &str, room: &str, event: &str, who: &str) {
        let (sid, identity) = (format!("PA_{project}{room}{who}"), who.to_owned());
        let event = WebhookEvent {
            event: event.to_owned(),
            room: Some(Room { sid: format!("RM_{project}{room}"), name: room.to_owned(), ..Room::default() }),
            participant: Some(ParticipantInfo { sid, identity, ..ParticipantInfo::default() }),
            created_at: unix_now() as i64,
            ..WebhookEvent::default()
        };
        self.inlet.put(Message::Notice(Box::new(Notice { room: RoomKey::new(project, room), event })));
    }

    fn result(&self, result: &str) -> u64 {
        self.inlet.stats().results.iter().find(|(name, _)| *name == result).unwrap().1
    }

    /// Somebody comes and goes.
    fn visit(&self, project: &str, room: &str, who: &str) {
        self.tell(project, room, "participant_joined", who);
        self.tell(project, room, "participant_left", who);
    }
}

fn settings(scheme: &str, receivers: &[(&str, &Receiver)]) -> Webhooks {
    let receiver = |(key, receiver): &(&str, &Receiver)| {
        let url = format!("{scheme}://{}/livekit", receiver.address);
        config::Receiver { url, api_key: (*key).to_owned(), project: (*key).to_owned() }
    };
    Webhooks { receivers: receivers.iter().map(receiver).collect(), ..Webhooks::default() }
}

async fn until(what: &str, has: impl Fn() -> bool) {
    let waiting = async {
        while !has() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

fn expected(who: &[&str]) -> Vec<(String, String)> {
    let visits = who.iter().flat_map(|who| [("participant_joined", *who), ("participant_left", *who)]);
    [("room_started", "")].into_iter().chain(visits).map(|(event, who)| (event.to_owned(), who.to_owned())).collect()
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_nobody_and_gets_everything_in_order_once_it_wakes() {
    const ROOMS: usize = 60;
    let (good, bad) = (Receiver::start(Mood::Takes).await, Receiver::start(Mood::Hangs).await);
    let world = World::start(&[("one", &bad), ("one", &good), ("two", &good)]);
    for number in 0..ROOMS {
        world.visit("one", &format!("room{number}"), "ann");
        world.visit("one", &format!("room{number}"), "ben");
    }
    world.visit("two", "other", "cid");
    let begun = std::time::Instant::now();
    let rooms = || (0..ROOMS).map(|number| format!("room{number}"));
    until("the other receiver has everything", || {
        rooms().all(|room| good.taken(&room).len() >= 5) && good.taken("other").len() >= 3
    })
    .await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "others wait for a receiver that hangs: {took:?}");
    assert!(rooms().all(|room| good.taken(&room)[..5] == expected(&["ann", "ben"])));

    until("an attempt has timed out", || world.result("failed") >= 1).await;
    let first: Vec<_> = bad.shown().iter().map(|shown| shown.event.id.clone()).collect();
    assert!(bad.shown().iter().all(|shown| shown.event.event == "room_started"), "one event of each room at a time");
    bad.is_now(Mood::Takes);
    until("the receiver that hung has everything", || rooms().all(|room| bad.taken(&room).len() >= 5)).await;
    assert!(rooms().all(|room| bad.taken(&room)[..5] == expected(&["ann", "ben"])));
    let taken = bad.shown().into_iter().filter(|shown| shown.taken).map(|shown| shown.event.id);
    let taken: Vec<_> = taken.collect();
    assert!(first.iter().all(|id| taken.contains(id)), "a second attempt has the id of the first");
}

#[tokio::test]
async fn attempts_on_a_receiver_that_refuses_become_rarer() {
    let receiver = Receiver::start(Mood::Refuses).await;
    let world = World::start(&[("one", &receiver)]);
    world.visit("one", "room", "ann");
    until("it was tried", || !receiver.shown().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    // After 250 ms, 500 ms, 1 s and 2 s.
    assert!((2..=5).contains(&receiver.shown().len()), "{} attempts in 4 s", receiver.shown().len());
    assert_eq!(world.result("failed") as usize, receiver.shown().len());
    receiver.is_now(Mood::Takes);
    until("all is taken", || receiver.taken("room").len() >= 3).await;
    assert_eq!(receiver.taken("room")[..3], expected(&["ann"]));
}

#[tokio::test]
async fn each_project_is_told_of_its_own_rooms_and_by_its_own_key() {
    let (one, two) = (Receiver::start(Mood::Takes).await, Receiver::start(Mood::Takes).await);
    let world = World::start(&[("one", &one), ("two", &two)]);
    world.visit("one", "room", "ann");
    world.visit("two", "room", "ben");
    world.visit("three", "room", "cid");
    until("both were told", || one.taken("room").len() >= 3 && two.taken("room").len() >= 3).await;
    assert_eq!(one.taken("room")[..3], expected(&["ann"]));
    assert_eq!(two.taken("room")[..3], expected(&["ben"]));
    for (receiver, (key, secret, project)) in [(&one, SECRETS[0]), (&two, SECRETS[1])] {
        for shown in receiver.shown() {
            let verified = authenticate(&shown.proof, &Keys::only(key, secret, project), unix_now());
            assert!(verified.is_ok(), "{verified:?}");
        }
    }
}

#[tokio::test]
async fn a_receiver_behind_tls_is_told_when_its_authority_is_trusted() {
    let (receiver, authority) = Receiver::behind_tls().await;
    let world = World::start_over_tls(&[("one", &receiver)], authority);
    world.visit("one", "room", "ann");
    until("it was told", || receiver.taken("room").len() >= 3).await;
    assert_eq!(receiver.taken("room")[..3], expected(&["ann"]));

    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let untrusted = World::start_over_tls(&[("one", &receiver)], stranger.cert.der().clone());
    let before = receiver.shown().len();
    untrusted.visit("one", "room", "ben");
    until("it was tried", || untrusted.result("failed") >= 1).await;
    assert!(
        receiver.shown()[before..].iter().all(|shown| shown
            .event
            .participant
            .as_ref()
            .is_none_or(|one| one.identity != "ben"))
    );
}

#[tokio::test]
async fn what_is_for_a_receiver_that_was_taken_out_of_the_settings_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (url, project, room) = (Some("http://gone.example/".to_owned()), "one".to_owned(), "room".to_owned());
    {
        let (queue, lane) = (Queue::open(folder.path()).unwrap(), Lane { url, project, room });
        for _ in 0..3 {
            queue.push(&lane, &WebhookEvent::default()).unwrap();
        }
        queue.flush().await.unwrap();
    }
    let other = Receiver::start(Mood::Takes).await;
    let world = World::start_in(&[("one", &other)], folder);
    until("all of it is dropped", || world.result("dropped") == 3 && world.inlet.stats().waiting == 0).await;
    assert!(other.shown().is_empty());
}
