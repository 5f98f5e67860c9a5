//! Turns of classes, in virtual time.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::link::Extensions;

const MS: Duration = Duration::from_millis(1);

fn packet(now: Instant, sequence: u64, bytes: usize) -> Packet {
    Packet {
        sequence,
        timestamp: 0,
        marker: false,
        key: false,
        redundant: false,
        skipped: 0,
        extensions: Extensions::default(),
        payload: Arc::from(vec![0; bytes]),
        arrived: now,
    }
}

/// Bytes sent by class (audio, base, enhancement, repairs), payload alone.
fn tick(scheduler: &mut Scheduler, now: Instant) -> [usize; 4] {
    let mut sent = [0; 4];
    if !scheduler.begin_tick(now) {
        return sent;
    }
    while let Some(turn) = scheduler.next(now) {
        let (place, bytes) = match turn {
            Turn::First(place, _, packet) => (place, packet.payload.len()),
            Turn::Again(_, datagram) => (3, datagram.len()),
        };
        sent[place] += bytes;
        scheduler.count_sent(now, Some(place).filter(|place| *place < 3), bytes + 12);
    }
    scheduler.end_tick(now);
    sent
}

/// Offers a packet, and counts it if it goes at once.
fn offer(scheduler: &mut Scheduler, now: Instant, place: usize, flow: u32, bytes: usize) {
    if scheduler.offer(now, place, Flow(flow), &packet(now, 0, bytes)) {
        scheduler.count_sent(now, Some(place), bytes + 12);
    }
}

/// Offers so many packets of 1000 bytes a millisecond of each class; gives what was sent.
fn run(scheduler: &mut Scheduler, now: &mut Instant, ms: u32, offered: [u32; 3]) -> [usize; 4] {
    let mut sent = [0; 4];
    for _ in 0..ms {
        *now += MS;
        for (place, packets) in offered.into_iter().enumerate() {
            for _ in 0..packets {
                let packet = packet(*now, 0, 1000);
                if scheduler.offer(*now, place, Flow(place as u32), &packet) {
                    sent[place] += packet.payload.len();
                    scheduler.count_sent(*now, Some(place), packet.payload.len() + 12);
                }
            }
        }
        for (sum, more) in sent.iter_mut().zip(tick(scheduler, *now)) {
            *sum += more;
        }
    }
    sent
}

#[test]
fn a_packet_goes_at_once_while_there_are_tokens_and_waits_for_the_next_tick_else() {
    let now = Instant::now();
    let mut scheduler = Scheduler::new(now, 10e6);
    for _ in 0..3 {
        assert!(scheduler.offer(now, BASE, Flow(1), &packet(now, 0, 1000)));
        scheduler.count_sent(now, Some(BASE), 1012);
    }
    assert!(!scheduler.offer(now, BASE, Flow(1), &packet(now, 0, 1000)));
    assert_eq!(scheduler.next_timeout(), Some(now + MS));
    assert_eq!(tick(&mut scheduler, now + MS), [0, 1000, 0, 0]);
    assert_eq!(scheduler.next_timeout(), None);
}

#[test]
fn sound_goes_before_pictures_within_its_share_and_takes_turns_beyond_it() {
    let mut now = Instant::now();
    let mut scheduler = Scheduler::new(now, 80e6);
    let few = run(&mut scheduler, &mut now, 1000, [1, 20, 0]);
    assert_eq!(few[AUDIO], 1_000_000, "1 of 10 MB/s: all of it goes");
    let mut scheduler = Scheduler::new(now, 80e6);
    let flood = run(&mut scheduler, &mut now, 1000, [20, 20, 0]);
    let share = flood[AUDIO] as f64 / (flood[AUDIO] + flood[BASE]) as f64;
    assert!((0.2..0.8).contains(&share), "{share}: neither starves");
    assert!(flood[BASE] > 1_000_000, "{flood:?}");
}

#[test]
fn base_layers_have_nine_times_the_bytes_of_enhancement_while_both_wait() {
    let mut now = Instant::now();
    let mut scheduler = Scheduler::new(now, 80e6);
    let sent = run(&mut scheduler, &mut now, 1000, [0, 20, 20]);
    let ratio = sent[BASE] as f64 / sent[ENHANCEMENT] as f64;
    assert!((8.0..10.5).contains(&ratio), "{ratio}");
    let mut scheduler = Scheduler::new(now, 80e6);
    let sent = run(&mut scheduler, &mut now, 1000, [0, 4, 20]);
    assert!(sent[BASE] >= 3_900_000 && sent[ENHANCEMENT] > 4_500_000, "{sent:?}: what base leaves is used");
}

