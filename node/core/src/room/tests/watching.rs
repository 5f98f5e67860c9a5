//! How tracks are shown, which layers are sent for it, and whom publishers let receive them.

use std::time::Duration;

use livekit_protocol as proto;
use origo_auth::{NodeId, RoomKey, TrackSid};
use origo_cascade_core::LayerSet;
use proto::VideoQuality;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::world::{Client, World, camera, join_of, node_id, room_key};
use crate::media::{self, Command, TrackSettings};
use crate::room::{Input, limits};

const ALL: LayerSet = LayerSet(0b111);

fn show(track: &str, width: u32, disabled: bool) -> Request {
    let track_sids = vec![track.to_owned()];
    let quality = VideoQuality::High as i32;
    Request::TrackSetting(proto::UpdateTrackSettings { track_sids, width, disabled, quality, ..Default::default() })
}

fn settings(world: &World, client: Client) -> Vec<TrackSettings> {
    let asked = world.asked(client).filter_map(|asked| match asked {
        Command::Settings { settings, .. } => Some(*settings),
        _ => None,
    });
    asked.collect()
}

/// Publishes a camera with three layers.
fn publish_layers(world: &mut World, client: Client, codec: &str) -> TrackSid {
    let layer = |quality, bitrate| proto::VideoLayer { quality, bitrate, ..Default::default() };
    let wish = proto::SimulcastCodec { codec: codec.into(), cid: "cam".into(), ..Default::default() };
    let layers = vec![layer(0, 160_000), layer(1, 500_000), layer(2, 1_700_000)];
    let request = proto::AddTrackRequest { layers, simulcast_codecs: vec![wish], ..camera("cam") };
    world.request(client, Request::AddTrack(request));
    let track = world.published(client).unwrap();
    let mime = format!("video/{}", codec.to_uppercase());
    world.media(client, media::Event::TrackStarted { session: client.1, track, mime, mid: "3".into(), ssrcs: vec![7] });
    track
}

fn demand(world: &mut World, client: Client, track: TrackSid, layers: LayerSet) {
    world.input(client.0, Input::Media(media::Event::Demand { track, layers }));
}

/// The qualities that a publisher was asked for, each time.
fn asked_for(world: &World, client: Client) -> Vec<Vec<bool>> {
    let said = world.said(client).filter_map(|said| match said {
        Response::SubscribedQualityUpdate(update) => Some(update),
        _ => None,
    });
    let qualities = said.map(|update| {
        #[expect(deprecated, reason = "both lists are to say the same")]
        let listed = &update.subscribed_qualities;
        assert_eq!(&update.subscribed_codecs[0].qualities, listed);
        assert!(["vp8", "vp9"].contains(&update.subscribed_codecs[0].codec.as_str()));
        listed.iter().map(|quality| quality.enabled).collect()
    });
    qualities.collect()
}

#[test]
fn the_last_word_on_a_size_reaches_the_worker_and_not_every_word() {
    let mut world = World::new(2);
    let [ann, ben] = [world.join(0, "ann"), world.join(1, "ben")];
    let track = world.publish(ann, "cam").to_string();
    for width in 1..=50 {
        world.request(ben, show(&track, width, false));
    }
    world.request(ben, show(&track, 50, false));
    let widths = |world: &World| settings(world, ben).iter().map(|settings| settings.width).collect::<Vec<_>>();
    assert_eq!(widths(&world), [1]);
    world.pass(limits::SETTINGS_INTERVAL);
    assert_eq!(widths(&world), [1, 50]);
    world.request(ben, show(&track, 50, false));
    world.pass(limits::SETTINGS_INTERVAL * 2);
    assert_eq!(widths(&world), [1, 50], "what was said before changes nothing");
    world.request(ben, show(&track, 50, true));
    assert!(settings(&world, ben)[2].disabled);
}

#[test]
fn nobody_shows_its_own_track_or_one_that_is_not_there() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let track = world.publish(ann, "cam").to_string();
    let max = proto::UpdateTrackSettings {
        track_sids: vec![track.clone(), "TR_nosuchtrack0".into(), "nonsense".into()],
        quality: i32::MIN,
        width: u32::MAX,
        ..Default::default()
    };
    world.request(ann, Request::TrackSetting(max.clone()));
    assert!(settings(&world, ann).is_empty());
    assert_eq!(world.node(0).stats().dropped[&("track_setting", "unknown track")], 3);
    let ben = world.join(0, "ben");
    world.request(ben, Request::TrackSetting(max));
    assert_eq!(settings(&world, ben)[0].quality, 0);
}

