//! People whose node has died: what others are shown meanwhile, and how they come back at another one.

use std::time::Duration;

use livekit_protocol as proto;
use origo_cascade_core as cascade;
use origo_cascade_core::LeaveReason;
use origo_cascade_core::cascade::Reach;
use proto::ConnectionQuality::{Excellent, Lost};
use proto::leave_request::Action;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::world::{Client, Deed, World, camera, join_of, room_key};
use crate::media::Target;
use crate::room::{Input, Join, limits};

/// Clients are told of connections together, a moment later.
const GATHER: Duration = Duration::from_millis(200);

fn sid(world: &World, client: Client) -> String {
    world.joined(client).participant.as_ref().unwrap().sid.clone()
}

fn is_in(world: &World, client: Client) -> bool {
    world.said(client).any(|said| matches!(said, Response::Join(_)))
}

/// A join of a client that knows its session, as `@origo/client` says it.
fn successor(identity: &str, of: &str) -> Join {
    Join { successor_of: of.parse().ok(), can_succeed: true, ..join_of(identity) }
}

#[test]
fn others_see_people_of_a_dead_node_as_lost_until_they_are_back_and_nobody_sees_them_leave() {
    let mut world = World::new(2);
    let (ann, ben, cid) = (world.join(0, "ann"), world.join(1, "ben"), world.join(1, "cid"));
    world.publish(ann, "cam");
    // Whether or not anything of ann is taken.
    let deaf = world.join_as(1, Join { auto_subscribe: false, ..join_of("dan") });
    let of_ann = sid(&world, ann);
    world.reach(1, 0, Reach::Silent);
    world.pass(GATHER);
    assert!(world.qualities(ben, &of_ann).is_empty(), "a moment of silence is not shown");
    world.reach(1, 0, Reach::Lost);
    world.pass(GATHER);
    for other in [ben, cid, deaf] {
        assert_eq!(world.qualities(other, &of_ann), [Lost]);
    }

    let back = world.join_as(1, successor("ann", &of_ann));
    assert_eq!(sid(&world, back), of_ann);
    world.connect(back, Target::Publisher);
    world.request(back, Request::AddTrack(camera("cam")));
    let track = world.asked(back).find_map(|asked| match asked {
        crate::media::Command::Expect { track, .. } => Some(track.sid),
        _ => None,
    });
    world.start(back, track.unwrap());
    world.pass(GATHER);
    for other in [ben, cid, deaf] {
        assert_eq!(world.qualities(other, &of_ann), [Lost, Excellent]);
        assert!(world.seen_to_leave(other).is_empty());
    }
    assert!(world.qualities(back, &of_ann).is_empty(), "who hears that of itself would join anew");
}

#[test]
fn a_node_that_is_heard_again_shows_its_people_as_they_were() {
    let mut world = World::new(2);
    let (ann, ben) = (world.join(0, "ann"), world.join(1, "ben"));
    let of_ann = sid(&world, ann);
    world.reach(1, 0, Reach::Lost);
    world.pass(GATHER);
    world.reach(1, 0, Reach::Well);
    world.pass(GATHER);
    assert_eq!(world.qualities(ben, &of_ann), [Lost, Excellent]);
}

#[test]
fn whoever_does_not_come_back_in_time_leaves_once() {
    let mut world = World::new(2);
    let (ann, ben) = (world.join(0, "ann"), world.join(1, "ben"));
    let of_ann = sid(&world, ann);
    world.reach(1, 0, Reach::Lost);
    world.pass(Duration::from_secs(20));
    assert!(world.seen_to_leave(ben).is_empty());
    let record = world.record("ann");
    let left = cascade::Event::ParticipantLeft {
        room: room_key(),
        identity: record.identity,
        sid: record.sid,
        reason: LeaveReason::NodeLost,
    };
    world.input(1, Input::Mesh(left));
    world.reach(1, 0, Reach::Well);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.seen_to_leave(ben), ["ann"]);
    assert_eq!(world.qualities(ben, &of_ann), [Lost]);
}

#[test]
fn a_client_that_knows_its_session_waits_until_a_node_tells_of_it() {
    let mut world = World::new(3);
    let ann = world.join(0, "ann");
    let (of_ann, record) = (sid(&world, ann), world.record("ann"));
    world.is_slow = true;
    let back = world.join_as(2, successor("ann", &of_ann));
    let other = world.join(2, "eve");
    assert!(is_in(&world, other) && !is_in(&world, back), "whoever is new does not wait");
    world.pass(Duration::from_millis(400));
    assert!(!is_in(&world, back));
    world.input(2, Input::Mesh(cascade::Event::ParticipantChanged(record)));
    assert_eq!(sid(&world, back), of_ann);
}

#[test]
fn a_client_whose_session_nobody_knows_comes_in_as_soon_as_that_is_clear_and_in_any_case_in_time() {
    for tells in [true, false] {
        let mut world = World::new(3);
        world.is_slow = true;
        let back = world.join_as(2, successor("ann", "PA_23456789ABCD"));
        world.pass(limits::SESSION_AWAITED - Duration::from_millis(1));
        assert!(!is_in(&world, back));
        if tells {
            world.input(2, Input::Mesh(cascade::Event::Acquainted { room: room_key(), untold: Default::default() }));
        } else {
            world.pass(Duration::from_millis(1));
        }
        assert_ne!(sid(&world, back), "PA_23456789ABCD");
    }
}

#[test]
fn a_client_that_leaves_while_it_waits_is_forgotten_with_the_room() {
    let mut world = World::new(3);
    world.is_slow = true;
    let back = world.join_as(2, successor("ann", "PA_23456789ABCD"));
    assert_eq!(world.node(2).stats().rooms, 1);
    world.input(2, Input::SocketClosed(back.1));
    assert_eq!(world.node(2).stats().rooms, 0);
}

#[test]
fn a_stock_client_that_asks_two_nodes_in_turn_goes_on_at_the_second() {
    let mut world = World::new(3);
    let (ann, ben, cid) = (world.join(0, "ann"), world.join(1, "ben"), world.join(2, "cid"));
    let of_ann = sid(&world, ann);
    for node in [1, 2] {
        world.reach(node, 0, Reach::Silent);
    }
    // It wants its session back from one node, which cannot lead it to a dead one, and joins anew at another.
    let resume = Join { resume: of_ann.parse().ok(), may_be_led: true, ..join_of("ann") };
    let first = world.join_as(1, resume);
    let Some(Response::Leave(leave)) = world.said(first).next_back() else { panic!("{:?}", world.deeds(first)) };
    assert_eq!(leave.action(), Action::Reconnect);
    assert!(!world.deeds(first).iter().any(|deed| matches!(deed, Deed::Refused(_))));
    let back = world.join(2, "ann");
    assert_eq!(sid(&world, back), of_ann);
    world.connect(back, Target::Publisher);
    world.pass(limits::HEIR_WAITS);
    for other in [ben, cid] {
        assert!(world.seen_to_leave(other).is_empty());
    }
}
