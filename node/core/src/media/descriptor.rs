//! The dependency descriptor (AV1 RTP specification, appendix A): which layer a frame belongs to, and who may begin
//! with it. It tells so for any codec and stays clear under end-to-end encryption.
//!
//! Descriptors refer to templates of a structure that came with a keyframe; whoever reads a stream keeps the newest.

use std::sync::Arc;

/// Bits of the fields that every descriptor has.
const MANDATORY_BITS: usize = 24;
/// Where the flags of the extended fields end.
const EXTENDED_BITS: usize = MANDATORY_BITS + 5;
/// Template ids have six bits.
const TEMPLATES_MAX: usize = 64;
/// The flag for active decode targets, counted from the descriptor's first bit.
const ACTIVE_FLAG: usize = MANDATORY_BITS + 1;

/// A descriptor, as far as the choice of layers needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// The packet is the first of its frame.
    pub starts: bool,
    /// The packet is the last of its frame.
    pub ends: bool,
    /// Layer of the frame.
    pub spatial: u8,
    /// Temporal layer of the frame.
    pub temporal: u8,
    /// What the frame is to each decode target, two bits each, the first target lowest.
    indications: u64,
    /// The structure that it goes by.
    pub structure: Arc<Structure>,
    /// The packet brings the structure; only a keyframe does.
    pub brings_structure: bool,
    active: Active,
}

/// Where the decode targets that are active stand, or would stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Active {
    at: usize,
    mask: Option<u32>,
}

/// The templates of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Structure {
    offset: u8,
    templates: Vec<Template>,
    /// Spatial and temporal layer that each decode target reaches.
    targets: Vec<(u8, u8)>,
    /// Width and height of each spatial layer, where told.
    pub sizes: Vec<(u16, u16)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Template {
    spatial: u8,
    temporal: u8,
    indications: u64,
}

/// What a frame is to a decode target.
const NOT_PRESENT: u64 = 0;
const SWITCH: u64 = 2;

impl Descriptor {
    /// Reads a descriptor by the structure that is known of its stream, or the one that it brings. None when it is cut
    /// short, or refers to what is not known.
    pub fn parse(bytes: &[u8], known: Option<&Arc<Structure>>) -> Option<Self> {
        let mut bits = Bits { bytes, at: 0 };
        let (starts, ends) = (bits.flag()?, bits.flag()?);
        let template = bits.take(6)? as u8;
        bits.take(16)?;
        let mut flags = [false; 5];
        if bytes.len() * 8 > MANDATORY_BITS {
            for flag in &mut flags {
                *flag = bits.flag()?;
            }
        }
        let [brings_structure, has_active, own_indications, ..] = flags;
        let structure = if brings_structure { Arc::new(Structure::read(&mut bits)?) } else { Arc::clone(known?) };
        let at = bits.at;
        let targets = structure.targets.len();
        let mask = if has_active { Some(bits.take(targets)? as u32) } else { None };
        let mut template = structure.template(template)?;
        if own_indications {
            template.indications = read_indications(&mut bits, targets)?;
        }
        let Template { spatial, temporal, indications } = template;
        let active = Active { at, mask };
        Some(Self { starts, ends, spatial, temporal, indications, structure, brings_structure, active })
    }

    /// For each spatial layer, up to the `N`th: how many temporal layers of it one may take from this frame on, if one
    /// has all that this frame refers to. None for a layer into which this frame is no way.
    pub fn switches<const N: usize>(&self) -> [u8; N] {
        let mut switches = [0; N];
        for (target, &(spatial, temporal)) in self.structure.targets.iter().enumerate() {
            if self.indications >> (2 * target) & 3 == SWITCH
                && let Some(highest) = switches.get_mut(usize::from(spatial))
            {
                *highest = temporal.saturating_add(1).max(*highest);
            }
        }
        switches
    }

