//! What clients are told of each other's voices and connections, and of their own tokens.

use std::time::Duration;

use livekit_protocol as proto;
use origo_auth::TrackSid;
use origo_cascade_core::LayerSet;
use proto::ConnectionQuality;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::world::{Client, Deed, World, join_of};
use crate::media::{self, PathQuality};
use crate::room::{Input, limits};

/// A track is so loud for some time, at every node, as if each had a viewer.
fn speak(world: &mut World, nodes: usize, track: TrackSid, dbov: u8, time: Duration) {
    for _ in 0..time.as_millis() / 100 {
        for node in 0..nodes {
            world.input(node, Input::Media(media::Event::Levels(vec![(track, dbov, true)])));
        }
        world.pass(Duration::from_millis(100));
    }
}

fn speakers(world: &World, client: Client) -> Vec<(String, bool)> {
    let said = world.said(client).filter_map(|said| match said {
        Response::SpeakersChanged(changed) => Some(&changed.speakers),
        _ => None,
    });
    said.flatten().map(|speaker| (speaker.sid.clone(), speaker.active)).collect()
}

fn sid(world: &World, client: Client) -> String {
    world.joined(client).participant.as_ref().unwrap().sid.clone()
}

#[test]
fn a_speaker_is_told_once_everywhere_and_once_that_it_stopped() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let [near, far] = [world.join(0, "near"), world.join(1, "far")];
    let track = world.publish(ann, "mic");
    speak(&mut world, 2, track, 20, Duration::from_secs(4));
    let ann_sid = sid(&world, ann);
    for client in [ann, near, far] {
        assert_eq!(speakers(&world, client), [(ann_sid.clone(), true)], "{client:?}");
    }
    let late = world.join(1, "late");
    assert_eq!(speakers(&world, late), [(ann_sid.clone(), true)]);
    speak(&mut world, 2, track, 127, Duration::from_secs(4));
    for client in [ann, near, far, late] {
        assert_eq!(speakers(&world, client), [(ann_sid.clone(), true), (ann_sid.clone(), false)], "{client:?}");
    }
}

#[test]
fn a_click_is_no_speech_and_a_track_that_ends_speaks_no_more() {
    let mut world = World::new(1);
    let [ann, ben] = [world.join(0, "ann"), world.join(0, "ben")];
    let track = world.publish(ann, "mic");
    speak(&mut world, 1, track, 5, Duration::from_millis(100));
    speak(&mut world, 1, track, 60, Duration::from_secs(2));
    assert!(speakers(&world, ben).is_empty());

    speak(&mut world, 1, track, 10, Duration::from_secs(1));
    world.media(ann, media::Event::TrackEnded { session: ann.1, track });
    world.pass(Duration::from_secs(2));
    assert_eq!(speakers(&world, ben).last().map(|(_, active)| *active), Some(false));
    world.input(0, Input::Media(media::Event::Levels(vec![(track, 0, true); 100])));
    world.pass(Duration::from_secs(2));
    assert!(!speakers(&world, ben).last().unwrap().1, "levels of a track that is gone count for nothing");
}

#[test]
fn workers_of_all_nodes_hear_whose_pictures_come_first() {
    let mut world = World::new(2);
    let [ann, ben, _] = [world.join(0, "ann"), world.join(0, "ben"), world.join(1, "eve")];
    let [from_ann, from_ben] = [world.publish(ann, "mic"), world.publish(ben, "mic")];
    speak(&mut world, 2, from_ann, 20, Duration::from_secs(2));
    assert_eq!([&world.speakers[&0][..], &world.speakers[&1][..]], [[from_ann]; 2]);
    for _ in 0..20 {
        speak(&mut world, 2, from_ben, 10, Duration::from_millis(100));
        speak(&mut world, 2, from_ann, 20, Duration::from_millis(100));
    }
    assert_eq!(world.speakers[&1], [from_ann, from_ben], "who throws in a word takes nothing from the speaker");
    speak(&mut world, 2, from_ben, 20, Duration::from_secs(4));
    assert_eq!(world.speakers[&1], [from_ben, from_ann]);
}

fn fare(world: &mut World, client: Client, up: PathQuality) {
    let down = PathQuality::default();
    world.media(client, media::Event::Quality { session: client.1, up, down });
    world.pass(Duration::from_secs(5));
}

fn bad() -> PathQuality {
    PathQuality { loss: 0.2, jitter_ms: 30.0, rtt_ms: 300.0, bitrate_bps: 400_000, expected_bps: 500_000 }
}

