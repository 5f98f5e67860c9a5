//! Writes RTP headers with the extensions that a client's section takes (RFC 3550 5.1, RFC 8285).

use origo_cascade_core::link::Extensions;

use crate::media::egress::PADDING_MAX;

/// Which extension has which number in a section; none for those that the client does not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::media) struct Ids {
    /// Name of the section.
    pub mid: Option<u8>,
    /// Absolute send time.
    pub send_time: Option<u8>,
    /// Transport-wide number.
    pub transport: Option<u8>,
    /// Audio level.
    pub level: Option<u8>,
    /// Video orientation.
    pub orientation: Option<u8>,
    /// Dependency descriptor.
    pub descriptor: Option<u8>,
    /// Absolute capture time.
    pub capture: Option<u8>,
    /// Playout delay.
    pub delay: Option<u8>,
}

impl Ids {
    /// With the numbers of `others` for what has none here.
    pub fn or(self, others: Self) -> Self {
        Self {
            mid: self.mid.or(others.mid),
            send_time: self.send_time.or(others.send_time),
            transport: self.transport.or(others.transport),
            level: self.level.or(others.level),
            orientation: self.orientation.or(others.orientation),
            descriptor: self.descriptor.or(others.descriptor),
            capture: self.capture.or(others.capture),
            delay: self.delay.or(others.delay),
        }
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub payload_type: u8,
    pub marker: bool,
    pub number: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Name of the section, until the client knows whose stream it is.
    pub mid: Option<&'a [u8]>,
    /// When it leaves, in microseconds since any beginning.
    pub at_us: u64,
    /// Transport-wide number.
    pub transport: Option<u16>,
    /// What a publisher said.
    pub extensions: &'a Extensions,
    /// The descriptor that goes along, instead of the publisher's.
    pub dependency: Option<&'a [u8]>,
}

/// How long the extensions of a stream's packets are: few packets of a picture have one that the others have not, and
/// all are made as long as those, so that they leave in one send.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layout {
    bytes: u8,
    /// The most in the picture that is under way.
    seen: u8,
}

impl Layout {
    /// How long the extensions of a packet are made that has so many bytes of them; `ends` with the last one of a picture.
    fn fit(&mut self, own: usize, ends: bool) -> usize {
        let bytes = u8::try_from(own).unwrap_or(0);
        self.seen = self.seen.max(bytes);
        self.bytes = self.bytes.max(bytes);
        let laid_out = usize::from(self.bytes);
        if ends {
            self.bytes = std::mem::take(&mut self.seen);
        }
        if laid_out <= own + LAYOUT_MAX { laid_out.max(own) } else { own }
    }
}

const FIXED_BYTES: usize = 12;
/// Numbers and lengths beyond which extensions need the two-byte form.
const SHORT_ID_MAX: u8 = 14;
const SHORT_BYTES_MAX: usize = 16;

/// What extensions are made longer by at most.
const LAYOUT_MAX: usize = 8;

/// Makes a packet so long with RTP padding (RFC 3550 5.1), if it is hardly shorter. Gives where it ends.
pub(super) fn pad(packet: &mut [u8], end: usize, to: usize) -> usize {
    let padding = to.saturating_sub(end);
    let (1..=PADDING_MAX, Some(space)) = (padding, packet.get_mut(end..to.max(end))) else { return end };
    space.fill(0);
    space[padding - 1] = padding as u8;
    packet[0] |= 0x20;
    to
}

