//! The node that serves people dies: others see them as lost for a while, and they go on at any node.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_auth::Identity;
use origo_cascade_core::cascade::Reach;
use origo_cascade_core::link::Hearing;
use origo_cascade_core::wire::message::{Answer, Body, Exit, Kept, Kind, Leave, Record, Room, Snapshot};
use origo_cascade_core::{Event, Input, LeaveReason, ParticipantRecord};
use prost::Message;

use crate::world::{World, fresh, id, participant, room, sid_of, track};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Ada and abe on node 0, bob on node 1; nodes 2 and 3 do not have the room.
fn mesh(seed: u64) -> World {
    let mut world = World::new(4, seed);
    world.enter(0);
    world.enter(1);
    world.join(0, "ada", &[1]);
    world.join(0, "abe", &[]);
    world.join(1, "bob", &[]);
    world.run_for(SECOND);
    world
}

/// Who of whom a node's rooms heard last, with the owner.
fn owner_of(world: &World, node: usize, identity: &str) -> Option<usize> {
    let owner = |record: &ParticipantRecord| record.owner.0[0] as usize - 1;
    let of = |record: &&ParticipantRecord| record.identity.0 == identity;
    let told = |(_, event): &(Duration, Event)| match event {
        Event::ParticipantChanged(record) => Some(record).filter(of).map(owner),
        Event::Entered { participants, .. } => participants.iter().find(of).map(owner),
        _ => None,
    };
    world.heard[node].events.iter().filter_map(told).next_back()
}

/// Ada's session as node `2` takes it over.
fn taken_over() -> ParticipantRecord {
    let mut record = participant("ada", "ada0", &[2]);
    (record.owner_epoch, record.tracks[0].shown_as) = (1, Some(track(1)));
    record
}

#[test]
fn a_node_that_has_just_entered_learns_of_the_people_of_one_that_died_a_moment_before() {
    for seed in 0..50 {
        let mut world = mesh(seed);
        let died = world.elapsed();
        world.strike(0);
        // The client is back before any node has noticed.
        world.run_for(50 * MS);
        world.enter(2);
        world.run_for(250 * MS);
        world.miss(0);
        world.run_for(SECOND);
        let (entered, acquainted) = (world.entered_at(2).unwrap(), world.acquainted_at(2).unwrap());
        assert!(entered - died <= 350 * MS, "seed {seed}: {:?}", entered - died);
        assert!(acquainted - died <= 400 * MS, "seed {seed}: {:?}", acquainted - died);
        assert_eq!(world.seen(2), ["abe", "ada", "bob"].map(String::from).into(), "seed {seed}");
        assert_eq!((owner_of(&world, 2, "ada"), owner_of(&world, 2, "bob")), (Some(0), Some(1)));
    }
}

#[test]
fn nobody_sees_one_leave_who_comes_back_at_a_node_that_did_not_have_the_room() {
    for seed in 0..20 {
        let mut world = mesh(seed);
        world.strike(0);
        world.run_for(50 * MS);
        world.enter(2);
        world.run_for(250 * MS);
        world.miss(0);
        world.run_for(SECOND);
        world.ask(2, Input::Publish(taken_over()));
        world.kill(0);
        world.run_for(15 * SECOND);
        assert_eq!(owner_of(&world, 1, "ada"), Some(2), "seed {seed}");
        assert!(world.left(1).is_empty(), "seed {seed}: {:?}", world.left(1));
        world.run_for(10 * SECOND);
        for node in [1, 2] {
            let left: Vec<_> = world.left(node).into_iter().map(|(_, who, why)| (who, why)).collect();
            assert_eq!(left, [("abe".to_owned(), LeaveReason::NodeLost)], "seed {seed}: only who did not come back");
        }
    }
}

