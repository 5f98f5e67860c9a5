//! What str0m says in RTCP, put right before it is sealed anew: it knows nothing of what we send and take ourselves.
//!
//! Its sender reports have the right time and the wrong counts, so the counts are put in. One of a stream on which
//! nothing was sent becomes a receiver report: it would tell the client a clock that is none, and break lip sync.

use super::feedback::{
    CANONICAL_NAME, DESCRIPTION, EXTENDED, RECEIVER_REPORT, REPORT_BYTES, SENDER_BYTES, SENDER_REPORT,
    SINCE_RECEIVER_TIME, TRANSPORT_FEEDBACK, packets, word,
};

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

/// A client that told its time, by the SSRC that it goes by: the middle of that time, and how long ago it came, in 65536ths
/// of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub ssrc: u32,
    pub time: u32,
    pub since: u32,
}

/// Tells clients how long ago their time came, behind what else is told (RFC 3611 4.5). `sender` is any SSRC of ours.
pub(super) fn answer(compound: &mut Vec<u8>, sender: u32, asked: impl ExactSizeIterator<Item = Asked>) {
    let words = 3 * asked.len();
    if words == 0 {
        return;
    }
    compound.extend([0x80, EXTENDED, 0, 2 + words as u8]);
    compound.extend(sender.to_be_bytes());
    compound.extend([SINCE_RECEIVER_TIME, 0, 0, words as u8]);
    for Asked { ssrc, time, since } in asked {
        [ssrc, time, since].into_iter().for_each(|word| compound.extend(word.to_be_bytes()));
    }
}

/// What is reported of a client's stream, behind its SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// Lost since the last report, in 256ths.
    pub lost: u8,
    /// Lost since the beginning; less than none where more came than was sent.
    pub lost_in_all: i32,
    /// The newest number, extended.
    pub newest: u32,
    /// Jitter, in ticks of the stream's clock.
    pub jitter: u32,
}

/// Where a receiver's reports begin.
const REPORTS_AT: usize = 8;
/// Header, SSRC and what the sender tells of itself.
const HEAD_BYTES: usize = 8 + SENDER_BYTES;
/// Bytes of reports in one packet: it fits a datagram, sealed and with what [`answer`] adds.
const BYTES_MAX: usize = 1_000;
/// Names in one description (RFC 3550 6.5).
const NAMES_MAX: usize = 31;
/// Before the name in a description: SSRC, type and length.
const NAME_HEAD_BYTES: usize = 6;

/// Of how many streams with names of these lengths one packet tells; at least one.
pub(super) fn fit(names: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 4;
    let fits = names.take(NAMES_MAX).take_while(|name| {
        bytes += HEAD_BYTES + (NAME_HEAD_BYTES + name) / 4 * 4 + 4;
        bytes <= BYTES_MAX
    });
    fits.count().max(1)
}

/// Adds the sender report of a stream.
pub(super) fn tell(compound: &mut Vec<u8>, ssrc: u32, ntp: u64, sum: &Sum) {
    compound.extend([0x80, SENDER_REPORT, 0, (HEAD_BYTES / 4 - 1) as u8]);
    compound.extend(ssrc.to_be_bytes());
    compound.extend(ntp.to_be_bytes());
    [sum.timestamp, sum.packets, sum.bytes].into_iter().for_each(|word| compound.extend(word.to_be_bytes()));
}

/// Adds whose streams they are. Each name has at most 255 bytes, and there are at most [`NAMES_MAX`].
pub(super) fn name<'a>(compound: &mut Vec<u8>, names: impl Iterator<Item = (u32, &'a [u8])>) {
    let at = compound.len();
    compound.extend([0x80, DESCRIPTION, 0, 0]);
    for (ssrc, name) in names {
        compound[at] += 1;
        compound.extend(ssrc.to_be_bytes());
        compound.extend([CANONICAL_NAME, name.len() as u8]);
        compound.extend_from_slice(name);
        // A zero ends the list, and more of them fill the word.
        compound.resize(at + (compound.len() - at) / 4 * 4 + 4, 0);
    }
    let words = ((compound.len() - at) / 4 - 1) as u16;
    compound[at + 2..at + 4].copy_from_slice(&words.to_be_bytes());
}

