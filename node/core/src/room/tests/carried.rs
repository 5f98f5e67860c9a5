//! People who were alone on a node that died: their tokens tell the next node who they were.

use std::time::Duration;

use livekit_protocol as proto;
use origo_auth::{Carried, Claims, SessionClaim};
use origo_cascade_core as cascade;
use origo_cascade_core::cascade::Reach;
use proptest::prelude::*;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::world::{BEGIN_MS, Client, Deed, World, camera, join_of, node_id, room_key};
use crate::media::Target;
use crate::overload::Resource;
use crate::room::{Full, Input, Join, limits};

const SECOND: Duration = Duration::from_secs(1);

fn info(world: &World, client: Client) -> proto::ParticipantInfo {
    world.joined(client).participant.clone().unwrap()
}

fn sid(world: &World, client: Client) -> String {
    info(world, client).sid
}

fn session(claims: &Claims) -> SessionClaim {
    claims.origo_session.as_ref().and_then(Carried::session).cloned().expect("a fresh token names its session")
}

/// A join with the token that a client was given.
fn with(claims: Claims) -> Join {
    let identity = claims.sub.clone();
    Join { claims, ..join_of(&identity) }
}

fn dropped(world: &World, why: &'static str) -> u64 {
    world.node(1).stats().dropped.get(&("token", why)).copied().unwrap_or(0)
}

/// What webhooks tell of: the event and the session.
fn told(world: &World) -> Vec<(&str, &str)> {
    let told = world.notices.iter();
    told.map(|notice| (notice.event.as_str(), notice.participant.as_ref().map_or("", |of| &of.sid))).collect()
}

/// Ann and ben on node 0 alone, which dies; and what their tokens say.
fn alone() -> (World, [Claims; 2], [String; 2]) {
    let mut world = World::new(3);
    let (ann, ben) = (world.join(0, "ann"), world.join(0, "ben"));
    let (tokens, sids) = ([world.token(ann), world.token(ben)], [sid(&world, ann), sid(&world, ben)]);
    world.lose(0);
    (world, tokens, sids)
}

#[test]
fn people_who_were_alone_on_a_dead_node_go_on_at_another_one_as_their_tokens_say() {
    let mut world = World::new(2);
    let mut join = join_of("ann");
    join.claims.video.can_update_own_metadata = Some(true);
    let (ann, ben) = (world.join_as(0, join), world.join(0, "ben"));
    [ann, ben].into_iter().for_each(|client| world.connect(client, Target::Publisher));
    let cameras = [world.publish(ann, "front"), world.publish(ann, "back")];
    let rename = proto::UpdateParticipantMetadata { metadata: "speaks".into(), ..Default::default() };
    world.request(ann, Request::UpdateMetadata(rename));
    world.pass(2 * SECOND);
    let before = world.record("ann");
    let (tokens, infos) = ([world.token(ann), world.token(ben)], [info(&world, ann), info(&world, ben)]);
    world.lose(0);
    world.notices.clear();

    let back = tokens.map(|token| world.join_as(1, with(token)));
    for (back, info) in back.into_iter().zip(&infos) {
        let now = world.joined(back).participant.clone().unwrap();
        assert_eq!((&now.sid, now.joined_at_ms), (&info.sid, info.joined_at_ms));
        assert!(now.version > info.version + 10, "what clients compare has grown: {} {}", now.version, info.version);
    }
    let now = world.record("ann");
    assert_eq!((now.sid, now.incarnation, now.owner_epoch), (before.sid, before.incarnation, before.owner_epoch + 1));
    let ann_now = info(&world, back[0]);
    assert_eq!(ann_now.metadata, "speaks");
    assert!(ann_now.permission.unwrap().can_update_metadata);

    // The ids of its tracks, whatever their order.
    world.connect(back[0], Target::Publisher);
    for (cid, before) in [("back", cameras[1]), ("front", cameras[0])] {
        world.request(back[0], Request::AddTrack(camera(cid)));
        assert_eq!(world.published(back[0]), Some(before));
    }
    let known = world.knows(back[1]);
    assert_eq!(known["ann"].sid, infos[0].sid);
    world.pass(2 * SECOND);
    assert!(back.iter().all(|client| world.seen_to_leave(*client).is_empty()));
    assert_eq!(told(&world), [("participant_joined", infos[0].sid.as_str())], "the same event as before");

    // And once more elsewhere, from what the second node gave.
    let again = session(&world.token(back[0]));
    assert_eq!((again.node, again.owner_epoch), (node_id(1), before.owner_epoch + 1));
}

