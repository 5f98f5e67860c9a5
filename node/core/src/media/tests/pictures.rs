//! In a room of hundreds a client has sections for the pictures that it wishes for and for those of who spoke last.

use origo_cascade_core::link::Received;

use super::forwarding::{layer, link_packet};
use super::shortlist::described_of;
use super::world::{World, sid};
use crate::media::{Command, Event, TrackSettings};

/// Pictures for which a client has sections here.
const LISTED: usize = 5;
/// Of which a description with a section for each is still taken.
const ROOM: usize = 120;
/// Of which none is.
const LARGER_ROOM: usize = 300;
/// Sections beyond those that are listed: one that ends and one that waits.
const SPARE: usize = 2;
/// Longer than an exchange of descriptions takes.
const EXCHANGE_MS: u64 = 400;
/// So long a section stays with its picture, whoever speaks.
const CHANGES_EVERY_MS: u64 = 1_000;

const LARGE: TrackSettings =
    TrackSettings { disabled: false, quality: 2, width: 640, height: 360, fps: 0, priority: 0 };
const HIDDEN: TrackSettings = TrackSettings { disabled: true, ..LARGE };

/// Cameras behind a link, and clients of both versions that take all of them.
struct Gallery {
    world: World,
    viewers: Vec<usize>,
    letters: Vec<char>,
    frames: u64,
}

impl Gallery {
    fn new(cameras: usize) -> Self {
        let mut gallery = Self::before_anybody_came();
        gallery.come(&"abcdefghijkmnopq"[..cameras]);
        gallery.world.run_ms(1_000);
        gallery
    }

    fn before_anybody_came() -> Self {
        let mut world = World::new();
        world.worker.setup.sections.pictures = LISTED;
        let viewers = [true, false].map(|single| world.join(single)).to_vec();
        world.run_ms(500);
        Self { world, viewers, letters: Vec::new(), frames: 0 }
    }

    /// Cameras are switched on, and the clients subscribe to them.
    fn come(&mut self, letters: &str) {
        for letter in letters.chars() {
            self.viewers.iter().for_each(|&viewer| self.world.subscribe(viewer, letter, "video/VP8", 1));
            self.letters.push(letter);
        }
    }

    /// These speak or have spoken, the first of them to the fore.
    fn speak(&mut self, who: &str) {
        self.world.command(Command::Speakers(who.chars().map(sid).collect()));
    }

    fn show(&mut self, letter: char, settings: TrackSettings) {
        for &viewer in &self.viewers {
            let session = self.world.clients[viewer].id;
            self.world.command(Command::Settings { session, track: sid(letter), settings });
        }
    }

    /// All cameras send so many frames, one every 50 ms.
    fn send(&mut self, frames: u64) {
        for _ in 0..frames {
            self.frames += 1;
            for &letter in &self.letters {
                let mut packet = link_packet(&self.world, 1_000 + self.frames, vec![0x90, 0x80, 0x80, 7, 0, 1, 2, 3]);
                packet.key = true;
                self.world.link(Received::Packet { layer: layer(letter, 0), packet });
            }
            self.world.run_ms(50);
        }
    }

    /// For which pictures a client has sections.
    fn listed(&self, viewer: usize) -> String {
        let tracks = self.world.clients[viewer].tracks_by_mid.values();
        let mut letters: Vec<char> = tracks.map(|track| track.to_string().chars().last().unwrap()).collect();
        letters.sort_unstable();
        letters.into_iter().collect()
    }

    /// The same of all clients, who agree.
    fn all_listed(&self) -> String {
        let listed = self.listed(self.viewers[0]);
        assert!(self.viewers.iter().all(|&viewer| self.listed(viewer) == listed));
        listed
    }

    /// Whether the node takes a picture over the link.
    fn is_taken(&self, letter: char) -> bool {
        let wants = self.world.events.iter().filter_map(|event| match event {
            Event::Want { track, layers } if *track == sid(letter) => Some(layers.contains(0)),
            _ => None,
        });
        wants.last().unwrap_or(false)
    }

    /// Exchanges of descriptions for its sake since so many events were told.
    fn exchanges_since(&self, told: usize) -> usize {
        let is_exchange = |event: &&Event| matches!(event, Event::Offer { .. } | Event::SectionsNeeded { .. });
        self.world.events[told..].iter().filter(is_exchange).count()
    }

    /// Sections for pictures in the last descriptions of a client.
    fn sections(&self, viewer: usize) -> usize {
        let client = &self.world.clients[viewer];
        [&client.last_answer, &client.last_offer].map(|text| text.matches("m=video").count()).into_iter().max().unwrap()
    }
}

