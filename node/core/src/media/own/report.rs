//! What str0m says in RTCP, put right before it is sealed anew: it knows nothing of what we send ourselves.
//!
//! Its sender reports have the right time and the wrong counts, so the counts are put in. One of a stream on which
//! nothing was sent becomes a receiver report: it would tell the client a clock that is none, and break lip sync.

use super::feedback::{RECEIVER_REPORT, REPORT_BYTES, SENDER_BYTES, SENDER_REPORT, packets, word};

/// What a stream sent, as its sender report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// Its clock now.
    pub timestamp: u32,
    /// Packets.
    pub packets: u32,
    /// Bytes of payload.
    pub bytes: u32,
}

/// Header, SSRC and what the sender tells of itself.
const HEAD_BYTES: usize = 8 + SENDER_BYTES;

/// Puts right a compound packet of str0m's. `sum` tells what a stream sent.
pub(super) fn put_right(compound: &[u8], sum: impl Fn(u32) -> Option<Sum>) -> Vec<u8> {
    let mut right = Vec::with_capacity(compound.len() + super::super::srtp::CONTROL_OVERHEAD);
    for packet in packets(compound) {
        if packet[1] != SENDER_REPORT || packet.len() < HEAD_BYTES {
            right.extend_from_slice(packet);
            continue;
        }
        let at = right.len();
        match sum(word(packet, 4)) {
            Some(sum) => {
                right.extend_from_slice(packet);
                // Behind the NTP time: clock, packets, bytes (RFC 3550 6.4.1).
                for (field, value) in [(16, sum.timestamp), (20, sum.packets), (24, sum.bytes)] {
                    right[at + field..at + field + 4].copy_from_slice(&value.to_be_bytes());
                }
            }
            None => {
                let reports = &packet[HEAD_BYTES..];
                let count = (usize::from(packet[0] & 0x1f)).min(reports.len() / REPORT_BYTES);
                right.extend([0x80 | count as u8, RECEIVER_REPORT, 0, (1 + count * REPORT_BYTES / 4) as u8]);
                right.extend_from_slice(&packet[4..8]);
                right.extend_from_slice(&reports[..count * REPORT_BYTES]);
            }
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender_report(ssrc: u8, reports: usize) -> Vec<u8> {
        let mut packet = vec![0x80 | reports as u8, SENDER_REPORT, 0, (6 + reports * 6) as u8, 0, 0, 0, ssrc];
        packet.extend([7; 8]);
        packet.resize(HEAD_BYTES, 0);
        packet.extend(vec![5; reports * REPORT_BYTES]);
        packet
    }

    #[test]
    fn counts_are_put_into_sender_reports_and_the_rest_stays() {
        let sdes = [0x81, 202, 0, 2, 0, 0, 0, 3, 1, 1, b'a', 0];
        let compound = [sender_report(3, 1), sdes.to_vec()].concat();
        let sum = Sum { timestamp: 0x0102_0304, packets: 5, bytes: 6 };
        let right = put_right(&compound, |ssrc| (ssrc == 3).then_some(sum));
        assert_eq!(right.len(), compound.len());
        assert_eq!(right[..16], compound[..16]);
        assert_eq!(right[16..28], [1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 0, 6]);
        assert_eq!(right[28..], compound[28..]);
    }

    #[test]
    fn a_stream_on_which_nothing_was_sent_tells_no_clock() {
        let compound = [sender_report(3, 2), sender_report(4, 0)].concat();
        let right = put_right(&compound, |_| None);
        assert_eq!(right[..8], [0x82, RECEIVER_REPORT, 0, 13, 0, 0, 0, 3]);
        assert_eq!(right[8..56], [5; 48]);
        assert_eq!(right[56..], [0x80, RECEIVER_REPORT, 0, 1, 0, 0, 0, 4]);
    }
}
