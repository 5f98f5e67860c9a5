//! Data packets between participants of one and of several nodes.

use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message;
use proto::data_packet::Value;

use super::world::{Client, World, join_of};
use crate::media::{self, Channel};
use crate::room::limits;

fn packet(sequence: u32, text: &str) -> proto::DataPacket {
    let user = proto::UserPacket { payload: text.into(), ..Default::default() };
    proto::DataPacket { sequence, value: Some(Value::User(user)), ..Default::default() }
}

fn send(world: &mut World, client: Client, channel: Channel, packet: &proto::DataPacket) {
    let packet = Bytes::from(packet.encode_to_vec());
    world.media(client, media::Event::Data { session: client.1, channel, packet });
}

fn texts(world: &World, client: Client) -> Vec<String> {
    let payloads = world.packets(client).into_iter().map(|packet| match packet.value {
        Some(Value::User(user)) => String::from_utf8(user.payload).unwrap(),
        other => panic!("{other:?}"),
    });
    payloads.collect()
}

#[test]
fn a_reliable_packet_that_comes_twice_is_delivered_once() {
    let mut world = World::new(2);
    let [ann, near, far] = [world.join(0, "ann"), world.join(0, "near"), world.join(1, "far")];
    for (sequence, text) in [(1, "a"), (2, "b"), (2, "b"), (1, "a"), (3, "c")] {
        send(&mut world, ann, Channel::Reliable, &packet(sequence, text));
    }
    assert_eq!(texts(&world, near), ["a", "b", "c"]);
    assert_eq!(texts(&world, far), ["a", "b", "c"]);
    assert!(texts(&world, ann).is_empty(), "a sender does not hear itself");
    assert_eq!(world.node(0).stats().dropped[&("data packet", "came before")], 2);
}

#[test]
fn packets_without_a_number_are_never_taken_for_old_ones() {
    let mut world = World::new(2);
    let [ann, far] = [world.join(0, "ann"), world.join(1, "far")];
    send(&mut world, ann, Channel::Reliable, &packet(0, "a"));
    send(&mut world, ann, Channel::Reliable, &packet(0, "a"));
    send(&mut world, ann, Channel::Lossy, &packet(0, "b"));
    assert_eq!(texts(&world, far), ["a", "a", "b"]);
}

#[test]
#[expect(deprecated, reason = "older clients read the inner fields")]
fn a_packet_carries_its_true_sender() {
    let mut world = World::new(2);
    let [ann, far] = [world.join(0, "ann"), world.join(1, "far")];
    let forged = proto::DataPacket {
        participant_identity: "boss".into(),
        participant_sid: "PA_boss".into(),
        kind: 0,
        ..packet(0, "hi")
    };
    send(&mut world, ann, Channel::Lossy, &forged);
    let got = &world.packets(far)[0];
    let sid = &world.joined(ann).participant.as_ref().unwrap().sid;
    assert_eq!((got.participant_identity.as_str(), &got.participant_sid, got.kind), ("ann", sid, 1));
    let Some(Value::User(user)) = &got.value else { panic!("the value changed") };
    assert_eq!((user.participant_identity.as_str(), &user.participant_sid), ("ann", sid));
}

#[test]
fn a_packet_for_some_reaches_only_them() {
    let mut world = World::new(2);
    let [ann, near, far, cid] =
        [world.join(0, "ann"), world.join(0, "near"), world.join(1, "far"), world.join(1, "cid")];
    let meant = proto::DataPacket { destination_identities: vec!["far".into()], ..packet(1, "psst") };
    send(&mut world, ann, Channel::Reliable, &meant);
    assert_eq!([near, far, cid].map(|client| texts(&world, client).len()), [0, 1, 0]);
}

#[test]
fn who_may_not_send_data_or_sends_nonsense_is_not_heard() {
    let mut world = World::new(1);
    let near = world.join(0, "near");
    let mut join = join_of("mute");
    join.claims.video.can_publish_data = Some(false);
    let mute = world.join_as(0, join);
    send(&mut world, mute, Channel::Reliable, &packet(1, "x"));
    let raw =
        |bytes: Vec<u8>| media::Event::Data { session: near.1, channel: Channel::Lossy, packet: Bytes::from(bytes) };
    world.media(near, raw(vec![0xff; 40]));
    world.media(near, raw(vec![0; limits::DATA_PACKET_BYTES_MAX + 1]));
    world.media(near, raw(Vec::new()));
    let dropped = world.node(0).stats().dropped;
    for reason in ["not allowed", "malformed", "too long", "unknown value"] {
        assert_eq!(dropped[&("data packet", reason)], 1, "{reason}");
    }
    assert!(world.packets(near).is_empty() && world.packets(mute).is_empty());
}
