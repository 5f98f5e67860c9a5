//! The memory of a connection of str0m's with nothing around it, connected, before any media.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use str0m::change::SdpOffer;
use str0m::config::DtlsVersion;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc, RtcConfig};

use super::viewer::{Viewer, Wire};
use super::{SERVER, STEP};
use crate::allocator::{Counts, counted, uncounted};

/// How long it lives: its handshake is over, and what that took is given back.
const LIFE: Duration = Duration::from_secs(2);

/// Bytes that one connection holds, as a node sets it up and to the same viewer as on the stage; the mean of `count`.
pub fn bytes(count: u16) -> Result<i64> {
    let mut sum = 0;
    for number in 0..count {
        sum += one(SocketAddr::from(([127, 0, 0, 1], 20_000 + number)))?;
    }
    Ok(sum / i64::from(count.max(1)))
}

fn one(address: SocketAddr) -> Result<i64> {
    let mut now = Instant::now();
    let (mut wire, mut counts) = (Wire::new(), Counts::default());
    let mut viewer = Viewer::new(address, now)?;
    let offer = viewer.offer()?;
    let (server, made) = counted(|| server(&offer, now));
    counts += made;
    let (mut server, answer) = server?;
    viewer.answer(&answer, &mut wire)?;
    let end = now + LIFE;
    while now < end {
        now += STEP;
        viewer.tick(now, &mut wire)?;
        counts +=
            ask(&mut server, Input::Timeout(now), |datagram| viewer.receive(now, SERVER.into(), datagram, &mut wire))?;
        while let Some((source, datagram)) = wire.pop_front() {
            let receive = Receive::new(Protocol::Udp, source, SERVER.into(), &datagram)?;
            let input = Input::Receive(now, receive);
            counts += ask(&mut server, input, |datagram| viewer.receive(now, SERVER.into(), datagram, &mut wire))?;
        }
    }
    ensure!(viewer.connected, "a bare connection has not come up");
    Ok(counts.bytes)
}

/// Gives an input, hands on what comes out, and tells what that took.
fn ask(server: &mut Rtc, input: Input<'_>, mut send: impl FnMut(&[u8]) -> Result<()>) -> Result<Counts> {
    let (result, counts) = counted(|| -> Result<()> {
        server.handle_input(input)?;
        loop {
            match server.poll_output()? {
                Output::Transmit(transmit) => uncounted(|| send(&transmit.contents))?,
                Output::Event(_) => {}
                Output::Timeout(_) => return Ok(()),
            }
        }
    });
    result.map(|()| counts)
}

fn server(offer: &str, now: Instant) -> Result<(Box<Rtc>, String)> {
    let mut rtc = RtcConfig::new()
        .set_rtp_mode(true)
        .set_ice_lite(true)
        .set_dtls_version(DtlsVersion::Dtls12)
        .clear_codecs()
        .enable_opus(true, true)
        .enable_vp8(true)
        .enable_h264(true)
        .enable_vp9(true)
        .enable_av1(true)
        .build(now);
    rtc.add_local_candidate(Candidate::host(SERVER.into(), "udp")?);
    let answer = rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(offer)?)?;
    let answer = uncounted(|| answer.to_sdp_string());
    // A node has it in a table.
    Ok((Box::new(rtc), answer))
}
