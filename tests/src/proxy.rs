//! The way to a node for other nodes, which can be cut: what is on it then is lost, and nobody is told.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How soon the thread notices that the proxy is dropped.
const POLL: Duration = Duration::from_millis(100);

/// Passes datagrams between a node and one other that sends to the proxy.
pub struct Proxy {
    is_cut: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens at `address` for what is meant for `node`.
    pub fn start(address: SocketAddr, node: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(POLL))?;
        let (is_cut, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let proxy = Self { is_cut: is_cut.clone(), ended: ended.clone() };
        std::thread::spawn(move || {
            let (mut other, mut buffer) = (None, vec![0; 65_536]);
            while !ended.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if from != node {
                    other = Some(from);
                }
                let to = if from == node { other } else { Some(node) };
                if let Some(to) = to.filter(|_| !is_cut.load(Ordering::Relaxed)) {
                    // A node that is not up yet refuses; its peer tries again.
                    let _ = socket.send_to(&buffer[..length], to);
                }
            }
        });
        Ok(proxy)
    }

    /// Cuts the way, or opens it again.
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
