use super::*;

/// A line of so many bits per second with a queue of 200 ms that drops what does not fit, and a client that sends
/// packets of 500 bytes at the rate it was asked for, or 20 % above what the line carries.
fn run(line_bps: f64, seconds: u64, skew: i64) -> (Vec<u64>, Duration) {
    let start = Instant::now() + Duration::from_secs(100);
    let (mut uplink, mut asked, mut rate, mut free) = (Uplink::default(), Vec::new(), line_bps * 1.2, 0.0_f64);
    let (mut at, mut queue) = (0.0_f64, Duration::ZERO);
    while at < seconds as f64 {
        at += 4000.0 / rate;
        let wait = (free - at).max(0.0);
        if wait > 0.2 {
            continue;
        }
        free = at + wait + 4000.0 / line_bps;
        queue = Duration::from_secs_f64(wait);
        let sent = start + Duration::from_secs_f64(at);
        let arrived = sent + Duration::from_secs_f64(wait + 0.02);
        let sent =
            if skew < 0 { sent - Duration::from_secs(-skew as u64) } else { sent + Duration::from_secs(skew as u64) };
        uplink.came(500);
        if let Some(bps) = uplink.note(sent, arrived) {
            asked.push(bps);
            rate = (bps as f64).min(line_bps * 1.2);
        }
    }
    (asked, queue)
}

#[test]
fn a_full_queue_is_emptied_within_seconds_whatever_the_clocks_say() {
    for skew in [-40, 0, 40] {
        let (asked, queue) = run(400_000.0, 5, skew);
        assert!(asked.first().is_some_and(|bps| (250_000..400_000).contains(bps)), "{skew}: {asked:?}");
        assert!(queue < Duration::from_millis(100), "{skew}: {queue:?}");
    }
}

/// What is asked of a browser whose line narrows, and when, in milliseconds since; the queue each 10 ms; when its lowest
/// layer's keyframe is due.
struct Narrowed {
    asked: Vec<(u64, u64)>,
    queues: Vec<u64>,
    lowest: Vec<u64>,
}

/// A browser at 1.6 Mbit/s whose line narrows to 500 kbit/s after so many milliseconds. What it is asked for counts a round
/// trip later, and beyond it come 100 kbit/s of sound.
fn narrows(step: u64) -> Narrowed {
    const BYTES: usize = 500;
    let start = Instant::now() + Duration::from_secs(100);
    let (mut uplink, mut asked, mut queues, mut lowest) = (Uplink::default(), Vec::new(), Vec::new(), Vec::new());
    let (mut free, mut owed, mut under_way) = (0.0_f64, 0.0_f64, VecDeque::new());
    for ms in 0..8_000_u64 {
        let at = ms as f64 / 1_000.0;
        let obeys = asked.iter().rev().find(|(since, _)| since + step + 40 <= ms);
        let bps = obeys.map_or(1_500_000, |(_, bps)| *bps).min(1_500_000) + 100_000;
        owed += bps as f64 / 8_000.0;
        let line_bps = if ms < step { 3_000_000.0 } else { 500_000.0 };
        while owed >= BYTES as f64 {
            owed -= BYTES as f64;
            if free - at < 0.2 {
                free = free.max(at) + BYTES as f64 * 8.0 / line_bps;
                under_way.push_back((ms, free + 0.02));
            }
        }
        while let Some((sent, arrives)) = under_way.pop_front_if(|(_, arrives)| *arrives <= at) {
            let now = start + Duration::from_secs_f64(arrives);
            uplink.came(BYTES);
            let bound = uplink.note(start + Duration::from_millis(sent), now);
            asked.extend(bound.map(|bps| (ms - step, bps)));
            lowest.extend(uplink.is_lowest_due(now).then(|| ms - step));
        }
        if ms >= step && ms % 10 == 0 {
            queues.push(((free - at).max(0.0) * 1_000.0) as u64);
        }
    }
    Narrowed { asked, queues, lowest }
}

#[test]
fn a_line_that_narrows_is_emptied_before_it_is_filled_again() {
    // At any time of a look.
    for step in (2_000..2_200).step_by(20) {
        let Narrowed { asked, queues, lowest } = narrows(step);
        let [(first_ms, first), (then_ms, then)] = asked[..2] else { panic!("{step}: {asked:?}") };
        assert!(first_ms < 350 && (200_000..300_000).contains(&first), "{step}: at once half of it: {asked:?}");
        assert!((600..1_500).contains(&then_ms), "{step}: when it is empty: {asked:?}");
        assert!((330_000..400_000).contains(&then), "{step}: most of it: {asked:?}");
        assert!(queues[150..].iter().all(|ms| *ms < 100), "{step}: no queue from 1.5 s on: {queues:?}");
        assert!(asked[2..].iter().all(|(_, bps)| *bps >= 300_000), "{step}: never so little again: {asked:?}");
        assert!(lowest[0] >= first_ms + 50 && lowest[0] < first_ms + 80, "{step}: {lowest:?} after {asked:?}");
    }
}

