//! Reads what a client says in RTCP of what we send it (RFC 3550, RFC 4585, RFC 5104, and the drafts of transport-wide
//! feedback and REMB). Whatever comes, reading ends: each step takes at least four bytes.

/// Types of RTCP packets.
pub(super) const SENDER_REPORT: u8 = 200;
pub(super) const RECEIVER_REPORT: u8 = 201;
pub(super) const DESCRIPTION: u8 = 202;
/// What of a description tells whose stream it is.
pub(super) const CANONICAL_NAME: u8 = 1;
pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// What receivers and senders say beyond their reports (RFC 3611).
pub(super) const EXTENDED: u8 = 207;
/// Its blocks: a receiver's time, and how long ago such a time came.
const RECEIVER_TIME: u8 = 4;
pub(super) const SINCE_RECEIVER_TIME: u8 = 5;

const HEADER_BYTES: usize = 4;
/// Where a sender tells how many packets it sent.
const SENT_AT: usize = 20;
/// Sender and media SSRC, behind the header of feedback.
const FEEDBACK_BYTES: usize = 12;
/// A report of one stream.
pub(super) const REPORT_BYTES: usize = 24;
/// What a sender tells of itself, behind its SSRC.
pub(super) const SENDER_BYTES: usize = 20;
/// The most packets that one transport-wide report tells of: what we remember of what we sent.
const STATUSES_MAX: u16 = 1_024;

/// One thing that the client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feedback<'a> {
    /// How a stream comes.
    Report(Report),
    /// Packets of a stream are missing.
    Nack(u32, Numbers<'a>),
    /// A stream needs a keyframe (PLI or FIR).
    Keyframe(u32),
    /// The client would have us send no more than so many bits per second.
    Bound(u64),
    /// What time it is for the client that goes by this SSRC, by the middle of its time: it wants to hear how long ago that
    /// came, which tells it a round trip.
    Time(u32, u32),
    /// A time of ours, by its middle, came to the client so long ago, in 65536ths of a second.
    Since(u32, u32),
    /// Which packets of the whole connection came, and when.
    Transport(Transport<'a>),
    /// Something that str0m is to see too: what a client says of what it sends, and what we do not know.
    Other,
}

/// A receiver's report of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// The stream.
    pub ssrc: u32,
    /// Lost since the last report, in 256ths.
    pub lost: u8,
    /// Jitter, in ticks of the stream's clock.
    pub jitter: u32,
    /// The last sender report that came, by the middle of its time; 0 for none.
    pub last: u32,
    /// How long ago it came, in 65536ths of a second.
    pub since: u32,
}

impl Report {
    fn read(block: &[u8]) -> Self {
        let (jitter, last, since) = (word(block, 12), word(block, 16), word(block, 20));
        Self { ssrc: word(block, 0), lost: block[4], jitter, last, since }
    }
}

/// The packets of a compound packet, as far as they are whole.
pub(super) fn packets(compound: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let [first, _, high, low, ..] = *rest else { return None };
        let length = HEADER_BYTES * (usize::from(u16::from_be_bytes([high, low])) + 1);
        if first >> 6 != 2 || length > rest.len() {
            return None;
        }
        let (packet, after) = rest.split_at(length);
        rest = after;
        Some(packet)
    })
}