#[test]
fn whoever_brings_a_session_waits_until_it_is_known_whom_any_node_tells_of() {
    let (mut world, [token, _], [before, _]) = alone();
    world.is_slow = true;
    let back = world.join_as(1, with(token.clone()));
    let is_in = |world: &World, client| world.said(client).any(|said| matches!(said, Response::Join(_)));
    let newcomer = world.join(1, "eve");
    world.pass(limits::SESSION_AWAITED / 2);
    assert!(!is_in(&world, back) && is_in(&world, newcomer));
    let untold = [node_id(0)].into();
    world.input(1, Input::Mesh(cascade::Event::Acquainted { room: room_key(), untold }));
    assert_eq!(sid(&world, back), before);

    // A session of the node that is asked is not waited for.
    let mut own = token;
    own.origo_session = Some(Carried::Session(Box::new(SessionClaim { node: node_id(2), ..session(&own) })));
    let back = world.join_as(2, with(own));
    assert!(is_in(&world, back) && sid(&world, back) != before);
}

/// What happens between two joins.
type Happening = fn(&mut World);

#[test]
fn a_token_counts_only_where_nobody_can_know_better() {
    let ways: [(&str, Happening); 4] = [
        ("its node is heard", |world| world.reach(1, 0, Reach::Well)),
        ("its node did not have the room", |world| {
            world.input(1, Input::Mesh(cascade::Event::Acquainted { room: room_key(), untold: Default::default() }));
        }),
        ("it was heard meanwhile", |world| {
            world.reach(1, 0, Reach::Well);
            world.reach(1, 0, Reach::Silent);
        }),
        ("it told of somebody", |world| {
            let mut record = world.record("dan");
            (record.owner, record.identity) = (node_id(0), origo_auth::Identity("eve".into()));
            record.sid = "PA_23456789ABCD".parse().unwrap();
            world.input(1, Input::Mesh(cascade::Event::ParticipantChanged(record)));
        }),
    ];
    for (way, happens) in ways {
        let (mut world, [ann, ben], [of_ann, of_ben]) = alone();
        world.join(1, "dan");
        let back = world.join_as(1, with(ann));
        assert_eq!(sid(&world, back), of_ann);
        happens(&mut world);
        let back = world.join_as(1, with(ben));
        assert_ne!(sid(&world, back), of_ben, "{way}");
    }
}

#[test]
fn a_session_that_is_over_or_somebody_elses_or_not_the_last_one_does_not_come_back() {
    let refused = |why: &'static str, change: &dyn Fn(&mut World, &mut Join)| {
        let (mut world, [token, _], [before, _]) = alone();
        world.join(1, "dan");
        let mut join = with(token);
        change(&mut world, &mut join);
        let back = world.join_as(1, join);
        assert_ne!(sid(&world, back), before, "{why}");
        assert_eq!(dropped(&world, why), 1, "{why}");
    };
    let alter = |join: &mut Join, change: &dyn Fn(&mut SessionClaim)| {
        let mut altered = session(&join.claims);
        change(&mut altered);
        join.claims.origo_session = Some(Carried::Session(Box::new(altered)));
    };
    refused("session has ended", &|world, join| {
        let ann = world.join_as(1, join.clone());
        world.request(ann, Request::Leave(proto::LeaveRequest::default()));
    });
    refused("session is somebody else's", &|world, join| {
        world.join_as(1, join.clone());
        join.identity = origo_auth::Identity("eve".into());
    });
    refused("session is not the last one", &|_, join| join.successor_of = "PA_23456789ABCD".parse().ok());
    refused("implausible session", &|_, join| alter(join, &|session| session.owner_epoch = u32::MAX));
    refused("implausible session", &|_, join| alter(join, &|session| session.incarnation = u64::MAX));
    refused("implausible session", &|_, join| alter(join, &|session| session.joined_ms = u64::MAX));
    refused("unreadable session", &|_, join| join.claims.origo_session = Some(Carried::Unreadable));
}

#[test]
fn a_session_that_others_know_of_goes_on_or_ends_as_without_a_token() {
    // It went on at node 2 already: what its token says does not make it go on here.
    let (mut world, [token, _], [before, _]) = alone();
    let first = world.join_as(2, with(token.clone()));
    assert_eq!(sid(&world, first), before);
    world.join(1, "dan");
    let second = world.join_as(1, with(token));
    assert_ne!(sid(&world, second), before, "the later join of two stays, as ever");
    assert!(world.deeds(first).iter().any(|deed| matches!(deed, Deed::Closed)));
}

