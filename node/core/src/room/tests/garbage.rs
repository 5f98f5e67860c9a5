//! Clients, workers and peers that say anything in any order.

use bytes::Bytes;
use livekit_protocol as proto;
use origo_auth::{Identity, RoomSid, TrackSid};
use origo_cascade_core as cascade;
use proptest::prelude::*;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use proto::simulate_scenario::Scenario;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::world::{Client, Deed, World, camera, join_of, node_id, room_key};
use crate::media::{self, Channel, Target};
use crate::room::{Input, Join};

#[test]
fn an_unknown_request_is_counted_and_changes_nothing() {
    let mut world = World::new(1);
    let [ann, ben] = [world.join(0, "ann"), world.join(0, "ben")];
    let before = (world.deeds(ann).len(), world.deeds(ben).len());
    let unknown = Box::new(proto::SignalRequest { message: None });
    world.input(0, Input::Signal { session: ann.1, request: unknown });
    world.request(ann, Request::GetDataBlobRequest(proto::GetDataBlobRequest::default()));
    world.request(ann, Request::Simulate(proto::SimulateScenario::default()));
    assert_eq!((world.deeds(ann).len(), world.deeds(ben).len()), before);
    let dropped = world.node(0).stats().dropped;
    for counted in [("request", "unknown"), ("request", "get_data_blob"), ("simulate", "unknown")] {
        assert_eq!(dropped[&counted], 1);
    }
}

#[test]
fn a_ping_is_answered_in_milliseconds() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    world.request(ann, Request::Ping(1));
    world.request(ann, Request::PingReq(proto::Ping { timestamp: 42, rtt: 3 }));
    let said: Vec<_> = world.said(ann).skip(1).collect();
    let now = super::world::BEGIN_MS as i64;
    assert!(matches!(said[0], Response::Pong(at) if *at == now));
    assert!(matches!(said[1], Response::PongResp(pong) if pong.last_ping_timestamp == 42 && pong.timestamp == now));
}

