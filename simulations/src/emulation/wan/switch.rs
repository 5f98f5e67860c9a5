//! Every directed link of the mesh as the simulator models it, for packets that exist: who gets which when.
//!
//! It knows no clock and no device: instants come in, in nanoseconds, so that tests run it in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::connections::Connections;
use crate::network::{Path, Tally};
use crate::scenario::{Line, Patch};

/// Nodes are 10.86.0.1, 10.86.0.2, … in the order of the scenario.
const NETWORK: [u8; 3] = [10, 86, 0];
/// As many as a network of 256 has addresses.
pub const NODES_MAX: usize = 254;
/// Buffers that are kept for later packets.
const SPARE_MAX: usize = 4096;
/// IP protocol number.
const ICMP: u8 = 1;
/// ICMP: nobody is there. A machine that died does not say that, and it is one that a killed node stands for.
const UNREACHABLE: u8 = 3;

/// A node's address, by its place in the scenario.
pub fn address(node: usize) -> Ipv4Addr {
    let [a, b, c] = NETWORK;
    Ipv4Addr::new(a, b, c, u8::try_from(node + 1).unwrap_or(u8::MAX))
}

/// A packet on its way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    at: u64,
    /// Packets of one instant keep their order.
    number: u64,
    to: usize,
    packet: Vec<u8>,
}

/// One directed link.
#[derive(Debug)]
struct Link {
    path: Path,
    /// So many faults let nothing through.
    cuts: u32,
    connections: Connections,
    /// Media comes that much later, or never.
    gray: Option<Option<Duration>>,
    /// Media that came while it was gray.
    withheld: u64,
    flying: u64,
}

/// What one directed link did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCount {
    /// As the model counts.
    pub tally: Tally,
    /// Packets that a gray link withheld.
    pub withheld: u64,
    /// Packets on their way.
    pub flying: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Switch {
    count: usize,
    /// By sending node times count plus receiving node.
    links: Vec<Link>,
    flying: BinaryHeap<Reverse<Flying>>,
    spare: Vec<Vec<u8>>,
    next_number: u64,
    /// Traces begin here.
    traces_from: Option<u64>,
    /// Packets to nowhere.
    pub stray: u64,
}

impl Switch {
    /// Links as a scenario has them. A link of the same name and seed draws the same dice as in the simulator.
    pub fn new(names: &[String], lines: &BTreeMap<(usize, usize), Line>, seed: u64) -> Self {
        let pairs = names.iter().enumerate().flat_map(|from| names.iter().enumerate().map(move |to| (from, to)));
        let link = |((from, a), (to, b)): ((usize, &String), (usize, &String))| {
            let line = lines.get(&(from, to)).cloned().unwrap_or_default();
            let path = Path::new(line, seed, &format!("{a} to {b}"));
            Link { path, cuts: 0, connections: Connections::default(), gray: None, withheld: 0, flying: 0 }
        };
        Self {
            count: names.len(),
            links: pairs.map(link).collect(),
            flying: BinaryHeap::new(),
            spare: Vec::new(),
            next_number: 0,
            traces_from: None,
            stray: 0,
        }
    }

    /// Changes links.
    pub fn change(&mut self, pairs: &[(usize, usize)], patch: &Patch) {
        for link in self.places(pairs) {
            self.links[link].path.change(|line| patch.apply(line));
        }
    }

    /// One more fault lets nothing through from now on, or one fewer. What is on its way still comes.
    pub fn cut(&mut self, pairs: &[(usize, usize)], cut: bool) {
        for link in self.places(pairs) {
            let Link { cuts, path, .. } = &mut self.links[link];
            let before = std::mem::replace(cuts, cuts.saturating_add_signed(if cut { 1 } else { -1 }));
            if *cuts != before {
                path.cut(cut);
            }
        }
    }

    /// Media comes that much later, or never; or as it should again.
    pub fn gray(&mut self, pairs: &[(usize, usize)], gray: Option<Option<Duration>>) {
        for link in self.places(pairs) {
            self.links[link].gray = gray;
        }
    }

    /// No link is cut or gray any more.
    pub fn mend(&mut self) {
        for link in &mut self.links {
            for _ in 0..std::mem::take(&mut link.cuts) {
                link.path.cut(false);
            }
            link.gray = None;
        }
    }

    fn places(&self, pairs: &[(usize, usize)]) -> Vec<usize> {
        let known = pairs.iter().filter(|(from, to)| *from < self.count && *to < self.count);
        known.map(|(from, to)| from * self.count + to).collect()
    }

