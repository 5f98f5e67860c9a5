//! A TUN device in a network namespace: what the namespace sends comes out of it as whole IP packets, and back.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Context;

use crate::emulation::namespace::Namespace;

/// Its name in each namespace.
pub const DEVICE: &str = "wan0";
/// Largest packet, bytes: that of Ethernet, and so of most of the Internet.
pub const MTU: usize = 1500;
/// Packets that wait in the kernel until they are read: a burst of some hundred milliseconds.
const WAITING_MAX: &str = "5000";
/// `TUNSETIFF` and `TUNSETPERSIST` of `linux/if_tun.h`.
const SET_INTERFACE: libc::c_ulong = 0x4004_54ca;
const SET_PERSIST: libc::c_ulong = 0x4004_54cb;

/// See the module.
#[derive(Debug)]
pub struct Tun(File);

impl Tun {
    /// Makes the device with an address in a network of 256, and brings it up.
    pub fn open(namespace: &Namespace, address: std::net::Ipv4Addr) -> anyhow::Result<Self> {
        let device = namespace.within(open)?.with_context(|| format!("making {DEVICE} in {}", namespace.name()))?;
        let mtu = MTU.to_string();
        namespace.ip(&["addr", "add", &format!("{address}/24"), "dev", DEVICE])?;
        namespace.ip(&["link", "set", DEVICE, "addrgenmode", "none"])?;
        namespace.ip(&["link", "set", DEVICE, "mtu", &mtu, "txqueuelen", WAITING_MAX, "up"])?;
        // Browsers gather no candidate without one.
        namespace.ip(&["route", "add", "default", "dev", DEVICE])?;
        Ok(Self(device))
    }

    /// The device outlives this value.
    pub fn keep(&self) -> io::Result<()> {
        // SAFETY: this request takes an integer.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), SET_PERSIST, 1) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The next packet that the namespace sends; `WouldBlock` when there is none.
    pub fn read(&self, packet: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(packet)
    }

    /// Hands a packet to the namespace.
    pub fn write(&self, packet: &[u8]) -> io::Result<usize> {
        (&self.0).write(packet)
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn open() -> io::Result<File> {
    let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: zeroes are a valid value of this struct of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(DEVICE.bytes()) {
        *place = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: this request takes a pointer to such a struct, which outlives the call.
    match unsafe { libc::ioctl(file.as_raw_fd(), SET_INTERFACE, &raw mut request) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}
