//! Descriptions that lie: offers of real clients, changed in any way, and what each kind of lie gets.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::world::{World, sid};
use crate::SessionId;
use crate::media::{Command, Event, Input, OpenSession, Output, Worker, WorkerConfig};

const REAL: [(&str, &str); 8] = [
    ("chromium, first", include_str!("descriptions/chromium-first.sdp")),
    ("chromium, publishing", include_str!("descriptions/chromium-publishing.sdp")),
    ("chromium, v0", include_str!("descriptions/chromium-v0.sdp")),
    ("firefox, first", include_str!("descriptions/firefox-first.sdp")),
    ("firefox, publishing", include_str!("descriptions/firefox-publishing.sdp")),
    ("python, first", include_str!("descriptions/python-first.sdp")),
    ("python, publishing", include_str!("descriptions/python-publishing.sdp")),
    ("python, v0", include_str!("descriptions/python-v0.sdp")),
];
/// How long any description may keep a worker, on a busy machine and unoptimised: others' media waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A worker with one session that offers these, one after the other; gives what came of each.
fn offered(single_connection: bool, offers: &[String]) -> (Worker, Vec<Event>) {
    let address = ([127, 0, 0, 1], 7_883).into();
    let mut now = Instant::now();
    let config = WorkerConfig {
        addresses: vec![address],
        tcp_addresses: vec![],
        bwe: true,
        egress: super::EGRESS,
        loudest: 0,
        sections: Default::default(),
        place: (0, 1),
    };
    let (mut worker, session) = (Worker::new(config, now), SessionId(1));
    let open = OpenSession {
        session,
        single_connection,
        ice_lite: true,
        fixed_sections: false,
        tcp_only: false,
        may_pause: true,
    };
    worker.handle_input(now, Input::Command(Command::Open(open)));
    let mut events = Vec::new();
    for (id, sdp) in (1..).zip(offers) {
        now += Duration::from_secs(1);
        let begun = Instant::now();
        worker.handle_input(now, Input::Command(Command::Offer { session, id, sdp: sdp.clone() }));
        worker.handle_input(now, Input::BurstEnd);
        loop {
            match worker.poll_output() {
                Output::Event(event @ (Event::Answer { .. } | Event::Refused { .. })) => events.push(event),
                Output::Timeout(_) => break,
                _ => {}
            }
        }
        let took = begun.elapsed();
        assert!(took < PATIENCE, "{took:?} for {} bytes:\n{}", sdp.len(), &sdp[..sdp.len().min(2_000)]);
    }
    worker.handle_input(now, Input::Command(Command::Close(session)));
    (worker, events)
}

fn refused_for(worker: &Worker) -> Vec<&'static str> {
    worker.stats().dropped().filter(|(what, ..)| *what == "description").map(|(_, reason, _)| reason).collect()
}

/// What becomes of a second offer, made of the first; the reason is empty when it is answered.
fn second(change: impl Fn(&str) -> String) -> Vec<&'static str> {
    let first = REAL[1].1.to_owned();
    let changed = change(&first);
    assert_ne!(changed, first, "the change finds something to change");
    let (worker, events) = offered(true, &[first, changed]);
    assert!(matches!(events[0], Event::Answer { .. }), "{:?}", events[0]);
    assert_eq!(events.len(), 2);
    assert_eq!(matches!(events[1], Event::Refused { .. }), !refused_for(&worker).is_empty());
    refused_for(&worker)
}

#[test]
fn what_real_clients_offer_is_answered() {
    for (name, sdp) in REAL {
        let (worker, events) = offered(!name.ends_with("v0"), &[sdp.to_owned(), sdp.to_owned()]);
        assert!(matches!(events[..], [Event::Answer { .. }, Event::Answer { .. }]), "{name}: {events:?}");
        assert!(refused_for(&worker).is_empty(), "{name}");
    }
}