#[test]
fn how_a_track_was_shown_still_counts_when_it_is_taken_anew() {
    let mut world = World::new(1);
    let [ann, ben] = [world.join(0, "ann"), world.join(0, "ben")];
    let track = world.publish(ann, "cam");
    world.request(ben, show(&track.to_string(), 320, false));
    for subscribe in [false, true] {
        let track_sids = vec![track.to_string()];
        world.request(
            ben,
            Request::Subscription(proto::UpdateSubscription { track_sids, subscribe, ..Default::default() }),
        );
    }
    assert!(matches!(world.asked(ben).last(), Some(Command::Settings { settings, .. }) if settings.width == 320));
}

#[test]
fn a_layer_that_nobody_takes_is_switched_off_late_and_on_at_once() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let track = publish_layers(&mut world, ann, "vp8");
    demand(&mut world, ann, track, LayerSet::only(0));
    world.pass(limits::DYNACAST_LINGER - Duration::from_millis(1));
    assert!(asked_for(&world, ann).is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(asked_for(&world, ann), [[true, false, false]]);
    demand(&mut world, ann, track, LayerSet::only(2));
    assert_eq!(asked_for(&world, ann)[1..], [[true, false, true]]);
    world.pass(limits::DYNACAST_LINGER);
    assert_eq!(asked_for(&world, ann)[2..], [[false, false, true]]);
}

#[test]
fn layers_within_one_stream_are_asked_for_up_to_the_highest_that_is_taken() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let track = publish_layers(&mut world, ann, "vp9");
    demand(&mut world, ann, track, LayerSet::up_to(1));
    world.pass(limits::DYNACAST_LINGER);
    assert_eq!(asked_for(&world, ann), [[true, true, false]]);
    demand(&mut world, ann, track, LayerSet::NONE);
    world.pass(limits::DYNACAST_LINGER);
    assert_eq!(asked_for(&world, ann)[1..], [[false, false, false]]);
    demand(&mut world, ann, track, ALL);
    assert_eq!(asked_for(&world, ann)[2..], [[true, true, true]]);
}

#[test]
fn a_layer_that_is_taken_again_in_time_is_never_switched_off() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let track = publish_layers(&mut world, ann, "vp8");
    for layers in [LayerSet::only(0), ALL] {
        demand(&mut world, ann, track, layers);
        world.pass(limits::DYNACAST_LINGER - Duration::from_secs(1));
    }
    world.pass(limits::DYNACAST_LINGER * 2);
    assert!(asked_for(&world, ann).is_empty());
}

#[test]
fn the_first_viewer_on_any_node_is_told_to_the_publisher_once() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let track = world.publish(ann, "cam");
    let told = |world: &World| world.said(ann).filter(|said| matches!(said, Response::TrackSubscribed(_))).count();
    demand(&mut world, ann, track, LayerSet::NONE);
    assert_eq!(told(&world), 0);
    demand(&mut world, ann, track, LayerSet::only(0));
    demand(&mut world, ann, track, ALL);
    assert_eq!(told(&world), 1);
    assert!(asked_for(&world, ann).is_empty(), "without layers there is nothing to switch");
}

fn admit(all: bool, listed: &[(&str, &[String])]) -> Request {
    let track_permissions = listed.iter().map(|(identity, tracks)| proto::TrackPermission {
        participant_identity: (*identity).to_owned(),
        all_tracks: tracks.is_empty(),
        track_sids: tracks.to_vec(),
        ..Default::default()
    });
    let track_permissions = track_permissions.collect();
    Request::SubscriptionPermission(proto::SubscriptionPermission { all_participants: all, track_permissions })
}

/// What a client was told that it may have or not.
fn allowed(world: &World, client: Client) -> Vec<bool> {
    let said = world.said(client).filter_map(|said| match said {
        Response::SubscriptionPermissionUpdate(update) => Some(update.allowed),
        _ => None,
    });
    said.collect()
}

