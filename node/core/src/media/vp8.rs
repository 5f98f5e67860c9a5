//! The VP8 payload descriptor (RFC 7741, section 4.2): the numbers that must go on, and the temporal layer.

/// The numbers in a VP8 payload descriptor (RFC 7741 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vp8 {
    /// Picture id and whether it is of the 15-bit form.
    pub picture_id: Option<(u16, bool)>,
    /// Running index of temporal base layer frames.
    pub tl0_index: Option<u8>,
    /// Running index of keyframes, 5 bits.
    pub key_index: Option<u8>,
    /// First packet of a frame: start of partition 0.
    pub starts: bool,
    /// Temporal layer, and whether the frame refers to the lowest one alone (Y).
    pub temporal: Option<(u8, bool)>,
    /// Bytes of the descriptor.
    pub length: usize,
}

impl Vp8 {
    /// Reads the descriptor at the head of a payload; none when it is cut short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter().copied();
        let mut descriptor = Self::default();
        let mut length = 1;
        let mut next = |length: &mut usize| {
            *length += 1;
            bytes.next()
        };
        let first = next(&mut 0)?;
        descriptor.starts = first & 0x17 == 0x10;
        if first & 0x80 != 0 {
            let present = next(&mut length)?;
            if present & 0x80 != 0 {
                let high = next(&mut length)?;
                let id = if high & 0x80 != 0 {
                    (u16::from(high & 0x7f) << 8 | u16::from(next(&mut length)?), true)
                } else {
                    (u16::from(high), false)
                };
                descriptor.picture_id = Some(id);
            }
            if present & 0x40 != 0 {
                descriptor.tl0_index = Some(next(&mut length)?);
            }
            if present & 0x30 != 0 {
                let byte = next(&mut length)?;
                descriptor.key_index = (present & 0x10 != 0).then_some(byte & 0x1f);
                if present & 0x20 != 0 {
                    descriptor.temporal = Some((byte >> 6, byte & 0x20 != 0));
                }
            }
        }
        descriptor.length = length;
        Some(descriptor)
    }

    /// Puts these numbers into the descriptor at the head of a payload, whose fields they are.
    pub fn write(&self, payload: &mut [u8]) {
        let mut at = 2;
        let mut put = |byte: u8| {
            if let Some(place) = payload.get_mut(at) {
                *place = byte;
            }
            at += 1;
        };
        match self.picture_id {
            Some((id, true)) => {
                put(0x80 | (id >> 8) as u8);
                put(id as u8);
            }
            Some((id, false)) => put(id as u8 & 0x7f),
            None => {}
        }
        if let Some(index) = self.tl0_index {
            put(index);
        }
        if let Some(key) = self.key_index
            && let Some(place) = payload.get_mut(at)
        {
            *place = *place & 0xe0 | key & 0x1f;
        }
    }
}

/// The running numbers of VP8, which must not jump at a switch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vp8Run {
    last: Vp8,
    shifted: bool,
    /// Added to picture ids, wrapping.
    pub picture: u16,
    tl0: u8,
    key: u8,
    left_out: Option<u16>,
}

impl Vp8Run {
    /// The next packet continues right after the last one.
    pub fn join(&mut self, payload: &[u8]) {
        let Some(next) = Vp8::parse(payload) else { return };
        if let (Some((last, _)), Some((id, _))) = (self.last.picture_id, next.picture_id) {
            self.picture = last.wrapping_add(1).wrapping_sub(id);
        }
        if let (Some(last), Some(index)) = (self.last.tl0_index, next.tl0_index) {
            self.tl0 = last.wrapping_add(1).wrapping_sub(index);
        }
        if let (Some(last), Some(index)) = (self.last.key_index, next.key_index) {
            self.key = last.wrapping_add(1).wrapping_sub(index);
        }
        self.left_out = None;
        self.shifted = self.picture != 0 || self.tl0 != 0 || self.key != 0;
    }

    /// A frame of a temporal layer that is not taken: those after it close up.
    pub fn leave_out(&mut self, payload: &[u8]) {
        let Some((id, _)) = Vp8::parse(payload).and_then(|numbers| numbers.picture_id) else { return };
        if self.left_out.replace(id) != Some(id) {
            self.picture = self.picture.wrapping_sub(1);
            self.shifted = true;
        }
    }

    /// The numbers with which a packet leaves, `picture` being added to its picture id; none when they are its own.
    pub fn go_on(&mut self, payload: &[u8], picture: u16, newest: bool) -> Option<Vp8> {
        let mut numbers = Vp8::parse(payload)?;
        if self.shifted {
            numbers.picture_id = numbers
                .picture_id
                .map(|(id, long)| (id.wrapping_add(picture) & if long { 0x7fff } else { 0x7f }, long));
            numbers.tl0_index = numbers.tl0_index.map(|index| index.wrapping_add(self.tl0));
            numbers.key_index = numbers.key_index.map(|index| index.wrapping_add(self.key) & 0x1f);
        }
        if newest {
            self.last = numbers;
        }
        self.shifted.then_some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_that_are_written_are_read_back_and_nothing_else_changes(
            bytes in proptest::collection::vec(any::<u8>(), 1..12),
            id in any::<u16>(),
            tl0 in any::<u8>(),
            key in 0_u8..32,
        ) {
            let Some(own) = Vp8::parse(&bytes) else { return Ok(()) };
            let numbers = Vp8 {
                picture_id: own.picture_id.map(|(_, long)| (id & if long { 0x7fff } else { 0x7f }, long)),
                tl0_index: own.tl0_index.map(|_| tl0),
                key_index: own.key_index.map(|_| key),
                ..own
            };
            let mut changed = bytes.clone();
            numbers.write(&mut changed);
            prop_assert_eq!(Vp8::parse(&changed), Some(numbers));
            own.write(&mut changed);
            prop_assert_eq!(changed, bytes);
        }
    }
}
