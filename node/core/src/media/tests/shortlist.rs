//! In a room of hundreds a client has sections for the sounds that spoke last.

use origo_auth::TrackSid;

use super::loudest::Hall;
use super::world::{World, sid};
use crate::media::{Command, Event, Sections};

/// Sounds for which a client has sections here.
const LISTED: usize = 8;
/// Of which a description with a section for each is still taken.
const ROOM: usize = 250;
/// Of which none is.
const LARGER_ROOM: usize = 300;
/// Sections beyond those that are listed: one that ends, one that waits, and the channels'.
const SPARE: usize = 3;

fn numbered(number: usize) -> TrackSid {
    format!("TR_{number:012}").parse().unwrap()
}

/// So many microphones behind a link, and those who hear them.
fn hall(microphones: usize, viewers: usize) -> Hall {
    let mut world = World::new();
    world.worker.setup.sections.sounds = LISTED;
    Hall::on(world, microphones, viewers)
}

fn sections(description: &str) -> usize {
    description.matches("m=audio").count()
}

/// The last description of a client that receives so many sounds, of which so many are listed.
fn described(single: bool, sounds: usize, listed: usize) -> String {
    described_of("audio/opus", single, sounds, listed)
}

/// The same of sounds or of pictures.
pub fn described_of(mime: &str, single: bool, tracks: usize, listed: usize) -> String {
    let mut world = World::new();
    world.worker.setup.sections = Sections { sounds: listed, pictures: listed };
    let client = world.join(single);
    world.run_ms(500);
    (0..tracks).for_each(|number| world.subscribe_to(client, numbered(number), mime, 1, None));
    world.run_ms(12_000);
    assert_eq!(world.count(|event| matches!(event, Event::Refused { .. })), 0);
    let client = &world.clients[client];
    assert_eq!(client.tracks_by_mid.len(), if listed == 0 { tracks } else { tracks.min(listed) });
    if single { client.last_answer.clone() } else { client.last_offer.clone() }
}

/// Which sounds a viewer has sections for.
fn listed(hall: &Hall, viewer: usize) -> String {
    let mut letters: Vec<char> = hall.world.clients[viewer]
        .tracks_by_mid
        .values()
        .map(|track| track.to_string().chars().last().unwrap())
        .collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

fn audio_sections(hall: &Hall, viewer: usize) -> usize {
    let client = &hall.world.clients[viewer];
    sections(&client.last_answer).max(sections(&client.last_offer))
}

#[test]
fn descriptions_in_a_room_of_hundreds_stay_small() {
    for single in [true, false] {
        let (all, few) = (described(single, ROOM, 0), described(single, ROOM, 50));
        let version = if single { "v1 answer" } else { "v0 offer" };
        for (what, text) in [("for all", &all), ("for 50", &few)] {
            println!("{version}, {ROOM} sounds, sections {what}: {} sections, {} bytes", sections(text), text.len());
        }
        assert_eq!((sections(&all), sections(&few)), (ROOM, 50));
        assert!(few.len() * 4 < all.len());
        let larger = described(single, LARGER_ROOM, 50);
        println!(
            "{version}, {LARGER_ROOM} sounds, sections for 50: {} sections, {} bytes",
            sections(&larger),
            larger.len()
        );
        assert_eq!(sections(&larger), 50);
    }
}

#[test]
fn in_small_rooms_nothing_is_different() {
    for single in [true, false] {
        let [with, without] = [LISTED, 0].map(|listed| described(single, LISTED, listed));
        assert_eq!(sections(&with), LISTED);
        assert_eq!(sections(&with), sections(&without));
    }
}

#[test]
fn who_speaks_is_listed_in_place_of_who_spoke_longest_ago() {
    let mut hall = hall(LISTED + 4, 2);
    for viewer in hall.viewers.clone() {
        assert_eq!(listed(&hall, viewer), "abcdefgh");
    }
    // All of them speak, one after the other; the last is the first.
    for who in ["b", "c", "d", "e", "f", "g", "h", "a"] {
        hall.speak(50, who);
    }
    hall.speak(600, "");
    hall.speak(100, "k");
    for viewer in hall.viewers.clone() {
        assert_eq!(listed(&hall, viewer), "acdefghk");
        assert!(hall.world.received(viewer, 'k').len() >= 50, "a second after its first word at the latest");
        assert!(audio_sections(&hall, viewer) <= LISTED + SPARE);
    }
    hall.speak(600, "");
    hall.speak(100, "b");
    for viewer in hall.viewers.clone() {
        assert_eq!(listed(&hall, viewer), "abdefghk");
        assert!(hall.world.received(viewer, 'b').len() >= 50);
    }
}

#[test]
fn sections_are_used_again_however_many_speak_in_turn() {
    let mut hall = hall(LISTED + 6, 2);
    for round in 0..3 {
        for who in "abcdefghijkmno".chars() {
            hall.speak(75, &who.to_string());
            for viewer in hall.viewers.clone() {
                assert!(listed(&hall, viewer).contains(who), "{who} in round {round}: {}", listed(&hall, viewer));
            }
        }
    }
    for viewer in hall.viewers.clone() {
        assert!(audio_sections(&hall, viewer) <= LISTED + SPARE, "{}", audio_sections(&hall, viewer));
    }
}

#[test]
fn a_noise_and_voices_of_one_loudness_change_nothing() {
    let mut hall = hall(LISTED + 4, 2);
    hall.send(300, |letter, _| Some(if letter < 'j' { 30 } else { 25 }));
    for viewer in hall.viewers.clone() {
        assert_eq!(listed(&hall, viewer), "abcdefgh");
    }
}

#[test]
fn whoever_is_not_listed_takes_what_becomes_free() {
    let mut hall = hall(LISTED + 2, 2);
    hall.speak(50, "abcdefgh");
    for viewer in hall.viewers.clone() {
        hall.world.unsubscribe(viewer, 'c');
    }
    hall.speak(100, "");
    for viewer in hall.viewers.clone() {
        let now = listed(&hall, viewer);
        assert_eq!(now.len(), LISTED, "{now}");
        assert!(!now.contains('c') && (now.contains('i') || now.contains('j')), "{now}");
    }
}

#[test]
fn a_sound_that_is_not_listed_still_comes_over_the_link_so_that_it_can_be_heard_to_speak() {
    let hall = hall(LISTED + 1, 1);
    let wants = |track: TrackSid| {
        hall.world
            .count(|event| matches!(event, Event::Want { track: of, layers } if *of == track && layers.contains(0)))
    };
    assert_eq!(listed(&hall, hall.viewers[0]), "abcdefgh");
    assert_eq!(wants(sid('i')), 1);
}

#[test]
fn who_leaves_a_room_of_hundreds_takes_its_list_along() {
    let mut hall = hall(LISTED + 4, 1);
    let session = hall.world.clients[hall.viewers[0]].id;
    hall.speak(50, "k");
    hall.world.command(Command::Close(session));
    hall.speak(50, "m");
}
