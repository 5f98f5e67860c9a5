//! Rooms on several real workers, without clients: what any sequence of requests leaves behind.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use origo_auth::NodeId;
use origo_cascade_core::link::Flow;
use origo_cascade_core::{MediaKind, TrackLayer, TrackRecord};
use proptest::prelude::*;

use super::*;
use crate::media::{Egress, Entries, Expected, Input, OpenSession, Output, Redundancy, Worker, WorkerConfig};

/// A node's workers and the rooms' place in front of them.
struct Node {
    now: Instant,
    spread: Spread,
    workers: Vec<Worker>,
}

impl Node {
    fn new(workers: usize, at: usize) -> Self {
        let now = Instant::now();
        let config = |index| WorkerConfig {
            addresses: vec![([127, 0, 0, 1], 7_883 + index as u16).into()],
            tcp_addresses: Vec::new(),
            bwe: false,
            egress: Egress::Str0m,
            loudest: 0,
            sections: Default::default(),
            place: (index, workers),
        };
        let spread = Spread::new(Settings { workers, at });
        Self { now, spread, workers: (0..workers).map(|index| Worker::new(config(index), now)).collect() }
    }

    fn command(&mut self, room: &RoomKey, command: Command) {
        let mut inputs = VecDeque::new();
        self.spread.take(room, command, |worker, command| inputs.push_back((worker, Input::Command(command))));
        self.now += Duration::from_millis(10);
        while let Some((worker, input)) = inputs.pop_front() {
            self.workers[worker].handle_input(self.now, input);
            self.workers[worker].handle_input(self.now, Input::BurstEnd);
            loop {
                match self.workers[worker].poll_output() {
                    Output::Ask { to, ask } => inputs.push_back((to, Input::Command(Command::Sibling(ask)))),
                    Output::Sibling { to, batch } => inputs.push_back((to, Input::Sibling(batch))),
                    Output::Timeout(_) => break,
                    _ => {}
                }
            }
        }
    }
}

fn room(number: u8) -> RoomKey {
    RoomKey::new("p", format!("room {number}"))
}

fn session(number: u8) -> SessionId {
    SessionId(number.into())
}

fn track(number: u8) -> TrackSid {
    format!("TR_{}", char::from(b'a' + number).to_string().repeat(12)).parse().unwrap()
}

fn open(session: SessionId) -> Command {
    Command::Open(OpenSession {
        session,
        single_connection: true,
        ice_lite: true,
        fixed_sections: false,
        tcp_only: false,
        may_pause: false,
    })
}

fn expect(session: SessionId, sid: TrackSid) -> Command {
    let track = Expected {
        sid,
        client_ids: Vec::new(),
        kind: MediaKind::Video,
        mime: "video/VP8".to_owned(),
        layer_bitrates_bps: vec![100, 300, 900],
        layer_sizes: Vec::new(),
        stereo: false,
        dtx: false,
        redundancy: Redundancy::Allowed,
    };
    Command::Expect { session, track }
}

fn subscribe(session: SessionId, sid: TrackSid) -> Command {
    let track = TrackRecord {
        sid,
        kind: MediaKind::Video,
        mime: "video/VP8".to_owned(),
        layer_bitrates_bps: vec![100, 300, 900],
        layer_sizes: Vec::new(),
        backup_of: None,
        shown_as: None,
    };
    Command::Subscribe(Subscription {
        session,
        track,
        backup: None,
        publisher: "PA_abcdefghjkmn".parse().unwrap(),
        stream: "PA_abcdefghjkmn|camera".to_owned(),
        screen: false,
        asked: false,
        redundancy: Redundancy::Allowed,
        home: None,
    })
}

/// What rooms may ask, out of order as well.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Open(u8),
    Close(u8),
    Publish(u8, u8),
    Unpublish(u8, u8),
    Subscribe(u8, u8),
    Unsubscribe(u8, u8),
    Serve(u8),
    StopServe(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    let (session, track) = (0..6_u8, 0..5_u8);
    let both = (session.clone(), track.clone());
    prop_oneof![
        3 => session.clone().prop_map(Deed::Open),
        1 => session.prop_map(Deed::Close),
        2 => both.clone().prop_map(|(session, track)| Deed::Publish(session, track)),
        1 => both.clone().prop_map(|(session, track)| Deed::Unpublish(session, track)),
        4 => both.clone().prop_map(|(session, track)| Deed::Subscribe(session, track)),
        2 => both.prop_map(|(session, track)| Deed::Unsubscribe(session, track)),
        1 => track.clone().prop_map(Deed::Serve),
        1 => track.prop_map(Deed::StopServe),
    ]
}

