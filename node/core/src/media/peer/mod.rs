//! One WebRTC connection: the only place that names str0m.
//!
//! str0m panics when it is misused and asks to be polled dry after every change. So nobody else holds an `Rtc`; each
//! method that changes one says so to the caller by needing `&mut`, and the worker polls every connection that it
//! touched until [`Polled::Timeout`]. An error of str0m ends this connection alone.

mod channels;
mod description;
mod event;
mod format;
mod header;
mod intake;
mod offer;
mod profile;
mod reader;
mod seal;
mod sending;
mod setup;
mod signing;
mod unseen;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_cascade_core::MediaKind;
use str0m::bwe::Bitrate;
use str0m::media::{Direction, KeyframeRequestKind, Pt};
use str0m::net::{DatagramSend, Receive};
use str0m::rtp::Ssrc;
use str0m::{Candidate, Input, Output, Rtc};

use super::codec::Codec;
use super::demux::Source;
use super::own::{Ids, Own};
use super::quality::Meter;
use super::timer::GRID;
use super::uplink::Uplink;
use super::{Channel, OpenSession, Target};
use crate::SessionId;

pub(super) use description::{PeerError, Pending};
pub(super) use event::{Inbound, PeerEvent, Rid};
pub(super) use intake::Came;
pub(super) use offer::{NewSection, OfferChange};
pub(super) use reader::Reader;
pub(super) use setup::Setup;

/// Name of a section, as its offerer gave it.
pub(super) type Mid = str0m::media::Mid;

/// A client's candidates that may wait for its first description, or come at all.
const CANDIDATES_MAX: usize = 64;
/// A payload beyond this is dropped: it does not fit a datagram with its headers, and str0m writes into 2000 bytes.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1_500;
/// How long ICE may be down before the connection counts as lost; a client restarts ICE well within.
const ICE_PATIENCE: Duration = Duration::from_secs(20);
/// With pacing, packets that are due within this much leave at once. No more than the grid of wake-ups: what the
/// estimator takes for the time of sending must not be far from the truth, or it sees queues where there are none.
const PACING_AHEAD: Duration = Duration::from_millis(1);
/// The least step of the pacer's clock: padding asks for steps of a microsecond.
const PACING_STEP: Duration = Duration::from_micros(500);
/// Pacing steps of one drain; a bound on a loop that str0m's wishes drive.
const PACING_STEPS_MAX: usize = 512;

/// A connection.
pub(super) struct Peer {
    /// Boxed, so that what is looked up for each packet lies close together.
    rtc: Box<Rtc>,
    /// Whose it is.
    pub session: SessionId,
    /// Which of the session's.
    pub target: Target,
    channels: Channels,
    /// When data last came or left, about.
    data_at: Instant,
    /// Candidates that came before the client's first description.
    early: Vec<Candidate>,
    candidates: usize,
    described: bool,
    /// ICE and DTLS have been up.
    pub connected: bool,
    /// When it counts as lost, while ICE is down.
    lost_at: Option<Instant>,
    /// The pacer's clock, which may run ahead of ours by [`PACING_AHEAD`].
    clock: Instant,
    pacing_steps: usize,
    /// Its last step moved no time.
    stands: bool,
    /// A datagram came out since.
    gave: bool,
    /// NACKs seen by layer, to count only what is new: (received, sent).
    nacks: HashMap<(Mid, Option<Rid>), (u64, u64)>,
    /// How well packets make their way.
    pub meter: Meter,
    paced: bool,
    /// What its way carries is estimated.
    estimates: bool,
    /// Our own estimator is looking for more.
    looks: bool,
    /// In the list of connections to be polled.
    pub queued: bool,
    /// It failed or was closed; it stays until its session ends, so that its number is not given to another.
    pub dead: bool,
    /// Where each inbound SSRC belongs: (SSRC, track, layer).
    pub inbound: Vec<(u32, usize, u8)>,
    /// What its client's line carries.
    pub uplink: Uplink,
    /// See [`Peer::spare_line`].
    spares_line: bool,
    /// The SRTP profile that was agreed on, once it was.
    profile: &'static str,
    /// Its media go by our own way, unless a handshake has chosen a profile that does not allow it.
    wants_own: bool,
    /// That way, once there are keys.
    own: Option<Box<Own>>,
    /// Those of the client's last offer, which names all that there are.
    sections: Vec<Mid>,
    unseen: Vec<unseen::Unseen>,
}

use channels::Channels;
pub(super) use channels::Fate;
use seal::Leaving;

/// What a poll gives.
pub(super) enum Polled {
    /// A datagram to that address.
    Transmit(Source, DatagramSend),
    /// Something happened.
    Event(PeerEvent),
    /// Nothing more until then.
    Timeout(Instant),
}