/// What a client was told of another's connection, each time.
fn qualities(world: &World, client: Client, of: &str) -> Vec<ConnectionQuality> {
    let said = world.said(client).filter_map(|said| match said {
        Response::ConnectionQuality(update) => Some(&update.updates),
        _ => None,
    });
    said.flatten().filter(|info| info.participant_sid == of).map(|info| info.quality()).collect()
}

#[test]
fn quality_is_told_on_change_to_oneself_and_to_those_who_receive_one_on_every_node() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let [near, far] = [world.join(0, "near"), world.join(1, "far")];
    let picky = world.join_as(1, crate::room::Join { auto_subscribe: false, ..join_of("picky") });
    world.publish(ann, "cam");
    let ann_sid = sid(&world, ann);
    for _ in 0..4 {
        fare(&mut world, ann, PathQuality::default());
    }
    let updates = |world: &World| world.said(far).filter(|said| matches!(said, Response::Update(_))).count();
    let before = updates(&world);
    for client in [ann, near, far] {
        assert_eq!(qualities(&world, client, &ann_sid), [ConnectionQuality::Excellent], "{client:?}");
    }
    fare(&mut world, ann, bad());
    for client in [ann, near, far] {
        assert_eq!(qualities(&world, client, &ann_sid).last(), Some(&ConnectionQuality::Poor), "{client:?}");
    }
    assert!(qualities(&world, picky, &ann_sid).is_empty());
    assert_eq!(updates(&world), before, "quality is no news about the participant itself");
}

#[test]
fn a_lost_connection_is_never_told_to_the_one_who_has_it() {
    let mut world = World::new(1);
    let [ann, ben] = [world.join(0, "ann"), world.join(0, "ben")];
    world.publish(ann, "cam");
    let ann_sid = sid(&world, ann);
    let silence = PathQuality { loss: f32::NAN, bitrate_bps: 0, expected_bps: 500_000, ..PathQuality::default() };
    for _ in 0..4 {
        fare(&mut world, ann, silence);
    }
    assert_eq!(qualities(&world, ben, &ann_sid).last(), Some(&ConnectionQuality::Lost));
    assert!(!qualities(&world, ann, &ann_sid).contains(&ConnectionQuality::Lost));
}

#[test]
fn a_paused_track_is_named_with_its_publisher() {
    let mut world = World::new(2);
    let [ann, ben] = [world.join(0, "ann"), world.join(1, "ben")];
    let track = world.publish(ann, "cam");
    world.media(ben, media::Event::StreamState { session: ben.1, track, paused: true });
    let Some(Response::StreamStateUpdate(update)) = world.said(ben).last() else { panic!("nothing said") };
    let state = &update.stream_states[0];
    assert_eq!((&state.participant_sid, &state.track_sid), (&sid(&world, ann), &track.to_string()));
    assert_eq!(state.state(), proto::StreamState::Paused);
    world.media(ann, media::Event::TrackEnded { session: ann.1, track });
    let before = world.deeds(ben).len();
    world.media(ben, media::Event::StreamState { session: ben.1, track, paused: false });
    world.input(0, Input::Media(media::Event::Demand { track, layers: LayerSet::only(0) }));
    assert_eq!(world.deeds(ben).len(), before, "a track that is gone has no state");
}

#[test]
fn a_token_is_fresh_from_the_start_and_says_what_is_so_now() {
    let mut world = World::new(1);
    let mut join = join_of("ann");
    join.claims.video.can_publish = Some(false);
    join.claims.video.can_update_own_metadata = Some(true);
    let ann = world.join_as(0, join);
    let tokens = |world: &World| {
        let tokens = world.deeds(ann).iter().filter_map(|deed| match deed {
            Deed::Token(claims) => Some((**claims).clone()),
            _ => None,
        });
        tokens.collect::<Vec<_>>()
    };
    let begin = super::world::BEGIN_MS / 1_000;
    assert_eq!(tokens(&world)[0].exp, begin + limits::TOKEN_VALID.as_secs());
    world.connect(ann, media::Target::Publisher);
    let rename = proto::UpdateParticipantMetadata { name: "Ann".into(), ..Default::default() };
    world.request(ann, Request::UpdateMetadata(rename));
    world.pass(limits::TOKEN_INTERVAL);
    let last = tokens(&world).pop().unwrap();
    assert_eq!((tokens(&world).len(), last.name.as_str()), (2, "Ann"));
    assert!(last.video.room_join && last.video.can_publish == Some(false));
    assert_eq!((last.sub.as_str(), last.video.room.as_str()), ("ann", "standup"));
}