/// Everything that a compound packet says, given to `each`.
pub(super) fn read<'a>(compound: &'a [u8], mut each: impl FnMut(Feedback<'a>)) {
    for packet in packets(compound) {
        match (packet[1], packet[0] & 0x1f) {
            (SENDER_REPORT, _) => {
                // Who has sent nothing tells a clock that is none.
                if word(packet, SENT_AT) != 0 {
                    each(Feedback::Other);
                }
                reports(packet, HEADER_BYTES * 2 + SENDER_BYTES, &mut each);
            }
            (RECEIVER_REPORT, _) => reports(packet, HEADER_BYTES * 2, &mut each),
            (EXTENDED, _) => extended(packet, &mut each),
            // The client's name, which nobody asks for.
            (DESCRIPTION, _) => {}
            (TRANSPORT_FEEDBACK, 1) => {
                if let Some(list) = packet.get(FEEDBACK_BYTES..) {
                    each(Feedback::Nack(word(packet, 8), Numbers { list, mask: None }));
                }
            }
            (TRANSPORT_FEEDBACK, 15) => {
                if let Some(transport) = Transport::read(packet) {
                    each(Feedback::Transport(transport));
                }
            }
            (PAYLOAD_FEEDBACK, 1) if packet.len() >= FEEDBACK_BYTES => each(Feedback::Keyframe(word(packet, 8))),
            (PAYLOAD_FEEDBACK, 4) => {
                let entries = packet.get(FEEDBACK_BYTES..).unwrap_or_default().chunks_exact(8);
                entries.for_each(|entry| each(Feedback::Keyframe(word(entry, 0))));
            }
            (PAYLOAD_FEEDBACK, 15) => match bound(packet) {
                Some(bps) => each(Feedback::Bound(bps)),
                None => each(Feedback::Other),
            },
            _ => each(Feedback::Other),
        }
    }
}

fn reports<'a>(packet: &[u8], from: usize, each: &mut impl FnMut(Feedback<'a>)) {
    let count = usize::from(packet[0] & 0x1f);
    let blocks = packet.get(from..).unwrap_or_default().chunks_exact(REPORT_BYTES).take(count);
    blocks.for_each(|block| each(Feedback::Report(Report::read(block))));
}

fn extended<'a>(packet: &[u8], each: &mut impl FnMut(Feedback<'a>)) {
    let mut blocks = packet.get(HEADER_BYTES * 2..).unwrap_or_default();
    while let [kind, _, high, low, ..] = *blocks {
        let length = HEADER_BYTES * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let Some(block) = blocks.get(..length) else { return };
        match kind {
            RECEIVER_TIME => each(Feedback::Time(word(packet, 4), word(block, 6))),
            SINCE_RECEIVER_TIME => {
                let entries = block[HEADER_BYTES..].chunks_exact(12);
                entries.for_each(|entry| each(Feedback::Since(word(entry, 4), word(entry, 8))));
            }
            _ => each(Feedback::Other),
        }
        blocks = &blocks[length..];
    }
}

/// The draft of REMB: "REMB", count, then 6 bits of exponent and 18 of mantissa.
fn bound(packet: &[u8]) -> Option<u64> {
    let [b'R', b'E', b'M', b'B', _, high, middle, low, ..] = *packet.get(FEEDBACK_BYTES..)? else { return None };
    let mantissa = u64::from(high & 3) << 16 | u64::from(middle) << 8 | u64::from(low);
    Some(mantissa.checked_shl((high >> 2).into()).filter(|bps| bps >> (high >> 2) == mantissa).unwrap_or(u64::MAX))
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|half| u16::from_be_bytes([half[0], half[1]]))
}

/// The numbers of a NACK (RFC 4585 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers<'a> {
    list: &'a [u8],
    /// The entry under way: its number, and the bits that are left of those after it.
    mask: Option<(u16, u16)>,
}

impl Iterator for Numbers<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if let Some((first, bits)) = self.mask.filter(|(_, bits)| *bits != 0) {
            let after = bits.trailing_zeros() as u16;
            self.mask = Some((first, bits & (bits - 1)));
            return Some(first.wrapping_add(1 + after));
        }
        let (first, bits) = (half(self.list, 0)?, half(self.list, 2)?);
        self.list = &self.list[4..];
        self.mask = Some((first, bits));
        Some(first)
    }
}

