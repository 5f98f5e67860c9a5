//! Pictures in two codecs, and sound with redundancy: what clients, workers and nodes are told of them.

use livekit_protocol as proto;
use origo_auth::TrackSid;
use origo_cascade_core::LayerSet;
use proto::request_response::Reason;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::world::{Client, World, camera};
use crate::media::{self, Command, Expected, Redundancy, Subscription};
use crate::room::{Input, limits};

fn wish(codec: &str, cid: &str) -> proto::SimulcastCodec {
    proto::SimulcastCodec { codec: codec.into(), cid: cid.into(), ..Default::default() }
}

/// As livekit-client announces VP9 with its default second codec.
fn announcement() -> proto::AddTrackRequest {
    proto::AddTrackRequest { simulcast_codecs: vec![wish("vp9", "cam"), wish("vp8", "")], ..camera("cam") }
}

/// The same of the second codec, once it was asked for.
fn second(track: TrackSid) -> proto::AddTrackRequest {
    let sid = track.to_string();
    proto::AddTrackRequest { sid, simulcast_codecs: vec![wish("vp8", "cam-2")], ..camera("cam-2") }
}

fn publish(world: &mut World, client: Client) -> TrackSid {
    world.request(client, Request::AddTrack(announcement()));
    let track = world.published(client).unwrap();
    start(world, client, track, "video/VP9");
    track
}

fn start(world: &mut World, client: Client, track: TrackSid, mime: &str) {
    let (mime, mid) = (mime.into(), "3".into());
    world.media(client, media::Event::TrackStarted { session: client.1, track, mime, mid, ssrcs: vec![7] });
}

fn reserved(world: &World, client: Client) -> Vec<&Expected> {
    let asked = world.asked(client).filter_map(|asked| match asked {
        Command::Reserve { track, .. } => Some(track),
        _ => None,
    });
    asked.collect()
}

fn expected(world: &World, client: Client) -> Vec<&Expected> {
    let asked = world.asked(client).filter_map(|asked| match asked {
        Command::Expect { track, .. } => Some(track),
        _ => None,
    });
    asked.collect()
}

fn subscriptions(world: &World, client: Client) -> Vec<&Subscription> {
    let asked = world.asked(client).filter_map(|asked| match asked {
        Command::Subscribe(subscription) => Some(subscription),
        _ => None,
    });
    asked.collect()
}

/// The codecs that a publisher was last asked for, each with whether any quality of it is wanted.
fn asked_for(world: &World, client: Client) -> Vec<(String, bool)> {
    let last = world.said(client).rev().find_map(|said| match said {
        Response::SubscribedQualityUpdate(update) => Some(update),
        _ => None,
    });
    let codecs = last.map_or(&[][..], |update| &update.subscribed_codecs);
    codecs.iter().map(|codec| (codec.codec.clone(), codec.qualities.iter().any(|quality| quality.enabled))).collect()
}

fn codecs(world: &World, viewer: Client) -> Vec<(String, String)> {
    let [track] = &world.knows(viewer)["ann"].tracks[..] else { panic!("one track") };
    track.codecs.iter().map(|codec| (codec.mime_type.clone(), codec.cid.clone())).collect()
}

#[test]
fn a_picture_in_two_codecs_is_one_track_to_clients_on_every_node() {
    let mut world = World::new(2);
    let viewers = [world.join(0, "near"), world.join(1, "far")];
    let ann = world.join(0, "ann");
    let track = publish(&mut world, ann);
    assert_eq!(expected(&world, ann)[0].client_ids, ["cam", "cam"]);
    let [second] = reserved(&world, ann)[..] else { panic!("the second codec waits to be taken") };
    assert_eq!((second.mime.as_str(), second.client_ids.len()), ("video/VP8", 0));
    for viewer in viewers {
        let [subscription] = subscriptions(&world, viewer)[..] else { panic!("one subscription of {viewer:?}") };
        assert_eq!((subscription.track.sid, subscription.track.mime.as_str()), (track, "video/VP9"));
        let backup = subscription.backup.as_ref().unwrap();
        assert_eq!((backup.sid, backup.mime.as_str(), backup.backup_of), (second.sid, "video/VP8", Some(track)));
        let mimes: Vec<_> = codecs(&world, viewer).into_iter().map(|(mime, _)| mime).collect();
        assert_eq!(mimes, ["video/VP9", "video/VP8"]);
    }
}

