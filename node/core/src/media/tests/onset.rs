//! In a room of hundreds the sound and the picture of who begins to speak come with one exchange of descriptions.

use origo_auth::{ParticipantSid, TrackSid};

use super::loudest::spoken;
use super::world::World;
use crate::SessionId;
use crate::media::{Command, Event, Sections, TrackSettings};

/// Sounds and pictures for which a client has sections, as a node has it unless told otherwise, and who is in the room.
const LISTED: usize = 50;
const ROOM: usize = 60;
/// The same where the room may be small.
const FEW_LISTED: usize = 5;
const SMALL_ROOM: usize = 12;
/// -dBov.
const SPEAKS: u8 = 25;
const NOISE: u8 = 70;
/// Heard, and not taken for a voice yet.
const UNDER_BREATH: u8 = 60;
/// Milliseconds of a packet.
const PACKET_MS: u64 = 20;
/// Packets until the rooms tell of a speaker: half a second.
const UNTIL_TOLD: u32 = 25;

/// People with a camera and a microphone behind a link, and a viewer of each version of the protocol.
struct Room {
    world: World,
    /// v1, then v0.
    viewers: [usize; 2],
    steps: u32,
}

fn microphone(who: usize) -> TrackSid {
    format!("TR_1{who:011}").parse().unwrap()
}

fn camera(who: usize) -> TrackSid {
    format!("TR_2{who:011}").parse().unwrap()
}

fn participant(who: usize) -> ParticipantSid {
    format!("PA_{who:012}").parse().unwrap()
}

impl Room {
    fn new(people: usize, listed: usize) -> Self {
        let mut world = World::new();
        world.worker.setup.sections = Sections { sounds: listed, pictures: listed };
        let viewers = [true, false].map(|single| world.join(single));
        world.run_ms(500);
        for who in 0..people {
            world.publisher = participant(who);
            for viewer in viewers {
                world.subscribe_to(viewer, microphone(who), "audio/opus", 1, None);
                world.subscribe_to(viewer, camera(who), "video/VP8", 1, None);
            }
        }
        world.run_ms(3_000);
        Self { world, viewers, steps: 0 }
    }

    /// These send so many packets of sound, so loud.
    fn sound(&mut self, packets: u32, who: &[usize], dbov: u8) {
        for _ in 0..packets {
            for &who in who {
                self.world.link(spoken(microphone(who), self.steps, Some(dbov), self.world.now));
            }
            self.steps += 1;
            self.world.run_ms(PACKET_MS);
        }
    }

    /// The rooms tell who speaks or has spoken, the first of them to the fore.
    fn tell(&mut self, who: &[usize]) {
        self.world.command(Command::Speakers(who.iter().flat_map(|&who| [camera(who), microphone(who)]).collect()));
    }

    fn has(&self, viewer: usize, track: TrackSid) -> bool {
        self.world.clients[viewer].tracks_by_mid.values().any(|one| *one == track)
    }

    /// Whether the viewers, who agree, have sections for somebody's sound and picture.
    fn hear_and_see(&self, who: usize) -> (bool, bool) {
        let [v1, v0] = self.viewers.map(|viewer| (self.has(viewer, microphone(who)), self.has(viewer, camera(who))));
        assert_eq!(v1, v0);
        v1
    }

    /// The lengths of what the node described to a viewer since so many events were told, one for each exchange.
    fn described_since(&self, told: usize, viewer: usize) -> Vec<usize> {
        let id: SessionId = self.world.clients[viewer].id;
        let descriptions = self.world.events[told..].iter().filter_map(|event| match event {
            Event::Answer { session, sdp, .. } | Event::Offer { session, sdp, .. } if *session == id => Some(sdp.len()),
            _ => None,
        });
        descriptions.collect()
    }

    fn exchanges_since(&self, told: usize) -> [usize; 2] {
        self.viewers.map(|viewer| self.described_since(told, viewer).len())
    }

    fn told(&self) -> usize {
        self.world.events.len()
    }
}

/// What the node describes to the viewers for each of some people who begin to speak, the first half a second so loud:
/// exchanges and bytes.
fn cost_of_speakers(first: u8) -> [(usize, usize); 2] {
    let mut room = Room::new(ROOM, LISTED);
    // The first change adds the section that is idle from then on.
    let (mut begin, new) = (0, LISTED..LISTED + 6);
    for who in new.clone() {
        assert_eq!(room.hear_and_see(who), (false, false));
        room.sound(UNTIL_TOLD, &[who], first);
        room.tell(&[who]);
        room.sound(UNTIL_TOLD, &[who], SPEAKS);
        assert_eq!(room.hear_and_see(who), (true, true));
        room.world.run_ms(1_000);
        if begin == 0 {
            begin = room.told();
        }
    }
    room.viewers.map(|viewer| {
        let client = &room.world.clients[viewer];
        let sections = |kind| client.last_answer.matches(kind).count().max(client.last_offer.matches(kind).count());
        assert_eq!(["m=audio", "m=video"].map(sections), [LISTED + 1; 2], "one of each is idle");
        let (described, speakers) = (room.described_since(begin, viewer), new.len() - 1);
        assert_eq!(described.len() % speakers, 0);
        (described.len() / speakers, described.iter().sum::<usize>() / speakers)
    })
}

