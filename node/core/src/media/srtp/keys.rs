//! From what a DTLS handshake exported to session keys (RFC 5764 4.2, RFC 3711 4.3).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Algorithm, LessSafeKey, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};

use super::{ControlOpener, ControlSealer, Opener, SALT_BYTES, Sealer};

/// The profiles that we seal ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// AEAD_AES_128_GCM.
    Aes128Gcm,
    /// AEAD_AES_256_GCM.
    Aes256Gcm,
}

impl Profile {
    /// Bytes of a key.
    pub fn key_bytes(self) -> usize {
        self.algorithm().key_len()
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128Gcm => &AES_128_GCM,
            Self::Aes256Gcm => &AES_256_GCM,
        }
    }
}

/// Labels of RFC 3711 4.3.1: key and salt of RTP, and of RTCP.
const RTP: [u8; 2] = [0, 2];
const RTCP: [u8; 2] = [3, 5];

/// What one handshake exported. It is used up by the writers and the reader that it makes.
pub(crate) struct Keying {
    profile: Profile,
    material: Vec<u8>,
    active: bool,
}

impl Keying {
    /// `material` is client key, server key, client salt, server salt; `active` when we are DTLS's client. None when it
    /// is too short.
    pub fn new(profile: Profile, material: &[u8], active: bool) -> Option<Self> {
        let length = 2 * (profile.key_bytes() + SALT_BYTES);
        let material = material.get(..length)?.to_vec();
        Some(Self { profile, material, active })
    }

    /// The only writer of RTP, the only writer of RTCP, and the readers of the client's RTP and RTCP; none when the cipher
    /// refuses a key, which it does for no key of the right length.
    pub fn split(self) -> Option<(Sealer, ControlSealer, Opener, ControlOpener)> {
        let sealer = Sealer::new(self.session(self.active, RTP)?);
        let control = ControlSealer::new(self.session(self.active, RTCP)?);
        let media = Opener::new(self.session(!self.active, RTP)?);
        let opener = ControlOpener::new(self.session(!self.active, RTCP)?);
        Some((sealer, control, media, opener))
    }

    fn session(&self, of_client: bool, [key_label, salt_label]: [u8; 2]) -> Option<SessionKey> {
        let length = self.profile.key_bytes();
        let at = if of_client { 0 } else { 1 };
        let master = &self.material[at * length..(at + 1) * length];
        let salts = &self.material[2 * length..];
        let salt = &salts[at * SALT_BYTES..(at + 1) * SALT_BYTES];
        let mut key = [0; 32];
        derive(master, salt, key_label, &mut key[..length])?;
        let mut session_salt = [0; SALT_BYTES];
        derive(master, salt, salt_label, &mut session_salt)?;
        SessionKey::new(self.profile, &key[..length], session_salt)
    }
}

/// A session key with its salt.
pub(super) struct SessionKey {
    pub key: LessSafeKey,
    salt: [u8; SALT_BYTES],
}

impl SessionKey {
    pub fn new(profile: Profile, key: &[u8], salt: [u8; SALT_BYTES]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(profile.algorithm(), key).ok()?);
        Some(Self { key, salt })
    }

    /// The nonce of a packet (RFC 7714 8.1, 9.1): two zero bytes, SSRC, six bytes of number, under the salt.
    pub fn nonce(&self, ssrc: u32, number: u64) -> [u8; SALT_BYTES] {
        let mut nonce = self.salt;
        let bytes = ssrc.to_be_bytes().into_iter().chain(number.to_be_bytes().into_iter().skip(2));
        nonce[2..].iter_mut().zip(bytes).for_each(|(salt, byte)| *salt ^= byte);
        nonce
    }
}

/// The key derivation function, with a rate of 0: AES in counter mode under the master key (RFC 3711 4.3.3).
fn derive(master: &[u8], salt: &[u8], label: u8, out: &mut [u8]) -> Option<()> {
    let algorithm = if master.len() == 16 { &AES_128 } else { &AES_256 };
    let mut block = [0; 16];
    block[..salt.len()].copy_from_slice(salt);
    block[7] ^= label;
    for (count, part) in (0_u16..).zip(out.chunks_mut(16)) {
        block[14..].copy_from_slice(&count.to_be_bytes());
        let mut stream = block;
        let key = EncryptingKey::ecb(UnboundCipherKey::new(algorithm, master).ok()?).ok()?;
        key.less_safe_encrypt(&mut stream, EncryptionContext::None).ok()?;
        part.copy_from_slice(&stream[..part.len()]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_derived_as_rfc_3711_says() {
        // B.3: AES-128, a salt of 14 bytes.
        let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let mut key = [0; 16];
        derive(&master, &salt, 0, &mut key).unwrap();
        assert_eq!(key[..], hex("C61E7A93744F39EE10734AFE3FF7A087"));
        let mut salted = [0; 14];
        derive(&master, &salt, 2, &mut salted).unwrap();
        assert_eq!(salted[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
    }

    #[test]
    fn a_handshake_that_exported_too_little_gives_no_keys() {
        assert!(Keying::new(Profile::Aes128Gcm, &[7; 55], true).is_none());
        assert!(Keying::new(Profile::Aes256Gcm, &[7; 87], true).is_none());
        assert!(Keying::new(Profile::Aes256Gcm, &[7; 88], true).is_some());
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }
}