#[test]
fn each_lie_is_refused_by_its_name() {
    let fingerprint = |sdp: &str| {
        let at = sdp.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
        sdp[at..at + 5].to_owned()
    };
    assert_eq!(second(|sdp| sdp.replace(&fingerprint(sdp), "00:00")), ["fingerprint changed"]);
    assert_eq!(second(|sdp| sdp.replacen(&fingerprint(sdp), "00:00", 1)), ["fingerprints differ"]);
    assert_eq!(second(|sdp| sdp.replacen("m=audio", "m=video", 1)), ["mid recycled"]);
    assert_eq!(second(|sdp| sdp.replacen("a=mid:1\r\n", "a=mid:2\r\n", 1)), ["bad mid"]);
    assert_eq!(second(|sdp| sdp.replacen("VP8/90000", "H264/90000", 1)), ["payload type changed"]);
    assert_eq!(second(|sdp| sdp.replacen("m=", &"m=audio 9 x 0\r\na=mid:x\r\n".repeat(300), 1)), ["too many sections"]);
    assert_eq!(second(|sdp| format!("{sdp}{}", "a=x\r\n".repeat(1_000))), ["too many lines in a section"]);
    assert_eq!(second(|sdp| format!("{sdp}{}", "a=x\r\n".repeat(200_000))), ["too long"]);
    assert_eq!(second(|_| "v=0\r\nm=audio 9 x 0\r\na=mid:0\r\nnonsense\r\n".to_owned()), ["refused"]);
}

/// An offer with so many further sections of a codec that nobody knows, each with lines that say nothing.
fn with_unknown(offer: &str, sections: usize, lines: usize) -> String {
    let mids: Vec<String> = (100..100 + sections).map(|number| number.to_string()).collect();
    let group = offer.lines().find(|line| line.starts_with("a=group:BUNDLE")).unwrap();
    let padding = "a=nothing:to see here\r\n".repeat(lines);
    let section = |mid: &String| {
        format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 77\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:{mid}\r\na=sendonly\r\n\
             a=rtpmap:77 FUTURE/90000\r\n{padding}"
        )
    };
    let sections: String = mids.iter().map(section).collect();
    offer.replacen(group, &format!("{group} {}", mids.join(" ")), 1) + &sections
}

#[test]
fn codecs_that_nobody_knows_are_answered_and_carry_nothing() {
    assert!(second(|sdp| with_unknown(sdp, 1, 0)).is_empty());
}

#[test]
fn hundreds_of_sections_take_no_more_time_than_others_can_spare() {
    let many = with_unknown(REAL[1].1, 290, 60);
    assert!(many.len() > 400_000, "near the bound: {}", many.len());
    let (worker, events) = offered(true, &[many]);
    assert!(matches!(events[..], [Event::Answer { .. }]), "{events:?} {:?}", refused_for(&worker));
}

#[test]
fn who_offers_too_fast_is_answered_to_the_last_offer_alone() {
    let mut world = World::new();
    let client = world.join(true);
    world.run_ms(100);
    let (session, sdp) = (world.clients[client].id, world.clients[client].last_offer.clone());
    world.clients[client].offers = 1_000;
    for id in 900..=1_000 {
        world.worker.handle_input(world.now, Input::Command(Command::Offer { session, id, sdp: sdp.clone() }));
        if id < 1_000 {
            // Its answers are not for the client, which has moved on.
            world.worker.handle_input(world.now, Input::BurstEnd);
            while !matches!(world.worker.poll_output(), Output::Timeout(_)) {}
        }
    }
    let overtaken = world.worker.stats().dropped_count("description", "overtaken");
    assert!((70..=90).contains(&overtaken), "{overtaken} of 100 were never answered");
}