    /// The same descriptor for a stream that is cut down to these layers: targets above them are no longer active.
    /// None when it can go as it is: it says so already, or says nothing and need not (`force` when it must).
    pub fn cut(&self, bytes: &[u8], spatial: u8, temporal: u8, force: bool) -> Option<Arc<[u8]>> {
        let said = self.brings_structure || self.active.mask.is_some();
        if !said && !force {
            return None;
        }
        let targets = &self.structure.targets;
        let before = self.active.mask.map_or((1_u64 << targets.len()) - 1, u64::from);
        let kept = targets.iter().enumerate().filter(|(_, (s, t))| *s <= spatial && *t <= temporal);
        let mask = before & kept.fold(0_u64, |mask, (index, _)| mask | 1 << index);
        let says_it = mask == before && (self.active.mask.is_some() || self.brings_structure || !force);
        if mask == 0 || says_it {
            return None;
        }
        Some(self.with_active(bytes, mask, targets.len()))
    }

    fn with_active(&self, bytes: &[u8], mask: u64, targets: usize) -> Arc<[u8]> {
        let mut source = Bits { bytes, at: 0 };
        let mut sink = Writer::default();
        let extended = bytes.len() * 8 > MANDATORY_BITS;
        for at in 0..self.active.at.max(EXTENDED_BITS) {
            // A descriptor without extended fields has none of their flags set.
            let bit = if at < MANDATORY_BITS || extended { source.take(1).unwrap_or(0) } else { 0 };
            sink.put(if at == ACTIVE_FLAG { 1 } else { bit });
        }
        (0..targets).rev().for_each(|target| sink.put(mask >> target & 1));
        if extended {
            source.at = self.active.at + self.active.mask.map_or(0, |_| targets);
            while let Some(bit) = source.take(1) {
                sink.put(bit);
            }
        }
        sink.bytes.into()
    }
}

impl Structure {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let offset = bits.take(6)? as u8;
        let targets = bits.take(5)? as usize + 1;
        let mut structure = Self { offset, ..Self::default() };
        let (mut spatial, mut temporal) = (0_u8, 0_u8);
        loop {
            structure.templates.push(Template { spatial, temporal, indications: 0 });
            match bits.take(2)? {
                0 => {}
                1 => temporal += 1,
                2 => (spatial, temporal) = (spatial + 1, 0),
                _ => break,
            }
            if structure.templates.len() == TEMPLATES_MAX {
                return None;
            }
        }
        for template in &mut structure.templates {
            template.indications = read_indications(bits, targets)?;
        }
        structure.skip_differences(bits)?;
        structure.skip_chains(bits, targets)?;
        structure.targets = (0..targets).map(|target| structure.reach(target)).collect();
        if bits.flag()? {
            for _ in 0..=spatial {
                let side = |bits: &mut Bits<'_>| Some((bits.take(16)? as u16).saturating_add(1));
                structure.sizes.push((side(bits)?, side(bits)?));
            }
        }
        Some(structure)
    }

    fn skip_differences(&self, bits: &mut Bits<'_>) -> Option<()> {
        for _ in &self.templates {
            while bits.flag()? {
                bits.take(4)?;
            }
        }
        Some(())
    }

    fn skip_chains(&self, bits: &mut Bits<'_>, targets: usize) -> Option<()> {
        let chains = bits.below(targets as u64 + 1)?;
        if chains > 0 {
            for _ in 0..targets {
                bits.below(chains)?;
            }
            for _ in 0..self.templates.len() as u64 * chains {
                bits.take(4)?;
            }
        }
        Some(())
    }

    /// The highest layers among the frames that a decode target takes.
    fn reach(&self, target: usize) -> (u8, u8) {
        let taken = self.templates.iter().filter(|template| template.indications >> (2 * target) & 3 != NOT_PRESENT);
        taken.fold((0, 0), |(s, t), template| (template.spatial.max(s), template.temporal.max(t)))
    }

    fn template(&self, id: u8) -> Option<Template> {
        let index = (id + TEMPLATES_MAX as u8 - self.offset) % TEMPLATES_MAX as u8;
        self.templates.get(usize::from(index)).copied()
    }

    /// How many spatial layers there are.
    pub fn spatial_layers(&self) -> usize {
        self.templates.last().map_or(0, |last| usize::from(last.spatial) + 1)
    }
}