/// Writes the header; gives its length, or nothing when it does not fit.
pub(super) fn write(buffer: &mut [u8], ids: &Ids, head: &Head<'_>, layout: &mut Layout) -> Option<usize> {
    let fixed = buffer.get_mut(..FIXED_BYTES)?;
    fixed[0] = 0x80;
    fixed[1] = u8::from(head.marker) << 7 | head.payload_type & 0x7f;
    fixed[2..4].copy_from_slice(&head.number.to_be_bytes());
    fixed[4..8].copy_from_slice(&head.timestamp.to_be_bytes());
    fixed[8..12].copy_from_slice(&head.ssrc.to_be_bytes());
    let space = buffer.get_mut(FIXED_BYTES + 4..)?;
    let mut list = List { space, at: 0, long: is_long(ids, head) };
    extend(&mut list, ids, head)?;
    if list.at == 0 {
        return Some(FIXED_BYTES);
    }
    let own = list.at.next_multiple_of(4);
    let padded = layout.fit(own, head.marker);
    list.space.get_mut(list.at..padded)?.fill(0);
    let profile: u16 = if list.long { 0x1000 } else { 0xbede };
    buffer[0] |= 0x10;
    buffer[12..14].copy_from_slice(&profile.to_be_bytes());
    buffer[14..16].copy_from_slice(&((padded / 4) as u16).to_be_bytes());
    Some(FIXED_BYTES + 4 + padded)
}

fn is_long(ids: &Ids, head: &Head<'_>) -> bool {
    let Ids { mid, send_time, transport, level, orientation, descriptor, capture, delay } = *ids;
    let all = [mid, send_time, transport, level, orientation, descriptor, capture, delay];
    all.into_iter().flatten().any(|id| id > SHORT_ID_MAX)
        || head.dependency.is_some_and(|bytes| descriptor.is_some() && bytes.len() > SHORT_BYTES_MAX)
}

fn extend(list: &mut List<'_>, ids: &Ids, head: &Head<'_>) -> Option<()> {
    let extensions = head.extensions;
    if let Some(mid) = head.mid {
        list.put(ids.mid, mid)?;
    }
    // 24 bits: 6 of seconds, 18 of their fractions.
    let fixed_point = ((head.at_us << 18) / 1_000_000) as u32;
    list.put(ids.send_time, &fixed_point.to_be_bytes()[1..])?;
    if let Some(number) = head.transport {
        list.put(ids.transport, &number.to_be_bytes())?;
    }
    if let Some((level, voice)) = extensions.audio_level {
        list.put(ids.level, &[u8::from(voice) << 7 | level.min(127)])?;
    }
    if let Some(orientation) = extensions.orientation {
        list.put(ids.orientation, &[orientation & 3])?;
    }
    if let Some(bytes) = head.dependency.filter(|bytes| (1..=255).contains(&bytes.len())) {
        list.put(ids.descriptor, bytes)?;
    }
    if let Some(ntp) = extensions.capture_time {
        list.put(ids.capture, &ntp.to_be_bytes())?;
    }
    if let Some((min, max)) = extensions.playout_delay {
        let both = u32::from(min & 0xfff) << 12 | u32::from(max & 0xfff);
        list.put(ids.delay, &both.to_be_bytes()[1..])?;
    }
    Some(())
}

struct List<'a> {
    space: &'a mut [u8],
    at: usize,
    long: bool,
}

