//! The accept loop: hands each connection to the router, within bounds on connections, headers and patience.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::spare::{Spare, is_want_of_handles};
use super::{Census, Counted, Surface, ice, router};

/// Open HTTP connections in all. Each takes some 10 KB, so a full house takes 160 MB.
const CONNECTIONS_MAX: u32 = 16_384;
/// Open HTTP connections of one address for each signaling socket that it may have: a page asks for other things too.
const CONNECTIONS_PER_SOCKET: u32 = 2;
/// How long a client may take to send the head of a request, and may idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest head of a request: a join's request line may have 64 KiB (more than `http::Uri` takes), and its token
/// may come in a header.
const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` completes; then no connection is accepted and open ones finish the request at hand.
/// Signaling sockets end when the rooms close them.
pub async fn serve(listener: TcpListener, surface: Arc<Surface>, shutdown: impl Future<Output = ()>) {
    let per_address = surface.app.config.sockets_per_address * CONNECTIONS_PER_SOCKET;
    let census = Census::new(per_address, CONNECTIONS_MAX);
    let (stop, stopped) = watch::channel(());
    let router = router(surface.clone());
    tokio::pin!(shutdown);
    let mut spare = Spare::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => match count(&surface, &census, peer.ip()) {
                Some(counted) => {
                    let door = Door { surface: surface.clone(), router: router.clone() };
                    tokio::spawn(connection(stream, peer, door, stopped.clone(), counted));
                }
                None => surface.app.dropped.count("connection", "too many"),
            },
            Err(error) if is_want_of_handles(&error) => {
                surface.app.dropped.count("connection", "no file handle");
                if !spare.refuse_next(&listener).await {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(stop);
}

/// What a connection leads to.
struct Door {
    surface: Arc<Surface>,
    router: Router,
}

/// A trusted proxy stands for many clients: only the node's bound holds for it.
fn count(surface: &Surface, census: &Arc<Census>, peer: IpAddr) -> Option<Counted> {
    let is_proxy = surface.app.config.trusted_proxies.iter().any(|block| block.contains(peer));
    if is_proxy { census.count_proxied() } else { census.count(peer) }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    mut stopped: watch::Receiver<()>,
    counted: Counted,
) {
    // Signaling messages are small and each is awaited. A failure means that the peer is gone, which reading tells.
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let heard = tokio::select! {
        heard = tokio::time::timeout(HEAD_TIMEOUT, stream.peek(&mut first)) => heard,
        _ = stopped.changed() => return,
    };
    if heard.is_err() {
        door.surface.app.dropped.count("connection", "silent");
    }
    if !matches!(heard, Ok(Ok(1))) {
        return;
    }
    if ice::is_ice(&door.surface, first[0]) {
        return ice::admit(stream, peer, door.surface, counted).await;
    }
    let service = service_fn(move |request| answer(door.router.clone(), peer, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        // Never a message: it ends when the sender is dropped.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "an HTTP connection broke");
    }
}

async fn answer(
    router: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<axum::body::Body>, Infallible> {
    use tower_service::Service;
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    router.clone().call(request).await
}