#[test]
fn who_begins_to_speak_is_heard_and_seen_with_one_exchange() {
    let ([together, apart], versions) = ([SPEAKS, UNDER_BREATH].map(cost_of_speakers), ["v1", "v0"]);
    for (version, (one, two)) in versions.into_iter().zip(together.into_iter().zip(apart)) {
        println!("{version}, each new speaker: {one:?} exchanges and bytes, {two:?} where the picture comes by itself");
        assert_eq!((one.0, two.0), (1, 2));
        assert!(one.1 * 2 < two.1 + two.1 / 50);
    }
}

#[test]
fn of_two_who_begin_at_once_the_second_is_seen_a_second_after_the_first() {
    let mut room = Room::new(SMALL_ROOM, FEW_LISTED);
    let (begin, both) = (room.told(), [7, 9]);
    let seen = |room: &Room| both.into_iter().filter(|&who| room.hear_and_see(who).1).count();
    let heard = |room: &Room| both.into_iter().filter(|&who| room.hear_and_see(who).0).count();
    room.sound(15, &both, SPEAKS);
    assert_eq!((heard(&room), seen(&room)), (1, 1));
    room.sound(20, &both, SPEAKS);
    room.tell(&both);
    room.sound(10, &both, SPEAKS);
    assert_eq!((heard(&room), seen(&room)), (2, 1), "a sound changes each half a second, a picture each second");
    room.sound(30, &both, SPEAKS);
    assert_eq!((heard(&room), seen(&room)), (2, 2));
    room.sound(50, &both, SPEAKS);
    assert_eq!(room.exchanges_since(begin), [3, 3]);
}

#[test]
fn who_begins_softly_is_seen_once_the_rooms_tell_of_it() {
    let mut room = Room::new(SMALL_ROOM, FEW_LISTED);
    let (begin, both) = (room.told(), [7, 9]);
    room.sound(35, &both, UNDER_BREATH);
    assert_eq!(both.map(|who| room.hear_and_see(who)), [(true, false); 2]);
    room.tell(&both);
    room.sound(100, &both, SPEAKS);
    assert_eq!(both.map(|who| room.hear_and_see(who)), [(true, true); 2]);
    assert_eq!(room.exchanges_since(begin), [4, 4]);
}

#[test]
fn a_noise_that_takes_a_section_is_not_seen() {
    let mut room = Room::new(SMALL_ROOM, FEW_LISTED);
    room.sound(50, &[7], NOISE);
    assert_eq!(room.hear_and_see(7), (true, false));
}

#[test]
fn who_was_named_a_speaker_is_not_displaced_by_who_was_not() {
    let mut room = Room::new(SMALL_ROOM, FEW_LISTED);
    let named: Vec<usize> = (0..FEW_LISTED).collect();
    room.tell(&named);
    room.sound(UNTIL_TOLD, &[7], SPEAKS);
    assert_eq!(room.hear_and_see(7), (true, false), "they may speak still");
    room.tell(&[7, 0, 1, 2, 3, 4]);
    room.sound(UNTIL_TOLD, &[7], SPEAKS);
    assert_eq!(room.hear_and_see(7), (true, true));
    assert!(!room.hear_and_see(4).1, "who was named last");
}

#[test]
fn what_is_wished_for_stays_and_what_came_with_a_word_is_not_taken_back() {
    let mut room = Room::new(SMALL_ROOM, FEW_LISTED);
    let settings = TrackSettings { width: 640, height: 360, ..TrackSettings::default() };
    for viewer in room.viewers {
        let session = room.world.clients[viewer].id;
        (0..FEW_LISTED - 1).for_each(|who| {
            room.world.command(Command::Settings { session, track: camera(who), settings });
        });
    }
    room.sound(20, &[7], SPEAKS);
    assert_eq!(room.hear_and_see(7), (true, true), "in place of the only one that nobody wished for");
    room.world.run_ms(1_000);
    let begin = room.told();
    // The rooms did not take it for speech.
    room.tell(&[0, 1]);
    room.world.run_ms(2_000);
    assert_eq!((room.hear_and_see(7), room.exchanges_since(begin)), ((true, true), [0, 0]));
    assert!((0..FEW_LISTED - 1).all(|who| room.hear_and_see(who).1));
    room.sound(20, &[8], SPEAKS);
    assert_eq!((room.hear_and_see(8), room.hear_and_see(7).1), ((true, true), false), "who spoke last");
}