    /// Traces of links begin now.
    pub fn begin_traces(&mut self, now: u64) {
        self.traces_from = Some(now);
    }

    /// Applies rows of traces that have come.
    pub fn follow_traces(&mut self, now: u64) {
        let Some(from) = self.traces_from else { return };
        for link in &mut self.links {
            link.path.follow_trace(now.saturating_sub(from));
        }
    }

    /// Takes a packet that a node sent.
    pub fn take(&mut self, now: u64, from: usize, packet: &[u8]) {
        let Some(to) = destination(packet).filter(|to| *to < self.count && *to != from) else {
            self.stray += 1;
            return;
        };
        if is_unreachable(packet) {
            self.stray += 1;
            return;
        }
        let link = &mut self.links[from * self.count + to];
        let is_media = link.connections.is_media(now, packet);
        let gray = link.gray.filter(|_| is_media);
        if gray == Some(None) {
            link.withheld += 1;
            return;
        }
        let Some(at) = link.path.send(now, packet.len()) else { return };
        let at = at + gray.flatten().map_or(0, |late| late.as_nanos() as u64);
        link.flying += 1;
        let mut kept = self.spare.pop().unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(packet);
        self.flying.push(Reverse(Flying { at, number: self.next_number, to, packet: kept }));
        self.next_number += 1;
    }

    /// When the next packet is due.
    pub fn next_at(&self) -> Option<u64> {
        self.flying.peek().map(|Reverse(flying)| flying.at)
    }

    /// Hands over a packet that is due: when it was, to whom, and the packet. False when there is none.
    pub fn give(&mut self, now: u64, hand: impl FnOnce(u64, usize, &[u8])) -> bool {
        if self.next_at().is_none_or(|at| at > now) {
            return false;
        }
        let Some(Reverse(flying)) = self.flying.pop() else { return false };
        if let Some(from) = source(&flying.packet).filter(|from| *from < self.count) {
            self.links[from * self.count + flying.to].flying -= 1;
        }
        hand(flying.at, flying.to, &flying.packet);
        if self.spare.len() < SPARE_MAX {
            self.spare.push(flying.packet);
        }
        true
    }

    /// What each link did: by sending node times count plus receiving node.
    pub fn counts(&self) -> Vec<LinkCount> {
        let count = |link: &Link| LinkCount { tally: link.path.tally, withheld: link.withheld, flying: link.flying };
        self.links.iter().map(count).collect()
    }
}

/// The node of an address in an IPv4 header.
fn node_at(packet: &[u8], place: usize) -> Option<usize> {
    if packet.first()? >> 4 != 4 {
        return None;
    }
    let address = packet.get(place..place + 4)?;
    let node = usize::from(address[3]).checked_sub(1)?;
    (address[..3] == NETWORK).then_some(node)
}

fn source(packet: &[u8]) -> Option<usize> {
    node_at(packet, 12)
}

fn destination(packet: &[u8]) -> Option<usize> {
    node_at(packet, 16)
}