#[test]
fn what_waits_too_long_is_dropped_and_counted_by_class() {
    let mut now = Instant::now();
    let mut scheduler = Scheduler::new(now, 8e6);
    run(&mut scheduler, &mut now, 40, [3, 3, 3]);
    scheduler.set_rate(now, 500_000.0, true);
    run(&mut scheduler, &mut now, 50, [0; 3]);
    let [audio, base, enhancement] = scheduler.take_expired();
    assert!(audio > 0 && base == 0 && enhancement == 0, "{:?}", (audio, base, enhancement));
    run(&mut scheduler, &mut now, 50, [0; 3]);
    assert!(scheduler.take_expired()[ENHANCEMENT] > 0);
    run(&mut scheduler, &mut now, 200, [0; 3]);
    assert!(scheduler.take_expired()[BASE] > 0);
    assert_eq!(scheduler.queue(), Duration::ZERO);
    assert_eq!(scheduler.next_timeout(), None);
}

#[test]
fn while_quic_has_more_than_three_milliseconds_only_sound_goes() {
    let mut now = Instant::now();
    let mut scheduler = Scheduler::new(now, 80e6);
    scheduler.set_queued(30_001);
    let sent = run(&mut scheduler, &mut now, 30, [1, 4, 4]);
    assert_eq!((sent[AUDIO], sent[BASE], sent[ENHANCEMENT]), (30_000, 0, 0));
    scheduler.set_queued(30_000);
    assert!(run(&mut scheduler, &mut now, 30, [1, 4, 4])[BASE] > 0);
}

#[test]
fn after_ticks_that_did_not_come_five_milliseconds_of_rate_go_at_once_and_no_more() {
    let mut now = Instant::now();
    let mut scheduler = Scheduler::new(now, 80e6);
    for _ in 0..200 {
        offer(&mut scheduler, now, BASE, 1, 1000);
    }
    now += 100 * MS;
    let caught_up = tick(&mut scheduler, now)[BASE];
    assert!((45_000..=52_000).contains(&caught_up), "{caught_up}");
    now += MS;
    let next = tick(&mut scheduler, now)[BASE];
    assert!((8_000..=11_000).contains(&next), "{next}");
}

#[test]
fn repairs_take_fifteen_percent_and_what_is_more_is_refused() {
    let mut now = Instant::now();
    let mut scheduler = Scheduler::new(now, 80e6);
    let (mut taken, mut refused, mut sent) = (0, 0, 0);
    for _ in 0..2000 {
        now += MS;
        for _ in 0..20 {
            let datagram = Bytes::from(vec![0; 1000]).into();
            if scheduler.offer_again(now, BASE, datagram, now + 100 * MS) { taken += 1 } else { refused += 1 }
        }
        sent += tick(&mut scheduler, now)[3];
    }
    let share = f64::from(taken) * 1060.0 * 8.0 / 2.0 / 80e6;
    assert!((0.14..0.18).contains(&share), "{share}");
    assert!(refused > 30_000 && sent <= taken as usize * 1000);
}

#[test]
fn while_the_peer_is_silent_sound_has_five_percent_and_pictures_nothing() {
    let mut now = Instant::now();
    let mut scheduler = Scheduler::new(now, 80e6);
    scheduler.set_rate(now, 80e6, true);
    let sent = run(&mut scheduler, &mut now, 1000, [2, 4, 4]);
    assert!((450_000..540_000).contains(&sent[AUDIO]), "{sent:?}");
    assert_eq!((sent[BASE], sent[ENHANCEMENT]), (0, 0));
}

#[test]
fn after_a_silence_pictures_of_long_ago_do_not_hold_up_those_of_now() {
    for (silence, dropped) in [(100, [0, 0, 4 * 69]), (200, [0, 4 * 169, 0])] {
        let mut now = Instant::now();
        let mut scheduler = Scheduler::new(now, 80e6);
        scheduler.set_rate(now, 80e6, true);
        let offered = if silence > 150 { [0, 4, 0] } else { [0, 4, 4] };
        run(&mut scheduler, &mut now, silence, offered);
        scheduler.take_expired();
        scheduler.set_rate(now, 80e6, false);
        assert_eq!(scheduler.take_expired(), dropped, "{silence} ms");
    }
}

#[test]
fn a_flow_that_gives_way_leaves_nothing_behind() {
    let now = Instant::now();
    let mut scheduler = Scheduler::new(now, 500_000.0);
    for flow in [9, 9, 9, 1, 2, 1, 2, 1, 2, 1, 2] {
        offer(&mut scheduler, now, ENHANCEMENT, flow, 1000);
    }
    assert_eq!(scheduler.remove(ENHANCEMENT, Flow(2)).len(), 4);
    assert_eq!(
        scheduler.waiting_bytes,
        scheduler.waiting[ENHANCEMENT].iter().map(|waiting| waiting.bytes).sum::<usize>()
    );
}
