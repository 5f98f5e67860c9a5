//! The QUIC endpoint: takes connections in, dials others, and says who is at the other end.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use origo_auth::NodeId;
use quinn::{ConnectionError, Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::StartError;
use crate::kind::{Close, Kind};
use crate::links::table::TableHandle;
use crate::news::{Connected, ConnectionNumber, News, NewsSender};
use crate::stats::{Drops, Shared};
use crate::tls::{SERVER_NAME, Tls, kind_of, peer_of};
use crate::transport::transport;

/// Longest handshake, either way.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);
/// Handshakes of strangers at a time; more wait in QUIC's own bounded queue.
const HANDSHAKES_MAX: usize = 64;
/// One warning about a peer that fails authentication, per address and this time: it will try again and again.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Addresses whose last warning is remembered.
const WARNED_MAX: usize = 1024;
/// QUIC's error codes for TLS alerts are 0x0100 and the alert (RFC 9001, section 4.8).
const CRYPTO_ERRORS: std::ops::Range<u64> = 0x100..0x200;

/// A connection to make.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    /// Who must be there, if that is known.
    pub(crate) peer: Option<NodeId>,
    /// Our count of dials.
    pub(crate) number: u64,
    /// Use small packets.
    pub(crate) small: bool,
}

/// Opens the endpoint on the runtime of the calling thread.
pub(crate) fn open(socket: UdpSocket, tls: &Tls) -> Result<Endpoint, StartError> {
    let address = socket.local_addr().map_err(StartError::Thread)?;
    let mut server = ServerConfig::with_crypto(tls.server());
    server.transport_config(transport(false));
    Endpoint::new(EndpointConfig::default(), Some(server), socket, Arc::new(TokioRuntime))
        .map_err(|source| StartError::Bind { address, source })
}

/// What handshakes need. Lives on the link thread, so that each connection's work is done there.
pub(crate) struct Door {
    pub(crate) me: NodeId,
    pub(crate) endpoint: Endpoint,
    pub(crate) tls: Tls,
    pub(crate) table: TableHandle,
    pub(crate) news: NewsSender,
    pub(crate) shared: Arc<Shared>,
    pub(crate) numbers: AtomicU64,
    pub(crate) warned: std::cell::RefCell<BTreeMap<SocketAddr, Instant>>,
}

impl Door {
    /// Takes in connections until the endpoint is closed.
    pub(crate) async fn accept(self: Rc<Self>) {
        let slots = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        while let Some(incoming) = self.endpoint.accept().await {
            let Ok(slot) = slots.clone().try_acquire_owned() else {
                Drops::count(&self.shared.drops.handshake);
                incoming.ignore();
                continue;
            };
            let door = self.clone();
            tokio::task::spawn_local(async move {
                door.take_in(incoming).await;
                drop(slot);
            });
        }
    }

    async fn take_in(&self, incoming: Incoming) {
        let address = incoming.remote_address();
        let Ok(connecting) = incoming.accept() else {
            Drops::count(&self.shared.drops.handshake);
            return;
        };
        match timeout(HANDSHAKE_MAX, connecting).await {
            Ok(Ok(connection)) => {
                self.introduce(connection, None, None).await;
            }
            Ok(Err(error)) => self.explain(address, "accepting", &error),
            Err(_) => Drops::count(&self.shared.drops.handshake),
        }
    }

    /// Dials what is asked for until nobody asks any more.
    pub(crate) async fn dial(self: Rc<Self>, mut dials: mpsc::UnboundedReceiver<Dial>) {
        while let Some(dial) = dials.recv().await {
            let door = self.clone();
            tokio::task::spawn_local(async move {
                let peer = door.dial_one(&dial).await;
                let (kind, address) = (dial.kind, dial.address);
                // The loop ends only with the mesh.
                let _ = door.news.send(News::Dialled { kind, address, peer }).await;
            });
        }
    }

    async fn dial_one(&self, dial: &Dial) -> Option<NodeId> {
        let mut config = quinn::ClientConfig::new(self.tls.client(dial.kind));
        config.transport_config(transport(dial.small));
        let connecting = match self.endpoint.connect_with(config, dial.address, SERVER_NAME) {
            Ok(connecting) => connecting,
            Err(error) => {
                debug!(address = %dial.address, %error, "cannot dial");
                return None;
            }
        };
        match timeout(HANDSHAKE_MAX, connecting).await {
            Ok(Ok(connection)) => self.introduce(connection, dial.peer, Some(dial.number)).await,
            Ok(Err(error)) => {
                self.explain(dial.address, "dialling", &error);
                None
            }
            Err(_) => {
                debug!(address = %dial.address, kind = ?dial.kind, "no answer to a dial");
                None
            }
        }
    }

    /// Finds out who is there and hands the connection on.
    async fn introduce(
        &self,
        connection: quinn::Connection,
        expected: Option<NodeId>,
        dial: Option<u64>,
    ) -> Option<NodeId> {
        let (Some(peer), Some(kind)) = (peer_of(&connection), kind_of(&connection)) else {
            Drops::count(&self.shared.drops.handshake);
            Close::Malformed.end(&connection);
            return None;
        };
        if peer == self.me || expected.is_some_and(|expected| expected != peer) {
            Close::Done.end(&connection);
            return Some(peer);
        }
        let number = ConnectionNumber(self.numbers.fetch_add(1, Ordering::Relaxed));
        debug!(%peer, ?kind, address = %connection.remote_address(), dialled = dial.is_some(), "connected");
        let connected = Connected { number, peer, connection, dial };
        if kind == Kind::Media {
            self.table.connected(connected).await;
        } else {
            let _ = self.news.send(News::Connected(kind, connected)).await;
        }
        Some(peer)
    }

    /// Says why a handshake failed, loudly if the peer is not of this mesh.
    fn explain(&self, address: SocketAddr, doing: &str, error: &ConnectionError) {
        let why = match error {
            ConnectionError::TransportError(error) if CRYPTO_ERRORS.contains(&error.code.into()) => {
                format!("its certificate was refused here: {}", error.reason)
            }
            ConnectionError::ConnectionClosed(close) if CRYPTO_ERRORS.contains(&close.error_code.into()) => {
                format!("it refused our certificate: {}", close.error_code)
            }
            _ => {
                Drops::count(&self.shared.drops.handshake);
                debug!(%address, doing, %error, "handshake failed");
                return;
            }
        };
        Drops::count(&self.shared.drops.unauthenticated);
        if self.may_warn(address) {
            warn!(%address, doing, why, "a node is not of this mesh: do both have the same mesh secret?");
        }
    }

    fn may_warn(&self, address: SocketAddr) -> bool {
        let (mut warned, now) = (self.warned.borrow_mut(), Instant::now());
        if warned.get(&address).is_some_and(|at| now - *at < WARN_EVERY) {
            return false;
        }
        if warned.len() >= WARNED_MAX {
            warned.pop_first();
        }
        warned.insert(address, now);
        true
    }
}