fn receives(world: &World, client: Client, sid: TrackSid) -> bool {
    let mut changes = world.asked(client).filter_map(|asked| match asked {
        Command::Subscribe(subscription) if subscription.track.sid == sid => Some(true),
        Command::Unsubscribe { track, .. } if *track == sid => Some(false),
        _ => None,
    });
    changes.next_back().unwrap_or(false)
}

#[test]
fn a_publisher_takes_its_track_from_whom_it_does_not_name_and_gives_it_back_on_every_node() {
    let mut world = World::new(2);
    let ann = world.join(0, "ann");
    let [near, far] = [world.join(0, "near"), world.join(1, "far")];
    let track = world.publish(ann, "cam");
    world.request(ann, admit(false, &[("near", &[])]));
    assert!(receives(&world, near, track) && !receives(&world, far, track));
    assert_eq!((allowed(&world, near), allowed(&world, far)), (vec![], vec![false]));

    let ask = proto::UpdateSubscription { track_sids: vec![track.to_string()], subscribe: true, ..Default::default() };
    world.request(far, Request::Subscription(ask));
    assert!(!receives(&world, far, track));
    let late = world.join(1, "late");
    assert!(!receives(&world, late, track));
    assert_eq!(allowed(&world, late), [false]);

    world.request(ann, admit(false, &[("far", &[track.to_string()])]));
    assert!(!receives(&world, near, track) && receives(&world, far, track) && !receives(&world, late, track));
    world.request(ann, admit(true, &[]));
    for client in [near, far, late] {
        assert!(receives(&world, client, track), "{client:?}");
        assert_eq!(allowed(&world, client).last(), Some(&true));
    }
}

#[test]
fn a_track_that_was_asked_for_by_name_comes_back_as_one() {
    let mut world = World::new(1);
    let [ann, ben] = [world.join(0, "ann"), world.join(0, "ben")];
    let track = world.publish(ann, "cam");
    let ask = proto::UpdateSubscription { track_sids: vec![track.to_string()], subscribe: true, ..Default::default() };
    world.request(ben, Request::Subscription(ask));
    world.request(ann, admit(false, &[]));
    assert!(!receives(&world, ben, track));
    world.request(ann, admit(true, &[]));
    assert!(matches!(world.asked(ben).last(), Some(Command::Subscribe(subscription)) if subscription.asked));
}

#[test]
fn a_list_of_admitted_that_is_too_long_is_not_taken() {
    let mut world = World::new(1);
    let [ann, ben] = [world.join(0, "ann"), world.join(0, "ben")];
    let track = world.publish(ann, "cam");
    let nobody: &[String] = &[];
    world.request(ann, admit(false, &vec![("x", nobody); limits::ADMITTED_MAX + 1]));
    world.request(ann, admit(false, &[(&"x".repeat(limits::ADMITTED_BYTES_MAX + 1), &[])]));
    assert!(receives(&world, ben, track));
    assert_eq!(world.node(0).stats().dropped[&("subscription_permission", "too long")], 2);
}

#[test]
fn who_does_not_want_a_track_is_not_given_it_with_the_permission() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let picky = world.join_as(0, crate::room::Join { auto_subscribe: false, ..join_of("picky") });
    let track = world.publish(ann, "cam");
    world.request(ann, admit(false, &[]));
    world.request(ann, admit(true, &[]));
    assert!(!receives(&world, picky, track) && allowed(&world, picky).is_empty());
}

#[test]
fn a_room_tells_from_which_nodes_each_participant_here_takes_tracks() {
    let mut world = World::new(2);
    let (ann, _, cid) = (world.join(0, "ann"), world.join(0, "ben"), world.join(1, "cid"));
    world.publish(ann, "cam");
    let takes = |world: &World, node: usize| -> Vec<(String, Vec<NodeId>)> {
        let watchers = world.node(node).watchers(&room_key()).into_iter();
        watchers.map(|(who, origins)| (who.0, origins.into_iter().collect())).collect()
    };
    let here = node_id(0);
    assert_eq!(takes(&world, 0), [("ann".to_owned(), vec![]), ("ben".to_owned(), vec![here])]);
    assert_eq!(takes(&world, 1), [("cid".to_owned(), vec![here])]);
    world.publish(cid, "cam");
    assert_eq!(takes(&world, 0)[1], ("ben".to_owned(), vec![here, node_id(1)]));
    assert_eq!(world.node(1).watchers(&RoomKey::new("default", "elsewhere")), []);
}
