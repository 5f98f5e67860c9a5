//! Order and wholeness of reliable data for whoever comes and goes.

use std::collections::BTreeMap;

use bytes::Bytes;
use livekit_protocol as proto;
use origo_cascade_core as cascade;
use proptest::prelude::*;
use prost::Message;
use proto::data_packet::Value;
use proto::data_stream::{Chunk, Header, Trailer};
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use proto::{DisconnectReason, leave_request::Action};

use super::world::{Client, World, room_key};
use crate::media::{self, Channel, Target};
use crate::room::{Input, Join};

fn send(world: &mut World, client: Client, sequence: u32, value: Value) {
    let packet = proto::DataPacket { sequence, value: Some(value), ..Default::default() };
    let packet = Bytes::from(packet.encode_to_vec());
    world.media(client, media::Event::Data { session: client.1, channel: Channel::Reliable, packet });
}

fn header(id: &str) -> Value {
    Value::StreamHeader(Header { stream_id: id.into(), ..Default::default() })
}

fn chunk(id: &str, index: u64) -> Value {
    Value::StreamChunk(Chunk { stream_id: id.into(), chunk_index: index, ..Default::default() })
}

fn trailer(id: &str) -> Value {
    Value::StreamTrailer(Trailer { stream_id: id.into(), ..Default::default() })
}

fn user(number: u32) -> Value {
    Value::User(proto::UserPacket { payload: number.to_be_bytes().to_vec(), ..Default::default() })
}

/// A packet in a word: `h` begins a stream, `c0` is its first part, `t` its end.
fn word(packet: &proto::DataPacket) -> String {
    match &packet.value {
        Some(Value::StreamHeader(header)) => format!("h {}", header.stream_id),
        Some(Value::StreamChunk(chunk)) => format!("c{} {}", chunk.chunk_index, chunk.stream_id),
        Some(Value::StreamTrailer(trailer)) => format!("t {}", trailer.stream_id),
        Some(Value::User(user)) => format!("u{}", u32::from_be_bytes(user.payload[..].try_into().unwrap())),
        other => panic!("{other:?}"),
    }
}

fn words(world: &World, client: Client) -> Vec<String> {
    world.packets(client).iter().map(word).collect()
}

#[test]
fn who_joins_amid_a_stream_gets_none_of_it_here_and_on_other_nodes() {
    let mut world = World::new(3);
    let [ann, near, far] = [world.join(0, "ann"), world.join(0, "near"), world.join(1, "far")];
    send(&mut world, ann, 1, header("a"));
    send(&mut world, ann, 2, chunk("a", 0));
    let late = [world.join(0, "late near"), world.join(1, "late far"), world.join(2, "late alone")];
    send(&mut world, ann, 3, chunk("a", 1));
    send(&mut world, ann, 4, header("b"));
    send(&mut world, ann, 5, trailer("a"));
    send(&mut world, ann, 6, trailer("b"));
    for early in [near, far] {
        assert_eq!(words(&world, early), ["h a", "c0 a", "c1 a", "h b", "t a", "t b"]);
    }
    for late in late {
        assert_eq!(words(&world, late), ["h b", "t b"]);
    }
}

#[test]
fn a_replay_does_not_bring_the_middle_of_a_stream_either() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    send(&mut world, ann, 1, header("a"));
    let ben = world.join(0, "ben");
    world.connect(ben, Target::Publisher);
    send(&mut world, ann, 2, chunk("a", 0));
    send(&mut world, ann, 3, user(7));
    let sid = world.joined(ben).participant.as_ref().unwrap().sid.parse().unwrap();
    let back = world.join_as(0, Join { resume: Some(sid), ..super::world::join_of("ben") });
    world.request(back, Request::SyncState(proto::SyncState::default()));
    assert_eq!(words(&world, ben), ["u7", "u7"], "once at once and once again, and of the stream nothing");
}

fn told_to_join_anew(world: &World, client: Client) -> bool {
    world.said(client).any(|said| match said {
        Response::Leave(leave) => {
            leave.action() == Action::Reconnect && leave.reason() == DisconnectReason::StateMismatch
        }
        _ => false,
    })
}

#[test]
fn a_client_that_fell_behind_joins_anew_and_nobody_else_does() {
    let mut world = World::new(1);
    let [slow, other] = [world.join(0, "slow"), world.join(0, "other")];
    world.media(slow, media::Event::FellBehind(slow.1));
    assert!(told_to_join_anew(&world, slow));
    assert!(!told_to_join_anew(&world, other));
    assert_eq!(world.node(0).stats().dropped[&("session", "data lost")], 1);
}

