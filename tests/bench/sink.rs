//! The process that drains the ceiling's sockets, so that no receive work is charged to the sender.

use std::io::{BufRead, Write};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};

/// Longer than any datagram that comes.
const BUFFER_BYTES: usize = 2048;

/// Opens the sockets, prints their ports, then answers each line on stdin with the number of datagrams so far. Ends
/// with stdin.
pub fn run(sockets: usize) -> Result<()> {
    static RECEIVED: AtomicU64 = AtomicU64::new(0);
    let sockets: Vec<UdpSocket> = (0..sockets).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut ports = Vec::new();
    for socket in &sockets {
        socket.set_nonblocking(true)?;
        ports.push(socket.local_addr()?.port().to_string());
    }
    println!("{}", ports.join(" "));
    std::thread::spawn(move || drain(&sockets, &RECEIVED));
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        line?;
        writeln!(out, "{}", RECEIVED.load(Ordering::Relaxed))?;
        out.flush()?;
    }
    Ok(())
}

fn drain(sockets: &[UdpSocket], received: &AtomicU64) -> Result<()> {
    let poll_for = |socket: &UdpSocket| libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut polled: Vec<libc::pollfd> = sockets.iter().map(poll_for).collect();
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        // SAFETY: the pointer and the length are those of a live slice.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
        ensure!(ready >= 0, "poll: {}", std::io::Error::last_os_error());
        for (socket, _) in sockets.iter().zip(&polled).filter(|(_, polled)| polled.revents != 0) {
            while socket.recv(&mut buffer).is_ok() {
                received.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