#[test]
fn the_second_codec_is_asked_for_when_somebody_takes_it_and_no_longer_when_nobody_does() {
    let mut world = World::new(2);
    let far = world.join(1, "far");
    let ann = world.join(0, "ann");
    let track = publish(&mut world, ann);
    let backup = reserved(&world, ann)[0].sid;
    let demand =
        |world: &mut World, track, layers| world.input(0, Input::Media(media::Event::Demand { track, layers }));
    demand(&mut world, track, LayerSet::only(0));
    assert_eq!(asked_for(&world, ann), [], "everything that is sent is taken");
    demand(&mut world, backup, LayerSet::only(0));
    assert_eq!(asked_for(&world, ann), [("vp9".into(), true), ("vp8".into(), true)]);

    world.request(ann, Request::AddTrack(second(track)));
    let published = world.said(ann).rev().find_map(|said| match said {
        Response::TrackPublished(published) => Some(published),
        _ => None,
    });
    assert_eq!(published.unwrap().cid, "cam-2");
    let coming = *expected(&world, ann).last().unwrap();
    assert_eq!((coming.sid, coming.client_ids[0].as_str()), (backup, "cam-2"));
    start(&mut world, ann, backup, "video/VP8");
    assert_eq!(codecs(&world, far)[1], ("video/VP8".into(), "cam-2".into()));
    let last = *subscriptions(&world, far).last().unwrap();
    assert_eq!((last.track.sid, last.backup.as_ref().map(|backup| backup.sid)), (track, Some(backup)));

    demand(&mut world, backup, LayerSet::NONE);
    world.pass(limits::DYNACAST_LINGER);
    assert_eq!(asked_for(&world, ann), [("vp9".into(), true), ("vp8".into(), false)]);
}

#[test]
fn a_second_codec_that_ends_may_be_asked_for_again() {
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let track = publish(&mut world, ann);
    let backup = reserved(&world, ann)[0].sid;
    for _ in 0..2 {
        world.request(ann, Request::AddTrack(second(track)));
        start(&mut world, ann, backup, "video/VP8");
        world.media(ann, media::Event::TrackEnded { session: ann.1, track: backup });
    }
    assert_eq!(reserved(&world, ann).len(), 3);
    assert_eq!(world.refusals(ann), []);
    let late = world.join(0, "late");
    assert_eq!(world.joined(late).other_participants[0].tracks.len(), 1, "the track itself goes on");
}

#[test]
fn a_second_codec_that_was_not_named_at_first_is_taken_and_viewers_hear_of_it() {
    let mut world = World::new(2);
    let far = world.join(1, "far");
    let ann = world.join(0, "ann");
    let wishes = vec![wish("vp9", "cam")];
    world.request(ann, Request::AddTrack(proto::AddTrackRequest { simulcast_codecs: wishes, ..camera("cam") }));
    let track = world.published(ann).unwrap();
    start(&mut world, ann, track, "video/VP9");
    assert_eq!(subscriptions(&world, far)[0].backup, None);
    world.request(ann, Request::AddTrack(second(track)));
    let news = *subscriptions(&world, far).last().unwrap();
    assert_eq!(news.backup.as_ref().map(|backup| backup.mime.as_str()), Some("video/VP8"));
}

#[test]
fn a_second_codec_of_a_strange_track_twice_or_of_the_same_kind_is_refused() {
    let mut world = World::new(1);
    let (ann, bob) = (world.join(0, "ann"), world.join(0, "bob"));
    let track = publish(&mut world, ann);
    world.request(bob, Request::AddTrack(second(track)));
    assert_eq!(world.refusals(bob), [Reason::NotFound]);
    let same = proto::AddTrackRequest { simulcast_codecs: vec![wish("vp9", "x")], ..second(track) };
    world.request(ann, Request::AddTrack(same));
    let unknown = proto::AddTrackRequest { simulcast_codecs: vec![wish("theora", "x")], ..second(track) };
    world.request(ann, Request::AddTrack(unknown));
    world.request(ann, Request::AddTrack(second(track)));
    assert_eq!(world.refusals(ann), [Reason::UnsupportedType; 2]);
    world.request(ann, Request::AddTrack(second(track)));
    assert_eq!(world.refusals(ann), [Reason::UnsupportedType; 3]);
    world.request(ann, Request::AddTrack(proto::AddTrackRequest { sid: "nonsense".into(), ..second(track) }));
    assert_eq!(world.refusals(ann).last(), Some(&Reason::NotFound));
}

#[test]
fn who_takes_no_codec_of_a_track_hears_that() {
    let mut world = World::new(2);
    let far = world.join(1, "far");
    let ann = world.join(0, "ann");
    let track = publish(&mut world, ann);
    world.media(far, media::Event::Unsupported { session: far.1, track });
    let err = proto::SubscriptionError::SeCodecUnsupported as i32;
    let told = proto::SubscriptionResponse { track_sid: track.to_string(), err };
    assert_eq!(world.said(far).last(), Some(&Response::SubscriptionResponse(told)));
}