#[test]
fn who_misses_data_of_another_node_for_good_joins_anew() {
    let mut world = World::new(2);
    let [ann, near, far] = [world.join(0, "ann"), world.join(0, "near"), world.join(1, "far")];
    let publisher = world.joined(ann).participant.as_ref().unwrap().sid.parse().unwrap();
    world.input(1, Input::Mesh(cascade::Event::DataLost { room: room_key(), publisher }));
    assert_eq!([ann, near, far].map(|client| told_to_join_anew(&world, client)), [false, false, true]);
}

#[derive(Clone, Debug)]
enum Deed {
    Join(usize),
    Leave(usize),
    Say(usize),
    Begin(usize),
    Go(usize),
    End(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = || 0..8_usize;
    prop_oneof![
        2 => (0..3_usize).prop_map(Deed::Join),
        1 => who().prop_map(Deed::Leave),
        3 => who().prop_map(Deed::Say),
        2 => who().prop_map(Deed::Begin),
        4 => who().prop_map(Deed::Go),
        1 => who().prop_map(Deed::End),
    ]
}

/// Somebody who joined: how many packets it has sent, and its latest stream with its number of parts.
struct Person {
    client: Client,
    sid: String,
    sent: u32,
    stream: Option<(String, u64)>,
}

impl Person {
    fn send(&mut self, world: &mut World, value: Value) {
        self.sent += 1;
        send(world, self.client, self.sent, value);
    }
}

fn play(world: &mut World, deeds: &[Deed]) -> Vec<Person> {
    let (mut people, mut gone): (Vec<Person>, Vec<Person>) = (Vec::new(), Vec::new());
    for (number, deed) in deeds.iter().enumerate() {
        if let Deed::Join(node) = deed {
            let client = world.join(*node, &format!("person {number}"));
            let sid = world.joined(client).participant.as_ref().unwrap().sid.clone();
            people.push(Person { client, sid, sent: 0, stream: None });
            continue;
        }
        let (Deed::Leave(who) | Deed::Say(who) | Deed::Begin(who) | Deed::Go(who) | Deed::End(who)) = deed else {
            continue;
        };
        let Some(person) = people.get_mut(*who) else { continue };
        match (deed, person.stream.take()) {
            (Deed::Leave(_), _) => {
                let person = people.remove(*who);
                world.request(person.client, Request::Leave(proto::LeaveRequest::default()));
                gone.push(person);
            }
            (Deed::Say(_), stream) => {
                person.stream = stream;
                person.send(world, user(person.sent + 1));
            }
            (Deed::Begin(_), _) => {
                let id = format!("stream {number}");
                person.send(world, header(&id));
                person.stream = Some((id, 0));
            }
            (Deed::Go(_), Some((id, parts))) => {
                person.send(world, chunk(&id, parts));
                person.stream = Some((id, parts + 1));
            }
            (Deed::End(_), Some((id, _))) => person.send(world, trailer(&id)),
            _ => {}
        }
    }
    gone.extend(people);
    gone
}

proptest! {
    #[test]
    fn everybody_gets_what_follows_its_join_whole_and_in_order_and_of_streams_all_or_nothing(
        deeds in prop::collection::vec(deed(), 1..80),
    ) {
        let mut world = World::new(3);
        let people = play(&mut world, &deeds);
        for person in &people {
            let mut last_by_publisher: BTreeMap<String, u32> = BTreeMap::new();
            let mut parts_by_stream: BTreeMap<String, u64> = BTreeMap::new();
            for packet in world.packets(person.client) {
                let last = last_by_publisher.entry(packet.participant_sid.clone()).or_default();
                prop_assert!(packet.sequence > *last, "{} twice or too late", packet.sequence);
                *last = packet.sequence;
                match packet.value {
                    Some(Value::StreamHeader(header)) => drop(parts_by_stream.insert(header.stream_id, 0)),
                    Some(Value::StreamChunk(chunk)) => {
                        let Some(parts) = parts_by_stream.get_mut(&chunk.stream_id) else {
                            return Err(TestCaseError::fail("a part of a stream that did not begin"));
                        };
                        prop_assert_eq!(chunk.chunk_index, *parts);
                        *parts += 1;
                    }
                    Some(Value::StreamTrailer(trailer)) => {
                        prop_assert!(parts_by_stream.contains_key(&trailer.stream_id), "the end of no stream");
                    }
                    _ => {}
                }
            }
        }
        // Whoever is there from the first to the last packet of another has all of them.
        let (first, rest) = match people.iter().position(|person| person.client.1.0 == 1) {
            Some(first) => (&people[first], people.iter().filter(|person| person.client.1.0 != 1)),
            None => return Ok(()),
        };
        let left_early = deeds.iter().any(|deed| matches!(deed, Deed::Leave(0)));
        for person in rest.filter(|_| !left_early) {
            let got = world.packets(first.client);
            let count = got.iter().filter(|packet| packet.participant_sid == person.sid).count();
            prop_assert_eq!(count as u32, person.sent);
        }
    }
}
