//! A packet that is kept for others, as small as it goes: there are more of them in memory than of anything else, and
//! nearly all are let go of unread.

use std::sync::Arc;
use std::time::Instant;

use crate::link::{Class, Extensions, Packet};

const CLASS: u8 = 0x03;
const MARKER: u8 = 0x04;
const KEY: u8 = 0x08;
const REDUNDANT: u8 = 0x10;
const LEVEL: u8 = 0x20;
const ORIENTATION: u8 = 0x40;
/// In the byte of a level.
const VOICE: u8 = 0x80;

/// See the module: 64 bytes, a line of the processor's cache, of which a packet itself takes 104.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Kept {
    payload: Arc<[u8]>,
    dependency: Option<Arc<[u8]>>,
    rare: Option<Box<Rare>>,
    sequence: u64,
    /// When it came, ns by the keeper's clock, wrapping after four seconds.
    came: u32,
    timestamp: u32,
    skipped: u16,
    flags: u8,
    level: u8,
    orientation: u8,
}

const _: () = assert!(size_of::<Kept>() <= 64);

/// What few packets have.
#[derive(Debug)]
struct Rare {
    capture_time: Option<u64>,
    playout_delay: Option<(u16, u16)>,
}

impl Kept {
    /// A packet that came at `came`.
    pub(super) fn new(came: u64, class: Class, packet: &Packet) -> Self {
        let Extensions { audio_level, orientation, dependency, capture_time, playout_delay } = &packet.extensions;
        let (capture_time, playout_delay) = (*capture_time, *playout_delay);
        let is_rare = capture_time.is_some() || playout_delay.is_some();
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        Self {
            payload: packet.payload.clone(),
            dependency: dependency.clone(),
            rare: is_rare.then(|| Box::new(Rare { capture_time, playout_delay })),
            sequence: packet.sequence,
            came: came as u32,
            timestamp: packet.timestamp,
            skipped: packet.skipped,
            flags: class as u8
                | flag(packet.marker, MARKER)
                | flag(packet.key, KEY)
                | flag(packet.redundant, REDUNDANT)
                | flag(audio_level.is_some(), LEVEL)
                | flag(orientation.is_some(), ORIENTATION),
            level: audio_level.map_or(0, |(level, voice)| (level & !VOICE) | flag(voice, VOICE)),
            orientation: orientation.unwrap_or_default(),
        }
    }

    /// How long ago it came, ns, less than four seconds.
    pub(super) fn age(&self, now: u64) -> u64 {
        (now as u32).wrapping_sub(self.came).into()
    }

    /// The packet again.
    pub(super) fn restore(&self, arrived: Instant) -> (Class, Packet) {
        let has = |flag: u8| self.flags & flag != 0;
        let class = match self.flags & CLASS {
            0 => Class::Link,
            1 => Class::Audio,
            2 => Class::Base,
            _ => Class::Enhancement,
        };
        let extensions = Extensions {
            audio_level: has(LEVEL).then_some((self.level & !VOICE, self.level & VOICE != 0)),
            orientation: has(ORIENTATION).then_some(self.orientation),
            dependency: self.dependency.clone(),
            capture_time: self.rare.as_ref().and_then(|rare| rare.capture_time),
            playout_delay: self.rare.as_ref().and_then(|rare| rare.playout_delay),
        };
        let packet = Packet {
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: has(MARKER),
            key: has(KEY),
            redundant: has(REDUNDANT),
            skipped: self.skipped,
            extensions,
            payload: self.payload.clone(),
            arrived,
        };
        (class, packet)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_packet_is_restored_as_it_was(
            class in prop::sample::select(vec![Class::Audio, Class::Base, Class::Enhancement]),
            (sequence, timestamp, marker, key, redundant, skipped) in any::<(u64, u32, bool, bool, bool, u16)>(),
            audio_level in prop::option::of((0..128_u8, any::<bool>())),
            (orientation, capture_time, playout_delay) in any::<(Option<u8>, Option<u64>, Option<(u16, u16)>)>(),
            dependency in prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
            came in any::<u64>(),
            age in 0..4_000_000_000_u64,
        ) {
            let dependency = dependency.map(Into::into);
            let extensions = Extensions { audio_level, orientation, dependency, capture_time, playout_delay };
            let (payload, arrived) = ([1, 2, 3].into(), Instant::now());
            let packet =
                Packet { sequence, timestamp, marker, key, redundant, skipped, extensions, payload, arrived };
            let kept = Kept::new(came, class, &packet);
            prop_assert_eq!(kept.restore(arrived), (class, packet));
            prop_assert_eq!(kept.age(came.saturating_add(age)), age.min(u64::MAX - came));
        }
    }
}
