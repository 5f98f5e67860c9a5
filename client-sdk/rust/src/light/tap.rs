//! Learns the SRTP keys that a connection's DTLS handshake agrees on: str0m keeps them to itself, so its DTLS is wrapped.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider};
use str0m::{Rtc, RtcConfig};

thread_local! {
    /// Where the handshake that is made next on this thread leaves its keys. `build` is the one who sets it, and a
    /// connection makes its one handshake while it is built.
    static NEXT: RefCell<Option<Tap>> = const { RefCell::new(None) };
}

/// What a handshake agreed on (RFC 5764, section 4.2).
#[derive(Clone)]
pub(crate) struct Master {
    pub(super) profile: SrtpProfile,
    /// Client's key, server's key, client's salt, server's salt.
    pub(super) material: Vec<u8>,
    /// We are the client of the handshake.
    pub(super) active: bool,
}

/// Keys do not belong into logs.
impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master").field("profile", &self.profile).field("active", &self.active).finish_non_exhaustive()
    }
}

/// Where the keys of one connection appear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap(Arc<Mutex<Option<Master>>>);

impl Tap {
    /// The keys, once the handshake is done.
    pub(crate) fn master(&self) -> Option<Master> {
        self.0.lock().ok()?.clone()
    }
}

/// Builds a connection whose keys can be learned.
pub(crate) fn build(config: RtcConfig, now: Instant) -> (Rtc, Tap) {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| {
        let usual = str0m::crypto::from_feature_flags();
        Arc::new(CryptoProvider { dtls_provider: &Tapped, ..usual })
    });
    let tap = Tap::default();
    NEXT.set(Some(tap.clone()));
    let rtc = config.set_crypto_provider(provider.clone()).build(now);
    NEXT.set(None);
    (rtc, tap)
}

#[derive(Debug)]
struct Tapped;

impl DtlsProvider for Tapped {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = str0m::crypto::from_feature_flags().dtls_provider.new_dtls(cert, now, version, mtu)?;
        Ok(Box::new(Handshake { inner, tap: NEXT.take().unwrap_or_default() }))
    }
}

#[derive(Debug)]
struct Handshake {
    inner: Box<dyn DtlsInstance>,
    tap: Tap,
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let active = self.inner.is_active();
        let output = self.inner.poll_output(buf);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output
            && let Ok(mut slot) = self.tap.0.lock()
        {
            *slot = Some(Master { profile: *profile, material: material.to_vec(), active });
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}