#[test]
fn who_left_elsewhere_meanwhile_is_not_taken_for_one_who_comes_back() {
    let (mut world, [token, _], [before, _]) = alone();
    world.join(1, "dan");
    let ann = world.join_as(2, with(token.clone()));
    world.request(ann, Request::Leave(proto::LeaveRequest::default()));
    let back = world.join_as(1, with(token));
    assert_ne!(sid(&world, back), before);
    assert_eq!(dropped(&world, "session has ended"), 1);
}

#[test]
fn a_full_node_takes_those_who_come_back_by_their_tokens() {
    let (mut world, [token, _], [before, _]) = alone();
    world.input(1, Input::Full(Some(Full { resource: Resource::Cpu, refuges: Vec::new() })));
    let back = world.join_as(1, with(token.clone()));
    assert_eq!(sid(&world, back), before);
    let mut newcomer = with(token);
    newcomer.identity = origo_auth::Identity("eve".into());
    let newcomer = world.join_as(1, newcomer);
    assert!(matches!(world.deeds(newcomer).last(), Some(Deed::Refused(503))), "{:?}", world.deeds(newcomer));
}

#[test]
fn a_token_is_fresh_a_moment_after_tracks_came_and_went_and_holds_as_many_as_an_address_has_room_for() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let tokens = |world: &World| world.deeds(ann).iter().filter(|deed| matches!(deed, Deed::Token(_))).count();
    let cids = |world: &World| session(&world.token(ann)).tracks.into_iter().map(|track| track.cid).collect::<Vec<_>>();
    for number in 0..5 {
        world.publish(ann, &format!("cam {number}"));
    }
    assert_eq!(tokens(&world), 1);
    world.pass(limits::TOKEN_SETTLES);
    assert_eq!((tokens(&world), cids(&world).len()), (2, 5), "several changes are one token");
    for number in 5..limits::TRACKS_MAX {
        world.publish(ann, &format!("cam {number} {}", "x".repeat(limits::NAME_BYTES_MAX - 10)));
        world.pass(limits::TOKEN_SETTLES);
    }
    let bytes = |cid: &String| cid.len();
    assert!(cids(&world).iter().map(bytes).sum::<usize>() <= limits::CARRIED_TRACKS_BYTES_MAX);
    let signed = serde_json::to_string(&world.token(ann)).unwrap();
    assert!(signed.len() < limits::CARRIED_TRACKS_BYTES_MAX + 1_000, "{}", signed.len());
}

fn any_session() -> impl Strategy<Value = SessionClaim> {
    let numbers = (any::<u64>(), any::<u32>(), any::<u64>());
    let near = (0..=BEGIN_MS / 500, 0..70_000_u32, 0..=2 * BEGIN_MS);
    let track = (any::<i32>(), any::<i32>(), ".{0,8}", ".{0,8}", 0..40_u8);
    let tracks = prop::collection::vec(track, 0..50);
    (0..4_usize, 0..4_u8, prop_oneof![numbers, near], tracks).prop_map(|(node, sid, numbers, tracks)| SessionClaim {
        node: node_id(node),
        sid: format!("PA_23456789ABC{sid}").parse().unwrap(),
        incarnation: numbers.0,
        owner_epoch: numbers.1,
        joined_ms: numbers.2,
        sequence_base: numbers.1,
        tracks: tracks
            .into_iter()
            .map(|(kind, source, name, cid, sid)| origo_auth::TrackClaim {
                sid: format!("TR_23456789AB{sid:0>2}").parse().unwrap(),
                kind,
                source,
                name,
                cid,
            })
            .collect(),
    })
}

proptest! {
    #[test]
    fn no_session_in_a_token_makes_it_panic_or_gives_two_people_one_sid(
        joins in prop::collection::vec((1..3_usize, 0..3_u8, any_session()), 1..12)
    ) {
        let (mut world, _, _) = alone();
        for (node, who, session) in joins {
            let identity = format!("guest {who}");
            let claims = Claims {
                sub: identity.clone(),
                origo_session: Some(Carried::Session(Box::new(session))),
                ..join_of(&identity).claims
            };
            let client = world.join_as(node, with(claims));
            world.connect(client, Target::Publisher);
            world.publish(client, "cam");
            world.pass(SECOND);
            let known = world.knows(client);
            let own = sid(&world, client);
            let with_own = known.iter().filter(|(other, info)| **other != identity && info.sid == own);
            prop_assert_eq!(with_own.count(), 0);
            let mut tracks: Vec<_> = known.values().flat_map(|info| &info.tracks).map(|track| &track.sid).collect();
            let count = tracks.len();
            tracks.sort();
            tracks.dedup();
            prop_assert_eq!(tracks.len(), count);
        }
    }
}