#[test]
fn descriptions_in_a_room_of_hundreds_of_cameras_stay_small() {
    for single in [true, false] {
        let version = if single { "v1 answer" } else { "v0 offer" };
        let sections = |text: &str| text.matches("m=video").count();
        let [all, few, larger] = [(ROOM, 0), (ROOM, 50), (LARGER_ROOM, 50)].map(|(pictures, listed)| {
            let text = described_of("video/VP8", single, pictures, listed);
            let (sections, bytes) = (sections(&text), text.len());
            println!("{version}, {pictures} pictures, video_sections {listed}: {sections} sections, {bytes} bytes");
            text
        });
        assert_eq!([&all, &few, &larger].map(|text| sections(text)), [ROOM, 50, 50]);
        assert!(few.len() * 2 < all.len() && larger.len() < few.len() + 1_000);
    }
}

#[test]
fn in_small_rooms_all_pictures_have_sections() {
    let gallery = Gallery::new(LISTED);
    assert_eq!(gallery.all_listed(), "abcde");
}

#[test]
fn while_nobody_speaks_those_stay_that_came_first_and_no_other_is_taken_over_the_link() {
    let mut gallery = Gallery::new(8);
    gallery.send(20);
    gallery.come("mn");
    gallery.send(40);
    assert_eq!(gallery.all_listed(), "abcde");
    for letter in "abcdefghmn".chars() {
        assert_eq!(gallery.is_taken(letter), "abcde".contains(letter), "{letter}");
        for &viewer in gallery.viewers.iter().filter(|_| gallery.is_taken(letter)) {
            assert!(gallery.world.received(viewer, letter).len() >= 50, "{letter}");
        }
    }
}

#[test]
fn who_speaks_is_seen_in_place_of_who_came_last_and_then_of_who_spoke_longest_ago() {
    let mut gallery = Gallery::new(9);
    gallery.speak("g");
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abcdg");
    gallery.send(20);
    assert!(gallery.viewers.iter().all(|&viewer| gallery.world.received(viewer, 'g').len() >= 15));
    assert!(!gallery.is_taken('e'));
    // Everybody who has a section speaks, and then two who have none: those go who spoke first.
    for order in ["cg", "acg", "dacg", "bdacg"] {
        gallery.speak(order);
        gallery.world.run_ms(CHANGES_EVERY_MS);
    }
    gallery.speak("hbdacg");
    gallery.world.run_ms(CHANGES_EVERY_MS);
    assert_eq!(gallery.all_listed(), "abcdh");
    gallery.speak("ihbdacg");
    gallery.world.run_ms(CHANGES_EVERY_MS);
    assert_eq!(gallery.all_listed(), "abdhi");
    gallery.send(20);
    assert!(gallery.viewers.iter().all(|&viewer| gallery.world.received(viewer, 'i').len() >= 15));
}