impl List<'_> {
    /// Adds an extension, if the client takes it; none when it does not fit.
    fn put(&mut self, id: Option<u8>, value: &[u8]) -> Option<()> {
        let Some(id) = id else { return Some(()) };
        let head = if self.long { 2 } else { 1 };
        let space = self.space.get_mut(self.at..self.at + head + value.len())?;
        if self.long {
            (space[0], space[1]) = (id, value.len() as u8);
        } else {
            space[0] = id << 4 | (value.len() as u8 - 1);
        }
        space[head..].copy_from_slice(value);
        self.at += head + value.len();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(extensions: &Extensions) -> Head<'_> {
        Head {
            payload_type: 96,
            marker: true,
            number: 0x0102,
            timestamp: 0x0304_0506,
            ssrc: 0x0708_090a,
            mid: None,
            at_us: 1_500_000,
            transport: Some(0x0b0c),
            extensions,
            dependency: None,
        }
    }

    fn write_alone(buffer: &mut [u8], ids: &Ids, head: &Head<'_>) -> Option<usize> {
        write(buffer, ids, head, &mut Layout::default())
    }

    const FIXED: [u8; 12] = [0x90, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

    #[test]
    fn a_header_carries_what_the_client_takes() {
        let ids = Ids { mid: Some(4), send_time: Some(2), transport: Some(3), delay: Some(5), ..Ids::default() };
        let extensions =
            Extensions { audio_level: Some((3, true)), playout_delay: Some((1, 2)), ..Extensions::default() };
        let mut buffer = [0xff; 64];
        let length = write_alone(&mut buffer, &ids, &Head { mid: Some(b"ab"), ..head(&extensions) }).unwrap();
        assert_eq!(buffer[..12], FIXED);
        let list = [0x41, b'a', b'b', 0x22, 6, 0, 0, 0x31, 0x0b, 0x0c, 0x52, 0, 0x10, 2];
        assert_eq!(buffer[12..16], [0xbe, 0xde, 0, 4]);
        assert_eq!(buffer[16..30], list);
        assert_eq!((length, &buffer[30..32]), (32, &[0, 0][..]));
    }

    #[test]
    fn a_long_descriptor_and_high_numbers_need_the_long_form() {
        let extensions = Extensions::default();
        let ids = Ids { descriptor: Some(7), transport: Some(3), ..Ids::default() };
        let mut buffer = [0; 64];
        let head = Head { dependency: Some(&[9; 17]), ..head(&extensions) };
        let length = write_alone(&mut buffer, &ids, &head).unwrap();
        assert_eq!(buffer[12..16], [0x10, 0, 0, 6]);
        assert_eq!(buffer[16..22], [3, 2, 0x0b, 0x0c, 7, 17]);
        assert_eq!((length, buffer[22..39] == [9; 17]), (40, true));
        let high = Ids { transport: Some(15), ..Ids::default() };
        assert_eq!(write_alone(&mut buffer, &high, &Head { dependency: None, ..head }), Some(20));
        assert_eq!(buffer[16..20], [15, 2, 0x0b, 0x0c]);
    }

    #[test]
    fn headers_of_a_picture_become_as_long_as_its_longest() {
        let ids = Ids { transport: Some(3), orientation: Some(4), ..Ids::default() };
        let turned = Extensions { orientation: Some(1), ..Extensions::default() };
        let upright = Extensions::default();
        let mut layout = Layout::default();
        let mut buffer = [0xff; 64];
        let mut lengths = Vec::new();
        for at in 0..9 {
            let extensions = if at == 3 { &turned } else { &upright };
            let head = Head { marker: at % 4 == 3, ..head(extensions) };
            lengths.push(write(&mut buffer, &ids, &head, &mut layout).unwrap());
            if at == 7 {
                assert_eq!(buffer[14..24], [0, 2, 0x31, 0x0b, 0x0c, 0, 0, 0, 0, 0]);
            }
        }
        assert_eq!(lengths, [20, 20, 20, 24, 24, 24, 24, 24, 20], "none of the second picture needs it");
    }

    #[test]
    fn a_packet_that_is_hardly_shorter_is_padded() {
        let mut packet = [7; 80];
        packet[0] = 0x90;
        assert_eq!(pad(&mut packet, 60, 63), 63);
        assert_eq!((packet[0], &packet[59..64]), (0xb0, &[7, 0, 0, 3, 7][..]));
        for (end, to) in [(60, 60), (60, 50), (60, 60 + PADDING_MAX + 1), (79, 81)] {
            let mut packet = [7; 80];
            assert_eq!(pad(&mut packet, end, to), end);
            assert_eq!(packet, [7; 80]);
        }
    }

    #[test]
    fn a_header_without_extensions_is_short_and_one_that_does_not_fit_is_refused() {
        let extensions = Extensions::default();
        let mut buffer = [0; 40];
        assert_eq!(write_alone(&mut buffer, &Ids::default(), &head(&extensions)), Some(12));
        assert_eq!(buffer[0], 0x80);
        let ids = Ids { descriptor: Some(7), ..Ids::default() };
        assert_eq!(write_alone(&mut buffer, &ids, &Head { dependency: Some(&[9; 30]), ..head(&extensions) }), None);
    }
}
