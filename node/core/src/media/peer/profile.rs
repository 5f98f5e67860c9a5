//! Which SRTP profile a handshake chose, and its keys. str0m does not tell; its DTLS is pluggable, so the stock one is
//! wrapped.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use str0m::config::CryptoProvider;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, from_feature_flags};

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

/// The stock provider with the wrapped DTLS.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let stock = from_feature_flags();
        let dtls_provider: &'static Listening = Box::leak(Box::new(Listening(stock.dtls_provider)));
        Arc::new(CryptoProvider { dtls_provider, ..stock })
    });
    Arc::clone(&PROVIDER)
}

/// What the handshake that the last call ended has agreed on.
pub(super) fn take() -> Option<Chosen> {
    CHOSEN.take()
}

#[derive(Debug)]
struct Listening(&'static dyn DtlsProvider);

impl DtlsProvider for Listening {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.0.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Ok(Box::new(Handshake(self.0.new_dtls(certificate, now, version, mtu)?)))
    }
}

#[derive(Debug)]
struct Handshake(Box<dyn DtlsInstance>);

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
