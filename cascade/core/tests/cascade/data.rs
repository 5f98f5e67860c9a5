//! Reliable data between nodes: in order, once, and whole across every break, or told to be lost.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use origo_auth::ParticipantSid;
use origo_cascade_core::cascade::RoomData;
use origo_cascade_core::{Event, Input, LeaveReason, ParticipantRecord};
use proptest::prelude::*;

use super::world::{World, participant, room, sid_of};

const SECOND: Duration = Duration::from_secs(1);
const DATA_AGAIN: u64 = 15;

/// A participant of a node sends its packet of that number, padded to a length.
fn send(world: &mut World, node: usize, identity: &str, number: u32, length: usize) {
    let mut packet = number.to_be_bytes().to_vec();
    packet.resize(length.max(4), 0);
    let publisher = sid_of(&format!("{identity}{node}"));
    world
        .ask(node, Input::Data(RoomData { room: room(), publisher, reliable: true, number: 0, packet: packet.into() }));
}

fn number_in(packet: &Bytes) -> u32 {
    u32::from_be_bytes(packet[..4].try_into().unwrap())
}

/// What a node heard of one publisher, losses as none.
fn heard(world: &World, node: usize, publisher: ParticipantSid) -> Vec<Option<u32>> {
    let of = |event: &Event| match event {
        Event::Data(data) if data.publisher == publisher => Some(Some(number_in(&data.packet))),
        Event::DataLost { publisher: of, .. } if *of == publisher => Some(None),
        _ => None,
    };
    world.heard[node].events.iter().filter_map(|(_, event)| of(event)).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<Option<u32>> {
    range.map(Some).collect()
}

/// Two nodes in one room; `ada` is on the first.
fn two() -> World {
    let mut world = World::new(2, 31);
    world.enter(0);
    world.enter(1);
    world.join(0, "ada", &[]);
    world.run_for(SECOND);
    world
}

#[test]
fn packets_that_were_under_way_when_the_connection_broke_come_again_once_and_in_order() {
    let mut world = two();
    for number in 0..10 {
        send(&mut world, 0, "ada", number, 100);
    }
    world.break_data(0, 1);
    world.run_for(Duration::from_millis(10));
    world.mend_data(0, 1);
    for number in 10..20 {
        send(&mut world, 0, "ada", number, 100);
    }
    world.run_for(Duration::from_millis(200));
    assert_eq!(heard(&world, 1, sid_of("ada0")), numbers(0..20));
    assert_eq!(world.sent.iter().filter(|(_, _, kind)| *kind == DATA_AGAIN).count(), 1, "asked for once");
}

#[test]
fn the_last_packet_is_missed_within_seconds_though_nothing_follows_it() {
    let mut world = two();
    send(&mut world, 0, "ada", 0, 100);
    world.run_for(SECOND * 5);
    world.break_data(0, 1);
    send(&mut world, 0, "ada", 1, 100);
    world.mend_data(0, 1);
    world.run_for(SECOND * 3);
    assert_eq!(heard(&world, 1, sid_of("ada0")), numbers(0..2));
}

#[test]
fn what_is_sent_while_the_whole_link_is_gone_comes_when_it_is_back() {
    let mut world = two();
    world.disconnect(0, 1);
    for number in 0..50 {
        send(&mut world, 0, "ada", number, 1_000);
        world.run_for(SECOND / 10);
    }
    assert_eq!(heard(&world, 1, sid_of("ada0")), []);
    world.connect(0, 1);
    world.run_for(SECOND * 3);
    assert_eq!(heard(&world, 1, sid_of("ada0")), numbers(0..50));
}

#[test]
fn what_is_not_kept_any_more_is_told_as_lost_and_what_follows_comes() {
    let mut world = two();
    world.break_data(0, 1);
    for number in 0..100 {
        send(&mut world, 0, "ada", number, 64_000);
    }
    world.mend_data(0, 1);
    world.run_for(SECOND * 5);
    let heard = heard(&world, 1, sid_of("ada0"));
    let Some((None, rest)) = heard.split_first() else { panic!("told {heard:?}") };
    assert!(rest.len() > 50, "4 MiB are kept, and {} packets came", rest.len());
    assert_eq!(rest, numbers(100 - rest.len() as u32..100));
}

#[test]
fn a_node_that_enters_late_gets_what_is_sent_from_then_on() {
    let mut world = World::new(2, 33);
    world.enter(0);
    world.join(0, "ada", &[]);
    for number in 0..10 {
        send(&mut world, 0, "ada", number, 100);
    }
    world.run_for(SECOND);
    world.enter(1);
    // What is sent while the nodes get to know each other may be before or after the beginning.
    for number in 10..40 {
        send(&mut world, 0, "ada", number, 100);
        world.run_for(Duration::from_millis(10));
    }
    world.run_for(SECOND * 3);
    let heard = heard(&world, 1, sid_of("ada0"));
    let first = heard.first().copied().flatten().expect("something is heard");
    assert!((10..30).contains(&first), "from {first} on");
    assert_eq!(heard, numbers(first..40));
}

#[test]
fn the_last_words_of_a_leaver_arrive_though_its_leaving_may_overtake_them() {
    let mut world = two();
    for number in 0..20 {
        send(&mut world, 0, "ada", number, 100);
    }
    let (room, sid) = (room(), sid_of("ada0"));
    let identity = origo_auth::Identity("ada".into());
    world.ask(0, Input::Withdraw { room, identity, sid, reason: LeaveReason::Left(1) });
    world.run_for(SECOND);
    assert_eq!(heard(&world, 1, sid), numbers(0..20));
}

#[test]
fn nobody_sends_for_a_publisher_of_another_node() {
    let mut world = World::new(3, 34);
    (0..3).for_each(|node| world.enter(node));
    world.join(0, "ada", &[]);
    world.run_for(SECOND);
    let forged = RoomData {
        room: room(),
        publisher: sid_of("ada0"),
        reliable: true,
        number: 1,
        packet: Bytes::from_static(&[0, 0, 0, 9]),
    };
    world.ask(1, Input::DataFrom { from: super::world::id(2), data: forged });
    send(&mut world, 0, "ada", 0, 100);
    world.run_for(SECOND);
    assert_eq!(heard(&world, 1, sid_of("ada0")), numbers(0..1));
    assert_eq!(world.counters(1).data_of_others, 1);
}

#[derive(Clone, Debug)]
enum Deed {
    Send(usize, usize),
    Burst(usize, u8),
    BreakData(usize, usize),
    MendData(usize, usize),
    CutLink(usize, usize),
    MendLink(usize, usize),
    Exit(usize),
    Pass(u16),
}

fn deed() -> impl Strategy<Value = Deed> {
    let pair = || (0..3_usize, 1..3_usize).prop_map(|(a, step)| (a, (a + step) % 3));
    prop_oneof![
        5 => (0..3_usize, 1..70_000_usize).prop_map(|(node, length)| Deed::Send(node, length)),
        2 => (0..3_usize, 1..60_u8).prop_map(|(node, count)| Deed::Burst(node, count)),
        2 => pair().prop_map(|(a, b)| Deed::BreakData(a, b)),
        2 => pair().prop_map(|(a, b)| Deed::MendData(a, b)),
        1 => pair().prop_map(|(a, b)| Deed::CutLink(a, b)),
        2 => pair().prop_map(|(a, b)| Deed::MendLink(a, b)),
        1 => (0..3_usize).prop_map(Deed::Exit),
        4 => (1..3_000_u16).prop_map(Deed::Pass),
    ]
}

/// The rooms' side of three nodes: who is where, under which name, and how many packets it has sent.
#[derive(Default)]
struct People {
    by_node: BTreeMap<usize, (String, u32)>,
    lives: u32,
}

impl People {
    fn enter(&mut self, world: &mut World, node: usize) {
        self.lives += 1;
        let name = format!("p{}x", self.lives);
        world.enter(node);
        world.join(node, &name, &[]);
        self.by_node.insert(node, (name, 0));
    }

    fn send(&mut self, world: &mut World, node: usize, length: usize) {
        let (name, count) = self.by_node.get_mut(&node).expect("somebody is on each node");
        send(world, node, name, *count, length);
        *count += 1;
    }
}

fn play(seed: u64, deeds: &[Deed]) -> (World, People) {
    let (mut world, mut people) = (World::new(3, seed), People::default());
    (0..3).for_each(|node| people.enter(&mut world, node));
    world.run_for(SECOND);
    for deed in deeds.iter().cloned() {
        match deed {
            Deed::Send(node, length) => people.send(&mut world, node, length),
            Deed::Burst(node, count) => (0..count).for_each(|_| people.send(&mut world, node, 60_000)),
            Deed::BreakData(a, b) => world.break_data(a, b),
            Deed::MendData(a, b) => world.mend_data(a, b),
            Deed::CutLink(a, b) if world.is_linked(a, b) => world.disconnect(a, b),
            Deed::MendLink(a, b) if !world.is_linked(a, b) => world.connect(a, b),
            Deed::CutLink(..) | Deed::MendLink(..) => {}
            Deed::Exit(node) => {
                world.ask(node, Input::Exit(room()));
                // What is told from now on is for new viewers, even before the room is entered again.
                check_order(&world, node);
                world.heard[node].events.clear();
                people.enter(&mut world, node);
            }
            Deed::Pass(ms) => world.run_for(Duration::from_millis(ms.into())),
        }
    }
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        world.mend_data(a, b);
        if !world.is_linked(a, b) {
            world.connect(a, b);
        }
    }
    world.run_for(SECOND * 40);
    (world, people)
}

