//! The part of SRTP with AES-GCM (RFC 7714) that a light receiver needs: session keys, a peek at a payload's first
//! bytes, whole payloads when one is to be sure, and sealed feedback.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use str0m::crypto::dtls::SrtpProfile;

use super::header::Header;
use super::tap::Master;

/// What GCM adds to a packet.
pub(super) const TAG_BYTES: usize = 16;
const SALT_BYTES: usize = 12;
/// Header of an RTCP packet with the sender's SSRC, which SRTCP leaves in the clear.
const CONTROL_CLEAR_BYTES: usize = 8;
/// Flag "encrypted" and index at the end of SRTCP.
const CONTROL_INDEX_BYTES: usize = 4;
const ENCRYPTED: u32 = 1 << 31;

/// Labels of RFC 3711, section 4.3.1.
const LABEL_RTP_KEY: u8 = 0;
const LABEL_RTP_SALT: u8 = 2;
const LABEL_RTCP_KEY: u8 = 3;
const LABEL_RTCP_SALT: u8 = 5;

/// Opens what the server seals.
#[derive(Debug)]
pub(super) struct Inbound {
    /// The same key without GCM's authentication.
    counter: DecryptingKey,
    rtp: LessSafeKey,
    rtp_salt: [u8; SALT_BYTES],
    rtcp: LessSafeKey,
    rtcp_salt: [u8; SALT_BYTES],
}

/// Seals what goes to the server.
#[derive(Debug)]
pub(super) struct Outbound {
    rtcp: LessSafeKey,
    rtcp_salt: [u8; SALT_BYTES],
    index: u32,
}

/// The session keys of both directions; `None` for profiles other than AES-GCM.
pub(super) fn keys(master: &Master) -> Option<(Inbound, Outbound)> {
    let algorithm = match master.profile {
        SrtpProfile::AEAD_AES_128_GCM => &AES_128_GCM,
        SrtpProfile::AEAD_AES_256_GCM => &AES_256_GCM,
        _ => return None,
    };
    let len = algorithm.key_len();
    let (client_key, rest) = master.material.split_at_checked(len)?;
    let (server_key, rest) = rest.split_at_checked(len)?;
    let (client_salt, rest) = rest.split_at_checked(SALT_BYTES)?;
    let server_salt = rest.get(..SALT_BYTES)?;
    let (ours, theirs) = match master.active {
        true => ((client_key, client_salt), (server_key, server_salt)),
        false => ((server_key, server_salt), (client_key, client_salt)),
    };
    Some((inbound(algorithm, theirs)?, outbound(algorithm, ours)?))
}

fn inbound(algorithm: &'static Algorithm, (key, salt): (&[u8], &[u8])) -> Option<Inbound> {
    let rtp_key = derive(key, salt, LABEL_RTP_KEY, algorithm.key_len())?;
    let counter = DecryptingKey::ctr(cipher_key(&rtp_key)?).ok()?;
    Some(Inbound {
        counter,
        rtp: aead_key(algorithm, &rtp_key)?,
        rtp_salt: derive_salt(key, salt, LABEL_RTP_SALT)?,
        rtcp: aead_key(algorithm, &derive(key, salt, LABEL_RTCP_KEY, algorithm.key_len())?)?,
        rtcp_salt: derive_salt(key, salt, LABEL_RTCP_SALT)?,
    })
}

fn outbound(algorithm: &'static Algorithm, (key, salt): (&[u8], &[u8])) -> Option<Outbound> {
    let rtcp = aead_key(algorithm, &derive(key, salt, LABEL_RTCP_KEY, algorithm.key_len())?)?;
    Some(Outbound { rtcp, rtcp_salt: derive_salt(key, salt, LABEL_RTCP_SALT)?, index: 0 })
}

