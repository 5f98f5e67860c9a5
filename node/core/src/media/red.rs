//! Sound with redundancy (RFC 2198): a payload that carries older frames before its own. Read, made, and renumbered.

use std::sync::Arc;

/// The payload type that blocks have within the mesh; clients' own numbers are put in and taken out at the edge.
pub(crate) const BLOCK_TYPE: u8 = 111;
/// The most older frames of a payload that are read: browsers send one or two.
pub(crate) const OLDER_MAX: usize = 8;
/// The farthest an older frame may lie behind, in ticks: 14 bits.
pub(crate) const OFFSET_MAX: u32 = (1 << 14) - 1;
/// The longest older frame: 10 bits.
pub(crate) const OLDER_BYTES_MAX: usize = (1 << 10) - 1;

/// More blocks follow this one.
const MORE: u8 = 0x80;
const OLDER_HEADER_BYTES: usize = 4;

/// An older frame within a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Older<'a> {
    /// How many ticks before the payload's own frame.
    pub offset: u32,
    /// The frame.
    pub frame: &'a [u8],
}

/// What a payload carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Red<'a> {
    older: [Older<'a>; OLDER_MAX],
    count: usize,
    /// The frame of the packet itself.
    pub own: &'a [u8],
}

impl<'a> Red<'a> {
    /// Reads a payload; none when it is no such payload. Frames of another type than the packet's own are left out.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let own_type = payload[headers(payload)?] & !MORE;
        let (mut at, mut data) = (0, headers(payload)? + 1);
        let mut red = Self { older: Default::default(), count: 0, own: &[] };
        while payload[at] & MORE != 0 {
            let header = u32::from_be_bytes(payload[at..at + OLDER_HEADER_BYTES].try_into().ok()?);
            let (offset, length) = (header >> 10 & OFFSET_MAX, header as usize & OLDER_BYTES_MAX);
            let frame = payload.get(data..data + length)?;
            if payload[at] & !MORE == own_type && offset > 0 && length > 0 {
                red.older[red.count] = Older { offset, frame };
                red.count += 1;
            }
            (at, data) = (at + OLDER_HEADER_BYTES, data + length);
        }
        red.own = payload.get(data..).filter(|own| !own.is_empty())?;
        Some(red)
    }

    /// The older frames, oldest first, as they lie in the payload.
    pub fn older(&self) -> &[Older<'a>] {
        &self.older[..self.count]
    }
}

/// Lays out a payload in `scratch`, which is reused. The caller keeps to [`OFFSET_MAX`] and [`OLDER_BYTES_MAX`]; what
/// exceeds them is left out.
pub(crate) fn build<'a>(
    scratch: &mut Vec<u8>,
    older: impl Iterator<Item = Older<'a>> + Clone,
    own: &[u8],
) -> Arc<[u8]> {
    scratch.clear();
    let fits = |older: &Older<'_>| older.offset <= OFFSET_MAX && older.frame.len() <= OLDER_BYTES_MAX;
    for Older { offset, frame } in older.clone().filter(fits) {
        scratch.push(MORE | BLOCK_TYPE);
        let rest = offset << 10 | frame.len() as u32;
        scratch.extend_from_slice(&rest.to_be_bytes()[1..]);
    }
    scratch.push(BLOCK_TYPE);
    older.filter(fits).for_each(|older| scratch.extend_from_slice(older.frame));
    scratch.extend_from_slice(own);
    Arc::from(&scratch[..])
}

/// The same payload with its blocks of type `from` being of type `to`; as it is when there is nothing to change.
pub(crate) fn retype(payload: &Arc<[u8]>, from: u8, to: u8) -> Arc<[u8]> {
    if from == to || headers(payload).is_none() {
        return Arc::clone(payload);
    }
    let mut changed: Arc<[u8]> = Arc::from(&payload[..]);
    if let Some(bytes) = Arc::get_mut(&mut changed) {
        retype_in_place(bytes, from, to);
    }
    changed
}

