//! When those who are there hear of who comes.

use std::time::Duration;

use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message;
use proto::data_packet::Value;
use proto::participant_info::State;
use proto::signal_response::Message as Response;

use super::world::{Client, Deed, World};
use crate::media::{self, Channel, Command, Target};
use crate::room::limits;
use crate::room::newcomers::TOLD_AFTER;

/// What a client was told of others, message by message.
fn updates(world: &World, client: Client) -> Vec<Vec<proto::ParticipantInfo>> {
    let updates = world.said(client).filter_map(|said| match said {
        Response::Update(update) => Some(update.participants.clone()),
        _ => None,
    });
    updates.collect()
}

#[test]
fn others_hear_of_all_who_come_within_a_moment_in_one_word() {
    let mut world = World::new(2);
    let watchers = [world.join(0, "watcher"), world.join(1, "other watcher")];
    world.introduce();
    let before = watchers.map(|watcher| updates(&world, watcher).len());
    for (node, name) in [(0, "ann"), (1, "ben"), (0, "cid")] {
        let client = world.join(node, name);
        world.connect(client, Target::Publisher);
        world.pass(TOLD_AFTER / 4);
    }
    assert_eq!(watchers.map(|watcher| updates(&world, watcher).len()), before, "not yet");
    world.introduce();
    for (watcher, before) in watchers.into_iter().zip(before) {
        let told = &updates(&world, watcher)[before..];
        let [told] = told else { panic!("{} messages", told.len()) };
        let told = told.iter().map(|info| (&info.identity[..], info.state()));
        let active = State::Active;
        assert_eq!(told.collect::<Vec<_>>(), [("ann", active), ("ben", active), ("cid", active)]);
    }
    let told = updates(&world, watchers[0]);
    assert!(!told.iter().flatten().any(|info| info.identity == "watcher"), "nobody is told of itself");
}

#[test]
fn a_newcomer_that_shows_or_says_something_is_told_of_at_once() {
    let mut world = World::new(2);
    let watchers = [world.join(0, "watcher"), world.join(1, "other watcher")];
    let shows = world.join(0, "shows");
    world.publish(shows, "cam");
    let says = world.join(1, "says");
    world.connect(says, Target::Publisher);
    let packet = proto::DataPacket { value: Some(Value::User(proto::UserPacket::default())), ..Default::default() };
    let (session, packet) = (says.1, Bytes::from(packet.encode_to_vec()));
    world.media(says, media::Event::Data { session, channel: Channel::Lossy, packet });
    for watcher in watchers {
        assert!(world.knows(watcher)["shows"].is_publisher);
        let deeds = world.deeds(watcher);
        let told = |deed: &Deed| match deed {
            Deed::Said(Response::Update(update)) => update.participants.iter().any(|info| info.identity == "says"),
            _ => false,
        };
        let told = deeds.iter().position(told).expect("who speaks is known");
        let heard = deeds.iter().position(|deed| matches!(deed, Deed::Asked(Command::SendData { .. })));
        assert!(told < heard.expect("it is heard"), "before it is heard");
    }
}

#[test]
fn a_crowd_is_looked_at_once_for_all_who_came_in_the_same_second() {
    let mut world = World::new(1);
    let crowd = (0..100).map(|number| {
        let client = world.join(0, &format!("viewer {number}"));
        world.connect(client, Target::Publisher);
        world.pass(Duration::from_millis(10));
        client
    });
    let crowd: Vec<_> = crowd.collect();
    world.introduce();
    let seconds = 60;
    let looks = world.pass(Duration::from_secs(seconds));
    assert!(looks < 20, "{looks} looks in {seconds} s at {} people", crowd.len());
}

#[test]
fn who_never_connects_is_let_go_within_a_second_of_its_time_whenever_it_came() {
    for since_the_second in [0, 1, 400_000, 999_999, 1_000_000, 500_000_000, 999_999_999].map(Duration::from_nanos) {
        let mut world = World::new(1);
        world.pass(since_the_second);
        let client = world.join(0, "ann");
        world.pass(limits::CONNECT_TIMEOUT - Duration::from_nanos(1));
        let left = |world: &World| world.said(client).any(|said| matches!(said, Response::Leave(_)));
        assert!(!left(&world), "{since_the_second:?}: too early");
        world.pass(Duration::from_secs(1));
        assert!(left(&world), "{since_the_second:?}: not let go");
    }
}
