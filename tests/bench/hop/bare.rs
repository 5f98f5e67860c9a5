//! Two quinn endpoints with the links' transport settings, and datagrams between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use origo_auth::authority::MESH_SERVER_NAME;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{AckFrequencyConfig, ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig};
use rustls_pki_types::PrivateKeyDer;
use tokio::sync::oneshot;

use super::load::{Arrivals, Load, Section};
use super::{WARM_UP, mesh};

/// As links are set.
fn transport() -> Arc<TransportConfig> {
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(10_u32.into()).max_ack_delay(Some(Duration::from_millis(5)));
    let mut config = TransportConfig::default();
    config.initial_mtu(1350).min_mtu(1350).mtu_discovery_config(None).packet_threshold(64);
    config.ack_frequency_config(Some(acks)).datagram_receive_buffer_size(Some(4 << 20));
    Arc::new(config)
}

/// Measures once; the endpoints end with it.
pub async fn section(length: Duration) -> Result<Section> {
    let arrivals = Arrivals::default();
    let (address, stop_server) = server(arrivals.clone())?;
    let (connection, stop_client) = client(address)?;
    let load = Load::start(arrivals, move |payloads| {
        for payload in payloads {
            // A datagram that is refused has not come.
            let _ = connection.send_datagram(payload.into());
        }
    });
    tokio::time::sleep(WARM_UP).await;
    let section = load.section(length).await;
    load.end();
    drop((stop_client, stop_server));
    section
}

/// A thread of its own, as the link thread is; it ends when what is given is dropped.
fn server(arrivals: Arrivals) -> Result<(SocketAddr, oneshot::Sender<()>)> {
    let identity = mesh::identity()?;
    let key = PrivateKeyDer::Pkcs8(identity.key.clone_key());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(identity.certificate_chain.clone(), key)?;
    tls.alpn_protocols = vec![b"bench".to_vec()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport());
    on_a_thread(move |tell| async move {
        let endpoint = match Endpoint::server(config, ([127, 0, 0, 1], 0).into()) {
            Ok(endpoint) => endpoint,
            Err(error) => return drop(tell.send(Err(error.into()))),
        };
        drop(tell.send(endpoint.local_addr().map_err(Into::into)));
        let Some(Ok(incoming)) = endpoint.accept().await.map(|incoming| incoming.accept()) else { return };
        let Ok(connection) = incoming.await else { return };
        while let Ok(payload) = connection.read_datagram().await {
            arrivals.note(&payload);
        }
    })
}

fn client(address: SocketAddr) -> Result<(Connection, oneshot::Sender<()>)> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(mesh::identity()?.authority)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"bench".to_vec()];
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport());
    on_a_thread(move |tell| async move {
        let connected = async {
            let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into())?;
            anyhow::Ok((endpoint.connect_with(config, address, MESH_SERVER_NAME)?.await?, endpoint))
        };
        match connected.await {
            Ok((connection, _endpoint)) => {
                drop(tell.send(Ok(connection.clone())));
                connection.closed().await;
            }
            Err(error) => drop(tell.send(Err(error))),
        }
    })
}

/// Runs a task on a thread with a runtime of its own until the sender that is given back is dropped.
fn on_a_thread<T: Send + 'static, F: Future<Output = ()>>(
    task: impl FnOnce(std::sync::mpsc::Sender<Result<T>>) -> F + Send + 'static,
) -> Result<(T, oneshot::Sender<()>)> {
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = task(tell) => {}
                _ = stopped => {}
            }
        });
    });
    Ok((told.recv().context("the endpoint's thread has ended")??, stop))
}