/// Even sessions are in one room, odd ones in another; each has its own tracks.
fn does(node: &mut Node, deed: Deed) {
    let to = NodeId([9; 16]);
    let layer = |number| TrackLayer { track: track(number), layer: 0 };
    let (number, command) = match deed {
        Deed::Open(number) => (number, open(session(number))),
        Deed::Close(number) => (number, Command::Close(session(number))),
        Deed::Publish(number, of) => (number, expect(session(number), track(of * 2 + number % 2))),
        Deed::Unpublish(number, of) => {
            (number, Command::Unpublish { session: session(number), track: track(of * 2 + number % 2) })
        }
        Deed::Subscribe(number, of) => (number, subscribe(session(number), track(of * 2 + number % 2))),
        Deed::Unsubscribe(number, of) => {
            (number, Command::Unsubscribe { session: session(number), track: track(of * 2 + number % 2) })
        }
        Deed::Serve(of) => {
            let (room, layer, flow, kind) = (room(of % 2), layer(of), Flow(of.into()), MediaKind::Video);
            (of, Command::Forward(Forward::Serve { room, layer, to, flow, kind, in_stream: false }))
        }
        Deed::StopServe(of) => {
            let (room, layer, flow) = (room(of % 2), layer(of), Flow(of.into()));
            (of, Command::Forward(Forward::StopServe { room, layer, to, flow }))
        }
    };
    node.command(&room(number % 2), command);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_rooms_ask_nothing_is_left_when_all_have_gone(
        (workers, at) in (1..4_usize, 1..12_usize),
        deeds in prop::collection::vec(deed(), 0..60),
    ) {
        let mut node = Node::new(workers, at);
        for deed in deeds {
            does(&mut node, deed);
        }
        for session in 0..6 {
            does(&mut node, Deed::Close(session));
        }
        for track in 0..5 {
            does(&mut node, Deed::StopServe(track));
        }
        prop_assert_eq!(node.spread.entries(), 0);
        for worker in &node.workers {
            prop_assert_eq!(worker.stats().entries, Entries::default());
        }
        prop_assert!(node.spread.workers.are_empty());
    }
}

#[test]
fn a_room_spreads_when_its_worker_is_full() {
    let mut node = Node::new(2, 10);
    let crowd = (0..).map(room).find(|room| worker_of(room, 2) == 0).unwrap();
    for number in 0..10 {
        node.command(&crowd, open(session(number)));
        node.command(&crowd, subscribe(session(number), track(0)));
        assert_eq!(node.spread.rooms_spread(), usize::from(number >= 5));
    }
    let on = |node: &Node, worker| (0..10).filter(|number| node.spread.seat(session(*number)) == Some(worker)).count();
    assert_eq!([on(&node, 0), on(&node, 1)], [5, 5], "each counts for two, ten are enough");
    for number in 0..5 {
        node.command(&crowd, Command::Close(session(number)));
    }
    assert_eq!(node.spread.rooms_spread(), 0);
}

#[test]
fn a_newcomer_is_taken_to_receive_what_others_of_its_room_do() {
    let mut node = Node::new(2, 10);
    let crowd = (0..).map(room).find(|room| worker_of(room, 2) == 0).unwrap();
    node.command(&crowd, open(session(0)));
    (0..8).for_each(|number| node.command(&crowd, subscribe(session(0), track(number))));
    node.command(&crowd, open(session(1)));
    node.command(&crowd, open(session(2)));
    let seats = [0, 1, 2].map(|number| node.spread.seat(session(number)));
    assert_eq!(seats, [Some(0), Some(0), Some(1)], "before the second has said what it takes");
}

#[test]
fn a_worker_that_was_measured_to_be_busy_takes_no_newcomers() {
    let mut node = Node::new(2, 1_000);
    let crowd = (0..).map(room).find(|room| worker_of(room, 2) == 0).unwrap();
    node.command(&crowd, open(session(0)));
    node.spread.set_loads([0.7, 0.1]);
    node.command(&crowd, open(session(1)));
    node.spread.set_loads([0.3, 0.1]);
    node.command(&crowd, open(session(2)));
    let seats = [0, 1, 2].map(|number| node.spread.seat(session(number)));
    assert_eq!(seats, [Some(0), Some(1), Some(0)]);
}
