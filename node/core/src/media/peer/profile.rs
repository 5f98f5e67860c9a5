//! DTLS of this node's connections: which SRTP profile a handshake chose, and its keys. str0m does not tell; its DTLS is
//! pluggable, so this stands between it and the handshakes of dimpl, its own choice.
//!
//! Stock, each connection gets a certificate of its own and has all ciphers, curves and signatures of dimpl tried out on
//! known answers: 1.4 of the 3.3 ms of processor time that a join takes. Here both happen once for the whole process, and the
//! certificate's key is read once.

use std::cell::Cell;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use dimpl::crypto::CryptoProvider as DtlsCrypto;
use dimpl::{Config, Dtls};
use str0m::config::CryptoProvider;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, from_feature_flags};

use super::signing::OneKey;
use crate::media::srtp::{Keying, Profile};

/// What a handshake has agreed on.
pub(super) struct Chosen {
    /// The profile, as counters call it.
    pub name: &'static str,
    /// Its keys, when it is one that we seal ourselves.
    pub keying: Option<Keying>,
}

thread_local! {
    /// What the handshake that this thread polled last has agreed on. A connection is polled by one thread at a time,
    /// and takes this right after each call in which its handshake may have ended.
    static CHOSEN: Cell<Option<Chosen>> = const { Cell::new(None) };
}

/// The stock provider with this module's DTLS.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let stock = from_feature_flags();
        let handshakes = Handshakes::new(stock.dtls_provider.generate_certificate());
        Arc::new(CryptoProvider { dtls_provider: Box::leak(Box::new(handshakes)), ..stock })
    });
    Arc::clone(&PROVIDER)
}

/// What the handshake that the last call ended has agreed on.
pub(super) fn take() -> Option<Chosen> {
    CHOSEN.take()
}

/// As if a handshake had agreed on it.
#[cfg(test)]
pub(super) fn choose(chosen: Chosen) {
    CHOSEN.set(Some(chosen));
}

struct Handshakes {
    /// The one that all connections of the process show: a client compares its fingerprint with the description's
    /// (RFC 8122 5), and each handshake agrees on keys of its own besides.
    certificate: Option<DtlsCert>,
    /// dimpl's ciphers, curves and signatures, with that certificate's key.
    crypto: DtlsCrypto,
    /// What all of them may agree on, tried out, and the size of datagram that it is for.
    terms: OnceLock<(Option<usize>, Arc<Config>)>,
}

/// Keys do not belong into logs.
impl std::fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshakes").finish_non_exhaustive()
    }
}

impl Handshakes {
    /// For the whole process: what it begins is never freed.
    fn new(certificate: Option<DtlsCert>) -> Self {
        let mut crypto = dimpl::crypto::aws_lc_rs::default_provider();
        if let Some(certificate) = &certificate {
            let keys = OneKey::new(crypto.key_provider, certificate.private_key.clone());
            crypto.key_provider = Box::leak(Box::new(keys));
        }
        Self { certificate, crypto, terms: OnceLock::new() }
    }

    fn terms(&self, mtu: Option<usize>) -> Result<Arc<Config>, CryptoError> {
        if let Some((_, terms)) = self.terms.get().filter(|(usual, _)| *usual == mtu) {
            return Ok(Arc::clone(terms));
        }
        // A cookie would show that the client is where it says, which ICE has shown by then.
        let terms = Config::builder().use_server_cookie(false).with_crypto_provider(self.crypto.clone());
        let terms = mtu.into_iter().fold(terms, |terms, mtu| terms.mtu(mtu));
        let terms = Arc::new(terms.build().map_err(|error| CryptoError::Other(format!("DTLS: {error}")))?);
        let _ = self.terms.set((mtu, Arc::clone(&terms)));
        Ok(terms)
    }
}

impl DtlsProvider for Handshakes {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.certificate.clone()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let start = match version {
            DtlsVersion::Dtls12 => Dtls::new_12,
            DtlsVersion::Dtls13 => Dtls::new_13,
            DtlsVersion::Auto => Dtls::new_auto,
            other => return Err(CryptoError::Other(format!("DTLS: {other:?} is not known"))),
        };
        Ok(Box::new(Handshake(start(self.terms(mtu)?, certificate.clone(), now))))
    }
}

struct Handshake(Dtls);

/// Keys do not belong into logs.
impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let active = self.0.is_active();
        let output = self.0.poll_output(buffer);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            let keying = own(*profile).and_then(|own| Keying::new(own, material, active));
            CHOSEN.set(Some(Chosen { name: name(*profile), keying }));
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

fn name(profile: SrtpProfile) -> &'static str {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => "AES128_CM_SHA1_80",
        SrtpProfile::AEAD_AES_128_GCM => "AEAD_AES_128_GCM",
        SrtpProfile::AEAD_AES_256_GCM => "AEAD_AES_256_GCM",
        _ => "other",
    }
}

/// The profile by our own name, if we seal it ourselves.
fn own(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::Aes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::Aes256Gcm),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_show_one_certificate_and_share_what_was_tried_out() {
        let provider = provider();
        let handshakes = || provider.dtls_provider.generate_certificate().unwrap();
        assert_eq!(handshakes().certificate, handshakes().certificate);

        let own = Handshakes::new(Some(handshakes()));
        let [first, second] = [(); 2].map(|()| own.terms(Some(1200)).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        // Another size of datagram has terms of its own.
        let other = own.terms(Some(1100)).unwrap();
        assert_eq!((first.mtu(), other.mtu()), (1200, 1100));
        assert!(own.terms(Some(10)).unwrap_err().to_string().contains("DTLS"), "too small for any handshake");
    }
}
