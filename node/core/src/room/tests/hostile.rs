//! What single clients get for what they should not say, and that nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message as _;
use proto::data_packet::Value;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::world::{Client, Deed, World, camera, join_of};
use crate::media::{self, Channel, Command, Target};
use crate::room::{Join, limits};

/// Somebody's camera, one who watches it on the same node and one on another, and one who means harm.
struct Scene {
    world: World,
    publisher: Client,
    others: [Client; 2],
    hostile: Client,
    track: String,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new(2);
        let [publisher, near, far] = [world.join(0, "publisher"), world.join(0, "near"), world.join(1, "far")];
        let track = world.publish(publisher, "cam").to_string();
        let can_update_own_metadata = Some(true);
        let mut join = Join { single_connection: false, ..join_of("hostile") };
        join.claims.video.can_update_own_metadata = can_update_own_metadata;
        let hostile = world.join_as(0, join);
        world.connect(hostile, Target::Subscriber);
        // Counts and qualities are told by then.
        world.pass(Duration::from_secs(10));
        Self { world, publisher, others: [near, far], hostile, track }
    }

    fn bystanders(&self) -> [usize; 3] {
        [self.publisher, self.others[0], self.others[1]].map(|client| self.world.deeds(client).len())
    }

    fn dropped(&self, what: &'static str, reason: &'static str) -> u64 {
        self.world.node(0).stats().dropped.get(&(what, reason)).copied().unwrap_or(0)
    }
}

fn sdp(text: &str) -> proto::SessionDescription {
    proto::SessionDescription { sdp: text.into(), id: 1, ..Default::default() }
}

fn trickle(text: String) -> Request {
    Request::Trickle(proto::TrickleRequest { candidate_init: text, ..Default::default() })
}

fn rename(name: String, metadata: String) -> Request {
    Request::UpdateMetadata(proto::UpdateParticipantMetadata { name, metadata, ..Default::default() })
}

fn mute(sid: &str) -> Request {
    Request::Mute(proto::MuteTrackRequest { sid: sid.into(), muted: true })
}

fn subscription(sids: Vec<String>, subscribe: bool) -> Request {
    Request::Subscription(proto::UpdateSubscription { track_sids: sids, subscribe, ..Default::default() })
}

fn settings(sid: &str) -> Request {
    Request::TrackSetting(proto::UpdateTrackSettings { track_sids: vec![sid.into()], width: 1, ..Default::default() })
}

fn audio(sid: &str) -> Request {
    Request::UpdateAudioTrack(proto::UpdateLocalAudioTrack { track_sid: sid.into(), features: vec![0] })
}

fn video(sid: &str) -> Request {
    Request::UpdateVideoTrack(proto::UpdateLocalVideoTrack { track_sid: sid.into(), width: 1, height: 1 })
}

fn admitting(names: usize, bytes: usize) -> Request {
    let one = proto::TrackPermission { participant_identity: "x".repeat(bytes), ..Default::default() };
    let track_permissions = vec![one; names];
    Request::SubscriptionPermission(proto::SubscriptionPermission { all_participants: false, track_permissions })
}

/// Requests that have no effect, each with how it is counted.
fn without_effect(foreign: &str) -> Vec<(Request, &'static str, &'static str)> {
    let long = |bytes: usize| "x".repeat(bytes + 1);
    let forged = "TR_forgedforged";
    vec![
        (Request::Offer(sdp(&long(limits::SDP_BYTES_MAX))), "offer", "too long"),
        (Request::Answer(sdp(&long(limits::SDP_BYTES_MAX))), "answer", "too long"),
        (trickle(long(limits::CANDIDATE_BYTES_MAX)), "trickle", "too long"),
        (trickle("{\"candidate\":7}".into()), "trickle", "malformed"),
        (mute(foreign), "mute", "unknown track"),
        (mute(forged), "mute", "unknown track"),
        (mute(&long(70_000)), "mute", "unknown track"),
        (settings(forged), "track_setting", "unknown track"),
        (settings(&long(70_000)), "track_setting", "unknown track"),
        (audio(foreign), "track update", "unknown track"),
        (video(foreign), "track update", "unknown track"),
        (video(""), "track update", "unknown track"),
        (admitting(limits::ADMITTED_MAX + 1, 1), "subscription_permission", "too long"),
        (admitting(1, limits::ADMITTED_BYTES_MAX + 1), "subscription_permission", "too long"),
        (Request::Simulate(proto::SimulateScenario { scenario: None }), "simulate", "unknown"),
        (Request::StoreDataBlobRequest(Default::default()), "request", "store_data_blob"),
    ]
}

