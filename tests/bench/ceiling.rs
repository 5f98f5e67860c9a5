//! The egress ceiling: copy, seal with AES-GCM under each viewer's own key, and one `sendto` a packet.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};

use crate::report::Section;

/// Packets to each viewer between two looks at the sink: little enough for a socket's default buffer.
pub const BURST_PACKETS: usize = 32;
/// RTP header with the extensions that a node writes (RFC 8285).
const HEADER_BYTES: usize = 24;
/// How long the sink may take to drain a burst before what is missing counts as lost.
const DRAIN_WAIT: Duration = Duration::from_millis(200);

/// The SRTP profile that node and viewers negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// AEAD_AES_128_GCM.
    Aes128Gcm,
    /// AEAD_AES_256_GCM.
    Aes256Gcm,
}

impl Profile {
    /// From the label values of `origo_srtp_sessions`. str0m prefers 256 bits on both sides, so that is what a node
    /// that reports none speaks with str0m's own client.
    pub fn of<'a>(labels: impl IntoIterator<Item = &'a String>) -> Result<Self> {
        let labels: Vec<&String> = labels.into_iter().collect();
        match labels[..] {
            [] => Ok(Self::Aes256Gcm),
            [label] if label.contains("256") => Ok(Self::Aes256Gcm),
            [label] if label.to_ascii_lowercase().contains("gcm") => Ok(Self::Aes128Gcm),
            _ => bail!("expected one AES-GCM profile for all sessions, the node reports {labels:?}"),
        }
    }

    /// Its name in RFC 7714.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AEAD_AES_128_GCM",
            Self::Aes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128Gcm => &AES_128_GCM,
            Self::Aes256Gcm => &AES_256_GCM,
        }
    }
}

struct Viewer {
    key: LessSafeKey,
    address: SocketAddr,
    sequence: u64,
}

/// The sending loop and the process that drains its sockets.
pub struct Ceiling {
    socket: UdpSocket,
    viewers: Vec<Viewer>,
    payloads: Vec<Vec<u8>>,
    sink: Sink,
    sent: u64,
    buffer: Vec<u8>,
}

impl Ceiling {
    /// Starts the sink.
    pub fn start(viewers: usize, packets_per_frame: usize, packet_bytes: usize, profile: Profile) -> Result<Self> {
        let (sink, addresses) = Sink::start(viewers)?;
        let viewers = addresses.into_iter().map(|address| {
            let key: Vec<u8> = (0..profile.algorithm().key_len()).map(|_| rand::random()).collect();
            let key = UnboundKey::new(profile.algorithm(), &key).expect("a key of the algorithm's length");
            Viewer { key: LessSafeKey::new(key), address, sequence: 0 }
        });
        Ok(Self {
            socket: UdpSocket::bind("127.0.0.1:0")?,
            viewers: viewers.collect(),
            payloads: (0..packets_per_frame).map(|index| vec![index as u8; packet_bytes]).collect(),
            sink,
            sent: 0,
            buffer: vec![0; HEADER_BYTES + packet_bytes + 16],
        })
    }

    /// Sends for that long; the time of waiting for the sink does not count.
    pub fn section(&mut self, length: Duration) -> Result<Section> {
        let began = Instant::now();
        let (sent_before, received_before) = (self.sent, self.sink.received()?);
        let mut cpu = Duration::ZERO;
        while began.elapsed() < length {
            let before = thread_cpu_time();
            for _ in 0..BURST_PACKETS.div_ceil(self.payloads.len()) {
                self.send_frame()?;
            }
            cpu += thread_cpu_time() - before;
            self.sink.wait_for(received_before + self.sent - sent_before)?;
        }
        let packets = self.sink.received()? - received_before;
        let lost = (self.sent - sent_before).saturating_sub(packets);
        Ok(Section { packets, lost, cpu, wall: began.elapsed() })
    }

    /// One frame to every viewer, all its packets to one viewer before the next.
    fn send_frame(&mut self) -> Result<()> {
        for viewer in &mut self.viewers {
            for payload in &self.payloads {
                viewer.sequence += 1;
                let end = HEADER_BYTES + payload.len();
                self.buffer[4..12].copy_from_slice(&viewer.sequence.to_be_bytes());
                self.buffer[HEADER_BYTES..end].copy_from_slice(payload);
                let (header, body) = self.buffer.split_at_mut(HEADER_BYTES);
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&viewer.sequence.to_be_bytes());
                let (body, tag) = body.split_at_mut(payload.len());
                let nonce = Nonce::assume_unique_for_key(nonce);
                let sealed = viewer.key.seal_in_place_separate_tag(nonce, Aad::from(&*header), body);
                tag[..16].copy_from_slice(sealed.ok().context("sealing")?.as_ref());
                self.socket.send_to(&self.buffer[..end + 16], viewer.address).context("sending to the sink")?;
                self.sent += 1;
            }
        }
        Ok(())
    }
}

/// Processor time of the calling thread.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The process that drains the sockets; it ends when its stdin closes.
pub struct Sink {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Sink {
    /// Starts it; gives the addresses of its sockets.
    pub fn start(sockets: usize) -> Result<(Self, Vec<SocketAddr>)> {
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.args(["--sink", &sockets.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting the sink")?;
        let ask = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("the sink's stdout is piped")?);
        let mut sink = Self { child, ask, answers };
        let ports = sink.line()?;
        let address = |port: &str| Ok(SocketAddr::from(([127, 0, 0, 1], port.parse()?)));
        let addresses = ports.split(' ').map(address).collect::<Result<_>>()?;
        Ok((sink, addresses))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("reading from the sink")?;
        Ok(line.trim().to_owned())
    }

    /// Packets that it has drained so far.
    pub fn received(&mut self) -> Result<u64> {
        self.ask.as_mut().context("the sink runs")?.write_all(b"\n")?;
        self.line()?.parse().context("the sink's count")
    }

    /// Waits until it has drained that many, or for as long as that may take.
    pub fn wait_for(&mut self, count: u64) -> Result<()> {
        let deadline = Instant::now() + DRAIN_WAIT;
        while self.received()? < count && Instant::now() < deadline {}
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.ask.take());
        // It ends by itself when its stdin closes; this reaps it.
        let _ = self.child.wait();
    }
}
