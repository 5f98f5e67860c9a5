//! A sound that goes on from another node: it comes over a way of another length, and nothing of it is missed or heard
//! twice.

use origo_cascade_core::TrackRecord;
use origo_cascade_core::link::{Packet, Received};

use super::forwarding::{layer, link_packet};
use super::world::{World, sid};
use crate::media::{Command, Kind, Subscription};

/// One of the two sessions of a publisher, as the node of a viewer hears it. Times are milliseconds.
#[derive(Clone, Copy)]
struct Session {
    letter: char,
    /// From a capture to the arrival.
    way: u64,
    /// First and last frame, each of 20 ms.
    frames: (u64, u64),
    /// Its frames are cut so much later than the other's.
    phase: u64,
    /// When its first report comes, if one does.
    told: Option<u64>,
}

impl Session {
    /// Its timestamp at the beginning of time.
    fn origin(&self) -> u32 {
        if self.letter == 'a' { 7_000 } else { 4_294_960_000 }
    }

    fn captured(&self, frame: u64) -> u64 {
        frame * 20 + self.phase
    }

    /// A packet says when its sound was captured, in units of 5 ms.
    fn packet(&self, world: &World, frame: u64) -> Packet {
        let captured = self.captured(frame);
        let mut packet = link_packet(world, 1_000 + frame, (captured as u16 / 5).to_be_bytes().to_vec());
        packet.timestamp = self.origin().wrapping_add(captured as u32 * 48);
        packet
    }
}

fn subscribe(world: &mut World, letter: char) {
    let track = TrackRecord {
        sid: sid(letter),
        kind: Kind::Audio,
        mime: "audio/opus".to_owned(),
        layer_bitrates_bps: vec![],
        layer_sizes: Vec::new(),
        backup_of: None,
        shown_as: Some(sid('a')).filter(|_| letter != 'a'),
    };
    let publisher = "PA_abcdefghjkmn".parse().unwrap();
    let (session, stream, redundancy) = (world.clients[0].id, format!("{publisher}|microphone"), world.redundancy);
    let backup = None;
    world.command(Command::Subscribe(Subscription {
        session,
        track,
        backup,
        publisher,
        stream,
        screen: false,
        asked: false,
        redundancy,
        home: None,
    }));
}

/// What a viewer hears of an old session and the new one: RTP number, timestamp and capture. The new one is told of at
/// `moved`; `late` are frames of the old one that come so much later.
fn heard(old: Session, new: Session, moved: u64, late: &[(u64, u64)]) -> Vec<(u64, u32, u64)> {
    let mut world = World::new();
    world.join(true);
    world.run_ms(500);
    subscribe(&mut world, 'a');
    world.run_ms(500);
    let mut arrivals: Vec<(u64, char, Option<u64>)> = Vec::new();
    for session in [old, new] {
        let extra = |frame: u64| late.iter().find(|(of, _)| session.letter == 'a' && *of == frame).map_or(0, |l| l.1);
        let (first, last) = session.frames;
        let came = |frame| (session.captured(frame) + session.way + extra(frame), session.letter, Some(frame));
        arrivals.extend((first..=last).map(came));
        arrivals.extend(session.told.map(|at| (at, session.letter, None)));
    }
    arrivals.sort_unstable();
    let (mut at, mut is_told) = (0, false);
    for (arrives, letter, frame) in arrivals {
        if !is_told && arrives >= moved {
            subscribe(&mut world, 'b');
            is_told = true;
        }
        world.run_ms(arrives - at);
        at = arrives;
        let session = if letter == 'a' { old } else { new };
        world.link(match frame {
            Some(frame) => Received::Packet { layer: layer(letter, 0), packet: session.packet(&world, frame) },
            // What was captured at 1 s, by a clock that counts from 77 s on.
            None => {
                let rtp = session.origin().wrapping_add(48_000);
                Received::SenderReport { layer: layer(letter, 0), ntp: 78 << 32, rtp }
            }
        });
    }
    world.run_ms(1_000);
    let received = world.received(0, 'a');
    let of = |payload: &[u8]| u64::from(u16::from_be_bytes([payload[0], payload[1]])) * 5;
    let mut heard: Vec<(u64, u32, u64)> =
        received.iter().map(|packet| (*packet.seq_no, packet.header.timestamp, of(&packet.payload))).collect();
    heard.sort_unstable();
    heard
}