fn read_indications(bits: &mut Bits<'_>, targets: usize) -> Option<u64> {
    (0..targets).try_fold(0, |all, target| Some(all | bits.take(2)? << (2 * target)))
}

/// Reads bits, the highest of each byte first.
#[derive(Clone, Copy)]
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u64> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    /// A number below `bound`, in as few bits as it needs (`ns(n)` of the specification).
    fn below(&mut self, bound: u64) -> Option<u64> {
        let width = (u64::BITS - bound.leading_zeros()) as usize;
        let short = (1 << width) - bound;
        let value = self.take(width - 1)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.take(1)?)
    }
}

/// Writes bits, the highest of each byte first.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    bits: usize,
}

impl Writer {
    fn put(&mut self, bit: u64) {
        if self.bits.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= (bit as u8 & 1) << (7 - self.bits % 8);
        }
        self.bits += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Builds a descriptor's bits.
    #[derive(Default)]
    struct Build(Writer);

    impl Build {
        fn bits(mut self, value: u64, count: usize) -> Self {
            (0..count).rev().for_each(|bit| self.0.put(value >> bit & 1));
            self
        }

        fn bytes(self) -> Vec<u8> {
            self.0.bytes
        }

        /// The mandatory fields.
        fn frame(starts: bool, ends: bool, template: u8, number: u16) -> Self {
            let flags = u64::from(starts) << 1 | u64::from(ends);
            Self::default().bits(flags, 2).bits(template.into(), 6).bits(number.into(), 16)
        }
    }

    /// A structure of two spatial layers with two temporal layers each, every layer predicted from the one below
    /// (L2T2), under template ids from 5. Templates: S0 key, S0 T0, S0 T1, S1 key, S1 T0, S1 T1.
    fn l2t2(build: Build) -> Build {
        let mut build = build.bits(5, 6).bits(3, 5);
        for next in [0, 1, 2, 0, 1, 3] {
            build = build.bits(next, 2);
        }
        // Decode targets: S0 T0, S0 T1, S1 T0, S1 T1.
        for indications in [[2, 2, 2, 2], [2, 2, 3, 3], [0, 1, 0, 3], [0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 0, 1]] {
            for indication in indications {
                build = build.bits(indication, 2);
            }
        }
        for difference in [None, Some(3), Some(1), Some(0), Some(3), Some(1)] {
            build = match difference {
                None => build.bits(0, 1),
                Some(minus_one) => build.bits(1, 1).bits(minus_one, 4).bits(0, 1),
            };
        }
        // Two chains, ns(5) in two bits and a half; targets of a spatial layer share one.
        build = build.bits(2, 2);
        for chain in [0, 0, 1, 1] {
            build = build.bits(chain, 1);
        }
        build = build.bits(0x1234_5678_9abc, 48).bits(1, 1);
        for side in [319, 179, 639, 359] {
            build = build.bits(side, 16);
        }
        build
    }

    /// The first packet of a keyframe with [`l2t2`].
    fn key(number: u16) -> Vec<u8> {
        l2t2(Build::frame(true, false, 5, number).bits(0b10000, 5)).bytes()
    }

    fn structure() -> Arc<Structure> {
        Descriptor::parse(&key(1), None).unwrap().structure
    }

