//! Received datagrams: batches from the kernel, cut into what the clients sent.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{BATCH_SIZE, RecvMeta};

use super::socket::Socket;

/// Room for one coalesced receive: the most that GRO joins.
const SLOT: usize = 65_536;
/// Receives per call. More would help only with thousands of separate senders.
const SLOTS: usize = if BATCH_SIZE < 16 { BATCH_SIZE } else { 16 };

/// Buffers for one batch, reused for the thread's life.
pub(super) struct Inlet {
    buffer: Box<[u8]>,
    metas: [RecvMeta; SLOTS],
}

impl Inlet {
    pub fn new() -> Self {
        Self { buffer: vec![0; SLOT * SLOTS].into(), metas: [RecvMeta::default(); SLOTS] }
    }

    /// Takes one batch from the socket and gives each datagram to `each` as (source, the address it was sent to, its
    /// bytes). Says whether the batch was full; after one that was not, the socket is empty until it is told of anew, and
    /// need not be asked. Errs with `WouldBlock` when there is nothing.
    pub fn receive(
        &mut self,
        socket: &Socket,
        mut each: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> io::Result<bool> {
        let mut chunks = self.buffer.chunks_mut(SLOT).map(IoSliceMut::new);
        let mut slices: [IoSliceMut<'_>; SLOTS] =
            std::array::from_fn(|_| chunks.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        let count = socket.receive(&mut slices, &mut self.metas)?;
        for (meta, chunk) in self.metas[..count].iter().zip(self.buffer.chunks(SLOT)) {
            let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            let to = meta.dst_ip.map(|ip| ip.to_canonical());
            for datagram in chunk[..meta.len].chunks(meta.stride.max(1)) {
                each(source, to, datagram);
            }
        }
        Ok(count == SLOTS)
    }
}
