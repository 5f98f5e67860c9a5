//! A worker's UDP socket: large buffers, receive and send offload, and IPv4 clients on an IPv6 wildcard.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use origo_node_core::media;
use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, Type};

/// Kernel buffers, as far as the system allows: a second of a loaded worker's bursts.
const BUFFER_BYTES: usize = 8 << 20;

/// The socket and what the kernel can do for it.
pub(super) struct Socket {
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    address: SocketAddr,
}

impl Socket {
    /// Opens the port.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        // Less than asked for is no reason not to start.
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(BUFFER_BYTES);
        socket.bind(&address.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        let socket = mio::net::UdpSocket::from_std(socket.into());
        let address = socket.local_addr()?;
        Ok(Self { socket, state, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket, to wait for.
    pub fn source(&mut self) -> &mut mio::net::UdpSocket {
        &mut self.socket
    }

    /// One batch of (coalesced) datagrams.
    pub fn receive(&self, slices: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        self.socket.try_io(|| self.state.recv((&self.socket).into(), slices, metas))
    }

    /// Sends datagrams of one size to one client, as few calls as the kernel allows.
    pub fn send(&self, transmit: &media::Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let chunk = segment * self.state.max_gso_segments().max(1);
        for contents in transmit.contents.chunks(chunk) {
            let transmit = quinn_udp::Transmit {
                destination: self.reachable(transmit.destination),
                ecn: None,
                contents,
                segment_size: (contents.len() > segment).then_some(segment),
                src_ip: None,
            };
            self.state.try_send((&self.socket).into(), &transmit)?;
        }
        Ok(())
    }

    /// An IPv6 socket wants IPv4 addresses mapped.
    fn reachable(&self, destination: SocketAddr) -> SocketAddr {
        match destination.ip() {
            IpAddr::V4(ip) if self.address.is_ipv6() => SocketAddr::new(ip.to_ipv6_mapped().into(), destination.port()),
            _ => destination,
        }
    }
}