impl Peer {
    /// A fresh connection. `sends` when tracks will be sent on it.
    pub fn new(setup: &Setup, open: &OpenSession, target: Target, sends: bool, now: Instant) -> Self {
        Self {
            rtc: Box::new(setup::build(setup, open, sends, now)),
            session: open.session,
            target,
            channels: Channels::default(),
            data_at: now,
            early: Vec::new(),
            candidates: 0,
            described: false,
            connected: false,
            lost_at: None,
            clock: now,
            pacing_steps: 0,
            stands: false,
            gave: false,
            nacks: HashMap::new(),
            meter: Meter::default(),
            paced: setup.bwe && sends,
            estimates: setup.bwe && sends,
            looks: false,
            queued: false,
            dead: false,
            inbound: Vec::new(),
            uplink: Uplink::default(),
            spares_line: false,
            profile: "other",
            wants_own: setup.goes_own_way(),
            own: None,
            sections: Vec::new(),
            unseen: Vec::new(),
        }
    }

    /// By which name clients' checks find this connection; changes at an ICE restart.
    pub fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// Takes a datagram. `Ok(false)` when it is nothing that WebRTC sends.
    pub fn receive(
        &mut self,
        now: Instant,
        (transport, source): Source,
        destination: SocketAddr,
        contents: &[u8],
    ) -> Result<bool, PeerError> {
        let Ok(receive) = Receive::new(setup::protocol(transport), source, destination, contents) else {
            return Ok(false);
        };
        self.pacing_steps = 0;
        self.rtc.handle_input(Input::Receive(now, receive)).map_err(PeerError::new)?;
        self.take_keys(now);
        Ok(true)
    }

    /// Tells the time, and that there may be something to send.
    pub fn tick(&mut self, now: Instant) -> Result<(), PeerError> {
        self.pacing_steps = 0;
        self.clock = self.clock.max(now);
        self.tick_estimator(now);
        self.rtc.handle_input(Input::Timeout(self.clock)).map_err(PeerError::new)?;
        self.take_keys(now);
        Ok(())
    }

    /// The next thing that comes out. Call until `Timeout`.
    pub fn poll(&mut self, now: Instant) -> Result<Polled, PeerError> {
        loop {
            if !self.rtc.is_alive() {
                return Ok(Polled::Event(PeerEvent::Closed("closed")));
            }
            let output = self.rtc.poll_output().map_err(PeerError::new)?;
            self.take_keys(now);
            match output {
                Output::Transmit(transmit) => {
                    self.gave = true;
                    let destination = (setup::carrier(transmit.proto), transmit.destination);
                    match self.leave(destination, transmit.contents) {
                        Leaving::Datagram(datagram) => return Ok(Polled::Transmit(destination, datagram)),
                        Leaving::Nothing => {}
                        Leaving::NotOurs => return Ok(Polled::Event(PeerEvent::Ignored("egress", "not ours"))),
                    }
                }
                Output::Event(event) => {
                    if let Some(event) = self.event(now, event) {
                        return Ok(Polled::Event(event));
                    }
                }
                Output::Timeout(at) if self.step(now, at) => {
                    self.rtc.handle_input(Input::Timeout(self.clock)).map_err(PeerError::new)?;
                    self.take_keys(now);
                }
                Output::Timeout(_) if self.lost_at.is_some_and(|lost_at| lost_at <= now) => {
                    return Ok(Polled::Event(PeerEvent::Closed("ICE is down")));
                }
                Output::Timeout(at) => {
                    let at = self.rest_until(at);
                    let looks_at = self.looks.then_some(now + GRID);
                    let report_at = self.own.as_mut().and_then(|own| own.report_at(now));
                    return Ok(Polled::Timeout(
                        [self.lost_at, looks_at, report_at, self.said_at(now)]
                            .into_iter()
                            .flatten()
                            .fold(at, Instant::min),
                    ));
                }
            }
        }
    }

    /// The leaky bucket gives one packet for each step of time: steps that are nearly due are made at once, tiny ones
    /// while each gives a packet. What is due already is done without a step, but not twice: over a path without delay
    /// the estimator is always due, and what waits behind it would never come.
    fn step(&mut self, now: Instant, at: Instant) -> bool {
        let overdue = at <= self.clock && !self.stands;
        let next = match std::mem::take(&mut self.gave) {
            _ if overdue => self.clock,
            true => at.max(self.clock),
            false => at.max(self.clock + PACING_STEP),
        };
        self.pacing_steps += 1;
        let may = self.paced && next <= now + PACING_AHEAD && self.pacing_steps <= PACING_STEPS_MAX;
        if may {
            (self.clock, self.stands) = (next, overdue);
        }
        may
    }

    /// Takes a candidate of the client. `false` when it is unreadable (browsers hide addresses behind mDNS names) or
    /// one too many.
    pub fn add_candidate(&mut self, candidate: &str) -> bool {
        self.candidates += 1;
        if self.candidates > CANDIDATES_MAX {
            return false;
        }
        let candidate = candidate.strip_prefix("a=").unwrap_or(candidate);
        let Ok(candidate) = Candidate::from_sdp_string(candidate) else { return false };
        if self.described {
            self.rtc.add_remote_candidate(candidate);
        } else {
            self.early.push(candidate);
        }
        true
    }

