//! A participant behind a hostile network: every datagram arrives three times, cut, damaged, and from a stranger too.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use origo_client::session::{Command, Input, Output, Session};
use origo_client::signal::Socket;
use origo_client::{Join, Options, VideoOptions};
use origo_tests::node::Node;
use tokio::net::UdpSocket;

/// Joins and publishes a camera for that long while the network does its worst.
pub async fn publish(node: &Node, room: &str, length: Duration) -> Result<()> {
    let mut hostile = Hostile::join(node, room).await?;
    let command = Command::PublishVideo("camera".to_owned(), VideoOptions::single(30, 4, 1000));
    hostile.session.handle_input(Instant::now(), Input::Command(command));
    let deadline = Instant::now() + length;
    let mut buffer = [0; 2048];
    while let Some(timeout) = hostile.drain().await?.filter(|_| Instant::now() < deadline) {
        tokio::select! {
            response = hostile.signaling.next() => {
                let response = response.context("the node closed the signaling socket")??;
                hostile.session.handle_input(Instant::now(), Input::Signal(Box::new(response)));
            }
            received = hostile.own.recv_from(&mut buffer) => {
                let (len, from) = received?;
                let input = Input::Datagram { connection: 0, from, datagram: &buffer[..len] };
                hostile.session.handle_input(Instant::now(), input);
            }
            () = tokio::time::sleep_until(timeout.into()) => {
                hostile.session.handle_input(Instant::now(), Input::Timeout);
            }
        }
    }
    Ok(())
}

struct Hostile {
    session: Session,
    signaling: Socket,
    own: UdpSocket,
    stranger: UdpSocket,
}

impl Hostile {
    async fn join(node: &Node, room: &str) -> Result<Self> {
        let own = UdpSocket::bind("127.0.0.1:0").await?;
        let stranger = UdpSocket::bind("127.0.0.1:0").await?;
        let unix_us = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as u64;
        let options = Options::v1();
        let mut session = Session::new(&options, &[own.local_addr()?], Instant::now(), unix_us)?;
        let token = node.token(room, "hostile");
        let offer = session.first_offer();
        let url = Join { url: &node.url(), token: &token, options: &options, offer, resume: None }.signal_url();
        let signaling = Socket::connect(&url).await?;
        Ok(Self { session, signaling, own, stranger })
    }

    /// Does what the session asks; when to come back.
    async fn drain(&mut self) -> Result<Option<Instant>> {
        loop {
            match self.session.poll_output() {
                Output::Transmit(_, transmit) => self.abuse(&transmit.contents, transmit.destination).await,
                Output::Signal(request) => self.signaling.send(&request).await?,
                Output::Event(_) => {}
                Output::Closed => bail!("the session ended"),
                Output::Timeout(at) => return Ok(Some(at)),
            }
        }
    }

    async fn abuse(&self, datagram: &[u8], to: SocketAddr) {
        let mut damaged = datagram.to_vec();
        if let Some(byte) = damaged.last_mut() {
            *byte ^= 0x55;
        }
        let cut = &datagram[..datagram.len() / 2];
        for (socket, bytes) in [
            (&self.stranger, datagram),
            (&self.own, &damaged),
            (&self.own, cut),
            (&self.own, datagram),
            (&self.own, datagram),
            (&self.own, datagram),
            (&self.stranger, datagram),
        ] {
            // What the kernel does not take is lost, as on any network.
            let _ = socket.send_to(bytes, to).await;
        }
    }
}
