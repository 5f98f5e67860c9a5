//! Opens a client's RTP packets, each once.

use aws_lc_rs::aead::{Aad, Nonce};

use super::TAG_BYTES;
use super::keys::SessionKey;

/// How far behind the newest a packet may come: what is asked for again is asked for within 100 numbers.
const WINDOW: u64 = 128;

/// The reader of a client's RTP.
pub(crate) struct Opener {
    key: SessionKey,
}

impl Opener {
    pub(super) fn new(key: SessionKey) -> Self {
        Self { key }
    }

    /// Opens a packet of stream `ssrc`, the first `header` bytes of which are readable, into `opened`; `number` is its own,
    /// extended by the rollover counter. False when it is forged.
    pub fn open(&self, packet: &[u8], header: usize, (ssrc, number): (u32, u64), opened: &mut Vec<u8>) -> bool {
        let Some(body) = packet.len().checked_sub(header + TAG_BYTES) else { return false };
        let (head, sealed) = packet.split_at(header);
        let (sealed, tag) = sealed.split_at(body);
        opened.resize(body, 0);
        let nonce = Nonce::assume_unique_for_key(self.key.nonce(ssrc, number));
        self.key.key.open_separate_gather(nonce, Aad::from(head), sealed, tag, opened).is_ok()
    }
}

/// Which packets of one SSRC came, by numbers that the rollover counter extends (RFC 3711 3.3.1, 3.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    newest: Option<u64>,
    /// Which of the [`WINDOW`] numbers up to the newest.
    came: u128,
}

impl Arrivals {
    /// The newest that came.
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// The number whose last 16 bits a packet tells: the one that is next to the newest.
    pub fn extend(&self, number: u16) -> u64 {
        let Some(newest) = self.newest else { return number.into() };
        let step = number.wrapping_sub(newest as u16) as i16;
        // Before the first turn there is none: then it is of this one.
        newest.checked_add_signed(step.into()).unwrap_or(number.into())
    }

    /// Whether it has not come before, for all that is remembered.
    pub fn is_new(&self, number: u64) -> bool {
        let Some(newest) = self.newest else { return true };
        number > newest || (newest - number < WINDOW && self.came & (1 << (newest - number)) == 0)
    }

    /// It came, and is the client's own.
    pub fn note(&mut self, number: u64) {
        let newest = *self.newest.get_or_insert(number);
        if number > newest {
            let passed = u32::try_from(number - newest).unwrap_or(u32::MAX);
            self.came = self.came.checked_shl(passed).unwrap_or(0);
            self.newest = Some(number);
        }
        let behind = newest.saturating_sub(number);
        if behind < WINDOW {
            self.came |= 1 << behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::{Profile, Sealer};
    use super::*;

    fn pair(profile: Profile) -> (Sealer, Opener) {
        let bytes: Vec<u8> = (0..profile.key_bytes() as u8).collect();
        let key = || SessionKey::new(profile, &bytes, *b"Quid pro quo").unwrap();
        (Sealer::new(key()), Opener::new(key()))
    }

    fn sealed(sealer: &mut Sealer, ssrc: u32, number: u64) -> Vec<u8> {
        let mut packet: Vec<u8> = (0..40).collect();
        packet.resize(40 + TAG_BYTES, 0);
        let number = sealer.numbers(ssrc).unwrap().take(number).unwrap();
        assert_eq!(sealer.seal(number, &mut packet, 12, 40), Some(40 + TAG_BYTES));
        packet
    }

    #[test]
    fn what_was_sealed_opens_under_its_own_stream_and_number_alone() {
        for profile in [Profile::Aes128Gcm, Profile::Aes256Gcm] {
            let (mut sealer, opener) = pair(profile);
            let packet = sealed(&mut sealer, 7, 70_000);
            let mut opened = vec![9; 3];
            assert!(opener.open(&packet, 12, (7, 70_000), &mut opened));
            assert_eq!(opened, (12..40).collect::<Vec<u8>>());
            assert!(!opener.open(&packet, 12, (7, 70_000 - 65_536), &mut opened), "another turn of the numbers");
            assert!(!opener.open(&packet, 12, (8, 70_000), &mut opened), "another stream");
            assert!(!opener.open(&packet, 16, (7, 70_000), &mut opened), "another header");
        }
    }

    #[test]
    fn numbers_go_on_over_their_end_and_back() {
        let mut came = Arrivals::default();
        assert_eq!(came.extend(65_530), 65_530);
        came.note(65_530);
        assert_eq!(came.extend(3), 65_539);
        came.note(65_539);
        assert_eq!(came.extend(65_534), 65_534, "late, of the turn before");
        let mut first = Arrivals::default();
        first.note(2);
        assert_eq!(first.extend(65_535), 65_535, "nothing is before the first turn");
    }

    #[test]
    fn what_came_or_is_forgotten_is_not_new() {
        let mut came = Arrivals::default();
        came.note(1_000);
        assert!(!came.is_new(1_000));
        assert!(came.is_new(999) && came.is_new(1_001));
        came.note(1_100);
        came.note(990);
        assert!(!came.is_new(1_000) && !came.is_new(990) && came.is_new(999));
        came.note(1_128);
        assert!(!came.is_new(1_000), "out of the window");
        assert!(came.is_new(1_001));
    }

    proptest! {
        #[test]
        fn nothing_is_new_twice(steps in proptest::collection::vec(-200_i64..200, 1..300)) {
            let (mut came, mut seen, mut at) = (Arrivals::default(), BTreeSet::new(), 60_000_u64);
            for step in steps {
                at = at.saturating_add_signed(step);
                prop_assert_eq!(came.extend(at as u16), at);
                if came.is_new(at) {
                    prop_assert!(seen.insert(at));
                    came.note(at);
                }
                prop_assert!(!came.is_new(at));
            }
        }

        #[test]
        fn what_is_not_the_clients_own_stays_closed(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            header in 0_usize..100,
            at in 0_usize..56,
            flip in 1_u8..,
        ) {
            let (mut sealer, opener) = pair(Profile::Aes128Gcm);
            prop_assert!(!opener.open(&bytes, header, (1, 2), &mut Vec::new()));
            let mut packet = sealed(&mut sealer, 1, 2);
            packet[at] ^= flip;
            prop_assert!(!opener.open(&packet, 12, (1, 2), &mut Vec::new()));
        }
    }
}
