//! Seals and opens SRTCP (RFC 7714 9).

use aws_lc_rs::aead::{Aad, Nonce};

use super::TAG_BYTES;
use super::keys::SessionKey;

/// RTCP's first header, which stays readable.
const HEADER_BYTES: usize = 8;
/// The E bit: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// The one writer of RTCP under a key. It counts its packets by itself.
pub(crate) struct ControlSealer {
    key: SessionKey,
    index: u32,
}

impl ControlSealer {
    pub(super) fn new(key: SessionKey) -> Self {
        Self { key, index: 0 }
    }

    /// Seals a compound packet where it lies. False when it is none, or after 2^31 packets, when the key is used up.
    pub fn seal(&mut self, packet: &mut Vec<u8>) -> bool {
        if packet.len() < HEADER_BYTES || self.index + 1 >= ENCRYPTED {
            return false;
        }
        self.index += 1;
        let trailer = (self.index | ENCRYPTED).to_be_bytes();
        let ssrc = sender(packet);
        let nonce = Nonce::assume_unique_for_key(self.key.nonce(ssrc, self.index.into()));
        let aad = associated(packet, trailer);
        let (_, body) = packet.split_at_mut(HEADER_BYTES);
        let Ok(tag) = self.key.key.seal_in_place_separate_tag(nonce, Aad::from(&aad), body) else { return false };
        packet.extend_from_slice(tag.as_ref());
        packet.extend_from_slice(&trailer);
        true
    }

    /// Opens what str0m sealed under the same key, so that it can be sealed anew; none when it did not.
    pub fn open(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut opened = Vec::with_capacity(packet.len());
        open(&self.key, packet, &mut opened)?;
        Some(opened)
    }
}

/// Opens the client's RTCP, each packet once. Each of its SSRCs counts its packets by itself (RFC 3711 3.2.3: a context
/// belongs to an SSRC), and browsers say things under several.
pub(crate) struct ControlOpener {
    key: SessionKey,
    /// Those that were heard, the latest first.
    senders: Vec<Window>,
}

/// So many SSRCs of a client are known apart. A browser uses one for each of its streams, and a few to report under.
const SENDERS_MAX: usize = 256;

impl ControlOpener {
    pub(super) fn new(key: SessionKey) -> Self {
        Self { key, senders: Vec::new() }
    }

    /// Opens a packet in `space`, which is reused; none when it is forged, or came before.
    pub fn open<'a>(&mut self, packet: &[u8], space: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let index = open(&self.key, packet, space)?;
        self.window(sender(packet)).note(index).then_some(&space[..])
    }

    /// What came from an SSRC. Nobody but the client can make it known, once its packet is open.
    fn window(&mut self, ssrc: u32) -> &mut Window {
        let known = self.senders.iter().position(|window| window.ssrc == ssrc);
        let at = known.unwrap_or_else(|| {
            self.senders.truncate(SENDERS_MAX - 1);
            self.senders.push(Window { ssrc, ..Window::default() });
            self.senders.len() - 1
        });
        self.senders[..=at].rotate_right(1);
        &mut self.senders[0]
    }
}

/// Which packets of an SSRC have come.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    ssrc: u32,
    newest: u32,
    /// Which of the 64 numbers up to the newest.
    came: u64,
}

impl Window {
    /// False when it came before, or may have.
    fn note(&mut self, index: u32) -> bool {
        if index > self.newest || self.came == 0 {
            let passed = index.saturating_sub(self.newest);
            self.came = self.came.checked_shl(passed).unwrap_or(0) | 1;
            self.newest = index;
            return true;
        }
        let bit = 1_u64.checked_shl(self.newest - index).unwrap_or(0);
        let is_new = bit != 0 && self.came & bit == 0;
        self.came |= bit;
        is_new
    }
}

/// Opens a packet into `opened`. Gives its index.
fn open(key: &SessionKey, packet: &[u8], opened: &mut Vec<u8>) -> Option<u32> {
    let end = packet.len().checked_sub(4).filter(|end| *end >= HEADER_BYTES + TAG_BYTES)?;
    let trailer: [u8; 4] = packet[end..].try_into().ok()?;
    let word = u32::from_be_bytes(trailer);
    if word & ENCRYPTED == 0 {
        // Only authenticated; no client of ours sends it so.
        return None;
    }
    let index = word & !ENCRYPTED;
    let nonce = Nonce::assume_unique_for_key(key.nonce(sender(packet), index.into()));
    let aad = associated(packet, trailer);
    opened.clear();
    opened.extend_from_slice(&packet[..end]);
    let length = key.key.open_in_place(nonce, Aad::from(&aad), &mut opened[HEADER_BYTES..]).ok()?.len();
    opened.truncate(HEADER_BYTES + length);
    Some(index)
}

fn sender(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]])
}