/// A transport-wide report: for each packet from `base` on whether it came, and when by the client's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transport<'a> {
    /// Number of the first packet that it tells of.
    pub base: u16,
    left: u16,
    /// Microseconds of the client's clock at the last packet that came.
    at_us: i64,
    chunks: &'a [u8],
    deltas: &'a [u8],
    /// What is left of a chunk: its statuses from the top, two bits each, and how many.
    chunk: (u16, u16),
    /// A run has one status.
    run: bool,
    /// Bits of each status in `chunk`.
    bits: u16,
}

impl<'a> Transport<'a> {
    fn read(packet: &'a [u8]) -> Option<Self> {
        let (base, count) = (half(packet, 12)?, half(packet, 14)?);
        let reference = i64::from((word(packet, 16) as i32) >> 8) * 64_000;
        let chunks = packet.get(20..)?;
        let deltas = &chunks[chunk_bytes(chunks, count)?..];
        let left = count.min(STATUSES_MAX);
        Some(Self { base, left, at_us: reference, chunks, deltas, chunk: (0, 0), run: false, bits: 1 })
    }

    fn status(&mut self) -> Option<u16> {
        if self.chunk.1 == 0 {
            let word = half(self.chunks, 0)?;
            self.chunks = &self.chunks[2..];
            (self.run, self.bits, self.chunk) = match (word & 0x8000 != 0, word & 0x4000 != 0) {
                (false, _) => (true, 2, (word << 1, word & 0x1fff)),
                (true, false) => (false, 1, (word << 2, 14)),
                (true, true) => (false, 2, (word << 2, 7)),
            };
            if self.chunk.1 == 0 {
                return None;
            }
        }
        let status = self.chunk.0 >> (16 - self.bits);
        self.chunk.1 -= 1;
        if !self.run {
            self.chunk.0 <<= self.bits;
        }
        Some(status)
    }
}

impl Iterator for Transport<'_> {
    type Item = Option<i64>;

    fn next(&mut self) -> Option<Option<i64>> {
        self.left = self.left.checked_sub(1)?;
        let status = self.status()?;
        let (delta, bytes) = match status {
            1 => (i64::from(*self.deltas.first()?), 1),
            2 => (i64::from(half(self.deltas, 0)? as i16), 2),
            _ => return Some(None),
        };
        self.deltas = &self.deltas[bytes..];
        self.at_us += delta * 250;
        Some(Some(self.at_us))
    }
}