    /// Makes an offer: data channels (the first time), new sections that send, old ones that begin or cease to send.
    /// Gives the new sections' names in order; nothing when nothing changes.
    pub fn offer(&mut self, change: &OfferChange<'_>) -> Option<(String, Pending, Vec<Mid>)> {
        for &mid in change.resume {
            self.renew_stream(mid);
        }
        self.show_streams();
        let mut api = self.rtc.sdp_api();
        if change.open_channels {
            for channel in [Channel::Reliable, Channel::Lossy] {
                api.add_channel_with_config(channels::config(channel));
            }
        }
        let added = change.add.iter().map(|section| {
            let kind = match section.kind {
                MediaKind::Audio => str0m::media::MediaKind::Audio,
                MediaKind::Video => str0m::media::MediaKind::Video,
            };
            let (stream, track) = (section.stream.clone(), section.track.clone());
            api.add_media(kind, Direction::SendOnly, Some(stream), Some(track), None)
        });
        let added = added.collect();
        for &mid in change.resume {
            api.set_direction(mid, Direction::SendOnly);
        }
        for &mid in change.pause {
            api.set_direction(mid, Direction::Inactive);
        }
        let applied = api.apply();
        self.hide_streams();
        let (offer, pending) = applied?;
        Some((offer.to_sdp_string(), Pending(pending), added))
    }

    /// Which codec an inbound packet has.
    pub fn codec_of(&self, packet: &Inbound) -> Codec {
        let is_of = |pt: Option<Pt>| pt.is_some_and(|pt| *pt == packet.payload_type);
        let mut params = self.rtc.codec_config().params().iter();
        let params = params.find(|params| is_of(Some(params.pt())) || is_of(params.red()));
        params.map_or(Codec::Other, |params| format::codec(params.spec().codec))
    }

    /// The type of the blocks in an inbound packet, when it is sound with redundancy.
    pub fn block_type_of(&self, packet: &Inbound) -> Option<u8> {
        let mut params = self.rtc.codec_config().params().iter();
        let params = params.find(|params| params.red().is_some_and(|red| *red == packet.payload_type))?;
        Some(*params.pt())
    }

    /// Which section and layer a client's stream belongs to.
    pub fn section_of(&mut self, ssrc: u32) -> Option<(Mid, Option<Rid>)> {
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx(&Ssrc::from(ssrc))?;
        Some((stream.mid(), stream.rid()))
    }

    /// Asks the client for a keyframe of a stream.
    pub fn request_keyframe(&mut self, ssrc: u32) {
        if let Some(stream) = self.rtc.direct_api().stream_rx(&Ssrc::from(ssrc)) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    /// Asks the client to send so many bits per second at most; `ssrc` is any of its streams.
    pub fn bound_client(&mut self, ssrc: u32, bps: u64) {
        if let Some(stream) = self.rtc.direct_api().stream_rx(&Ssrc::from(ssrc)) {
            stream.request_remb(Bitrate::bps(bps));
        }
    }

    /// Whether to leave unasked what is lost of all layers but the lowest.
    pub fn spare_line(&mut self, spare: bool) {
        if std::mem::replace(&mut self.spares_line, spare) == spare {
            return;
        }
        for (ssrc, _, _) in self.inbound.iter().filter(|(_, _, layer)| *layer > 0) {
            if let Some(own) = &mut self.own {
                own.spare(*ssrc, spare);
            } else if let Some(stream) = self.rtc.direct_api().stream_rx(&Ssrc::from(*ssrc)) {
                stream.suppress_nack(spare);
            }
        }
    }

    /// What we would like to send, so that the estimator looks for it.
    pub fn set_desired_bitrate(&mut self, bps: u64) {
        self.rtc.bwe().set_bitrate(Bitrate::bps(0), Bitrate::bps(bps));
    }

    /// Sends a data message, or queues it. `is_short` when memory is.
    pub fn send_data(&mut self, channel: Channel, message: Bytes, is_short: bool) -> Fate {
        self.data_at = self.clock;
        let fate = self.channels.push(channel, message, is_short);
        let refused = self.flush_channels();
        if refused == 0 { fate } else { Fate::Dropped }
    }

    /// Bytes of data messages that wait.
    pub fn data_waiting(&self) -> usize {
        self.channels.waiting()
    }

    fn flush_channels(&mut self) -> u64 {
        self.channels.flush(&mut self.rtc)
    }

    /// Says goodbye; what comes out until `Timeout` is its last.
    pub fn close(&mut self) {
        if let Err(error) = self.rtc.close() {
            tracing::debug!(%error, "goodbye failed");
        }
    }

    /// The last datagrams of a closed connection.
    pub fn last_words(&mut self) -> Vec<(Source, DatagramSend)> {
        let mut words = Vec::new();
        for _ in 0..64 {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    let destination = (setup::carrier(transmit.proto), transmit.destination);
                    if let Leaving::Datagram(contents) = self.leave(destination, transmit.contents) {
                        words.push((destination, contents));
                    }
                }
                Ok(Output::Event(_)) => {}
                Ok(Output::Timeout(_)) | Err(_) => break,
            }
        }
        words
    }
}