    #[test]
    fn a_structure_tells_layers_sizes_and_where_one_may_switch() {
        let first = Descriptor::parse(&key(1), None).unwrap();
        let structure = Arc::clone(&first.structure);
        assert_eq!((structure.spatial_layers(), &structure.sizes[..]), (2, &[(320, 180), (640, 360)][..]));
        assert_eq!(structure.targets, [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!((first.spatial, first.temporal, first.starts, first.ends), (0, 0, true, false));
        assert_eq!(first.switches(), [2, 2, 0], "a keyframe leads everywhere");

        for (template, layers, switches) in
            [(6, (0, 0), [2, 0, 0]), (7, (0, 1), [0, 0, 0]), (9, (1, 0), [0, 2, 0]), (10, (1, 1), [0, 0, 0])]
        {
            let bytes = Build::frame(false, true, template, 9).bytes();
            let frame = Descriptor::parse(&bytes, Some(&structure)).unwrap();
            assert_eq!((frame.spatial, frame.temporal), layers, "template {template}");
            assert_eq!(frame.switches(), switches, "template {template}");
        }
    }

    #[test]
    fn a_descriptor_without_its_structure_says_nothing() {
        let bytes = Build::frame(true, true, 6, 9).bytes();
        assert_eq!(Descriptor::parse(&bytes, None), None);
        let unknown = Build::frame(true, true, 11, 9).bytes();
        assert_eq!(Descriptor::parse(&unknown, Some(&structure())), None, "no such template");
        assert_eq!(Descriptor::parse(&bytes[..2], Some(&structure())), None);
    }

    #[test]
    fn own_indications_stand_before_those_of_the_template() {
        let build = Build::frame(true, true, 6, 9).bits(0b01100, 5).bits(0b0011, 4);
        let bytes = build.bits(0b00_00_10_10, 8).bytes();
        let frame = Descriptor::parse(&bytes, Some(&structure())).unwrap();
        assert_eq!(frame.switches(), [0, 2, 0]);
        assert_eq!(frame.active.mask, Some(0b0011));
    }

    #[test]
    fn a_cut_stream_says_which_targets_are_left() {
        let bytes = key(7);
        let first = Descriptor::parse(&bytes, None).unwrap();
        assert_eq!(first.cut(&bytes, 1, 7, false), None, "nothing is cut");
        let cut = first.cut(&bytes, 0, 7, false).unwrap();
        let read = Descriptor::parse(&cut, None).unwrap();
        assert_eq!(read.active.mask, Some(0b0011), "S0 T0 and S0 T1");
        assert_eq!((&read.structure, read.switches()), (&first.structure, [2, 2, 0]));
        assert_eq!(read.cut(&cut, 0, 7, false), None, "it says so already");
        let lower = read.cut(&cut, 0, 0, false).unwrap();
        assert_eq!(Descriptor::parse(&lower, None).unwrap().active.mask, Some(0b0001));
    }

    #[test]
    fn a_short_descriptor_grows_only_when_it_must_say_what_is_left() {
        let structure = structure();
        let bytes = Build::frame(true, true, 9, 77).bytes();
        let frame = Descriptor::parse(&bytes, Some(&structure)).unwrap();
        assert_eq!(frame.cut(&bytes, 0, 7, false), None);
        let grown = frame.cut(&bytes, 0, 7, true).unwrap();
        let read = Descriptor::parse(&grown, Some(&structure)).unwrap();
        assert_eq!((read.active.mask, read.spatial, grown.len()), (Some(0b0011), 1, 5));
        assert_eq!(grown[..3], bytes[..]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            first in proptest::collection::vec(any::<u8>(), 0..64),
            second in proptest::collection::vec(any::<u8>(), 0..64),
            spatial in 0..4_u8,
            temporal in 0..4_u8,
        ) {
            let known = structure();
            for bytes in [&first, &second] {
                let Some(read) = Descriptor::parse(bytes, Some(&known)) else { continue };
                let _: [u8; 3] = read.switches();
                if let Some(cut) = read.cut(bytes, spatial, temporal, true) {
                    prop_assert!(Descriptor::parse(&cut, Some(&read.structure)).is_some());
                }
                Descriptor::parse(&second, Some(&read.structure));
            }
        }

        #[test]
        fn a_structure_of_any_bytes_can_be_read_by(bytes in proptest::collection::vec(any::<u8>(), 8..200), id in 0..64_u8) {
            let mut bytes = bytes;
            bytes[3] |= 0x80;
            let read = Descriptor::parse(&bytes, None);
            if let Some(read) = read {
                let frame = Build::frame(true, true, id, 1).bytes();
                Descriptor::parse(&frame, Some(&read.structure)).map(|frame| frame.switches::<3>());
            }
        }
    }
}
