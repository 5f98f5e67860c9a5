//! Nodes of a real mesh are killed under the people they serve, who come back at a node that did not have their room.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use origo_auth::{Claims, Secret, VideoGrant, mint};
use origo_client::proto::{ConnectionQuality, leave_request::Action, participant_info, signal_response};
use origo_client::signal::Socket;
use origo_client::{Event, Fleet, Join, Options, Participant, VideoOptions};
use origo_tests::http;
use origo_tests::node::Node;
use origo_tests::process::{origo, until};
use origo_tests::receiver::Receiver;
use origo_tests::token;
use serde_json::{Value, json};

/// Longest wait for anything that has no time of its own in the test.
const WAIT: Duration = Duration::from_secs(10);
const ROOM: &str = "standup";
/// A token follows within a second what it tells of; a busy machine adds to that.
const TOKEN_SETTLES: Duration = Duration::from_millis(1500);
/// Silence is noticed after 0.3 s, shown after 0.7 s more, and told with the rest of 0.2 s; a busy machine adds to that.
const LOST_WITHIN: Duration = Duration::from_secs(4);

/// Three nodes that see each other, with further flags.
fn mesh(flags: &[&str]) -> Vec<Node> {
    let origo = origo().unwrap();
    let mut nodes: Vec<Node> = Vec::new();
    for region in ["frankfurt", "london", "tokyo"] {
        let seeds = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port + 1)).collect::<Vec<_>>().join(",");
        let own = ["--region", region, "--workers", "1", "--seeds", &seeds];
        nodes.push(Node::start(&origo, &[&own, flags].concat()).unwrap());
    }
    let seen = |node: &Node| {
        let answer = http::get(&node.authority(), "/health", &[]).ok()?;
        serde_json::from_str::<Value>(&answer.body).ok()?["nodes"].as_u64()
    };
    until(WAIT, || nodes.iter().all(|node| seen(node) == Some(3)).then_some(())).expect("the nodes see each other");
    nodes
}

async fn join(fleet: &Fleet, node: &Node, identity: &str, options: &Options) -> Participant {
    let joined = fleet.connect(&node.url(), &node.token(ROOM, identity), options.clone()).await;
    joined.unwrap_or_else(|error| panic!("{identity} cannot join: {error}"))
}

async fn publish(participant: &mut Participant) {
    participant.publish_video("camera", VideoOptions::single(30, 2, 1000));
    let flows = participant.wait_for(WAIT, |event| matches!(event, Event::TrackFlows { .. }).then_some(())).await;
    flows.expect("the picture flows");
}

/// What somebody was told of another one.
#[derive(Debug, Default)]
struct Told {
    left: usize,
    sids: Vec<String>,
    qualities: Vec<ConnectionQuality>,
    unsubscribed: usize,
}

impl Told {
    fn note(&mut self, event: &Event, identity: &str, sid: &str) {
        match event {
            Event::Participants(infos) => {
                for info in infos.iter().filter(|info| info.identity == identity) {
                    self.left += usize::from(info.state() == participant_info::State::Disconnected);
                    self.sids.push(info.sid.clone());
                }
            }
            Event::Signal(said) => {
                let Some(signal_response::Message::ConnectionQuality(update)) = &said.message else { return };
                let of = update.updates.iter().filter(|info| info.participant_sid == sid);
                self.qualities.extend(of.map(|info| info.quality()));
            }
            Event::TrackUnsubscribed { .. } => self.unsubscribed += 1,
            _ => {}
        }
    }
}

/// Listens to `viewer` until `done` says so, or for so long.
async fn listen(viewer: &mut Participant, told: &mut Told, of: (&str, &str), limit: Duration, done: fn(&Told) -> bool) {
    let end = Instant::now() + limit;
    while !done(told) {
        let Some(left) = end.checked_duration_since(Instant::now()) else { return };
        let Ok(Some(event)) = tokio::time::timeout(left, viewer.next_event()).await else { return };
        told.note(&event, of.0, of.1);
    }
}

/// As stock SDKs do: asks for the session, and when told that there is none here, joins anew.
async fn come_back(fleet: &Fleet, node: &Node, sid: &str, token: &str, options: &Options) -> Participant {
    let url = node.url();
    let resume = Join { url: &url, token, options, offer: None, resume: Some(sid) };
    let mut socket = Socket::connect(&resume.signal_url()).await.expect("the upgrade is accepted");
    let first = tokio::time::timeout(WAIT, socket.next()).await.expect("an answer").expect("a message").unwrap();
    let Some(signal_response::Message::Leave(leave)) = first.message else { panic!("got {first:?}") };
    assert_eq!(leave.action(), Action::Reconnect);
    fleet.connect(&url, token, options.clone()).await.expect("ann joins anew")
}

