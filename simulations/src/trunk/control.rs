//! QUIC as nodes configure it for media, and with the controllers that it brings, for comparison.
//!
//! The settings are those of the driver's `transport.rs` and `congestion.rs`, which need sockets.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quinn_proto::congestion::{BbrConfig, Controller, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn_proto::{AckFrequencyConfig, ClientConfig, RttEstimator, ServerConfig, TransportConfig, crypto};
use serde::Serialize;

const MTU: u16 = 1350;
const SLACK: Duration = Duration::from_millis(30);
const WINDOW_MIN: u64 = 48_000;
const WINDOW_OPEN: u64 = u32::MAX as u64;
/// A window that never binds, for comparison.
const WINDOW_FIXED: u64 = 16_000_000;
/// What a connection of ours queues, and what QUIC does by default.
const SEND_BUFFER: usize = 256 << 10;
const SEND_BUFFER_DEFAULT: usize = 1 << 20;

/// Who decides what is sent when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// The link's estimator and scheduler above a window of twice its rate: what nodes run.
    Link,
    /// No link; everything is given to QUIC, whose window never binds.
    Fixed,
    /// No link; quinn's Cubic.
    Cubic,
    /// No link; quinn's NewReno.
    NewReno,
    /// No link; quinn's BBR.
    Bbr,
}

impl Control {
    /// As tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Fixed => "fixed",
            Self::Cubic => "cubic",
            Self::NewReno => "newreno",
            Self::Bbr => "bbr",
        }
    }

    /// Bytes that QUIC queues.
    pub fn send_buffer(self) -> usize {
        if self == Self::Link { SEND_BUFFER } else { SEND_BUFFER_DEFAULT }
    }
}

/// What a link tells its controller, and what the controller saw.
#[derive(Debug, Default)]
pub struct Allowed {
    bps: AtomicU64,
    open: AtomicBool,
    /// Marks of congestion that QUIC told of.
    pub marks: AtomicU64,
}

impl Allowed {
    /// See the driver's.
    pub fn set(&self, bps: u64, silent: bool) {
        self.bps.store(bps, Ordering::Relaxed);
        self.open.store(silent, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
struct Window {
    allowed: Arc<Allowed>,
    rtt: Duration,
    fixed: Option<u64>,
}

impl ControllerFactory for Window {
    fn build(self: Arc<Self>, _: Instant, _: u16) -> Box<dyn Controller> {
        Box::new((*self).clone())
    }
}

impl Controller for Window {
    fn on_ack(&mut self, _: Instant, _: Instant, _: u64, _: bool, rtt: &RttEstimator) {
        self.rtt = rtt.get();
    }

    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, lost_bytes: u64) {
        // Lost nothing and is congested: a mark. That it was one packet or many does not get through.
        self.allowed.marks.fetch_add(u64::from(lost_bytes == 0), Ordering::Relaxed);
    }

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        if self.allowed.open.load(Ordering::Relaxed) {
            return WINDOW_OPEN;
        }
        let bytes = 2.0 * self.allowed.bps.load(Ordering::Relaxed) as f64 / 8.0 * (self.rtt + SLACK).as_secs_f64();
        (bytes as u64 + WINDOW_MIN).min(WINDOW_OPEN)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn transport(control: Control, rtt: Duration, allowed: &Arc<Allowed>) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let window = |fixed| Arc::new(Window { allowed: Arc::clone(allowed), rtt, fixed });
    match control {
        Control::Link => config.congestion_controller_factory(window(None)),
        Control::Fixed => config.congestion_controller_factory(window(Some(WINDOW_FIXED))),
        Control::Cubic => config.congestion_controller_factory(Arc::new(CubicConfig::default())),
        Control::NewReno => config.congestion_controller_factory(Arc::new(NewRenoConfig::default())),
        Control::Bbr => config.congestion_controller_factory(Arc::new(BbrConfig::default())),
    };
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(10_u32.into()).max_ack_delay(Some(Duration::from_millis(5)));
    config
        .initial_mtu(MTU)
        .min_mtu(MTU)
        .mtu_discovery_config(None)
        .initial_rtt(rtt.mul_f64(1.25))
        .packet_threshold(64)
        .time_threshold(1.25)
        .ack_frequency_config(Some(acks))
        .datagram_send_buffer_size(control.send_buffer())
        .datagram_receive_buffer_size(Some(8 << 20))
        .send_window(8 << 20)
        .max_idle_timeout(Some(Duration::from_secs(30).try_into().expect("30 s fit")));
    Arc::new(config)
}

/// Both ends' settings of one connection.
pub fn ends(
    control: Control,
    rtt: Duration,
    allowed: &[Arc<Allowed>; 2],
) -> anyhow::Result<(ClientConfig, Arc<ServerConfig>)> {
    let certified = rcgen::generate_simple_self_signed(vec![String::from("node")])?;
    let der = certified.cert.der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls13 = &[&rustls::version::TLS13];
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(tls13)?
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key.into())?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der)?;
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(tls13)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = ServerConfig::with_crypto(Arc::new(crypto::rustls::QuicServerConfig::try_from(server)?));
    server.transport_config(transport(control, rtt, &allowed[1]));
    let mut client = ClientConfig::new(Arc::new(crypto::rustls::QuicClientConfig::try_from(client)?));
    client.transport_config(transport(control, rtt, &allowed[0]));
    Ok((client, Arc::new(server)))
}
