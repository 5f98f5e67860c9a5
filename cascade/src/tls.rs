//! Mutual TLS: a peer's certificate must lead to the mesh's authority, and its key is its id.

use std::sync::Arc;

use origo_auth::authority::{MESH_SERVER_NAME, node_id_of_certificate};
use origo_auth::{NodeId, NodeIdentity};
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::StartError;
use crate::kind::Kind;

/// The name that a dialler asks for.
pub(crate) const SERVER_NAME: &str = MESH_SERVER_NAME;

/// Both sides of the handshake.
pub(crate) struct Tls {
    server: Arc<QuicServerConfig>,
    clients: Vec<(Kind, Arc<QuicClientConfig>)>,
}

impl Tls {
    /// Makes both sides from a node's identity.
    pub(crate) fn new(identity: &NodeIdentity) -> Result<Self, StartError> {
        let unfit = |error: &dyn std::fmt::Display| StartError::Identity(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(identity.authority.clone()).map_err(|error| unfit(&error))?;
        let roots = Arc::new(roots);
        let server = server_config(identity, &provider, &roots)?;
        let mut clients = Vec::new();
        for kind in Kind::ALL {
            let client = client_config(identity, &provider, &roots, kind).map_err(|error| unfit(&error))?;
            let client = QuicClientConfig::try_from(client).map_err(|error| unfit(&error))?;
            clients.push((kind, Arc::new(client)));
        }
        let server = QuicServerConfig::try_from(server).map_err(|error| unfit(&error))?;
        Ok(Self { server: Arc::new(server), clients })
    }

    /// For who dials us.
    pub(crate) fn server(&self) -> Arc<QuicServerConfig> {
        self.server.clone()
    }

    /// For dialling a connection of that kind.
    pub(crate) fn client(&self, kind: Kind) -> Arc<QuicClientConfig> {
        let found = self.clients.iter().find(|(other, _)| *other == kind);
        found.map(|(_, client)| client.clone()).expect("all kinds are there by construction")
    }
}

fn key_of(identity: &NodeIdentity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(identity.key.clone_key())
}

fn server_config(
    identity: &NodeIdentity,
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
) -> Result<ServerConfig, StartError> {
    let unfit = |error: &dyn std::fmt::Display| StartError::Identity(error.to_string());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| unfit(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unfit(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.certificate_chain.clone(), key_of(identity))
        .map_err(|error| unfit(&error))?;
    config.alpn_protocols = Kind::ALL.iter().map(|kind| kind.alpn().to_vec()).collect();
    // A resumed session would skip the certificates.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_config(
    identity: &NodeIdentity,
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    kind: Kind,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots.clone())
        .with_client_auth_cert(identity.certificate_chain.clone(), key_of(identity))?;
    config.alpn_protocols = vec![kind.alpn().to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Who is at the other end, by the certificate that the handshake has verified.
pub(crate) fn peer_of(connection: &quinn::Connection) -> Option<NodeId> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    node_id_of_certificate(chain.first()?).ok()
}

/// What the connection carries.
pub(crate) fn kind_of(connection: &quinn::Connection) -> Option<Kind> {
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    Kind::of_alpn(&data.protocol?)
}