/// Ann's node is killed while bob and dan, who takes nothing, are on another one; she comes back at the third, at once
/// or once others have been shown that she is lost.
async fn killed(options: Options, at_once: bool) {
    let (fleet, mut nodes) = (Fleet::start().unwrap(), mesh(&[]));
    let mut ann = join(&fleet, &nodes[0], "ann", &options).await;
    publish(&mut ann).await;
    let mut bob = join(&fleet, &nodes[1], "bob", &options).await;
    let deaf = Options { auto_subscribe: false, ..options.clone() };
    let mut dan = join(&fleet, &nodes[1], "dan", &deaf).await;
    let first = bob.wait_for(WAIT, |event| matches!(event, Event::FirstPacket { .. }).then_some(())).await;
    first.expect("bob sees ann");
    let sid = ann.sid().to_owned();
    let of = ("ann", sid.as_str());

    nodes[0].process.kill();
    let died = Instant::now();
    let (mut by_bob, mut by_dan) = (Told::default(), Told::default());
    if !at_once {
        for (viewer, told) in [(&mut bob, &mut by_bob), (&mut dan, &mut by_dan)] {
            listen(viewer, told, of, LOST_WITHIN, |told| told.qualities.last() == Some(&ConnectionQuality::Lost)).await;
            assert_eq!(told.qualities.last(), Some(&ConnectionQuality::Lost), "{told:?}");
        }
    }
    let mut back = come_back(&fleet, &nodes[2], &sid, &nodes[2].token(ROOM, "ann"), &options).await;
    println!("ann is in again {} ms after the death", died.elapsed().as_millis());
    assert_eq!(back.sid(), sid, "it is the same participant");
    publish(&mut back).await;
    let seen = bob.report().await;
    let packets = |report: &origo_client::Report| report.tracks.iter().map(|track| track.packets()).sum::<u64>();
    let goes_on = async {
        while packets(&bob.report().await) < packets(&seen) + 30 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT, goes_on).await.expect("bob sees ann again");
    println!("bob sees her again {} ms after the death", died.elapsed().as_millis());

    // Longer than records of a dead node stay for those who do not come back would be a long test: virtual time shows that.
    for (viewer, told) in [(&mut bob, &mut by_bob), (&mut dan, &mut by_dan)] {
        listen(viewer, told, of, Duration::from_secs(3), |_| false).await;
        assert_eq!((told.left, told.unsubscribed), (0, 0), "{told:?}");
        assert!(told.sids.iter().all(|seen| *seen == sid), "{told:?}");
        let last = told.qualities.last().copied();
        assert_ne!(last, Some(ConnectionQuality::Lost), "{told:?}");
        assert!(at_once || last.is_some());
    }
    assert_eq!(bob.report().await.tracks.len(), 1, "it is one track to bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_at_once_at_a_node_without_the_room_is_not_seen_to_leave() {
    killed(Options::v1(), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_later_is_shown_as_lost_meanwhile_and_is_not_seen_to_leave() {
    killed(Options::v0(), false).await;
}

/// An application changes what somebody is and may do.
fn update(node: &Node, identity: &str, change: &Value) {
    let video = VideoGrant { room_admin: true, room: ROOM.to_owned(), ..VideoGrant::default() };
    let claims = Claims { video, ..token::claims("devkey", ROOM, "server") };
    let bearer = format!("Bearer {}", mint(&claims, &Secret::new("secret")));
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let mut body = json!({"room": ROOM, "identity": identity});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let method = "POST /twirp/livekit.RoomService/UpdateParticipant";
    let answer = http::send(&node.authority(), method, &headers, body.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The token that somebody was given last, with which SDKs come back.
async fn last_token(participant: &mut Participant) -> String {
    let token = |event: &Event| match event {
        Event::Signal(said) => match &said.message {
            Some(signal_response::Message::RefreshToken(token)) => Some(token.clone()),
            _ => None,
        },
        _ => None,
    };
    let mut last = None;
    while let Some(token) = participant.wait_for(TOKEN_SETTLES, token).await {
        last = Some(token);
    }
    last.expect("a fresh token")
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_were_alone_on_the_node_come_back_as_who_they_were_and_applications_hear_of_no_leave() {
    let (fleet, receiver) = (Fleet::start().unwrap(), Receiver::start().unwrap());
    let mut nodes = mesh(&["--webhook-urls", &receiver.url()]);
    let options = Options::v1();
    let mut ann = join(&fleet, &nodes[0], "ann", &options).await;
    publish(&mut ann).await;
    let mut bob = join(&fleet, &nodes[0], "bob", &options).await;
    let first = |event: &Event| match event {
        Event::FirstPacket { track, .. } => Some(track.clone()),
        _ => None,
    };
    let track = bob.wait_for(WAIT, first).await.expect("bob sees ann");
    let permission = json!({"canPublish": true, "canSubscribe": true, "canPublishData": false});
    update(&nodes[0], "ann", &json!({"metadata": "chair", "permission": permission}));
    let sids = [ann.sid().to_owned(), bob.sid().to_owned()];
    let (of_ann, of_bob) = tokio::join!(last_token(&mut ann), last_token(&mut bob));
    let known = || receiver.sids("participant_joined").len() == 2;
    until(WAIT, || known().then_some(())).expect("the application has heard of both");

    nodes[0].process.kill();
    let died = Instant::now();
    let mut ann = come_back(&fleet, &nodes[2], &sids[0], &of_ann, &options).await;
    let mut bob = fleet.connect(&nodes[2].url(), &of_bob, options.clone()).await.expect("bob joins anew");
    println!("both are in again {} ms after the death", died.elapsed().as_millis());
    assert_eq!([ann.sid(), bob.sid()], [&sids[0], &sids[1]]);
    let is = ann.joined().participant.clone().unwrap();
    assert_eq!((is.metadata.as_str(), is.permission.map(|may| may.can_publish_data)), ("chair", Some(false)));
    publish(&mut ann).await;
    assert_eq!(bob.wait_for(WAIT, first).await, Some(track), "to bob's SDK it is the same track");
    println!("bob sees ann again {} ms after the death", died.elapsed().as_millis());

    tokio::time::sleep(Duration::from_secs(2)).await;
    let joined: BTreeSet<String> = receiver.sids("participant_joined").into_iter().collect();
    assert_eq!(joined, sids.into(), "{:?}", receiver.events());
    for none in ["participant_left", "participant_connection_aborted", "room_finished"] {
        assert_eq!(receiver.sids(none), Vec::<String>::new());
    }
}