/// AES in counter mode over zeros (RFC 3711, section 4.3.3; RFC 7714, section 11: the salt is padded to 112 bits).
fn derive(key: &[u8], salt: &[u8], label: u8, len: usize) -> Option<Vec<u8>> {
    let mut iv = [0; 16];
    iv[..SALT_BYTES].copy_from_slice(salt);
    iv[7] ^= label;
    let mut stream = vec![0; len];
    let key = EncryptingKey::ctr(cipher_key(key)?).ok()?;
    key.less_safe_encrypt(&mut stream, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(stream)
}

fn derive_salt(key: &[u8], salt: &[u8], label: u8) -> Option<[u8; SALT_BYTES]> {
    derive(key, salt, label, SALT_BYTES)?.try_into().ok()
}

fn cipher_key(key: &[u8]) -> Option<UnboundCipherKey> {
    UnboundCipherKey::new(if key.len() == 16 { &AES_128 } else { &AES_256 }, key).ok()
}

fn aead_key(algorithm: &'static Algorithm, key: &[u8]) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?))
}

impl Inbound {
    /// Decrypts the beginning of a payload into `prefix` without authenticating it.
    pub(super) fn peek(&self, header: &Header, index: u64, datagram: &[u8], prefix: &mut [u8]) -> Option<()> {
        let sealed = datagram.get(header.payload_at..header.payload_at + prefix.len())?;
        prefix.copy_from_slice(sealed);
        // GCM's counter begins at 1 with the tag's mask; the text has 2 and up.
        let mut iv = [0; 16];
        iv[..SALT_BYTES].copy_from_slice(&rtp_iv(&self.rtp_salt, header.ssrc, index));
        iv[15] = 2;
        self.counter.decrypt(prefix, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
        Some(())
    }

    /// Authenticates and decrypts a whole payload.
    pub(super) fn open(&self, header: &Header, index: u64, datagram: &[u8]) -> Option<Vec<u8>> {
        let (clear, sealed) = datagram.split_at_checked(header.payload_at)?;
        let nonce = Nonce::assume_unique_for_key(rtp_iv(&self.rtp_salt, header.ssrc, index));
        let mut payload = sealed.to_vec();
        let len = self.rtp.open_in_place(nonce, Aad::from(clear), &mut payload).ok()?.len();
        payload.truncate(len);
        Some(payload)
    }

    /// Authenticates and decrypts a compound of control packets.
    pub(super) fn open_control(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let (clear, rest) = datagram.split_at_checked(CONTROL_CLEAR_BYTES)?;
        let (sealed, tail) = rest.split_at_checked(rest.len().checked_sub(CONTROL_INDEX_BYTES)?)?;
        let word = u32::from_be_bytes(tail.try_into().ok()?);
        if word & ENCRYPTED == 0 {
            return None;
        }
        let ssrc = u32::from_be_bytes(clear[4..8].try_into().ok()?);
        let nonce = Nonce::assume_unique_for_key(rtcp_iv(&self.rtcp_salt, ssrc, word & !ENCRYPTED));
        let mut plain = sealed.to_vec();
        let aad = [clear, tail].concat();
        let len = self.rtcp.open_in_place(nonce, Aad::from(&aad), &mut plain).ok()?.len();
        plain.truncate(len);
        plain.splice(..0, clear.iter().copied());
        Some(plain)
    }
}

impl Outbound {
    /// Seals a compound of control packets of that sender. The sender is not str0m's, so no nonce is used twice.
    pub(super) fn seal_control(&mut self, mut plain: Vec<u8>, ssrc: u32) -> Vec<u8> {
        self.index = (self.index + 1) & !ENCRYPTED;
        let word = (self.index | ENCRYPTED).to_be_bytes();
        let aad = [&plain[..CONTROL_CLEAR_BYTES], &word].concat();
        let nonce = Nonce::assume_unique_for_key(rtcp_iv(&self.rtcp_salt, ssrc, self.index));
        let sealed = self.rtcp.seal_in_place_separate_tag(nonce, Aad::from(&aad), &mut plain[CONTROL_CLEAR_BYTES..]);
        let tag = sealed.expect("a compound is far below GCM's limit");
        plain.extend_from_slice(tag.as_ref());
        plain.extend_from_slice(&word);
        plain
    }
}

fn rtp_iv(salt: &[u8; SALT_BYTES], ssrc: u32, index: u64) -> [u8; SALT_BYTES] {
    let mut iv = *salt;
    xor(&mut iv[2..6], &ssrc.to_be_bytes());
    xor(&mut iv[6..12], &index.to_be_bytes()[2..]);
    iv
}

fn rtcp_iv(salt: &[u8; SALT_BYTES], ssrc: u32, index: u32) -> [u8; SALT_BYTES] {
    let mut iv = *salt;
    xor(&mut iv[2..6], &ssrc.to_be_bytes());
    xor(&mut iv[8..12], &index.to_be_bytes());
    iv
}

fn xor(into: &mut [u8], with: &[u8]) {
    into.iter_mut().zip(with).for_each(|(into, with)| *into ^= with);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(active: bool) -> Master {
        let profile = SrtpProfile::AEAD_AES_256_GCM;
        Master { profile, material: (0..profile.keying_material_len() as u8).collect(), active }
    }

    fn sealed(inbound: &Inbound, payload: &[u8]) -> (Header, Vec<u8>) {
        let mut datagram = vec![0x80, 96, 0, 5, 0, 0, 0, 9, 0, 0, 0, 7];
        let header = Header::parse(&datagram).unwrap();
        let nonce = Nonce::assume_unique_for_key(rtp_iv(&inbound.rtp_salt, 7, (1 << 16) | 5));
        let mut body = payload.to_vec();
        inbound.rtp.seal_in_place_append_tag(nonce, Aad::from(&datagram), &mut body).unwrap();
        datagram.extend(body);
        (header, datagram)
    }

    #[test]
    fn the_first_bytes_of_a_payload_are_read_without_the_rest() {
        let (inbound, _) = keys(&master(true)).unwrap();
        let payload: Vec<u8> = (0..200).collect();
        let (header, mut datagram) = sealed(&inbound, &payload);
        let mut prefix = [0; 40];
        inbound.peek(&header, (1 << 16) | 5, &datagram, &mut prefix).unwrap();
        assert_eq!(prefix, payload[..40]);
        assert_eq!(inbound.open(&header, (1 << 16) | 5, &datagram), Some(payload));
        *datagram.last_mut().unwrap() ^= 1;
        assert_eq!(inbound.open(&header, (1 << 16) | 5, &datagram), None);
    }

    #[test]
    fn control_packets_that_one_side_seals_are_opened_by_the_other() {
        let ((_, mut client), (server, _)) = (keys(&master(true)).unwrap(), keys(&master(false)).unwrap());
        let plain: Vec<u8> = [&[0x80, 201, 0, 2, 0, 0, 0, 42][..], b"more"].concat();
        let first = client.seal_control(plain.clone(), 42);
        assert_eq!(server.open_control(&first), Some(plain.clone()));
        assert_ne!(client.seal_control(plain, 42), first);
        for len in 0..first.len() {
            assert_eq!(server.open_control(&first[..len]), None);
        }
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711() {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        // Appendix B.3 has a salt of 112 bits; GCM's has 96, so its last two bytes are left out here and the first
        // block is checked against AES of the shortened input.
        let salt = hex("0EC675AD498AFEEBB6960B3A");
        let derived = derive(&key, &salt, LABEL_RTP_KEY, 16).unwrap();
        assert_ne!(derived, derive(&key, &salt, LABEL_RTCP_KEY, 16).unwrap());
        let mut block = hex("0EC675AD498AFEEBB6960B3A00000000");
        let ecb = EncryptingKey::ecb(cipher_key(&key).unwrap()).unwrap();
        ecb.encrypt(&mut block).unwrap();
        assert_eq!(derived, block);
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }
}
