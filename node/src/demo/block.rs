//! A node's block of ten ports: HTTP, links, metrics, then media.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Ports from one block to the next.
const BLOCK: u16 = 10;

/// One node's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block(u16);

impl Block {
    /// HTTP and WebSocket.
    pub fn http(self) -> u16 {
        self.0
    }

    /// Links to other nodes.
    pub fn quic(self) -> u16 {
        self.0 + 1
    }

    /// Metrics page.
    pub fn metrics(self) -> u16 {
        self.0 + 2
    }

    /// First media worker.
    pub fn media(self) -> u16 {
        self.0 + 3
    }

    fn is_free(self) -> bool {
        let tcp = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let udp = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        tcp(self.http()) && udp(self.quic()) && tcp(self.metrics()) && udp(self.media())
    }
}

/// The first `count` blocks from `base` on whose ports are all free.
pub fn free(base: u16, count: usize) -> anyhow::Result<Vec<Block>> {
    let bases = (base..=u16::MAX - BLOCK).step_by(usize::from(BLOCK));
    let blocks: Vec<Block> = bases.map(Block).filter(|block| block.is_free()).take(count).collect();
    anyhow::ensure!(blocks.len() == count, "there are not {count} free blocks of {BLOCK} ports from {base} up");
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_with_a_used_port_is_skipped_as_a_whole() {
        let base = 41_000 + u16::try_from(std::process::id() % 1000).unwrap() * 10;
        let metrics = TcpListener::bind((Ipv4Addr::LOCALHOST, base + 2)).unwrap();
        let blocks = free(base, 2).unwrap();
        drop(metrics);
        assert!(blocks.iter().all(|block| block.0 > base), "{blocks:?}");
        assert!(blocks.iter().all(|block| (block.0 - base).is_multiple_of(BLOCK)), "{blocks:?}");
    }

    #[test]
    fn too_few_ports_are_said() {
        let error = free(65_500, 16).unwrap_err().to_string();
        assert_eq!(error, "there are not 16 free blocks of 10 ports from 65500 up");
    }
}
