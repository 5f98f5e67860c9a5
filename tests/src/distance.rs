//! A node that is far away from some of the others: what goes between them takes its time.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

/// How soon threads notice that the distance is dropped.
const POLL: Duration = Duration::from_millis(100);

/// The way to a node, the longer for some of those who take it.
pub struct Distance(Arc<AtomicBool>);

impl Distance {
    /// Listens at `door` for what is meant for `node`. A datagram from or to an address in `far` takes `delay`.
    pub fn start(door: SocketAddr, node: SocketAddr, far: &[IpAddr], delay: Duration) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(door)?);
        socket.set_read_timeout(Some(POLL))?;
        let ended = Arc::new(AtomicBool::new(false));
        let distance = Self(ended.clone());
        let far = far.to_vec();
        std::thread::spawn(move || {
            let mut ways: BTreeMap<SocketAddr, Sender<Late>> = BTreeMap::new();
            receive(&socket, &ended, |datagram, from| {
                let delay = if far.contains(&from.ip()) { delay } else { Duration::ZERO };
                let open = || way(&socket, node, from, delay, &ended).expect("a socket on loopback");
                let way = ways.entry(from).or_insert_with(open);
                // The thread at the other end ends with this one.
                let _ = way.send((Instant::now() + delay, datagram.to_vec()));
            });
        });
        Ok(distance)
    }
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A datagram, and when it is due.
type Late = (Instant, Vec<u8>);

/// Between the node and one other, which the node sees at a port of its own. What is put in goes to the node.
fn way(
    door: &Arc<UdpSocket>,
    node: SocketAddr,
    other: SocketAddr,
    delay: Duration,
    ended: &Arc<AtomicBool>,
) -> io::Result<Sender<Late>> {
    let side = Arc::new(UdpSocket::bind((node.ip(), 0))?);
    side.set_read_timeout(Some(POLL))?;
    let (there, back) = (deliver(side.clone(), node), deliver(door.clone(), other));
    let ended = ended.clone();
    std::thread::spawn(move || {
        receive(&side, &ended, |datagram, _| {
            let _ = back.send((Instant::now() + delay, datagram.to_vec()));
        });
    });
    Ok(there)
}

/// Hands out what comes until the distance is dropped.
fn receive(socket: &UdpSocket, ended: &AtomicBool, mut take: impl FnMut(&[u8], SocketAddr)) {
    let mut buffer = vec![0; 65_536];
    while !ended.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            take(&buffer[..length], from);
        }
    }
}

/// Sends each datagram when it is due; they come in the order in which they are.
fn deliver(socket: Arc<UdpSocket>, to: SocketAddr) -> Sender<Late> {
    let (sender, datagrams) = mpsc::channel::<Late>();
    std::thread::spawn(move || {
        for (due, datagram) in datagrams {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // A node that is not up yet refuses; its peer tries again.
            let _ = socket.send_to(&datagram, to);
        }
    });
    sender
}
