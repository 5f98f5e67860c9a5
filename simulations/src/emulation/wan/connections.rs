//! Which of the packets between two nodes carry media. QUIC seals what it carries, so they are told by what can be seen:
//! nodes keep connections for gossip and control, and one for media on which a report of a known size goes twenty times a
//! second; whatever is larger on that one is media.

use std::ops::RangeInclusive;

/// Bytes of a report's IP packet, with whatever acknowledgement it takes along (`docs/wire.md`, 2.2: 73 bytes, and 58 for
/// QUIC, UDP and IP).
const REPORTS: RangeInclusive<usize> = 125..=147;
/// A connection on which so many of them go within a second is the one for media.
const REPORTS_LEAST: u32 = 8;
const SECOND: u64 = 1_000_000_000;
/// Connections of one direction that are told apart; the one that was heard of least lately makes room.
const KEPT: usize = 16;
/// UDP's number in IPv4, and bytes of its header.
const UDP: u8 = 17;
const UDP_HEAD: usize = 8;
/// Bytes of a connection's id, as quinn draws them.
const ID_BYTES: usize = 8;
/// First bit of a packet of a handshake, which names no connection that stands.
const LONG: u8 = 0x80;

#[derive(Clone, Copy, Debug)]
struct Connection {
    id: [u8; ID_BYTES],
    since: u64,
    reports: u32,
    heard: u64,
    carries_media: bool,
}

/// Connections in one direction between two nodes.
#[derive(Debug, Default)]
pub(super) struct Connections(Vec<Connection>);

impl Connections {
    /// Whether a packet carries media.
    pub(super) fn is_media(&mut self, now: u64, packet: &[u8]) -> bool {
        let Some(id) = id_of(packet) else { return false };
        let place = self.0.iter().position(|connection| connection.id == id).unwrap_or_else(|| self.meet(now, id));
        let connection = &mut self.0[place];
        connection.heard = now;
        if REPORTS.contains(&packet.len()) && !connection.carries_media {
            if now - connection.since > SECOND {
                (connection.since, connection.reports) = (now, 0);
            }
            connection.reports += 1;
            connection.carries_media = connection.reports >= REPORTS_LEAST;
        }
        connection.carries_media && packet.len() > *REPORTS.end()
    }

    fn meet(&mut self, now: u64, id: [u8; ID_BYTES]) -> usize {
        let fresh = Connection { id, since: now, reports: 0, heard: now, carries_media: false };
        if self.0.len() < KEPT {
            self.0.push(fresh);
            return self.0.len() - 1;
        }
        let oldest = (0..KEPT).min_by_key(|place| self.0[*place].heard).unwrap_or(0);
        self.0[oldest] = fresh;
        oldest
    }
}

/// The connection of a QUIC packet in IPv4.
fn id_of(packet: &[u8]) -> Option<[u8; ID_BYTES]> {
    let head = usize::from(packet.first()? & 0x0f) * 4;
    if packet.get(9) != Some(&UDP) {
        return None;
    }
    let quic = packet.get(head + UDP_HEAD..)?;
    let id = quic.get(1..=ID_BYTES).filter(|_| quic[0] & LONG == 0)?;
    id.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of a connection that stands.
    fn packet(id: u8, bytes: usize) -> Vec<u8> {
        let mut packet = vec![id; bytes];
        (packet[0], packet[9], packet[28]) = (0x45, UDP, 0x40);
        packet
    }

    #[test]
    fn media_is_what_is_larger_than_a_report_on_the_connection_that_reports_go_on() {
        let mut connections = Connections::default();
        assert!(!connections.is_media(0, &packet(1, 1200)), "nobody knows yet");
        for at in 0..8 {
            assert!(!connections.is_media(at * SECOND / 20, &packet(1, 131)));
            assert!(!connections.is_media(at * SECOND / 20, &packet(2, 380)), "gossip");
        }
        assert!(connections.is_media(SECOND, &packet(1, 149)) && connections.is_media(SECOND, &packet(1, 1200)));
        assert!(!connections.is_media(SECOND, &packet(1, 142)), "a report with an acknowledgement");
        assert!(!connections.is_media(SECOND, &packet(2, 1200)));
        let mut handshake = packet(1, 1200);
        handshake[28] = 0xc0;
        assert!(!connections.is_media(SECOND, &handshake));
    }

    #[test]
    fn packets_of_a_reports_size_that_come_now_and_then_make_no_connection_one_for_media() {
        let mut connections = Connections::default();
        for at in 0..100 {
            assert!(!connections.is_media(at * SECOND / 4, &packet(1, 131)));
            assert!(!connections.is_media(at * SECOND / 4, &packet(1, 900)));
        }
    }

    #[test]
    fn only_so_many_connections_are_kept() {
        let mut connections = Connections::default();
        (0..200).for_each(|id| {
            connections.is_media(u64::from(id), &packet(id, 200));
        });
        assert_eq!(connections.0.len(), KEPT);
        assert!(connections.0.iter().all(|connection| connection.heard >= 200 - KEPT as u64));
    }
}