/// One change of a text's lines.
#[derive(Clone, Debug)]
enum Change {
    Drop(usize),
    Double { line: usize, times: usize },
    Swap(usize, usize),
    Copy { line: usize, to: usize },
    Number { line: usize, which: usize, number: &'static str },
    Byte { line: usize, at: usize, byte: u8 },
    Cut(usize),
}

fn changes() -> impl Strategy<Value = Change> {
    let number = prop::sample::select(vec![
        "0",
        "1",
        "96",
        "97",
        "111",
        "127",
        "128",
        "255",
        "65535",
        "4294967295",
        "99999999999999999999",
    ]);
    prop_oneof![
        any::<usize>().prop_map(Change::Drop),
        (any::<usize>(), 1..60usize).prop_map(|(line, times)| Change::Double { line, times }),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Change::Swap(one, other)),
        (any::<usize>(), any::<usize>()).prop_map(|(line, to)| Change::Copy { line, to }),
        (any::<usize>(), any::<usize>(), number).prop_map(|(line, which, number)| Change::Number {
            line,
            which,
            number
        }),
        (any::<usize>(), any::<usize>(), 0x20u8..0x7f).prop_map(|(line, at, byte)| Change::Byte { line, at, byte }),
        any::<usize>().prop_map(Change::Cut),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for change in changes {
        let count = lines.len().max(1);
        if lines.is_empty() {
            break;
        }
        match *change {
            Change::Drop(line) => drop(lines.remove(line % count)),
            Change::Double { line, times } => {
                let copies = vec![lines[line % count].clone(); times];
                lines.splice(line % count..line % count, copies);
            }
            Change::Swap(one, other) => lines.swap(one % count, other % count),
            Change::Copy { line, to } => {
                let copy = lines[line % count].clone();
                lines.insert(to % count, copy);
            }
            Change::Number { line, which, number } => renumber(&mut lines[line % count], which, number),
            Change::Byte { line, at, byte } => {
                let line = &mut lines[line % count];
                if line.is_ascii() && !line.is_empty() {
                    let at = at % line.len();
                    line.replace_range(at..=at, &char::from(byte).to_string());
                }
            }
            // Near the end, so that something is left.
            Change::Cut(line) => lines.truncate((count / 2 + line % count).max(1)),
        }
    }
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// Puts another number in the place of one of a line's.
fn renumber(line: &mut String, which: usize, number: &str) {
    let bytes = line.as_bytes();
    let begins = |at: &usize| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[*at - 1].is_ascii_digit());
    let starts: Vec<usize> = (0..bytes.len()).filter(begins).collect();
    let Some(&start) = starts.get(which % starts.len().max(1)) else { return };
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    line.replace_range(start..start + length, number);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_real_offer_panics_hangs_or_goes_unanswered(
        real in 0..REAL.len(),
        first in prop::collection::vec(changes(), 0..4),
        then in prop::collection::vec(changes(), 0..6),
    ) {
        let (name, sdp) = REAL[real];
        let offers = [changed(sdp, &first), changed(sdp, &then)];
        let (_, events) = offered(!name.ends_with("v0"), &offers);
        prop_assert_eq!(events.len(), 2, "{} is answered or refused", name);
    }

    #[test]
    fn no_change_of_an_answer_panics_or_goes_without_a_word(changes in prop::collection::vec(changes(), 0..6)) {
        let mut world = World::new();
        world.signaling = false;
        let viewer = world.join(false);
        world.run_ms(20);
        world.subscribe(viewer, 'a', "audio/opus", 1);
        world.subscribe(viewer, 'v', "video/VP8", 3);
        let session = world.clients[viewer].id;
        for round in 1..3 {
            let offer = str0m::change::SdpOffer::from_sdp_string(&world.clients[viewer].last_offer).unwrap();
            let rtc = &mut world.clients[viewer].connections[1].rtc;
            let answer = rtc.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
            let sdp = if round == 1 { answer } else { changed(&answer, &changes) };
            world.command(Command::Answer { session, id: round, sdp });
            world.run_ms(20);
        }
        let offers = world.count(|event| matches!(event, Event::Offer { .. }));
        prop_assert_eq!(offers, 2, "{} was asked for once the first exchange was over", sid('a'));
        world.command(Command::Close(session));
    }
}