#[test]
fn what_a_client_should_not_say_is_counted_twice_when_said_twice_and_nobody_else_notices() {
    let mut scene = Scene::new();
    let track = scene.track.clone();
    let before = scene.bystanders();
    for (request, what, reason) in without_effect(&track) {
        let counted = scene.dropped(what, reason);
        let said = scene.world.deeds(scene.hostile).len();
        scene.world.request(scene.hostile, request.clone());
        scene.world.request(scene.hostile, request.clone());
        assert_eq!(scene.dropped(what, reason), counted + 2, "{what}, {reason}");
        assert_eq!(scene.world.deeds(scene.hostile).len(), said, "{what}, {reason}");
    }
    assert_eq!(scene.bystanders(), before);
}

#[test]
fn what_is_out_of_bounds_and_has_an_answer_is_answered_and_nobody_else_notices() {
    let mut scene = Scene::new();
    let before = scene.bystanders();
    let long = "x".repeat(limits::METADATA_BYTES_MAX + 1);
    let requests = [
        rename("x".repeat(limits::NAME_BYTES_MAX + 1), String::new()),
        rename(String::new(), long.clone()),
        Request::AddTrack(camera(&long)),
        Request::AddTrack(proto::AddTrackRequest { r#type: 9, ..camera("cam") }),
        subscription(vec!["TR_forgedforged".into(), "nonsense".into(), String::new()], true),
    ];
    for request in requests {
        let said = scene.world.said(scene.hostile).count();
        scene.world.request(scene.hostile, request.clone());
        let answers: Vec<_> = scene.world.said(scene.hostile).skip(said).collect();
        assert!(!answers.is_empty(), "{request:?}");
        for answer in answers {
            let refusal = match answer {
                Response::RequestResponse(response) => response.reason != 0,
                Response::SubscriptionResponse(response) => response.err != 0,
                _ => false,
            };
            assert!(refusal, "{answer:?}");
        }
    }
    assert_eq!(scene.bystanders(), before);
}

#[test]
fn after_the_end_of_a_session_nothing_that_it_says_has_an_effect() {
    let mut scene = Scene::new();
    scene.world.request(scene.hostile, Request::Leave(proto::LeaveRequest::default()));
    scene.world.pass(Duration::from_secs(10));
    let (before, deeds) = (scene.bystanders(), scene.world.deeds(scene.hostile).len());
    let track = scene.track.clone();
    let requests = without_effect(&track).into_iter().map(|(request, ..)| request);
    let requests: Vec<_> = requests.chain([Request::AddTrack(camera("late")), Request::Ping(1)]).collect();
    let count = requests.len() as u64;
    for request in requests {
        scene.world.request(scene.hostile, request);
    }
    assert_eq!(scene.dropped("request", "no such session"), count);
    assert_eq!((scene.bystanders(), scene.world.deeds(scene.hostile).len()), (before, deeds));
}

#[test]
fn in_a_room_that_is_gone_nothing_has_an_effect() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let leave = Request::Leave(proto::LeaveRequest::default());
    for _ in 0..2 {
        world.request(ann, leave.clone());
    }
    world.request(ann, Request::AddTrack(camera("late")));
    world.media(ann, media::Event::ChannelsOpen(ann.1));
    let stats = world.node(0).stats();
    assert_eq!((stats.rooms, stats.dropped[&("request", "no such session")]), (0, 2));
    assert_eq!(stats.dropped[&("media event", "no such session")], 1);
}

#[test]
fn a_flood_of_subscription_changes_waits_and_the_last_word_on_each_track_counts() {
    let mut scene = Scene::new();
    let before = scene.bystanders();
    let asked = scene.world.deeds(scene.hostile).len();
    let changes = |scene: &Scene| {
        let deeds = scene.world.deeds(scene.hostile)[asked..].iter();
        deeds.filter(|deed| matches!(deed, Deed::Asked(Command::Subscribe(_) | Command::Unsubscribe { .. }))).count()
    };
    let burst = limits::SUBSCRIBING.burst as usize;
    for round in 0..10 {
        scene.world.request(scene.hostile, subscription(vec![scene.track.clone(); burst], round % 2 == 0));
        let mixed = (0..burst).map(|number| if number % 2 == 0 { "nonsense".to_owned() } else { scene.track.clone() });
        scene.world.request(scene.hostile, subscription(mixed.collect(), true));
    }
    // It had the track already, so that the burst changes nothing.
    assert_eq!(changes(&scene), 0);
    assert!(scene.dropped("subscription", "too fast") > 0 && scene.dropped("subscription", "overtaken") > 0);
    scene.world.request(scene.hostile, subscription(vec![scene.track.clone()], false));
    scene.world.pass(Duration::from_secs(1));
    assert_eq!(changes(&scene), 1, "the last word counts");
    scene.world.pass(Duration::from_secs(30));
    scene.world.request(scene.hostile, subscription(vec![scene.track.clone()], true));
    assert_eq!(changes(&scene), 2, "who has rested is heard at once");
    assert_eq!(scene.bystanders()[1..], before[1..]);
}

#[test]
fn others_hear_of_a_flood_of_changes_some_times_a_second_and_of_the_last_one() {
    let mut scene = Scene::new();
    let before = scene.bystanders();
    for number in 0..5_000 {
        scene.world.request(scene.hostile, rename(format!("name {number}"), String::new()));
    }
    scene.world.pass(Duration::from_secs(1));
    for (before, after) in before.into_iter().zip(scene.bystanders()) {
        assert!((1..80).contains(&(after - before)), "{} words", after - before);
    }
    for other in scene.others {
        assert_eq!(scene.world.knows(other)["hostile"].name, "name 4999");
    }
    assert!(scene.dropped("change", "too fast") > 4_900);
}

fn packet(sequence: u32, bytes: usize) -> Bytes {
    let user = proto::UserPacket { payload: vec![7; bytes], ..Default::default() };
    let packet = proto::DataPacket { sequence, value: Some(Value::User(user)), ..Default::default() };
    packet.encode_to_vec().into()
}

#[test]
fn data_over_the_bound_goes_nowhere_and_a_jump_of_numbers_costs_who_jumps() {
    let mut scene = Scene::new();
    let send = |scene: &mut Scene, client: Client, packet: Bytes| {
        let (session, channel) = (client.1, Channel::Reliable);
        scene.world.media(client, media::Event::Data { session, channel, packet });
    };
    let got = |scene: &Scene| scene.others.map(|client| scene.world.packets(client).len());
    let hostile = scene.hostile;
    send(&mut scene, hostile, packet(1, limits::DATA_PACKET_BYTES_MAX));
    send(&mut scene, hostile, Bytes::from_static(&[0xff; 9]));
    assert_eq!(got(&scene), [0, 0]);
    assert_eq!((scene.dropped("data packet", "too long"), scene.dropped("data packet", "malformed")), (1, 1));
    send(&mut scene, hostile, packet(1, limits::DATA_PACKET_BYTES_MAX - 100));
    send(&mut scene, hostile, packet(u32::MAX, 1));
    assert_eq!(got(&scene), [2, 2], "a jump forward is taken: the client may have lost what is missing");
    send(&mut scene, hostile, packet(2, 1));
    assert_eq!((got(&scene), scene.dropped("data packet", "came before")), ([2, 2], 1));
    let publisher = scene.publisher;
    send(&mut scene, publisher, packet(1, 1));
    assert_eq!(got(&scene), [3, 3], "others' numbers are their own");
}

#[test]
fn a_description_that_the_worker_refuses_ends_one_session_with_a_word_to_join_anew() {
    let mut scene = Scene::new();
    let (session, reason) = (scene.hostile.1, "no answer within 10 s".to_owned());
    scene.world.media(scene.hostile, media::Event::Refused { session, reason });
    let leave = scene.world.said(scene.hostile).rev().find_map(|said| match said {
        Response::Leave(leave) => Some((leave.action(), leave.reason())),
        _ => None,
    });
    let expected = (proto::leave_request::Action::Reconnect, proto::DisconnectReason::MediaFailure);
    assert_eq!(leave, Some(expected));
    for other in scene.others {
        assert!(scene.world.knows(other).contains_key("publisher"));
        assert!(!scene.world.knows(other).contains_key("hostile"));
    }
}