/// What comes next from each publisher, as a node must have it: none after a told loss, when any number may follow.
fn check_order(world: &World, node: usize) {
    let mut next: BTreeMap<ParticipantSid, Option<u32>> = BTreeMap::new();
    for (_, event) in &world.heard[node].events {
        match event {
            Event::Data(data) => {
                let number = number_in(&data.packet);
                let expected = next.get(&data.publisher).copied().flatten();
                assert!(expected.is_none_or(|expected| number == expected), "node {node}: {number}, not {expected:?}");
                next.insert(data.publisher, Some(number + 1));
            }
            Event::DataLost { publisher, .. } => drop(next.insert(*publisher, None)),
            Event::ParticipantLeft { sid, reason: LeaveReason::NodeLost, .. } => drop(next.insert(*sid, None)),
            // Nobody views before the room is entered.
            Event::Entered { .. } => next.clear(),
            _ => {}
        }
    }
}

#[test]
fn what_is_sent_while_a_node_leaves_and_enters_again_is_for_its_new_viewers() {
    let mut deeds = vec![Deed::Pass(3_000), Deed::CutLink(2, 0)];
    deeds.extend((0..3).map(|_| Deed::Burst(0, 7)));
    deeds.extend([Deed::Pass(5_000), Deed::Exit(2), Deed::MendLink(0, 2), Deed::Send(0, 62_013)]);
    let (world, _) = play(3_645_886_969_975_625_341, &deeds);
    (0..3).for_each(|node| check_order(&world, node));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn each_node_gets_each_publishers_packets_without_gap_or_repetition_or_is_told(
        seed in any::<u64>(),
        deeds in prop::collection::vec(deed(), 1..60),
    ) {
        let (mut world, mut people) = play(seed, &deeds);
        (0..3).for_each(|node| check_order(&world, node));
        // All is well again, so a last packet of each reaches everybody.
        let last: Vec<(ParticipantSid, u32)> =
            (0..3).map(|node| &people.by_node[&node]).zip(0..).map(|((name, count), node)| (sid_of(&format!("{name}{node}")), *count)).collect();
        (0..3).for_each(|node| people.send(&mut world, node, 10));
        world.run_for(SECOND * 3);
        for (owner, (publisher, count)) in last.into_iter().enumerate() {
            for node in (0..3).filter(|node| *node != owner) {
                check_order(&world, node);
                prop_assert_eq!(heard(&world, node, publisher).last().copied(), Some(Some(count)), "of {} on {}", owner, node);
            }
        }
    }
}

