//! What the descriptions of a room of hundreds are like.

use origo_auth::TrackSid;

use super::world::World;
use crate::SessionId;
use crate::media::Command;
use crate::media::sdp::Sdp;

/// Microphones, and as many cameras.
const PEOPLE: usize = 140;

#[test]
fn a_description_grows_by_a_bounded_number_of_bytes_for_each_track_and_not_with_those_who_come_and_go() {
    let track = |number: usize, kind: char| -> TrackSid { format!("TR_{kind}{number:011}").parse().unwrap() };
    for single in [true, false] {
        let mut world = World::new();
        let viewer = world.join(single);
        world.run_ms(500);
        let describe = |world: &mut World, from: usize, to: usize| {
            for number in from..to {
                world.subscribe_to(viewer, track(number, 'v'), "video/VP8", 1, None);
                world.subscribe_to(viewer, track(number, 'a'), "audio/opus", 1, None);
            }
            world.run_ms(1_000);
            assert_eq!(world.clients[viewer].tracks_by_mid.len(), 2 * PEOPLE, "single {single}");
            let client = &world.clients[viewer];
            let last = if single { &client.last_answer } else { &client.last_offer };
            (Sdp::parse(last).unwrap().sections.len(), last.len(), client.last_offer.len())
        };
        let (sections, ours, theirs) = describe(&mut world, 0, PEOPLE);
        println!("single {single}: {sections} sections, ours of {ours} bytes, the offer of {theirs}");
        assert!((2 * PEOPLE..=2 * PEOPLE + 7).contains(&sections), "{sections}");
        assert!(ours / sections < 1_600, "{ours} bytes of {sections} sections");
        for number in 0..PEOPLE / 2 {
            ['v', 'a'].iter().for_each(|kind| {
                world.command(Command::Unsubscribe { session: SessionId(1), track: track(number, *kind) });
            });
        }
        world.run_ms(1_000);
        let (after, ..) = describe(&mut world, PEOPLE, PEOPLE + PEOPLE / 2);
        assert_eq!(after, sections, "sections of those who have gone are used again");
    }
}