#[test]
fn who_comes_late_to_a_dead_nodes_people_lets_them_go_with_the_others() {
    let mut world = mesh(1);
    let died = world.elapsed();
    world.kill(0);
    world.run_for(15 * SECOND);
    world.enter(2);
    world.run_for(SECOND);
    assert!(world.seen(2).contains("ada"));
    world.run_for(2 * SECOND);
    world.enter(3);
    world.run_for(SECOND);
    assert!(world.seen(3).contains("ada"));
    world.run_for(4 * SECOND);
    for node in 1..4 {
        assert_eq!(world.left(node).len(), 2, "node {node}: each leaves once");
        assert!(
            world.left(node).iter().all(|(at, ..)| *at <= died + 21 * SECOND),
            "node {node}: {:?}",
            world.left(node)
        );
    }
    world.run_for(60 * SECOND);
    for node in 1..4 {
        assert!(!world.seen(node).contains("ada"), "node {node}: no ghost comes back");
    }
}

#[test]
fn people_of_a_silent_node_are_lost_after_a_second_and_well_once_it_is_heard() {
    let mut world = mesh(2);
    let silent = world.elapsed();
    world.miss(0);
    world.run_for(5 * SECOND);
    let told = world.reach(1, 0);
    assert_eq!(told, [(silent, Reach::Silent), (silent + 700 * MS, Reach::Lost)]);
    assert!(world.reach(2, 0).is_empty(), "a node without the room does not care");
    world.ask(1, Input::Hearing { peer: id(0), hearing: Hearing::Well, quiet: Duration::ZERO });
    assert_eq!(world.reach(1, 0).last().unwrap().1, Reach::Well);
}

#[test]
fn a_node_that_is_heard_again_within_a_second_was_never_lost() {
    let mut world = mesh(3);
    world.miss(0);
    world.run_for(600 * MS);
    world.ask(1, Input::Hearing { peer: id(0), hearing: Hearing::Well, quiet: Duration::ZERO });
    world.run_for(5 * SECOND);
    let told: Vec<Reach> = world.reach(1, 0).into_iter().map(|(_, reach)| reach).collect();
    assert_eq!(told, [Reach::Silent, Reach::Well]);
}

#[test]
fn a_node_that_is_cut_off_takes_up_what_is_true_when_the_partition_heals_and_leaves_no_ghosts() {
    for seed in 0..20 {
        let mut world = mesh(seed);
        // Node 0 is alone on its side; ada goes on at node 2, abe leaves while nobody hears of it.
        for other in 1..4 {
            world.disconnect(0, other);
            world.gossip(other, 1..4);
        }
        world.gossip(0, [0]);
        world.run_for(2 * SECOND);
        world.enter(2);
        world.run_for(SECOND);
        world.ask(2, Input::Publish(taken_over()));
        let (identity, sid) = (Identity("abe".into()), sid_of("abe0"));
        world.ask(0, Input::Withdraw { room: room(), identity, sid, reason: LeaveReason::Left(1) });
        world.run_for(5 * SECOND);
        for node in 0..4 {
            world.gossip(node, 0..4);
        }
        for other in 1..4 {
            world.connect(0, other);
        }
        world.run_for(2 * SECOND);
        for node in 1..3 {
            let left: Vec<String> = world.left(node).into_iter().map(|(_, who, _)| who).collect();
            assert_eq!(left, ["abe"], "seed {seed}, node {node}");
        }
        assert_eq!((owner_of(&world, 0, "ada"), owner_of(&world, 1, "ada")), (Some(2), Some(2)), "seed {seed}");
        let (identity, sid) = (Identity("ada".into()), sid_of("ada0"));
        let told = Event::TakenOver { room: room(), identity, sid };
        assert_eq!(world.heard[0].events.iter().filter(|(_, event)| *event == told).count(), 1, "seed {seed}");
    }
}

#[test]
fn a_room_that_nobody_else_has_makes_nobody_wait() {
    let mut world = World::new(3, 4);
    world.enter(0);
    world.join(0, "ada", &[]);
    world.run_for(SECOND);
    let died = world.elapsed();
    world.strike(0);
    world.run_for(20 * MS);
    world.enter(1);
    world.run_for(280 * MS);
    world.miss(0);
    world.run_for(SECOND);
    assert!(world.acquainted_at(1).unwrap() - died <= 400 * MS, "{:?}", world.acquainted_at(1).unwrap() - died);
}