/// What a node heard of what was sent before it knew of the publisher.
fn heard_of_before(world: &World, node: usize, publisher: ParticipantSid) -> Vec<u32> {
    let of = |event: &Event| match event {
        Event::EarlierData(data) if data.publisher == publisher => Some(number_in(&data.packet)),
        _ => None,
    };
    world.heard[node].events.iter().filter_map(|(_, event)| of(event)).collect()
}

/// A node that comes into the room after ada has sent `sent` packets of `length`, and may catch up.
fn late(sent: u32, length: usize, catches_up: bool) -> World {
    let mut world = World::new(2, 41);
    world.enter(0);
    world.join(0, "ada", &[]);
    for number in 0..sent {
        send(&mut world, 0, "ada", number, length);
    }
    world.run_for(SECOND);
    world.enter(1);
    if catches_up {
        world.ask(1, Input::CatchUp(room()));
    }
    world.run_for(SECOND);
    for number in sent..sent + 3 {
        send(&mut world, 0, "ada", number, 100);
    }
    world.run_for(SECOND);
    world
}

#[test]
fn a_node_to_which_people_come_back_hears_what_was_sent_before_apart_from_what_follows() {
    let world = late(10, 100, true);
    assert_eq!(heard_of_before(&world, 1, sid_of("ada0")), (0..10).collect::<Vec<_>>());
    assert_eq!(heard(&world, 1, sid_of("ada0")), numbers(10..13));
}

#[test]
fn any_other_node_hears_what_follows_alone() {
    let world = late(10, 100, false);
    assert!(heard_of_before(&world, 1, sid_of("ada0")).is_empty());
    assert_eq!(heard(&world, 1, sid_of("ada0")), numbers(10..13));
}

#[test]
fn what_is_not_kept_of_before_is_not_told_as_lost() {
    let world = late(200, 64_000, true);
    let before = heard_of_before(&world, 1, sid_of("ada0"));
    assert!((50..70).contains(&before.len()), "4 MiB are kept, and {} packets came", before.len());
    assert_eq!(before.last(), Some(&199));
    assert_eq!(heard(&world, 1, sid_of("ada0")), numbers(200..203));
}

#[test]
fn a_participant_that_comes_back_to_a_node_that_began_anew_is_heard_from_its_first_packet_on() {
    let mut world = two();
    for number in 0..20 {
        send(&mut world, 0, "ada", number, 100);
    }
    world.run_for(SECOND);
    let record = |epoch: u32| ParticipantRecord { owner_epoch: epoch, ..participant("ada", "ada0", &[]) };
    world.ask(1, Input::Publish(record(1)));
    world.run_for(SECOND);
    world.ask(0, Input::Exit(room()));
    world.run_for(SECOND);
    world.enter(0);
    world.ask(0, Input::Publish(record(2)));
    world.run_for(SECOND);
    for number in 20..30 {
        send(&mut world, 0, "ada", number, 100);
    }
    world.run_for(SECOND);
    assert_eq!(heard(&world, 1, sid_of("ada0")), numbers(0..30));
}
