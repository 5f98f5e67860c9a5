//! Real packets through real devices, where this user may make them.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::*;
use crate::emulation::namespace::{Lock, Namespace};
use crate::emulation::rights;
use crate::outcome::Samples;

/// Two namespaces with a device and a socket in each.
struct Pair {
    tuns: Vec<Tun>,
    sockets: [UdpSocket; 2],
    _namespaces: [Namespace; 2],
    _lock: Lock,
}

fn pair() -> Option<Pair> {
    if let Some(why) = rights::why_not() {
        eprintln!("not run: {why}");
        return None;
    }
    // Another test, or a person, may have a mesh up.
    let _lock = Lock::take().ok()?;
    // One that was killed leaves its own behind, which are in nobody's way.
    let id = std::process::id();
    let namespaces = ["one", "two"].map(|name| Namespace::make(&format!("test-{id}-{name}")).unwrap());
    let tuns = (0..2).map(|node| Tun::open(&namespaces[node], address(node)).unwrap()).collect();
    let socket = |node: usize| namespaces[node].within(|| UdpSocket::bind((address(node), 7000)).unwrap()).unwrap();
    let sockets = [socket(0), socket(1)];
    sockets[1].set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    Some(Pair { tuns, sockets, _namespaces: namespaces, _lock })
}

#[test]
fn packets_between_namespaces_come_when_they_are_due_and_cut_links_carry_none() {
    let Some(Pair { tuns, sockets: [one, two], _namespaces, _lock }) = pair() else { return };
    let delay = Duration::from_millis(20);
    let line = Line { delay, ..Line::default() };
    let lines = [((0, 1), line.clone()), ((1, 0), line)].into();
    let wan = Wan::start(tuns, &["one", "two"].map(str::to_owned), &lines, 1).unwrap();
    let mut late = Samples::default();
    for number in 0..100_u32 {
        let sent = Instant::now();
        one.send_to(&number.to_be_bytes(), (address(1), 7000)).unwrap();
        let mut buffer = [0; 4];
        two.recv(&mut buffer).unwrap();
        assert_eq!(u32::from_be_bytes(buffer), number);
        let took = sent.elapsed();
        assert!(took >= delay, "number {number} came after {took:?}");
        late.values.push((took - delay).as_secs_f64() * 1e3);
    }
    late.values.sort_by(f64::total_cmp);
    let (least, counts) = (late.percentile(0.0).unwrap(), wan.counts());
    let later = |percent| late.percentile(percent).unwrap();
    eprintln!("later than 20 ms by {:.3} ms (p50), {:.3} ms (p95)", later(50.0), later(95.0));
    // On a machine that is busy with other tests it is the receiver that is late, and not always.
    assert!(least < 1.0, "{least} ms");
    assert_eq!((counts.links[1].tally.packets, counts.links[1].tally.bytes), (100, 100 * 32));

    wan.cut(vec![(0, 1)], true);
    wan.counts();
    one.send_to(b"lost", (address(1), 7000)).unwrap();
    while wan.counts().links[1].tally.lost == 0 {}
    wan.cut(vec![(0, 1)], false);
    wan.counts();
    one.send_to(b"here", (address(1), 7000)).unwrap();
    let mut buffer = [0; 4];
    two.recv(&mut buffer).unwrap();
    assert_eq!(&buffer, b"here");
}