#[test]
fn a_line_is_full_while_its_queue_stands_and_a_while_longer() {
    let start = Instant::now() + Duration::from_secs(100);
    let mut uplink = Uplink::default();
    let mut full = Vec::new();
    for number in 0..5_000_u64 {
        let late = if (500..1_000).contains(&number) { 150 } else { 10 };
        let now = start + Duration::from_millis(2 * number + late);
        uplink.note(start + Duration::from_millis(2 * number), now);
        if uplink.is_full(now) {
            full.push(2 * number);
        }
    }
    assert!((1_050..1_250).contains(&full[0]), "full from {} ms on", full[0]);
    assert!((4_900..5_200).contains(full.last().unwrap()), "full until {:?} ms", full.last());
}

#[test]
fn what_a_stall_held_back_is_not_a_full_queue() {
    let start = Instant::now() + Duration::from_secs(100);
    // As seen with browsers on a busy machine: nothing, then all of it within a while that grows with what was held back.
    for (silent, catches_up_in) in [(90_u64, 126_u64), (300, 170), (410, 300)] {
        let mut uplink = Uplink::default();
        for number in 0..2_000_u64 {
            let sent = 4 * number;
            let held_back = sent.checked_sub(4_000).filter(|since| *since < silent + catches_up_in);
            let arrives =
                held_back.map_or(sent + 10, |since| 4_010 + silent + since * catches_up_in / (silent + catches_up_in));
            let now = start + Duration::from_millis(arrives);
            uplink.came(500);
            assert_eq!(uplink.note(start + Duration::from_millis(sent), now), None, "{silent} ms, at {arrives}");
            assert!(!uplink.is_full(now), "{silent} ms, at {arrives}");
        }
    }
}

#[test]
fn a_line_without_a_queue_is_never_bounded() {
    let start = Instant::now() + Duration::from_secs(100);
    let mut uplink = Uplink::default();
    for number in 0..5_000_u64 {
        // Every packet late by up to 40 ms, but never all of a round.
        let (sent, late) = (start + Duration::from_millis(2 * number), Duration::from_millis(number * 7 % 40));
        assert_eq!(uplink.note(sent, sent + late), None);
        assert!(!uplink.is_full(sent + late));
    }
}

#[test]
fn the_bound_is_lifted_when_the_queue_stays_away() {
    let start = Instant::now() + Duration::from_secs(100);
    let (mut uplink, mut asked) = (Uplink::default(), Vec::new());
    for number in 0..10_000_u64 {
        let late = if (1_000..2_000).contains(&number) { 150 } else { 10 };
        let sent = start + Duration::from_millis(2 * number);
        uplink.came(500);
        asked.extend(uplink.note(sent, sent + Duration::from_millis(late)));
    }
    assert!(asked[0] < 2_000_000 && asked.last() == Some(&UNBOUNDED_BPS), "{asked:?}");
}

#[test]
fn a_line_that_was_full_once_and_jitters_is_given_back() {
    let start = Instant::now() + Duration::from_secs(100);
    let (mut uplink, mut asked) = (Uplink::default(), Vec::new());
    for number in 0..15_000_u64 {
        // Late by 30 ms on average, and never all of a round.
        let late = if (1_000..2_000).contains(&number) { 150 } else { number * 7 % 60 };
        let sent = start + Duration::from_millis(2 * number);
        uplink.came(500);
        asked.extend(uplink.note(sent, sent + Duration::from_millis(late)));
    }
    assert!(asked[0] < 2_000_000 && asked.last() == Some(&UNBOUNDED_BPS), "{asked:?}");
}

#[test]
fn a_clock_that_jumps_asks_for_nothing() {
    let start = Instant::now() + Duration::from_secs(200);
    let mut uplink = Uplink::default();
    for number in 0..2_000_u64 {
        let now = start + Duration::from_millis(2 * number);
        let sent = if number < 1_000 { now } else { now - Duration::from_secs(64) };
        assert_eq!(uplink.note(sent, now), None);
    }
}
