//! The key that all connections of the process sign with. It is read and checked once, not for each handshake.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dimpl::CryptoError;
use dimpl::crypto::{Buf, HashAlgorithm, KeyProvider, SignatureAlgorithm, SigningKey};

/// Reads keys as `stock` does, and one of them once.
pub(super) struct OneKey {
    stock: &'static dyn KeyProvider,
    /// How it is written (PKCS#8).
    written: Vec<u8>,
    read: OnceLock<Shared>,
}

impl OneKey {
    pub fn new(stock: &'static dyn KeyProvider, written: Vec<u8>) -> Self {
        Self { stock, written, read: OnceLock::new() }
    }
}

/// Keys do not belong into logs.
impl fmt::Debug for OneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneKey").finish_non_exhaustive()
    }
}

impl KeyProvider for OneKey {
    fn load_private_key(&self, written: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        if written != self.written {
            return self.stock.load_private_key(written);
        }
        if let Some(shared) = self.read.get() {
            return Ok(Box::new(shared.clone()));
        }
        let shared = Shared::new(self.stock.load_private_key(written)?);
        Ok(Box::new(self.read.get_or_init(|| shared).clone()))
    }
}

/// A key for several handshakes. Signing needs it alone, for some 30 µs.
#[derive(Clone)]
struct Shared {
    key: Arc<Mutex<Box<dyn SigningKey>>>,
    algorithm: SignatureAlgorithm,
    hash: HashAlgorithm,
    hashes: Arc<[HashAlgorithm]>,
}

impl Shared {
    fn new(key: Box<dyn SigningKey>) -> Self {
        let (algorithm, hash, hashes) = (key.algorithm(), key.hash_algorithm(), key.supported_hash_algorithms().into());
        Self { key: Arc::new(Mutex::new(key)), algorithm, hash, hashes }
    }
}

/// Keys do not belong into logs.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl SigningKey for Shared {
    fn sign(&mut self, data: &[u8], hash: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).sign(data, hash, out)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &self.hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_read_once_and_others_as_ever() {
        let stock = dimpl::crypto::aws_lc_rs::default_provider().key_provider;
        let [ours, other] =
            [(); 2].map(|()| dimpl::certificate::generate_self_signed_certificate().unwrap().private_key);
        let keys = OneKey::new(stock, ours.clone());
        let mut signatures = Vec::new();
        for _ in 0..2 {
            let mut key = keys.load_private_key(&ours).unwrap();
            let mut signature = Buf::new();
            key.sign(b"what is signed", key.hash_algorithm(), &mut signature).unwrap();
            assert_eq!(key.supported_hash_algorithms(), [key.hash_algorithm()]);
            signatures.push(signature.to_vec());
        }
        let read = &keys.read.get().unwrap().key;
        assert_eq!(Arc::strong_count(read), 1, "handshakes that are over let go of it");
        assert!(keys.load_private_key(&other).is_ok());
        assert_eq!(Arc::strong_count(read), 1, "another key is not taken for it");
        assert_ne!(signatures[0], signatures[1], "each signature has a random number of its own");
        assert!(keys.load_private_key(b"no key").is_err());
        let logged = format!("{keys:?} {:?}", keys.load_private_key(&ours).unwrap());
        assert_eq!(logged, "OneKey { .. } Shared { .. }");
    }
}