#[test]
fn a_bare_candidate_reaches_the_worker_and_a_broken_one_does_not() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let trickle =
        |text: &str| Request::Trickle(proto::TrickleRequest { candidate_init: text.into(), target: 1, r#final: false });
    world.request(ann, trickle(r#"{"candidate":"candidate:1 1 udp 1 10.0.0.1 5 typ host","sdpMid":"0"}"#));
    world.request(ann, trickle("{"));
    world.request(ann, trickle(r#"{"candidate":""}"#));
    let commands: Vec<_> = world.asked(ann).skip(1).collect();
    assert!(matches!(commands[..], [media::Command::Trickle { target: Target::Publisher, .. }]));
}

/// One step of a world that goes wild. Numbers pick clients, tracks and values among those that exist.
#[derive(Clone, Debug)]
enum Step {
    Join { node: usize, who: u8, v1: bool, auto: bool },
    Request { client: usize, which: u8, track: usize, text: String, flag: bool },
    Media { client: usize, which: u8, track: usize, bytes: Vec<u8> },
    Raw { client: usize, bytes: Vec<u8> },
    Closed { client: usize },
    Resume { client: usize, v1: bool },
    Mesh { node: usize, who: u8, which: u8, bytes: Vec<u8> },
    Pass { ms: u64 },
}

fn steps() -> impl Strategy<Value = Step> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        (0..2usize, 0..4u8, any::<bool>(), any::<bool>()).prop_map(|(node, who, v1, auto)| Step::Join {
            node,
            who,
            v1,
            auto
        }),
        (any::<usize>(), 0..18u8, any::<usize>(), ".{0,12}", any::<bool>())
            .prop_map(|(client, which, track, text, flag)| Step::Request { client, which, track, text, flag }),
        (any::<usize>(), 0..15u8, any::<usize>(), bytes()).prop_map(|(client, which, track, bytes)| Step::Media {
            client,
            which,
            track,
            bytes
        }),
        (any::<usize>(), bytes()).prop_map(|(client, bytes)| Step::Raw { client, bytes }),
        any::<usize>().prop_map(|client| Step::Closed { client }),
        (any::<usize>(), any::<bool>()).prop_map(|(client, v1)| Step::Resume { client, v1 }),
        (0..2usize, 0..4u8, 0..5u8, bytes()).prop_map(|(node, who, which, bytes)| Step::Mesh {
            node,
            who,
            which,
            bytes
        }),
        (0..70_000u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

fn request_of(which: u8, track: &str, text: String, flag: bool) -> Request {
    let description = proto::SessionDescription { sdp: text.clone(), id: u32::from(flag), ..Default::default() };
    match which {
        0 => Request::Offer(description),
        1 => Request::Answer(description),
        2 => Request::Trickle(proto::TrickleRequest { candidate_init: text, target: 7, r#final: flag }),
        3 => Request::AddTrack(proto::AddTrackRequest { muted: flag, ..camera(&text) }),
        4 => Request::AddTrack(proto::AddTrackRequest { r#type: 9, ..camera(&text) }),
        5 => Request::Mute(proto::MuteTrackRequest { sid: track.into(), muted: flag }),
        6 => Request::Subscription(proto::UpdateSubscription {
            track_sids: vec![track.into(), text],
            subscribe: flag,
            ..Default::default()
        }),
        7 => Request::UpdateMetadata(proto::UpdateParticipantMetadata { metadata: text, ..Default::default() }),
        8 => Request::UpdateAudioTrack(proto::UpdateLocalAudioTrack { track_sid: track.into(), features: vec![0] }),
        9 => Request::UpdateVideoTrack(proto::UpdateLocalVideoTrack { track_sid: track.into(), width: 1, height: 1 }),
        10 => Request::TrackSetting(proto::UpdateTrackSettings {
            track_sids: vec![track.into(), text],
            disabled: flag,
            ..Default::default()
        }),
        11 => Request::Ping(i64::MAX),
        12 => Request::SyncState(proto::SyncState::default()),
        13 => Request::SubscriptionPermission(proto::SubscriptionPermission {
            all_participants: flag,
            track_permissions: vec![proto::TrackPermission {
                participant_identity: text,
                track_sids: vec![track.into()],
                ..Default::default()
            }],
        }),
        14..17 => Request::Simulate(proto::SimulateScenario { scenario: scenario_of(which, flag) }),
        _ => Request::Leave(proto::LeaveRequest::default()),
    }
}

fn scenario_of(which: u8, flag: bool) -> Option<Scenario> {
    Some(match (which, flag) {
        (14, true) => Scenario::SpeakerUpdate(i32::MAX),
        (14, false) => Scenario::Migration(true),
        (15, true) => Scenario::DisconnectSignalOnResume(true),
        (15, false) => Scenario::DisconnectSignalOnResumeNoMessages(true),
        (_, true) => Scenario::LeaveRequestFullReconnect(true),
        (_, false) => Scenario::ServerLeave(true),
    })
}

fn event_of(which: u8, client: Client, track: TrackSid, bytes: Vec<u8>) -> media::Event {
    let session = client.1;
    let (sdp, tracks_by_mid) = (String::new(), [("0".to_owned(), track)].into());
    match which {
        0 => media::Event::Answer { session, id: 1, sdp, tracks_by_mid },
        1 => media::Event::Offer { session, id: 1, sdp, tracks_by_mid },
        2 => media::Event::SectionsNeeded { session, audios: 0, videos: 0 },
        3 => media::Event::Connected { session, target: Target::Publisher },
        4 => media::Event::Connected { session, target: Target::Subscriber },
        5 => media::Event::Disconnected { session, target: Target::Publisher },
        6 | 7 => {
            media::Event::TrackStarted { session, track, mime: "video/VP9".into(), mid: "1".into(), ssrcs: vec![1; 5] }
        }
        8 => media::Event::TrackEnded { session, track },
        9 => media::Event::Want { track, layers: cascade::LayerSet(bytes.first().copied().unwrap_or(0)) },
        10 => media::Event::Levels(vec![(track, bytes.first().copied().unwrap_or(0), true); 3]),
        11 => media::Event::Demand { track, layers: cascade::LayerSet(bytes.first().copied().unwrap_or(0)) },
        12 => media::Event::StreamState { session, track, paused: bytes.is_empty() },
        13 => {
            let quality = media::PathQuality { loss: f32::INFINITY, jitter_ms: f32::NAN, ..Default::default() };
            media::Event::Quality { session, up: quality, down: quality }
        }
        14 => media::Event::FellBehind(session),
        _ => media::Event::Data { session, channel: Channel::Reliable, packet: Bytes::from(bytes) },
    }
}

fn news_of(which: u8, who: u8, seed: &[u8]) -> cascade::Event {
    let mut rng = StdRng::seed_from_u64(u64::from(who));
    let (room, identity) = (room_key(), Identity(format!("p{who}")));
    let sid = origo_auth::ParticipantSid::random(&mut rng);
    match which {
        0 => cascade::Event::ParticipantChanged(cascade::ParticipantRecord {
            room,
            identity,
            sid,
            owner: node_id(9),
            incarnation: u64::from(seed.first().copied().unwrap_or(0)) << 40,
            owner_epoch: 0,
            version: 1,
            info: seed.to_vec(),
            tracks: vec![cascade::TrackRecord {
                sid: TrackSid::random(&mut rng),
                kind: cascade::MediaKind::Video,
                mime: String::new(),
                layer_bitrates_bps: Vec::new(),
                layer_sizes: Vec::new(),
                backup_of: None,
                shown_as: None,
            }],
        }),
        1 => cascade::Event::ParticipantLeft { room, identity, sid, reason: cascade::LeaveReason::NodeLost },
        2 => cascade::Event::Superseded { room, identity, sid },
        3 => cascade::Event::Data(cascade::cascade::RoomData {
            room,
            publisher: sid,
            reliable: true,
            number: 1,
            packet: Bytes::copy_from_slice(seed),
        }),
        4 => cascade::Event::DataLost { room, publisher: sid },
        _ => cascade::Event::RoomChanged(cascade::RoomRecord {
            room,
            sid: RoomSid::random(&mut rng),
            created_ms: 1,
            metadata: String::new(),
            version: 2,
            settings: cascade::RoomSettings::default(),
        }),
    }
}

/// Runs a world gone wild; gives the clients that ever joined.
fn run(world: &mut World, steps: Vec<Step>) -> Vec<Client> {
    let mut clients = vec![world.join(0, "p0")];
    let mut tracks = vec![TrackSid::random(&mut StdRng::seed_from_u64(0))];
    for step in steps {
        match step {
            Step::Join { node, who, v1, auto } => {
                let join = Join { single_connection: v1, auto_subscribe: auto, ..join_of(&format!("p{who}")) };
                clients.push(world.join_as(node, join));
            }
            Step::Request { client, which, track, text, flag } => {
                let client = clients[client % clients.len()];
                let sid = tracks[track % tracks.len()].to_string();
                world.request(client, request_of(which, &sid, text, flag));
                tracks.extend(world.published(client));
            }
            Step::Media { client, which, track, bytes } => {
                let client = clients[client % clients.len()];
                world.media(client, event_of(which, client, tracks[track % tracks.len()], bytes));
            }
            Step::Raw { client, bytes } => {
                let client = clients[client % clients.len()];
                if let Ok(request) = prost::Message::decode(&bytes[..]) {
                    world.input(client.0, Input::Signal { session: client.1, request: Box::new(request) });
                }
            }
            Step::Closed { client } => {
                let client = clients[client % clients.len()];
                world.input(client.0, Input::SocketClosed(client.1));
            }
            Step::Resume { client, v1 } => {
                let client = clients[client % clients.len()];
                let first = world.said(client).next().cloned();
                if let Some(Response::Join(join)) = first {
                    let info = join.participant.unwrap();
                    let resume = info.sid.parse().ok();
                    let join = Join { resume, single_connection: v1, ..join_of(&info.identity) };
                    clients.push(world.join_as(client.0, join));
                }
            }
            Step::Mesh { node, who, which, bytes } => {
                world.input(node, Input::Mesh(news_of(which, who, &bytes)));
            }
            Step::Pass { ms } => {
                world.pass(std::time::Duration::from_millis(ms));
            }
        }
    }
    clients
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_inputs_panics_or_leaves_anything_behind(steps in prop::collection::vec(steps(), 0..60)) {
        let mut world = World::new(2);
        let clients = run(&mut world, steps);
        for client in &clients {
            world.request(*client, Request::Leave(proto::LeaveRequest::default()));
        }
        for node in 0..2 {
            let stats = world.node(node).stats();
            prop_assert_eq!((stats.rooms, stats.participants, stats.audio_tracks, stats.video_tracks), (0, 0, 0, 0));
        }
        for client in clients {
            // Whoever had a connection made has it closed, once, and nothing is asked of the worker afterwards.
            let asked: Vec<_> = world.asked(client).collect();
            let closes = asked.iter().filter(|asked| matches!(asked, media::Command::Close(_))).count();
            prop_assert_eq!(closes, usize::from(!asked.is_empty()));
            prop_assert!(matches!(asked.last(), None | Some(media::Command::Close(_))));
            let closed = world.deeds(client).iter().filter(|deed| matches!(deed, Deed::Closed)).count();
            prop_assert!(closed <= 1);
        }
    }
}