#[test]
fn an_encrypted_picture_has_one_codec_and_an_encrypted_sound_no_redundancy() {
    let mut world = World::new(2);
    let far = world.join(1, "far");
    let ann = world.join(0, "ann");
    let encryption = proto::encryption::Type::Gcm as i32;
    world.request(ann, Request::AddTrack(proto::AddTrackRequest { encryption, ..announcement() }));
    assert_eq!(reserved(&world, ann).len(), 0);
    let mic = proto::AddTrackRequest { r#type: proto::TrackType::Audio as i32, encryption, ..camera("mic") };
    world.request(ann, Request::AddTrack(mic));
    let track = world.published(ann).unwrap();
    start(&mut world, ann, track, "audio/opus");
    assert_eq!(expected(&world, ann).last().unwrap().redundancy, Redundancy::Sealed);
    assert_eq!(subscriptions(&world, far).last().unwrap().redundancy, Redundancy::Sealed);
    assert!(world.knows(far)["ann"].tracks[0].disable_red);
}

#[test]
fn a_sound_has_redundancy_unless_its_publisher_does_not_want_it() {
    let mut world = World::new(2);
    let far = world.join(1, "far");
    let ann = world.join(0, "ann");
    for (cid, disable_red, redundancy) in [("a", false, Redundancy::Allowed), ("b", true, Redundancy::Disabled)] {
        let mic = proto::AddTrackRequest { r#type: proto::TrackType::Audio as i32, disable_red, ..camera(cid) };
        world.request(ann, Request::AddTrack(mic));
        let track = world.published(ann).unwrap();
        start(&mut world, ann, track, "audio/opus");
        assert_eq!(expected(&world, ann).last().unwrap().redundancy, redundancy);
        let taken = subscriptions(&world, far).last().copied().unwrap().clone();
        assert_eq!((taken.track.sid, taken.redundancy), (track, redundancy));
        let told = world.knows(far)["ann"].tracks.iter().find(|info| info.sid == track.to_string()).cloned();
        assert_eq!(told.unwrap().disable_red, disable_red);
    }
    assert!(world.joined(far).enabled_publish_codecs.iter().any(|codec| codec.mime == "audio/red"));
}

#[test]
fn the_sizes_that_a_publisher_declares_reach_workers_everywhere() {
    let mut world = World::new(2);
    let far = world.join(1, "far");
    let ann = world.join(0, "ann");
    let layer = |quality, width, height| proto::VideoLayer { quality, width, height, ..Default::default() };
    let layers = vec![layer(0, 240, 426), layer(1, 480, 852)];
    world.request(ann, Request::AddTrack(proto::AddTrackRequest { layers, ..camera("cam") }));
    let track = world.published(ann).unwrap();
    world.start(ann, track);
    assert_eq!(expected(&world, ann)[0].layer_sizes, [(240, 426), (480, 852)]);
    assert_eq!(subscriptions(&world, far)[0].track.layer_sizes, [(240, 426), (480, 852)]);

    #[expect(deprecated, reason = "older clients still send it")]
    let update = |layers| Request::UpdateLayers(proto::UpdateVideoLayers { track_sid: track.to_string(), layers });
    world.request(ann, update(vec![layer(0, 320, 180), layer(1, 640, 360)]));
    world.request(ann, update(vec![layer(0, 1, 1)]));
    let told = &world.knows(far)["ann"].tracks[0].codecs[0].layers;
    assert_eq!(told.iter().map(|layer| (layer.width, layer.height)).collect::<Vec<_>>(), [(320, 180), (640, 360)]);
    assert_eq!(told[1].rid, "h", "its streams keep their names");
}

#[test]
fn a_client_that_switches_to_tcp_is_told_nothing_else_when_it_comes_back() {
    use proto::simulate_scenario::Scenario;
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    let scenario = Some(Scenario::SwitchCandidateProtocol(proto::CandidateProtocol::Tcp as i32));
    world.request(ann, Request::Simulate(proto::SimulateScenario { scenario }));
    let sessions = [world.join(0, "ann"), world.join(0, "ann")];
    let tcp_only = sessions.map(|client| match world.asked(client).next() {
        Some(Command::Open(open)) => open.tcp_only,
        other => panic!("{other:?}"),
    });
    assert_eq!(tcp_only, [true, false], "once");
}

#[test]
fn a_client_may_have_its_way_narrowed_for_a_test() {
    use proto::simulate_scenario::Scenario;
    let mut world = World::new(1);
    let ann = world.join(0, "ann");
    for bps in [300_000, 0] {
        let scenario = Some(Scenario::SubscriberBandwidth(bps));
        world.request(ann, Request::Simulate(proto::SimulateScenario { scenario }));
    }
    let capped = world.asked(ann).filter_map(|asked| match asked {
        Command::CapBandwidth { bps, .. } => Some(*bps),
        _ => None,
    });
    assert_eq!(capped.collect::<Vec<_>>(), [Some(300_000), None]);
}