fn is_unreachable(packet: &[u8]) -> bool {
    let head = usize::from(packet[0] & 0x0f) * 4;
    packet.get(9) == Some(&ICMP) && packet.get(head) == Some(&UNREACHABLE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    /// An IPv4 packet of UDP.
    fn packet(from: usize, to: usize, bytes: usize) -> Vec<u8> {
        let mut packet = vec![0; bytes.max(20)];
        (packet[0], packet[9]) = (0x45, 17);
        packet[12..16].copy_from_slice(&address(from).octets());
        packet[16..20].copy_from_slice(&address(to).octets());
        packet
    }

    fn switch() -> Switch {
        let names = ["a", "b", "c"].map(str::to_owned);
        let line = |ms| Line { delay: Duration::from_millis(ms), ..Line::default() };
        let lines = [((0, 1), line(40)), ((1, 0), line(30)), ((0, 2), line(10)), ((2, 0), line(10))];
        Switch::new(&names, &lines.into(), 1)
    }

    fn given(switch: &mut Switch, now: u64) -> Vec<(u64, usize, usize)> {
        let mut given = Vec::new();
        while switch.give(now, |at, to, packet| given.push((at, to, packet.len()))) {}
        given
    }

    #[test]
    fn packets_come_after_the_delay_of_their_link_in_the_order_of_time() {
        let mut switch = switch();
        switch.take(0, 0, &packet(0, 1, 500));
        switch.take(MS, 0, &packet(0, 2, 600));
        switch.take(2 * MS, 1, &packet(1, 0, 700));
        assert_eq!(switch.next_at(), Some(11 * MS));
        assert_eq!(given(&mut switch, 31 * MS), [(11 * MS, 2, 600)]);
        assert_eq!(given(&mut switch, 40 * MS), [(32 * MS, 0, 700), (40 * MS, 1, 500)]);
        assert_eq!(switch.counts()[1].tally, Tally { packets: 1, bytes: 500, ..Tally::default() });
        assert_eq!(switch.counts().iter().map(|count| count.flying).sum::<u64>(), 0);
    }

    #[test]
    fn a_cut_link_loses_what_comes_and_lets_it_through_once_it_is_whole() {
        let mut switch = switch();
        switch.take(0, 0, &packet(0, 1, 100));
        switch.cut(&[(0, 1)], true);
        switch.take(MS, 0, &packet(0, 1, 100));
        switch.take(MS, 1, &packet(1, 0, 100));
        switch.cut(&[(0, 1)], false);
        switch.take(2 * MS, 0, &packet(0, 1, 100));
        assert_eq!(given(&mut switch, 50 * MS), [(31 * MS, 0, 100), (40 * MS, 1, 100), (42 * MS, 1, 100)]);
        let tally = switch.counts()[1].tally;
        assert_eq!((tally.packets, tally.bytes, tally.lost), (3, 300, 1), "what is lost was sent");
    }

    #[test]
    fn a_change_holds_for_what_is_sent_from_then_on() {
        let mut switch = switch();
        switch.take(0, 0, &packet(0, 1, 100));
        switch.change(&[(0, 1)], &Patch { delay: Some(Duration::from_millis(90)), ..Patch::default() });
        switch.take(0, 0, &packet(0, 1, 200));
        assert_eq!(given(&mut switch, 100 * MS), [(40 * MS, 1, 100), (90 * MS, 1, 200)]);
    }

    #[test]
    fn a_link_that_two_faults_cut_is_whole_when_both_are_over() {
        let mut switch = switch();
        switch.cut(&[(0, 1)], true);
        switch.cut(&[(0, 1)], true);
        switch.cut(&[(0, 1)], false);
        switch.take(0, 0, &packet(0, 1, 100));
        switch.cut(&[(0, 1)], false);
        switch.take(0, 0, &packet(0, 1, 200));
        assert_eq!(given(&mut switch, 50 * MS), [(40 * MS, 1, 200)]);
    }

    #[test]
    fn a_gray_link_carries_reports_and_gossip_and_media_late_or_not() {
        let mut switch = switch();
        let of = |connection: u8, to: usize, bytes: usize| {
            let mut packet = packet(0, to, bytes);
            packet[29..37].fill(connection);
            packet
        };
        for (to, at) in [1, 2].into_iter().flat_map(|to| (0..8).map(move |at| (to, at))) {
            switch.take(at * 50 * MS, 0, &of(1, to, 131));
        }
        given(&mut switch, 1000 * MS);
        switch.gray(&[(0, 1)], Some(Some(Duration::from_millis(200))));
        switch.gray(&[(0, 2)], Some(None));
        for to in [1, 2] {
            switch.take(1000 * MS, 0, &of(1, to, 131));
            switch.take(1000 * MS, 0, &of(1, to, 900));
            switch.take(1000 * MS, 0, &of(2, to, 950));
        }
        let late =
            [(1010 * MS, 2, 131), (1010 * MS, 2, 950), (1040 * MS, 1, 131), (1040 * MS, 1, 950), (1240 * MS, 1, 900)];
        assert_eq!(given(&mut switch, 1300 * MS), late);
        switch.mend();
        switch.take(1300 * MS, 0, &of(1, 2, 900));
        assert_eq!(given(&mut switch, 1310 * MS), [(1310 * MS, 2, 900)]);
    }

    #[test]
    fn a_dead_machine_does_not_say_that_it_is() {
        let mut switch = switch();
        let mut unreachable = packet(1, 0, 60);
        (unreachable[9], unreachable[20]) = (ICMP, UNREACHABLE);
        let mut echo = unreachable.clone();
        echo[20] = 0;
        switch.take(0, 1, &unreachable);
        switch.take(0, 1, &echo);
        assert_eq!((given(&mut switch, 50 * MS).len(), switch.stray), (1, 1));
    }

    proptest! {
        #[test]
        fn whatever_a_namespace_sends_goes_to_a_node_or_nowhere(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut switch = switch();
            switch.take(0, 0, &bytes);
            let nowhere = switch.stray;
            let count = given(&mut switch, u64::MAX).len() as u64;
            prop_assert_eq!(count + nowhere, 1);
        }
    }
}