#[test]
fn a_node_that_died_with_a_room_of_its_own_is_named_as_one_of_whose_people_nobody_has_told() {
    for seed in 0..20 {
        for (since, is_gone) in [(20 * MS, false), (5 * SECOND, true), (15 * SECOND, true)] {
            let mut world = World::new(4, seed);
            world.enter(0);
            world.join(0, "ada", &[1]);
            world.run_for(SECOND);
            world.strike(0);
            if is_gone {
                world.kill(0);
            }
            world.run_for(since);
            world.enter(1);
            world.run_for(280 * MS);
            world.miss(0);
            world.run_for(SECOND);
            assert_eq!(world.untold(1), [id(0)].into(), "seed {seed}, {since:?}");
            // What the rooms do with it they do while it is not heard.
            let at = world.acquainted_at(1).unwrap();
            let reach = world.reach(1, 0).into_iter().find(|(told, _)| *told <= at);
            assert_eq!(reach.map(|(_, reach)| reach), Some(Reach::Silent), "seed {seed}, {since:?}");
        }
    }
}

#[test]
fn nobody_is_untold_whom_another_node_tells_of_or_who_can_be_heard() {
    for seed in 0..20 {
        let mut world = mesh(seed);
        world.strike(0);
        world.run_for(50 * MS);
        world.enter(2);
        world.run_for(250 * MS);
        world.miss(0);
        world.run_for(SECOND);
        assert_eq!(world.untold(2), BTreeSet::new(), "seed {seed}: node 1 tells of ada and abe");

        let mut world = mesh(seed);
        world.enter(2);
        world.run_for(3 * SECOND);
        assert_eq!(world.untold(2), BTreeSet::new(), "seed {seed}: both tell of their people themselves");
    }
}

/// What somebody of the dead node 0 is said to be.
fn told(room: &str, identity: &str) -> Record {
    let room = Some(Room { project: "default".into(), name: room.into() });
    let sid = sid_of(identity).to_string();
    Record { room, identity: identity.into(), sid, incarnation: 1, ..Record::default() }
}

/// The answer of node `from` to the question number `number` of node 2.
fn answer(world: &mut World, from: usize, number: u64, code: &str, records: Vec<Record>) {
    let payload = Kept { records, ..Kept::default() }.encode_to_vec().into();
    let answer = Answer { id: 1 << 62 | number, code: code.into(), payload, ..Answer::default() };
    world.ask(2, Input::Control { from: id(from), message: answer.to_body(), kind: Kind::Answer as u64 });
}

/// Nodes of which the first is dead: node 2 asks node 1 after its people, whose true answer is lost.
fn mesh_that_asks(seed: u64) -> World {
    let mut world = mesh(seed);
    world.strike(0);
    world.enter(2);
    world.run_for(120 * MS);
    world.mute(1);
    world.miss(0);
    world.run_for(130 * MS);
    world
}

#[test]
fn only_who_was_asked_is_believed_and_only_about_that_room_in_order_and_once() {
    let mut world = mesh_that_asks(5);
    answer(&mut world, 3, 1, "", vec![told("standup", "eve")]);
    answer(&mut world, 1, 7, "", vec![told("standup", "eve")]);
    assert_eq!(world.counters(2).malformed_message, 0);
    answer(&mut world, 1, 1, "", vec![told("standup", "zoe"), told("standup", "abe")]);
    assert_eq!(world.counters(2).malformed_message, 1, "they come in the order of identities");
    answer(&mut world, 1, 1, "", vec![told("standup", "eve")]);
    world.run_for(SECOND);
    assert_eq!(world.seen(2), ["bob", "zoe"].map(String::from).into(), "an answer counts once");
    answer(&mut world, 3, 1, "", vec![told("elsewhere", "kim")]);
    assert!(!world.seen(2).contains("kim"));
}

#[test]
fn a_node_that_does_not_know_the_question_is_passed_over() {
    let mut world = mesh_that_asks(6);
    answer(&mut world, 1, 1, "unimplemented", Vec::new());
    world.run_for(300 * MS);
    assert!(world.acquainted_at(2).is_some(), "nobody else can be asked, and no time is lost");
    assert_eq!(world.seen(2), ["bob".to_owned()].into());
}