fn associated(packet: &[u8], trailer: [u8; 4]) -> [u8; HEADER_BYTES + 4] {
    let mut aad = [0; HEADER_BYTES + 4];
    aad[..HEADER_BYTES].copy_from_slice(&packet[..HEADER_BYTES]);
    aad[HEADER_BYTES..].copy_from_slice(&trailer);
    aad
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::Profile;
    use super::*;

    const REPORT: [u8; 28] = [
        0x81, 0xc8, 0, 6, 0x4d, 0x61, 0x72, 0x73, 0x4e, 0x54, 0x50, 0x31, 0x4e, 0x54, 0x50, 0x32, 0x52, 0x54, 0x50,
        0x20, 0, 0, 4, 0x2a, 0, 0, 0xe9, 0x30,
    ];

    fn pair(profile: Profile) -> (ControlSealer, ControlOpener) {
        let bytes: Vec<u8> = (0..profile.key_bytes() as u8).collect();
        let key = || SessionKey::new(profile, &bytes, *b"Quid pro quo").unwrap();
        (ControlSealer::new(key()), ControlOpener::new(key()))
    }

    #[test]
    fn a_report_is_sealed_as_rfc_7714_says() {
        // 17.1, whose packet has the index 0x5d4 and says to be four bytes longer than it is.
        let (mut sealer, mut opener) = pair(Profile::Aes128Gcm);
        sealer.index = 0x5d3;
        let mut packet = REPORT.to_vec();
        packet[3] = 0x0d;
        packet.extend(b"Luna");
        packet.extend([0xde, 0xad, 0xbe, 0xef].repeat(5));
        let plain = packet.clone();
        assert!(sealer.seal(&mut packet));
        let expected = "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b\
                        c84aa45896cf4d2fc5abf87245d9eade800005d4";
        let told: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(told, expected);
        let mut space = Vec::new();
        assert_eq!(opener.open(&packet, &mut space), Some(&plain[..]));
        assert_eq!(opener.open(&packet, &mut space), None, "it came before");
    }

    #[test]
    fn no_two_packets_of_a_writer_have_the_same_index() {
        for profile in [Profile::Aes128Gcm, Profile::Aes256Gcm] {
            let (mut sealer, mut opener) = pair(profile);
            let mut seen = BTreeSet::new();
            for _ in 0..200 {
                let mut packet = REPORT.to_vec();
                assert!(sealer.seal(&mut packet));
                assert!(seen.insert(packet[packet.len() - 4..].to_vec()));
                assert!(opener.open(&packet, &mut Vec::new()).is_some());
            }
            sealer.index = ENCRYPTED - 1;
            assert!(!sealer.seal(&mut REPORT.to_vec()), "the key is used up");
        }
    }

    #[test]
    fn packets_may_overtake_each_other_and_are_forgotten_in_time() {
        let (mut sealer, mut opener) = pair(Profile::Aes256Gcm);
        let mut packets: Vec<Vec<u8>> = vec![REPORT.to_vec(); 100];
        assert!(packets.iter_mut().all(|packet| sealer.seal(packet)));
        let mut opens = |index: usize| opener.open(&packets[index], &mut Vec::new()).is_some();
        for index in [3, 1, 2, 80, 79] {
            assert!(opens(index), "{index}");
            assert!(!opens(index), "{index} again");
        }
        assert!(!opens(4), "too old");
        assert!(opens(40));
    }

    /// A report under an SSRC that counts its packets by itself.
    fn report(sealer: &mut ControlSealer, ssrc: u32, index: u32) -> Vec<u8> {
        let mut packet = REPORT.to_vec();
        packet[4..8].copy_from_slice(&ssrc.to_be_bytes());
        sealer.index = index - 1;
        assert!(sealer.seal(&mut packet));
        packet
    }

    #[test]
    fn each_ssrc_of_a_client_counts_its_packets_by_itself() {
        let (mut sealer, mut opener) = pair(Profile::Aes256Gcm);
        let mut opens = |ssrc, index| {
            let packet = report(&mut sealer, ssrc, index);
            [(); 2].map(|()| opener.open(&packet, &mut Vec::new()).is_some())
        };
        for index in 1..=200 {
            assert_eq!(opens(1, index), [true, false], "{index} of the one that says most");
            if index % 50 == 0 {
                assert_eq!(opens(7, index / 50), [true, false], "{} of one that says little", index / 50);
            }
        }
        for ssrc in 100..100 + 2 * SENDERS_MAX as u32 {
            assert_eq!(opens(ssrc, 1), [true, false], "{ssrc}");
            assert_eq!(opens(1, 200 + ssrc), [true, false], "one that is heard is not forgotten");
        }
        assert!(opener.senders.len() <= SENDERS_MAX);
    }

    proptest! {
        #[test]
        fn what_is_not_the_clients_own_is_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
            at in 0_usize..48,
            flip in 1_u8..,
        ) {
            let (mut sealer, mut opener) = pair(Profile::Aes128Gcm);
            prop_assert!(opener.open(&bytes, &mut Vec::new()).is_none());
            let mut packet = REPORT.to_vec();
            prop_assert!(sealer.seal(&mut packet));
            packet[at] ^= flip;
            prop_assert!(opener.open(&packet, &mut Vec::new()).is_none());
        }
    }
}
