//! A path between two nodes that can be cut: what a node behind it sees is a peer that died without a word.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

pub struct Proxy {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Passes datagrams between `node` and whoever else sends to the proxy.
    pub async fn to(node: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut other, mut buffer) = (None, vec![0; 2000]);
            loop {
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
                if from != node {
                    other = Some(from);
                }
                let to = if from == node { other } else { Some(node) };
                if let Some(to) = to {
                    let _ = socket.send_to(&buffer[..length], to).await;
                }
            }
        });
        Self { address, task }
    }

    pub fn cut(&self) {
        self.task.abort();
    }
}
