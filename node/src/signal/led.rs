//! A client that knows this node's address alone is led to the node that has its session: what it sends and gets passes
//! through here, and its media goes straight.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use axum::http::header::{HeaderName, ORIGIN, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::http::Counted;
use crate::webhooks::trusting;

/// How long the other node may take to let the client in; its own bound is a little shorter.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest sentence with which the other node may refuse, bytes.
const SENTENCE_BYTES_MAX: usize = 4_096;
/// Of a client's headers these concern the other node. Extensions of web sockets are agreed between the ends.
static PASSED: [HeaderName; 9] = [
    AUTHORIZATION,
    CONNECTION,
    ORIGIN,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    HeaderName::from_static("sec-websocket-extensions"),
    HeaderName::from_static("sec-websocket-protocol"),
    UPGRADE,
    USER_AGENT,
];
/// And of the other node's answer these the client.
static ANSWERED: [HeaderName; 5] = [
    CONNECTION,
    UPGRADE,
    SEC_WEBSOCKET_ACCEPT,
    HeaderName::from_static("sec-websocket-extensions"),
    HeaderName::from_static("sec-websocket-protocol"),
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A client and where it is led.
pub(super) struct Led {
    /// Server URL of the node that has its session.
    pub url: String,
    /// What it asked for here.
    pub uri: Uri,
    /// With which headers.
    pub headers: HeaderMap,
    /// Where it is.
    pub client: IpAddr,
}

impl Led {
    /// Asks the other node; joins the two sockets when it agrees, and counts the client for as long. Else gives what to
    /// say instead.
    pub async fn lead(self, ours: OnUpgrade, counted: &mut Option<Counted>) -> Result<Response, Response> {
        let asked = tokio::time::timeout(OPEN_TIMEOUT, self.ask()).await;
        let answer = match asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in time"))) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(url = self.url, %error, "a client cannot be led to another node");
                return Err((StatusCode::SERVICE_UNAVAILABLE, "the node to go on at does not answer").into_response());
            }
        };
        tracing::info!(url = self.url, status = answer.status().as_u16(), "a client is led to another node");
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(answer).await);
        }
        let mut response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        for name in &ANSWERED {
            if let Some(value) = answer.headers().get(name) {
                response = response.header(name, value);
            }
        }
        let counted = counted.take();
        tokio::spawn(async move {
            join(ours, hyper::upgrade::on(answer)).await;
            drop(counted);
        });
        Ok(response.body(Body::empty()).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
    }

    async fn ask(&self) -> anyhow::Result<hyper::Response<Incoming>> {
        let uri: Uri = self.url.parse().context("its URL is none")?;
        let authority = uri.authority().context("its URL names no host")?.clone();
        let is_tls = uri.scheme_str() == Some("wss");
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let request = self.request(uri.path().trim_end_matches('/'), authority.as_str())?;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        if is_tls {
            let stream = TlsConnector::from(tls()?).connect(ServerName::try_from(host)?, stream).await?;
            send(stream, request).await
        } else {
            send(stream, request).await
        }
    }

    fn request(&self, prefix: &str, authority: &str) -> anyhow::Result<Request<Body>> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(format!("{prefix}{path}")).header(HOST, authority);
        for name in &PASSED {
            if let Some(value) = self.headers.get(name) {
                request = request.header(name, value);
            }
        }
        let client = HeaderValue::from_str(&self.client.to_string())?;
        Ok(request.header(FORWARDED_FOR, client).body(Body::empty())?)
    }
}

fn tls() -> anyhow::Result<Arc<ClientConfig>> {
    static TLS: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(tls.clone());
    }
    let tls = trusting(&[])?;
    Ok(TLS.get_or_init(|| tls).clone())
}

async fn send<S>(stream: S, request: Request<Body>) -> anyhow::Result<hyper::Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the connection.
    tokio::spawn(connection.with_upgrades());
    Ok(sender.send_request(request).await?)
}

async fn refusal(answer: hyper::Response<Incoming>) -> Response {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), SENTENCE_BYTES_MAX).collect().await;
    let sentence = body.map(|body| body.to_bytes()).unwrap_or_default();
    (status, String::from_utf8_lossy(&sentence).into_owned()).into_response()
}

/// Until either end is gone.
async fn join(ours: OnUpgrade, theirs: OnUpgrade) {
    let ends: Result<(Upgraded, Upgraded), hyper::Error> = tokio::try_join!(ours, theirs);
    let Ok((ours, theirs)) = ends else { return };
    // A socket that breaks is what both ends hear of.
    let _ = copy_bidirectional(&mut TokioIo::new(ours), &mut TokioIo::new(theirs)).await;
}
