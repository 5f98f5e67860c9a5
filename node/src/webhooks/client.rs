//! One POST to an application's server: HTTP/1.1, over TLS when the URL says so.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Posts webhooks.
#[derive(Clone)]
pub struct Client {
    tls: Arc<ClientConfig>,
}

impl Client {
    /// Reads the system's authorities once, and takes these besides.
    pub fn new(authorities: &[CertificateDer<'static>]) -> anyhow::Result<Self> {
        Ok(Self { tls: trusting(authorities)? })
    }

    /// Sends a body; gives the status of the answer.
    pub async fn post(&self, url: &str, proof: &str, body: Bytes) -> anyhow::Result<u16> {
        let uri: Uri = url.parse()?;
        let authority = uri.authority().ok_or_else(|| anyhow::anyhow!("the URL names no host"))?.clone();
        let is_tls = uri.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path)
            .header(HOST, authority.as_str())
            .header(CONTENT_TYPE, "application/webhook+json")
            .header(AUTHORIZATION, proof)
            .body(Full::new(body))?;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        if is_tls {
            let stream = TlsConnector::from(self.tls.clone()).connect(ServerName::try_from(host)?, stream).await?;
            send(stream, request).await
        } else {
            send(stream, request).await
        }
    }
}

/// TLS towards servers that the system's authorities vouch for, or these. A machine without authorities can still use
/// plain HTTP; TLS fails then, and says so.
pub fn trusting(authorities: &[CertificateDer<'static>]) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<u16>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    // The body of the answer says nothing that counts here.
    driver.abort();
    Ok(answer?.status().as_u16())
}
