//! Reliable data of people who go on at another node: nothing is missed, nothing comes twice, and streams end whole.

use bytes::Bytes;
use livekit_protocol as proto;
use origo_auth::ParticipantSid;
use prost::Message;
use proto::data_packet::Value;
use proto::data_stream::{Chunk, Header, Trailer};

use super::world::{Client, World, join_of};
use crate::media::{self, Channel, Target};
use crate::room::{Join, Received, limits};

fn sid(world: &World, client: Client) -> ParticipantSid {
    world.joined(client).participant.as_ref().unwrap().sid.parse().unwrap()
}

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

fn user(text: &str) -> Value {
    Value::User(proto::UserPacket { payload: text.into(), ..Default::default() })
}

/// The packets of a client in words: `h` begins a stream, `c0` is its first part, `t` its end, anything else is a text.
fn words(world: &World, client: Client) -> Vec<String> {
    let word = |packet: &proto::DataPacket| match &packet.value {
        Some(Value::StreamHeader(header)) => format!("h {}", header.stream_id),
        Some(Value::StreamChunk(chunk)) => format!("c{} {}", chunk.chunk_index, chunk.stream_id),
        Some(Value::StreamTrailer(trailer)) => format!("t {}", trailer.stream_id),
        Some(Value::User(user)) => String::from_utf8(user.payload.clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    world.packets(client).iter().map(word).collect()
}

fn numbers(world: &World, client: Client) -> Vec<u32> {
    world.packets(client).iter().map(|packet| packet.sequence).collect()
}

/// A join of a client that goes on with that session, and says how far it got of another's packets.
fn heir(
    identity: &str,
    of: ParticipantSid,
    last: &[(ParticipantSid, u32)],
    streams: &[(ParticipantSid, &str)],
) -> Join {
    let streams = streams.iter().map(|(publisher, id)| (*publisher, (*id).to_owned())).collect();
    let received = Received { last: last.iter().copied().collect(), streams };
    Join { successor_of: Some(of), can_succeed: true, received: Some(received), ..join_of(identity) }
}

/// Such a client comes in and is connected, so that others take it for who it was.
fn go_on(world: &mut World, node: usize, join: Join) -> Client {
    let client = world.join_as(node, join);
    world.connect(client, Target::Publisher);
    client
}

#[test]
fn who_goes_on_at_another_node_of_the_room_gets_what_it_missed_and_the_rest_of_its_streams() {
    let mut world = World::new(3);
    let [ben, ann, far] = [world.join(1, "ben"), world.join(0, "ann"), world.join(2, "far")];
    let [of_ann, of_ben] = [ann, ben].map(|client| sid(&world, client));
    send(&mut world, ben, 1, header("a"));
    send(&mut world, ben, 2, chunk("a", 0));
    let late = world.join(2, "late");
    send(&mut world, ben, 3, chunk("a", 1));
    send(&mut world, ben, 4, user("hello"));
    let back = world.join_as(2, heir("ann", of_ann, &[(of_ben, 2)], &[(of_ben, "a")]));
    assert_eq!(sid(&world, back), of_ann);
    send(&mut world, ben, 5, chunk("a", 2));
    send(&mut world, ben, 6, trailer("a"));
    assert_eq!(words(&world, back), ["c1 a", "hello", "c2 a", "t a"]);
    assert_eq!(words(&world, far), ["h a", "c0 a", "c1 a", "hello", "c2 a", "t a"]);
    assert_eq!(words(&world, late), ["hello"], "who came amid the stream gets none of it for that");
}

#[test]
fn a_node_to_which_the_room_is_new_catches_up_for_those_alone_who_were_in_it() {
    let mut world = World::new(3);
    let [ben, ann] = [world.join(1, "ben"), world.join(0, "ann")];
    let [of_ann, of_ben] = [ann, ben].map(|client| sid(&world, client));
    send(&mut world, ben, 1, header("a"));
    send(&mut world, ben, 2, chunk("a", 0));
    send(&mut world, ben, 3, user("hello"));
    let back = world.join_as(2, heir("ann", of_ann, &[(of_ben, 1)], &[(of_ben, "a")]));
    assert_eq!(sid(&world, back), of_ann);
    let new = world.join(2, "new");
    send(&mut world, ben, 4, chunk("a", 1));
    send(&mut world, ben, 5, trailer("a"));
    let words_of_back = words(&world, back);
    let from = words_of_back.iter().position(|word| word == "c0 a").expect("what it missed comes");
    assert_eq!(words_of_back[from..], ["c0 a", "hello", "c1 a", "t a"]);
    assert!(words(&world, new).is_empty());
}

#[test]
fn who_comes_to_a_node_that_has_the_room_but_not_the_beginning_gets_the_rest_of_its_streams() {
    let mut world = World::new(3);
    let [ann, ben] = [world.join(0, "ann"), world.join(1, "ben")];
    let [of_ann, of_ben] = [ann, ben].map(|client| sid(&world, client));
    send(&mut world, ann, 1, header("a"));
    // The room is new at the third node, and its first there is the one who speaks.
    let ann = go_on(&mut world, 2, heir("ann", of_ann, &[], &[]));
    send(&mut world, ann, 2, chunk("a", 0));
    let late = world.join(2, "late");
    let ben = world.join_as(2, heir("ben", of_ben, &[(of_ann, 2)], &[(of_ann, "a")]));
    send(&mut world, ann, 3, chunk("a", 1));
    send(&mut world, ann, 4, trailer("a"));
    assert_eq!(words(&world, ben), ["c1 a", "t a"]);
    assert!(words(&world, late).is_empty());
}

#[test]
fn what_comes_once_more_over_the_next_node_is_taken_once() {
    let mut world = World::new(3);
    let [ann, ben, near] = [world.join(0, "ann"), world.join(1, "ben"), world.join(0, "near")];
    let of_ann = sid(&world, ann);
    send(&mut world, ann, 1, user("one"));
    send(&mut world, ann, 2, user("two"));
    for node in [1, 2] {
        let back = go_on(&mut world, node, heir("ann", of_ann, &[], &[]));
        assert_eq!(sid(&world, back), of_ann);
        let newest = 2 + node as u32;
        for (number, text) in [(1, "one"), (2, "two"), (newest, "more"), (newest, "more")] {
            send(&mut world, back, number, user(text));
        }
        for other in [ben, near] {
            assert_eq!(numbers(&world, other), (1..=newest).collect::<Vec<_>>(), "{:?}", words(&world, other));
        }
    }
}

#[test]
fn numbers_that_begin_anew_begin_above_all_before() {
    let mut world = World::new(2);
    let [ann, ben] = [world.join(0, "ann"), world.join(1, "ben")];
    let of_ann = sid(&world, ann);
    send(&mut world, ann, 1, user("one"));
    let join = heir("ann", of_ann, &[], &[]);
    let back = go_on(&mut world, 1, join.clone());
    send(&mut world, back, 2, user("two"));
    // Its SDK joins anew at the address that it has, which says what it said before.
    let anew = go_on(&mut world, 1, join);
    assert_eq!(sid(&world, anew), of_ann);
    send(&mut world, anew, 1, user("three"));
    assert_eq!(words(&world, ben), ["one", "two", "three"]);
    let numbers = numbers(&world, ben);
    assert!(numbers.is_sorted() && numbers[2] > 1 << 20, "{numbers:?}");
}

#[test]
fn a_stranger_that_names_a_session_and_streams_gets_nothing_of_them() {
    let mut world = World::new(2);
    let [ann, ben] = [world.join(0, "ann"), world.join(1, "ben")];
    let of_ann = sid(&world, ann);
    send(&mut world, ann, 1, header("a"));
    let eve = world.join_as(1, heir("eve", of_ann, &[], &[(of_ann, "a")]));
    let far = world.join_as(0, heir("eva", of_ann, &[], &[(of_ann, "a")]));
    send(&mut world, ann, 2, chunk("a", 0));
    assert_eq!(words(&world, ben), ["h a", "c0 a"]);
    assert!(words(&world, eve).is_empty() && words(&world, far).is_empty());
}

#[test]
fn what_is_said_before_others_take_it_for_who_it_was_waits_and_is_said_then() {
    let mut world = World::new(2);
    let [ann, ben] = [world.join(0, "ann"), world.join(1, "ben")];
    world.publish(ann, "cam");
    let of_ann = sid(&world, ann);
    let back = world.join_as(1, heir("ann", of_ann, &[], &[]));
    world.connect(back, Target::Publisher);
    send(&mut world, back, 1, user("one"));
    send(&mut world, back, 2, user("two"));
    assert!(words(&world, ben).is_empty(), "its camera does not flow yet");
    world.pass(limits::HEIR_WAITS);
    assert_eq!(words(&world, ben), ["one", "two"]);
}

#[test]
fn no_more_waits_than_is_allowed() {
    let mut world = World::new(2);
    let [ann, ben] = [world.join(0, "ann"), world.join(1, "ben")];
    world.publish(ann, "cam");
    let of_ann = sid(&world, ann);
    let back = world.join_as(1, heir("ann", of_ann, &[], &[]));
    world.connect(back, Target::Publisher);
    for number in 0..=limits::HELD_PACKETS_MAX as u32 {
        assert!(words(&world, ben).is_empty());
        send(&mut world, back, number + 1, user("x"));
    }
    assert_eq!(words(&world, ben).len(), limits::HELD_PACKETS_MAX + 1);
}
