//! Data channels in both versions, their bounds and their order.

use bytes::Bytes;

use super::world::World;
use crate::SessionId;
use crate::media::{Channel, Command, Event};

fn send(world: &mut World, client: usize, channel: Channel, packet: Vec<u8>) {
    let session = world.clients[client].id;
    world.command(Command::SendData { session, channel, packet: Bytes::from(packet) });
}

#[test]
fn data_goes_both_ways_on_the_clients_channels_in_v1() {
    let mut world = World::new();
    let client = world.join(true);
    send(&mut world, client, Channel::Reliable, vec![1; 64_000]);
    world.run_ms(1_000);
    assert!(world.events.contains(&Event::ChannelsOpen(SessionId(1))));
    let connection = &mut world.clients[client].connections[0];
    assert_eq!(connection.messages, [("_reliable".to_owned(), vec![1; 64_000])], "it waited for the channel");
    let id = connection.channels["_lossy"];
    assert!(connection.rtc.channel(id).unwrap().write(true, &[2; 100]).unwrap());
    world.run_ms(100);
    let packet = Bytes::from(vec![2; 100]);
    assert!(world.events.contains(&Event::Data { session: SessionId(1), channel: Channel::Lossy, packet }));
}

#[test]
fn many_reliable_messages_arrive_whole_and_in_order_in_v0() {
    let mut world = World::new();
    let client = world.join(false);
    world.run_ms(500);
    for number in 0..60_u8 {
        send(&mut world, client, Channel::Reliable, vec![number; 30_000]);
    }
    world.run_ms(3_000);
    let numbers: Vec<u8> = world.receiver(client).messages.iter().map(|(_, message)| message[0]).collect();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
}

#[test]
fn data_for_a_client_that_does_not_take_it_is_bounded_and_counted() {
    let mut world = World::new();
    world.signaling = false;
    let client = world.join(false);
    for _ in 0..200 {
        send(&mut world, client, Channel::Reliable, vec![0; 64_000]);
        send(&mut world, client, Channel::Lossy, vec![0; 64_000]);
    }
    assert!(world.worker.stats().dropped_count("data", "client too slow") > 200);
    world.run_ms(1);
    let told = world.events.iter().filter(|event| **event == Event::FellBehind(world.clients[client].id)).count();
    assert_eq!(told, 1, "8 MB wait, and then the rooms are told once");
}

#[test]
fn a_client_that_fell_behind_gets_nothing_more_and_another_gets_all() {
    let mut world = World::new();
    world.signaling = false;
    let slow = world.join(false);
    world.run_ms(100);
    world.signaling = true;
    let quick = world.join(false);
    world.run_ms(500);
    for number in 0..200_u8 {
        send(&mut world, slow, Channel::Reliable, vec![number; 60_000]);
        send(&mut world, quick, Channel::Reliable, vec![number; 60_000]);
        world.run_ms(20);
    }
    world.run_ms(2_000);
    let numbers: Vec<u8> = world.receiver(quick).messages.iter().map(|(_, message)| message[0]).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    assert!(world.events.contains(&Event::FellBehind(world.clients[slow].id)));
    assert!(!world.events.contains(&Event::FellBehind(world.clients[quick].id)));
}