#[test]
fn a_section_changes_hands_for_a_speaker_at_most_once_a_second() {
    let mut gallery = Gallery::new(10);
    gallery.speak("ihg");
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abcdi", "who is most to the fore is seen at once");
    gallery.world.run_ms(CHANGES_EVERY_MS - EXCHANGE_MS - 100);
    assert_eq!(gallery.all_listed(), "abcdi");
    gallery.world.run_ms(100 + EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abchi");
    gallery.world.run_ms(CHANGES_EVERY_MS);
    assert_eq!(gallery.all_listed(), "abghi", "though nobody said anything since");
    let told = gallery.world.events.len();
    for _ in 0..20 {
        gallery.speak("ghi");
        gallery.world.run_ms(CHANGES_EVERY_MS / 2);
        gallery.speak("ihg");
        gallery.world.run_ms(CHANGES_EVERY_MS / 2);
    }
    assert_eq!(gallery.all_listed(), "abghi");
    assert_eq!(gallery.exchanges_since(told), 0, "people who talk in turns and have sections change nothing");
}

#[test]
fn sections_of_pictures_are_used_again_however_many_speak_in_turn() {
    let mut gallery = Gallery::new(12);
    let order: Vec<char> = "abcdefghijkm".chars().collect();
    for turn in 0..30 {
        let speakers: String = (0..3).map(|back| order[(turn + 12 - back) % 12]).collect();
        gallery.speak(&speakers);
        gallery.world.run_ms(CHANGES_EVERY_MS + EXCHANGE_MS + 100);
        let listed = gallery.all_listed();
        assert!(speakers.chars().all(|who| listed.contains(who)), "{speakers} in {listed}");
    }
    for &viewer in &gallery.viewers {
        assert!(gallery.sections(viewer) <= LISTED + SPARE, "{}", gallery.sections(viewer));
    }
}

#[test]
fn a_joiner_begins_with_who_spoke_last_without_an_exchange_more() {
    let mut gallery = Gallery::before_anybody_came();
    let told = gallery.world.events.len();
    gallery.come("abcdefghij");
    gallery.speak("jihg");
    gallery.world.run_ms(CHANGES_EVERY_MS / 2);
    assert_eq!(gallery.all_listed(), "aghij");
    assert_eq!(gallery.exchanges_since(told), gallery.viewers.len());
}

#[test]
fn a_picture_that_is_asked_for_has_a_section_beyond_the_bound_too() {
    let mut gallery = Gallery::new(8);
    gallery.world.asks = true;
    gallery.come("m");
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abcdm", "it takes the place of the one that came last");
    gallery.come("nopqrs");
    gallery.world.run_ms(2 * EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "mnopqrs");
    gallery.speak("abc");
    gallery.world.run_ms(2 * CHANGES_EVERY_MS);
    assert_eq!(gallery.all_listed(), "mnopqrs", "nobody who speaks takes it away");
    gallery.viewers.clone().into_iter().for_each(|viewer| {
        "mnopq".chars().for_each(|letter| gallery.world.unsubscribe(viewer, letter));
    });
    gallery.world.run_ms(2 * EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abcrs", "what is free goes to who spoke last");
}

#[test]
fn a_picture_that_one_has_anyway_may_be_asked_for_as_well() {
    let mut gallery = Gallery::new(8);
    for &viewer in &gallery.viewers {
        let session = gallery.world.clients[viewer].id;
        gallery.world.command(Command::Favour { session, track: sid('h') });
    }
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abcdh");
    gallery.speak("efg");
    gallery.world.run_ms(4 * CHANGES_EVERY_MS);
    assert_eq!(gallery.all_listed(), "aefgh");
    gallery.come("h");
    gallery.speak("befg");
    gallery.world.run_ms(2 * CHANGES_EVERY_MS);
    assert_eq!(gallery.all_listed(), "abefg", "that is over: it goes as the one that came last");
}

#[test]
fn what_is_shown_in_a_size_has_a_section_and_what_is_hidden_goes_first() {
    let mut gallery = Gallery::new(9);
    for letter in "fghi".chars() {
        gallery.show(letter, LARGE);
    }
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "afghi");
    for letter in "bcd".chars() {
        gallery.show(letter, LARGE);
    }
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "bcdfghi", "beyond the bound");
    for letter in "fg".chars() {
        gallery.show(letter, HIDDEN);
    }
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "bcdhi", "within it again");
    gallery.show('c', HIDDEN);
    gallery.speak("a");
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abdhi");
}

#[test]
fn a_wish_for_a_quality_alone_keeps_no_section() {
    let mut gallery = Gallery::new(7);
    for letter in "abcde".chars() {
        gallery.show(letter, TrackSettings { quality: 0, ..TrackSettings::default() });
    }
    gallery.speak("g");
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abcdg");
}

#[test]
fn shared_screens_have_sections_besides() {
    let mut gallery = Gallery::new(8);
    gallery.world.screens = true;
    gallery.come("mn");
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abcdemn");
    gallery.speak("fgh");
    gallery.world.run_ms(4 * CHANGES_EVERY_MS);
    assert_eq!(gallery.all_listed(), "abfghmn");
}

#[test]
fn a_picture_without_a_section_is_none_that_the_way_has_no_room_for() {
    let mut gallery = Gallery::new(8);
    gallery.send(20);
    gallery.speak("h");
    gallery.send(40);
    assert_eq!(gallery.all_listed(), "abcdh");
    assert_eq!(gallery.world.count(|event| matches!(event, Event::StreamState { .. })), 0);
}

#[test]
fn a_camera_without_a_section_may_go_on_at_another_node() {
    let mut gallery = Gallery::new(8);
    gallery.viewers.clone().into_iter().for_each(|viewer| gallery.world.follow(viewer, 'h', 'q'));
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abcde");
    gallery.speak("q");
    gallery.world.run_ms(EXCHANGE_MS);
    assert_eq!(gallery.all_listed(), "abcdh");
    assert!(gallery.is_taken('q') && !gallery.is_taken('h'));
}

#[test]
fn who_leaves_a_room_of_hundreds_of_cameras_leaves_nothing_behind() {
    let mut gallery = Gallery::new(8);
    gallery.speak("hg");
    let sessions: Vec<_> = gallery.viewers.iter().map(|&viewer| gallery.world.clients[viewer].id).collect();
    sessions.into_iter().for_each(|session| gallery.world.command(Command::Close(session)));
    gallery.world.run_ms(2 * CHANGES_EVERY_MS);
    assert_eq!(gallery.world.worker.stats().entries.tracks, 0);
}
