//! The way to a node, which can be cut or narrowed: what is lost on it is lost without a word to anybody.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How soon the thread notices that the proxy is dropped.
const POLL: Duration = Duration::from_millis(100);
/// What a narrow way lets through at once.
const BURST_BYTES: f64 = 16_000.0;

/// Passes datagrams between a node and one other that sends to the proxy.
pub struct Proxy(Arc<State>);

#[derive(Default)]
struct State {
    is_cut: AtomicBool,
    /// Bytes in a second from the node; 0 for all.
    limit: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    /// Listens at `address` for what is meant for `node`.
    pub fn start(address: SocketAddr, node: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(POLL))?;
        let state = Arc::new(State::default());
        let proxy = Self(state.clone());
        std::thread::spawn(move || pass(&socket, node, &state));
        Ok(proxy)
    }

    /// Cuts the way, or opens it again.
    pub fn cut(&self, is_cut: bool) {
        self.0.is_cut.store(is_cut, Ordering::Relaxed);
    }

    /// Lets no more than so many bytes in a second through from the node; the rest is lost.
    pub fn narrow(&self, bytes_per_second: u64) {
        self.0.limit.store(bytes_per_second, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }
}

fn pass(socket: &UdpSocket, node: SocketAddr, state: &State) {
    let (mut other, mut buffer) = (None, vec![0; 65_536]);
    let (mut tokens, mut filled) = (BURST_BYTES, Instant::now());
    while !state.ended.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        if state.is_cut.load(Ordering::Relaxed) {
            continue;
        }
        if from != node {
            other = Some(from);
            // A node that is not up yet refuses; its peer tries again.
            let _ = socket.send_to(&buffer[..length], node);
            continue;
        }
        let limit = state.limit.load(Ordering::Relaxed);
        tokens = (tokens + filled.elapsed().as_secs_f64() * limit as f64).min(BURST_BYTES);
        filled = Instant::now();
        let is_over = limit > 0 && tokens < length as f64;
        if let Some(to) = other.filter(|_| !is_over) {
            tokens -= length as f64;
            let _ = socket.send_to(&buffer[..length], to);
        }
    }
}
