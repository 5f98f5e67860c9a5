//! A chain of three nodes: the one in the middle has no participants.

use origo_cascade_core::link::{Class, Received};

use crate::net::{MS, Net, layer, packet};

#[test]
fn a_packet_goes_on_at_once_and_untouched_and_the_relays_worker_gets_nothing() {
    let mut net = Net::chain(3, 20 * MS, 1);
    let (sent, start) = (packet(net.now(), 300), net.now());
    net.send(0, 1, 1, Class::Enhancement, sent.clone());
    net.run_for(100 * MS);
    assert_eq!(net.arrivals(2), [start + 40 * MS]);
    assert!(net.take_received(1).is_empty());
    let [Received::Packet { layer: at, packet: got }] = &net.take_received(2)[..] else { panic!("one packet") };
    assert_eq!((*at, got.sequence as u16, got.timestamp, got.marker), (layer(0), 300, sent.timestamp, sent.marker));
    assert_eq!(got.payload, sent.payload);
    assert_eq!(net.stats(1, 2).packets[0][Class::Enhancement as usize], 1, "its class is kept");
    assert_eq!((net.stats(0, 1).copies, net.stats(1, 2).copies), (1, 1));
}

#[test]
fn what_is_lost_on_a_link_is_asked_for_on_that_link_alone() {
    for seed in 0..5 {
        let mut net = Net::chain(4, 20 * MS, seed);
        net.set_loss(1, 2, 0.01);
        for number in 0..5_000 {
            net.send(0, 1, 1, Class::Base, packet(net.now(), number));
            net.run_for(MS);
        }
        net.run_for(500 * MS);
        let mut numbers = net.take_numbers(3);
        assert!(!numbers.is_sorted(), "seed {seed}: nobody waits for what is missing");
        numbers.sort_unstable();
        assert!(numbers.len() >= 4_998, "seed {seed}: {}", numbers.len());
        numbers.dedup();
        assert!(numbers.len() >= 4_998, "seed {seed}: {} different ones", numbers.len());
        let asked = |at: usize| net.stats(at, at - 1).nacks[0];
        assert!(asked(2) > 10, "seed {seed}: {}", asked(2));
        assert_eq!((asked(1), asked(3)), (0, 0), "seed {seed}");
    }
}

#[test]
fn keyframe_requests_of_many_children_become_one() {
    let mut net = Net::new(6, 1);
    net.join(0, 1, 50 * MS, 0.0);
    net.receive(1, 0, 0, 1, true);
    net.serve(0, 1, 0, 1);
    for child in 2..6 {
        net.join(1, child, 10 * MS, 0.0);
        net.receive(child, 1, 0, 1, true);
        net.relay(1, child, 0, 1, false);
    }
    for _ in 0..20 {
        net.ask_keyframe(1, 0);
        (2..6).for_each(|child| net.ask_keyframe(child, 0));
        net.run_for(50 * MS);
    }
    net.run_for(200 * MS);
    let asked = net.take_received(0);
    assert!(asked.iter().all(|it| matches!(it, Received::Keyframe { layer: at } if *at == layer(0))), "{asked:?}");
    assert!((2..=3).contains(&asked.len()), "twice a second: {}", asked.len());
    assert!(net.take_received(1).is_empty(), "the relay's worker does not hear of them");
}

#[test]
fn sender_reports_go_on_and_each_is_told_once() {
    let mut net = Net::chain(3, 20 * MS, 1);
    for ntp in [5, 5, 6] {
        net.send_report(0, 1, 1, ntp);
    }
    net.run_for(100 * MS);
    let told = net.take_received(2).into_iter().filter_map(|received| match received {
        Received::SenderReport { ntp, .. } => Some(ntp),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn a_child_that_ends_its_flow_gets_no_more() {
    let mut net = Net::chain(3, 20 * MS, 1);
    net.stop_relay(1, 2, 0, 1);
    net.send(0, 1, 1, Class::Base, packet(net.now(), 1));
    net.run_for(100 * MS);
    assert!(net.take_received(2).is_empty());
    assert_eq!((net.stats(1, 2).copies, net.links(1).counters().relayed), (0, 0));
}

#[test]
fn a_relay_that_gets_viewers_of_its_own_gives_them_what_it_passes_on() {
    let mut net = Net::chain(3, 20 * MS, 1);
    net.send(0, 1, 1, Class::Base, packet(net.now(), 1));
    net.run_for(50 * MS);
    net.receive(1, 0, 0, 1, true);
    net.send(0, 1, 1, Class::Base, packet(net.now(), 2));
    net.run_for(50 * MS);
    net.receive(1, 0, 0, 1, false);
    net.send(0, 1, 1, Class::Base, packet(net.now(), 3));
    net.run_for(50 * MS);
    assert_eq!((net.take_numbers(1), net.take_numbers(2)), (vec![2], vec![1, 2, 3]));
    assert_eq!(net.take_flowing(1).len(), 1, "it is the same flow all along");
}