/// The numbers have no gap, and each packet is of the sound that follows what the one before it is of.
fn is_whole(heard: &[(u64, u32, u64)]) -> bool {
    heard.windows(2).all(|pair| {
        let [(number, time, captured), (next_number, next_time, next_captured)] = [pair[0], pair[1]];
        let apart = next_captured.wrapping_sub(captured);
        next_number == number + 1 && next_time.wrapping_sub(time) == 960 && (10..30).contains(&apart)
    })
}

const OLD: Session = Session { letter: 'a', way: 120, frames: (0, 199), phase: 0, told: Some(5) };
const NEW: Session = Session { letter: 'b', way: 40, frames: (60, 299), phase: 10, told: Some(1_300) };

/// Which of the two a capture is of.
fn is_of_new(captured: u64) -> bool {
    captured % 20 == NEW.phase
}

#[test]
fn nothing_is_missed_or_heard_twice_whichever_way_is_shorter() {
    for (old_way, new_way, phase) in [(120, 40, 10), (40, 120, 10), (80, 80, 10), (200, 15, 5), (15, 200, 15)] {
        let (old, new) = (Session { way: old_way, ..OLD }, Session { way: new_way, phase, ..NEW });
        let heard = heard(old, new, 1_300, &[]);
        assert!(is_whole(&heard), "{old_way} and {new_way}: {heard:?}");
        let (first, last) = (heard[0].2, heard.last().unwrap().2);
        assert_eq!((first, last), (0, 299 * 20 + phase), "{old_way} and {new_way}");
        let begins = heard.iter().find(|(.., captured)| captured % 20 == phase).unwrap().2;
        assert!(begins < 1_450, "it goes over at once: {begins}");
    }
}

#[test]
fn a_packet_of_the_old_session_that_comes_after_the_new_one_has_begun_gets_its_own_number() {
    // The new one begins after 1.4 s with what was captured at 1,270 ms.
    let heard = heard(OLD, NEW, 1_300, &[(60, 250), (62, 100)]);
    assert!(is_whole(&heard), "{heard:?}");
    let of_old: Vec<u64> = heard.iter().map(|(.., captured)| *captured).filter(|at| !is_of_new(*at)).collect();
    assert_eq!(of_old, (0..=63).map(|frame| frame * 20).collect::<Vec<u64>>());
}

#[test]
fn the_old_session_is_heard_until_the_publisher_has_told_how_the_two_lie() {
    let heard = heard(OLD, Session { told: Some(2_600), ..NEW }, 1_300, &[]);
    assert!(is_whole(&heard), "{heard:?}");
    let begins = heard.iter().find(|(.., captured)| is_of_new(*captured)).unwrap().2;
    assert!((2_400..2_700).contains(&begins), "{begins}");
}

#[test]
fn where_the_publisher_never_tells_arrival_tells_and_at_the_latest_the_end_of_the_old_session() {
    for (last, begins_by) in [(199, 4_000), (110, 2_220)] {
        let old = Session { frames: (0, last), ..OLD };
        let heard = heard(old, Session { way: 120, told: None, ..NEW }, 1_300, &[]);
        assert!(is_whole(&heard), "{heard:?}");
        let begins = heard.iter().find(|(.., captured)| is_of_new(*captured)).unwrap().2;
        assert!((begins_by - 150..=begins_by).contains(&begins), "{begins}");
    }
}

#[test]
fn a_queue_on_the_way_is_no_end_of_the_old_session() {
    // From frame 60 on all of it comes 300 ms late.
    let late: Vec<(u64, u64)> = (60..=199).map(|frame| (frame, 300)).collect();
    let heard = heard(OLD, NEW, 1_300, &late);
    assert!(is_whole(&heard), "{heard:?}");
}