/// Puts right a compound packet of str0m's. `sum` tells what a stream sent, and hears the middle of the report's time, by
/// which the client will name it; `received` tells what came of a client's. What str0m acknowledges and misses is left out:
/// it sees next to nothing of what comes.
pub(super) fn put_right(
    compound: &[u8],
    mut sum: impl FnMut(u32, u32) -> Option<Sum>,
    mut received: impl FnMut(u32) -> Option<Received>,
) -> Vec<u8> {
    let mut right = Vec::with_capacity(compound.len() + super::super::srtp::CONTROL_OVERHEAD);
    for packet in packets(compound) {
        let at = right.len();
        match packet[1] {
            SENDER_REPORT if packet.len() >= HEAD_BYTES => {}
            TRANSPORT_FEEDBACK => continue,
            kind => {
                right.extend_from_slice(packet);
                if kind == RECEIVER_REPORT {
                    put_blocks(&mut right[at..], REPORTS_AT, &mut received);
                }
                continue;
            }
        }
        match sum(word(packet, 4), word(packet, 10)) {
            Some(sum) => {
                right.extend_from_slice(packet);
                // Behind the NTP time: clock, packets, bytes (RFC 3550 6.4.1).
                for (field, value) in [(16, sum.timestamp), (20, sum.packets), (24, sum.bytes)] {
                    right[at + field..at + field + 4].copy_from_slice(&value.to_be_bytes());
                }
                put_blocks(&mut right[at..], HEAD_BYTES, &mut received);
            }
            None => {
                let reports = &packet[HEAD_BYTES..];
                let count = (usize::from(packet[0] & 0x1f)).min(reports.len() / REPORT_BYTES);
                right.extend([0x80 | count as u8, RECEIVER_REPORT, 0, (1 + count * REPORT_BYTES / 4) as u8]);
                right.extend_from_slice(&packet[4..8]);
                right.extend_from_slice(&reports[..count * REPORT_BYTES]);
                put_blocks(&mut right[at..], REPORTS_AT, &mut received);
            }
        }
    }
    right
}

/// Puts what came of each stream into the reports from `from` on.
fn put_blocks(packet: &mut [u8], from: usize, received: &mut impl FnMut(u32) -> Option<Received>) {
    let count = usize::from(packet[0] & 0x1f);
    for block in packet.get_mut(from..).unwrap_or_default().chunks_exact_mut(REPORT_BYTES).take(count) {
        let Some(came) = received(word(block, 0)) else { continue };
        // Eight bits of what is lost lately, and 24 of what is lost in all.
        let lost = u32::from(came.lost) << 24 | came.lost_in_all as u32 & 0xff_ffff;
        for (at, value) in [(4, lost), (8, came.newest), (12, came.jitter)] {
            block[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
    }
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
    fn what_came_is_put_into_reports_and_what_str0m_acknowledges_and_misses_is_left_out() {
        let feedback = |format: u8| [vec![0x80 | format, TRANSPORT_FEEDBACK, 0, 2], vec![0; 8]].concat();
        let mut report = vec![0x82, RECEIVER_REPORT, 0, 13, 0, 0, 0, 1];
        [9_u8, 8].iter().for_each(|ssrc| {
            report.extend([0, 0, 0, *ssrc]);
            report.extend([7; 20]);
        });
        let compound = [feedback(15), report, feedback(1)].concat();
        let came = Received { lost: 3, lost_in_all: -2, newest: 0x0102_0304, jitter: 6 };
        let right = put_right(&compound, |_, _| None, |ssrc| (ssrc == 9).then_some(came));
        assert_eq!(right.len(), 8 + 2 * REPORT_BYTES, "the report alone");
        assert_eq!(right[8..24], [0, 0, 0, 9, 3, 0xff, 0xff, 0xfe, 1, 2, 3, 4, 0, 0, 0, 6]);
        assert!(right[24..32].iter().chain(&right[36..]).all(|byte| *byte == 7), "what str0m knows stays");
        assert!(put_right(&feedback(15), |_, _| None, |_| None).is_empty());
    }

    #[test]
    fn counts_are_put_into_sender_reports_and_the_rest_stays() {
        let sdes = [0x81, 202, 0, 2, 0, 0, 0, 3, 1, 1, b'a', 0];
        let compound = [sender_report(3, 1), sdes.to_vec()].concat();
        let sum = Sum { timestamp: 0x0102_0304, packets: 5, bytes: 6 };
        let right = put_right(&compound, |ssrc, at| ((ssrc, at) == (3, 0x0707_0707)).then_some(sum), |_| None);
        assert_eq!(right.len(), compound.len());
        assert_eq!(right[..16], compound[..16]);
        assert_eq!(right[16..28], [1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 0, 6]);
        assert_eq!(right[28..], compound[28..]);
    }

    #[test]
    fn who_told_its_time_hears_how_long_ago_that_was() {
        let mut compound = vec![1, 2, 3, 4];
        answer(&mut compound, 9, [Asked { ssrc: 7, time: 0x0102_0304, since: 5 }].into_iter());
        let block = [0x80, 207, 0, 5, 0, 0, 0, 9, 5, 0, 0, 3, 0, 0, 0, 7, 1, 2, 3, 4, 0, 0, 0, 5];
        assert_eq!(compound[4..], block);
        answer(&mut compound, 9, [].into_iter());
        assert_eq!(compound.len(), 4 + block.len(), "nobody told");
    }

    #[test]
    fn a_stream_on_which_nothing_was_sent_tells_no_clock() {
        let compound = [sender_report(3, 2), sender_report(4, 0)].concat();
        let right = put_right(&compound, |_, _| None, |_| None);
        assert_eq!(right[..8], [0x82, RECEIVER_REPORT, 0, 13, 0, 0, 0, 3]);
        assert_eq!(right[8..56], [5; 48]);
        assert_eq!(right[56..], [0x80, RECEIVER_REPORT, 0, 1, 0, 0, 0, 4]);
    }
}
