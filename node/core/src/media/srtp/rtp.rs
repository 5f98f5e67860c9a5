//! Seals RTP packets where they lie.

use std::collections::BTreeSet;

use aws_lc_rs::aead::{Aad, Nonce};

use super::keys::SessionKey;
use super::{Number, Numbers, TAG_BYTES};

/// The one writer of RTP under a key.
pub(crate) struct Sealer {
    key: SessionKey,
    /// Streams whose numbers were given out.
    streams: BTreeSet<u32>,
}

/// Streams of one connection over its life. Each section that is used again has a fresh one, and its retransmissions.
const STREAMS_MAX: usize = 65_536;

impl Sealer {
    pub(super) fn new(key: SessionKey) -> Self {
        Self { key, streams: BTreeSet::new() }
    }

    /// The numbers of a stream; none when they were given out before.
    pub fn numbers(&mut self, ssrc: u32) -> Option<Numbers> {
        (self.streams.len() < STREAMS_MAX && self.streams.insert(ssrc)).then(|| Numbers::new(ssrc))
    }

    /// Seals `packet[..length]`, whose first `header` bytes stay readable, and puts the tag behind. Gives the whole
    /// length; none when there is no room for the tag.
    pub fn seal(&self, number: Number, packet: &mut [u8], header: usize, length: usize) -> Option<usize> {
        let (head, body) = packet.get_mut(..length + TAG_BYTES)?.split_at_mut_checked(header)?;
        let (body, tag) = body.split_at_mut_checked(length.checked_sub(header)?)?;
        let nonce = Nonce::assume_unique_for_key(self.key.nonce(number.ssrc(), number.value()));
        let sealed = self.key.key.seal_in_place_separate_tag(nonce, Aad::from(&*head), body).ok()?;
        tag.copy_from_slice(sealed.as_ref());
        Some(length + TAG_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Profile;
    use super::*;

    /// RFC 7714 16: the same packet under both profiles.
    const PACKET: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976697361\
                          20696e207061727465732074726573";
    const SALT: [u8; 12] = *b"\x51\x75\x69\x64\x20\x70\x72\x6f\x20\x71\x75\x6f";

    fn sealed(profile: Profile, key: &[u8]) -> Vec<u8> {
        let mut packet = hex(PACKET);
        let length = packet.len();
        packet.resize(length + TAG_BYTES, 0);
        let mut sealer = Sealer::new(SessionKey::new(profile, key, SALT).unwrap());
        let number = sealer.numbers(0x5501_a0b2).unwrap().take(0xf17b).unwrap();
        assert_eq!(sealer.seal(number, &mut packet, 12, length), Some(length + TAG_BYTES));
        packet
    }

    #[test]
    fn packets_are_sealed_as_rfc_7714_says() {
        let key = hex("000102030405060708090a0b0c0d0e0f");
        let expected =
            hex("8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce");
        assert_eq!(sealed(Profile::Aes128Gcm, &key), expected);
        let key: Vec<u8> = (0..32).collect();
        let expected =
            hex("8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
             7aa3db36dfffd6b0f9bb7878d7a76c13");
        assert_eq!(sealed(Profile::Aes256Gcm, &key), expected);
    }

    #[test]
    fn the_numbers_of_a_stream_are_given_out_once() {
        let mut sealer = Sealer::new(SessionKey::new(Profile::Aes128Gcm, &[1; 16], SALT).unwrap());
        assert!(sealer.numbers(1).is_some());
        assert!(sealer.numbers(1).is_none());
        assert!(sealer.numbers(2).is_some());
    }

    #[test]
    fn a_packet_without_room_for_its_tag_is_refused() {
        let mut sealer = Sealer::new(SessionKey::new(Profile::Aes128Gcm, &[1; 16], SALT).unwrap());
        let mut numbers = sealer.numbers(1).unwrap();
        assert_eq!(sealer.seal(numbers.next().unwrap(), &mut [0; 40], 12, 30), None);
        assert_eq!(sealer.seal(numbers.next().unwrap(), &mut [0; 60], 50, 30), None);
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }
}