/// The same where the payload lies.
pub(crate) fn retype_in_place(payload: &mut [u8], from: u8, to: u8) {
    let Some(last) = headers(payload) else { return };
    for at in (0..=last).step_by(OLDER_HEADER_BYTES) {
        if payload[at] & !MORE == from {
            payload[at] = payload[at] & MORE | to & !MORE;
        }
    }
}

/// Where the last block's header lies, which is a single byte.
fn headers(payload: &[u8]) -> Option<usize> {
    let starts = (0..=OLDER_MAX * OLDER_HEADER_BYTES).step_by(OLDER_HEADER_BYTES);
    starts.into_iter().find(|&at| payload.get(at).is_none_or(|byte| byte & MORE == 0)).filter(|&at| at < payload.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_payload_of_chromium_is_read() {
        // One older frame, 960 ticks back, three bytes long.
        let payload = [0x80 | 111, 0x0f, 0x00, 0x03, 111, 1, 2, 3, 9, 8];
        let red = Red::parse(&payload).unwrap();
        assert_eq!(red.older(), [Older { offset: 960, frame: &[1, 2, 3] }]);
        assert_eq!(red.own, [9, 8]);
        assert_eq!(Red::parse(&[111, 5]).unwrap().own, [5], "the first packet has no older frame");
    }

    #[test]
    fn what_is_cut_short_or_goes_on_for_ever_is_refused() {
        let payload = [0x80 | 111, 0x0f, 0x00, 0x03, 111, 1, 2, 3, 9, 8];
        for end in 0..9 {
            assert_eq!(Red::parse(&payload[..end]), None, "{end}");
        }
        assert_eq!(Red::parse(&[0xef; 64]), None, "more blocks than are read");
    }

    #[test]
    fn a_frame_of_another_codec_or_without_content_is_left_out() {
        let payload = [0x80 | 13, 0x0f, 0x00, 0x01, 0x80 | 111, 0x0f, 0x00, 0x00, 111, 7, 9];
        let red = Red::parse(&payload).unwrap();
        assert_eq!((red.older(), red.own), (&[][..], &[9][..]));
    }

    #[test]
    fn blocks_are_renumbered_in_place() {
        let payload: Arc<[u8]> = [0x80 | 109, 0x0f, 0x00, 0x01, 109, 109, 9].into();
        assert_eq!(retype(&payload, 109, 111)[..], [0x80 | 111, 0x0f, 0x00, 0x01, 111, 109, 9]);
        assert!(Arc::ptr_eq(&retype(&payload, 111, 111), &payload));
    }

    fn frames() -> impl Strategy<Value = Vec<(u32, Vec<u8>)>> {
        let frame = prop::collection::vec(any::<u8>(), 1..80);
        prop::collection::vec((1..=OFFSET_MAX, frame), 0..=OLDER_MAX)
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_back(older in frames(), own in prop::collection::vec(any::<u8>(), 1..80)) {
            let frames = older.iter().map(|(offset, frame)| Older { offset: *offset, frame });
            let payload = build(&mut Vec::new(), frames.clone(), &own);
            let red = Red::parse(&payload).unwrap();
            prop_assert_eq!(red.older().to_vec(), frames.collect::<Vec<_>>());
            prop_assert_eq!(red.own, &own[..]);
            prop_assert_eq!(&retype(&retype(&payload, BLOCK_TYPE, 96), 96, BLOCK_TYPE), &payload);
        }

        #[test]
        fn no_payload_makes_the_reader_panic(payload in prop::collection::vec(any::<u8>(), 0..80), to in any::<u8>()) {
            let payload: Arc<[u8]> = payload.into();
            if let Some(red) = Red::parse(&payload) {
                let bytes: usize = red.older().iter().map(|older| older.frame.len()).sum();
                prop_assert!(bytes + red.own.len() < payload.len());
            }
            prop_assert_eq!(retype(&payload, BLOCK_TYPE, to).len(), payload.len());
        }
    }
}
