//! Writes the control packets of a receiver (RFC 3550, RFC 4585, transport-wide feedback), and reads a sender's times.

use super::twcc::Feedback;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const FORMAT_NACK: u8 = 1;
const FORMAT_PICTURE_LOSS: u8 = 1;
const FORMAT_TRANSPORT_WIDE: u8 = 15;
/// A receiver report has five bits for the number of its blocks.
const BLOCKS_MAX: usize = 31;
const HEADER_BYTES: usize = 8;

/// One block of a receiver report (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReportBlock {
    pub(super) ssrc: u32,
    /// Of 256.
    pub(super) fraction_lost: u8,
    pub(super) lost: u32,
    pub(super) highest: u32,
    pub(super) jitter: u32,
    pub(super) last_report: u32,
    /// Since then, in 1/65536 s.
    pub(super) since: u32,
}

/// A compound whose receiver report gathers blocks.
pub(super) struct Compound {
    sender: u32,
    blocks: Vec<ReportBlock>,
}

/// A compound that has its receiver report, to which feedback is added.
pub(super) struct Begun {
    sender: u32,
    bytes: Vec<u8>,
    has_content: bool,
}

impl Compound {
    pub(super) fn new(sender: u32) -> Self {
        Self { sender, blocks: Vec::new() }
    }

    /// Adds a block, as far as there is room.
    pub(super) fn report(&mut self, block: ReportBlock) {
        if self.blocks.len() < BLOCKS_MAX {
            self.blocks.push(block);
        }
    }

    /// Each compound begins with a report, an empty one if need be (RFC 3550, section 6.1).
    pub(super) fn begin(self) -> Begun {
        let mut bytes = Vec::with_capacity(256);
        let words = 1 + 6 * self.blocks.len();
        bytes.extend([0x80 | self.blocks.len() as u8, RECEIVER_REPORT]);
        bytes.extend((words as u16).to_be_bytes());
        bytes.extend(self.sender.to_be_bytes());
        for block in &self.blocks {
            bytes.extend(block.ssrc.to_be_bytes());
            bytes.extend((u32::from(block.fraction_lost) << 24 | block.lost & 0xff_ffff).to_be_bytes());
            for word in [block.highest, block.jitter, block.last_report, block.since] {
                bytes.extend(word.to_be_bytes());
            }
        }
        Begun { sender: self.sender, bytes, has_content: !self.blocks.is_empty() }
    }
}

impl Begun {
    /// Asks for packets again (RFC 4585, section 6.2.1); the numbers are in order.
    pub(super) fn nack(&mut self, media: u32, numbers: &[u16]) {
        let mut pairs: Vec<(u16, u16)> = Vec::new();
        for &number in numbers {
            let ahead = pairs.last().map(|(first, _)| number.wrapping_sub(*first));
            match (pairs.last_mut(), ahead) {
                (Some((_, mask)), Some(ahead @ 1..=16)) => *mask |= 1 << (ahead - 1),
                _ => pairs.push((number, 0)),
            }
        }
        if pairs.is_empty() {
            return;
        }
        let words: Vec<u8> =
            pairs.iter().flat_map(|(first, mask)| [first.to_be_bytes(), mask.to_be_bytes()].concat()).collect();
        self.feedback(TRANSPORT_FEEDBACK, FORMAT_NACK, media, &words);
    }

    /// Asks for a keyframe (RFC 4585, section 6.3.1).
    pub(super) fn picture_loss(&mut self, media: u32) {
        self.feedback(PAYLOAD_FEEDBACK, FORMAT_PICTURE_LOSS, media, &[]);
    }

    /// Tells when each packet of the connection came.
    pub(super) fn transport_feedback(&mut self, media: u32, feedback: &Feedback) {
        self.feedback(TRANSPORT_FEEDBACK, FORMAT_TRANSPORT_WIDE, media, &feedback.encode());
    }

    fn feedback(&mut self, payload_type: u8, format: u8, media: u32, content: &[u8]) {
        let padding = content.len().next_multiple_of(4) - content.len();
        let words = (HEADER_BYTES + content.len() + padding) / 4;
        self.bytes.extend([0x80 | format, payload_type]);
        self.bytes.extend((words as u16).to_be_bytes());
        self.bytes.extend(self.sender.to_be_bytes());
        self.bytes.extend(media.to_be_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.extend(std::iter::repeat_n(0, padding));
        self.has_content = true;
    }

    /// The bytes; `None` when there is nothing to say.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        self.has_content.then_some(self.bytes)
    }
}

/// SSRC and middle NTP bits of the sender report that a compound begins with.
pub(super) fn sender_report(compound: &[u8]) -> Option<(u32, u32)> {
    let report: &[u8; 16] = compound.first_chunk()?;
    if report[0] >> 6 != 2 || report[1] != SENDER_REPORT {
        return None;
    }
    let word = |at: usize| u32::from_be_bytes([report[at], report[at + 1], report[at + 2], report[at + 3]]);
    Some((word(4), word(8) << 16 | word(12) >> 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compound_begins_with_a_report_and_says_nothing_when_there_is_nothing() {
        assert_eq!(Compound::new(1).begin().finish(), None);
        let mut compound = Compound::new(1).begin();
        compound.picture_loss(9);
        let bytes = compound.finish().unwrap();
        assert_eq!(bytes, [0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]);
    }

    #[test]
    fn neighbours_share_a_mask() {
        let mut compound = Compound::new(1).begin();
        compound.nack(9, &[65_535, 0, 16, 40]);
        let bytes = compound.finish().unwrap();
        assert_eq!(&bytes[8..12], [0x81, 205, 0, 5]);
        assert_eq!(&bytes[20..], [255, 255, 0, 1, 0, 16, 0, 0, 0, 40, 0, 0]);
    }

    #[test]
    fn the_times_of_a_sender_report_are_read_and_rubbish_is_not() {
        let mut report = vec![0x80, 200, 0, 6, 0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(sender_report(&report), Some((5, 0x0304_0506)));
        report[1] = 201;
        assert_eq!(sender_report(&report), None);
        assert_eq!(sender_report(&report[..9]), None);
    }
}