/// Node 2 has heard of eve on node 0 from node 1 alone; her session is so old.
fn hearsay(age: Duration) -> World {
    let mut world = mesh(7);
    world.strike(0);
    world.enter(2);
    world.run_for(120 * MS);
    world.mute(1);
    world.miss(0);
    world.run_for(130 * MS);
    let eve = Record { age_ms: age.as_millis() as u64, ..told("standup", "eve") };
    answer(&mut world, 1, 1, "", vec![eve]);
    assert!(world.seen(2).contains("eve"));
    world
}

/// Node 0 says that it serves nobody, or those.
fn says(world: &mut World, kind: Kind, message: bytes::Bytes) {
    world.ask(2, Input::Control { from: id(0), message, kind: kind as u64 });
}

fn snapshot(sids: &[&str]) -> bytes::Bytes {
    let record = Some((&fresh(0, 1)).into());
    let sids = sids.iter().map(|who| sid_of(who).to_string()).collect();
    Snapshot { room: Some((&room()).into()), record, sids, ..Snapshot::default() }.to_body()
}

#[test]
fn an_older_word_of_a_node_does_not_take_out_who_has_come_since() {
    let mut world = hearsay(SECOND);
    says(&mut world, Kind::Snapshot, snapshot(&[]));
    assert!(world.seen(2).contains("eve"), "she may have come after that was written");
    says(&mut world, Kind::Exit, Exit { room: Some((&room()).into()), ..Exit::default() }.to_body());
    let before = Record { sid: sid_of("before").to_string(), ..told("standup", "eve") };
    says(&mut world, Kind::Record, before.to_body());
    assert_eq!(world.left(2), [], "nor does the session that she had before take her out");
    says(&mut world, Kind::Record, told("standup", "eve").to_body());
    world.run_for(10 * SECOND);
    assert_eq!(world.left(2), [], "her node has told of her by now");
    says(&mut world, Kind::Snapshot, snapshot(&[]));
    assert!(!world.seen(2).contains("eve"), "and takes her out when it says so");
}

#[test]
fn who_goes_on_elsewhere_as_the_old_node_says_stays_for_as_long_as_the_next_nodes_word_may_be_under_way() {
    for goes_on in [true, false] {
        let mut world = hearsay(SECOND);
        says(&mut world, Kind::Record, told("standup", "eve").to_body());
        let gone_on = if goes_on { vec![sid_of("eve").to_string()] } else { Vec::new() };
        says(&mut world, Kind::Exit, Exit { room: Some((&room()).into()), gone_on }.to_body());
        assert_eq!(world.seen(2).contains("eve"), goes_on);
        world.run_for(5 * SECOND);
        assert_eq!(world.seen(2).contains("eve"), goes_on);
        world.run_for(2 * SECOND);
        assert!(!world.seen(2).contains("eve"), "no other node has told of her");
    }
}

#[test]
fn whom_a_node_does_not_name_in_time_or_never_could_have_forgotten_is_gone() {
    let mut world = hearsay(SECOND);
    says(&mut world, Kind::Snapshot, snapshot(&[]));
    world.run_for(4 * SECOND);
    assert!(world.seen(2).contains("eve"));
    world.run_for(2 * SECOND);
    assert!(!world.seen(2).contains("eve"), "no word is under way for 6 s");

    let mut world = hearsay(6 * SECOND);
    says(&mut world, Kind::Snapshot, snapshot(&[]));
    assert!(!world.seen(2).contains("eve"), "she was there before that was written");
}

#[test]
fn a_session_that_its_node_has_ended_is_not_learnt_from_others_again() {
    let mut world = mesh(8);
    world.strike(0);
    world.enter(2);
    world.run_for(120 * MS);
    world.mute(1);
    world.miss(0);
    world.run_for(130 * MS);
    let room = Some((&room()).into());
    let leave = Leave { room, identity: "eve".into(), sid: sid_of("eve").to_string(), reason: 1 };
    says(&mut world, Kind::Leave, leave.to_body());
    answer(&mut world, 1, 1, "", vec![told("standup", "eve"), told("standup", "zoe")]);
    assert_eq!((world.seen(2).contains("eve"), world.seen(2).contains("zoe")), (false, true));
}
