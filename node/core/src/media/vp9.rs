//! The VP9 payload descriptor (RFC 9628, section 4.2): which layer a packet belongs to, for clients that send no
//! dependency descriptor. It stays clear under end-to-end encryption.

use super::track::LAYERS;

/// Width and height of each layer, where told.
pub(crate) type Sizes = [Option<(u16, u16)>; LAYERS];

/// What a descriptor says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vp9 {
    /// Predicted from an earlier picture (P).
    pub predicted: bool,
    /// First packet of a layer's frame (B).
    pub starts: bool,
    /// Last packet of a layer's frame (E).
    pub ends: bool,
    /// Temporal layer.
    pub temporal: u8,
    /// Higher temporal layers do not look back beyond this frame (U).
    pub leads_up: bool,
    /// Spatial layer.
    pub spatial: u8,
    /// How many spatial layers there are and how large each is, where a keyframe tells.
    pub structure: Option<(usize, Sizes)>,
}

impl Vp9 {
    /// Reads the descriptor at the head of a payload; none when it is cut short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter().copied();
        let flags = bytes.next()?;
        let flag = |bit: u8| flags & bit != 0;
        let (has_id, predicted, has_layers, flexible) = (flag(0x80), flag(0x40), flag(0x20), flag(0x10));
        let mut read = Self { predicted, starts: flag(0x08), ends: flag(0x04), ..Self::default() };
        if has_id && bytes.next()? & 0x80 != 0 {
            bytes.next()?;
        }
        if has_layers {
            let layers = bytes.next()?;
            (read.temporal, read.spatial) = (layers >> 5, layers >> 1 & 7);
            read.leads_up = layers & 0x10 != 0;
            if !flexible {
                bytes.next()?;
            }
        }
        if flexible && predicted {
            let mut more = true;
            while more {
                more = bytes.next()? & 1 != 0;
            }
        }
        if flag(0x02) {
            read.structure = Some(read_structure(bytes)?);
        }
        Some(read)
    }

    /// Whether the packet is the first of a keyframe: of its lowest spatial layer, which looks at no other.
    pub fn begins_keyframe(&self) -> bool {
        !self.predicted && self.starts && self.spatial == 0
    }
}

fn read_structure(mut bytes: impl Iterator<Item = u8>) -> Option<(usize, Sizes)> {
    let head = bytes.next()?;
    let count = usize::from(head >> 5) + 1;
    let mut sizes = [None; LAYERS];
    if head & 0x10 != 0 {
        for layer in 0..count {
            let mut side = || Some(u16::from_be_bytes([bytes.next()?, bytes.next()?]));
            let size = (side()?, side()?);
            if let Some(place) = sizes.get_mut(layer) {
                *place = Some(size);
            }
        }
    }
    Some((count, sizes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn layers_are_read_behind_every_form_of_the_picture_id() {
        for (head, rest) in [(0x28, vec![]), (0xa8, vec![0x41]), (0xa8, vec![0x92, 0x34])] {
            // TID 2, U, SID 1, D; TL0PICIDX.
            let payload = [vec![head], rest, vec![0x53, 9, 0xff]].concat();
            let read = Vp9::parse(&payload).unwrap();
            assert_eq!((read.temporal, read.spatial, read.leads_up), (2, 1, true), "{payload:x?}");
            assert_eq!((read.starts, read.ends, read.begins_keyframe()), (true, false, false));
        }
    }

    #[test]
    fn a_keyframe_tells_the_sizes_of_its_layers() {
        let sizes = [[1, 64, 0, 180], [2, 128, 1, 104]].concat();
        let payload = [vec![0xaa, 0x41, 0x00, 9, 0x38], sizes, vec![0]].concat();
        let read = Vp9::parse(&payload).unwrap();
        assert!(read.begins_keyframe());
        assert_eq!(read.structure, Some((2, [Some((320, 180)), Some((640, 360)), None])));
        assert_eq!(Vp9::parse(&payload[..9]), None, "cut short");
    }

    #[test]
    fn references_of_the_flexible_mode_are_passed_over() {
        let payload = [0xf6, 0x41, 0x02, 0x03, 0x05, 0x02, 0x00];
        let read = Vp9::parse(&payload).unwrap();
        assert_eq!((read.spatial, read.predicted, read.ends, read.structure), (1, true, true, Some((1, [None; 3]))));
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            Vp9::parse(&payload);
        }
    }
}