/// Bytes of the chunks that tell of `count` packets; none when they are cut short.
fn chunk_bytes(chunks: &[u8], count: u16) -> Option<usize> {
    let (mut at, mut told) = (0, 0_u32);
    while told < count.into() {
        let word = half(chunks, at)?;
        told += match (word & 0x8000 != 0, word & 0x4000 != 0) {
            (false, _) if word & 0x1fff == 0 => return None,
            (false, _) => u32::from(word & 0x1fff),
            (true, false) => 14,
            (true, true) => 7,
        };
        at += 2;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(compound: &[u8]) -> Vec<Feedback<'_>> {
        let mut all = Vec::new();
        read(compound, |feedback| all.push(feedback));
        all
    }

    #[test]
    fn reports_nacks_and_wishes_of_a_compound_packet_are_read() {
        let mut compound = vec![0x81, RECEIVER_REPORT, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 51, 0, 0, 5];
        compound.extend([0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 1, 2, 0, 0, 0, 4]);
        compound.extend([0x81, DESCRIPTION, 0, 2, 0, 0, 0, 1, 1, 1, b'a', 0]);
        compound.extend([0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0x80, 0x01, 0, 7, 0, 0]);
        compound.extend([0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]);
        compound.extend([0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 3, 0, 0, 0]);
        compound.extend([0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x0b, 0xd0, 0x90]);
        compound.extend([0, 0, 0, 9]);
        compound.extend([0x80, EXTENDED, 0, 4, 0, 0, 0, 1, RECEIVER_TIME, 0, 0, 2, 9, 9, 1, 2, 3, 4, 9, 9]);
        let all = all(&compound);
        assert_eq!(all[0], Feedback::Report(Report { ssrc: 9, lost: 51, jitter: 3, last: 0x102, since: 4 }));
        let Feedback::Nack(9, numbers) = all[1] else { panic!("{:?}", all[1]) };
        assert_eq!(numbers.collect::<Vec<_>>(), [0xffff, 0, 15, 7]);
        assert_eq!(all[2..4], [Feedback::Keyframe(9), Feedback::Keyframe(8)]);
        assert_eq!(all[4], Feedback::Bound((0x3_d090) << 2));
        assert_eq!(all[5], Feedback::Time(1, 0x0102_0304));
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn a_sender_that_has_sent_nothing_is_not_told_of() {
        let mut report = vec![0x80, SENDER_REPORT, 0, 6, 0, 0, 0, 1];
        report.resize(28, 0);
        assert_eq!(all(&report), []);
        report[23] = 1;
        assert_eq!(all(&report), [Feedback::Other]);
    }

    #[test]
    fn a_transport_report_tells_which_packets_came_and_when() {
        // A run of two that came soon, then seven of which the second is lost and the third took long.
        let mut packet = vec![0x8f, 205, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 0xff, 0xfe, 0, 5, 0, 0, 2, 1];
        packet.extend([0x20, 0x02, 0, 0, 4, 8, 1, 0xff, 0xf8, 0, 0, 0]);
        // 01 (came), 00 (lost), 10 (long): 0x1 0x0 0x2 from the top of fourteen bits.
        packet[22..24].copy_from_slice(&(0xc000_u16 | 0b01_00_10 << 8).to_be_bytes());
        let all = all(&packet);
        let Feedback::Transport(transport) = all[0] else { panic!("{all:?}") };
        assert_eq!(transport.base, 0xfffe);
        let at = |steps: i64| Some(2 * 64_000 + steps * 250);
        assert_eq!(transport.collect::<Vec<_>>(), [at(4), at(12), at(13), None, at(5)]);
    }

    #[test]
    fn a_report_of_more_than_we_remember_is_cut() {
        let mut packet = vec![0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0xff, 0xff, 0, 0, 2, 1];
        packet.extend([0x1f, 0xff].repeat(2));
        packet.extend([0x1f, 0xff].repeat(8));
        packet[3] = (packet.len() / 4 - 1) as u8;
        let all = all(&packet);
        let Feedback::Transport(transport) = all[0] else { panic!("{all:?}") };
        assert_eq!(transport.count(), usize::from(STATUSES_MAX));
    }

    proptest! {
        #[test]
        fn whatever_a_client_says_is_read_in_bounds(
            packets in proptest::collection::vec(
                (0_u8..32, prop::sample::select(vec![200_u8, 201, 205, 206, 203, 207]), prop::collection::vec(any::<u8>(), 0..60)),
                0..6,
            ),
            cut in 0_usize..200,
        ) {
            let mut compound = Vec::new();
            for (count, kind, mut body) in packets {
                body.resize(body.len() / 4 * 4, 0);
                compound.extend([0x80 | count, kind, 0, (body.len() / 4) as u8]);
                compound.extend(body);
            }
            compound.truncate(cut);
            let length = compound.len();
            let (mut things, mut numbers) = (0, 0);
            read(&compound, |feedback| {
                things += 1;
                numbers += match feedback {
                    Feedback::Nack(_, list) => list.count(),
                    Feedback::Transport(transport) => {
                        assert!(transport.count() <= usize::from(STATUSES_MAX));
                        0
                    }
                    _ => 0,
                };
            });
            prop_assert!(things <= length / 4 && numbers <= length * 17 / 4);
        }

        #[test]
        fn bytes_of_any_kind_do_not_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes, |feedback| match feedback {
                Feedback::Nack(_, list) => drop(list.count()),
                Feedback::Transport(transport) => drop(transport.count()),
                _ => {}
            });
        }
    }
}
